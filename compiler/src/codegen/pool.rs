//! Attention pooling (SigLIP): a learned row asks all rows of the tower, and the answer, through a
//! feed-forward block, is the picture's vector. Its weights lie behind those of the tower's layers and have
//! their shape.

use super::asm::{agu, vx, Asm, Reg, LD, MM, ST, VX};
use super::layer::{Tower, A_NORMS, A_WEIGHTS};
use super::text::take_tile;
use super::tower::regs;
use super::vision::{each_tile, load_half, row_generator, store_half, TowerLayout, A_ROWS};
use crate::plan::Layer;
use flightvlm_hw::isa::{self, names::*};

impl TowerLayout {
    /// Emits it: from the tower's `rows` rows to row `first` of the vectors.
    pub(super) fn pool(
        &self,
        asm: &mut Asm,
        t: &Tower<'_>,
        layer: &Layer,
        layers: u32,
        rows: Reg,
        first: Reg,
    ) {
        use regs::*;
        let (d, o, z) = (t.d, &self.layer, Reg(0));
        let (x, norms, peak) = (t.spad("x"), t.spad("norms"), t.s("x_scale"));
        asm.base(A_WEIGHTS, z, self.layers_base + layers * self.layer.units);
        asm.base(A_NORMS, z, self.layer_norms_base + layers * d.norm_words);
        asm.repeat(1, |asm| {
            each_tile(asm, t, rows, |asm| {
                asm.mark(&layer.attention.k.path);
                t.load_norms(asm, agu(A_NORMS), d.norm_words, norms, 0);
                t.each_half_numbered(asm, |asm| {
                    row_generator(asm, A_ROWS, self.x_base, d.dw);
                    load_half(asm, d.dw, x, VX);
                    asm.vx_sync(LD, 0);
                    t.norm_quantised(asm, &layer.norm1, norms, false, false);
                    t.project_keys_values(asm, o);
                });
                t.each_half_numbered(asm, |asm| t.store_keys_values(asm, layer));
            });
        });
        asm.set(T_POS, 0);
        asm.set(LEFT, 1);
        take_tile(asm, d);
        t.set_tile(asm);
        // Loops over halves are of one level everywhere.
        asm.repeat(1, |asm| {
            asm.repeat(1, |asm| {
                asm.mark(&layer.attention.q.path);
                t.load_norms(asm, agu(A_NORMS), d.norm_words, norms, 0);
                t.each_half_at(asm, |asm| {
                    row_generator(asm, A_ROWS, self.probe_base, d.dw);
                    load_half(asm, d.dw, x, VX);
                    vx(ROWS, d.cols).a(x, d.dw).red(R_ABSMAX, peak).sync(asm, LD, 0);
                    t.quantise(asm, ROWS, d.cols, (x, d.dw), (t.abuf("x8"), d.dw), peak, 1.0, MM);
                    // The answer is not added to the question.
                    vx(ROWS, d.cols).a(x, d.dw).imm(OP_MUL, 0.0).to_spad(x, d.dw).emit(asm);
                    t.project_queries(asm, &o.q, VX);
                });
                t.each_half(asm, |asm| t.take_queries(asm, layer));
                asm.mark(&layer.attention.path);
                t.attend(asm, layer.attention.scale, false, false);
                asm.mark(&layer.attention.o.path);
                t.project_output(asm, &o.o);
                t.feed_forward(asm, layer, o, false);
                t.each_half(asm, |asm| {
                    t.residual(asm, &t.down_parts(), None);
                    asm.vx_sync(0, ST);
                    asm.alu_imm(ALU_MUL, TMP, first, d.dw);
                    asm.base(A_ROWS, TMP, self.features_base);
                    store_half(asm, A_ROWS, d.dw, x);
                });
                asm.emit(isa::Fence {});
            });
        });
    }
}
