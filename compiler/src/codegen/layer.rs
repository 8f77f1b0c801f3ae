//! A transformer layer as instructions: norms, projections, attention, feed-forward block.
//!
//! Tokens. MM and VX alternate: each phase ends with a release to the other. ST tells LD when keys
//! and values are in the cache. Two credits, given once at the start of an entry point, let LD run
//! ahead: VX → LD (the norm vectors may be overwritten), MM → LD (the value scales may be).
//! Weight loads are posted and need no tokens: their FIFOs order them.

use super::asm::{abs, agu, vx, Asm, At, Count, Reg, LD, MM, ST, VX};
use super::tower::{norm_words, regs, Chip, Dims};
use super::Build;
use crate::graph::ActKind;
use crate::layout::pack::{Packed, Storage};
use crate::plan::{Layer, Mlp, Norm};
use flightvlm_hw::isa::{self, names::*};

/// Loop level of the loop over blocks of heads; the loop inside a block is one deeper.
pub const HEAD_LEVEL: u32 = 2;
/// Smallest maximum that a row is quantised with: an all-zero row stays zero.
const TINY: f32 = 1e-20;
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
/// First of eight generators that each phase sets anew.
pub const A_TEMP: u32 = 6;

/// What the emitters need to know about the tower.
pub struct Tower<'a> {
    /// Sizes.
    pub d: &'a Dims,
    /// On-chip regions.
    pub chip: &'a Chip,
}

/// Offsets (units within a channel) of a layer's pieces in its record.
#[derive(Debug, Clone)]
pub struct LayerOffsets {
    /// Query and key projections.
    pub qk: Vec<(u32, Packed)>,
    /// Value projection.
    pub v: (u32, Packed),
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
        self.qk.iter().chain([&self.v, &self.o, &self.up]).chain(&self.down)
    }
}

/// Pieces that the down projection is cut into.
pub fn down_parts(l: &Layer, storage: Storage, build: &Build) -> u32 {
    let (Mlp::Gated { down, .. } | Mlp::Plain { down, .. }) = &l.mlp;
    Packed::plain(down, storage).split(build.config.wfifo_words).len() as u32
}

/// Lays a layer out; `split` separates queries from keys (towers that run in two passes).
pub fn layer_offsets(d: &Dims, l: &Layer, split: bool, storage: Storage, build: &Build) -> LayerOffsets {
    let a = &l.attention;
    let cols = crate::layout::pack::padded(a.q.cols_in);
    let q = d.head_part(&a.q, d.heads, false);
    let k = d.head_part(&a.k, d.kv_heads, false);
    let v = d.head_part(&a.v, d.kv_heads, true);
    let packed = |parts| Packed::new(parts, cols.clone(), storage);
    let qk = if split { vec![packed(vec![q]), packed(vec![k])] } else { vec![packed(vec![q, k])] };
    let up = match &l.mlp {
        Mlp::Gated { gate, up, .. } => {
            let (g, u) = (Packed::plain(gate, storage), Packed::plain(up, storage));
            Packed::new([g.parts, u.parts].concat(), g.cols, storage)
        }
        Mlp::Plain { up, .. } => Packed::plain(up, storage),
    };
    let (Mlp::Gated { down, .. } | Mlp::Plain { down, .. }) = &l.mlp;
    let down = Packed::plain(down, storage).split(build.config.wfifo_words);
    let mut units = 0;
    let mut place = |p: Packed| {
        let here = units;
        units += p.units();
        (here, p)
    };
    let qk = qk.into_iter().map(&mut place).collect();
    let (v, o, up) = (place(packed(vec![v])), place(d.output_projection(a, storage)), place(up));
    let down = down.into_iter().map(&mut place).collect();
    LayerOffsets { qk, v, o, up, down, units }
}

