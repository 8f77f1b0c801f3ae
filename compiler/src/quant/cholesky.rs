//! The factor that error feedback needs: upper triangular `U` with `H⁻¹ = UᵀU`.
//!
//! GPTQ inverts `H` and factors the inverse. With `J` reversing the order of the columns and
//! `L Lᵀ = J H J`, that factor is `J L⁻¹ J`: one factorisation and one triangular inverse.

use super::dense::{add_product, Part};
use rayon::prelude::*;

/// Columns that are factored together.
const BLOCK: usize = 64;
/// Share of the mean diagonal that is added to the diagonal, as in GPTQ.
const DAMPING: f64 = 0.01;

/// `H` with its diagonal damped, and `U`, both `[n, n]`. Damping grows until the factorisation works.
pub(super) fn damped_factor(h: &[f64], n: usize) -> (Vec<f32>, Vec<f32>) {
    let active = (0..n).map(|i| h[i * n + i]).filter(|d| *d > 0.0);
    let (sum, count) = active.fold((0.0, 0), |(sum, count), d| (sum + d, count + 1));
    let mean = if count > 0 { sum / f64::from(count) } else { 1.0 };
    let mut damping = DAMPING * mean;
    loop {
        let mut l: Vec<f64> = h.iter().rev().copied().collect();
        (0..n).for_each(|i| l[i * n + i] += damping);
        if factor(&mut l, n) {
            let u = invert(&l, n).iter().rev().map(|x| *x as f32).collect();
            let mut damped: Vec<f32> = h.iter().map(|x| *x as f32).collect();
            (0..n).for_each(|i| damped[i * n + i] = (h[i * n + i] + damping) as f32);
            return (damped, u);
        }
        damping *= 10.0;
    }
}

/// Replaces the lower triangle of `a` by `L` with `L Lᵀ = A`; false if `A` is not positive definite.
fn factor(a: &mut [f64], n: usize) -> bool {
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let width = end - start;
        for row in start..end {
            let (above, own) = a.split_at_mut(row * n);
            if !solve_row(&mut own[start..=row], &above[start * n..], start, n) {
                return false;
            }
        }
        let (above, below) = a.split_at_mut(end * n);
        let block = &above[start * n + start..];
        below.par_chunks_mut(n).for_each(|row| {
            for col in 0..width {
                let known = dot(&row[start..start + col], &block[col * n..][..col]);
                row[start + col] = (row[start + col] - known) / block[col * n + col];
            }
        });
        let panel: Vec<f64> = below.chunks_exact(n).flat_map(|row| &row[start..end]).copied().collect();
        below.par_chunks_mut(BLOCK * n).enumerate().for_each(|(index, rows)| {
            let count = rows.len() / n;
            let first = index * BLOCK;
            let left = Part::new(&panel[first * width..], count, width, width);
            let right = Part::new(&panel, first + count, width, width).transposed();
            add_product(&mut rows[end..], n, -1.0, left, right);
        });
    }
    true
}

/// Row `r` of `L` inside a diagonal block: `row` holds its `r + 1` elements there, `above` the block's
/// whole rows in front, the block being at column `start`.
fn solve_row(row: &mut [f64], above: &[f64], start: usize, n: usize) -> bool {
    let last = row.len() - 1;
    for col in 0..last {
        let above = &above[col * n + start..];
        row[col] = (row[col] - dot(&row[..col], &above[..col])) / above[col];
    }
    let pivot = row[last] - dot(&row[..last], &row[..last]);
    row[last] = pivot.max(0.0).sqrt();
    pivot > 0.0 && pivot.is_finite()
}

/// `L⁻¹` of a lower triangular matrix; the upper triangle of `l` is not looked at.
fn invert(l: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let width = end - start;
        // Columns in front of the block: −L[block, before] · out[before, :], in stripes of columns.
        let (done, own) = out.split_at_mut(start * n);
        let stripes: Vec<Vec<f64>> = (0..start)
            .into_par_iter()
            .step_by(BLOCK)
            .map(|first| {
                let mut stripe = vec![0.0; width * BLOCK];
                // Rows before `first` are zero in these columns.
                let left = Part::new(&l[start * n + first..], width, start - first, n);
                let right = Part::new(&done[first * n + first..], start - first, BLOCK, n);
                add_product(&mut stripe, BLOCK, -1.0, left, right);
                stripe
            })
            .collect();
        for (index, stripe) in stripes.iter().enumerate() {
            for (row, values) in stripe.chunks_exact(BLOCK).enumerate() {
                own[row * n + index * BLOCK..][..BLOCK].copy_from_slice(values);
            }
        }
        for row in 0..width {
            own[row * n + start + row] = 1.0;
            let (above, this) = own.split_at_mut(row * n);
            let this = &mut this[..end];
            for (col, above) in above.chunks_exact(n).enumerate() {
                let factor = l[(start + row) * n + start + col];
                this.iter_mut().zip(above).for_each(|(x, y)| *x -= factor * y);
            }
            let pivot = l[(start + row) * n + start + row];
            this.iter_mut().for_each(|x| *x /= pivot);
        }
    }
    out
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::damped_factor;

    /// Sizes around the block; `UᵀU H = 1` and `U` is upper triangular.
    #[test]
    fn the_factor_inverts_the_matrix() {
        for n in [1, 5, 63, 64, 65, 200] {
            let x: Vec<f64> = (0..2 * n * n).map(|i| ((i * 7919 % 1009) as f64 - 504.0) / 500.0).collect();
            let mut h = vec![0.0; n * n];
            for row in x.chunks_exact(n) {
                for i in 0..n {
                    (0..n).for_each(|j| h[i * n + j] += row[i] * row[j]);
                }
            }
            let (damped, u) = damped_factor(&h, n);
            let at = |m: &[f32], i: usize, j: usize| f64::from(m[i * n + j]);
            for i in 0..n {
                (0..i).for_each(|j| assert_eq!(at(&u, i, j), 0.0));
                for j in 0..n {
                    // (UᵀU H)[i, j]
                    let uh = |k: usize| (0..n).map(|l| at(&u, k, l) * at(&damped, l, j)).sum::<f64>();
                    let value: f64 = (0..=i).map(|k| at(&u, k, i) * uh(k)).sum();
                    assert!((value - f64::from(u8::from(i == j))).abs() < 1e-3, "n {n} [{i}, {j}]: {value}");
                }
            }
        }
    }

    #[test]
    fn singular_sums_are_damped() {
        let (n, h) = (3, vec![4.0, 4.0, 0.0, 4.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
        let (damped, u) = damped_factor(&h, n);
        assert!(u.iter().all(|x| x.is_finite()));
        assert!((damped[8] - 0.04).abs() < 1e-6, "a dead input keeps only the damping");
        let (_, u) = damped_factor(&[0.0; 4], 2);
        assert_eq!(u[0], u[3]);
    }
}
