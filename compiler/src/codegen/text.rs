//! The language model's entry point: embeds, runs all layers over tiles of the prompt, appends to
//! the KV cache, computes logits of the last or of all rows, and selects the greedy token.

use super::asm::{abs, agu, vx, Asm, Count, Reg, LD, MM, ST, VX};
use super::early_exit::{each_layer, layer_generators, mode, save_rows};
use super::layer::{down_parts, layer_offsets, linear_op, LayerOffsets, Tower, A_NORMS, A_TEMP};
use super::tower::{norm_words, regs, Chip, Dims, Requests};
use super::{add, choose_tile, text_args, wide, Build};
use crate::diag::Diagnostic;
use crate::graph::{BlockMask, MASK_BLOCK};
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::onchip::Request;
use crate::layout::pack::Packed;
use crate::layout::words;
use crate::plan::{Layer, Mlp, Text};
use flightvlm_hw::config::TILE;
use flightvlm_hw::isa::{self, names::*};

const A_ROPE: u32 = 14;
const A_IDS: u32 = 15;
/// Logit rows written so far.
const DONE: Reg = Reg(8);
/// First row of the half whose logits are wanted.
const FIRST_ROW: Reg = Reg(6);
/// 1 when the row's hidden state is wanted too.
const WANTS_HIDDEN: Reg = regs::Q_ROWS;

/// Where everything of the language model lies.
#[derive(Debug, Clone)]
pub struct TextLayout {
    /// Sizes.
    pub dims: Dims,
    /// On-chip regions.
    pub chip: Chip,
    /// Layer record.
    pub layer: LayerOffsets,
    /// Output layer.
    pub head: Packed,
    /// Words of a logits row.
    pub logit_words: u32,
    pub(super) layers_base: u32,
    pub(super) norms_base: u32,
    head_base: u32,
    norm_base: u32,
    pub(super) embed_base: u32,
    pub(super) position_base: u32,
    pub(super) rope_base: u32,
    pub(super) k_base: u32,
    pub(super) v_base: u32,
    pub(super) v_scales_base: u32,
    pub(super) ids_base: u32,
    logits_base: u32,
    hidden_base: u32,
    tokens_base: u32,
    /// Residual rows of a prompt, where they are kept between layers.
    pub(super) x_base: u32,
    /// The model can be left early.
    pub(super) early_exit: bool,
    /// First row, counted from the embedding table's, of those that an early exit leaves.
    pub saved_row: Option<u32>,
}

impl TextLayout {
    /// The record of one layer (all have the same offsets, each its own weights).
    pub fn record(&self, layer: &Layer, build: &Build) -> LayerOffsets {
        layer_offsets(&self.dims, layer, &build.layers, build)
    }
}

/// The most positions below so many that fit, if any do.
fn longest_context(below: u32, fits: impl Fn(u32) -> bool) -> Option<u32> {
    let tile = TILE as u32;
    // Positions take memory: what fits is a range from the least on.
    let (mut low, mut high) = (0, below / tile);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fits(middle * tile) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low > 0).then_some(low * tile)
}

