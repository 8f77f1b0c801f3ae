//! A transformer layer as instructions: norms, projections, attention, feed-forward block.
//!
//! Tokens. MM and VX alternate: each phase ends with a release to the other. ST tells LD when keys
//! and values are in DRAM. Two credits, given once at the start of an entry point, let LD run
//! ahead: VX → LD (the norm vectors may be overwritten), MM → LD (the value scales may be).

use super::asm::{abs, agu, vx, Asm, At, Count, Reg, LD, MM, ST, VX};
use super::tower::{norm_words, regs, Chip, Dims};
use crate::graph::ActKind;
use crate::layout::pack::Packed;
use crate::plan::{Layer, Mlp, Norm};
use flightvlm_hw::isa::{self, names::*};

/// Loop level of the loops over heads; their inner loops are one deeper.
pub const HEAD_LEVEL: u32 = 2;
/// Smallest maximum that a row is quantised with: an all-zero row stays zero.
const TINY: f32 = 1e-20;
/// Generators with a fixed use.
pub const A_WEIGHTS: u32 = 1;
/// Key cache.
pub const A_K: u32 = 2;
/// Value cache.
pub const A_V: u32 = 3;
/// Value scales.
pub const A_V_SCALES: u32 = 4;
const A_TEMP: u32 = 5;

/// What the emitters need to know about the tower.
pub struct Tower<'a> {
    /// Sizes.
    pub d: &'a Dims,
    /// On-chip regions.
    pub chip: &'a Chip,
}

/// Offsets (units) of a layer's pieces in its DRAM record.
#[derive(Debug, Clone)]
pub struct LayerOffsets {
    /// Norm vectors, both norms.
    pub norms: u32,
    /// Packed projections with their offsets: either `[qkv]` or `[kv, q]`.
    pub projections: Vec<(u32, Packed)>,
    /// Output projection.
    pub o: (u32, Packed),
    /// Gate and up, or the first linear.
    pub up: (u32, Packed),
    /// Down projection.
    pub down: (u32, Packed),
    /// Units of the whole record.
    pub units: u32,
}

