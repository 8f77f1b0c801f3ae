//! Squeeze and excitation of a map: the means of its columns go through two linear layers, and what comes out, through
//! a sigmoid, multiplies the columns.

use super::super::asm::{agu, vx, Asm, At, Reg, MM, ST, VX};
use super::super::layer::{linear_op, Tower, A_WEIGHTS};
use super::super::tower::{Chip, Dims, Requests};
use super::super::Build;
use super::{load, stand_still, store, A_IN, A_ROWS};
use crate::diag::Diagnostic;
use crate::layout::onchip::Request;
use crate::layout::pack::{padded, Packed, Part, Storage};
use crate::layout::words;
use crate::plan::{Excite, Map};
use flightvlm_hw::isa::{self, names::*};

/// Where everything lies.
#[derive(Debug, Clone)]
pub(super) struct ExciteLayout {
    /// The linear layers, and where in a block's weights each lies.
    pub linears: [(u32, Packed); 2],
    /// Units of a block's weights.
    pub units: u32,
    dims: Dims,
    chip: Chip,
    map: Map,
}

/// Lays one out; its weights begin at unit `units_at` of a block's.
pub(super) fn layout(e: &Excite, map: Map, units_at: u32, build: &Build) -> Result<ExciteLayout, Diagnostic> {
    let storage = Storage::w8(build.config.slices);
    let [first, second] = &e.linears;
    // Columns lie as the map has them.
    let part = Part { linear: first.clone(), rows: padded(first.cols_out) };
    let first = Packed::new(vec![part], map.columns(), storage);
    let part = Part { linear: second.clone(), rows: map.columns() };
    let second = Packed::new(vec![part], padded(second.cols_in), storage);
    first.check(&build.config)?;
    second.check(&build.config)?;
    let (side, width, inner) = (map.side as u32, map.words(), words(e.linears[0].cols_out));
    let r = |name, words: u32| Request { name, words, from: 0, to: 9 };
    let spad = vec![r("rows", side * width), r("sum", width), r("inner", inner), r("gate", width)];
    let want = Requests {
        spad: (spad, vec![]),
        abuf: vec![r("x8", width.max(inner).next_multiple_of(8))],
        s: (vec![r("x_scale", 1), r("inv", 1)], vec![]),
    };
    let chip = Chip::fit(&want, &build.config).ok().filter(|_| width < 4096).ok_or_else(|| {
        Diagnostic::new(
            &e.path,
            format!("a line of the map within {} scratchpad words", build.config.spad_words),
            format!("{side} pixels of {} channels", map.channels),
            "use a target with larger on-chip memories",
        )
    })?;
    let (at, behind) = (units_at, units_at + first.units());
    let units = first.units() + second.units();
    let dims = Dims { dw: width, ..Dims::of_rows(map.channels as u32, build) };
    Ok(ExciteLayout { linears: [(at, first), (behind, second)], units, dims, chip, map })
}

impl ExciteLayout {
    /// In place, on the map at unit `base`.
    pub fn emit(&self, asm: &mut Asm, e: &Excite, base: u32) {
        let t = Tower { d: &self.dims, chip: &self.chip };
        let (side, width, z) = (self.map.side as u32, self.dims.dw, Reg(0));
        let (rows, sum, inner, gate) = (t.spad("rows"), t.spad("sum"), t.spad("inner"), t.spad("gate"));
        let (x8, peak) = (t.abuf("x8"), t.s("x_scale"));
        let one = |at: At, words: u32| vx(1, words * 16).a(at, words);
        asm.mark(&e.path);
        t.half_generators(asm);
        asm.base(A_ROWS, z, base);
        asm.stride(A_ROWS, 1, z, side * width);
        asm.base(A_IN, z, rows.off);
        asm.stride(A_IN, 2, z, width);
        one(sum, width).imm(OP_MUL, 0.0).to_spad(sum, width).emit(asm);
        asm.repeat(side, |asm| {
            load(asm, (side, width), (rows, width), (agu(A_ROWS), width));
            asm.repeat(side, |asm| {
                one(sum, width).spad(OP_ADD, agu(A_IN), 0, ROW).to_spad(sum, width).emit(asm);
            });
            asm.emit(isa::Fence {});
        });
        let mean = one(sum, width).imm(OP_MUL, 1.0 / (side * side) as f32);
        mean.to_spad(sum, width).red(R_ABSMAX, peak).emit(asm);
        let [first, second] = &self.linears;
        for ((at, packed), from, to) in
            [(first, (sum, width), inner), (second, (inner, first.1.tiles()), gate)]
        {
            if to == gate {
                let relu = one(inner, from.1).imm(OP_MAX, 0.0).to_spad(inner, from.1);
                relu.red(R_ABSMAX, peak).sync(asm, MM, 0);
            }
            t.quantise(asm, 1, from.1 * 16, from, (x8, from.1), peak, 1.0, MM);
            t.load_weights(asm, At { agu: A_WEIGHTS, off: *at }, packed);
            let op = linear_op(1, packed, (x8, from.1), (to, packed.tiles()), peak);
            asm.sync(op, VX, VX);
        }
        // sigmoid(x) = 1 / (1 + 2^(-x log2 e))
        let e_x = one(gate, width).imm(OP_MUL, -std::f32::consts::LOG2_E).func(F_EXP2);
        e_x.to_spad(gate, width).sync(asm, MM, 0);
        one(gate, width).imm(OP_ADD, 1.0).func(F_RECIP).to_spad(gate, width).emit(asm);
        asm.emit(isa::Fence {});
        asm.repeat(side, |asm| {
            load(asm, (side, width), (rows, width), (agu(A_ROWS), width));
            let scaled = vx(side, width * 16).a(rows, width).spad(OP_MUL, gate, 0, ROW);
            scaled.to_spad(rows, width).emit(asm);
            if let Some(act) = e.act {
                t.activate_rows(asm, act, side, width * 16, (rows, width));
            }
            asm.vx_sync(0, ST);
            store(asm, (side, width), rows, agu(A_ROWS));
            asm.emit(isa::Fence {});
        });
        stand_still(asm);
    }
}
