//! A transformer layer as instructions: norms, projections, attention, feed-forward block.
//!
//! Order. Each phase runs over both halves of the tile before the next one starts, so VX works on one
//! half while MM multiplies the other's; attention multiplies the scores of the next item before it
//! uses the probabilities of this one.
//!
//! Tokens. A phase of VX releases MM when a half's operand is quantised, and a phase of MM releases VX
//! when its results are there. Keys and values come before queries, so that they are on their way to
//! the cache while queries are multiplied; ST tells LD when they are there. A credit VX → LD, given at
//! the start of an entry point and by the second norm of each layer, says that the norm vectors and the
//! value scales may be overwritten. Weight loads are posted and need no tokens: their FIFOs order them.

use super::asm::{abs, agu, vx, Asm, At, Count, Reg, LD, MM, ST, VX};
use super::tower::{norm_words, regs, Chip, Dims};
use super::wide::{both_rows, Split};
use super::Build;
use crate::graph::ActKind;
use crate::layout::pack::Packed;
use crate::layout::LayerStorage;
use crate::plan::{Layer, Mlp, Norm};
use flightvlm_hw::isa::{self, names::*};

/// Loop level of the loops over halves and over items of attention; the loop over the matrix
/// commands of an item is one deeper.
pub const HALF_LEVEL: u32 = 2;
/// Smallest maximum that a row is quantised with: an all-zero row stays zero.
pub const TINY: f32 = 1e-20;
/// Generators with a fixed use: weights of the layer.
pub const A_WEIGHTS: u32 = 1;
/// Key cache.
pub const A_K: u32 = 2;
/// Value cache.
pub const A_V: u32 = 3;
/// Value scales of the layer.
pub const A_V_SCALES: u32 = 4;
/// Norm vectors of the layer.
pub const A_NORMS: u32 = 5;
/// The half's blocks of SPAD, ABUF and S, inside loops over halves.
const A_SPAD: u32 = 6;
const A_ABUF: u32 = 7;
const A_S: u32 = 8;
/// First of five generators that each phase sets anew.
pub const A_TEMP: u32 = 9;

/// What the emitters need to know about the tower.
pub struct Tower<'a> {
    /// Sizes.
    pub d: &'a Dims,
    /// On-chip regions.
    pub chip: &'a Chip,
}

/// What norms of heads and rotary turns apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadPart {
    /// Queries.
    Queries,
    /// Keys.
    Keys,
}

/// Offsets (units within a channel) of a layer's pieces in its record.
#[derive(Debug, Clone)]
pub struct LayerOffsets {
    /// Key projection.
    pub k: (u32, Packed),
    /// Value projection.
    pub v: (u32, Packed),
    /// Query projection.
    pub q: (u32, Packed),
    /// Output projection.
    pub o: (u32, Packed),
    /// Gate and up, or the first linear.
    pub up: (u32, Packed),
    /// Down projection, cut along its inputs where the FIFO needs it.
    pub down: Vec<(u32, Packed)>,
    /// Units of the whole record in each channel.
    pub units: u32,
}

impl LayerOffsets {
    /// All pieces in stream order.
    pub fn pieces(&self) -> impl Iterator<Item = &(u32, Packed)> {
        [&self.k, &self.v, &self.q, &self.o, &self.up].into_iter().chain(&self.down)
    }
}

/// Pieces that the down projection is cut into.
pub fn down_parts(l: &Layer, storage: &LayerStorage, build: &Build) -> u32 {
    let (Mlp::Gated { down, .. } | Mlp::Plain { down, .. }) = &l.mlp;
    Packed::plain(down, storage.down).split(build.config.wfifo_words).len() as u32
}

