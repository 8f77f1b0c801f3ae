//! QueCC behind the layers of a tower: hidden states of some of its layers and a question become a token for each window.
//!
//! The tower takes its patches window by window, so that a window's rows follow each other. While its layers run, the
//! rows behind some of them are kept side by side, as the keys' and values' MLPs read them. Then: the question's row
//! through a linear layer and a norm, added to the features; three MLPs as chains over all rows; the convolution over each
//! window as a weighted sum of its rows; and for each window, its keys and values to the cache, which its one query asks.
//! The code is in three pieces, so that small instruction memories hold each.

use super::asm::{abs, agu, vx, Asm, At, Count, Reg, LD, MM, ST, VX};
use super::layer::{LayerOffsets, Tower, A_K, A_TEMP, A_V, A_V_SCALES, A_WEIGHTS};
use super::projector::{chain_layout, joined, Chain, ChainLayout, Ends, Extra};
use super::text::take_tile;
use super::tower::{norm_words, regs, Chip, Dims, Requests};
use super::vision::{
    count_tiles, each_tile, load_half, row_generator, row_generator_from, store_half, A_ROWS,
};
use super::windows::SEGMENT;
use super::{add, choose_tile, Build, TILE_ROWS};
use crate::diag::{Diagnostic, Diagnostics};
use crate::graph::ActKind;
use crate::import::WeightStore;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::onchip::Request;
use crate::layout::pack::{padded, vector, Packed, Storage};
use crate::layout::words;
use crate::plan::{Compress, Layer, Linear, Mlp, Vision};
use flightvlm_hw::config::TILE;
use flightvlm_hw::isa::{self, names::*};

/// Name of the region with the question's hidden state.
pub const QUESTION_REGION: &str = "vision.question";
/// Names of the regions with weights and with vectors.
pub const COMPRESS_REGIONS: [&str; 2] = ["vision.compress", "vision.compress_vectors"];

/// While the layers run: a bit for each layer that is left, the next one lowest: its rows are kept. Attention over a
/// tower's own rows has no other use for the register.
const KEPT: Reg = regs::OLD_TILES;
/// Words in front of those that the next kept rows take; behind the layers, units in front of the window's row. The argument
/// with the tower's rows has been read by then.
const OFFSET: Reg = Reg(super::vision_args::ROWS as u32);
/// Rows that a pass is over.
const ROWS_OF_PASS: Reg = regs::KV_LEN;
/// Loop level of loops inside a half.
const INSIDE: u32 = super::layer::HALF_LEVEL + 1;

/// Where everything lies.
#[derive(Debug, Clone)]
pub struct CompressLayout {
    /// Of the rows that come out.
    pub dims: Dims,
    /// First unit of these rows.
    pub out: u32,
    /// Patches of the picture, of a window, and windows.
    patches: u32,
    window: u32,
    windows: u32,
    /// Kept hidden states.
    states: u32,
    text: ChainLayout,
    mlps: [ChainLayout; 3],
    /// On-chip regions of the sums, and their tiles.
    sums: (Dims, Chip),
    chip: Chip,
    attention: LayerOffsets,
    weights: u32,
    vectors: u32,
    /// Units: rows of hidden states, the question, its projection, the sum with the features, what the MLPs give, queries.
    kept: u32,
    question: u32,
    projected: u32,
    asked: u32,
    given: [u32; 3],
    queries: u32,
    caches: [u32; 3],
}

/// The layer that emitters know: its norms are the keys' and the values', its feed-forward block is not looked at.
fn layer(c: &Compress) -> Layer {
    let a = &c.attention;
    let mlp = Mlp::Plain { up: a.o.clone(), down: a.o.clone(), act: ActKind::Gelu };
    Layer { norm1: c.k.norm.clone(), attention: a.clone(), norm2: c.v.norm.clone(), mlp }
}

