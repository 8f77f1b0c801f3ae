//! Towers of convolutions. Rows in memory are pixels of a map, line by line; a pass reads one map and writes another.
//! Blocks of one shape are a loop, and each loop an entry point of its own, launched one after the other, so that a
//! piece of the program fits the instruction memory.
//!
//! Depthwise convolutions are multiply-adds of the vector unit ([`depthwise`]), layers over single pixels run as the
//! projector's do, attention as a vision transformer's ([`attend`]).

mod attend;
mod depthwise;
mod excite;

use super::asm::{vx, Asm, At, Reg, LD, ST, VX};
use super::layer::{A_NORMS, A_WEIGHTS};
use super::projector::{chain_layout, projector_layout, Chain, ChainLayout, Ends, Extra, ProjectorLayout};
use super::tower::{regs, Chip, Dims};
use super::{add, vision_args, Build};
use crate::diag::{Diagnostic, Diagnostics};
use crate::import::WeightStore;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::pack::{padded, vector, Packed};
use crate::layout::words;
use crate::plan::{ConvTower, Map, Pass, Step, Vision};
use attend::AttendLayout;
use depthwise::DepthwiseLayout;
use excite::ExciteLayout;
use flightvlm_hw::isa::{self, names::*};
use std::collections::BTreeMap;

/// Generators of the passes: an operand, its weights, the result.
const A_IN: u32 = 9;
const A_TAPS: u32 = 10;
const A_OUT: u32 = 11;
/// Input pixels.
const A_ROWS: u32 = super::vision::A_ROWS;

/// Where everything of a tower of convolutions lies.
#[derive(Debug, Clone)]
pub struct ConvLayout {
    /// The projector behind it.
    pub projector: ProjectorLayout,
    /// Words of a receptive field's row.
    pub pixel_words: u32,
    /// First unit of the visual tokens.
    pub features_base: u32,
    groups: Vec<GroupLayout>,
    maps: BTreeMap<Map, MapPlace>,
    pixels_base: u32,
}

/// A loop over blocks.
#[derive(Debug, Clone)]
struct GroupLayout {
    weights_base: u32,
    weight_units: u32,
    vectors_base: u32,
    vector_words: u32,
    passes: Vec<PassLayout>,
}

/// A pass's places and its offset in the block's vectors.
#[derive(Debug, Clone)]
enum PassLayout {
    Depthwise(DepthwiseLayout),
    Chain(ChainLayout),
    Attend(Box<AttendLayout>),
    Excite(ExciteLayout),
}

/// A map in memory.
#[derive(Debug, Clone, Copy)]
struct MapPlace {
    /// Unit of the first pixel.
    base: u32,
    /// Lines of zeros in front of and behind it.
    zeros: u32,
}

impl PassLayout {
    /// Linear layers in the order in which their weights lie.
    fn packed(&self) -> Vec<&Packed> {
        match self {
            PassLayout::Depthwise(_) => Vec::new(),
            PassLayout::Chain(chain) => chain.linears.iter().flatten().collect(),
            PassLayout::Attend(attend) => attend.packed(),
            PassLayout::Excite(excite) => excite.linears.iter().map(|(_, packed)| packed).collect(),
        }
    }
}