/// Lays a layer out.
pub fn layer_offsets(d: &Dims, l: &Layer, storage: &LayerStorage, build: &Build) -> LayerOffsets {
    let a = &l.attention;
    let cols = crate::layout::pack::padded(a.q.cols_in);
    let q = d.head_part(&a.q, d.heads, false);
    let k = d.head_part(&a.k, d.kv_heads, false);
    let v = d.head_part(&a.v, d.kv_heads, true);
    let packed = |part, storage| Packed::new(vec![part], cols.clone(), storage);
    let up = match &l.mlp {
        Mlp::Gated { gate, up, .. } => {
            let (g, u) = (Packed::plain(gate, storage.up), Packed::plain(up, storage.up));
            Packed::new([g.parts, u.parts].concat(), g.cols, storage.up)
        }
        Mlp::Plain { up, .. } => Packed::plain(up, storage.up),
    };
    let (Mlp::Gated { down, .. } | Mlp::Plain { down, .. }) = &l.mlp;
    let down = Packed::plain(down, storage.down).split(build.config.wfifo_words);
    let mut units = 0;
    let mut place = |p: Packed| {
        let here = units;
        units += p.units();
        (here, p)
    };
    let (k, v, q) = (place(packed(k, storage.k)), place(packed(v, storage.v)), place(packed(q, storage.q)));
    let (o, up) = (place(d.output_projection(a, storage.o)), place(up));
    let down = down.into_iter().map(&mut place).collect();
    LayerOffsets { k, v, q, o, up, down, units }
}