/// Lays it out behind a tower of `tower` dimensions.
pub(super) fn compress_layout(
    v: &Vision,
    c: &Compress,
    tower: &Dims,
    build: &Build,
    dram: &mut DramMap,
) -> Result<CompressLayout, Diagnostic> {
    let build = &Build { kv_bits: 8, wide_inputs: false, grouped: false, ..build.clone() };
    let (cols, dw, states) = (tower.cols, tower.dw, c.states.len() as u32);
    let patches = (v.rows - v.skip_rows) as u32;
    let window = (c.side * c.side) as u32;
    let windows = patches / window;
    let mut units = 0;
    let mut chain = |what: &Linear, linears: &[(Linear, Option<ActKind>)], columns: Vec<_>, dims: Dims| {
        let mut chain = chain_layout(&what.path, linears, columns, &dims, Extra::default(), build)?;
        units = chain.place(A_WEIGHTS, units);
        Ok::<_, Diagnostic>(chain)
    };
    let asked = &c.text.0;
    let of_text = Dims::of_rows(asked.cols_in as u32, build);
    let text = chain(asked, &[(asked.clone(), None)], padded(asked.cols_in), of_text)?;
    let own = padded(cols as usize);
    let of_rows = |joined: u32| Dims { cols: joined * cols, dw: joined * dw, ..Dims::of_rows(cols, build) };
    let beside = joined(&own, cols, c.states.len());
    let mlps = [
        chain(&c.q.linears[0].0, &c.q.linears, own.clone(), of_rows(1))?,
        chain(&c.k.linears[0].0, &c.k.linears, beside.clone(), of_rows(states))?,
        chain(&c.v.linears[0].0, &c.v.linears, beside, of_rows(states))?,
    ];
    let sums = sums_layout(c, of_rows(1), build)?;
    let layer = layer(c);
    let positions = window.next_multiple_of(TILE as u32);
    let fit = |d: &Dims| Chip::fit(&Requests::of(d), &build.config);
    let (dims, chip) = choose_tile(&c.attention.path, &layer, positions, 1, build, fit)?;
    let storage = Storage::w8(build.config.slices);
    let packed = |part| Packed::new(vec![part], own.clone(), storage);
    let a = &c.attention;
    let pieces = [
        packed(dims.head_part(&a.k, dims.kv_heads, false)),
        packed(dims.head_part(&a.v, dims.kv_heads, true)),
        packed(dims.head_part(&a.q, dims.heads, false)),
        dims.output_projection(a, storage),
    ];
    let [k, v_part, q, o] = pieces.map(|piece| {
        let here = units;
        units += piece.units();
        (here, piece)
    });
    for (_, piece) in [&k, &v_part, &q, &o] {
        piece.check(&build.config)?;
    }
    let attention = LayerOffsets { k, v: v_part, q, up: (0, o.1.clone()), o, down: Vec::new(), units };
    let (main, channels) = (Space::Main, Space::Channels);
    let mut region = |space, name: &str, kind, records: u32, units: u64| {
        add(dram, space, name, kind, records as usize, units)
    };
    let row = u64::from(dw);
    let [weights, vectors] = COMPRESS_REGIONS;
    let vector_words = [&c.text.1, &c.q.norm, &c.k.norm, &c.v.norm].map(norm_words).iter().sum::<u32>();
    let mut rows = |name: &str, rows| region(main, &format!("vision.{name}"), Kind::State, rows, row);
    let (projected, asked, out) =
        (rows("question_row", 1)?, rows("asked", patches)?, rows("windows", windows)?);
    let given = [rows("mlp.q", patches)?, rows("mlp.k", patches)?, rows("mlp.v", patches)?];
    let queries = rows("queries", windows)?;
    Ok(CompressLayout {
        out,
        patches,
        window,
        windows,
        states,
        weights: region(channels, weights, Kind::Content, 1, units.into())?,
        vectors: region(main, vectors, Kind::Content, 1, u64::from(vector_words + (window + 1) * dw))?,
        kept: region(main, "vision.hidden_states", Kind::State, v.rows as u32, u64::from(states * dw))?,
        question: region(main, QUESTION_REGION, Kind::Input, 1, words(c.text.0.cols_in).into())?,
        caches: [
            region(channels, "vision.window_k", Kind::State, 1, dims.k_units())?,
            region(channels, "vision.window_v", Kind::State, 1, dims.v_units())?,
            region(main, "vision.window_v_scales", Kind::State, 1, dims.v_scale_units().into())?,
        ],
        projected,
        asked,
        given,
        queries,
        text,
        mlps,
        sums,
        dims,
        chip,
        attention,
    })
}