/// Lays a tower of convolutions out.
pub(super) fn conv_layout(
    v: &Vision,
    conv: &ConvTower,
    build: &Build,
    dram: &mut DramMap,
) -> Result<ConvLayout, Diagnostic> {
    let mut groups = Vec::new();
    for (g, group) in conv.groups.iter().enumerate() {
        let (mut units, mut vectors, mut passes) = (0, 0, Vec::new());
        for pass in &group.blocks[0] {
            let layout = pass_layout(v, pass, (&mut units, &mut vectors), (g, build), dram)?;
            passes.push(layout);
        }
        let (blocks, name) = (group.blocks.len(), format!("vision.conv.{g}"));
        let weights_base = add(dram, Space::Channels, &name, Kind::Content, blocks, units.into())?;
        let name = format!("vision.conv_vectors.{g}");
        let vectors_base = add(dram, Space::Main, &name, Kind::Content, blocks, vectors.into())?;
        let (weight_units, vector_words) = (units, vectors);
        groups.push(GroupLayout { weights_base, weight_units, vectors_base, vector_words, passes });
    }
    let mut maps = BTreeMap::new();
    for pass in conv.groups.iter().flat_map(|group| &group.blocks[0]) {
        for map in pass.from.into_iter().chain([pass.to]) {
            let zeros = match &pass.step {
                Step::Depthwise(d) if pass.from == Some(map) => d.kernel as u32 / 2,
                _ => 0,
            };
            let known = maps.entry(map).or_insert(0u32);
            *known = zeros.max(*known);
        }
    }
    let mut places = BTreeMap::new();
    for (at, (map, zeros)) in maps.into_iter().enumerate() {
        let rows = map.side * (map.side + 2 * zeros as usize);
        let units = map.words();
        let first = add(dram, Space::Main, &format!("vision.map.{at}"), Kind::State, rows, units.into())?;
        places.insert(map, MapPlace { base: first + zeros * map.side as u32 * units, zeros });
    }
    let columns = conv.last.columns();
    let rows = Dims::of_rows(conv.last.channels as u32, build);
    let rows = Dims { cols: conv.last.channels as u32, dw: conv.last.words(), ..rows };
    let pixel_words = words(v.pixel_cols);
    Ok(ConvLayout {
        projector: projector_layout(v, &rows, &columns, build, dram)?,
        pixels_base: add(dram, Space::Main, "vision.pixels", Kind::Input, v.rows, pixel_words.into())?,
        pixel_words,
        features_base: 0,
        groups,
        maps: places,
    })
}

/// A pass; `used` units of weights and words of vectors in front of it in the block's records.
fn pass_layout(
    v: &Vision,
    pass: &Pass,
    (units, vectors): (&mut u32, &mut u32),
    (group, build): (usize, &Build),
    dram: &mut DramMap,
) -> Result<PassLayout, Diagnostic> {
    Ok(match (&pass.step, pass.from) {
        (Step::Depthwise(d), Some(from)) => {
            let layout = depthwise::layout(d, from, pass.to, *vectors, build)?;
            *vectors += layout.vector_words;
            PassLayout::Depthwise(layout)
        }
        (Step::Chain(linears, add), from) => {
            let columns = from.map_or_else(|| padded(v.pixel_cols), |map| map.columns());
            let (cols, dw) = (columns.len() as u32, (columns.len() / 16) as u32);
            let base = Dims { cols, dw, ..Dims::of_rows(cols, build) };
            let what = &linears[0].0.path;
            let extra = Extra { residual: add.is_some(), ..Extra::default() };
            let mut layout = chain_layout(what, linears, columns, &base, extra, build)?;
            *units = layout.place(A_WEIGHTS, *units);
            PassLayout::Chain(layout)
        }
        (Step::Attend(a), Some(from)) => {
            let layout = attend::layout(a, from, (*units, *vectors), (group, build), dram)?;
            *units += layout.units;
            *vectors += layout.dims.norm_words;
            PassLayout::Attend(Box::new(layout))
        }
        (Step::Excite(e), Some(from)) => {
            let layout = excite::layout(e, from, *units, build)?;
            *units += layout.units;
            PassLayout::Excite(layout)
        }
        _ => unreachable!("invariant: only linear layers read receptive fields"),
    })
}

impl ConvLayout {
    /// Sizes and on-chip regions of one pass.
    pub fn chip(&self) -> (&Dims, &Chip) {
        (&self.projector.chain.dims, &self.projector.chain.chip)
    }