/// Lays a layer out; `split` separates queries from keys and values (towers that run in two
/// passes).
pub fn layer_offsets(d: &Dims, l: &Layer, split: bool) -> LayerOffsets {
    let a = &l.attention;
    let cols = crate::layout::pack::padded(a.q.cols_in);
    let q = d.head_part(&a.q, d.heads, false);
    let k = d.head_part(&a.k, d.kv_heads, false);
    let v = d.head_part(&a.v, d.kv_heads, true);
    let packed = |parts| Packed::new(parts, cols.clone());
    let projections =
        if split { vec![packed(vec![k, v]), packed(vec![q])] } else { vec![packed(vec![q, k, v])] };
    let up = match &l.mlp {
        Mlp::Gated { gate, up, .. } => {
            let (g, u) = (Packed::plain(gate), Packed::plain(up));
            Packed::new([g.parts, u.parts].concat(), g.cols)
        }
        Mlp::Plain { up, .. } => Packed::plain(up),
    };
    let down = match &l.mlp {
        Mlp::Gated { down, .. } | Mlp::Plain { down, .. } => Packed::plain(down),
    };
    let mut at = norm_words(&l.norm1) + norm_words(&l.norm2);
    let mut place = |p: Packed| {
        let here = at;
        at += p.units();
        (here, p)
    };
    let projections = projections.into_iter().map(&mut place).collect();
    let (o, up, down) = (place(d.output_projection(a)), place(up), place(down));
    LayerOffsets { norms: 0, projections, o, up, down, units: at }
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
            len: Count::from(p.kb()).field(),
            src_agu: at.agu,
            src_off: at.off,
            src_stride: p.tile_units(),
            kbg: p.kbg,
            wscale: 1,
            bias: u32::from(p.bias),
            ..isa::Ld::default()
        });
    }

    /// `tiles` tiles of a packed layer: rows of ABUF at `act` to SPAD at `out`.
    #[allow(clippy::too_many_arguments, reason = "one parameter per instruction field")]
    pub fn multiply(
        &self,
        asm: &mut Asm,
        rows: impl Into<Count>,
        p: &Packed,
        tiles: u32,
        act: (At, u32),
        out: (At, u32),
        sa: At,
        wait: u8,
        release: u8,
    ) {
        let op = isa::Mm {
            rows: rows.into().field(),
            tiles: Count::from(tiles).field(),
            kb: Count::from(p.kb()).field(),
            kbg: p.kbg,
            act_agu: act.0.agu,
            act_off: act.0.off,
            act_stride: act.1,
            out_agu: out.0.agu,
            out_off: out.0.off,
            out_stride: out.1,
            sa_agu: sa.agu,
            sa_off: sa.off,
            wscale: 1,
            bias: u32::from(p.bias),
        };
        asm.sync(op, wait, release);
    }

    /// A whole linear layer between two vector phases.
    pub fn linear(&self, asm: &mut Asm, weights: At, p: &Packed, act: (u32, u32), out: (u32, u32)) {
        self.load_weights(asm, weights, p);
        let (act, out) = ((abs(act.0), act.1), (abs(out.0), out.1));
        let sa = abs(self.s("x_scale"));
        self.multiply(asm, regs::ROWS, p, p.tiles(), act, out, sa, VX, VX);
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
            let red = if n.b.is_some() { R_SUM } else { R_SUMSQ };
            vx(rows, len).a(abs(x), dw).red(red, s0).emit(asm);
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

    /// Norm and quantisation into `x8`, then MM may go.
    pub fn norm_quantised(&self, asm: &mut Asm, n: &Norm, vectors: u32, stat_done: bool, release: u8) {
        let (dw, tmp) = (self.d.dw, self.spad("tmp"));
        self.norm(asm, n, vectors, tmp, stat_done, release);
        let dst = (self.abuf("x8"), dw);
        self.quantise(asm, regs::ROWS, self.d.cols, (tmp, dw), dst, self.s("x_scale"), MM);
    }

    /// Derived row counts of the tile; ROWS, KV_LEN and POS are set.
    pub fn set_rows(&self, asm: &mut Asm) {
        use regs::*;
        let d = self.d;
        asm.alu_imm(ALU_ADD, KV_TILES, KV_LEN, 15);
        asm.alu_imm(ALU_SHR, KV_TILES, KV_TILES, 4);
        for (to, from, factor) in [
            (ROWS_HW, ROWS, d.hw),
            (ROWS_VW, ROWS, d.vw),
            (K_OFFSET, ROWS_HW, d.heads),
            (GROUP_ROWS, ROWS, d.group()),
            (GROUP_HW, GROUP_ROWS, d.hw),
            (GROUP_VW, GROUP_ROWS, d.vw),
            (GROUP_SCW, GROUP_ROWS, d.scw),
            (QK_ROWS, ROWS, d.heads + d.kv_heads),
            (V_ROWS, ROWS, d.kv_heads),
            (H_ROWS, ROWS, d.heads),
        ] {
            asm.alu_imm(ALU_MUL, to, from, factor);
        }
        // All heads at once when their score rows fit (decode), else one kv head at a time.
        asm.alu_imm(ALU_LT, TMP, H_ROWS, d.score_rows + 1);
        asm.alu_imm(ALU_MUL, TMP, TMP, d.kv_heads - 1);
        asm.alu_imm(ALU_ADD, BLOCK, TMP, 1);
        asm.set(COUNT, d.kv_heads);
        asm.alu(ALU_SUB, BLOCKS, COUNT, TMP);
        asm.alu(ALU_MUL, BLOCK_ROWS, BLOCK, GROUP_ROWS);
        asm.alu_imm(ALU_ADD, VBASE, POS, 1);
    }

    /// Base and the strides of the two head loops.
    fn generator(&self, asm: &mut Asm, a: u32, base: (Reg, u32), outer: (Reg, u32), inner: (Reg, u32)) {
        asm.base(a, base.0, base.1);
        asm.stride(a, HEAD_LEVEL, outer.0, outer.1);
        asm.stride(a, HEAD_LEVEL + 1, inner.0, inner.1);
    }

    /// Projects `x8` to heads. `queries`, `keys_values`: which of them this pass computes.
    pub fn project(&self, asm: &mut Asm, at: u32, p: &Packed, queries: bool, keys_values: bool) {
        use regs::*;
        let (d, z) = (self.d, Reg(0));
        let qk_heads = if queries { d.heads } else { 0 } + if keys_values { d.kv_heads } else { 0 };
        let qk_base = if queries { z } else { K_OFFSET };
        self.load_weights(asm, At { agu: A_WEIGHTS, off: at }, p);
        self.generator(asm, A_TEMP, (qk_base, self.spad("qk")), (ROWS_HW, 0), (z, 0));
        self.generator(asm, A_TEMP + 1, (z, self.spad("v")), (ROWS_VW, 0), (z, 0));
        asm.mm_sync(VX, 0);
        let (act, sa) = ((abs(self.abuf("x8")), d.dw), abs(self.s("x_scale")));
        asm.repeat(qk_heads, |asm| {
            self.multiply(asm, ROWS, p, d.hw, act, (agu(A_TEMP), d.hw), sa, 0, 0);
        });
        if keys_values {
            asm.repeat(d.kv_heads, |asm| {
                self.multiply(asm, ROWS, p, d.vw, act, (agu(A_TEMP + 1), d.vw), sa, 0, 0);
            });
        }
        asm.mm_sync(0, VX);
        asm.vx_sync(MM, 0);
    }

    /// Turns queries and keys by the rotary table, all heads at once.
    pub fn rotate(&self, asm: &mut Asm) {
        let (d, rows) = (self.d, regs::QK_ROWS);
        let (half, hh) = (d.head_dim / 2, d.half_words);
        let (lo, cos) = (self.spad("qk"), self.spad("rope"));
        let (hi, sin) = (lo + hh, cos + hh);
        let (t1, t2) = (self.spad("turn1"), self.spad("turn2"));
        asm.copy(regs::RMOD, regs::ROWS);
        for (x, to) in [(hi, t1), (lo, t2)] {
            let y = vx(rows, half).a(abs(x), d.hw).spad(OP_MUL, sin, 2 * hh, ROW_MOD);
            y.to_spad(abs(to), hh).emit(asm);
        }
        for (x, other, op) in [(lo, t1, OP_SUB), (hi, t2, OP_ADD)] {
            let y = vx(rows, half).a(abs(x), d.hw).spad(OP_MUL, cos, 2 * hh, ROW_MOD);
            y.spad(op, other, hh, ROW).to_spad(abs(x), d.hw).emit(asm);
        }
    }

    /// Quantises heads in SPAD region `from` (the first `skip` words left out) into ABUF.
    #[allow(clippy::too_many_arguments, reason = "one parameter per instruction field")]
    fn quantise_heads(
        &self,
        asm: &mut Asm,
        rows: Reg,
        words: u32,
        from: &'static str,
        to: &'static str,
        scale: u32,
        release: u8,
    ) {
        let (src, dst) = ((self.spad(from), words), (self.abuf(to), words));
        vx(rows, words * 16).a(abs(src.0), words).red(R_ABSMAX, scale).emit(asm);
        self.quantise(asm, rows, words * 16, src, dst, scale, release);
    }

    /// Quantises the queries alone (keys and values of all rows are in the cache already); the stale
    /// keys behind them are quantised with them and not used.
    pub fn quantise_queries(&self, asm: &mut Asm) {
        self.quantise_heads(asm, regs::QK_ROWS, self.d.hw, "qk", "qk8", self.s("qk_scale"), MM);
    }

    /// Quantises queries, keys and values (of a pass without queries these are stale and unused) and
    /// appends keys and values to the cache; `release` is what the last quantisation releases
    /// besides ST.
    pub fn store_keys_values(&self, asm: &mut Asm, release: u8) {
        use regs::*;
        let (d, z) = (self.d, Reg(0));
        let (qk_scale, v_scale) = (self.s("qk_scale"), self.s("v_scale"));
        self.quantise_heads(asm, QK_ROWS, d.hw, "qk", "qk8", qk_scale, 0);
        self.quantise_heads(asm, V_ROWS, d.vw, "v", "v8", v_scale, ST | release);
        self.generator(asm, A_TEMP, (K_OFFSET, self.abuf("qk8")), (ROWS_HW, 0), (z, 0));
        self.generator(asm, A_TEMP + 1, (H_ROWS, qk_scale), (ROWS, 0), (z, 0));
        self.generator(asm, A_TEMP + 2, (z, self.abuf("v8")), (ROWS_VW, 0), (z, 0));
        self.generator(asm, A_TEMP + 3, (z, v_scale), (ROWS, 0), (z, 0));
        let (rows, pos) = (Count::from(ROWS).field(), Count::from(POS).field());
        let store = |mode, len, src: u32, src_stride, dst: At, dst_stride, chunk_stride| isa::St {
            mode,
            rows,
            len,
            src_agu: src,
            src_off: 0,
            src_stride,
            dst_agu: dst.agu,
            dst_off: dst.off,
            dst_stride,
            chunk_stride,
            pos,
        };
        let (key, value) = (At { agu: A_K, off: 1 }, agu(A_V));
        asm.st_sync(VX, 0);
        asm.repeat(d.kv_heads, |asm| {
            asm.emit(store(ST_KV_K, d.hw, A_TEMP, d.hw, key, d.k_tile_units(), 4));
            asm.emit(store(ST_SCALAR, 1, A_TEMP + 1, 1, agu(A_K), d.k_tile_units(), 0));
            asm.emit(store(ST_KV_V, d.vw, A_TEMP + 2, d.vw, value, 4, d.scw * 4));
            asm.emit(store(ST_SCALAR, 1, A_TEMP + 3, 1, agu(A_V_SCALES), 1, 0));
        });
    }

    /// Softmax attention over the cache; the result is token-major in `attended`, quantised in
    /// `att8` with scales in `x_scale`. VX has quantised the queries before.
    pub fn attend(&self, asm: &mut Asm, scale: f32, causal: bool) {
        use regs::*;
        let (d, z) = (self.d, Reg(0));
        let (q_act, q_scale, sc_out, p_act, p_sa, out, vs) =
            (A_TEMP, A_TEMP + 1, A_TEMP + 2, A_TEMP + 3, A_TEMP + 4, A_TEMP + 5, A_TEMP + 6);
        let (qk8, p8) = (self.abuf("qk8"), self.abuf("p8"));
        let heads_out = self.spad("heads_out");
        self.generator(asm, q_act, (z, qk8), (GROUP_HW, 0), (GROUP_HW, 0));
        self.generator(asm, q_scale, (z, self.s("qk_scale")), (GROUP_ROWS, 0), (GROUP_ROWS, 0));
        self.generator(asm, sc_out, (z, self.spad("scores")), (z, 0), (GROUP_SCW, 0));
        self.generator(asm, p_act, (z, p8), (z, 0), (GROUP_SCW, 0));
        self.generator(asm, p_sa, (z, self.s("row_sum")), (z, 0), (GROUP_ROWS, 0));
        self.generator(asm, out, (z, heads_out), (GROUP_VW, 0), (GROUP_VW, 0));
        self.generator(asm, vs, (z, self.spad("v_scales")), (z, 0), (z, d.scw));
        asm.mm_sync(VX, 0);
        asm.repeat(BLOCKS, |asm| {
            asm.repeat(BLOCK, |asm| {
                asm.emit(isa::Ld {
                    mode: LD_WEIGHT,
                    rows: Count::from(KV_TILES).field(),
                    len: Count::from(d.hw).field(),
                    src_agu: A_K,
                    src_stride: d.k_tile_units(),
                    wscale: 1,
                    ..isa::Ld::default()
                });
                asm.emit(isa::Mm {
                    rows: Count::from(GROUP_ROWS).field(),
                    tiles: Count::from(KV_TILES).field(),
                    kb: Count::from(d.hw).field(),
                    act_agu: q_act,
                    act_stride: d.hw,
                    out_agu: sc_out,
                    out_stride: d.scw,
                    sa_agu: q_scale,
                    wscale: 1,
                    ..isa::Mm::default()
                });
            });
            asm.mm_sync(0, VX);
            // The scales of this block's values, once the last block is through with its own.
            asm.ld_sync(MM, 0);
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
            self.softmax(asm, scale, causal);
            asm.mm_sync(VX, 0);
            asm.repeat(BLOCK, |asm| {
                asm.emit(isa::Ld {
                    mode: LD_WEIGHT,
                    rows: Count::from(d.vw).field(),
                    len: Count::from(KV_TILES).field(),
                    src_agu: A_V,
                    src_stride: d.scw * 4,
                    ..isa::Ld::default()
                });
                asm.emit(isa::Mm {
                    rows: Count::from(GROUP_ROWS).field(),
                    tiles: Count::from(d.vw).field(),
                    kb: Count::from(KV_TILES).field(),
                    act_agu: p_act,
                    act_stride: d.scw,
                    out_agu: out,
                    out_stride: d.vw,
                    sa_agu: p_sa,
                    ..isa::Mm::default()
                });
            });
            asm.mm_sync(0, LD);
        });
        asm.mm_sync(0, VX);
        asm.vx_sync(MM, 0);
        self.gather_heads(asm);
    }

    /// Scores of a block to int8 probabilities that carry the value scales. The row scale that MM
    /// applies (`row_sum` at the end) is quantisation scale over sum.
    fn softmax(&self, asm: &mut Asm, scale: f32, causal: bool) {
        use regs::*;
        let (d, sc) = (self.d, self.spad("scores"));
        let (max, sum, peak) = (self.s("row_max"), self.s("row_sum"), self.s("p_scale"));
        let inv = self.s("inv");
        let scores = || vx(BLOCK_ROWS, KV_LEN).a(abs(sc), d.scw);
        asm.copy(RMOD, ROWS);
        scores().causal(causal).red(R_MAX, max).sync(asm, MM, 0);
        let e = scores().causal(causal).s(OP_SUB, max).imm(OP_MUL, scale * std::f32::consts::LOG2_E);
        e.func(F_EXP2).to_spad(abs(sc), d.scw).red(R_SUM, sum).emit(asm);
        asm.copy(RMOD, GROUP_ROWS);
        let p = scores().spad(OP_MUL, self.spad("v_scales"), d.scw, ROW_DIV);
        p.to_spad(abs(sc), d.scw).red(R_ABSMAX, peak).sync(asm, LD, 0);
        let scalar = |from: u32| vx(BLOCK_ROWS, 1).a_s(from);
        scalar(peak).imm(OP_MAX, TINY).imm(OP_MUL, 1.0 / 127.0).to_s(peak).emit(asm);
        scalar(peak).func(F_RECIP).to_s(inv).emit(asm);
        scalar(sum).func(F_RECIP).to_s(sum).emit(asm);
        scalar(sum).s(OP_MUL, peak).to_s(sum).emit(asm);
        scores().s(OP_MUL, inv).to_abuf(abs(self.abuf("p8")), d.scw).sync(asm, 0, MM);
    }

    /// Head-major rows to token-major rows, quantised for the output projection.
    fn gather_heads(&self, asm: &mut Asm) {
        use regs::*;
        let (d, z) = (self.d, Reg(0));
        let (src, dst) = (A_TEMP, A_TEMP + 1);
        let (from, to, width) = (self.spad("heads_out"), self.spad("attended"), d.heads * d.vw);
        self.generator(asm, src, (z, from), (ROWS_VW, 0), (z, 0));
        self.generator(asm, dst, (z, to), (z, d.vw), (z, 0));
        asm.repeat(d.heads, |asm| {
            vx(ROWS, d.vw * 16).a(agu(src), d.vw).to_spad(agu(dst), width).emit(asm);
        });
        let peak = self.s("x_scale");
        vx(ROWS, width * 16).a(abs(to), width).red(R_ABSMAX, peak).emit(asm);
        let dst = (self.abuf("att8"), width);
        self.quantise(asm, ROWS, width * 16, (to, width), dst, peak, MM);
    }

    /// x += tmp once MM has written it, with the next norm's statistic when there is one.
    pub fn residual(&self, asm: &mut Asm, next: Option<&Norm>) {
        let (d, x, tmp) = (self.d, self.spad("x"), self.spad("tmp"));
        let sum = vx(regs::ROWS, d.cols).a(abs(x), d.dw).spad(OP_ADD, tmp, d.dw, ROW);
        let sum = sum.to_spad(abs(x), d.dw);
        match next {
            Some(n) => {
                let red = if n.b.is_some() { R_SUM } else { R_SUMSQ };
                sum.red(red, self.s("stat0")).sync(asm, MM, 0);
            }
            None => sum.sync(asm, MM, 0),
        }
    }

    /// Output projection, residual, norm, feed-forward block, residual.
    pub fn finish_layer(&self, asm: &mut Asm, l: &Layer, o: &LayerOffsets, release: u8) {
        let d = self.d;
        let (tmp, ff) = (self.spad("tmp"), self.spad("ff"));
        let weights = |off| At { agu: A_WEIGHTS, off };
        asm.mark(format!("{} (layer loop)", l.attention.o.path));
        let width = d.heads * d.vw;
        self.linear(asm, weights(o.o.0), &o.o.1, (self.abuf("att8"), width), (tmp, d.dw));
        self.residual(asm, Some(&l.norm2));
        asm.mark(format!("{} (layer loop)", l.norm2.path));
        let vectors = self.spad("norms") + norm_words(&l.norm1);
        self.norm_quantised(asm, &l.norm2, vectors, true, release);
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
        self.linear(asm, weights(o.down.0), &o.down.1, (self.abuf("ff8"), ffw), (tmp, d.dw));
        self.residual(asm, None);
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
