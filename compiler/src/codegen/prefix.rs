//! Prompts whose rows see each other (prefix-LM): every layer runs over the whole prompt in two passes,
//! as in a vision tower, first keys and values of all rows, then the rest, with the residual rows in main
//! memory between. Logits are an entry point of their own, for the rows that are wanted. Generation goes
//! on with the causal entry point over the same cache.

use super::asm::{agu, vx, Asm, Count, Reg, LD, ST, VX};
use super::early_exit::{at_first, each_layer, layer_generators};
use super::layer::{Tower, A_NORMS};
use super::text::{head, take_tile, TextLayout};
use super::text_args;
use super::tower::regs;
use super::vision::{count_tiles, each_tile, load_half, load_turns, row_generator, store_half, A_ROWS};
use crate::plan::{Layer, Text};
use flightvlm_hw::config::TILE;
use flightvlm_hw::isa::{self, names::*};

/// Rows of the prompt; the register has no other use before the logits.
const PROMPT: Reg = Reg(8);

/// Entry points of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixEntries {
    /// All layers over all rows.
    pub layers: u32,
    /// Logits and tokens of rows.
    pub logits: u32,
}

/// Emits both.
pub(super) fn emit(asm: &mut Asm, text: &Text, l: &TextLayout) -> PrefixEntries {
    let entry = asm.insns.len() as u32;
    layers(asm, text, l);
    let logits = asm.insns.len() as u32;
    logits_of_rows(asm, text, l);
    PrefixEntries { layers: entry, logits }
}

fn layers(asm: &mut Asm, text: &Text, l: &TextLayout) {
    let t = Tower { d: &l.dims, chip: &l.chip };
    asm.mark("prompt: start");
    asm.copy(PROMPT, Reg(text_args::ROWS as u32));
    asm.copy(regs::KV_LEN, PROMPT);
    t.half_generators(asm);
    count_tiles(asm, &t, PROMPT);
    // Loops over halves are of one level everywhere.
    at_first(asm, l, |asm| each_tile(asm, &t, PROMPT, |asm| embed(asm, &t, l, text.position.is_some())));
    layer_generators(asm, l, 0);
    each_layer(asm, l, text.layers.len(), |asm| layer(asm, &t, &text.layers[0], l));
    asm.emit(isa::Halt {});
}

/// Rows of the embedding table, and of the position table added to them, to main memory.
fn embed(asm: &mut Asm, t: &Tower<'_>, l: &TextLayout, positions: bool) {
    use regs::*;
    let (d, ids, x) = (t.d, t.s("ids"), t.spad("x"));
    asm.mark("prompt: embedding");
    asm.alu_imm(ALU_ADD, COUNT, T_ROWS, 15);
    asm.alu_imm(ALU_SHR, COUNT, COUNT, 4);
    asm.alu_imm(ALU_SHR, TMP, T_POS, TILE.trailing_zeros());
    asm.base(A_ROWS, TMP, l.ids_base);
    asm.emit(isa::Ld {
        mode: LD_SCALARS,
        rows: Count::from(1).field(),
        len: Count::from(COUNT).field(),
        dst_off: ids.off,
        src_agu: A_ROWS,
        ..isa::Ld::default()
    });
    t.each_half_at(asm, |asm| {
        asm.alu(ALU_SUB, TMP, POS, T_POS);
        asm.base(A_ROWS, TMP, ids.off);
        let gather = isa::Ld {
            mode: LD_GATHER,
            rows: Count::from(ROWS).field(),
            len: Count::from(d.dw).field(),
            dst_agu: x.agu,
            dst_off: x.off,
            dst_stride: d.dw,
            src_off: l.embed_base,
            src_stride: d.dw,
            sidx_agu: A_ROWS,
            ..isa::Ld::default()
        };
        asm.sync(gather, 0, if positions { 0 } else { VX });
        if positions {
            let tmp = t.spad("tmp");
            row_generator(asm, A_ROWS, l.position_base, d.dw);
            load_half(asm, d.dw, tmp, VX);
            let sum = vx(ROWS, d.cols).a(x, d.dw).spad(OP_ADD, tmp, d.dw, ROW);
            sum.to_spad(x, d.dw).sync(asm, LD, ST);
        } else {
            asm.vx_sync(LD, ST);
        }
        row_generator(asm, A_ROWS, l.x_base, d.dw);
        store_half(asm, A_ROWS, d.dw, x);
    });
}