    /// Emits each loop, and the projector, as an entry point; gives their pcs.
    pub(super) fn emit(&self, asm: &mut Asm, v: &Vision, conv: &ConvTower) -> Vec<u32> {
        let mut entries = Vec::new();
        for (at, (group, layout)) in conv.groups.iter().zip(&self.groups).enumerate() {
            entries.push(asm.insns.len() as u32);
            asm.mark(format!("convolutions: loop {at}"));
            if at == 0 {
                self.clear(asm);
            }
            for (agu, base, step) in [
                (A_WEIGHTS, layout.weights_base, layout.weight_units),
                (A_NORMS, layout.vectors_base, layout.vector_words),
            ] {
                asm.base(agu, Reg(0), base);
                asm.stride(agu, 0, Reg(0), step);
            }
            asm.repeat(group.blocks.len() as u32, |asm| {
                for (pass, layout) in group.blocks[0].iter().zip(&layout.passes) {
                    self.pass(asm, pass, layout);
                    asm.emit(isa::Fence {});
                }
            });
            asm.emit(isa::Halt {});
        }
        entries.push(asm.insns.len() as u32);
        let reg = |arg: usize| Reg(arg as u32);
        let args = (reg(vision_args::FIRST_TOKEN), reg(vision_args::TOKENS));
        self.projector.emit(asm, v, self.maps[&conv.last].base, self.features_base, args);
        asm.emit(isa::Halt {});
        entries
    }

    /// Zeros around the maps that are convolved.
    fn clear(&self, asm: &mut Asm) {
        let widest = self.maps.keys().map(|map| map.words()).max().unwrap_or(1);
        let zero = super::asm::abs(0);
        vx(1, widest * 16).a(zero, 0).imm(OP_MUL, 0.0).to_spad(zero, 0).sync(asm, 0, ST);
        asm.st_sync(VX, 0);
        for (map, place) in &self.maps {
            let (side, words) = (map.side as u32, map.words());
            for at in [place.base - place.zeros * side * words, place.base + side * side * words] {
                asm.emit(isa::St {
                    mode: ST_ROWS,
                    rows: super::asm::Count::from(place.zeros * side).field(),
                    len: super::asm::Count::from(words).field(),
                    dst_off: at,
                    dst_stride: words,
                    ..isa::St::default()
                });
            }
        }
        asm.emit(isa::Fence {});
    }

    fn pass(&self, asm: &mut Asm, pass: &Pass, layout: &PassLayout) {
        let base = |map: Map| self.maps[&map].base;
        let from = pass.from.map_or(self.pixels_base, base);
        match (&pass.step, layout) {
            (Step::Depthwise(d), PassLayout::Depthwise(l)) => l.emit(asm, d, from, base(pass.to)),
            (Step::Chain(linears, add), PassLayout::Chain(l)) => {
                let rows = regs::KV_LEN;
                asm.set(rows, (pass.to.side * pass.to.side) as u32);
                let ends = Ends { from, to: (base(pass.to), None), residual: add.map(base) };
                l.emit(asm, Chain { linears, norm: None }, ends, rows, false);
            }
            (Step::Attend(a), PassLayout::Attend(l)) => l.emit(asm, a, from),
            (Step::Excite(e), PassLayout::Excite(l)) => l.emit(asm, e, from),
            _ => unreachable!("invariant: a pass has a layout of its kind"),
        }
    }

    /// Weights and vectors of every block, region by region.
    pub fn pack(
        &self,
        conv: &ConvTower,
        build: &Build,
        weights: &WeightStore,
        sink: &mut dyn FnMut(&str, Vec<u8>),
    ) -> Result<(), Diagnostics> {
        let slices = build.config.slices as usize;
        for (g, (group, layout)) in conv.groups.iter().zip(&self.groups).enumerate() {
            for block in &group.blocks {
                let mut channels = vec![Vec::new(); slices];
                let mut vectors = Vec::new();
                // The offsets are those of the first block, the weights each block's own.
                for (pass, l) in block.iter().zip(&layout.passes) {
                    for packed in own(pass, l) {
                        packed.write(weights, None, None, &mut channels)?;
                    }
                    vectors.extend(vectors_of(pass, l, weights)?);
                }
                channels.into_iter().for_each(|bytes| sink(&format!("vision.conv.{g}"), bytes));
                sink(&format!("vision.conv_vectors.{g}"), vectors);
            }
        }
        Ok(())
    }
}

