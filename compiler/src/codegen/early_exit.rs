//! Leaving the language model early, and going on: which layers a launch runs is an argument.
//!
//! A launch runs `layers` layers from FIRST_LAYER on, then final norm and output layer as always. The rows that the
//! last of them leaves (the residual stream, before the final norm) stay in main memory behind the visual tokens, where
//! the gather of the next launch finds them like any other row of the table: to go on is to run a prompt of
//! these rows from the next layer. So one program serves every exit, and a run in steps gives the bits of a run
//! at once.

use super::asm::{Asm, Reg, ST};
use super::layer::{Tower, A_K, A_NORMS, A_V, A_V_SCALES, A_WEIGHTS};
use super::text::TextLayout;
use super::tower::regs;
use super::vision::{row_generator, store_half, A_ROWS};
use super::{text_args, LAYERS_SHIFT};
use flightvlm_hw::isa::names::*;

/// The argument that says what is wanted, layers included.
pub(super) const WANTED: Reg = Reg(text_args::LOGITS as u32);
const FIRST_LAYER: Reg = Reg(text_args::FIRST_LAYER as u32);
/// Which logits are wanted; attention's item has ended by then.
const MODE: Reg = regs::ITEM;

/// Generators of what layers have of their own, stepping at a loop level.
pub(super) fn layer_generators(asm: &mut Asm, l: &TextLayout, level: u32) {
    let (d, z) = (&l.dims, Reg(0));
    for (a, base, layer_units) in [
        (A_WEIGHTS, l.layers_base, l.layer.units),
        (A_NORMS, l.norms_base, d.norm_words),
        (A_K, l.k_base, d.k_units() as u32),
        (A_V, l.v_base, d.v_units() as u32),
        (A_V_SCALES, l.v_scales_base, d.v_scale_units()),
    ] {
        if l.early_exit {
            asm.alu_imm(ALU_MUL, regs::TMP, FIRST_LAYER, layer_units);
            asm.base(a, regs::TMP, base);
        } else {
            asm.base(a, z, base);
        }
        asm.stride(a, level, z, layer_units);
    }
}

/// Runs `body` for each layer of the launch.
pub(super) fn each_layer(asm: &mut Asm, l: &TextLayout, layers: usize, body: impl FnOnce(&mut Asm)) {
    if l.early_exit {
        asm.alu_imm(ALU_SHR, regs::COUNT, WANTED, LAYERS_SHIFT);
        asm.repeat(regs::COUNT, body);
    } else {
        asm.repeat(layers as u32, body);
    }
}

/// Runs `body` where the rows have been through no layer yet.
pub(super) fn at_first(asm: &mut Asm, l: &TextLayout, body: impl FnOnce(&mut Asm)) {
    if l.early_exit {
        asm.alu_imm(ALU_EQ, regs::COUNT, FIRST_LAYER, 0);
        asm.repeat(regs::COUNT, body);
    } else {
        asm.repeat(1, body);
    }
}

/// The register that says which logits are wanted.
pub(super) fn mode(asm: &mut Asm, l: &TextLayout) -> Reg {
    if !l.early_exit {
        return WANTED;
    }
    asm.alu_imm(ALU_SHL, MODE, WANTED, 32 - LAYERS_SHIFT);
    asm.alu_imm(ALU_SHR, MODE, MODE, 32 - LAYERS_SHIFT);
    MODE
}

/// The half's rows, behind their last layer, to main memory.
pub(super) fn save_rows(asm: &mut Asm, t: &Tower<'_>, l: &TextLayout) {
    asm.vx_sync(0, ST);
    row_generator(asm, A_ROWS, l.x_base, t.d.dw);
    store_half(asm, A_ROWS, t.d.dw, t.spad("x"));
}