/// Tiles of the passes that add rows.
fn sums_layout(c: &Compress, base: Dims, build: &Build) -> Result<(Dims, Chip), Diagnostic> {
    let fit = |tile_rows: &u32| {
        let dims = Dims { tile_rows: *tile_rows, ..base.clone() };
        let r = |name, words| Request { name, words, from: 0, to: 9 };
        let rows = dims.half_rows();
        let shared = vec![r("norm", norm_words(&c.q.norm)), r("row", dims.dw), r("bias", dims.dw)];
        let half = ["x", "tmp", "taps"].map(|name| r(name, rows * dims.dw)).to_vec();
        let s = ["stat0", "stat1", "x_scale", "inv"].map(|name| r(name, rows)).to_vec();
        let want = Requests { spad: (shared, half), abuf: Vec::new(), s: (Vec::new(), s) };
        Chip::fit(&want, &build.config).ok().map(|chip| (dims, chip))
    };
    TILE_ROWS.iter().find_map(fit).ok_or_else(|| {
        Diagnostic::new(
            &c.q.norm.path,
            format!("rows of {} columns within the on-chip memories", base.cols),
            format!("{} scratchpad words", build.config.spad_words),
            "use a target with larger on-chip memories",
        )
    })
}

impl CompressLayout {
    /// Before the layers: which rows are kept.
    pub(super) fn begin(&self, asm: &mut Asm, c: &Compress) {
        // Hidden state i stands behind i layers.
        asm.set(KEPT, c.states.iter().map(|state| 1 << (state - 1)).sum());
        asm.set(OFFSET, 0);
    }

    /// The half's rows, which ST has been released for, if they are kept; `x` has them.
    pub(super) fn keep_half(&self, asm: &mut Asm, dw: u32, x: At) {
        self.is_kept(asm);
        asm.alu_imm(ALU_MUL, regs::TMP, regs::POS, self.states * dw);
        asm.alu(ALU_ADD, regs::TMP, regs::TMP, OFFSET);
        asm.base(A_ROWS, regs::TMP, self.kept);
        asm.repeat(regs::COUNT, |asm| {
            asm.emit(isa::St {
                mode: ST_ROWS,
                rows: Count::from(regs::ROWS).field(),
                len: Count::from(dw).field(),
                src_agu: x.agu,
                src_off: x.off,
                src_stride: dw,
                dst_agu: A_ROWS,
                dst_stride: self.states * dw,
                ..isa::St::default()
            });
        });
    }

    /// Behind a layer.
    pub(super) fn next_layer(&self, asm: &mut Asm, dw: u32) {
        self.is_kept(asm);
        asm.alu_imm(ALU_MUL, regs::COUNT, regs::COUNT, dw);
        asm.alu(ALU_ADD, OFFSET, OFFSET, regs::COUNT);
        asm.alu_imm(ALU_SHR, KEPT, KEPT, 1);
    }

    /// COUNT = 1 if the layer's rows are kept, else 0.
    fn is_kept(&self, asm: &mut Asm) {
        asm.alu_imm(ALU_SHL, regs::COUNT, KEPT, 31);
        asm.alu_imm(ALU_SHR, regs::COUNT, regs::COUNT, 31);
    }

