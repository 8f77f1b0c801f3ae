//! What a layer ought to be when the layers in front of it are compressed already.
//!
//! The compressed model shows a layer inputs `x̃` where the exact one shows it `x`. The weights `W'` that come
//! nearest to `W x` on them, `min ‖W x − W' x̃‖² + λ ‖W' − W‖²`, are `W + W (x − x̃) x̃ᵀ (x̃ x̃ᵀ + λ)⁻¹`: the target
//! of GPTAQ (Li et al., arXiv:2504.02692) in closed form. Rounding then compresses `W'` for the inputs `x̃`. A layer
//! whose outputs are added to a residual stream `r` also takes back what that has drifted: `r − r̃` is part of what it
//! ought to give.

use super::cholesky;
use super::dense::{add_product, Part};
use super::Hessian;
use rayon::prelude::*;

/// Input rows of one float32 sum.
const ROWS_PER_SUM: usize = 256;
/// Rows of a product that one job computes.
const STRIPE: usize = 64;

/// `Σ (y − ỹ)ᵀ x̃` over rows: how far one value has drifted, against the inputs of a layer.
pub(crate) struct Drift {
    cols: usize,
    /// `[columns of y, cols]`
    sum: Vec<f64>,
}

impl Drift {
    /// Of a value of `rows` columns, for a layer with `cols` inputs.
    pub fn new(rows: usize, cols: usize) -> Drift {
        Drift { cols, sum: vec![0.0; rows * cols] }
    }

    /// Adds rows of the exact value, of the drifted one, and of the inputs.
    pub fn add(&mut self, exact: &[f32], drifted: &[f32], inputs: &[f32]) {
        let cols = self.cols;
        let count = inputs.len() / cols;
        let width = exact.len() / count;
        let gap: Vec<f32> = exact.iter().zip(drifted).map(|(a, b)| a - b).collect();
        self.sum.par_chunks_mut(STRIPE * cols).enumerate().for_each(|(index, sum)| {
            let (first, rows) = (index * STRIPE, sum.len() / cols);
            let mut part = vec![0.0f32; sum.len()];
            for (gap, x) in gap.chunks(ROWS_PER_SUM * width).zip(inputs.chunks(ROWS_PER_SUM * cols)) {
                part.fill(0.0);
                let count = x.len() / cols;
                let left = Part::new(&gap[first..], count, rows, width).transposed();
                add_product(&mut part, cols, 1.0, left, Part::new(x, count, cols, cols));
                sum.iter_mut().zip(&part).for_each(|(sum, part)| *sum += f64::from(*part));
            }
        });
    }
}

/// The inverse of a layer's damped `x̃ x̃ᵀ`, its inputs divided by `scales` (as folding will do), where damping is fair.
pub(crate) struct Inverse {
    scales: Vec<f32>,
    /// `[cols, cols]`
    u: Vec<f32>,
}

impl Inverse {
    /// Of the sum over the inputs as they are.
    pub fn new(h: &Hessian, scales: Option<&[f32]>) -> Inverse {
        let cols = h.cols();
        let scales = scales.map_or_else(|| vec![1.0; cols], <[f32]>::to_vec);
        let (_, u) = cholesky::damped_factor(&h.divided(&scales).expand(cols), cols);
        Inverse { scales, u }
    }

    /// `drift · (x̃ x̃ᵀ + λ)⁻¹`, `[rows, cols]`.
    pub fn apply(&self, drift: &Drift) -> Vec<f32> {
        let cols = drift.cols;
        let mut out = vec![0.0f32; drift.sum.len()];
        out.par_chunks_mut(STRIPE * cols).zip(drift.sum.par_chunks(STRIPE * cols)).for_each(
            |(out, drift)| {
                let rows = drift.len() / cols;
                let divided = |(i, d): (usize, &f64)| *d as f32 / self.scales[i % cols];
                let drift: Vec<f32> = drift.iter().enumerate().map(divided).collect();
                let u = Part::new(&self.u, cols, cols, cols);
                // H⁻¹ = UᵀU.
                let mut half = vec![0.0f32; drift.len()];
                add_product(&mut half, cols, 1.0, Part::new(&drift, rows, cols, cols), u.transposed());
                add_product(out, cols, 1.0, Part::new(&half, rows, cols, cols), u);
                out.iter_mut().enumerate().for_each(|(i, x)| *x /= self.scales[i % cols]);
            },
        );
        out
    }
}

