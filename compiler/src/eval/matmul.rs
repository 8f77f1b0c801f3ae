//! f32 matrix products, parallel over the output columns.

use gemm::Parallelism;
use rayon::prelude::*;

/// Fewer rows than this are computed as dot products, which read each weight once.
const DOT_ROWS_MAX: usize = 4;
const LANES: usize = 16;
/// Output columns of one parallel job.
const CHUNK: usize = 64;

/// `x W^T`: x `[rows, inner]`, w `[cols, inner]`, both row-major; returns `[rows, cols]`.
pub(super) fn matmul(x: &[f32], w: &[f32], rows: usize, inner: usize, cols: usize) -> Vec<f32> {
    assert_eq!(x.len(), rows * inner, "left operand");
    assert_eq!(w.len(), cols * inner, "right operand");
    let mut out = vec![0.0; rows * cols];
    if rows < DOT_ROWS_MAX {
        for (x, out) in x.chunks_exact(inner.max(1)).zip(out.chunks_exact_mut(cols)) {
            vector(x, w, inner, out);
        }
        return out;
    }
    // SAFETY: the three slices have exactly the extents and strides given here (asserted above), and
    // `out` does not alias the operands.
    #[allow(unsafe_code, reason = "the gemm crate has a pointer interface")]
    unsafe {
        gemm::gemm(
            rows,
            cols,
            inner,
            out.as_mut_ptr(),
            1,
            cols as isize,
            false,
            x.as_ptr(),
            1,
            inner as isize,
            w.as_ptr(),
            inner as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
    out
}

fn vector(x: &[f32], w: &[f32], inner: usize, out: &mut [f32]) {
    out.par_chunks_mut(CHUNK).zip(w.par_chunks(CHUNK * inner)).for_each(|(out, w)| {
        for (out, w) in out.iter_mut().zip(w.chunks_exact(inner)) {
            *out = dot(x, w);
        }
    });
}

/// Dot product with independent lanes, so that it vectorises and rounding errors stay small.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_blocks, a_tail) = a.as_chunks::<LANES>();
    let (b_blocks, b_tail) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let tail: f32 = a_tail.iter().zip(b_tail).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::matmul;

    #[test]
    fn both_paths_equal_the_definition() {
        for (rows, inner, cols) in [(1, 37, 5), (3, 16, 130), (4, 37, 5), (9, 70, 131)] {
            let x: Vec<f32> = (0..rows * inner).map(|i| ((i * 7 % 23) as f32 - 11.0) / 8.0).collect();
            let w: Vec<f32> = (0..cols * inner).map(|i| ((i * 5 % 19) as f32 - 9.0) / 8.0).collect();
            let out = matmul(&x, &w, rows, inner, cols);
            for row in 0..rows {
                for col in 0..cols {
                    let sum: f64 = (0..inner)
                        .map(|k| f64::from(x[row * inner + k]) * f64::from(w[col * inner + k]))
                        .sum();
                    assert!((f64::from(out[row * cols + col]) - sum).abs() < 1e-3);
                }
            }
        }
    }
}