    /// In a launch behind the tower's: what attention takes.
    pub(super) fn emit_queries(&self, asm: &mut Asm, c: &Compress) {
        let dw = self.dims.dw;
        asm.base(A_WEIGHTS, Reg(0), self.weights);
        let run = |asm: &mut Asm, chain: &ChainLayout, linears, (from, to), rows: u32| {
            asm.set(ROWS_OF_PASS, rows);
            let ends = Ends { from, to: (to, None), residual: None };
            chain.emit(asm, Chain { linears, norm: None }, ends, ROWS_OF_PASS, true);
        };
        let text = [(c.text.0.clone(), None)];
        run(asm, &self.text, &text, (self.question, self.projected), 1);
        self.add_question(asm, c);
        // Row 0 is the class row.
        let kept = self.kept + self.states * dw;
        for ((mlp, chain), (from, to)) in [&c.q, &c.k, &c.v]
            .into_iter()
            .zip(&self.mlps)
            .zip([self.asked, kept, kept].into_iter().zip(self.given))
        {
            run(asm, chain, &mlp.linears, (from, to), self.patches);
        }
        self.pool(asm, c);
    }

    /// The question's norm, and its sum with each row of the features.
    fn add_question(&self, asm: &mut Asm, c: &Compress) {
        use regs::*;
        let (d, chip) = &self.sums;
        let t = Tower { d, chip };
        let (x, norm, row) = (t.spad("x"), t.spad("norm"), t.spad("row"));
        t.half_generators(asm);
        asm.mark(&c.text.1.path);
        asm.set(ROWS_OF_PASS, 1);
        count_tiles(asm, &t, ROWS_OF_PASS);
        // Loops over halves are of one level everywhere.
        asm.repeat(1, |asm| {
            each_tile(asm, &t, ROWS_OF_PASS, |asm| {
                t.load_norms(asm, abs(self.vectors), norm_words(&c.text.1), norm, 0);
                t.each_half_at(asm, |asm| {
                    row_generator(asm, A_ROWS, self.projected, d.dw);
                    load_half(asm, d.dw, x, VX);
                    asm.vx_sync(LD, 0);
                    t.norm(asm, &c.text.1, norm, row, false);
                });
            });
        });
        let width = self.states * d.dw;
        let features = self.kept + width + c.state as u32 * d.dw;
        asm.set(ROWS_OF_PASS, self.patches);
        count_tiles(asm, &t, ROWS_OF_PASS);
        asm.repeat(1, |asm| {
            each_tile(asm, &t, ROWS_OF_PASS, |asm| {
                t.each_half_at(asm, |asm| {
                    row_generator(asm, A_ROWS, features, width);
                    let op = isa::Ld {
                        mode: LD_ROWS,
                        rows: Count::from(ROWS).field(),
                        len: Count::from(d.dw).field(),
                        dst_agu: x.agu,
                        dst_off: x.off,
                        dst_stride: d.dw,
                        src_agu: A_ROWS,
                        src_stride: width,
                        ..isa::Ld::default()
                    };
                    asm.sync(op, 0, VX);
                    let sum = vx(ROWS, d.cols).a(x, d.dw).spad(OP_ADD, row, 0, ROW);
                    sum.to_spad(x, d.dw).sync(asm, LD, ST);
                    row_generator(asm, A_ROWS, self.asked, d.dw);
                    store_half(asm, A_ROWS, d.dw, x);
                });
            });
        });
    }

