//! The operators other than matrix products, on row-major f32 matrices.

use rayon::prelude::*;

use super::matmul::dot;
use crate::graph::{ActKind, BlockMask, Position, Rotary};

/// Layer normalisation of each row, or part of a row, of as many values as `w` has.
pub(super) fn layer_norm(x: &mut [f32], w: &[f32], b: &[f32], eps: f32) {
    for row in x.chunks_exact_mut(w.len()) {
        let count = row.len() as f64;
        let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
        let variance = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (variance + f64::from(eps)).sqrt();
        for ((v, w), b) in row.iter_mut().zip(w).zip(b) {
            *v = ((f64::from(*v) - mean) * scale) as f32 * w + b;
        }
    }
}

/// Root-mean-square normalisation of each row.
pub(super) fn rms_norm(x: &mut [f32], w: &[f32], eps: f32) {
    for row in x.chunks_exact_mut(w.len()) {
        let mean = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (mean + f64::from(eps)).sqrt();
        for (v, w) in row.iter_mut().zip(w) {
            *v = (f64::from(*v) * scale) as f32 * w;
        }
    }
}

/// Element-wise activation.
pub(super) fn activate(kind: ActKind, x: &mut [f32]) {
    let function: fn(f32) -> f32 = match kind {
        ActKind::Gelu => gelu,
        ActKind::GeluTanh => gelu_tanh,
        ActKind::QuickGelu => |v| v * sigmoid(1.702 * v),
        ActKind::Silu => |v| v * sigmoid(v),
        ActKind::Relu => |v| v.max(0.0),
        ActKind::Relu2 => |v| v.max(0.0) * v.max(0.0),
    };
    x.par_chunks_mut(4096).for_each(|chunk| chunk.iter_mut().for_each(|v| *v = function(*v)));
}

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

fn gelu(v: f32) -> f32 {
    let wide = f64::from(v);
    (0.5 * wide * (1.0 + libm::erf(wide * std::f64::consts::FRAC_1_SQRT_2))) as f32
}

fn gelu_tanh(v: f32) -> f32 {
    let wide = f64::from(v);
    let scale = (2.0 / std::f64::consts::PI).sqrt();
    (0.5 * wide * (1.0 + (scale * (wide + 0.044715 * wide.powi(3))).tanh())) as f32
}

/// Rotary embedding of `[rows, heads*head_dim]`, one position a row, in a sequence of `length` positions.
pub(crate) fn rope(x: &mut [f32], heads: usize, rotary: &Rotary, positions: &[Position], length: usize) {
    let (frequencies, pairs) = (rotary.frequencies(length), rotary.pairs());
    let cols = x.len() / positions.len();
    for (row, position) in x.chunks_exact_mut(cols).zip(positions) {
        let table: Vec<(f32, f32)> = rotary.row(&frequencies, *position).collect();
        for head in row.chunks_exact_mut(cols / heads) {
            let (low, high) = head.split_at_mut(pairs);
            for ((low, high), (cos, sin)) in low.iter_mut().zip(high).zip(&table) {
                (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
            }
        }
    }
}

/// Shape of an attention call.
pub(super) struct AttentionShape {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub causal: bool,
    pub mask: Option<BlockMask>,
    pub scale: f32,
}

/// Softmax attention of `q [rows, heads*head_dim]` over all rows of `k`, `v [total, kv_heads*head_dim]`.
/// With `causal`, the query rows are the last `rows` of the `total` positions; `mask` is for causal rows.
pub(super) fn attention(shape: &AttentionShape, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
    let &AttentionShape { heads, kv_heads, head_dim, causal, mask, scale } = shape;
    let (q_cols, kv_cols) = (heads * head_dim, kv_heads * head_dim);
    let (rows, total) = (q.len() / q_cols, k.len() / kv_cols);
    assert!(!causal || rows <= total, "a causal row sees its own position");
    let mut out = vec![0.0; q.len()];
    out.par_chunks_mut(head_dim).enumerate().for_each(|(index, out)| {
        let (row, head) = (index / heads, index % heads);
        let visible = if causal { total - rows + row + 1 } else { total };
        let kv_head = head * kv_heads / heads;
        let slice = |x: &'_ [f32], at: usize| -> std::ops::Range<usize> {
            let start = at * kv_cols + kv_head * head_dim;
            debug_assert!(start + head_dim <= x.len());
            start..start + head_dim
        };
        let query = &q[index * head_dim..(index + 1) * head_dim];
        let seen = |at: &usize| mask.is_none_or(|m| m.sees(visible - 1, *at));
        let mut scores: Vec<(usize, f32)> =
            (0..visible).filter(seen).map(|at| (at, dot(query, &k[slice(k, at)]) * scale)).collect();
        let max = scores.iter().map(|s| s.1).fold(f32::NEG_INFINITY, f32::max);
        scores.iter_mut().for_each(|(_, score)| *score = (*score - max).exp());
        let sum = scores.iter().map(|s| f64::from(s.1)).sum::<f64>();
        let norm = (1.0 / sum) as f32;
        for (at, score) in scores {
            let weight = score * norm;
            for (out, value) in out.iter_mut().zip(&v[slice(v, at)]) {
                *out += weight * value;
            }
        }
    });
    out
}

