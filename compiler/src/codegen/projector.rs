//! Rows in memory through linear layers to rows in memory: the projector, which makes visual tokens of joined
//! rows of the tower, and the layers over single pixels of towers of convolutions.
//!
//! Joining costs nothing: the tower keeps patches that become one token behind each other, so a token's
//! input is a longer row of the same memory. The projector has tiles and on-chip regions of its own (the
//! tower's are free by then), because its rows may be much wider than the tower's.

use super::asm::{abs, vx, Asm, At, Reg, LD, MM, ST, VX};
use super::layer::Tower;
use super::merge::GroupsLayout;
use super::tower::{norm_words, regs, Chip, Dims, Requests};
use super::vision::{count_tiles, each_tile, load_half, row_generator, store_half, A_ROWS};
use super::{add, Build, TILE_ROWS};
use crate::diag::Diagnostic;
use crate::graph::ActKind;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::onchip::Request;
use crate::layout::pack::{padded, Packed, Part, Storage};
use crate::layout::words;
use crate::plan::{Linear, Norm, Vision};
use flightvlm_hw::isa::names::*;

/// Linear layers, one behind the other.
#[derive(Debug, Clone)]
pub struct ChainLayout {
    /// Tile height and widths.
    pub dims: Dims,
    /// On-chip regions.
    pub chip: Chip,
    /// Each linear layer, cut along its inputs where the FIFO needs it.
    pub linears: Vec<Vec<Packed>>,
    /// Its rows are averages of groups of the rows that it reads.
    pub groups: Option<GroupsLayout>,
    /// Where they lie in the channels.
    at: Vec<Vec<At>>,
    out_words: u32,
}

/// Where everything of the projector lies.
#[derive(Debug, Clone)]
pub struct ProjectorLayout {
    /// Its linear layers.
    pub chain: ChainLayout,
    norm_base: u32,
}

/// The linear layers of a chain, with an optional activation behind each, and the norm in front of it.
#[derive(Clone, Copy)]
pub(super) struct Chain<'p> {
    pub linears: &'p [(Linear, Option<ActKind>)],
    pub norm: Option<(&'p Norm, u32)>,
}

/// Where a chain reads and writes.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    /// First row that is read.
    pub from: u32,
    /// Row 0 of what is written, and the register with the first row that is.
    pub to: (u32, Option<Reg>),
    /// Rows that are added to the result.
    pub residual: Option<u32>,
}

/// Lays the projector out behind a tower of `tower` dimensions, whose columns lie in the order `columns`.
pub(super) fn projector_layout(
    v: &Vision,
    tower: &Dims,
    columns: &[Option<u32>],
    build: &Build,
    dram: &mut DramMap,
) -> Result<ProjectorLayout, Diagnostic> {
    if let Some(n) = v.projector_norm.as_ref().filter(|_| !tower.cols.is_multiple_of(16)) {
        return Err(Diagnostic::new(
            &n.path,
            "a tower whose width is a multiple of 16 in front of a norm over joined patches",
            format!("width {}", tower.cols),
            "`--device eval` runs it",
        ));
    }
    let norm_vectors = v.projector_norm.as_ref().map_or(0, norm_words);
    let base = Dims { cols: tower.cols * v.join as u32, dw: tower.dw * v.join as u32, ..tower.clone() };
    let columns = joined(columns, tower.cols, v.join);
    let extra = Extra { norm_vectors, grouped: build.grouped, ..Extra::default() };
    let mut chain = chain_layout("projector", &v.projector, columns, &base, extra, build)?;
    if build.grouped {
        chain.groups = Some(GroupsLayout::new(v.tokens, &chain.dims, dram)?);
    }
    for (i, pieces) in chain.linears.iter().enumerate() {
        let mut own = Vec::new();
        for (j, p) in pieces.iter().enumerate() {
            let name = projector_region(i, j);
            own.push(abs(add(dram, Space::Channels, &name, Kind::Content, 1, p.units().into())?));
        }
        chain.at.push(own);
    }
    let norm_base = add(dram, Space::Main, "vision.projector_norm", Kind::Content, 1, norm_vectors.into())?;
    Ok(ProjectorLayout { chain, norm_base })
}

/// What stands around the linear layers of a chain.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extra {
    /// Words of the norm in front.
    pub norm_vectors: u32,
    /// Rows are added to the result.
    pub residual: bool,
    /// The rows that it takes are averages of groups.
    pub grouped: bool,
}