impl Tower<'_> {
    /// First word of a SPAD region.
    pub fn spad(&self, name: &str) -> u32 {
        self.chip.spad.at(name)
    }
    /// First word of an ABUF region.
    pub fn abuf(&self, name: &str) -> u32 {
        self.chip.abuf.at(name)
    }
    /// First scalar of an S region.
    pub fn s(&self, name: &str) -> u32 {
        self.chip.s.at(name)
    }

    /// Streams a packed layer's weights.
    pub fn load_weights(&self, asm: &mut Asm, at: At, p: &Packed) {
        asm.emit(isa::Ld {
            mode: LD_WEIGHT,
            rows: Count::from(p.tiles()).field(),
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

    /// A packed layer over the tile's rows: ABUF words at `act` to SPAD words at `out`, each with its
    /// row stride; row scales in `x_scale`.
    pub fn multiply(
        &self,
        asm: &mut Asm,
        p: &Packed,
        act: (u32, u32),
        out: (At, u32),
        wait: u8,
        release: u8,
    ) {
        let sa = abs(self.s("x_scale"));
        let op = linear_op(regs::ROWS, p, (abs(act.0), act.1), out, sa);
        asm.sync(op, wait, release);
    }

    /// A whole linear layer between two vector phases.
    pub fn linear(&self, asm: &mut Asm, weights: At, p: &Packed, act: (u32, u32), out: (u32, u32)) {
        self.load_weights(asm, weights, p);
        self.multiply(asm, p, act, (abs(out.0), out.1), VX, VX);
    }

    /// Turns the maxima in S at `scale` into scales and quantises `rows` rows of `words` words.
    #[allow(clippy::too_many_arguments, reason = "one parameter per instruction field")]
    pub fn quantise(
        &self,
        asm: &mut Asm,
        rows: impl Into<Count> + Copy,
        len: u32,
        src: (u32, u32),
        dst: (u32, u32),
        scale: u32,
        release: u8,
    ) {
        let inv = self.s("inv");
        vx(rows, 1).a_s(scale).imm(OP_MAX, TINY).imm(OP_MUL, 1.0 / 127.0).to_s(scale).emit(asm);
        vx(rows, 1).a_s(scale).func(F_RECIP).to_s(inv).emit(asm);
        let q = vx(rows, len).a(abs(src.0), src.1).s(OP_MUL, inv);
        q.to_abuf(abs(dst.0), dst.1).sync(asm, 0, release);
    }

    /// Normalises X; the result goes to `out` with the row maxima in `x_scale`. `vectors` is where
    /// the norm's vectors lie in SPAD. `stat_done`: the first statistic is already in `stat0`.
    pub fn norm(&self, asm: &mut Asm, n: &Norm, vectors: u32, out: u32, stat_done: bool, release: u8) {
        let (rows, len, dw, x) = (regs::ROWS, self.d.cols, self.d.dw, self.spad("x"));
        let (s0, s1, peak) = (self.s("stat0"), self.s("stat1"), self.s("x_scale"));
        let per_column = 1.0 / n.cols as f32;
        if !stat_done {
            self.statistic(asm, n, 0);
        }
        let scalar = |from: u32| vx(rows, 1).a_s(from).imm(OP_MUL, per_column);
        if n.b.is_none() {
            scalar(s0).imm(OP_ADD, n.eps).func(F_RSQRT).to_s(s0).emit(asm);
            let y = vx(rows, len).a(abs(x), dw).s(OP_MUL, s0).spad(OP_MUL, vectors, 0, ROW);
            return y.to_spad(abs(out), dw).red(R_ABSMAX, peak).sync(asm, 0, release);
        }
        scalar(s0).to_s(s0).emit(asm);
        vx(rows, len).a(abs(x), dw).s(OP_SUB, s0).red(R_SUMSQ, s1).emit(asm);
        scalar(s1).imm(OP_ADD, n.eps).func(F_RSQRT).to_s(s1).emit(asm);
        vx(rows, len).a(abs(x), dw).s(OP_SUB, s0).s(OP_MUL, s1).to_spad(abs(out), dw).emit(asm);
        let y = vx(rows, len).a(abs(out), dw).spad(OP_MUL, vectors, 0, ROW);
        let y = y.spad(OP_ADD, vectors + dw, 0, ROW);
        y.to_spad(abs(out), dw).red(R_ABSMAX, peak).sync(asm, 0, release);
    }

    /// Norm and quantisation into `x8`, then MM may go. `last`: behind all layers.
    pub fn norm_quantised(
        &self,
        asm: &mut Asm,
        n: &Norm,
        vectors: u32,
        stat_done: bool,
        release: u8,
        last: bool,
    ) {
        let (dw, tmp) = (self.d.dw, self.spad(if last { "final" } else { "tmp" }));
        self.norm(asm, n, vectors, tmp, stat_done, release);
        let dst = (self.abuf("x8"), dw);
        self.quantise(asm, regs::ROWS, self.d.cols, (tmp, dw), dst, self.s("x_scale"), MM);
    }

    /// Derived counts of the tile; ROWS, KV_LEN and POS are set. `stored`: keys and values of all
    /// positions are in the cache already.
    pub fn set_rows(&self, asm: &mut Asm, stored: bool) {
        use regs::*;
        let d = self.d;
        asm.alu_imm(ALU_ADD, KV_TILES, KV_LEN, 15);
        asm.alu_imm(ALU_SHR, KV_TILES, KV_TILES, 4);
        if stored {
            asm.copy(OLD_TILES, KV_TILES);
        } else {
            asm.alu_imm(ALU_SHR, OLD_TILES, POS, 4);
        }
        asm.alu(ALU_SUB, NEW_TILES, KV_TILES, OLD_TILES);
        asm.alu_imm(ALU_MUL, QK_ROWS, ROWS, d.qk_heads());
        asm.alu_imm(ALU_MUL, QKV_ROWS, ROWS, d.qk_heads() + d.kv_heads);
        // One row: a block of all heads. More: a block a query head. 1 − [rows = 1] in TMP.
        let (one, many) = (COUNT, TMP);
        asm.alu_imm(ALU_EQ, one, ROWS, 1);
        asm.alu_imm(ALU_EQ, many, one, 0);
        let choose = |asm: &mut Asm, to: Reg, for_one: u32, for_many: u32| {
            asm.alu_imm(ALU_MUL, to, one, for_one.wrapping_sub(for_many));
            asm.alu_imm(ALU_ADD, to, to, for_many);
        };
        choose(asm, Q_STRIDE, d.hw, d.qk_heads() * d.hw);
        choose(asm, S_STRIDE, 1, d.qk_heads());
        choose(asm, O_STRIDE, d.hw, d.heads * d.hw);
        choose(asm, BLOCKS, 1, d.heads);
        choose(asm, BLOCK, d.kv_heads, 1);
        // rows · [many] + group · [one]; likewise for the block.
        asm.alu(ALU_MUL, BLOCK_ROWS, many, ROWS);
        asm.alu_imm(ALU_MUL, Q_ROWS, one, d.group());
        asm.alu(ALU_ADD, Q_ROWS, Q_ROWS, BLOCK_ROWS);
        asm.alu_imm(ALU_MUL, FIRST, one, d.heads);
        asm.alu(ALU_ADD, BLOCK_ROWS, BLOCK_ROWS, FIRST);
        asm.alu_imm(ALU_ADD, VBASE, POS, 1);
    }

    /// Base and the strides of the two head loops.
    fn generator(&self, asm: &mut Asm, a: u32, base: u32, block: u32, inside: u32) {
        asm.base(a, Reg(0), base);
        for (level, stride) in [(HEAD_LEVEL, block), (HEAD_LEVEL + 1, inside)] {
            asm.stride(a, level, Reg(0), stride);
        }
    }

    /// Projects `x8` to the heads of one packed projection that starts with head `first` of a row's
    /// queries and keys.
    pub fn project_qk(&self, asm: &mut Asm, at: &(u32, Packed), first: u32, wait: u8, release: u8) {
        let d = self.d;
        self.load_weights(asm, At { agu: A_WEIGHTS, off: at.0 }, &at.1);
        let out = abs(self.spad("qkv") + first * d.hw);
        self.multiply(asm, &at.1, (self.abuf("x8"), d.dw), (out, d.qk_heads() * d.hw), wait, release);
    }

    /// Projects `x8` to the value heads, which lie behind all rows' queries and keys.
    pub fn project_v(&self, asm: &mut Asm, at: &(u32, Packed), wait: u8, release: u8) {
        let d = self.d;
        self.load_weights(asm, At { agu: A_WEIGHTS, off: at.0 }, &at.1);
        asm.alu_imm(ALU_MUL, regs::TMP, regs::QK_ROWS, d.hw);
        asm.base(A_TEMP, regs::TMP, self.spad("qkv"));
        self.multiply(asm, &at.1, (self.abuf("x8"), d.dw), (agu(A_TEMP), d.kv_heads * d.hw), wait, release);
    }

    /// Turns queries and keys by the rotary table, all heads at once; waits for MM.
    pub fn rotate(&self, asm: &mut Asm) {
        let (d, rows) = (self.d, regs::QK_ROWS);
        let (half, hh) = (d.head_dim / 2, d.half_words);
        let (lo, cos) = (self.spad("qkv"), self.spad("rope"));
        let (hi, sin) = (lo + hh, cos + hh);
        let (t1, t2) = (self.spad("turn1"), self.spad("turn2"));
        asm.set(regs::RMOD, d.qk_heads());
        asm.vx_sync(MM, 0);
        for (x, to) in [(hi, t1), (lo, t2)] {
            let y = vx(rows, half).a(abs(x), d.hw).spad(OP_MUL, sin, 2 * hh, ROW_DIV);
            y.to_spad(abs(to), hh).emit(asm);
        }
        for (x, other, op) in [(lo, t1, OP_SUB), (hi, t2, OP_ADD)] {
            let y = vx(rows, half).a(abs(x), d.hw).spad(OP_MUL, cos, 2 * hh, ROW_DIV);
            y.spad(op, other, hh, ROW).to_spad(abs(x), d.hw).emit(asm);
        }
    }

    /// Quantises the first `rows` heads of queries, keys and values (in that order in `qkv`).
    pub fn quantise_heads(&self, asm: &mut Asm, rows: Reg, release: u8) {
        let (d, scale) = (self.d, self.s("qkv_scale"));
        let (src, dst) = ((self.spad("qkv"), d.hw), (self.abuf("qkv8"), d.hw));
        vx(rows, d.hw * 16).a(abs(src.0), d.hw).red(R_ABSMAX, scale).emit(asm);
        self.quantise(asm, rows, d.hw * 16, src, dst, scale, release);
    }

    /// Quantises queries, keys and values (in a pass without queries these are stale and unused) and
    /// appends keys and values to the cache; `release` is what the quantisation releases besides ST.
    pub fn store_keys_values(&self, asm: &mut Asm, release: u8) {
        use regs::*;
        let d = self.d;
        self.quantise_heads(asm, QKV_ROWS, ST | release);
        // Values, and their scales, lie behind all rows' queries and keys.
        let (v, v_scale) = (A_TEMP, A_TEMP + 1);
        asm.alu_imm(ALU_MUL, TMP, QK_ROWS, d.hw);
        asm.base(v, TMP, self.abuf("qkv8"));
        asm.base(v_scale, QK_ROWS, self.s("qkv_scale"));
        let (mode_k, mode_v) = if d.kv_bits == 4 { (ST_KV_K4, ST_KV_V4) } else { (ST_KV_K, ST_KV_V) };
        let common = isa::St {
            rows: Count::from(ROWS).field(),
            len: Count::from(d.hw).field(),
            pos: Count::from(POS).field(),
            heads: Count::from(d.kv_heads).field(),
            ..isa::St::default()
        };
        let word = d.kv_word_units();
        asm.st_sync(VX, 0);
        let key = isa::St { dst_agu: A_K, dst_stride: d.k_tile_units(), head_step: d.k_slots(), ..common };
        asm.emit(isa::St {
            mode: mode_k,
            src_off: self.abuf("qkv8") + d.heads * d.hw,
            src_stride: d.qk_heads() * d.hw,
            head_stride: d.hw,
            dst_off: 1,
            chunk_stride: word,
            ..key
        });
        asm.emit(isa::St {
            mode: ST_KV_SCALE,
            src_off: self.s("qkv_scale") + d.heads,
            src_stride: d.qk_heads(),
            head_stride: 1,
            ..key
        });
        asm.emit(isa::St {
            mode: mode_v,
            src_agu: v,
            src_stride: d.kv_heads * d.hw,
            head_stride: d.hw,
            dst_agu: A_V,
            dst_stride: word,
            chunk_stride: d.v_tile_units(),
            head_step: d.hw,
            ..common
        });
        asm.emit(isa::St {
            mode: ST_SCALAR,
            src_agu: v_scale,
            src_stride: d.kv_heads,
            head_stride: 1,
            dst_agu: A_V_SCALES,
            dst_stride: 1,
            head_step: d.scw,
            ..common
        });
    }

    /// Loads `tiles` key tiles from tile `from` on for each kv head of the block, and multiplies the
    /// queries with them.
    fn score_tiles(&self, asm: &mut Asm, from: Reg, tiles: Reg, generators: [u32; 3]) {
        use regs::*;
        let d = self.d;
        let [q_act, q_scale, out] = generators;
        asm.alu_imm(ALU_MUL, FIRST, KV_HEAD, d.k_slots());
        asm.alu(ALU_ADD, FIRST, FIRST, from);
        asm.repeat(BLOCK, |asm| {
            asm.emit(isa::Ld {
                mode: LD_WEIGHT,
                rows: Count::from(tiles).field(),
                len: Count::from(d.hw).field(),
                src_agu: A_K,
                src_stride: d.k_tile_units(),
                wscale: 1,
                fmt: if d.kv_bits == 4 { FMT_W4K } else { FMT_W8K },
                first: Count::from(FIRST).field(),
                ..isa::Ld::default()
            });
            asm.emit(isa::Mm {
                rows: Count::from(Q_ROWS).field(),
                tiles: Count::from(tiles).field(),
                kb: Count::from(d.hw).field(),
                act_agu: q_act,
                act_stride: Count::from(Q_STRIDE).field(),
                out_agu: out,
                out_stride: Count::from(d.scw).field(),
                sa_agu: q_scale,
                sa_stride: Count::from(S_STRIDE).field(),
                wscale: 1,
                first: Count::from(FIRST).field(),
                ..isa::Mm::default()
            });
            asm.alu_imm(ALU_ADD, FIRST, FIRST, d.k_slots());
        });
    }

    /// Softmax attention over the cache; the result is token-major in `attended`, quantised in
    /// `att8` with scales in `x_scale`. VX has quantised the queries before. `own`: the tile's own
    /// keys and values are on their way to the cache; tiles that hold earlier rows only are
    /// multiplied before they have arrived.
    pub fn attend(&self, asm: &mut Asm, scale: f32, causal: bool, own: bool) {
        use regs::*;
        let (d, z) = (self.d, Reg(0));
        let (q_act, q_scale, old, new, p_act, p_sa, out, vs) = (
            A_TEMP,
            A_TEMP + 1,
            A_TEMP + 2,
            A_TEMP + 3,
            A_TEMP + 4,
            A_TEMP + 5,
            A_TEMP + 6,
            A_TEMP + 7,
        );
        let group = d.group();
        self.generator(asm, q_act, self.abuf("qkv8"), d.hw, group * d.hw);
        self.generator(asm, q_scale, self.s("qkv_scale"), 1, group);
        self.generator(asm, old, self.spad("scores"), 0, group * d.scw);
        if own {
            asm.base(new, OLD_TILES, self.spad("scores"));
            asm.stride(new, HEAD_LEVEL, z, 0);
            asm.stride(new, HEAD_LEVEL + 1, z, group * d.scw);
            asm.set(UNSTORED, 1);
        }
        self.generator(asm, p_act, self.abuf("p8"), 0, group * d.scw);
        self.generator(asm, p_sa, self.s("row_sum"), 0, group);
        self.generator(asm, out, self.spad("attended"), d.hw, group * d.hw);
        self.generator(asm, vs, self.spad("v_scales"), 0, d.scw);
        asm.set(HEAD, 0);
        asm.mm_sync(VX, 0);
        asm.repeat(BLOCKS, |asm| {
            // kv head = query head / group, by a reciprocal that is exact for up to 65536 / group heads.
            asm.alu_imm(ALU_MUL, KV_HEAD, HEAD, 65536_u32.div_ceil(group));
            asm.alu_imm(ALU_SHR, KV_HEAD, KV_HEAD, 16);
            asm.alu_imm(ALU_ADD, HEAD, HEAD, 1);
            self.score_tiles(asm, z, OLD_TILES, [q_act, q_scale, old]);
            if own {
                asm.repeat(UNSTORED, |asm| asm.ld_sync(ST, 0));
                asm.set(UNSTORED, 0);
                self.score_tiles(asm, OLD_TILES, NEW_TILES, [q_act, q_scale, new]);
            }
            asm.mm_sync(0, VX);
            // The scales of this block's values, once the last block is through with its own.
            asm.ld_sync(MM, 0);
            asm.alu_imm(ALU_MUL, FIRST, KV_HEAD, d.scw);
            asm.emit(isa::Seta { agu: A_V_SCALES, what: SETA_ADVANCE, rs: FIRST.0, imm: 0 });
            asm.repeat(BLOCK, |asm| {
                asm.emit(isa::Ld {
                    mode: LD_ROWS,
                    rows: Count::from(1).field(),
                    len: Count::from(KV_TILES).field(),
                    dst_agu: vs,
                    src_agu: A_V_SCALES,
                    ..isa::Ld::default()
                });
            });
            asm.ld_sync(0, VX);
            asm.alu(ALU_SUB, FIRST, z, FIRST);
            asm.emit(isa::Seta { agu: A_V_SCALES, what: SETA_ADVANCE, rs: FIRST.0, imm: 0 });
            self.softmax(asm, scale, causal);
            asm.mm_sync(VX, 0);
            asm.alu_imm(ALU_MUL, FIRST, KV_HEAD, d.hw);
            asm.repeat(BLOCK, |asm| {
                asm.emit(isa::Ld {
                    mode: LD_WEIGHT,
                    rows: Count::from(d.hw).field(),
                    len: Count::from(KV_TILES).field(),
                    src_agu: A_V,
                    src_stride: d.v_tile_units(),
                    fmt: if d.kv_bits == 4 { FMT_W4N } else { FMT_W8N },
                    first: Count::from(FIRST).field(),
                    ..isa::Ld::default()
                });
                asm.emit(isa::Mm {
                    rows: Count::from(Q_ROWS).field(),
                    tiles: Count::from(d.hw).field(),
                    kb: Count::from(KV_TILES).field(),
                    act_agu: p_act,
                    act_stride: Count::from(d.scw).field(),
                    out_agu: out,
                    out_stride: Count::from(O_STRIDE).field(),
                    sa_agu: p_sa,
                    sa_stride: Count::from(1).field(),
                    first: Count::from(FIRST).field(),
                    ..isa::Mm::default()
                });
                asm.alu_imm(ALU_ADD, FIRST, FIRST, d.hw);
            });
            asm.mm_sync(0, LD);
        });
        asm.mm_sync(0, VX);
        asm.vx_sync(MM, 0);
        let (from, width, peak) = (self.spad("attended"), d.heads * d.hw, self.s("x_scale"));
        vx(ROWS, width * 16).a(abs(from), width).red(R_ABSMAX, peak).emit(asm);
        self.quantise(asm, ROWS, width * 16, (from, width), (self.abuf("att8"), width), peak, MM);
    }

    /// Scores of a block to int8 probabilities that carry the value scales. The row scale that MM
    /// applies (`row_sum` at the end) is quantisation scale over sum.
    fn softmax(&self, asm: &mut Asm, scale: f32, causal: bool) {
        use regs::*;
        let (d, sc) = (self.d, self.spad("scores"));
        let (max, sum, peak) = (self.s("row_max"), self.s("row_sum"), self.s("p_scale"));
        let inv = self.s("inv");
        // 4-bit keys and values are the 8-bit ones over this step (ST, modes kv_k4 and kv_v4).
        let step = if d.kv_bits == 4 { 2048.0 / 113.0 } else { 1.0 };
        let scores = || vx(BLOCK_ROWS, KV_LEN).a(abs(sc), d.scw);
        asm.copy(RMOD, ROWS);
        scores().causal(causal).red(R_MAX, max).sync(asm, MM, 0);
        let e = scores().causal(causal).s(OP_SUB, max).imm(OP_MUL, scale * step * std::f32::consts::LOG2_E);
        e.func(F_EXP2).to_spad(abs(sc), d.scw).red(R_SUM, sum).emit(asm);
        // Score rows of a kv head share its value scales.
        asm.copy(RMOD, Q_ROWS);
        let p = scores().spad(OP_MUL, self.spad("v_scales"), d.scw, ROW_DIV);
        let p = if d.kv_bits == 4 { p.imm(OP_MUL, step) } else { p };
        p.to_spad(abs(sc), d.scw).red(R_ABSMAX, peak).sync(asm, LD, 0);
        let scalar = |from: u32| vx(BLOCK_ROWS, 1).a_s(from);
        scalar(peak).imm(OP_MAX, TINY).imm(OP_MUL, 1.0 / 127.0).to_s(peak).emit(asm);
        scalar(peak).func(F_RECIP).to_s(inv).emit(asm);
        scalar(sum).func(F_RECIP).to_s(sum).emit(asm);
        scalar(sum).s(OP_MUL, peak).to_s(sum).emit(asm);
        scores().s(OP_MUL, inv).to_abuf(abs(self.abuf("p8")), d.scw).sync(asm, 0, MM);
    }

    /// x += the rows at `parts` once MM has written them, with the next norm's statistic when there
    /// is one.
    pub fn residual(&self, asm: &mut Asm, parts: &[u32], next: Option<&Norm>) {
        let (d, x) = (self.d, self.spad("x"));
        for (i, pair) in parts.chunks(2).enumerate() {
            let wait = if i == 0 { MM } else { 0 };
            let mut sum = vx(regs::ROWS, d.cols).a(abs(x), d.dw);
            for part in pair {
                sum = sum.spad(OP_ADD, *part, d.dw, ROW);
            }
            sum = sum.to_spad(abs(x), d.dw);
            if let Some(n) = next.filter(|_| parts.len() <= 2 * (i + 1)) {
                sum = sum.red(statistic(n), self.s("stat0"));
            }
            sum.sync(asm, wait, 0);
        }
    }

    /// The first statistic of a norm over X.
    pub fn statistic(&self, asm: &mut Asm, n: &Norm, wait: u8) {
        let sum = vx(regs::ROWS, self.d.cols).a(abs(self.spad("x")), self.d.dw);
        sum.red(statistic(n), self.s("stat0")).sync(asm, wait, 0);
    }

    /// Output projection, residual, norm, feed-forward block, residual with the statistic of `next`.
    pub fn finish_layer(&self, asm: &mut Asm, l: &Layer, o: &LayerOffsets, next: Option<&Norm>, release: u8) {
        let d = self.d;
        let (tmp, ff) = (self.spad("tmp"), self.spad("ff"));
        let weights = |off| At { agu: A_WEIGHTS, off };
        asm.mark(format!("{} (layer loop)", l.attention.o.path));
        let width = d.heads * d.hw;
        self.linear(asm, weights(o.o.0), &o.o.1, (self.abuf("att8"), width), (tmp, d.dw));
        self.residual(asm, &[tmp], Some(&l.norm2));
        asm.mark(format!("{} (layer loop)", l.norm2.path));
        let vectors = self.spad("norms") + norm_words(&l.norm1);
        self.norm_quantised(asm, &l.norm2, vectors, true, release, false);
        let (act, down) = match &l.mlp {
            Mlp::Gated { act, down, .. } | Mlp::Plain { act, down, .. } => (*act, down),
        };
        asm.mark(format!("{} (layer loop)", down.path));
        let (ffw, cols) = (d.ffw, down.cols_in as u32);
        let stride = if d.gated { 2 * ffw } else { ffw };
        self.linear(asm, weights(o.up.0), &o.up.1, (self.abuf("x8"), d.dw), (ff, stride));
        self.activate(asm, act, cols, (ff, stride), d.gated.then_some(ff + ffw));
        let dst = (self.abuf("ff8"), ffw);
        self.quantise(asm, regs::ROWS, cols, (ff, stride), dst, self.s("x_scale"), MM);
        let (mut from, mut sums) = (self.abuf("ff8"), Vec::new());
        for (i, (at, p)) in o.down.iter().enumerate() {
            let out = self.spad("down") + i as u32 * d.tile_rows * d.dw;
            self.load_weights(asm, weights(*at), p);
            let wait = if i == 0 { VX } else { 0 };
            let release = if i + 1 == o.down.len() { VX } else { 0 };
            self.multiply(asm, p, (from, ffw), (abs(out), d.dw), wait, release);
            from += (p.cols.len() / 16) as u32;
            sums.push(out);
        }
        self.residual(asm, &sums, next);
    }

    /// Activation in place, times `up` when gated, row maxima to `x_scale`. Waits for MM.
    pub fn activate(&self, asm: &mut Asm, act: ActKind, cols: u32, at: (u32, u32), up: Option<u32>) {
        let (base, stride) = (abs(at.0), at.1);
        let row = || vx(regs::ROWS, cols).a(base, stride).to_spad(base, stride);
        let (first, rest) = match act {
            ActKind::Gelu => (row().func(F_GELU), None),
            ActKind::GeluTanh => (row().func(F_GELU_TANH), None),
            ActKind::Silu => (row().func(F_SILU), None),
            ActKind::Relu => (row().imm(OP_MAX, 0.0), None),
            // x·σ(1.702x) = silu(1.702x) / 1.702
            ActKind::QuickGelu => (row().imm(OP_MUL, 1.702).func(F_SILU), Some(1.0 / 1.702)),
        };
        let peak = self.s("x_scale");
        if up.is_none() && rest.is_none() {
            return first.red(R_ABSMAX, peak).sync(asm, MM, 0);
        }
        first.sync(asm, MM, 0);
        let mut second = row();
        if let Some(factor) = rest {
            second = second.imm(OP_MUL, factor);
        }
        if let Some(up) = up {
            second = second.spad(OP_MUL, up, stride, ROW);
        }
        second.red(R_ABSMAX, peak).emit(asm);
    }

    /// Loads a layer's norm vectors; VX may use them after the token.
    pub fn load_norms(&self, asm: &mut Asm, at: At, words: u32, to: u32, wait: u8) {
        let op = isa::Ld {
            mode: LD_ROWS,
            rows: Count::from(1).field(),
            len: Count::from(words).field(),
            dst_off: to,
            src_agu: at.agu,
            src_off: at.off,
            ..isa::Ld::default()
        };
        asm.sync(op, wait, VX);
    }
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
pub fn linear_op(
    rows: impl Into<Count>,
    p: &Packed,
    act: (At, u32),
    out: (At, u32),
    sa: At,
) -> isa::Mm {
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
