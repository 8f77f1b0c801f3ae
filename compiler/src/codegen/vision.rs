//! The vision entry point: patch embedding, encoder layers in two passes (keys and values of all
//! rows, then queries tile by tile), projector; visual tokens land behind the embedding table.

use super::asm::{abs, agu, vx, Asm, At, Count, Reg, LD, MM, ST, VX};
use super::attention::{ReadOut, LAYER};
use super::choice::ChoiceLayout;
use super::compress::{compress_layout, CompressLayout};
use super::layer::{
    down_parts, layer_offsets, LayerOffsets, Tower, A_K, A_NORMS, A_V, A_V_SCALES, A_WEIGHTS,
};
use super::projector::{projector_layout, ProjectorLayout};
use super::text::take_tile;
use super::tower::{norm_words, regs, Chip, Dims, Requests};
use super::{add, choose_tile, vision_args, windows, Build};
use crate::diag::Diagnostic;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::onchip::Request;
use crate::layout::pack::{padded, Packed, Storage};
use crate::layout::words;
use crate::layout::LayerStorage;
use crate::plan::{Linear, Norm, Vision};
use flightvlm_hw::config::TILE;
use flightvlm_hw::isa::{self, names::*};

/// In front of the names of memory regions of the tower for pictures, and of that for frames of videos.
pub const PICTURE: &str = "vision";
/// See [`PICTURE`].
pub const VIDEO: &str = "video";
/// Name of the region with the attention that is read out.
pub const READ_OUT_REGION: &str = "vision.attention";
/// Name of the region with the tower's rows.
pub const ROWS_REGION: &str = "vision.x";
/// Name of the region with the keys of the tower's last layer.
pub const KEYS_REGION: &str = "vision.k";

/// Rows in memory.
pub(super) const A_ROWS: u32 = 14;

/// First row behind the embedding table that the tile's tokens go to: an argument.
const FIRST_TOKEN: Reg = Reg(vision_args::FIRST_TOKEN as u32);
/// Rows in the tower, and tokens of the tile: arguments.
const TILE_ROWS: Reg = Reg(vision_args::ROWS as u32);
const TILE_TOKENS: Reg = Reg(vision_args::TOKENS as u32);

/// Tiles of the phase; the register is of use to attention over a tile's own rows only.
const TILES: Reg = regs::NEW_TILES;

/// Where everything of a vision transformer lies.
#[derive(Debug, Clone)]
pub struct TowerLayout {
    /// Sizes.
    pub dims: Dims,
    /// On-chip regions.
    pub chip: Chip,
    /// Layer record.
    pub layer: LayerOffsets,
    /// Patch embedding.
    pub patch: Packed,
    /// Projector.
    pub projector: ProjectorLayout,
    /// What stands in front of it and takes a question.
    pub compress: Option<Box<CompressLayout>>,
    /// Words of a pixel row.
    pub pixel_words: u32,
    /// What is read out of the tower's attention.
    pub read_out: Option<ReadOut>,
    /// How tokens are chosen by that.
    pub choice: Option<ChoiceLayout>,
    pub(super) layers_base: u32,
    pub(super) layer_norms_base: u32,
    patch_base: u32,
    position_base: u32,
    position_ids_base: u32,
    rope_base: u32,
    norms_base: u32,
    pixels_base: u32,
    pub(super) x_base: u32,
    /// The row that attention pooling asks with.
    pub(super) probe_base: u32,
    k_base: u32,
    v_base: u32,
    v_scales_base: u32,
    pub(super) features_base: u32,
}

/// Words of the norms outside the layers: `[pre_norm][post_norm]`.
pub fn outer_norm_words(v: &Vision) -> (u32, u32) {
    let n = |n: &Option<crate::plan::Norm>| n.as_ref().map_or(0, norm_words);
    (n(&v.pre_norm), n(&v.post_norm))
}

