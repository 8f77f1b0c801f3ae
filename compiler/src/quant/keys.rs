//! Scales that move size from keys into queries, exactly, so that loud columns of the keys cost fewer of the bits that
//! the cache has for a row of a head: SmoothQuant's folding (see [`super::fold`]) for the product of two activations.
//!
//! Column j of a key head is divided by `s[j]` where it is made and the same column of its queries multiplied by it. Two
//! columns that a rotary embedding turns into each other share a scale. The candidate wins whose scores, queries and
//! keys both quantised, are nearest to the exact ones once the mean of each query's scores, which the softmax takes
//! out, is gone.

use super::dense::{add_product, Part};
use super::fold::{scales, Decision, STRENGTHS};

/// Shape of queries and keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Column i of these turns with column `i + pairs`.
    pub pairs: usize,
}

impl Heads {
    /// The first of the columns that share a scale with column `c` of a head.
    fn tied(&self, c: usize) -> usize {
        if c >= self.pairs && c < 2 * self.pairs {
            c - self.pairs
        } else {
            c
        }
    }

    /// A head's columns of `x`, `[rows, head_dim]`.
    fn head(&self, x: &[f32], heads: usize, head: usize) -> Vec<f32> {
        x.chunks_exact(heads * self.head_dim)
            .flat_map(|row| &row[head * self.head_dim..][..self.head_dim])
            .copied()
            .collect()
    }
}

/// What the columns of the keys are divided by, `[kv_heads · head_dim]`, and what that gains; for queries and keys of the
/// same rows as attention sees them, and a cache of `bits`.
pub(crate) fn choose(
    path: &str,
    q: &[f32],
    k: &[f32],
    heads: &Heads,
    bits: u32,
) -> (Option<Vec<f32>>, Decision) {
    let Heads { kv_heads, head_dim, .. } = *heads;
    let group = heads.heads / kv_heads;
    let mut chosen = Vec::with_capacity(kv_heads * head_dim);
    let (mut before, mut after, mut strongest) = (0.0, 0.0, 0.0f32);
    for head in 0..kv_heads {
        let k = heads.head(k, kv_heads, head);
        let queries: Vec<Vec<f32>> =
            (head * group..(head + 1) * group).map(|h| heads.head(q, heads.heads, h)).collect();
        let exact: Vec<Vec<f32>> = queries.iter().map(|q| scores(q, &k, head_dim)).collect();
        let error = |s: &[f32]| -> f64 {
            let k = rounded(&k, s, |k, s| k / s, peak(bits));
            let errors = queries.iter().zip(&exact).map(|(q, exact)| {
                let q = rounded(q, s, |q, s| q * s, 127.0);
                distance(&scores(&q, &k, head_dim), exact)
            });
            errors.sum::<f64>() / group as f64
        };
        let sizes = |rows: &mut dyn Iterator<Item = &[f32]>| -> Vec<f32> {
            let mut sizes = vec![0.0f32; head_dim];
            for row in rows {
                row.iter().enumerate().for_each(|(c, x)| {
                    let size = &mut sizes[heads.tied(c)];
                    *size = size.max(x.abs());
                });
            }
            (0..head_dim).map(|c| sizes[heads.tied(c)]).collect()
        };
        let of_keys = sizes(&mut k.chunks_exact(head_dim));
        let of_queries = sizes(&mut queries.iter().flat_map(|q| q.chunks_exact(head_dim)));
        let ones = vec![1.0; head_dim];
        let without = error(&ones);
        let mut best = (without, 0.0, ones.clone());
        for (strength, against) in STRENGTHS.iter().flat_map(|s| [(*s, &of_queries), (*s, &ones)]) {
            let candidate = scales(&of_keys, against, strength);
            let error = error(&candidate);
            if error < best.0 {
                best = (error, strength, candidate);
            }
        }
        before += without / kv_heads as f64;
        after += best.0 / kv_heads as f64;
        strongest = strongest.max(best.1);
        chosen.extend(best.2);
    }
    let decision = Decision {
        path: path.into(),
        strength: strongest,
        balanced: 0,
        error_before: before,
        error_after: after,
    };
    ((strongest > 0.0).then_some(chosen), decision)
}

/// The largest level of the cache.
fn peak(bits: u32) -> f32 {
    if bits == 4 {
        7.0
    } else {
        127.0
    }
}

/// Rows of a head with the scales folded in, rounded to levels up to `peak` with a scale per row.
fn rounded(x: &[f32], scales: &[f32], fold: fn(f32, f32) -> f32, peak: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(scales.len()) {
        let folded: Vec<f32> = row.iter().zip(scales).map(|(x, s)| fold(*x, *s)).collect();
        let step = folded.iter().fold(1e-20f32, |most, x| most.max(x.abs())) / peak;
        out.extend(folded.iter().map(|x| (x / step).round_ties_even() * step));
    }
    out
}

/// `q kᵀ`, the mean of each row taken out.
fn scores(q: &[f32], k: &[f32], cols: usize) -> Vec<f32> {
    let (rows, keys) = (q.len() / cols, k.len() / cols);
    let mut out = vec![0.0f32; rows * keys];
    let k = Part::new(k, keys, cols, cols).transposed();
    add_product(&mut out, keys, 1.0, Part::new(q, rows, cols, cols), k);
    for row in out.chunks_exact_mut(keys) {
        let mean = row.iter().sum::<f32>() / keys as f32;
        row.iter_mut().for_each(|x| *x -= mean);
    }
    out
}

/// Squared error over square.
fn distance(x: &[f32], exact: &[f32]) -> f64 {
    let square: f64 = exact.iter().map(|y| f64::from(*y).powi(2)).sum();
    let error: f64 = x.iter().zip(exact).map(|(x, y)| f64::from(x - y).powi(2)).sum();
    error / square.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loud pair of columns that all keys have in common: scores are several times nearer; tied columns keep together.
    #[test]
    fn loud_key_columns_are_folded() {
        let heads = Heads { heads: 4, kv_heads: 2, head_dim: 16, pairs: 8 };
        let noise = |i: usize| ((i * 7919 % 1009) as f32 - 504.0) / 504.0;
        let q: Vec<f32> = (0..40 * 64).map(noise).collect();
        let mut k: Vec<f32> = (0..40 * 32).map(|i| noise(i * 31 + 5)).collect();
        let (scales, even) = choose("even", &q, &k, &heads, 4);
        assert!(even.error_after > 0.5 * even.error_before && scales.is_none_or(|s| s.len() == 32));
        k.chunks_exact_mut(32).for_each(|row| row[3] += 30.0);
        let (scales, loud) = choose("loud", &q, &k, &heads, 4);
        let scales = scales.expect("something to fold");
        assert!(loud.error_after < 0.1 * loud.error_before, "{loud:?}");
        assert!(scales[3] == scales[11] && scales[3] > 4.0 * scales[2], "{scales:?}");
    }
}
