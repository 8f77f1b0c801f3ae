//! The projector: joined rows of the tower through linear layers to visual tokens.
//!
//! Joining costs nothing: the tower keeps patches that become one token behind each other, so a token's
//! input is a longer row of the same memory. The projector has tiles and on-chip regions of its own (the
//! tower's are free by then), because its rows may be much wider than the tower's.

use super::asm::{abs, vx, Asm, Reg, LD, MM, ST, VX};
use super::layer::Tower;
use super::tower::{norm_words, regs, Chip, Dims, Requests};
use super::vision::{count_tiles, each_tile, load_half, row_generator, store_half, A_ROWS};
use super::{add, Build, TILE_ROWS};
use crate::diag::Diagnostic;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::onchip::Request;
use crate::layout::pack::{padded, Packed, Part, Storage};
use crate::layout::words;
use crate::plan::{Linear, Vision};
use flightvlm_hw::isa::names::*;

/// Where everything of the projector lies.
#[derive(Debug, Clone)]
pub struct ProjectorLayout {
    /// Tile height and widths.
    pub dims: Dims,
    /// On-chip regions.
    pub chip: Chip,
    /// Each linear layer, cut along its inputs where the FIFO needs it.
    pub linears: Vec<Vec<Packed>>,
    bases: Vec<Vec<u32>>,
    norm_base: u32,
    text_words: u32,
}

/// Lays the projector out behind a tower of `tower` dimensions.
pub(super) fn projector_layout(
    v: &Vision,
    tower: &Dims,
    build: &Build,
    dram: &mut DramMap,
) -> Result<ProjectorLayout, Diagnostic> {
    let storage = Storage::w8(build.config.slices);
    let linears: Vec<Vec<Packed>> = v
        .projector
        .iter()
        .enumerate()
        .map(|(i, (l, _))| {
            let packed = if i == 0 { joined(l, v.join, storage) } else { Packed::plain(l, storage) };
            packed.split(build.config.wfifo_words)
        })
        .collect();
    for p in linears.iter().flatten() {
        p.check(&build.config)?;
    }
    let row_words = tower.dw * v.join as u32;
    if let Some(n) = v.projector_norm.as_ref().filter(|_| !tower.cols.is_multiple_of(16)) {
        return Err(Diagnostic::new(
            &n.path,
            "a tower whose width is a multiple of 16 in front of a norm over joined patches",
            format!("width {}", tower.cols),
            "`--device eval` runs it",
        ));
    }
    let norm_vectors = v.projector_norm.as_ref().map_or(0, norm_words);
    let widest = v.projector.iter().map(|(l, _)| words(l.cols_out)).max().unwrap_or(0);
    let pieces = linears.iter().map(|p| p.len() as u32).max().unwrap_or(1);
    let cols = tower.cols * v.join as u32;
    let fit = |tile_rows: &u32| {
        let dims = Dims { tile_rows: *tile_rows, cols, dw: row_words, ..tower.clone() };
        let rows = dims.half_rows();
        let r = |name, words| Request { name, words, from: 0, to: 9 };
        let want = Requests {
            spad: (
                vec![r("norm", norm_vectors)],
                vec![r("x", rows * row_words), r("out", pieces * rows * widest)],
            ),
            abuf: vec![r("x8", (rows * row_words.max(widest)).next_multiple_of(8))],
            s: (vec![], ["stat0", "stat1", "x_scale", "inv"].map(|name| r(name, rows)).to_vec()),
        };
        Chip::fit(&want, &build.config).map(|chip| (dims, chip))
    };
    let (dims, chip) = TILE_ROWS.iter().find_map(fit).ok_or_else(|| {
        Diagnostic::new(
            "projector",
            format!("a tile of {} rows within the on-chip memories", TILE_ROWS[TILE_ROWS.len() - 1]),
            format!("rows of {} columns, results of {}", cols, widest * 16),
            "use a target with larger on-chip memories",
        )
    })?;
    let mut bases = Vec::new();
    for (i, pieces) in linears.iter().enumerate() {
        let mut own = Vec::new();
        for (j, p) in pieces.iter().enumerate() {
            let name = projector_region(i, j);
            own.push(add(dram, Space::Channels, &name, Kind::Content, 1, p.units().into())?);
        }
        bases.push(own);
    }
    let norm_base = add(dram, Space::Main, "vision.projector_norm", Kind::Content, 1, norm_vectors.into())?;
    let text_words = v.projector.last().map_or(0, |(l, _)| words(l.cols_out));
    Ok(ProjectorLayout { dims, chip, linears, bases, norm_base, text_words })
}

/// Name of the region of a piece of a linear layer.
pub fn projector_region(linear: usize, piece: usize) -> String {
    format!("vision.projector.{linear}.{piece}")
}

/// A linear layer over `join` rows behind each other, each padded to whole words.
fn joined(linear: &Linear, join: usize, storage: Storage) -> Packed {
    let cols = linear.cols_in / join;
    let row = padded(cols);
    let shifted = |at: usize| row.iter().map(move |c| c.map(|c| c + (at * cols) as u32));
    let part = Part { linear: linear.clone(), rows: padded(linear.cols_out) };
    Packed::new(vec![part], (0..join).flat_map(shifted).collect(), storage)
}