    /// A query of each window: the bias, and each row times the weights of its place.
    fn pool(&self, asm: &mut Asm, c: &Compress) {
        use regs::*;
        let (d, chip) = &self.sums;
        let t = Tower { d, chip };
        let (x, tmp, taps) = (t.spad("x"), t.spad("tmp"), t.spad("taps"));
        let (norm, sum, bias) = (t.spad("norm"), t.spad("row"), t.spad("bias"));
        let vectors = self.vectors_of(c);
        t.half_generators(asm);
        asm.mark(&c.q.norm.path);
        t.load_norms(asm, abs(vectors.q), norm_words(&c.q.norm), norm, 0);
        t.load_norms(asm, abs(vectors.bias), d.dw, bias, 0);
        asm.stride(A_TEMP, INSIDE, Reg(0), d.dw);
        self.each_window(asm, d.dw, |asm| {
            vx(1, d.dw * 16).a(bias, 0).to_spad(sum, 0).emit(asm);
            count_tiles(asm, &t, ROWS_OF_PASS);
            each_tile(asm, &t, ROWS_OF_PASS, |asm| {
                t.each_half_numbered(asm, |asm| {
                    row_generator_from(asm, Some(SEGMENT), A_ROWS, self.given[0], d.dw);
                    load_half(asm, d.dw, x, 0);
                    row_generator(asm, A_ROWS, vectors.taps, d.dw);
                    load_half(asm, d.dw, taps, VX);
                    asm.vx_sync(LD, 0);
                    t.norm(asm, &c.q.norm, norm, tmp, false);
                    let row = vx(ROWS, d.cols).a(tmp, d.dw).spad(OP_MUL, taps, d.dw, ROW);
                    row.to_spad(tmp, d.dw).emit(asm);
                    t.row_of_half(asm, A_TEMP, &chip.spad, "tmp", Reg(0), d.dw);
                    asm.repeat(ROWS, |asm| {
                        let more = vx(1, d.dw * 16).a(sum, 0).spad(OP_ADD, agu(A_TEMP), 0, ROW);
                        more.to_spad(sum, 0).emit(asm);
                    });
                });
            });
            asm.vx_sync(0, ST);
            self.store_row(asm, self.queries, d.dw, sum);
        });
    }

    /// In a launch behind that: each window's query asks its keys for its values.
    pub(super) fn emit_windows(&self, asm: &mut Asm, c: &Compress) {
        use regs::*;
        asm.base(A_WEIGHTS, Reg(0), self.weights);
        let (layer, d, o) = (layer(c), &self.dims, &self.attention);
        let t = Tower { d, chip: &self.chip };
        let (x, tmp, norms, peak) = (t.spad("x"), t.spad("tmp"), t.spad("norms"), t.s("x_scale"));
        for (a, base) in [A_K, A_V, A_V_SCALES].into_iter().zip(self.caches) {
            asm.base(a, Reg(0), base);
        }
        t.half_generators(asm);
        asm.mark(&c.attention.path);
        t.load_norms(asm, abs(self.vectors_of(c).k), d.norm_words, norms, 0);
        self.each_window(asm, d.dw, |asm| {
            count_tiles(asm, &t, ROWS_OF_PASS);
            let enter = |asm: &mut Asm, rows: u32, norm, vectors: At| {
                row_generator_from(asm, Some(SEGMENT), A_ROWS, rows, d.dw);
                load_half(asm, d.dw, x, VX);
                asm.vx_sync(LD, 0);
                t.norm_quantised(asm, norm, vectors, false, false);
            };
            each_tile(asm, &t, ROWS_OF_PASS, |asm| {
                t.each_half_numbered(asm, |asm| {
                    enter(asm, self.given[1], &layer.norm1, norms);
                    t.project_keys(asm, o, VX);
                    // The values' rows take the keys' places.
                    asm.vx_sync(MM, LD);
                    asm.ld_sync(VX, 0);
                    enter(asm, self.given[2], &layer.norm2, norms.plus(norm_words(&layer.norm1)));
                    t.project_values(asm, o, VX);
                    t.store_keys_values(asm, &layer);
                });
            });
            asm.set(T_POS, 0);
            asm.set(LEFT, 1);
            take_tile(asm, d);
            t.set_tile(asm);
            asm.repeat(1, |asm| {
                t.each_half_at(asm, |asm| {
                    asm.base(A_ROWS, OFFSET, self.queries);
                    load_half(asm, d.dw, x, VX);
                    vx(ROWS, d.cols).a(x, d.dw).red(R_ABSMAX, peak).sync(asm, LD, 0);
                    t.quantise(asm, ROWS, d.cols, (x, d.dw), (t.abuf("x8"), d.dw), peak, 1.0, MM);
                    t.project_queries(asm, &o.q, VX);
                });
                t.each_half(asm, |asm| t.take_queries(asm, &layer));
                t.attend(asm, layer.attention.scale, false, false);
                t.project_output(asm, &o.o);
                t.each_half(asm, |asm| {
                    asm.vx_sync(MM, ST);
                    self.store_row(asm, self.out, d.dw, tmp);
                });
            });
        });
    }