/// Lays the vision tower out, whose patch embedding is `patch_linear`. Where visual tokens go is set later. A tower
/// with a `sibling` is for frames of videos, and shares its projector.
pub(super) fn tower_layout(
    v: &Vision,
    patch_linear: &Linear,
    build: &Build,
    dram: &mut DramMap,
    sibling: Option<&TowerLayout>,
) -> Result<TowerLayout, Diagnostic> {
    let first = v.layers.first().ok_or_else(|| {
        Diagnostic::new(
            "vision tower",
            "at least one layer",
            "none",
            "check vision_feature_layer in config.json",
        )
    })?;
    let storage = Storage::w8(build.config.slices);
    let layers = LayerStorage::uniform(storage);
    let positions = v.rows.next_multiple_of(TILE) as u32;
    let pixel_words = words(v.pixel_cols);
    // The cache of an image's rows is used once: 8 bits.
    let build = &Build { kv_bits: 8, wide_inputs: false, ..build.clone() };
    let parts = down_parts(first, &layers, build);
    let (dims, chip) = choose_tile("vision tower", first, positions, parts, build, |d| {
        let r = |name, words, from, to| Request { name, words, from, to };
        let mut want = Requests::of(d);
        let (pre, post) = outer_norm_words(v);
        let rows = d.half_rows();
        want.spad.0.push(r("outer_norms", pre.max(post), 0, 9));
        want.spad.1.push(r("pixels", rows * pixel_words, 0, 0));
        if build.read_outs > 0 {
            want.spad.0.push(r("attention", d.scw, 0, 9));
        }
        want.abuf.push(r("pixels8", (rows * pixel_words).next_multiple_of(8), 0, 0));
        Chip::fit(&want, &build.config)
    })?;
    let dims = Dims { windows: v.windows().map(|side| side as u32), ..dims };
    let layer = layer_offsets(&dims, first, &layers, build);
    let patch = Packed::plain(patch_linear, storage);
    for p in layer.pieces().map(|x| &x.1).chain([&patch]) {
        p.check(&build.config)?;
    }
    let projector = match sibling {
        None => projector_layout(v, &dims, &padded(dims.cols as usize), build, dram)?,
        Some(sibling) => sibling.projector.of_whole_tiles(),
    };
    let compress = v.compress.as_ref().map(|c| compress_layout(v, c, &dims, build, dram)).transpose()?;
    let side = if sibling.is_some() { VIDEO } else { PICTURE };
    let (main, channels) = (Space::Main, Space::Channels);
    let mut add = |space, name: &str, kind, records, units| {
        add(dram, space, &format!("{side}.{name}"), kind, records, units)
    };
    let (rows, dw, layers) = (v.rows, u64::from(dims.dw), v.all_layers().count());
    let (pre, post) = outer_norm_words(v);
    let table = v.position.map_or(0, |(_, rows)| rows);
    let id_units = if table == 0 { 0 } else { u64::from(positions.next_multiple_of(dims.tile_rows)) / 16 };
    let rope_words = if dims.rope { 2 * u64::from(dims.half_words) } else { 0 };
    let read_out = match build.read_outs.min(layers as u32) {
        0 => None,
        records => Some(ReadOut {
            base: add(main, "attention", Kind::Output, records as usize, dims.scw.into())?,
            records,
            layers: layers as u32,
            class_row: v.has_class,
        }),
    };
    let mut layout = TowerLayout {
        read_out,
        choice: None,
        patch_base: add(channels, "patch", Kind::Content, 1, patch.units().into())?,
        layers_base: add(channels, "layers", Kind::Content, layers, layer.units.into())?,
        k_base: add(channels, "k", Kind::State, 1, dims.k_units())?,
        v_base: add(channels, "v", Kind::State, 1, dims.v_units())?,
        layer_norms_base: add(main, "layer_norms", Kind::Content, layers, dims.norm_words.into())?,
        position_base: add(main, "position", Kind::Content, table, dw)?,
        position_ids_base: add(main, "position_ids", Kind::Input, 1, id_units)?,
        rope_base: add(main, "rope", Kind::Input, positions as usize, rope_words)?,
        norms_base: add(main, "norms", Kind::Content, 1, u64::from(pre + post))?,
        pixels_base: add(main, "pixels", Kind::Input, rows, pixel_words.into())?,
        x_base: add(main, "x", Kind::State, rows, dw)?,
        probe_base: add(main, "probe", Kind::Content, usize::from(v.pool.is_some()), dw)?,
        v_scales_base: add(main, "v_scales", Kind::State, 1, u64::from(dims.v_scale_units()))?,
        features_base: 0,
        dims,
        chip,
        layer,
        patch,
        projector,
        compress: compress.map(Box::new),
        pixel_words,
    };
    if let Some((r, groups)) = layout.read_out.zip(layout.projector.chain.groups.as_ref()) {
        let (words, last) = (layout.dims.scw, r.records - 1);
        layout.choice = Some(ChoiceLayout::new(v, (r.base + last * words, words), groups, build, dram)?);
    }
    Ok(layout)
}

impl TowerLayout {
    /// The choice of the tokens that stay, in front of the projector.
    pub(super) fn choose(&self, asm: &mut Asm) {
        if let Some((choice, groups)) = self.choice.as_ref().zip(self.projector.chain.groups.as_ref()) {
            choice.emit(asm, groups);
        }
    }

