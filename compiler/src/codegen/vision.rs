//! The vision entry point: patch embedding, encoder layers in two passes (keys and values of all
//! rows, then queries tile by tile), projector; visual tokens land behind the embedding table.

use super::asm::{abs, agu, vx, Asm, At, Count, Reg, LD, MM, ST, VX};
use super::layer::{
    down_parts, layer_offsets, LayerOffsets, Tower, A_K, A_NORMS, A_V, A_V_SCALES, A_WEIGHTS,
};
use super::text::take_tile;
use super::tower::{norm_words, regs, Chip, Dims, Requests};
use super::{add, choose_tile, vision_args, Build};
use crate::diag::Diagnostic;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::onchip::Request;
use crate::layout::pack::{Packed, Storage};
use crate::layout::words;
use crate::plan::Vision;
use flightvlm_hw::config::TILE;
use flightvlm_hw::isa::{self, names::*};

const A_ROWS: u32 = 14;
const A_POSITION: u32 = 15;

/// Where everything of the vision tower lies.
#[derive(Debug, Clone)]
pub struct VisionLayout {
    /// Sizes.
    pub dims: Dims,
    /// On-chip regions.
    pub chip: Chip,
    /// Layer record.
    pub layer: LayerOffsets,
    /// Patch embedding.
    pub patch: Packed,
    /// Projector layers.
    pub projector: Vec<Packed>,
    /// Words of a pixel row.
    pub pixel_words: u32,
    layers_base: u32,
    layer_norms_base: u32,
    patch_base: u32,
    position_base: u32,
    norms_base: u32,
    projector_base: Vec<u32>,
    pixels_base: u32,
    x_base: u32,
    k_base: u32,
    v_base: u32,
    v_scales_base: u32,
    features_base: u32,
    text_words: u32,
}

/// Words of the norms outside the layers: `[pre_norm][post_norm]`.
pub fn outer_norm_words(v: &Vision) -> (u32, u32) {
    let n = |n: &Option<crate::plan::Norm>| n.as_ref().map_or(0, norm_words);
    (n(&v.pre_norm), n(&v.post_norm))
}

/// Lays the vision tower out. `features_base`: where visual tokens go, set later by
/// [`VisionLayout::set_features`].
pub fn vision_layout(v: &Vision, build: &Build, dram: &mut DramMap) -> Result<VisionLayout, Diagnostic> {
    let first = v.layers.first().ok_or_else(|| {
        Diagnostic::new(
            "vision tower",
            "at least one layer",
            "none",
            "check vision_feature_layer in config.json",
        )
    })?;
    let storage = Storage::w8(build.config.slices);
    let positions = v.rows.next_multiple_of(TILE) as u32;
    let pixel_words = words(v.patch.cols_in);
    let widest = v.projector.iter().map(|(l, _)| words(l.cols_out)).max().unwrap_or(0);
    // The cache of an image's rows is used once: 8 bits.
    let build = &Build { kv_bits: 8, ..build.clone() };
    let parts = down_parts(first, storage, build);
    let (dims, chip) = choose_tile("vision tower", first, positions, parts, build, |d| {
        let r = |name, words, from, to| Request { name, words, from, to };
        let mut want = Requests::of(d);
        let (pre, post) = outer_norm_words(v);
        let rows = d.half_rows();
        want.spad.0.push(r("outer_norms", pre.max(post), 0, 9));
        want.spad.1.push(r("pixels", rows * pixel_words, 0, 0));
        want.spad.1.push(r("projected", rows * widest, 9, 9));
        want.abuf.push(r("pixels8", (rows * pixel_words).next_multiple_of(8), 0, 0));
        want.abuf.push(r("projected8", (rows * widest).next_multiple_of(8), 9, 9));
        Chip::fit(&want, &build.config)
    })?;
    let layer = layer_offsets(&dims, first, storage, build);
    let patch = Packed::plain(&v.patch, storage);
    let projector: Vec<Packed> = v.projector.iter().map(|(l, _)| Packed::plain(l, storage)).collect();
    for p in layer.pieces().map(|x| &x.1).chain([&patch]).chain(&projector) {
        p.check(&build.config)?;
    }
    let (main, channels) = (Space::Main, Space::Channels);
    let mut add = |space, name: &str, kind, records, units| add(dram, space, name, kind, records, units);
    let (rows, dw, layers) = (v.rows, u64::from(dims.dw), v.layers.len());
    let (pre, post) = outer_norm_words(v);
    let projector_base = projector
        .iter()
        .enumerate()
        .map(|(i, p)| add(channels, &format!("vision.projector.{i}"), Kind::Content, 1, p.units().into()))
        .collect::<Result<_, _>>()?;
    Ok(VisionLayout {
        patch_base: add(channels, "vision.patch", Kind::Content, 1, patch.units().into())?,
        layers_base: add(channels, "vision.layers", Kind::Content, layers, layer.units.into())?,
        k_base: add(channels, "vision.k", Kind::State, 1, dims.k_units())?,
        v_base: add(channels, "vision.v", Kind::State, 1, dims.v_units())?,
        layer_norms_base: add(main, "vision.layer_norms", Kind::Content, layers, dims.norm_words.into())?,
        position_base: add(main, "vision.position", Kind::Content, rows, dw)?,
        norms_base: add(main, "vision.norms", Kind::Content, 1, u64::from(pre + post))?,
        pixels_base: add(main, "vision.pixels", Kind::Input, rows, pixel_words.into())?,
        x_base: add(main, "vision.x", Kind::State, rows, dw)?,
        v_scales_base: add(main, "vision.v_scales", Kind::State, 1, u64::from(dims.kv_heads * dims.scw))?,
        projector_base,
        features_base: 0,
        text_words: widest.min(v.projector.last().map_or(widest, |(l, _)| words(l.cols_out))),
        dims,
        chip,
        layer,
        patch,
        projector,
        pixel_words,
    })
}