impl ProjectorLayout {
    /// Code: tokens of the tile from the tower's rows at `rows` to `features` behind row `first`.
    pub(super) fn emit(
        &self,
        asm: &mut Asm,
        v: &Vision,
        rows: u32,
        features: u32,
        (first, tokens): (Reg, Reg),
    ) {
        let t = Tower { d: &self.dims, chip: &self.chip };
        asm.mark("projector");
        t.half_generators(asm);
        count_tiles(asm, &t, tokens);
        asm.repeat(1, |asm| {
            each_tile(asm, &t, tokens, |asm| {
                for i in 0..self.linears.len() {
                    self.linear(asm, &t, v, i, rows);
                }
                self.store(asm, &t, v, features, first);
            });
        });
    }

    /// Rows between the pieces of a result, in words.
    fn piece_words(&self, i: usize) -> u32 {
        self.dims.half_rows() * self.linears[i][0].tiles()
    }

    /// What stands in front of linear layer `i`, and the layer.
    fn linear(&self, asm: &mut Asm, t: &Tower<'_>, v: &Vision, i: usize, rows: u32) {
        use regs::*;
        let (d, x, out, peak) = (t.d, t.spad("x"), t.spad("out"), t.s("x_scale"));
        asm.mark(&v.projector[i].0.path);
        let norm = v.projector_norm.as_ref().filter(|_| i == 0);
        if let Some(n) = norm {
            t.load_norms(asm, abs(self.norm_base), norm_words(n), t.spad("norm"), 0);
        }
        let each = if i == 0 { Tower::each_half_at } else { Tower::each_half };
        each(t, asm, &mut |asm: &mut Asm| {
            let (src, cols, width, lacks) = match i.checked_sub(1) {
                None => {
                    row_generator(asm, A_ROWS, rows, d.dw);
                    load_half(asm, d.dw, x, VX);
                    match norm {
                        Some(n) => {
                            asm.vx_sync(LD, 0);
                            t.norm(asm, n, t.spad("norm"), x, false);
                        }
                        None => vx(ROWS, d.dw * 16).a(x, d.dw).red(R_ABSMAX, peak).sync(asm, LD, 0),
                    }
                    (x, d.dw * 16, d.dw, 1.0)
                }
                Some(before) => {
                    let (cols, w, lacks) = self.finish(asm, t, v, before);
                    (out, cols, w, lacks)
                }
            };
            let mut act = t.abuf("x8");
            t.quantise(asm, ROWS, cols, (src, width), (act, width), peak, lacks, MM);
            let pieces = &self.linears[i];
            for (j, p) in pieces.iter().enumerate() {
                t.load_weights(asm, abs(self.bases[i][j]), p);
                let wait = if j == 0 { VX } else { 0 };
                let release = if j + 1 == pieces.len() { VX } else { 0 };
                let to = out.plus(j as u32 * self.piece_words(i));
                t.multiply(asm, p, (act, width), (to, p.tiles()), wait, release);
                act = act.plus((p.cols.len() / 16) as u32);
            }
        });
    }

    /// Sums the pieces of layer `i` and applies its activation in place, row maxima to `x_scale`; waits
    /// for MM. Gives columns and words of a row, and a factor that the rows still lack.
    fn finish(&self, asm: &mut Asm, t: &Tower<'_>, v: &Vision, i: usize) -> (u32, u32, f32) {
        let (linear, act) = &v.projector[i];
        let (cols, w, out) = (linear.cols_out as u32, self.linears[i][0].tiles(), t.spad("out"));
        let mut wait = MM;
        for j in 1..self.linears[i].len() {
            let piece = out.plus(j as u32 * self.piece_words(i));
            let sum = vx(regs::ROWS, cols).a(out, w).spad(OP_ADD, piece, w, ROW);
            sum.to_spad(out, w).sync(asm, wait, 0);
            wait = 0;
        }
        let lacks = match act {
            Some(act) => t.activate(asm, *act, cols, (out, w), None, wait),
            None => {
                vx(regs::ROWS, cols).a(out, w).red(R_ABSMAX, t.s("x_scale")).sync(asm, wait, 0);
                1.0
            }
        };
        (cols, w, lacks)
    }

    fn store(&self, asm: &mut Asm, t: &Tower<'_>, v: &Vision, features: u32, first: Reg) {
        use regs::*;
        let last = self.linears.len() - 1;
        t.each_half_at(asm, |asm| {
            match (v.projector[last].1, self.linears[last].len()) {
                (None, 1) => asm.vx_sync(MM, ST),
                _ => {
                    let (cols, w, lacks) = self.finish(asm, t, v, last);
                    if lacks != 1.0 {
                        let out = t.spad("out");
                        vx(ROWS, cols).a(out, w).imm(OP_MUL, lacks).to_spad(out, w).emit(asm);
                    }
                    asm.vx_sync(0, ST);
                }
            }
            asm.alu(ALU_ADD, TMP, first, POS);
            asm.alu_imm(ALU_MUL, TMP, TMP, self.text_words);
            asm.base(A_ROWS, TMP, features);
            store_half(asm, A_ROWS, self.text_words, t.spad("out"));
        });
    }
}
