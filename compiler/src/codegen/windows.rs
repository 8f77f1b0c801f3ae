//! Towers with window attention: their layers go through segments of rows, each a window or, in some layers,
//! the whole picture. One loop runs over the segments of all layers; what the next one is follows from
//! counters, because windows at the edges of a picture have fewer rows.
//!
//! Keys and values of a segment lie at the start of the cache; the fence at the end of a tile lets the next
//! segment overwrite them.

use super::asm::{Asm, Reg};
use super::layer::{A_NORMS, A_WEIGHTS};
use super::tower::regs;
use super::vision_args;
use crate::plan::Vision;
use flightvlm_hw::isa::{self, names::*};

/// First row of the segment. Attention that is not causal has no other use for the register.
pub const SEGMENT: Reg = regs::VBASE;
/// Patches of the picture: down in the upper half, across in the lower.
const GRID: Reg = Reg(vision_args::GRID as u32);
/// Of the layer, what windows have not covered: down, and in this band of windows across.
const UNSEEN: Reg = regs::NEW_TILES;
/// A bit for each layer that is left, the next one lowest: its rows see the whole picture.
const FULL: Reg = regs::OLD_TILES;
/// Segments of all layers, an argument: its register is FULL's until the loop has it.
const SEGMENTS: Reg = Reg(vision_args::SEGMENTS as u32);

/// Runs `body` for each segment of each layer with SEGMENT and KV_LEN, its rows, set. The generators of weights
/// and norms, at the first layer's, move on by `units` and `norm_units` from layer to layer.
pub fn each_segment(
    asm: &mut Asm,
    v: &Vision,
    side: u32,
    units: u32,
    norm_units: u32,
    body: impl FnOnce(&mut Asm),
) {
    use regs::*;
    let is_full =
        |(layer, l): (usize, &crate::plan::Layer)| u32::from(l.attention.windows.is_none()) << layer;
    let full = v.layers.iter().enumerate().map(is_full).fold(0, |a, b| a | b);
    asm.copy(COUNT, SEGMENTS);
    asm.set(FULL, full);
    asm.copy(UNSEEN, GRID);
    asm.set(SEGMENT, 0);
    asm.repeat(COUNT, |asm| {
        size(asm, side);
        body(asm);
        size(asm, side);
        asm.alu(ALU_ADD, SEGMENT, SEGMENT, KV_LEN);
        // Behind the last window of a band, the next band starts with all columns.
        asm.alu(ALU_SUB, UNSEEN, UNSEEN, HEAD);
        asm.alu_imm(ALU_SHL, COUNT, UNSEEN, 16);
        asm.alu_imm(ALU_EQ, COUNT, COUNT, 0);
        asm.alu(ALU_MUL, TMP, TMP, COUNT);
        asm.alu_imm(ALU_SHL, TMP, TMP, 16);
        asm.alu(ALU_SUB, UNSEEN, UNSEEN, TMP);
        low_half(asm, TMP, GRID);
        asm.alu(ALU_MUL, TMP, TMP, COUNT);
        asm.alu(ALU_ADD, UNSEEN, UNSEEN, TMP);
        // Behind the last band, the next layer starts.
        asm.alu_imm(ALU_SHR, COUNT, UNSEEN, 16);
        asm.alu_imm(ALU_EQ, COUNT, COUNT, 0);
        asm.alu_imm(ALU_SHR, TMP, GRID, 16);
        asm.alu_imm(ALU_SHL, TMP, TMP, 16);
        asm.alu(ALU_MUL, TMP, TMP, COUNT);
        asm.alu(ALU_ADD, UNSEEN, UNSEEN, TMP);
        asm.alu_imm(ALU_EQ, TMP, COUNT, 0);
        asm.alu(ALU_MUL, SEGMENT, SEGMENT, TMP);
        asm.alu(ALU_SHR, FULL, FULL, COUNT);
        for (agu, step) in [(A_WEIGHTS, units), (A_NORMS, norm_units)] {
            asm.alu_imm(ALU_MUL, TMP, COUNT, step);
            asm.emit(isa::Seta { agu, what: SETA_ADVANCE, rs: TMP.0, imm: 0 });
        }
    });
}

/// KV_LEN = rows of the segment; TMP, HEAD = its patches down and across.
fn size(asm: &mut Asm, side: u32) {
    use regs::*;
    asm.alu_imm(ALU_SHL, COUNT, FULL, 31);
    asm.alu_imm(ALU_SHR, COUNT, COUNT, 31);
    asm.alu_imm(ALU_MUL, COUNT, COUNT, 0xffff);
    asm.alu_imm(ALU_MAX, COUNT, COUNT, side);
    asm.alu_imm(ALU_SHR, TMP, UNSEEN, 16);
    asm.alu(ALU_MIN, TMP, TMP, COUNT);
    low_half(asm, HEAD, UNSEEN);
    asm.alu(ALU_MIN, HEAD, HEAD, COUNT);
    asm.alu(ALU_MUL, KV_LEN, TMP, HEAD);
}

fn low_half(asm: &mut Asm, to: Reg, from: Reg) {
    asm.alu_imm(ALU_SHL, to, from, 16);
    asm.alu_imm(ALU_SHR, to, to, 16);
}

/// `tokens` = `rows` / `join`, by a reciprocal that is exact for multiples of `join` up to 65535.
pub fn count_tokens(asm: &mut Asm, join: u32, rows: Reg, tokens: Reg) {
    asm.alu_imm(ALU_MUL, tokens, rows, 65536_u32.div_ceil(join));
    asm.alu_imm(ALU_SHR, tokens, tokens, 16);
}