impl VisionLayout {
    /// The record of one layer (all have the same offsets, each its own weights).
    pub fn record(&self, layer: &crate::plan::Layer, build: &Build) -> LayerOffsets {
        layer_offsets(&self.dims, layer, Storage::w8(build.config.slices), build)
    }
    /// First unit of the visual tokens of slot 0.
    pub fn set_features(&mut self, base: u32) {
        self.features_base = base;
    }
}

/// Tiles of `rows` rows.
fn tiles(rows: usize, d: &Dims) -> u32 {
    (rows as u32).div_ceil(d.tile_rows)
}

/// Loads the half's rows; VX may use them after the token.
fn load_half(asm: &mut Asm, words: u32, to: At, release: u8) {
    let op = isa::Ld {
        mode: LD_ROWS,
        rows: Count::from(regs::ROWS).field(),
        len: Count::from(words).field(),
        dst_agu: to.agu,
        dst_off: to.off,
        dst_stride: words,
        src_agu: A_ROWS,
        src_stride: words,
        ..isa::Ld::default()
    };
    asm.sync(op, 0, release);
}

/// Stores the half's rows once VX has them.
fn store_half(asm: &mut Asm, agu: u32, words: u32, from: At) {
    let op = isa::St {
        mode: ST_ROWS,
        rows: Count::from(regs::ROWS).field(),
        len: Count::from(words).field(),
        src_agu: from.agu,
        src_off: from.off,
        src_stride: words,
        dst_agu: agu,
        dst_stride: words,
        ..isa::St::default()
    };
    asm.vx_sync(0, ST);
    asm.sync(op, VX, 0);
}

/// Generator = base + first row of the half · words.
fn row_generator(asm: &mut Asm, agu: u32, base: u32, words: u32) {
    asm.alu_imm(ALU_MUL, regs::TMP, regs::POS, words);
    asm.base(agu, regs::TMP, base);
}

/// Runs `body` for each tile of `rows` rows with what the tile's halves share set.
fn each_tile(asm: &mut Asm, t: &Tower<'_>, rows: usize, body: impl FnOnce(&mut Asm)) {
    use regs::*;
    asm.set(T_POS, 0);
    asm.set(LEFT, rows as u32);
    asm.repeat(tiles(rows, t.d), |asm| {
        take_tile(asm, t.d);
        t.set_tile(asm);
        body(asm);
        asm.alu(ALU_ADD, T_POS, T_POS, T_ROWS);
        asm.emit(isa::Fence {});
    });
}

