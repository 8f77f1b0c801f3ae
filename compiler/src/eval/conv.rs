//! Operators on maps: rows are the pixels of a square, line by line.

use rayon::prelude::*;

use super::matmul::dot;

/// A depthwise convolution of a map of `side` x `side` pixels; `w` is `[outputs, kernel^2]`.
pub(super) fn depthwise(
    x: &[f32],
    (w, b): (&[f32], &[f32]),
    (kernel, stride, side): (usize, usize, usize),
) -> Vec<f32> {
    let (outputs, channels, pad) = (b.len(), x.len() / (side * side), kernel / 2);
    let (multiplier, out_side) = (outputs / channels, (side - 1) / stride + 1);
    let mut out = vec![0.0; out_side * out_side * outputs];
    out.par_chunks_mut(outputs).enumerate().for_each(|(at, row)| {
        row.copy_from_slice(b);
        let (y, x0) = (at / out_side * stride, at % out_side * stride);
        for (ky, kx) in (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx))) {
            let (Some(down), Some(across)) = ((y + ky).checked_sub(pad), (x0 + kx).checked_sub(pad)) else {
                continue;
            };
            if down >= side || across >= side {
                continue;
            }
            let pixel = &x[(down * side + across) * channels..][..channels];
            for (o, value) in row.iter_mut().enumerate() {
                *value += w[o * kernel * kernel + ky * kernel + kx] * pixel[o / multiplier];
            }
        }
    });
    out
}

/// One row of each `taps` rows: each column the sum of theirs times weights of its own, `w` `[columns, taps]`, plus a bias.
pub(super) fn pool_windows(x: &[f32], (w, b): (&[f32], &[f32]), taps: usize) -> Vec<f32> {
    let columns = b.len();
    let pool = |window: &[f32]| -> Vec<f32> {
        let sum = |c: usize| {
            let products =
                (0..taps).map(|tap| f64::from(w[c * taps + tap]) * f64::from(window[tap * columns + c]));
            (products.sum::<f64>() + f64::from(b[c])) as f32
        };
        (0..columns).map(sum).collect()
    };
    x.chunks_exact(taps * columns).flat_map(pool).collect()
}

/// Squeeze and excitation, in place; weights and biases of the two linear layers.
pub(super) fn excite(x: &mut [f32], [w1, b1, w2, b2]: [&[f32]; 4]) {
    let columns = b2.len();
    let rows = (x.len() / columns) as f64;
    let mean =
        |c: usize| (x.iter().skip(c).step_by(columns).map(|v| f64::from(*v)).sum::<f64>() / rows) as f32;
    let means: Vec<f32> = (0..columns).map(mean).collect();
    let linear = |w: &[f32], b: &[f32], x: &[f32]| -> Vec<f32> {
        w.chunks_exact(x.len()).zip(b).map(|(w, b)| dot(w, x) + b).collect()
    };
    let inner: Vec<f32> = linear(w1, b1, &means).into_iter().map(|v| v.max(0.0)).collect();
    let gates: Vec<f32> = linear(w2, b2, &inner).into_iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect();
    x.chunks_exact_mut(columns).for_each(|row| row.iter_mut().zip(&gates).for_each(|(v, gate)| *v *= gate));
}