/// Lays the language model out and adds its regions to the memory map.
pub fn text_layout(
    text: &Text,
    rows_behind: usize,
    max_context: usize,
    build: &Build,
    dram: &mut DramMap,
) -> Result<TextLayout, Diagnostic> {
    let first: &Layer = text.layers.first().ok_or_else(|| {
        Diagnostic::new("text model", "at least one layer", "none", "check num_hidden_layers in config.json")
    })?;
    if build.wide_inputs && matches!(first.mlp, Mlp::Plain { .. }) {
        return Err(Diagnostic::new(
            "wide inputs",
            "a language model with gated feed-forward blocks",
            "blocks without a gate",
            "compile without --wide-inputs",
        ));
    }
    let positions = max_context.next_multiple_of(TILE) as u32;
    let logit_words = words(text.head.cols_out);
    let parts = down_parts(first, &build.layers, build);
    let fit = |d: &Dims| {
        let mut r = Requests::of(d);
        let logits = |words| Request { name: "logits", words, from: 9, to: 9 };
        match build.wide_inputs {
            false => r.spad.1.push(logits(logit_words)),
            true => {
                // A row at a time: the halves share the room.
                r.spad.0.push(logits(logit_words + wide::spare_words(logit_words, d.dw)));
                r.abuf.push(Request { name: "head8", words: (2 * d.dw).next_multiple_of(8), from: 9, to: 9 });
            }
        }
        let words = norm_words(&text.final_norm);
        r.spad.0.push(Request { name: "final_norm", words, from: 0, to: 9 });
        Chip::fit(&r, &build.config)
    };
    let at = |positions| choose_tile("text model", first, positions, parts, build, fit);
    let (dims, chip) =
        at(positions).map_err(|fault| match longest_context(positions, |p| at(p).is_ok()) {
            Some(context) => {
                Diagnostic { help: format!("--max-context {context} or less; or {}", fault.help), ..fault }
            }
            None => fault,
        })?;
    let layer = layer_offsets(&dims, first, &build.layers, build);
    let head = Packed::plain(&text.head, build.head);
    for p in layer.pieces().map(|x| &x.1).chain([&head]) {
        p.check(&build.config)?;
    }
    let layers = text.layers.len();
    let prefix = first.attention.prefix;
    let (row, tile) = (u64::from(dims.dw), u64::from(dims.tile_rows));
    let rope_words = if dims.rope { 2 * dims.half_words } else { 0 };
    let (main, channels) = (Space::Main, Space::Channels);
    // Learned rows and visual tokens follow the table, then rows that an early exit leaves: one gather fetches all.
    let (tables, early_exit) = (text.vocab + rows_behind, build.early_exit);
    let kept = if early_exit { positions as usize } else { 0 };
    let mut add = |space, name: &str, kind, records, units| add(dram, space, name, kind, records, units);
    let mut out = TextLayout {
        layers_base: add(channels, "text.layers", Kind::Content, layers, layer.units.into())?,
        head_base: add(channels, "text.head", Kind::Content, 1, head.units().into())?,
        k_base: add(channels, "text.k_cache", Kind::State, layers, dims.k_units())?,
        v_base: add(channels, "text.v_cache", Kind::State, layers, dims.v_units())?,
        norms_base: add(main, "text.norms", Kind::Content, layers, dims.norm_words.into())?,
        norm_base: add(main, "text.final_norm", Kind::Content, 1, norm_words(&text.final_norm).into())?,
        embed_base: add(main, "text.embed", Kind::Content, tables + kept, row)?,
        position_base: add(
            main,
            "text.position",
            Kind::Content,
            text.position.map_or(0, |(_, rows)| rows),
            row,
        )?,
        rope_base: add(main, "text.rope", Kind::Input, positions as usize, rope_words.into())?,
        v_scales_base: add(main, "text.v_scales", Kind::State, layers, u64::from(dims.v_scale_units()))?,
        ids_base: add(main, "text.ids", Kind::Input, 1, u64::from(positions / TILE as u32))?,
        logits_base: add(main, "text.logits", Kind::Output, tile as usize, logit_words.into())?,
        hidden_base: add(main, "text.hidden", Kind::Output, 1, row)?,
        tokens_base: add(main, "text.tokens", Kind::Output, 1, tile / TILE as u64)?,
        x_base: add(
            main,
            "text.x",
            Kind::State,
            if prefix && !early_exit { positions as usize } else { 0 },
            row,
        )?,
        early_exit,
        saved_row: early_exit.then_some(tables as u32),
        dims,
        chip,
        layer,
        head,
        logit_words,
    };
    if early_exit {
        out.x_base = out.embed_base + tables as u32 * out.dims.dw;
    }
    Ok(out)
}