/// The same where rows come in segments of such lengths and see their own segment only.
pub(super) fn segmented_attention(
    shape: &AttentionShape,
    lengths: &[usize],
    q: &[f32],
    k: &[f32],
    v: &[f32],
) -> Vec<f32> {
    let (q_cols, kv_cols) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    let mut out = Vec::with_capacity(q.len());
    let mut at = 0;
    for length in lengths {
        let rows = |x: &'_ [f32], cols: usize| -> std::ops::Range<usize> {
            debug_assert!((at + length) * cols <= x.len());
            at * cols..(at + length) * cols
        };
        out.extend(attention(shape, &q[rows(q, q_cols)], &k[rows(k, kv_cols)], &v[rows(v, kv_cols)]));
        at += length;
    }
    out
}

/// Each row of `q` sees the rows of its own window: all windows have as many.
pub(super) fn pooled_attention(shape: &AttentionShape, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
    let (q_cols, kv_cols) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    let window = k.len() / kv_cols / (q.len() / q_cols) * kv_cols;
    let rows = q.chunks_exact(q_cols).zip(k.chunks_exact(window).zip(v.chunks_exact(window)));
    rows.flat_map(|(q, (k, v))| attention(shape, q, k, v)).collect()
}

/// Sum over heads of each row, `[rows, head_dim]`.
pub(super) fn sum_of_heads(x: &[f32], heads: usize, head_dim: usize) -> Vec<f32> {
    let sum = |row: &[f32]| -> Vec<f32> {
        (0..head_dim).map(|at| row.iter().skip(at).step_by(head_dim).sum()).collect()
    };
    x.chunks_exact(heads * head_dim).flat_map(sum).collect()
}

/// How much each row of `k` is attended to, summed over heads: by the first `rows` rows of `q`.
pub(super) fn attention_received(shape: &AttentionShape, q: &[f32], k: &[f32], rows: usize) -> Vec<f32> {
    let &AttentionShape { heads, kv_heads, head_dim, scale, .. } = shape;
    let (q_cols, kv_cols) = (heads * head_dim, kv_heads * head_dim);
    let mut out = vec![0.0f64; k.len() / kv_cols];
    for (row, head) in (0..rows).flat_map(|row| (0..heads).map(move |head| (row, head))) {
        let query = &q[row * q_cols + head * head_dim..][..head_dim];
        let at = head * kv_heads / heads * head_dim;
        let scores = k.chunks_exact(kv_cols).map(|k| f64::from(dot(query, &k[at..at + head_dim]) * scale));
        let scores: Vec<f64> = scores.collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum = scores.iter().map(|s| (s - max).exp()).sum::<f64>();
        out.iter_mut().zip(scores).for_each(|(out, s)| *out += (s - max).exp() / sum);
    }
    out.into_iter().map(|v| v as f32).collect()
}
