//! Norms of queries and keys: RMS norms over all heads of a row (InternViT), or layer norms of each head
//! (Persimmon).

use super::asm::{vx, Asm, MM};
use super::layer::{HeadPart, Tower};
use super::tower::{norm_words, regs, Dims};
use crate::plan::{Layer, Norm};
use flightvlm_hw::config::TILE;
use flightvlm_hw::isa::names::*;

/// The norms of a layer that are applied to heads.
pub(super) fn head_norms(layer: &Layer) -> impl Iterator<Item = &Norm> {
    layer.attention.qk_norm.iter().flatten()
}

/// Words of the vectors of such a norm: weights of all heads, or weights and bias of one.
pub(super) fn head_norm_words(n: &Norm, heads: u32, head_words: u32) -> u32 {
    match n.b {
        None => heads * head_words,
        Some(_) => 2 * head_words,
    }
}

/// The vectors of a layer's norms of heads as they follow those of its own norms: each norm, and over how many
/// heads its vectors go.
pub fn head_norm_vectors<'l>(layer: &'l Layer, d: &Dims) -> impl Iterator<Item = (&'l Norm, u32)> {
    let heads = [d.heads, d.kv_heads];
    head_norms(layer).zip(heads).map(|(n, heads)| (n, if n.b.is_some() { 1 } else { heads }))
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
        let first = head_norms(layer).next().filter(|_| part == HeadPart::Keys);
        let before = first.map_or(0, |n| head_norm_words(n, d.heads, d.hw));
        let own = norm_words(&layer.norm1) + norm_words(&layer.norm2);
        let vectors = self.spad("norms").plus(own + before);
        if n.b.is_some() {
            self.layer_norm_heads(asm, n, part, vectors);
            return true;
        }
        let (at, stride, stat) = (self.spad(region), heads * d.hw, self.s("stat1"));
        let len = stride * 16;
        vx(rows, len).a(at, stride).red(R_SUMSQ, stat).sync(asm, MM, 0);
        let mean = vx(rows, 1).a_s(stat).imm(OP_MUL, 1.0 / n.cols as f32).imm(OP_ADD, n.eps);
        mean.func(F_RSQRT).to_s(stat).emit(asm);
        let y = vx(rows, len).a(at, stride).s(OP_MUL, stat).spad(OP_MUL, vectors, 0, ROW);
        y.to_spad(at, stride).emit(asm);
        true
    }

    /// A layer norm of each head; waits for MM. Heads are rows here. Less their mean, padded columns are not
    /// zero: what they add to the variance is taken off again, and their weights are zero.
    fn layer_norm_heads(&self, asm: &mut Asm, n: &Norm, part: HeadPart, vectors: super::asm::At) {
        let (d, rows) = (self.d, regs::COUNT);
        let (region, heads) = self.heads_of(part);
        // Free until the heads are quantised.
        let mean = self.s(if part == HeadPart::Queries { "q_scale" } else { "kv_scale" });
        let (stat, padded) = (self.s("inv"), self.s("head_stat"));
        let (at, len, count) = (self.spad(region), d.hw * TILE as u32, n.cols as f32);
        let x = || vx(rows, len).a(at, d.hw);
        let scalar = |of| vx(rows, 1).a_s(of);
        asm.alu_imm(ALU_MUL, rows, regs::ROWS, heads);
        x().red(R_SUM, mean).sync(asm, MM, 0);
        scalar(mean).imm(OP_MUL, 1.0 / count).to_s(mean).emit(asm);
        x().s(OP_SUB, mean).red(R_SUMSQ, stat).emit(asm);
        if len != n.cols as u32 {
            let columns = (len - n.cols as u32) as f32;
            scalar(mean).s(OP_MUL, mean).imm(OP_MUL, -columns).to_s(padded).emit(asm);
            scalar(stat).s(OP_ADD, padded).to_s(stat).emit(asm);
        }
        scalar(stat).imm(OP_MUL, 1.0 / count).imm(OP_ADD, n.eps).func(F_RSQRT).to_s(stat).emit(asm);
        x().s(OP_SUB, mean).s(OP_MUL, stat).to_spad(at, d.hw).emit(asm);
        let y = x().spad(OP_MUL, vectors, 0, ROW).spad(OP_ADD, vectors.plus(d.hw), 0, ROW);
        y.to_spad(at, d.hw).emit(asm);
    }
}
