//! Depthwise convolutions on the vector unit: a line of outputs is the bias plus, for every place of the kernel, a
//! line of inputs times a vector of weights, one for each channel. Lines lie in the scratchpad between zeros.

use super::super::asm::{agu, vx, Asm, Reg, ST};
use super::super::layer::{Tower, A_NORMS};
use super::super::tower::{Chip, Dims, Requests};
use super::super::Build;
use super::{load, stand_still, store, A_IN, A_OUT, A_ROWS, A_TAPS};
use crate::diag::Diagnostic;
use crate::import::WeightStore;
use crate::layout::onchip::Request;
use crate::layout::pack::vector;
use crate::plan::{Depthwise, Map};
use flightvlm_hw::isa::{self, names::*};

/// Sizes in words, and places.
#[derive(Debug, Clone)]
pub(super) struct DepthwiseLayout {
    dims: Dims,
    chip: Chip,
    from: Map,
    to: Map,
    /// Pixels of zeros on each side of a line.
    pad: u32,
    /// Words of a block's vectors: for each group of outputs the weights, then for each the bias.
    pub vector_words: u32,
    vectors_at: u32,
}

/// Lays one out; its vectors begin at word `vectors_at` of a block's.
pub(super) fn layout(
    d: &Depthwise,
    from: Map,
    to: Map,
    vectors_at: u32,
    build: &Build,
) -> Result<DepthwiseLayout, Diagnostic> {
    let (kernel, pad, groups) = (d.kernel as u32, d.kernel as u32 / 2, to.groups as u32);
    let (dw, side, out_side) = (from.words(), from.side as u32, to.side as u32);
    let vector_words = groups * (kernel * kernel + 1) * dw;
    let r = |name, words| Request { name, words, from: 0, to: 9 };
    let lines = kernel * (side + 2 * pad) * dw;
    let shared = vec![r("vectors", vector_words), r("lines", lines), r("out", out_side * to.words())];
    let want = Requests { spad: (shared, vec![]), ..Requests::default() };
    let strides = [(side + 2 * pad) * dw, d.stride as u32 * dw, to.words()];
    let chip = Chip::fit(&want, &build.config).ok().filter(|_| strides.iter().all(|s| *s < 4096));
    let chip = chip.ok_or_else(|| {
        Diagnostic::new(
            &d.path,
            format!("lines and kernels of a convolution within {} scratchpad words", build.config.spad_words),
            format!("{kernel} lines of {side} pixels of {} channels", from.channels),
            "use a target with larger on-chip memories",
        )
    })?;
    let dims = Dims { dw, ..Dims::of_rows(from.channels as u32, build) };
    Ok(DepthwiseLayout { dims, chip, from, to, pad, vector_words, vectors_at })
}