pub(super) fn emit(asm: &mut Asm, v: &Vision, l: &VisionLayout) {
    let (d, z) = (&l.dims, Reg(0));
    let t = Tower { d, chip: &l.chip };
    asm.mark("vision: start");
    for (a, base) in [(A_K, l.k_base), (A_V, l.v_base), (A_V_SCALES, l.v_scales_base)] {
        asm.base(a, z, base);
    }
    t.half_generators(asm);
    asm.set(regs::KV_LEN, v.rows as u32);
    // Loops over halves are of one level everywhere.
    asm.repeat(1, |asm| each_tile(asm, &t, v.rows, |asm| stem(asm, &t, v, l)));
    for (a, base, layer_units) in
        [(A_WEIGHTS, l.layers_base, l.layer.units), (A_NORMS, l.layer_norms_base, d.norm_words)]
    {
        asm.base(a, z, base);
        asm.stride(a, 0, z, layer_units);
    }
    asm.repeat(v.layers.len() as u32, |asm| layer(asm, &t, v, l));
    asm.repeat(1, |asm| each_tile(asm, &t, v.tokens, |asm| project(asm, &t, v, l)));
    asm.emit(isa::Halt {});
}

/// Patch embedding, position table, norm.
fn stem(asm: &mut Asm, t: &Tower<'_>, v: &Vision, l: &VisionLayout) {
    use regs::*;
    let (d, x, tmp, pixels) = (t.d, t.spad("x"), t.spad("tmp"), t.spad("pixels"));
    if let Some(n) = &v.pre_norm {
        t.load_norms(asm, abs(l.norms_base), norm_words(n), t.spad("outer_norms"), 0);
    }
    asm.mark(&v.patch.path);
    t.each_half_at(asm, |asm| {
        row_generator(asm, A_ROWS, l.pixels_base, l.pixel_words);
        load_half(asm, l.pixel_words, pixels, 0);
        row_generator(asm, A_ROWS, l.position_base, d.dw);
        load_half(asm, d.dw, tmp, VX);
        let (cols, peak) = (v.patch.cols_in as u32, t.s("x_scale"));
        vx(ROWS, cols).a(pixels, l.pixel_words).red(R_ABSMAX, peak).sync(asm, LD, 0);
        let dst = (t.abuf("pixels8"), l.pixel_words);
        t.quantise(asm, ROWS, cols, (pixels, l.pixel_words), dst, peak, MM);
        t.linear(asm, abs(l.patch_base), &l.patch, dst, (x, d.dw));
    });
    t.each_half_at(asm, |asm| {
        t.residual(asm, &[tmp], None); // the position rows wait in tmp
        if let Some(n) = &v.pre_norm {
            t.norm(asm, n, t.spad("outer_norms"), tmp, false);
            vx(ROWS, d.cols).a(tmp, d.dw).to_spad(x, d.dw).emit(asm);
        }
        row_generator(asm, A_ROWS, l.x_base, d.dw);
        store_half(asm, A_ROWS, d.dw, x);
    });
}