/// Lays linear layers out over rows of `base` dimensions with `columns` in that order, but not where their weights
/// lie, nor groups.
pub(super) fn chain_layout(
    what: &str,
    linears: &[(Linear, Option<ActKind>)],
    columns: Vec<Option<u32>>,
    base: &Dims,
    extra: Extra,
    build: &Build,
) -> Result<ChainLayout, Diagnostic> {
    let storage = Storage::w8(build.config.slices);
    let packed = |(i, (l, _)): (usize, &(Linear, _))| {
        let part = Part { linear: l.clone(), rows: padded(l.cols_out) };
        let cols = if i == 0 { columns.clone() } else { padded(l.cols_in) };
        Packed::new(vec![part], cols, storage).split(build.config.wfifo_words)
    };
    let packed: Vec<Vec<Packed>> = linears.iter().enumerate().map(packed).collect();
    for p in packed.iter().flatten() {
        p.check(&build.config)?;
    }
    let widest = linears.iter().map(|(l, _)| words(l.cols_out)).max().unwrap_or(0);
    let pieces = packed.iter().map(|p| p.len() as u32).max().unwrap_or(1);
    let out_words = linears.last().map_or(0, |(l, _)| words(l.cols_out));
    let fit = |tile_rows: &u32| {
        let dims = Dims { tile_rows: *tile_rows, ..base.clone() };
        let rows = dims.half_rows();
        let r = |name, words| Request { name, words, from: 0, to: 9 };
        let mut of_half = vec![r("x", rows * dims.dw), r("out", pieces * rows * widest)];
        if extra.residual {
            of_half.push(r("residual", rows * out_words));
        }
        let mut shared_s = Vec::new();
        if extra.grouped {
            of_half.push(r("member", rows * dims.dw));
            shared_s = GroupsLayout::scalars(&dims);
        }
        let want = Requests {
            spad: (vec![r("norm", extra.norm_vectors)], of_half),
            abuf: vec![r("x8", (rows * dims.dw.max(widest)).next_multiple_of(8))],
            s: (shared_s, ["stat0", "stat1", "x_scale", "inv"].map(|name| r(name, rows)).to_vec()),
        };
        Chip::fit(&want, &build.config).ok().map(|chip| (dims, chip))
    };
    let (dims, chip) = TILE_ROWS.iter().find_map(fit).ok_or_else(|| {
        Diagnostic::new(
            what,
            format!("a tile of {} rows within the on-chip memories", TILE_ROWS[TILE_ROWS.len() - 1]),
            format!("rows of {} columns, results of {}", base.cols, widest * 16),
            "use a target with larger on-chip memories",
        )
    })?;
    Ok(ChainLayout { dims, chip, linears: packed, groups: None, at: Vec::new(), out_words })
}

/// Name of the region of a piece of a linear layer.
pub fn projector_region(linear: usize, piece: usize) -> String {
    format!("vision.projector.{linear}.{piece}")
}

/// Columns of `join` rows behind each other.
pub(super) fn joined(columns: &[Option<u32>], cols: u32, join: usize) -> Vec<Option<u32>> {
    let shifted = |at: usize| columns.iter().map(move |c| c.map(|c| c + at as u32 * cols));
    (0..join).flat_map(shifted).collect()
}

impl ProjectorLayout {
    /// The same for rows that are not grouped.
    pub(super) fn of_whole_tiles(&self) -> ProjectorLayout {
        ProjectorLayout { chain: ChainLayout { groups: None, ..self.chain.clone() }, ..self.clone() }
    }

    /// Code: tokens of the tile from the tower's rows at `rows` to `features` behind row `first`.
    pub(super) fn emit(
        &self,
        asm: &mut Asm,
        v: &Vision,
        rows: u32,
        features: u32,
        (first, tokens): (Reg, Reg),
    ) {
        asm.mark("projector");
        let norm = v.projector_norm.as_ref().map(|n| (n, self.norm_base));
        let chain = Chain { linears: &v.projector, norm };
        let ends = Ends { from: rows, to: (features, Some(first)), residual: None };
        // Loops over halves are of one level everywhere.
        self.chain.emit(asm, chain, ends, tokens, true);
    }
}

impl ChainLayout {
    /// Says that the weights lie in a record that generator `agu` points to, from unit `from` on; gives the unit
    /// behind them.
    pub(super) fn place(&mut self, agu: u32, from: u32) -> u32 {
        let mut off = from;
        let mut place = |p: &Packed| {
            let here = At { agu, off };
            off += p.units();
            here
        };
        self.at = self.linears.iter().map(|pieces| pieces.iter().map(&mut place).collect()).collect();
        off
    }