impl Tower<'_> {
    /// First word of a SPAD region (of the current half, inside a loop over halves).
    pub fn spad(&self, name: &str) -> At {
        region(&self.chip.spad, A_SPAD, name)
    }
    /// First word of an ABUF region of the half.
    pub fn abuf(&self, name: &str) -> At {
        region(&self.chip.abuf, A_ABUF, name)
    }
    /// First scalar of an S region.
    pub fn s(&self, name: &str) -> At {
        region(&self.chip.s, A_S, name)
    }

    /// Generators of the halves' blocks.
    pub fn half_generators(&self, asm: &mut Asm) {
        for (a, m) in [(A_SPAD, &self.chip.spad), (A_ABUF, &self.chip.abuf), (A_S, &self.chip.s)] {
            asm.base(a, Reg(0), m.base);
            asm.stride(a, HALF_LEVEL, Reg(0), m.block);
        }
    }

    /// Runs `body` for each half of the tile with ROWS set.
    pub fn each_half(&self, asm: &mut Asm, body: impl FnOnce(&mut Asm)) {
        use regs::*;
        asm.copy(ROWS, HALF_ROWS);
        asm.repeat(HALVES, |asm| {
            body(asm);
            asm.alu(ALU_SUB, ROWS, T_ROWS, HALF_ROWS);
        });
    }

    /// Runs `body` for each half of the tile with ROWS and POS set.
    pub fn each_half_at(&self, asm: &mut Asm, body: impl FnOnce(&mut Asm)) {
        use regs::*;
        asm.copy(POS, T_POS);
        self.each_half(asm, |asm| {
            body(asm);
            asm.alu(ALU_ADD, POS, POS, HALF_ROWS);
        });
    }

    /// Runs `body` for each half of the tile with ROWS, POS and HALF set.
    pub fn each_half_numbered(&self, asm: &mut Asm, body: impl FnOnce(&mut Asm)) {
        asm.set(regs::HALF, 0);
        self.each_half_at(asm, |asm| {
            body(asm);
            asm.alu_imm(ALU_ADD, regs::HALF, regs::HALF, 1);
        });
    }

    /// Streams a packed layer's weights.
    pub fn load_weights(&self, asm: &mut Asm, at: At, p: &Packed) {
        self.load_tiles(asm, at, p, 0, p.tiles());
    }

    /// Streams the weights of `tiles` tiles from tile `first` on.
    pub fn load_tiles(&self, asm: &mut Asm, at: At, p: &Packed, first: u32, tiles: u32) {
        asm.emit(isa::Ld {
            mode: LD_WEIGHT,
            rows: Count::from(tiles).field(),
            first: Count::from(first).field(),
            len: Count::from(p.words()).field(),
            src_agu: at.agu,
            src_off: at.off,
            src_stride: p.tile_units(),
            kbg: p.kbg(),
            wscale: 1,
            bias: u32::from(p.bias),
            fmt: FMT_MIXED,
            nm: p.nm(),
            ..isa::Ld::default()
        });
    }

    /// A packed layer over the half's rows: ABUF words at `act` to SPAD words at `out`, each with its
    /// row stride; row scales in `x_scale`.
    pub fn multiply(&self, asm: &mut Asm, p: &Packed, act: (At, u32), out: (At, u32), wait: u8, release: u8) {
        asm.sync(linear_op(regs::ROWS, p, act, out, self.s("x_scale")), wait, release);
    }

    /// A whole linear layer between two vector phases.
    pub fn linear(&self, asm: &mut Asm, weights: At, p: &Packed, act: (At, u32), out: (At, u32)) {
        self.load_weights(asm, weights, p);
        self.multiply(asm, p, act, out, VX, VX);
    }

    /// Turns the maxima in S at `scale` into scales, with their inverses at `inv`, and quantises `rows`
    /// rows. `factor`: what the rows lack; the scales carry it.
    #[allow(clippy::too_many_arguments, reason = "one parameter per instruction field")]
    pub fn quantise(
        &self,
        asm: &mut Asm,
        rows: impl Into<Count> + Copy,
        len: u32,
        src: (At, u32),
        dst: (At, u32),
        scale: At,
        factor: f32,
        release: u8,
    ) {
        let inv = self.s("inv");
        let peak = || vx(rows, 1).a_s(scale).imm(OP_MAX, TINY);
        peak().imm(OP_MUL, 1.0 / 127.0).func(F_RECIP).to_s(inv).emit(asm);
        peak().imm(OP_MUL, factor / 127.0).to_s(scale).emit(asm);
        let q = vx(rows, len).a(src.0, src.1).s(OP_MUL, inv);
        q.to_abuf(dst.0, dst.1).sync(asm, 0, release);
    }

    /// Normalises X; the result goes to `out` with the row maxima in `x_scale`. `vectors` is where the
    /// norm's vectors lie in SPAD. `stat_done`: the first statistic is already in `stat0`.
    pub fn norm(&self, asm: &mut Asm, n: &Norm, vectors: At, out: At, stat_done: bool) {
        let (rows, len, dw, x) = (regs::ROWS, self.d.cols, self.d.dw, self.spad("x"));
        let (s0, s1, peak) = (self.s("stat0"), self.s("stat1"), self.s("x_scale"));
        let per_column = 1.0 / n.cols as f32;
        if !stat_done {
            self.statistic(asm, n, 0);
        }
        let scalar = |from: At| vx(rows, 1).a_s(from).imm(OP_MUL, per_column);
        if n.b.is_none() {
            scalar(s0).imm(OP_ADD, n.eps).func(F_RSQRT).to_s(s0).emit(asm);
            let y = vx(rows, len).a(x, dw).s(OP_MUL, s0).spad(OP_MUL, vectors, 0, ROW);
            return y.to_spad(out, dw).red(R_ABSMAX, peak).emit(asm);
        }
        scalar(s0).to_s(s0).emit(asm);
        vx(rows, len).a(x, dw).s(OP_SUB, s0).red(R_SUMSQ, s1).emit(asm);
        scalar(s1).imm(OP_ADD, n.eps).func(F_RSQRT).to_s(s1).emit(asm);
        vx(rows, len).a(x, dw).s(OP_SUB, s0).s(OP_MUL, s1).to_spad(out, dw).emit(asm);
        let y = vx(rows, len).a(out, dw).spad(OP_MUL, vectors, 0, ROW);
        y.spad(OP_ADD, vectors.plus(dw), 0, ROW).to_spad(out, dw).red(R_ABSMAX, peak).emit(asm);
    }

    /// Norm and quantisation into `x8`, then MM may go. `last`: behind all layers.
    pub fn norm_quantised(&self, asm: &mut Asm, n: &Norm, vectors: At, stat_done: bool, last: bool) {
        let (dw, tmp) = (self.d.dw, self.spad(if last { "final" } else { "tmp" }));
        self.norm(asm, n, vectors, tmp, stat_done);
        let dst = (self.abuf("x8"), dw);
        self.quantise(asm, regs::ROWS, self.d.cols, (tmp, dw), dst, self.s("x_scale"), 1.0, MM);
    }

    /// What all halves of the tile share; T_ROWS is set.
    pub fn set_tile(&self, asm: &mut Asm) {
        use regs::*;
        // Two halves from 16 rows on: below, loading the weights twice costs more than it hides. From
        // fewer on where a half has no room for 15 rows.
        let one_half_most = self.d.half_rows().min(15);
        asm.alu_imm(ALU_ADD, HALVES_LOG2, T_ROWS, 15 - one_half_most);
        asm.alu_imm(ALU_SHR, HALVES_LOG2, HALVES_LOG2, 4);
        asm.alu_imm(ALU_MIN, HALVES_LOG2, HALVES_LOG2, 1);
        asm.alu_imm(ALU_ADD, HALVES, HALVES_LOG2, 1);
        asm.alu_imm(ALU_ADD, HALF_ROWS, T_ROWS, 1);
        asm.alu(ALU_SHR, HALF_ROWS, HALF_ROWS, HALVES_LOG2);
        asm.alu(ALU_MIN, HALF_ROWS, HALF_ROWS, T_ROWS);
        asm.alu_imm(ALU_EQ, ONE, T_ROWS, 1);
    }

    /// Projects `x8` to queries; waits for VX if `wait` says so, releases it.
    pub fn project_queries(&self, asm: &mut Asm, at: &(u32, Packed), wait: u8) {
        let d = self.d;
        self.load_weights(asm, At { agu: A_WEIGHTS, off: at.0 }, &at.1);
        let out = (self.spad("q"), d.heads * d.hw);
        self.multiply(asm, &at.1, (self.abuf("x8"), d.dw), out, wait, VX);
    }

    /// Projects `x8` to keys, and to values, which lie behind all rows' keys, once VX has it; releases VX.
    pub fn project_keys_values(&self, asm: &mut Asm, o: &LayerOffsets) {
        self.project_keys(asm, o, 0);
        self.project_values(asm, o, 0);
    }

    /// Projects `x8` to keys once VX has it.
    pub fn project_keys(&self, asm: &mut Asm, o: &LayerOffsets, release: u8) {
        let (d, x8) = (self.d, (self.abuf("x8"), self.d.dw));
        self.load_weights(asm, At { agu: A_WEIGHTS, off: o.k.0 }, &o.k.1);
        self.multiply(asm, &o.k.1, x8, (self.spad("kv"), d.kv_heads * d.hw), VX, release);
    }

    /// Projects `x8` to values behind the keys; releases VX.
    pub fn project_values(&self, asm: &mut Asm, o: &LayerOffsets, wait: u8) {
        let (d, x8) = (self.d, (self.abuf("x8"), self.d.dw));
        self.load_weights(asm, At { agu: A_WEIGHTS, off: o.v.0 }, &o.v.1);
        let values = self.behind_keys(asm, &self.chip.spad, "kv", d.hw, A_TEMP);
        self.multiply(asm, &o.v.1, x8, (values, d.kv_heads * d.hw), wait, VX);
    }

    /// Generator `a` behind the rows' keys, of `words` a head, in the half's region.
    fn behind_keys(&self, asm: &mut Asm, m: &super::Halves, name: &str, words: u32, a: u32) -> At {
        self.row_of_half(asm, a, m, name, regs::ROWS, self.d.kv_heads * words);
        agu(a)
    }

    /// Generator `a` = row `row` of a region of the current half; `words` a row.
    pub fn row_of_half(&self, asm: &mut Asm, a: u32, m: &super::Halves, name: &str, row: Reg, words: u32) {
        use regs::*;
        let at = m.half.find(name).expect("invariant: a region of the halves");
        asm.alu_imm(ALU_MUL, TMP, HALF, m.block);
        asm.alu_imm(ALU_MUL, FIRST, row, words);
        asm.alu(ALU_ADD, TMP, TMP, FIRST);
        asm.base(a, TMP, m.base + at);
    }

    /// Turns `heads` heads of each of the half's rows in a region by the rotary table.
    fn rotate(&self, asm: &mut Asm, region: &str, heads: u32) {
        let (d, rows) = (self.d, regs::COUNT);
        let (half, hh) = (d.head_dim / 2, d.half_words);
        let (lo, cos) = (self.spad(region), self.spad("rope"));
        let (hi, sin) = (lo.plus(hh), cos.plus(hh));
        let (t1, t2) = (self.spad("turn1"), self.spad("turn2"));
        asm.set(regs::RMOD, heads);
        asm.alu_imm(ALU_MUL, rows, regs::ROWS, heads);
        for (x, to) in [(hi, t1), (lo, t2)] {
            let y = vx(rows, half).a(x, d.hw).spad(OP_MUL, sin, 2 * hh, ROW_DIV);
            y.to_spad(to, hh).emit(asm);
        }
        for (x, other, op) in [(lo, t1, OP_SUB), (hi, t2, OP_ADD)] {
            let y = vx(rows, half).a(x, d.hw).spad(OP_MUL, cos, 2 * hh, ROW_DIV);
            y.spad(op, other, hh, ROW).to_spad(x, d.hw).emit(asm);
        }
    }

    /// Norms and turns the half's queries or keys, as MM has left them; waits for MM.
    fn turn(&self, asm: &mut Asm, l: &Layer, part: HeadPart) {
        let (region, heads) = self.heads_of(part);
        if !self.norm_heads(asm, l, part) {
            asm.vx_sync(MM, 0);
        }
        if self.d.rope {
            self.rotate(asm, region, heads);
        }
    }

    /// SPAD region of queries or keys, and their heads.
    pub fn heads_of(&self, part: HeadPart) -> (&'static str, u32) {
        match part {
            HeadPart::Queries => ("q", self.d.heads),
            HeadPart::Keys => ("kv", self.d.kv_heads),
        }
    }

    /// Quantises `heads` heads of each of the half's rows: SPAD region `from` to ABUF region `to` with
    /// scales in S region `scales`.
    fn quantise_heads(&self, asm: &mut Asm, heads: u32, from: &str, to: &str, scales: &str, release: u8) {
        let (d, scale, rows) = (self.d, self.s(scales), regs::COUNT);
        let (src, dst) = ((self.spad(from), d.hw), (self.abuf(to), d.hw));
        asm.alu_imm(ALU_MUL, rows, regs::ROWS, heads);
        vx(rows, d.hw * 16).a(src.0, d.hw).red(R_ABSMAX, scale).emit(asm);
        self.quantise(asm, rows, d.hw * 16, src, dst, scale, 1.0, release);
    }

    /// Queries of the half, as MM has left them, for attention; releases MM.
    pub fn take_queries(&self, asm: &mut Asm, l: &Layer) {
        self.turn(asm, l, HeadPart::Queries);
        self.quantise_heads(asm, self.d.heads, "q", "q8", "q_scale", MM);
    }

    /// Keys and values of the half, as MM has left them, to the cache.
    pub fn store_keys_values(&self, asm: &mut Asm, l: &Layer) {
        use regs::*;
        let d = self.d;
        self.turn(asm, l, HeadPart::Keys);
        self.quantise_heads(asm, 2 * d.kv_heads, "kv", "kv8", "kv_scale", ST);
        let v = self.behind_keys(asm, &self.chip.abuf, "kv8", d.hw, A_TEMP);
        let v_scale = self.behind_keys(asm, &self.chip.s, "kv_scale", 1, A_TEMP + 1);
        let (k, k_scale) = (self.abuf("kv8"), self.s("kv_scale"));
        let (mode_k, mode_v) = if d.kv_bits == 4 { (ST_KV_K4, ST_KV_V4) } else { (ST_KV_K, ST_KV_V) };
        let common = |from: At| isa::St {
            rows: Count::from(ROWS).field(),
            len: Count::from(d.hw).field(),
            pos: Count::from(POS).field(),
            heads: Count::from(d.kv_heads).field(),
            src_agu: from.agu,
            src_off: from.off,
            ..isa::St::default()
        };
        let word = d.kv_word_units();
        asm.st_sync(VX, 0);
        let key = |from: At| isa::St {
            dst_agu: A_K,
            dst_stride: d.k_tile_units(),
            head_step: d.k_slots(),
            ..common(from)
        };
        asm.emit(isa::St {
            mode: mode_k,
            src_stride: d.kv_heads * d.hw,
            head_stride: d.hw,
            dst_off: 1,
            chunk_stride: word,
            ..key(k)
        });
        asm.emit(isa::St { mode: ST_KV_SCALE, src_stride: d.kv_heads, head_stride: 1, ..key(k_scale) });
        asm.emit(isa::St {
            mode: mode_v,
            src_stride: d.kv_heads * d.hw,
            head_stride: d.hw,
            dst_agu: A_V,
            dst_stride: word,
            chunk_stride: d.v_tile_units(),
            head_step: d.hw,
            ..common(v)
        });
        asm.emit(isa::St {
            mode: ST_SCALAR,
            src_stride: d.kv_heads,
            head_stride: 1,
            dst_agu: A_V_SCALES,
            dst_stride: 1,
            head_step: d.kv_tiles(),
            ..common(v_scale)
        });
    }

    /// Output projection of the halves whose attention is done.
    pub fn project_output(&self, asm: &mut Asm, o: &(u32, Packed)) {
        let (from, width) = (self.spad("attended"), self.d.heads * self.d.hw);
        self.each_half(asm, |asm| {
            let (peak, dst) = (self.s("x_scale"), (self.abuf("att8"), width));
            vx(regs::ROWS, width * 16).a(from, width).red(R_ABSMAX, peak).sync(asm, MM, 0);
            self.quantise(asm, regs::ROWS, width * 16, (from, width), dst, peak, 1.0, MM);
            let weights = At { agu: A_WEIGHTS, off: o.0 };
            self.linear(asm, weights, &o.1, dst, (self.spad("tmp"), self.d.dw));
        });
    }

    /// x += the rows at `parts`, each with its row stride, once MM has written them, with the next norm's
    /// statistic when there is one.
    pub fn residual(&self, asm: &mut Asm, parts: &[(At, u32)], next: Option<&Norm>) {
        let (d, x) = (self.d, self.spad("x"));
        for (i, pair) in parts.chunks(2).enumerate() {
            let wait = if i == 0 { MM } else { 0 };
            let mut sum = vx(regs::ROWS, d.cols).a(x, d.dw);
            for (part, stride) in pair {
                sum = sum.spad(OP_ADD, *part, *stride, ROW);
            }
            sum = sum.to_spad(x, d.dw);
            if let Some(n) = next.filter(|_| parts.len() <= 2 * (i + 1)) {
                sum = sum.red(statistic(n), self.s("stat0"));
            }
            sum.sync(asm, wait, 0);
        }
    }

    /// Where the pieces of the down projection leave their rows, with the words from row to row.
    pub fn down_parts(&self) -> Vec<(At, u32)> {
        let d = self.d;
        (0..d.down_parts * d.down_rows)
            .map(|i| (self.down_part(i / d.down_rows).plus(i % d.down_rows * d.dw), d.down_rows * d.dw))
            .collect()
    }

    /// First row of a piece of the down projection.
    fn down_part(&self, i: u32) -> At {
        let d = self.d;
        self.spad("down").plus(i * d.down_rows * d.half_rows() * d.dw)
    }

    /// The first statistic of a norm over X.
    pub fn statistic(&self, asm: &mut Asm, n: &Norm, wait: u8) {
        let sum = vx(regs::ROWS, self.d.cols).a(self.spad("x"), self.d.dw);
        sum.red(statistic(n), self.s("stat0")).sync(asm, wait, 0);
    }

    /// Residual, norm and feed-forward block of both halves; its results wait in `down` for the next
    /// residual. `credit`: VX tells LD that norm vectors and value scales are free.
    pub fn feed_forward(&self, asm: &mut Asm, l: &Layer, o: &LayerOffsets, credit: bool) {
        let d = self.d;
        let (tmp, ff) = (self.spad("tmp"), self.spad("ff"));
        let weights = |off| At { agu: A_WEIGHTS, off };
        let (act, down) = match &l.mlp {
            Mlp::Gated { act, down, .. } | Mlp::Plain { act, down, .. } => (*act, down),
        };
        let (ffw, cols) = (d.ffw, down.cols_in as u32);
        let stride = if d.gated { 2 * ffw } else { ffw };
        asm.mark(format!("{} (layer loop)", l.norm2.path));
        self.each_half(asm, |asm| {
            self.residual(asm, &[(tmp, d.dw)], Some(&l.norm2));
            let vectors = self.spad("norms").plus(norm_words(&l.norm1));
            self.norm_quantised(asm, &l.norm2, vectors, true, false);
            self.linear(asm, weights(o.up.0), &o.up.1, (self.abuf("x8"), d.dw), (ff, stride));
        });
        if credit {
            asm.vx_sync(0, LD);
        }
        asm.mark(format!("{} (layer loop)", down.path));
        self.each_half(asm, |asm| {
            let up = d.gated.then(|| ff.plus(ffw));
            let lacks = self.activate(asm, act, cols, (ff, stride), up, MM);
            let (mut from, peak) = (self.abuf("ff8"), self.s("x_scale"));
            let (mut rows, mut scales) = (regs::ROWS, peak);
            match up.filter(|_| d.down_rows > 1) {
                None => self.quantise(asm, rows, cols, (ff, stride), (from, ffw), peak, lacks, MM),
                Some(up) => {
                    self.both_scales(asm, rows, peak, lacks);
                    let (inv, inv_finer) = (self.s("inv"), self.s("inv_finer"));
                    // What `up` held is used.
                    let (rows_at, spare) = ((ff, stride), (up, stride));
                    let split = Split { from: rows_at, spare, to: from, words: ffw, inv, inv_finer };
                    self.quantise_both(asm, rows, cols, &split, MM);
                    (rows, scales) = (regs::TMP, self.s("both_scales"));
                    both_rows(asm, rows);
                }
            }
            for (i, (at, p)) in o.down.iter().enumerate() {
                self.load_weights(asm, weights(*at), p);
                let wait = if i == 0 { VX } else { 0 };
                let release = if i + 1 == o.down.len() { VX } else { 0 };
                let out = (self.down_part(i as u32), d.dw);
                asm.sync(linear_op(rows, p, (from, ffw), out, scales), wait, release);
                from = from.plus((p.cols.len() / 16) as u32);
            }
        });
    }

    /// Activation of `rows` rows in place, without anything they would still lack.
    pub fn activate_rows(
        &self,
        asm: &mut Asm,
        act: ActKind,
        rows: u32,
        cols: u32,
        (base, stride): (At, u32),
    ) {
        let row = || vx(rows, cols).a(base, stride).to_spad(base, stride);
        match act {
            ActKind::Gelu => row().func(F_GELU).emit(asm),
            ActKind::GeluTanh => row().func(F_GELU_TANH).emit(asm),
            ActKind::Silu => row().func(F_SILU).emit(asm),
            ActKind::Relu => row().imm(OP_MAX, 0.0).emit(asm),
            ActKind::Relu2 => row().imm(OP_MAX, 0.0).spad(OP_MUL, base, stride, ROW).emit(asm),
            ActKind::QuickGelu => {
                row().imm(OP_MUL, 1.702).func(F_SILU).emit(asm);
                row().imm(OP_MUL, 1.0 / 1.702).emit(asm);
            }
        }
    }

    /// Activation in place, times `up` when gated, row maxima to `x_scale`. Gives a factor that the rows
    /// still lack.
    pub fn activate(
        &self,
        asm: &mut Asm,
        act: ActKind,
        cols: u32,
        at: (At, u32),
        up: Option<At>,
        wait: u8,
    ) -> f32 {
        let (base, stride) = at;
        let row = || vx(regs::ROWS, cols).a(base, stride).to_spad(base, stride);
        let (first, lacks) = match act {
            ActKind::Gelu => (row().func(F_GELU), 1.0),
            ActKind::GeluTanh => (row().func(F_GELU_TANH), 1.0),
            ActKind::Silu => (row().func(F_SILU), 1.0),
            ActKind::Relu => (row().imm(OP_MAX, 0.0), 1.0),
            // max(x, 0) · x
            ActKind::Relu2 => (row().imm(OP_MAX, 0.0).spad(OP_MUL, base, stride, ROW), 1.0),
            // x·σ(1.702x) = silu(1.702x) / 1.702
            ActKind::QuickGelu => (row().imm(OP_MUL, 1.702).func(F_SILU), 1.0 / 1.702),
        };
        let peak = self.s("x_scale");
        match up {
            None => first.red(R_ABSMAX, peak).sync(asm, wait, 0),
            Some(up) => {
                first.sync(asm, wait, 0);
                row().spad(OP_MUL, up, stride, ROW).red(R_ABSMAX, peak).emit(asm);
            }
        }
        lacks
    }

    /// Loads norm vectors for both halves; VX may use them after the token.
    pub fn load_norms(&self, asm: &mut Asm, at: At, words: u32, to: At, wait: u8) {
        let op = isa::Ld {
            mode: LD_ROWS,
            rows: Count::from(1).field(),
            len: Count::from(words).field(),
            dst_agu: to.agu,
            dst_off: to.off,
            src_agu: at.agu,
            src_off: at.off,
            ..isa::Ld::default()
        };
        asm.sync(op, wait, VX);
        asm.vx_sync(LD, 0);
    }
}