fn layer(asm: &mut Asm, t: &Tower<'_>, v: &Vision, l: &VisionLayout) {
    let (d, layer, o) = (t.d, &v.layers[0], &l.layer);
    let (x, norms) = (t.spad("x"), t.spad("norms"));
    let enter = |asm: &mut Asm| {
        row_generator(asm, A_ROWS, l.x_base, d.dw);
        load_half(asm, d.dw, x, VX);
        asm.vx_sync(LD, 0);
        t.norm_quantised(asm, &layer.norm1, norms, false, false);
    };
    each_tile(asm, t, v.rows, |asm| {
        asm.mark(format!("{} (layer loop)", layer.attention.k.path));
        t.load_norms(asm, agu(A_NORMS), d.norm_words, norms, 0);
        t.each_half_numbered(asm, |asm| {
            enter(asm);
            t.project_keys_values(asm, o);
        });
        t.each_half_numbered(asm, |asm| {
            t.store_keys_values(asm);
        });
    });
    each_tile(asm, t, v.rows, |asm| {
        asm.mark(format!("{} (layer loop)", layer.attention.q.path));
        t.load_norms(asm, agu(A_NORMS), d.norm_words, norms, 0);
        t.each_half_at(asm, |asm| {
            enter(asm);
            t.project_queries(asm, &o.q, VX);
        });
        t.each_half(asm, |asm| t.take_queries(asm));
        asm.mark(format!("{} (layer loop)", layer.attention.path));
        t.attend(asm, layer.attention.scale, false, false);
        asm.mark(format!("{} (layer loop)", layer.attention.o.path));
        t.project_output(asm, &o.o);
        t.feed_forward(asm, layer, o, false);
        t.each_half_at(asm, |asm| {
            t.residual(asm, &t.down_parts(), None);
            row_generator(asm, A_ROWS, l.x_base, d.dw);
            store_half(asm, A_ROWS, d.dw, x);
        });
    });
}

/// Visual tokens of the image: rows behind the skipped ones through the projector.
fn project(asm: &mut Asm, t: &Tower<'_>, v: &Vision, l: &VisionLayout) {
    use regs::*;
    let (d, x, peak) = (t.d, t.spad("x"), t.s("x_scale"));
    asm.mark("projector");
    if let Some(n) = &v.post_norm {
        let at = abs(l.norms_base + outer_norm_words(v).0);
        t.load_norms(asm, at, norm_words(n), t.spad("outer_norms"), 0);
    }
    let out = t.spad("projected");
    for (i, (linear, _)) in v.projector.iter().enumerate() {
        asm.mark(&linear.path);
        let each = if i == 0 { Tower::each_half_at } else { Tower::each_half };
        each(t, asm, &mut |asm: &mut Asm| {
            let mut act = (t.abuf("x8"), d.dw);
            match i.checked_sub(1).map(|before| &v.projector[before]) {
                None => {
                    row_generator(asm, A_ROWS, l.x_base + v.skip_rows as u32 * d.dw, d.dw);
                    load_half(asm, d.dw, x, VX);
                    if let Some(n) = &v.post_norm {
                        asm.vx_sync(LD, 0);
                        t.norm_quantised(asm, n, t.spad("outer_norms"), false, true);
                    } else {
                        vx(ROWS, d.cols).a(x, d.dw).red(R_ABSMAX, peak).sync(asm, LD, 0);
                        t.quantise(asm, ROWS, d.cols, (x, d.dw), act, peak, MM);
                    }
                }
                Some((before, activation)) => {
                    let (cols, w) = (before.cols_out as u32, words(before.cols_out));
                    activated(asm, t, *activation, cols, (out, w));
                    act = (t.abuf("projected8"), w);
                    t.quantise(asm, ROWS, cols, (out, w), act, peak, MM);
                }
            }
            let w = words(linear.cols_out);
            t.linear(asm, abs(l.projector_base[i]), &l.projector[i], act, (out, w));
        });
    }
    let Some((last, activation)) = v.projector.last() else { return };
    t.each_half_at(asm, |asm| {
        activated(asm, t, *activation, last.cols_out as u32, (out, words(last.cols_out)));
        let w = l.text_words;
        // Slot · tokens · words + row · words behind the first slot.
        asm.alu_imm(ALU_MUL, TMP, Reg(vision_args::SLOT as u32), v.tokens as u32);
        asm.alu(ALU_ADD, TMP, TMP, POS);
        asm.alu_imm(ALU_MUL, TMP, TMP, w);
        asm.base(A_POSITION, TMP, l.features_base);
        store_half(asm, A_POSITION, w, out);
    });
}

/// A projector layer's activation, or the row maxima alone; waits for MM.
fn activated(asm: &mut Asm, t: &Tower<'_>, a: Option<crate::graph::ActKind>, cols: u32, at: (At, u32)) {
    match a {
        Some(a) => t.activate(asm, a, cols, at, None),
        None => vx(regs::ROWS, cols).a(at.0, at.1).red(R_ABSMAX, t.s("x_scale")).sync(asm, MM, 0),
    }
}