fn layer(asm: &mut Asm, t: &Tower<'_>, layer: &Layer, l: &TextLayout) {
    let (d, a, o) = (t.d, &layer.attention, &l.layer);
    let (x, norms) = (t.spad("x"), t.spad("norms"));
    let enter = |asm: &mut Asm| {
        row_generator(asm, A_ROWS, l.x_base, d.dw);
        load_half(asm, d.dw, x, VX);
        asm.vx_sync(LD, 0);
        t.norm_quantised(asm, &layer.norm1, norms, false, false);
    };
    each_tile(asm, t, PROMPT, |asm| {
        asm.mark(format!("{} (prompt, layer loop)", a.k.path));
        t.load_norms(asm, agu(A_NORMS), d.norm_words, norms, 0);
        t.each_half_numbered(asm, |asm| {
            enter(asm);
            t.project_keys_values(asm, o);
        });
        t.each_half_numbered(asm, |asm| {
            load_turns(asm, t, l.rope_base, None);
            t.store_keys_values(asm, layer);
        });
    });
    each_tile(asm, t, PROMPT, |asm| {
        asm.mark(format!("{} (prompt, layer loop)", a.q.path));
        t.load_norms(asm, agu(A_NORMS), d.norm_words, norms, 0);
        t.each_half_at(asm, |asm| {
            enter(asm);
            t.project_queries(asm, &o.q, VX);
        });
        t.each_half_at(asm, |asm| {
            load_turns(asm, t, l.rope_base, None);
            t.take_queries(asm, layer);
        });
        asm.mark(format!("{} (prompt, layer loop)", a.path));
        t.attend(asm, a.scale, false, false);
        asm.mark(format!("{} (prompt, layer loop)", a.o.path));
        t.project_output(asm, &o.o);
        t.feed_forward(asm, layer, o, false);
        t.each_half_at(asm, |asm| {
            t.residual(asm, &t.down_parts(), None);
            asm.vx_sync(0, ST);
            row_generator(asm, A_ROWS, l.x_base, d.dw);
            store_half(asm, A_ROWS, d.dw, x);
        });
    });
}

/// Final norm and output layer for a tile of rows at most; what the last layer would add is zero.
fn logits_of_rows(asm: &mut Asm, text: &Text, l: &TextLayout) {
    use regs::*;
    let d = &l.dims;
    let t = Tower { d, chip: &l.chip };
    asm.mark("prompt: logits");
    asm.copy(T_POS, Reg(text_args::POSITION as u32));
    asm.copy(LEFT, Reg(text_args::ROWS as u32));
    t.half_generators(asm);
    take_tile(asm, d);
    t.set_tile(asm);
    let x = t.spad("x");
    asm.repeat(1, |asm| {
        asm.repeat(1, |asm| {
            t.each_half_at(asm, |asm| {
                row_generator(asm, A_ROWS, l.x_base, d.dw);
                load_half(asm, d.dw, x, VX);
                asm.vx_sync(LD, 0);
                for (part, stride) in t.down_parts() {
                    vx(ROWS, d.cols).a(x, d.dw).imm(OP_MUL, 0.0).to_spad(part, stride).emit(asm);
                }
                asm.mm_sync(0, VX);
            });
        });
        asm.repeat(1, |asm| head(asm, &t, text, l, false));
    });
    asm.emit(isa::Halt {});
}