impl DepthwiseLayout {
    /// From the map at unit `from` to the one at `to`.
    pub fn emit(&self, asm: &mut Asm, d: &Depthwise, from: u32, to: u32) {
        let t = Tower { d: &self.dims, chip: &self.chip };
        let (vectors, lines, out) = (t.spad("vectors"), t.spad("lines"), t.spad("out"));
        let (dw, kernel, z) = (self.dims.dw, d.kernel as u32, Reg(0));
        let (side, out_side, groups) = (self.from.side as u32, self.to.side as u32, self.to.groups as u32);
        let (line, padded) = (side * dw, (side + 2 * self.pad) * dw);
        let (out_dw, taps) = (self.to.words(), kernel * kernel);
        asm.mark(&d.path);
        load(asm, (1, self.vector_words), (vectors, 0), (agu(A_NORMS).plus(self.vectors_at), 0));
        vx(kernel * (side + 2 * self.pad), dw * 16)
            .a(lines, dw)
            .imm(OP_MUL, 0.0)
            .to_spad(lines, dw)
            .emit(asm);
        asm.emit(isa::Fence {});
        asm.base(A_ROWS, z, from - self.pad * line);
        asm.stride(A_ROWS, 1, z, d.stride as u32 * line);
        asm.base(A_OUT, z, to);
        asm.stride(A_OUT, 1, z, out_side * out_dw);
        asm.base(A_IN, z, lines.off);
        asm.stride(A_IN, 2, z, padded);
        asm.stride(A_IN, 3, z, dw);
        asm.stride(A_TAPS, 2, z, kernel * dw);
        asm.stride(A_TAPS, 3, z, dw);
        asm.repeat(out_side, |asm| {
            load(asm, (kernel, line), (lines.plus(self.pad * dw), padded), (agu(A_ROWS), line));
            for group in 0..groups {
                let to = out.plus(group * dw);
                let bias = vectors.plus((groups * taps + group) * dw);
                let row = || vx(out_side, dw * 16);
                let start = row().a(to, out_dw).imm(OP_MUL, 0.0).spad(OP_ADD, bias, 0, ROW);
                start.to_spad(to, out_dw).emit(asm);
                asm.base(A_TAPS, z, vectors.plus(group * taps * dw).off);
                asm.repeat(kernel, |asm| {
                    asm.repeat(kernel, |asm| {
                        let product =
                            row().a(agu(A_IN), d.stride as u32 * dw).spad(OP_MUL, agu(A_TAPS), 0, ROW);
                        product.spad(OP_ADD, to, out_dw, ROW).to_spad(to, out_dw).emit(asm);
                    });
                });
            }
            if let Some(act) = d.act {
                t.activate_rows(asm, act, out_side, out_dw * 16, (out, out_dw));
            }
            asm.vx_sync(0, ST);
            store(asm, (1, out_side * out_dw), out, agu(A_OUT));
            asm.emit(isa::Fence {});
        });
        stand_still(asm);
    }

    /// The vectors of a block.
    pub fn vectors(&self, d: &Depthwise, weights: &WeightStore) -> Result<Vec<u8>, Diagnostic> {
        let (w, b) = (weights.load_f32(d.w)?, weights.load_f32(d.b)?);
        let (taps, groups) = (d.kernel * d.kernel, self.to.groups);
        let of_group = |values: &[f32], group: usize, step: usize, at: usize| -> Vec<f32> {
            (group..self.to.channels).step_by(groups).map(|c| values[c * step + at]).collect()
        };
        let mut out = Vec::new();
        for (group, tap) in (0..groups).flat_map(|g| (0..taps).map(move |tap| (g, tap))) {
            out.extend(vector(&of_group(&w, group, taps, tap), self.dims.dw));
        }
        for group in 0..groups {
            out.extend(vector(&of_group(&b, group, 1, 0), self.dims.dw));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightvlm_hw::config::HwConfig;

    #[test]
    fn what_is_too_wide_for_the_scratchpad_is_named() {
        let map = |side, channels, groups| Map { side, channels, groups, copy: 0 };
        let storage = crate::layout::pack::Storage::w8(1);
        let layers = crate::layout::LayerStorage::uniform(storage);
        let (config, head) = (HwConfig::sim(), storage);
        let build = Build {
            config,
            layers,
            head,
            kv_bits: 8,
            early_exit: false,
            wide_inputs: false,
            read_outs: 0,
            grouped: false,
        };
        let (w, b) = (crate::graph::WeightId::from_index(0), crate::graph::WeightId::from_index(1));
        let d = Depthwise { path: "conv".into(), w, b, kernel: 7, stride: 2, act: None };
        let small = layout(&d, map(16, 8, 1), map(8, 24, 3), 0, &build).expect("fits");
        assert_eq!((small.vector_words, small.pad), (3 * 50, 3));
        let error =
            layout(&d, map(512, 96, 1), map(256, 96, 1), 0, &build).expect_err("too wide").to_string();
        assert!(error.contains("7 lines of 512 pixels of 96 channels"), "{error}");
    }
}