    /// Code for `rows` rows; `outermost`: in no other loop.
    pub(super) fn emit(&self, asm: &mut Asm, chain: Chain<'_>, ends: Ends, rows: Reg, outermost: bool) {
        let t = Tower { d: &self.dims, chip: &self.chip };
        t.half_generators(asm);
        count_tiles(asm, &t, rows);
        let tiles = |asm: &mut Asm| {
            each_tile(asm, &t, rows, |asm| {
                for i in 0..self.linears.len() {
                    self.linear(asm, &t, chain, i, ends.from);
                }
                self.store(asm, &t, chain, ends);
            });
        };
        match outermost {
            true => asm.repeat(1, tiles),
            false => tiles(asm),
        }
    }

    /// Rows between the pieces of a result, in words.
    fn piece_words(&self, i: usize) -> u32 {
        self.dims.half_rows() * self.linears[i][0].tiles()
    }

    /// What stands in front of linear layer `i`, and the layer.
    fn linear(&self, asm: &mut Asm, t: &Tower<'_>, chain: Chain<'_>, i: usize, rows: u32) {
        use regs::*;
        let (d, x, out, peak) = (t.d, t.spad("x"), t.spad("out"), t.s("x_scale"));
        asm.mark(&chain.linears[i].0.path);
        let norm = chain.norm.filter(|_| i == 0);
        if let Some((n, base)) = norm {
            t.load_norms(asm, abs(base), norm_words(n), t.spad("norm"), 0);
        }
        let each = if i == 0 { Tower::each_half_at } else { Tower::each_half };
        each(t, asm, &mut |asm: &mut Asm| {
            let (src, cols, width, lacks) = match i.checked_sub(1) {
                None => {
                    let wait = match &self.groups {
                        Some(groups) => {
                            groups.average(asm, t, rows);
                            0
                        }
                        None => {
                            row_generator(asm, A_ROWS, rows, d.dw);
                            load_half(asm, d.dw, x, VX);
                            LD
                        }
                    };
                    match norm {
                        Some((n, _)) => {
                            asm.vx_sync(wait, 0);
                            t.norm(asm, n, t.spad("norm"), x, false);
                        }
                        None => vx(ROWS, d.dw * 16).a(x, d.dw).red(R_ABSMAX, peak).sync(asm, wait, 0),
                    }
                    (x, d.dw * 16, d.dw, 1.0)
                }
                Some(before) => {
                    let (cols, w, lacks) = self.finish(asm, t, chain, before);
                    (out, cols, w, lacks)
                }
            };
            let mut act = t.abuf("x8");
            t.quantise(asm, ROWS, cols, (src, width), (act, width), peak, lacks, MM);
            let pieces = &self.linears[i];
            for (j, p) in pieces.iter().enumerate() {
                t.load_weights(asm, self.at[i][j], p);
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
    fn finish(&self, asm: &mut Asm, t: &Tower<'_>, chain: Chain<'_>, i: usize) -> (u32, u32, f32) {
        let (linear, act) = &chain.linears[i];
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

    fn store(&self, asm: &mut Asm, t: &Tower<'_>, chain: Chain<'_>, ends: Ends) {
        use regs::*;
        let (last, out) = (self.linears.len() - 1, t.spad("out"));
        let (to, first) = ends.to;
        t.each_half_at(asm, |asm| {
            let plain = chain.linears[last].1.is_none() && self.linears[last].len() == 1;
            if !plain {
                let (cols, w, lacks) = self.finish(asm, t, chain, last);
                if lacks != 1.0 {
                    vx(ROWS, cols).a(out, w).imm(OP_MUL, lacks).to_spad(out, w).emit(asm);
                }
            }
            let wait = if plain { MM } else { 0 };
            if let Some(residual) = ends.residual {
                let (w, add) = (self.out_words, t.spad("residual"));
                row_generator(asm, A_ROWS, residual, w);
                load_half(asm, w, add, VX);
                let sum = vx(ROWS, w * 16).a(out, w).spad(OP_ADD, add, w, ROW);
                sum.to_spad(out, w).sync(asm, wait | LD, ST);
            } else {
                asm.vx_sync(wait, ST);
            }
            match first {
                Some(first) => asm.alu(ALU_ADD, TMP, first, POS),
                None => asm.copy(TMP, POS),
            }
            asm.alu_imm(ALU_MUL, TMP, TMP, self.out_words);
            asm.base(A_ROWS, TMP, to);
            store_half(asm, A_ROWS, self.out_words, out);
        });
    }
}