    /// Runs `body` for each window, with its first row in SEGMENT, its rows in ROWS_OF_PASS, and OFFSET units in front of
    /// its row of results.
    fn each_window(&self, asm: &mut Asm, dw: u32, body: impl FnOnce(&mut Asm)) {
        asm.set(SEGMENT, 0);
        asm.set(OFFSET, 0);
        asm.repeat(self.windows, |asm| {
            asm.set(ROWS_OF_PASS, self.window);
            body(asm);
            asm.emit(isa::Fence {});
            asm.alu_imm(ALU_ADD, SEGMENT, SEGMENT, self.window);
            asm.alu_imm(ALU_ADD, OFFSET, OFFSET, dw);
        });
    }

    /// The window's row, once VX has released ST.
    fn store_row(&self, asm: &mut Asm, to: u32, dw: u32, from: At) {
        asm.base(A_ROWS, OFFSET, to);
        let op = isa::St {
            mode: ST_ROWS,
            rows: Count::from(1).field(),
            len: Count::from(dw).field(),
            src_agu: from.agu,
            src_off: from.off,
            dst_agu: A_ROWS,
            ..isa::St::default()
        };
        asm.sync(op, VX, 0);
    }

    fn vectors_of(&self, c: &Compress) -> Vectors {
        let q = self.vectors + norm_words(&c.text.1);
        let k = q + norm_words(&c.q.norm);
        let bias = k + norm_words(&c.k.norm) + norm_words(&c.v.norm);
        Vectors { q, k, bias, taps: bias + self.dims.dw }
    }

    /// Weights, channel by channel, and vectors.
    pub fn pack(&self, c: &Compress, w: &WeightStore, slices: usize) -> Result<[Vec<u8>; 2], Diagnostics> {
        let mut channels = vec![Vec::new(); slices];
        let chains =
            [&self.text].into_iter().chain(&self.mlps).flat_map(|chain| chain.linears.iter().flatten());
        let o = &self.attention;
        for piece in chains.chain([&o.k.1, &o.v.1, &o.q.1, &o.o.1]) {
            piece.write(w, None, None, &mut channels)?;
        }
        let dw = self.dims.dw;
        let mut vectors = Vec::new();
        for norm in [&c.text.1, &c.q.norm, &c.k.norm, &c.v.norm] {
            for values in [Some(norm.w), norm.b].into_iter().flatten() {
                vectors.extend(vector(&w.load_f32(values)?, dw));
            }
        }
        vectors.extend(vector(&w.load_f32(c.pool.1)?, dw));
        let taps = w.load_f32(c.pool.0)?;
        for tap in 0..self.window as usize {
            let of_tap: Vec<f32> = taps.iter().skip(tap).step_by(self.window as usize).copied().collect();
            vectors.extend(vector(&of_tap, dw));
        }
        Ok([channels.concat(), vectors])
    }
}

/// Units of vectors.
struct Vectors {
    /// Norm of the queries' MLP.
    q: u32,
    /// Of the keys', and behind it the values'.
    k: u32,
    bias: u32,
    /// A row for each place of a window.
    taps: u32,
}
