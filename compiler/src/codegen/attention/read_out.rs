//! Attention that is read out to memory: how much each row of a tower is attended to, for choosing visual
//! tokens, on the machine (`codegen/choice.rs`) or by the driver where they are merged. Summed over heads, by the
//! class row alone, or by all rows in towers without one.
//!
//! A pass of its own between keys and queries of a layer: the attention proper never has whole rows of
//! probabilities (its sums are folded into scales), and most layers are not read out. A count of 0 or 1
//! in front of the pass skips the others.

use super::super::asm::{vx, Asm, At, Count, Reg, MM, ST, VX};
use super::super::layer::{LayerOffsets, Tower};
use super::super::text::take_tile;
use super::super::tower::regs;
use super::{ACT, INSIDE, OUT, SCALE};
use crate::plan::Layer;
use flightvlm_hw::isa::{self, names::*};

/// Counts the tower's layers: the argument with its rows, which stand in `KV_LEN` too.
pub const LAYER: Reg = Reg(super::super::vision_args::ROWS as u32);

/// Where the sums go and which layers are read out.
#[derive(Debug, Clone, Copy)]
pub struct ReadOut {
    /// First unit.
    pub base: u32,
    /// 1: the last layer. 2: the first and the last.
    pub records: u32,
    /// Layers of the tower.
    pub layers: u32,
    /// Only the class row, row 0, is asked.
    pub class_row: bool,
}

impl Tower<'_> {
    /// The read-out of a layer whose keys are in the cache. `enter` loads a half's rows and norms them,
    /// `turns` its rotary rows. `tiles`: how many the tower's rows have.
    pub fn read_out(
        &self,
        asm: &mut Asm,
        (layer, o): (&Layer, &LayerOffsets),
        r: &ReadOut,
        tiles: Reg,
        enter: impl FnOnce(&mut Asm),
        turns: impl FnOnce(&mut Asm),
    ) {
        use regs::*;
        let (d, sum) = (self.d, self.spad("attention"));
        asm.mark(format!("{} (read-out)", layer.attention.path));
        asm.alu_imm(ALU_EQ, COUNT, LAYER, r.layers - 1);
        if r.records > 1 {
            asm.alu_imm(ALU_EQ, TMP, LAYER, 0);
            asm.alu(ALU_MAX, COUNT, COUNT, TMP);
        }
        vx(COUNT, KV_LEN).a(sum, d.scw).imm(OP_MUL, 0.0).to_spad(sum, d.scw).emit(asm);
        if r.class_row {
            asm.set(LEFT, 1);
        } else {
            asm.copy(LEFT, KV_LEN);
            asm.alu(ALU_MUL, COUNT, COUNT, tiles);
        }
        asm.set(T_POS, 0);
        asm.repeat(COUNT, |asm| {
            take_tile(asm, d);
            self.set_tile(asm);
            self.each_half_at(asm, |asm| {
                enter(asm);
                self.project_queries(asm, &o.q, VX);
            });
            self.each_half_at(asm, |asm| {
                turns(asm);
                self.take_queries(asm, layer);
            });
            self.add_probabilities(asm, layer.attention.scale, sum);
            // Every tile stores; the last one's sums are whole.
            asm.alu_imm(ALU_MIN, TMP, LAYER, r.records - 1);
            asm.alu_imm(ALU_MUL, TMP, TMP, d.scw);
            asm.base(OUT, TMP, r.base);
            let op = isa::St {
                mode: ST_ROWS,
                rows: Count::from(1).field(),
                len: Count::from(KV_TILES).field(),
                src_off: sum.off,
                dst_agu: OUT,
                ..isa::St::default()
            };
            asm.sync(op, VX, 0);
            asm.alu(ALU_ADD, T_POS, T_POS, T_ROWS);
            asm.emit(isa::Fence {});
        });
        asm.alu_imm(ALU_ADD, LAYER, LAYER, 1);
    }

    /// Adds the probabilities of all rows and heads of the tile to `sum`; releases ST.
    fn add_probabilities(&self, asm: &mut Asm, scale: f32, sum: At) {
        use regs::*;
        let (d, chip) = (self.d, self.chip);
        self.count_items(asm);
        asm.repeat(HALVES, |asm| asm.mm_sync(VX, 0));
        asm.set(ITEM, 0);
        asm.repeat(ITEMS, |asm| {
            self.scores(asm, false);
            asm.copy(COUNT, ITEM);
            self.enter(asm, false);
            self.parity(asm, PARITY);
            self.at_half(asm, SCALE, &chip.s, PARITY, "row_max");
            self.at_half(asm, OUT, &chip.spad, PARITY, "scores");
            self.at_half(asm, ACT, &chip.spad, PARITY, "scores");
            asm.stride(ACT, INSIDE, Reg(0), d.scw);
            let (max, scores) = (At { agu: SCALE, off: 0 }, At { agu: OUT, off: 0 });
            let rows = || vx(BLOCK_ROWS, KV_LEN).a(scores, d.scw);
            rows().red(R_MAX, max).sync(asm, MM, 0);
            let log2e = std::f32::consts::LOG2_E;
            let e = rows().s(OP_SUB, max).imm(OP_MUL, scale * log2e).func(F_EXP2);
            // The maximum's place takes the sum, then its reciprocal.
            let inv = self.sums(max);
            e.to_spad(scores, d.scw).red(R_SUM, inv).emit(asm);
            vx(BLOCK_ROWS, 1).a_s(inv).func(F_RECIP).to_s(inv).emit(asm);
            rows().s(OP_MUL, inv).to_spad(scores, d.scw).emit(asm);
            asm.repeat(BLOCK_ROWS, |asm| {
                let row = At { agu: ACT, off: 0 };
                vx(1, KV_LEN).a(sum, d.scw).spad(OP_ADD, row, d.scw, ROW).to_spad(sum, d.scw).emit(asm);
            });
            asm.vx_sync(0, MM);
            asm.mm_sync(VX, 0);
            asm.alu_imm(ALU_ADD, ITEM, ITEM, 1);
        });
        asm.vx_sync(0, ST);
    }

    /// Where the sums of rows lie whose maxima lie at `max`.
    fn sums(&self, max: At) -> At {
        let find = |name| self.chip.s.half.find(name).expect("invariant: a region of the halves");
        At { agu: max.agu, off: find("row_sum") - find("row_max") }
    }
}
