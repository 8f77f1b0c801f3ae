//! RMS norms of queries and keys, each over all heads of a row (InternViT).

use super::asm::{vx, Asm, MM};
use super::layer::{HeadPart, Tower};
use super::tower::{norm_words, regs, Dims};
use crate::plan::{Layer, Norm};
use flightvlm_hw::isa::names::*;

/// The norms of a layer that are applied to heads.
pub fn head_norms(layer: &Layer) -> impl Iterator<Item = &Norm> {
    layer.attention.qk_norm.iter().flatten()
}

impl Dims {
    /// The vector of a norm over `heads` heads, in hardware order.
    pub fn head_vector(&self, values: &[f32], heads: u32) -> Vec<f32> {
        let order = self.head_rows(heads, false);
        order.into_iter().map(|row| row.map_or(0.0, |row| values[row as usize])).collect()
    }
}

impl Tower<'_> {
    /// Normalises the half's queries or keys, whose norm vectors follow those of the layer's own norms;
    /// true when it waited for MM, which it does if there is such a norm.
    ///
    /// Padding inside the rows is zero before and after: it does not count.
    pub fn norm_heads(&self, asm: &mut Asm, layer: &Layer, part: HeadPart) -> bool {
        let (d, rows) = (self.d, regs::ROWS);
        let Some(n) = head_norms(layer).nth(part as usize) else { return false };
        let (region, heads) = self.heads_of(part);
        let before = if part == HeadPart::Keys { d.heads * d.hw } else { 0 };
        let own = norm_words(&layer.norm1) + norm_words(&layer.norm2);
        let vectors = self.spad("norms").plus(own + before);
        let (at, stride, stat) = (self.spad(region), heads * d.hw, self.s("stat1"));
        let len = stride * 16;
        vx(rows, len).a(at, stride).red(R_SUMSQ, stat).sync(asm, MM, 0);
        let mean = vx(rows, 1).a_s(stat).imm(OP_MUL, 1.0 / n.cols as f32).imm(OP_ADD, n.eps);
        mean.func(F_RSQRT).to_s(stat).emit(asm);
        let y = vx(rows, len).a(at, stride).s(OP_MUL, stat).spad(OP_MUL, vectors, 0, ROW);
        y.to_spad(at, stride).emit(asm);
        true
    }
}
