//! The vision entry point: patch embedding, encoder layers in two passes (keys and values of all
//! rows, then queries tile by tile), projector; visual tokens land behind the embedding table.

use super::asm::{abs, vx, Asm, At, Count, Reg, LD, MM, ST, VX};
use super::layer::{layer_offsets, LayerOffsets, Tower, A_K, A_V, A_V_SCALES, A_WEIGHTS};
use super::text::take_tile;
use super::tower::{norm_words, regs, Chip, Dims};
use super::{choose_tile, vision_args};
use crate::diag::Diagnostic;
use crate::layout::dram::{DramMap, Kind};
use crate::layout::onchip::Request;
use crate::layout::pack::Packed;
use crate::layout::words;
use crate::plan::Vision;
use flightvlm_hw::config::{HwConfig, TILE};
use flightvlm_hw::isa::{self, names::*};

const A_ROWS: u32 = 12;
const A_POSITION: u32 = 13;

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
pub fn vision_layout(v: &Vision, config: &HwConfig, dram: &mut DramMap) -> Result<VisionLayout, Diagnostic> {
    let first = v.layers.first().ok_or_else(|| {
        Diagnostic::new(
            "vision tower",
            "at least one layer",
            "none",
            "check vision_feature_layer in config.json",
        )
    })?;
    let positions = v.rows.next_multiple_of(TILE) as u32;
    let pixel_words = words(v.patch.cols_in);
    let widest = v.projector.iter().map(|(l, _)| words(l.cols_out)).max().unwrap_or(0);
    let (dims, chip) = choose_tile("vision tower", first, positions, config, |d| {
        let r = |name, words, from, to| Request { name, words, from, to };
        let (mut spad, mut abuf) = (d.spad(), d.abuf());
        let (pre, post) = outer_norm_words(v);
        spad.push(r("pixels", d.tile_rows * pixel_words, 0, 0));
        spad.push(r("outer_norms", pre.max(post), 0, 9));
        spad.push(r("projected", d.tile_rows * widest, 9, 9));
        abuf.push(r("pixels8", d.tile_rows * pixel_words, 0, 0));
        abuf.push(r("projected8", d.tile_rows * widest, 9, 9));
        Chip::fit(&spad, &abuf, &d.s(), config)
    })?;
    let layer = layer_offsets(&dims, first, true);
    let patch = Packed::plain(&v.patch);
    let projector: Vec<Packed> = v.projector.iter().map(|(l, _)| Packed::plain(l)).collect();
    let packed = layer.projections.iter().map(|x| &x.1);
    for p in packed.chain([&layer.o.1, &layer.up.1, &layer.down.1, &patch]).chain(&projector) {
        crate::layout::pack::check_fits(p, config.wfifo_words, config.sfifo_words)?;
    }
    let mut add = |name: &str, kind, units: u64| {
        let units = u32::try_from(units).ok();
        units.and_then(|u| dram.add(name, kind, u)).ok_or_else(|| {
            Diagnostic::new(
                name,
                "a DRAM map below 2^32 units of 64 bytes",
                "a larger one",
                "use a smaller model",
            )
        })
    };
    let (rows, dw, kv) = (v.rows as u64, u64::from(dims.dw), u64::from(dims.kv_heads));
    let (pre, post) = outer_norm_words(v);
    let projector_base = projector
        .iter()
        .enumerate()
        .map(|(i, p)| add(&format!("vision.projector.{i}"), Kind::Content, u64::from(p.units())))
        .collect::<Result<_, _>>()?;
    Ok(VisionLayout {
        patch_base: add("vision.patch", Kind::Content, u64::from(patch.units()))?,
        position_base: add("vision.position", Kind::Content, rows * dw)?,
        norms_base: add("vision.norms", Kind::Content, u64::from(pre + post))?,
        layers_base: add("vision.layers", Kind::Content, v.layers.len() as u64 * u64::from(layer.units))?,
        pixels_base: add("vision.pixels", Kind::Input, rows * u64::from(pixel_words))?,
        x_base: add("vision.x", Kind::State, rows * dw)?,
        k_base: add("vision.k", Kind::State, kv * u64::from(dims.k_units()))?,
        v_base: add("vision.v", Kind::State, kv * u64::from(dims.v_units()))?,
        v_scales_base: add("vision.v_scales", Kind::State, kv * u64::from(dims.scw))?,
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
    pub fn record(&self, layer: &crate::plan::Layer) -> LayerOffsets {
        layer_offsets(&self.dims, layer, true)
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
        t.set_rows(asm);
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
    for (a, base, head_units) in
        [(A_K, l.k_base, d.k_units()), (A_V, l.v_base, d.v_units()), (A_V_SCALES, l.v_scales_base, d.scw)]
    {
        asm.base(a, z, base);
        asm.stride(a, 2, z, head_units);
        asm.stride(a, 3, z, head_units);
    }
    each_tile(asm, &t, v.rows, |asm| stem(asm, &t, v, l));
    asm.base(A_WEIGHTS, z, l.layers_base);
    asm.stride(A_WEIGHTS, 0, z, l.layer.units);
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
    t.residual(asm, None); // the position rows wait in tmp
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
        t.load_norms(asm, At { agu: A_WEIGHTS, off: l.layer.norms }, d.norm_words, norms, 0);
        asm.vx_sync(LD, 0);
        t.norm_quantised(asm, &layer.norm1, norms, false, 0);
    };
    let (kv, q) = (&l.layer.projections[0], &l.layer.projections[1]);
    each_tile(asm, t, v.rows, |asm| {
        asm.mark(format!("{} (layer loop)", layer.attention.k.path));
        enter(asm);
        t.project(asm, kv.0, &kv.1, false, true);
        t.store_keys_values(asm, 0);
    });
    each_tile(asm, t, v.rows, |asm| {
        asm.mark(format!("{} (layer loop)", layer.attention.q.path));
        enter(asm);
        t.project(asm, q.0, &q.1, true, false);
        t.quantise_queries(asm);
        asm.mark(format!("{} (layer loop)", layer.attention.path));
        t.attend(asm, layer.attention.scale, false);
        t.finish_layer(asm, layer, &l.layer, 0);
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
        t.norm_quantised(asm, n, vectors, false, 0);
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
