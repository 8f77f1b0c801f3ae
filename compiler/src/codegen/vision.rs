//! The vision entry point: patch embedding, encoder layers in two passes (keys and values of all
//! rows, then queries tile by tile), projector; visual tokens land behind the embedding table.

use super::asm::{abs, agu, vx, Asm, Count, Reg, LD, MM, ST, VX};
use super::layer::{
    down_parts, layer_offsets, LayerOffsets, Tower, A_K, A_NORMS, A_V, A_V_SCALES, A_WEIGHTS,
};
use super::text::take_tile;
use super::tower::{norm_words, regs, Chip, Dims};
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
        let (mut spad, mut abuf) = (d.spad(), d.abuf());
        let (pre, post) = outer_norm_words(v);
        spad.push(r("pixels", d.tile_rows * pixel_words, 0, 0));
        spad.push(r("outer_norms", pre.max(post), 0, 9));
        spad.push(r("projected", d.tile_rows * widest, 9, 9));
        abuf.push(r("pixels8", (d.tile_rows * pixel_words).next_multiple_of(8), 0, 0));
        abuf.push(r("projected8", (d.tile_rows * widest).next_multiple_of(8), 9, 9));
        Chip::fit(&spad, &abuf, &d.s(), &build.config)
    })?;
    let layer = layer_offsets(&dims, first, true, storage, build);
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
        layer_offsets(&self.dims, layer, true, Storage::w8(build.config.slices), build)
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

fn load_tile(asm: &mut Asm, words: u32, to: u32, release: u8) {
    let op = isa::Ld {
        mode: LD_ROWS,
        rows: Count::from(regs::ROWS).field(),
        len: Count::from(words).field(),
        dst_off: to,
        dst_stride: words,
        src_agu: A_ROWS,
        src_stride: words,
        ..isa::Ld::default()
    };
    asm.sync(op, 0, release);
}

fn store_tile(asm: &mut Asm, agu: u32, words: u32, from: u32) {
    let op = isa::St {
        mode: ST_ROWS,
        rows: Count::from(regs::ROWS).field(),
        len: Count::from(words).field(),
        src_off: from,
        src_stride: words,
        dst_agu: agu,
        dst_stride: words,
        ..isa::St::default()
    };
    asm.sync(op, VX, 0);
}

/// Generator = base + first row of the tile · words.
fn row_generator(asm: &mut Asm, agu: u32, base: u32, words: u32) {
    asm.alu_imm(ALU_MUL, regs::TMP, regs::POS, words);
    asm.base(agu, regs::TMP, base);
}

/// Runs `body` for each tile of `rows` rows with ROWS, POS and the derived counts set.
fn each_tile(asm: &mut Asm, t: &Tower<'_>, rows: usize, body: impl FnOnce(&mut Asm)) {
    use regs::*;
    asm.set(POS, 0);
    asm.set(LEFT, rows as u32);
    asm.set(KV_LEN, rows as u32);
    asm.repeat(tiles(rows, t.d), |asm| {
        take_tile(asm, t.d);
        t.set_rows(asm, true);
        body(asm);
        asm.alu(ALU_ADD, POS, POS, ROWS);
        asm.emit(isa::Fence {});
    });
}

pub(super) fn emit(asm: &mut Asm, v: &Vision, l: &VisionLayout) {
    let (d, z) = (&l.dims, Reg(0));
    let t = Tower { d, chip: &l.chip };
    asm.mark("vision: start");
    asm.mm_sync(0, LD);
    for (a, base) in [(A_K, l.k_base), (A_V, l.v_base), (A_V_SCALES, l.v_scales_base)] {
        asm.base(a, z, base);
    }
    asm.stride(A_V_SCALES, 3, z, d.scw);
    each_tile(asm, &t, v.rows, |asm| stem(asm, &t, v, l));
    for (a, base, layer_units) in
        [(A_WEIGHTS, l.layers_base, l.layer.units), (A_NORMS, l.layer_norms_base, d.norm_words)]
    {
        asm.base(a, z, base);
        asm.stride(a, 0, z, layer_units);
    }
    asm.repeat(v.layers.len() as u32, |asm| layer(asm, &t, v, l));
    each_tile(asm, &t, v.tokens, |asm| project(asm, &t, v, l));
    asm.emit(isa::Halt {});
}