pub(super) fn emit(asm: &mut Asm, text: &Text, l: &TextLayout) {
    use regs::*;
    let d = &l.dims;
    let t = Tower { d, chip: &l.chip };
    asm.mark("text: start");
    asm.vx_sync(0, LD);
    asm.copy(T_POS, Reg(text_args::POSITION as u32));
    asm.copy(LEFT, Reg(text_args::ROWS as u32));
    t.half_generators(asm);
    layer_generators(asm, l, 1);
    asm.alu_imm(ALU_ADD, COUNT, LEFT, d.tile_rows - 1);
    if d.mask.is_some() {
        row_of_tile(asm, d);
        asm.alu(ALU_ADD, COUNT, COUNT, TMP);
    }
    asm.alu_imm(ALU_SHR, COUNT, COUNT, d.tile_rows.trailing_zeros());
    asm.repeat(COUNT, |asm| {
        match d.mask {
            Some(mask) => take_aligned_tile(asm, d, mask),
            None => take_tile(asm, d),
        }
        t.set_tile(asm);
        asm.alu_imm(ALU_SHR, OLD_TILES, T_POS, 4);
        asm.alu(ALU_ADD, NEW_TILES, T_POS, T_ROWS);
        asm.alu_imm(ALU_ADD, NEW_TILES, NEW_TILES, 15);
        asm.alu_imm(ALU_SHR, NEW_TILES, NEW_TILES, 4);
        asm.alu(ALU_SUB, NEW_TILES, NEW_TILES, OLD_TILES);
        // Loops over halves are of one level everywhere.
        asm.repeat(1, |asm| load_rows(asm, &t, l, text.position.is_some()));
        each_layer(asm, l, text.layers.len(), |asm| layer(asm, &t, &text.layers[0], l));
        asm.repeat(1, |asm| head(asm, &t, text, l, l.early_exit));
        asm.alu(ALU_ADD, T_POS, T_POS, T_ROWS);
        asm.emit(isa::Fence {});
    });
    asm.emit(isa::Halt {});
}

/// T_ROWS = min(LEFT, tile); LEFT −= T_ROWS.
pub(super) fn take_tile(asm: &mut Asm, d: &Dims) {
    use regs::*;
    asm.alu_imm(ALU_MIN, T_ROWS, LEFT, d.tile_rows);
    asm.alu(ALU_SUB, LEFT, LEFT, T_ROWS);
}

/// TMP = T_POS mod tile.
fn row_of_tile(asm: &mut Asm, d: &Dims) {
    use regs::*;
    let unused = 32 - d.tile_rows.trailing_zeros();
    asm.alu_imm(ALU_SHL, TMP, T_POS, unused);
    asm.alu_imm(ALU_SHR, TMP, TMP, unused);
}

/// A tile that ends where its height divides the position, so that its rows are of one block row of the mask;
/// SKIP is what they do not see.
fn take_aligned_tile(asm: &mut Asm, d: &Dims, mask: BlockMask) {
    use regs::*;
    row_of_tile(asm, d);
    asm.set(T_ROWS, d.tile_rows);
    asm.alu(ALU_SUB, T_ROWS, T_ROWS, TMP);
    asm.alu(ALU_MIN, T_ROWS, T_ROWS, LEFT);
    asm.alu(ALU_SUB, LEFT, LEFT, T_ROWS);
    let (all_seen, block) = ((mask.window - 1 + mask.sinks) as u32, MASK_BLOCK as u32);
    asm.alu_imm(ALU_SHR, SKIP, T_POS, block.trailing_zeros());
    asm.alu_imm(ALU_MAX, SKIP, SKIP, all_seen);
    asm.alu_imm(ALU_SUB, SKIP, SKIP, all_seen);
    asm.alu_imm(ALU_SHL, SKIP, SKIP, (block / TILE as u32).trailing_zeros());
}

