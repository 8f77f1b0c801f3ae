//! Separable resize of 8-bit RGB pictures in fixed point, bit-exact with two libraries.
//!
//! Both Pillow and torch's antialiased `uint8` kernels compute, per axis, real filter weights in
//! double precision over a support that grows when shrinking, quantise them to integers, and
//! accumulate `weight * pixel` with one rounding shift, clamping to 8 bits after each axis. They
//! differ only in the quantisation:
//!
//! | backend | weight bits |
//! | --- | --- |
//! | Pillow | 22 fraction bits in 32-bit integers |
//! | torch | as many fraction bits as keep the largest weight of the axis below 2^15 |
//!
//! The horizontal pass comes first, except that Pillow 13 starts with the vertical one when the
//! picture loses more than twice as many rows as columns. An axis whose size does not change is
//! skipped.

use super::{Backend, RgbPicture};
use rayon::prelude::*;

/// Interpolation kernels, by the codes Pillow gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Code 1: windowed sinc, three lobes.
    Lanczos,
    /// Code 2: triangle.
    Bilinear,
    /// Code 3: Keys' cubic with a = -0.5.
    Bicubic,
}

impl Filter {
    /// The filter for a `resample` code, if we have it.
    pub fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Filter::Lanczos),
            2 => Some(Filter::Bilinear),
            3 => Some(Filter::Bicubic),
            _ => None,
        }
    }

    /// Half-width of the kernel in source pixels at scale one.
    fn support(self) -> f64 {
        match self {
            Filter::Lanczos => 3.0,
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        match self {
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Bilinear if x.abs() < 1.0 => 1.0 - x.abs(),
            Filter::Bicubic => cubic(x.abs()),
            _ => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Integer weights of one axis: output `i` reads `taps[i]` source positions from `first[i]`.
struct Axis {
    first: Vec<usize>,
    weights: Vec<Vec<i32>>,
    fraction_bits: u32,
}

impl Axis {
    fn new(from: usize, to: usize, filter: Filter, backend: Backend) -> Self {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        let inverse = 1.0 / stretch;
        let mut first = Vec::with_capacity(to);
        let mut real: Vec<Vec<f64>> = Vec::with_capacity(to);
        for i in 0..to {
            let center = (i as f64 + 0.5) * scale;
            // Truncation towards zero; negative values mean "from the first pixel".
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            let mut taps: Vec<f64> =
                (start..end).map(|j| filter.at((j as f64 - center + 0.5) * inverse)).collect();
            let total: f64 = taps.iter().sum();
            if total != 0.0 {
                taps.iter_mut().for_each(|weight| *weight /= total);
            }
            first.push(start);
            real.push(taps);
        }
        let fraction_bits = match backend {
            Backend::Pillow => 22,
            Backend::Torchvision => sixteen_bit_precision(&real),
        };
        let one = f64::from(1u32 << fraction_bits);
        let quantise = |weight: f64| (weight * one + 0.5f64.copysign(weight)) as i32;
        let weights = real.into_iter().map(|taps| taps.into_iter().map(quantise).collect()).collect();
        Axis { first, weights, fraction_bits }
    }
}

/// The most fraction bits (at most 22) with which every weight still fits in 16 bits.
fn sixteen_bit_precision(weights: &[Vec<f64>]) -> u32 {
    let largest = weights.iter().flatten().copied().fold(0.0, f64::max);
    (0..22).find(|&bits| (0.5 + largest * f64::from(1u32 << (bits + 1))) as i64 >= 1 << 15).unwrap_or(22)
}

/// Rounds an accumulator to a pixel.
fn to_pixel(sum: i64, fraction_bits: u32) -> u8 {
    (sum >> fraction_bits).clamp(0, 255) as u8
}

/// Resizes to `width` x `height` pixels; both must be positive.
pub fn resize(
    picture: &RgbPicture,
    width: usize,
    height: usize,
    filter: Filter,
    backend: Backend,
) -> RgbPicture {
    assert!(width > 0 && height > 0, "cannot resize to {width}x{height}");
    let horizontal = |picture: RgbPicture| {
        if width == picture.width {
            return picture;
        }
        let axis = Axis::new(picture.width, width, filter, backend);
        across(&picture, &axis)
    };
    let vertical = |picture: RgbPicture| {
        if height == picture.height {
            return picture;
        }
        let axis = Axis::new(picture.height, height, filter, backend);
        down(&picture, &axis)
    };
    let rows_lost = picture.height as i64 - height as i64;
    let columns_lost = picture.width as i64 - width as i64;
    if backend == Backend::Pillow && rows_lost > 0 && rows_lost > 2 * columns_lost {
        horizontal(vertical(picture.clone()))
    } else {
        vertical(horizontal(picture.clone()))
    }
}

/// The horizontal pass.
fn across(picture: &RgbPicture, axis: &Axis) -> RgbPicture {
    let width = axis.first.len();
    let half = 1i64 << (axis.fraction_bits - 1);
    let mut data = vec![0u8; width * picture.height * 3];
    let rows = picture.data.par_chunks_exact(picture.width * 3);
    data.par_chunks_exact_mut(width * 3).zip(rows).for_each(|(out, row)| {
        for (i, pixel) in out.chunks_exact_mut(3).enumerate() {
            let mut sums = [half; 3];
            let source = row[axis.first[i] * 3..].chunks_exact(3);
            for (&weight, from) in axis.weights[i].iter().zip(source) {
                for c in 0..3 {
                    sums[c] += i64::from(weight) * i64::from(from[c]);
                }
            }
            for c in 0..3 {
                pixel[c] = to_pixel(sums[c], axis.fraction_bits);
            }
        }
    });
    RgbPicture::new(width, picture.height, data)
}

/// The vertical pass.
fn down(picture: &RgbPicture, axis: &Axis) -> RgbPicture {
    let height = axis.first.len();
    let stride = picture.width * 3;
    let half = 1i64 << (axis.fraction_bits - 1);
    let mut data = vec![0u8; height * stride];
    data.par_chunks_exact_mut(stride).enumerate().for_each(|(i, out)| {
        let mut sums = vec![half; stride];
        let source = picture.data[axis.first[i] * stride..].chunks_exact(stride);
        for (&weight, row) in axis.weights[i].iter().zip(source) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i64::from(weight) * i64::from(value);
            }
        }
        for (value, &sum) in out.iter_mut().zip(&sums) {
            *value = to_pixel(sum, axis.fraction_bits);
        }
    });
    RgbPicture::new(picture.width, height, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_picture_stays_flat() {
        let flat = RgbPicture::new(7, 5, [10u8, 128, 250].repeat(35));
        for filter in [Filter::Lanczos, Filter::Bilinear, Filter::Bicubic] {
            for backend in [Backend::Pillow, Backend::Torchvision] {
                let out = resize(&flat, 13, 3, filter, backend);
                assert!(out.data.chunks(3).all(|p| p == [10, 128, 250]), "{filter:?} {backend:?}");
            }
        }
    }

    #[test]
    fn same_size_changes_nothing() {
        let picture = RgbPicture::new(4, 3, (0..36).map(|v| v * 7).collect());
        assert_eq!(resize(&picture, 4, 3, Filter::Bicubic, Backend::Pillow), picture);
    }
}