/// Patch embedding, position table, norm.
fn stem(asm: &mut Asm, t: &Tower<'_>, v: &Vision, l: &VisionLayout) {
    use regs::*;
    let (d, x, tmp) = (t.d, t.spad("x"), t.spad("tmp"));
    asm.mark(&v.patch.path);
    row_generator(asm, A_ROWS, l.pixels_base, l.pixel_words);
    load_tile(asm, l.pixel_words, t.spad("pixels"), 0);
    row_generator(asm, A_ROWS, l.position_base, d.dw);
    load_tile(asm, d.dw, tmp, VX);
    let (cols, src) = (v.patch.cols_in as u32, (t.spad("pixels"), l.pixel_words));
    let peak = t.s("x_scale");
    vx(ROWS, cols).a(abs(src.0), src.1).red(R_ABSMAX, peak).sync(asm, LD, 0);
    let dst = (t.abuf("pixels8"), l.pixel_words);
    t.quantise(asm, ROWS, cols, src, dst, peak, MM);
    t.linear(asm, abs(l.patch_base), &l.patch, dst, (x, d.dw));
    t.residual(asm, &[tmp], None); // the position rows wait in tmp
    if let Some(n) = &v.pre_norm {
        asm.mark(&n.path);
        let vectors = t.spad("outer_norms");
        t.load_norms(asm, abs(l.norms_base), norm_words(n), vectors, 0);
        asm.vx_sync(LD, 0);
        t.norm(asm, n, vectors, tmp, false, 0);
        vx(ROWS, d.cols).a(abs(tmp), d.dw).to_spad(abs(x), d.dw).emit(asm);
    }
    asm.vx_sync(0, ST);
    row_generator(asm, A_ROWS, l.x_base, d.dw);
    store_tile(asm, A_ROWS, d.dw, x);
}

fn layer(asm: &mut Asm, t: &Tower<'_>, v: &Vision, l: &VisionLayout) {
    let (d, layer) = (t.d, &v.layers[0]);
    let (x, norms) = (t.spad("x"), t.spad("norms"));
    let enter = |asm: &mut Asm| {
        row_generator(asm, A_ROWS, l.x_base, d.dw);
        load_tile(asm, d.dw, x, 0);
        t.load_norms(asm, agu(A_NORMS), d.norm_words, norms, 0);
        asm.vx_sync(LD, 0);
        t.norm_quantised(asm, &layer.norm1, norms, false, 0, false);
    };
    let o = &l.layer;
    each_tile(asm, t, v.rows, |asm| {
        asm.mark(format!("{} (layer loop)", layer.attention.k.path));
        enter(asm);
        t.project_qk(asm, &o.qk[1], d.heads, VX, 0);
        t.project_v(asm, &o.v, 0, VX);
        asm.vx_sync(MM, 0);
        t.store_keys_values(asm, 0);
    });
    each_tile(asm, t, v.rows, |asm| {
        asm.mark(format!("{} (layer loop)", layer.attention.q.path));
        enter(asm);
        t.project_qk(asm, &o.qk[0], 0, VX, VX);
        asm.vx_sync(MM, 0);
        // The stale keys between the rows' queries are quantised with them and not used.
        t.quantise_heads(asm, regs::QK_ROWS, MM);
        asm.mark(format!("{} (layer loop)", layer.attention.path));
        t.attend(asm, layer.attention.scale, false, false);
        t.finish_layer(asm, layer, o, None, 0);
        asm.vx_sync(0, ST);
        row_generator(asm, A_ROWS, l.x_base, d.dw);
        store_tile(asm, A_ROWS, d.dw, x);
    });
}

/// Visual tokens of the image: rows behind the skipped ones through the projector.
fn project(asm: &mut Asm, t: &Tower<'_>, v: &Vision, l: &VisionLayout) {
    use regs::*;
    let (d, x) = (t.d, t.spad("x"));
    asm.mark("projector");
    row_generator(asm, A_ROWS, l.x_base + v.skip_rows as u32 * d.dw, d.dw);
    load_tile(asm, d.dw, x, 0);
    let peak = t.s("x_scale");
    let mut act = (t.abuf("x8"), d.dw);
    if let Some(n) = &v.post_norm {
        let vectors = t.spad("outer_norms");
        let at = abs(l.norms_base + outer_norm_words(v).0);
        t.load_norms(asm, at, norm_words(n), vectors, 0);
        asm.vx_sync(LD, 0);
        t.norm_quantised(asm, n, vectors, false, 0, true);
    } else {
        asm.ld_sync(0, VX);
        vx(ROWS, d.cols).a(abs(x), d.dw).red(R_ABSMAX, peak).sync(asm, LD, 0);
        t.quantise(asm, ROWS, d.cols, (x, d.dw), act, peak, MM);
    }
    let out = t.spad("projected");
    for (i, (linear, activation)) in v.projector.iter().enumerate() {
        asm.mark(&linear.path);
        let (cols, w) = (linear.cols_out as u32, words(linear.cols_out));
        t.linear(asm, abs(l.projector_base[i]), &l.projector[i], act, (out, w));
        let last = i + 1 == v.projector.len();
        match activation {
            Some(a) => t.activate(asm, *a, cols, (out, w), None),
            None if last => asm.vx_sync(MM, 0),
            None => vx(ROWS, cols).a(abs(out), w).red(R_ABSMAX, peak).sync(asm, MM, 0),
        }
        if !last {
            act = (t.abuf("projected8"), w);
            t.quantise(asm, ROWS, cols, (out, w), act, peak, MM);
        }
    }
    asm.vx_sync(0, ST);
    let w = l.text_words;
    // Slot · tokens · words + row · words behind the first slot.
    asm.alu_imm(ALU_MUL, TMP, Reg(vision_args::SLOT as u32), v.tokens as u32);
    asm.alu(ALU_ADD, TMP, TMP, POS);
    asm.alu_imm(ALU_MUL, TMP, TMP, w);
    asm.base(A_POSITION, TMP, l.features_base);
    store_tile(asm, A_POSITION, w, out);
}