/// Embeds the tile's rows and loads their rotary rows. What the layers add first is zero, or the rows of
/// the position table.
fn load_rows(asm: &mut Asm, t: &Tower<'_>, l: &TextLayout, positions: bool) {
    use regs::*;
    let d = t.d;
    asm.mark("text: embedding");
    let (ids, x) = (t.s("ids"), t.spad("x"));
    asm.base(A_IDS, OLD_TILES, l.ids_base);
    asm.emit(isa::Ld {
        mode: LD_SCALARS,
        rows: Count::from(1).field(),
        len: Count::from(NEW_TILES).field(),
        dst_off: ids.off,
        src_agu: A_IDS,
        ..isa::Ld::default()
    });
    t.each_half_at(asm, |asm| {
        asm.alu_imm(ALU_SHL, TMP, OLD_TILES, 4);
        asm.alu(ALU_SUB, TMP, POS, TMP);
        asm.base(A_TEMP, TMP, ids.off);
        asm.emit(isa::Ld {
            mode: LD_GATHER,
            rows: Count::from(ROWS).field(),
            len: Count::from(d.dw).field(),
            dst_agu: x.agu,
            dst_off: x.off,
            dst_stride: d.dw,
            src_off: l.embed_base,
            src_stride: d.dw,
            sidx_agu: A_TEMP,
            ..isa::Ld::default()
        });
        let down = t.down_parts();
        let rope = d.rope.then(|| (2 * d.half_words, l.rope_base, (t.spad("rope"), 2 * d.half_words)));
        let position = positions.then(|| (d.dw, l.position_base, down[0]));
        for (row, base, (to, stride)) in rope.into_iter().chain(position) {
            asm.alu_imm(ALU_MUL, TMP, POS, row);
            asm.base(A_ROPE, TMP, base);
            asm.emit(isa::Ld {
                mode: LD_ROWS,
                rows: Count::from(ROWS).field(),
                len: Count::from(row).field(),
                dst_agu: to.agu,
                dst_off: to.off,
                dst_stride: stride,
                src_agu: A_ROPE,
                src_stride: row,
                ..isa::Ld::default()
            });
        }
        asm.ld_sync(0, VX);
        asm.vx_sync(LD, 0);
        for (part, stride) in down.into_iter().skip(usize::from(positions)) {
            vx(ROWS, d.cols).a(x, d.dw).imm(OP_MUL, 0.0).to_spad(part, stride).emit(asm);
        }
        asm.mm_sync(0, VX);
    });
}

fn layer(asm: &mut Asm, t: &Tower<'_>, layer: &Layer, l: &TextLayout) {
    let (d, a, o) = (t.d, &layer.attention, &l.layer);
    let norms = t.spad("norms");
    asm.mark(format!("{} (layer loop)", layer.norm1.path));
    t.load_norms(asm, agu(A_NORMS), d.norm_words, norms, VX);
    // While earlier weights stream: it takes long.
    t.load_old_scales(asm);
    t.each_half_numbered(asm, |asm| {
        t.residual(asm, &t.down_parts(), Some(&layer.norm1));
        t.norm_quantised(asm, &layer.norm1, norms, true, false);
        asm.mark(format!("{} (layer loop)", a.q.path));
        t.project_keys_values(asm, o);
        t.project_queries(asm, &o.q, 0);
    });
    asm.mark(format!("{} (layer loop)", a.path));
    t.each_half_numbered(asm, |asm| {
        t.store_keys_values(asm, layer);
        asm.st_sync(0, LD);
        t.take_queries(asm, layer);
    });
    t.attend(asm, a.scale, a.causal, true);
    asm.mark(format!("{} (layer loop)", a.o.path));
    t.project_output(asm, &o.o);
    t.feed_forward(asm, layer, o, true);
}