/// A region of both halves at its address, or of a half behind generator `a`.
fn region(m: &super::Halves, a: u32, name: &str) -> At {
    match (m.shared.find(name), m.half.find(name)) {
        (Some(at), _) => abs(at),
        (None, Some(off)) => At { agu: a, off },
        (None, None) => panic!("invariant: region {name} was requested"),
    }
}

/// `to` = `for_one` in tiles of one row, else `for_many`.
pub(super) fn choose(asm: &mut Asm, to: Reg, for_one: u32, for_many: u32) {
    asm.alu_imm(ALU_MUL, to, regs::ONE, for_one.wrapping_sub(for_many));
    asm.alu_imm(ALU_ADD, to, to, for_many);
}

/// Reduction of a norm's first statistic.
fn statistic(n: &Norm) -> u32 {
    if n.b.is_some() {
        R_SUM
    } else {
        R_SUMSQ
    }
}

/// The matrix command of a packed layer; strides are words per row.
pub fn linear_op(rows: impl Into<Count>, p: &Packed, act: (At, u32), out: (At, u32), sa: At) -> isa::Mm {
    isa::Mm {
        rows: rows.into().field(),
        tiles: Count::from(p.tiles()).field(),
        kb: Count::from(p.words()).field(),
        kbg: p.kbg(),
        act_agu: act.0.agu,
        act_off: act.0.off,
        act_stride: Count::from(act.1).field(),
        out_agu: out.0.agu,
        out_off: out.0.off,
        out_stride: Count::from(out.1).field(),
        sa_agu: sa.agu,
        sa_off: sa.off,
        sa_stride: Count::from(1).field(),
        wscale: 1,
        bias: u32::from(p.bias),
        nm: p.nm(),
        ..isa::Mm::default()
    }
}