/// The layout's linear layers with the weights of `pass`.
fn own(pass: &Pass, layout: &PassLayout) -> Vec<Packed> {
    let linears: Vec<&crate::plan::Linear> = match &pass.step {
        Step::Depthwise(_) => Vec::new(),
        Step::Chain(linears, _) => linears.iter().map(|(l, _)| l).collect(),
        Step::Attend(a) => vec![&a.1.k, &a.1.v, &a.1.q, &a.1.o],
        Step::Excite(e) => e.linears.iter().collect(),
    };
    // A layer may be cut into several pieces.
    let counts: Vec<usize> = match layout {
        PassLayout::Chain(chain) => chain.linears.iter().map(Vec::len).collect(),
        _ => vec![1; linears.len()],
    };
    let owners = linears.iter().zip(counts).flat_map(|(l, n)| std::iter::repeat_n(*l, n));
    let mut out: Vec<Packed> = layout.packed().into_iter().cloned().collect();
    for (packed, linear) in out.iter_mut().zip(owners) {
        packed.parts.iter_mut().for_each(|part| part.linear = linear.clone());
    }
    out
}

fn vectors_of(pass: &Pass, layout: &PassLayout, weights: &WeightStore) -> Result<Vec<u8>, Diagnostic> {
    match (&pass.step, layout) {
        (Step::Depthwise(d), PassLayout::Depthwise(l)) => l.vectors(d, weights),
        (Step::Attend(a), PassLayout::Attend(l)) => {
            let mut out = Vec::new();
            for w in [Some(a.0.w), a.0.b].into_iter().flatten() {
                out.extend(vector(&weights.load_f32(w)?, l.dims.dw));
            }
            out.resize(l.dims.norm_words as usize * 64, 0);
            Ok(out)
        }
        _ => Ok(Vec::new()),
    }
}

/// Strides that a pass has set are no other pass's.
fn stand_still(asm: &mut Asm) {
    for (agu, level) in [(A_ROWS, 1), (A_OUT, 1), (A_IN, 2), (A_IN, 3), (A_TAPS, 2), (A_TAPS, 3)] {
        asm.stride(agu, level, Reg(0), 0);
    }
}

/// Loads `rows` rows of `len` words with their strides; VX may use them after the token.
fn load(asm: &mut Asm, (rows, len): (u32, u32), to: (At, u32), from: (At, u32)) {
    let op = isa::Ld {
        mode: LD_ROWS,
        rows: super::asm::Count::from(rows).field(),
        len: super::asm::Count::from(len).field(),
        dst_agu: to.0.agu,
        dst_off: to.0.off,
        dst_stride: to.1,
        src_agu: from.0.agu,
        src_off: from.0.off,
        src_stride: from.1,
        ..isa::Ld::default()
    };
    asm.sync(op, 0, VX);
    asm.vx_sync(LD, 0);
}

/// Stores `rows` rows of `len` words that lie behind each other here and there, once VX has released ST.
fn store(asm: &mut Asm, (rows, len): (u32, u32), from: At, to: At) {
    let op = isa::St {
        mode: ST_ROWS,
        rows: super::asm::Count::from(rows).field(),
        len: super::asm::Count::from(len).field(),
        src_agu: from.agu,
        src_off: from.off,
        src_stride: len,
        dst_agu: to.agu,
        dst_off: to.off,
        dst_stride: len,
        ..isa::St::default()
    };
    asm.sync(op, VX, 0);
}