/// Final norm, logits of the wanted rows, greedy token of each. `saves`: the rows stay in main memory, too.
pub(super) fn head(asm: &mut Asm, t: &Tower<'_>, text: &Text, l: &TextLayout, saves: bool) {
    use regs::*;
    let d = t.d;
    let (norm, wide) = (&text.final_norm, d.down_rows > 1);
    asm.mark(&norm.path);
    let vectors = t.spad("final_norm");
    t.load_norms(asm, abs(l.norm_base), norm_words(norm), vectors, 0);
    let (logits, token) = (t.spad("logits"), t.s("token"));
    // All residuals first: each waits for a token of MM, which the output layer gives too.
    let enter = |asm: &mut Asm| {
        t.residual(asm, &t.down_parts(), Some(norm));
        if saves {
            save_rows(asm, t, l);
        }
        match wide {
            true => t.norm(asm, norm, vectors, t.spad("final"), true),
            false => t.norm_quantised(asm, norm, vectors, true, true),
        }
    };
    match saves {
        true => t.each_half_at(asm, enter),
        false => t.each_half(asm, enter),
    }
    asm.mark(&text.head.path);
    let wanted = mode(asm, l);
    t.each_half_numbered(asm, |asm| {
        // Rows with logits: all, or one in the last half of the last tile.
        asm.alu(ALU_EQ, COUNT, HALF, HALVES_LOG2);
        asm.alu_imm(ALU_EQ, TMP, LEFT, 0);
        asm.alu(ALU_MUL, COUNT, COUNT, TMP);
        asm.alu_imm(ALU_EQ, TMP, wanted, super::logits::ALL);
        asm.alu(ALU_MUL, TMP, ROWS, TMP);
        asm.alu(ALU_MAX, COUNT, COUNT, TMP);
        asm.alu(ALU_SUB, FIRST_ROW, ROWS, COUNT);
        let (act, scale, to, normed) = (A_TEMP, A_TEMP + 1, A_TEMP + 2, A_TEMP + 3);
        t.row_of_half(asm, act, &t.chip.abuf, "x8", FIRST_ROW, d.dw);
        t.row_of_half(asm, scale, &t.chip.s, "x_scale", FIRST_ROW, 1);
        t.row_of_half(asm, normed, &t.chip.spad, "final", FIRST_ROW, d.dw);
        asm.alu_imm(ALU_EQ, WANTS_HIDDEN, wanted, super::logits::HIDDEN);
        asm.alu_imm(ALU_MUL, TMP, DONE, l.logit_words);
        asm.base(to, TMP, l.logits_base);
        let rows = if wide { (normed, d.dw) } else { (act, d.dw) };
        for (a, step) in [rows, (scale, 1), (to, l.logit_words)] {
            asm.stride(a, 3, Reg(0), step);
        }
        asm.alu_imm(ALU_MIN, TMP, wanted, 1);
        // A register: an immediate count is below 32768.
        asm.set(KV_LEN, text.head.cols_out as u32);
        if !wide {
            asm.mm_sync(VX, 0);
        }
        asm.repeat(COUNT, |asm| {
            let p = &l.head;
            let best = vx(1, KV_LEN).a(logits, 0).red(R_ARGMAX, token);
            if wide {
                t.wide_logits(asm, l, abs(l.head_base), agu(normed), agu(scale));
                best.sync(asm, 0, ST);
            } else {
                t.load_weights(asm, abs(l.head_base), p);
                asm.sync(linear_op(1, p, (agu(act), d.dw), (logits, l.logit_words), agu(scale)), 0, VX);
                best.sync(asm, MM, ST);
            }
            asm.sync(
                isa::St {
                    mode: ST_ROWS,
                    rows: Count::from(TMP).field(),
                    len: Count::from(l.logit_words).field(),
                    src_agu: logits.agu,
                    src_off: logits.off,
                    dst_agu: to,
                    ..isa::St::default()
                },
                VX,
                0,
            );
            asm.emit(isa::St {
                mode: ST_SCALAR,
                rows: Count::from(1).field(),
                len: Count::from(1).field(),
                src_off: token.off,
                dst_off: l.tokens_base,
                dst_stride: 1,
                pos: Count::from(DONE).field(),
                heads: Count::from(1).field(),
                ..isa::St::default()
            });
            asm.emit(isa::St {
                mode: ST_ROWS,
                rows: Count::from(WANTS_HIDDEN).field(),
                len: Count::from(d.dw).field(),
                src_agu: normed,
                dst_off: l.hidden_base,
                ..isa::St::default()
            });
            asm.alu_imm(ALU_ADD, DONE, DONE, 1);
            asm.emit(isa::Fence {});
        });
    });
}