    /// Visual tokens of the tower's rows: of all, or in an entry point of its own of groups of them.
    pub(super) fn project(&self, asm: &mut Asm, v: &Vision) {
        let rows = match &self.compress {
            Some(compress) => compress.out,
            None => self.x_base + v.skip_rows as u32 * self.dims.dw,
        };
        self.projector.emit(asm, v, rows, self.features_base, (FIRST_TOKEN, TILE_TOKENS));
    }

    /// The record of one layer (all have the same offsets, each its own weights).
    pub fn record(&self, layer: &crate::plan::Layer, build: &Build) -> LayerOffsets {
        layer_offsets(&self.dims, layer, &LayerStorage::uniform(Storage::w8(build.config.slices)), build)
    }
}

/// Loads the half's rows; VX may use them after the token.
pub(super) fn load_half(asm: &mut Asm, words: u32, to: At, release: u8) {
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

/// Stores the half's rows; VX has released ST.
pub(super) fn store_half(asm: &mut Asm, agu: u32, words: u32, from: At) {
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
    asm.sync(op, VX, 0);
}

/// Generator = base + first row of the half · words.
pub(super) fn row_generator(asm: &mut Asm, agu: u32, base: u32, words: u32) {
    row_generator_from(asm, None, agu, base, words);
}

/// The same where rows count from row `first` on.
pub(super) fn row_generator_from(asm: &mut Asm, first: Option<Reg>, agu: u32, base: u32, words: u32) {
    match first {
        None => asm.alu_imm(ALU_MUL, regs::TMP, regs::POS, words),
        Some(first) => {
            asm.alu(ALU_ADD, regs::TMP, regs::POS, first);
            asm.alu_imm(ALU_MUL, regs::TMP, regs::TMP, words);
        }
    }
    asm.base(agu, regs::TMP, base);
}

/// TILES = tiles of `rows` rows.
pub(super) fn count_tiles(asm: &mut Asm, t: &Tower<'_>, rows: Reg) {
    count_tiles_in(asm, t, rows, TILES);
}

fn count_tiles_in(asm: &mut Asm, t: &Tower<'_>, rows: Reg, tiles: Reg) {
    asm.alu_imm(ALU_ADD, tiles, rows, t.d.tile_rows - 1);
    asm.alu_imm(ALU_SHR, tiles, tiles, t.d.tile_rows.trailing_zeros());
}

/// Runs `body` for each of TILES tiles of `rows` rows with what the tile's halves share set.
pub(super) fn each_tile(asm: &mut Asm, t: &Tower<'_>, rows: Reg, body: impl FnOnce(&mut Asm)) {
    repeat_tiles(asm, t, rows, TILES, body);
}

fn repeat_tiles(asm: &mut Asm, t: &Tower<'_>, rows: Reg, tiles: Reg, body: impl FnOnce(&mut Asm)) {
    use regs::*;
    asm.set(T_POS, 0);
    asm.copy(LEFT, rows);
    asm.repeat(tiles, |asm| {
        take_tile(asm, t.d);
        t.set_tile(asm);
        body(asm);
        asm.alu(ALU_ADD, T_POS, T_POS, T_ROWS);
        asm.emit(isa::Fence {});
    });
}

pub(super) fn emit(asm: &mut Asm, v: &Vision, l: &TowerLayout) {
    let (d, z) = (&l.dims, Reg(0));
    let t = Tower { d, chip: &l.chip };
    asm.mark("vision: start");
    for (a, base) in [(A_K, l.k_base), (A_V, l.v_base), (A_V_SCALES, l.v_scales_base)] {
        asm.base(a, z, base);
    }
    t.half_generators(asm);
    asm.copy(regs::KV_LEN, TILE_ROWS);
    count_tiles(asm, &t, TILE_ROWS);
    // Loops over halves are of one level everywhere.
    asm.repeat(1, |asm| each_tile(asm, &t, TILE_ROWS, |asm| stem(asm, &t, v, l)));
    for (a, base, layer_units) in
        [(A_WEIGHTS, l.layers_base, l.layer.units), (A_NORMS, l.layer_norms_base, d.norm_words)]
    {
        asm.base(a, z, base);
        asm.stride(a, 0, z, if d.windows.is_none() { layer_units } else { 0 });
    }
    if l.read_out.is_some() {
        asm.set(LAYER, 0);
    }
    let compress = l.compress.as_deref().zip(v.compress.as_deref());
    if let Some((l, c)) = compress {
        l.begin(asm, c);
    }
    match d.windows {
        None => asm.repeat(v.layers.len() as u32, |asm| layer(asm, &t, v, l, None)),
        Some(side) => {
            windows::each_segment(asm, v, side, l.layer.units, d.norm_words, |asm| {
                layer(asm, &t, v, l, Some(windows::SEGMENT));
            });
            asm.copy(regs::KV_LEN, TILE_ROWS);
            count_tiles(asm, &t, TILE_ROWS);
            windows::count_tokens(asm, v.join as u32, TILE_ROWS, TILE_TOKENS);
        }
    }
    if let Some(n) = &v.post_norm {
        asm.repeat(1, |asm| each_tile(asm, &t, regs::KV_LEN, |asm| post_norm(asm, &t, n, v, l)));
    }
    // Others have entry points of their own for what follows.
    let whole = l.projector.chain.groups.is_none() && compress.is_none();
    match &v.pool {
        Some((_, pool)) => l.pool(asm, &t, pool, v.layers.len() as u32, TILE_ROWS, FIRST_TOKEN),
        None if whole => l.project(asm, v),
        None => {}
    }
    asm.emit(isa::Halt {});
}

/// Rows of the position table that the half adds, to `to`: a gather by the tile's ids. VX may use them
/// after the token.
fn load_positions(asm: &mut Asm, t: &Tower<'_>, l: &TowerLayout, to: At) {
    use regs::*;
    let ids = t.s("ids");
    asm.alu(ALU_SUB, TMP, POS, T_POS);
    asm.base(A_ROWS, TMP, ids.off);
    let op = isa::Ld {
        mode: LD_GATHER,
        rows: Count::from(ROWS).field(),
        len: Count::from(t.d.dw).field(),
        dst_agu: to.agu,
        dst_off: to.off,
        dst_stride: t.d.dw,
        src_off: l.position_base,
        src_stride: t.d.dw,
        sidx_agu: A_ROWS,
        ..isa::Ld::default()
    };
    asm.sync(op, 0, VX);
}

/// The ids of a whole tile.
fn load_position_ids(asm: &mut Asm, t: &Tower<'_>, l: &TowerLayout) {
    use regs::*;
    asm.alu_imm(ALU_SHR, TMP, T_POS, 4);
    asm.base(A_ROWS, TMP, l.position_ids_base);
    asm.emit(isa::Ld {
        mode: LD_SCALARS,
        rows: Count::from(1).field(),
        len: Count::from(t.d.tile_rows / TILE as u32).field(),
        dst_off: t.s("ids").off,
        src_agu: A_ROWS,
        ..isa::Ld::default()
    });
}

/// Patch embedding, position table, norm.
fn stem(asm: &mut Asm, t: &Tower<'_>, v: &Vision, l: &TowerLayout) {
    use regs::*;
    let (d, x, tmp, pixels) = (t.d, t.spad("x"), t.spad("tmp"), t.spad("pixels"));
    if let Some(n) = &v.pre_norm {
        t.load_norms(asm, abs(l.norms_base), norm_words(n), t.spad("outer_norms"), 0);
    }
    asm.mark(&l.patch.parts[0].linear.path);
    let learned = v.position.is_some();
    if learned {
        load_position_ids(asm, t, l);
    }
    t.each_half_at(asm, |asm| {
        row_generator(asm, A_ROWS, l.pixels_base, l.pixel_words);
        load_half(asm, l.pixel_words, pixels, if learned { 0 } else { VX });
        if learned {
            load_positions(asm, t, l, tmp);
        }
        let (cols, peak) = (v.pixel_cols as u32, t.s("x_scale"));
        vx(ROWS, cols).a(pixels, l.pixel_words).red(R_ABSMAX, peak).sync(asm, LD, 0);
        let dst = (t.abuf("pixels8"), l.pixel_words);
        t.quantise(asm, ROWS, cols, (pixels, l.pixel_words), dst, peak, 1.0, MM);
        t.linear(asm, abs(l.patch_base), &l.patch, dst, (x, d.dw));
    });
    t.each_half_at(asm, |asm| {
        match learned {
            true => t.residual(asm, &[(tmp, t.d.dw)], None), // the position rows wait in tmp
            false => asm.vx_sync(MM, 0),
        }
        if let Some(n) = &v.pre_norm {
            t.norm(asm, n, t.spad("outer_norms"), tmp, false);
            vx(ROWS, d.cols).a(tmp, d.dw).to_spad(x, d.dw).sync(asm, 0, ST);
        } else {
            asm.vx_sync(0, ST);
        }
        row_generator(asm, A_ROWS, l.x_base, d.dw);
        store_half(asm, A_ROWS, d.dw, x);
    });
}

/// The norm behind the layers, in place.
fn post_norm(asm: &mut Asm, t: &Tower<'_>, n: &Norm, v: &Vision, l: &TowerLayout) {
    let (d, x, tmp) = (t.d, t.spad("x"), t.spad("tmp"));
    asm.mark(&n.path);
    let vectors = t.spad("outer_norms");
    t.load_norms(asm, abs(l.norms_base + outer_norm_words(v).0), norm_words(n), vectors, 0);
    t.each_half_at(asm, |asm| {
        row_generator(asm, A_ROWS, l.x_base, d.dw);
        load_half(asm, d.dw, x, VX);
        asm.vx_sync(LD, 0);
        t.norm(asm, n, vectors, tmp, false);
        asm.vx_sync(0, ST);
        store_half(asm, A_ROWS, d.dw, tmp);
    });
}

/// A layer over the KV_LEN rows from row `first` on; `None`: over all rows.
fn layer(asm: &mut Asm, t: &Tower<'_>, v: &Vision, l: &TowerLayout, first: Option<Reg>) {
    let (d, layer, o) = (t.d, &v.layers[0], &l.layer);
    let (x, norms) = (t.spad("x"), t.spad("norms"));
    let enter = |asm: &mut Asm| {
        row_generator_from(asm, first, A_ROWS, l.x_base, d.dw);
        load_half(asm, d.dw, x, VX);
        asm.vx_sync(LD, 0);
        t.norm_quantised(asm, &layer.norm1, norms, false, false);
    };
    // Of all rows, the tiles are counted before the layers.
    let each_tile = |asm: &mut Asm, body: &mut dyn FnMut(&mut Asm)| {
        let tiles = first.map_or(TILES, |_| regs::COUNT);
        if first.is_some() {
            count_tiles_in(asm, t, regs::KV_LEN, tiles);
        }
        repeat_tiles(asm, t, regs::KV_LEN, tiles, body);
    };
    // The argument with the rows counts layers here.
    each_tile(asm, &mut |asm| {
        asm.mark(format!("{} (layer loop)", layer.attention.k.path));
        t.load_norms(asm, agu(A_NORMS), d.norm_words, norms, 0);
        t.each_half_numbered(asm, |asm| {
            enter(asm);
            t.project_keys_values(asm, o);
        });
        t.each_half_numbered(asm, |asm| {
            load_turns(asm, t, l.rope_base, first);
            t.store_keys_values(asm, layer);
        });
    });
    if let Some(r) = &l.read_out {
        t.read_out(asm, (layer, o), r, TILES, enter, |asm| load_turns(asm, t, l.rope_base, None));
    }
    each_tile(asm, &mut |asm| {
        asm.mark(format!("{} (layer loop)", layer.attention.q.path));
        t.load_norms(asm, agu(A_NORMS), d.norm_words, norms, 0);
        t.each_half_at(asm, |asm| {
            enter(asm);
            t.project_queries(asm, &o.q, VX);
        });
        let each = if d.rope { Tower::each_half_at } else { Tower::each_half };
        each(t, asm, &mut |asm: &mut Asm| {
            load_turns(asm, t, l.rope_base, first);
            t.take_queries(asm, layer);
        });
        asm.mark(format!("{} (layer loop)", layer.attention.path));
        t.attend(asm, layer.attention.scale, false, false);
        asm.mark(format!("{} (layer loop)", layer.attention.o.path));
        t.project_output(asm, &o.o);
        t.feed_forward(asm, layer, o, false);
        t.each_half_at(asm, |asm| {
            t.residual(asm, &t.down_parts(), None);
            asm.vx_sync(0, ST);
            row_generator_from(asm, first, A_ROWS, l.x_base, d.dw);
            store_half(asm, A_ROWS, d.dw, x);
            if let Some(compress) = &l.compress {
                compress.keep_half(asm, d.dw, x);
            }
        });
    });
    if let Some(compress) = &l.compress {
        compress.next_layer(asm, d.dw);
    }
}

/// Rotary rows of the half, where the tower has them; rows count from row `first` on.
pub(super) fn load_turns(asm: &mut Asm, t: &Tower<'_>, rope_base: u32, first: Option<Reg>) {
    let d = t.d;
    if d.rope {
        let (row, rope) = (2 * d.half_words, t.spad("rope"));
        row_generator_from(asm, first, A_ROWS, rope_base, row);
        load_half(asm, row, rope, VX);
        asm.vx_sync(LD, 0);
    }
}