/// `w + w · inputs + residual`, where `inputs` `[cols, cols]` and `residual` `[rows, cols]` come from
/// [`Inverse::apply`].
pub(crate) fn aim(w: &[f32], cols: usize, inputs: &[f32], residual: Option<&[f32]>) -> Vec<f32> {
    let mut out = w.to_vec();
    out.par_chunks_mut(STRIPE * cols).zip(w.par_chunks(STRIPE * cols)).for_each(|(out, w)| {
        let rows = w.len() / cols;
        let inputs = Part::new(inputs, cols, cols, cols);
        add_product(out, cols, 1.0, Part::new(w, rows, cols, cols), inputs);
    });
    if let Some(residual) = residual {
        out.iter_mut().zip(residual).for_each(|(w, r)| *w += r);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| (((i + seed) * 7919 % 1009) as f32 - 504.0) / 504.0).collect()
    }

    /// What `(w x + r) − (w' x̃ + r̃)` is, squared.
    fn distance(w: &[f32], v: &[f32], x: &[f32], y: &[f32], drift: &[f32], cols: usize) -> f64 {
        let rows = w.len() / cols;
        let dot = |w: &[f32], x: &[f32]| -> f64 {
            w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum()
        };
        let samples = x.chunks_exact(cols).zip(y.chunks_exact(cols)).zip(drift.chunks_exact(rows));
        let one = |((x, y), drift): ((&[f32], &[f32]), &[f32])| -> f64 {
            let outputs = w.chunks_exact(cols).zip(v.chunks_exact(cols)).zip(drift);
            outputs.map(|((w, v), drift)| (dot(w, x) + f64::from(*drift) - dot(v, y)).powi(2)).sum()
        };
        samples.map(one).sum()
    }

    /// Inputs that have drifted, and a residual stream that has, too: the target takes most of both back, and no
    /// small change of it does better.
    #[test]
    fn the_target_is_the_nearest_that_there_is() {
        let (samples, cols, rows) = (600, 70, 40);
        let w = noise(rows * cols, 5);
        let y = noise(samples * cols, 77);
        // A part of the drift follows from the inputs.
        let mut x = y.clone();
        x.chunks_exact_mut(cols).for_each(|x| (1..cols).for_each(|c| x[c] += 0.3 * x[c - 1]));
        let drift: Vec<f32> = y.chunks_exact(cols).flat_map(|y| y[..rows].iter().map(|y| 0.5 * y)).collect();
        let mut h = Hessian::new(cols);
        h.add_rows(&y);
        let (mut inputs, mut residual) = (Drift::new(cols, cols), Drift::new(rows, cols));
        for at in [0..samples / 3, samples / 3..samples] {
            let part = |m: &[f32], cols: usize| m[at.start * cols..at.end * cols].to_vec();
            inputs.add(&part(&x, cols), &part(&y, cols), &part(&y, cols));
            residual.add(&part(&drift, rows), &part(&vec![0.0; samples * rows], rows), &part(&y, cols));
        }
        for scales in [None, Some(noise(cols, 3).iter().map(|s| 1.0 + s.abs()).collect::<Vec<f32>>())] {
            let inverse = Inverse::new(&h, scales.as_deref());
            let (a, b) = (inverse.apply(&inputs), inverse.apply(&residual));
            let best = aim(&w, cols, &a, Some(&b));
            let to = |v: &[f32]| distance(&w, v, &x, &y, &drift, cols);
            assert!(to(&best) < 0.01 * to(&w), "{} of {}", to(&best), to(&w));
            let inputs_only = to(&aim(&w, cols, &a, None));
            assert!(to(&best) < inputs_only && inputs_only < to(&w));
            for step in [0.02, -0.02] {
                let other: Vec<f32> =
                    best.iter().zip(noise(w.len(), 11)).map(|(w, n)| w + step * n).collect();
                assert!(to(&other) > to(&best));
            }
        }
    }
}
