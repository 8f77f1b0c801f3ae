//! Softmax attention over the cache, item by item.
//!
//! An item's scores lie in the block of its parity (item mod 2), so that MM may write the next item's
//! scores while VX turns this one's into probabilities. A weight load that finds its FIFO full waits
//! for MM, so loads stand in the order in which MM multiplies: keys of item i + 1, values of item i.

mod read_out;

pub use read_out::{ReadOut, LAYER};

use super::asm::{vx, Asm, At, Count, Reg, LD, MM, ST, VX};
use super::layer::{choose, Tower, A_K, A_TEMP, A_V, A_V_SCALES};
use super::tower::{regs, Dims};
use super::Halves;
use flightvlm_hw::isa::{self, names::*};

/// Loop level of the matrix commands of an item.
const INSIDE: u32 = super::layer::HALF_LEVEL + 1;
/// Generators: ABUF, S and SPAD operands of the commands.
const ACT: u32 = A_TEMP;
const SCALE: u32 = A_TEMP + 1;
const OUT: u32 = A_TEMP + 2;
/// Results of the item in its half.
const ATTENDED: u32 = A_TEMP + 3;
/// Value scales in SPAD.
const SCALES: u32 = A_TEMP + 4;

impl Tower<'_> {
    /// Attention of all halves; the result is token-major in `attended`. VX has quantised the queries
    /// before and released MM once a half. `own`: the tile's own keys and values are on their way to the
    /// cache (one token of ST a half), value scales of older ones are loaded. MM releases VX once a half
    /// at the end.
    pub fn attend(&self, asm: &mut Asm, scale: f32, causal: bool, own: bool) {
        use regs::*;
        self.count_items(asm);
        if own {
            asm.repeat(HALVES, |asm| asm.ld_sync(ST, 0));
            self.load_new_scales(asm);
        } else {
            asm.alu_imm(ALU_ADD, KV_TILES, KV_LEN, 15);
            asm.alu_imm(ALU_SHR, KV_TILES, KV_TILES, 4);
            self.load_scales(asm, KV_TILES, self.spad("v_scales"), VX);
        }
        asm.vx_sync(LD, 0);
        asm.repeat(HALVES, |asm| asm.mm_sync(VX, 0));
        // Step i: scores of item i, then the rest of item i − 1. What the first step lacks it does with
        // zero rows; the token that it waits for comes from here.
        asm.mm_sync(0, VX);
        asm.set(ITEM, 0);
        asm.alu_imm(ALU_ADD, COUNT, ITEMS, 1);
        asm.repeat(COUNT, |asm| {
            self.scores(asm, own);
            asm.alu_imm(ALU_MAX, COUNT, ITEM, 1);
            asm.alu_imm(ALU_SUB, COUNT, COUNT, 1);
            self.enter(asm, own);
            self.parity(asm, PARITY);
            asm.alu_imm(ALU_MIN, COUNT, ITEM, 1);
            asm.alu(ALU_MUL, BLOCK_ROWS, BLOCK_ROWS, COUNT);
            asm.alu(ALU_MUL, COUNT, BLOCK, COUNT);
            self.softmax(asm, scale, causal, PARITY);
            self.values(asm, COUNT);
            asm.alu_imm(ALU_ADD, ITEM, ITEM, 1);
        });
        asm.repeat(HALVES, |asm| asm.mm_sync(0, VX));
    }

    /// Items of the tile. One row: all heads in one item or a few. More: items of some query heads of a half.
    fn count_items(&self, asm: &mut Asm) {
        use regs::*;
        let d = self.d;
        choose(asm, BLOCK, d.kv_heads / d.row_items(), d.block_heads);
        choose(asm, S_STRIDE, 1, d.heads);
        choose(asm, Q_STRIDE, d.hw, d.heads * d.hw);
        choose(asm, ITEMS, d.row_items(), d.heads / d.block_heads);
        asm.alu(ALU_SHL, ITEMS, ITEMS, HALVES_LOG2);
    }

    /// What depends on item COUNT: its half, first query head, rows, positions.
    fn enter(&self, asm: &mut Asm, own: bool) {
        use regs::*;
        let d = self.d;
        asm.alu(ALU_SHR, HEAD, COUNT, HALVES_LOG2);
        asm.alu(ALU_SHL, HALF, HEAD, HALVES_LOG2);
        asm.alu(ALU_SUB, HALF, COUNT, HALF);
        if d.row_items() == 1 {
            asm.alu_imm(ALU_MUL, HEAD, HEAD, d.block_heads);
        } else {
            choose(asm, TMP, d.heads / d.row_items(), d.block_heads);
            asm.alu(ALU_MUL, HEAD, HEAD, TMP);
        }
        asm.alu(ALU_MUL, TMP, HALF, HALF_ROWS);
        asm.alu(ALU_ADD, POS, T_POS, TMP);
        asm.alu(ALU_SUB, ROWS, T_ROWS, TMP);
        asm.alu(ALU_MIN, ROWS, ROWS, HALF_ROWS);
        if own {
            asm.alu(ALU_ADD, KV_LEN, POS, ROWS);
        }
        // With windows, nothing is causal and the register has another use.
        if d.windows.is_none() {
            asm.alu_imm(ALU_ADD, VBASE, POS, 1);
        }
        if d.mask.is_some() {
            asm.alu_imm(ALU_SHL, TMP, SKIP, 4);
            asm.alu(ALU_SUB, KV_LEN, KV_LEN, TMP);
            asm.alu(ALU_SUB, VBASE, VBASE, TMP);
        }
        asm.alu_imm(ALU_ADD, KV_TILES, KV_LEN, 15);
        asm.alu_imm(ALU_SHR, KV_TILES, KV_TILES, 4);
        // Rows of a matrix command: the half's, or in decode a kv head's query heads.
        asm.alu_imm(ALU_EQ, TMP, ONE, 0);
        asm.alu(ALU_MUL, TMP, TMP, ROWS);
        asm.alu_imm(ALU_MUL, Q_ROWS, ONE, d.group());
        asm.alu(ALU_ADD, Q_ROWS, Q_ROWS, TMP);
        asm.alu(ALU_MUL, BLOCK_ROWS, Q_ROWS, BLOCK);
    }

    /// Generator `a` = a region in the block of half `which` (HALF, or the parity of the item).
    fn at_half(&self, asm: &mut Asm, a: u32, m: &Halves, which: Reg, name: &str) {
        let off = m.half.find(name).expect("invariant: a region of the halves");
        asm.alu_imm(ALU_MUL, regs::TMP, which, m.block);
        asm.base(a, regs::TMP, m.base + off);
    }

    /// `to` = parity of item COUNT.
    fn parity(&self, asm: &mut Asm, to: Reg) {
        use regs::*;
        asm.alu_imm(ALU_SHL, TMP, COUNT, 31);
        asm.alu_imm(ALU_SHR, to, TMP, 31);
    }

    /// Stride of `a` from one matrix command of an item to the next: constants, or rows of `words` words.
    fn step(&self, asm: &mut Asm, a: u32, decode: u32, prefill: u32) {
        choose(asm, regs::TMP, decode, prefill);
        asm.stride(a, INSIDE, regs::TMP, 0);
    }
    fn step_rows(&self, asm: &mut Asm, a: u32, words: u32) {
        asm.alu_imm(ALU_MUL, regs::TMP, regs::Q_ROWS, words);
        asm.stride(a, INSIDE, regs::TMP, 0);
    }

    /// FIRST = kv head of HEAD · `factor`; TMP = what FIRST grows by from one matrix command of an item to
    /// the next: `factor` in decode and where every query head has a kv head of its own, else 0, for then
    /// the heads of an item share one.
    fn kv_head(&self, asm: &mut Asm, factor: u32) {
        use regs::*;
        if self.d.group() == 1 {
            asm.alu_imm(ALU_MUL, FIRST, HEAD, factor);
            return asm.set(TMP, factor);
        }
        // By a reciprocal that is exact for up to 65536 / group heads.
        asm.alu_imm(ALU_MUL, FIRST, HEAD, 65536_u32.div_ceil(self.d.group()));
        asm.alu_imm(ALU_SHR, FIRST, FIRST, 16);
        asm.alu_imm(ALU_MUL, FIRST, FIRST, factor);
        asm.alu_imm(ALU_MUL, TMP, ONE, factor);
    }

    /// Scores of the item, if there is one; MM releases VX when they are there.
    fn scores(&self, asm: &mut Asm, own: bool) {
        use regs::*;
        let (d, chip) = (self.d, self.chip);
        asm.alu_imm(ALU_SUB, COUNT, ITEMS, 1);
        asm.alu(ALU_MIN, COUNT, COUNT, ITEM);
        self.enter(asm, own);
        // Behind the last item: no commands, no token.
        let there = BLOCK_ROWS;
        asm.alu(ALU_LT, there, ITEM, ITEMS);
        self.at_half(asm, ACT, &chip.abuf, HALF, "q8");
        self.at_half(asm, SCALE, &chip.s, HALF, "q_scale");
        // The item's first head inside a row.
        asm.alu_imm(ALU_MUL, TMP, HEAD, d.hw);
        asm.emit(isa::Seta { agu: ACT, what: SETA_ADVANCE, rs: TMP.0, imm: 0 });
        asm.emit(isa::Seta { agu: SCALE, what: SETA_ADVANCE, rs: HEAD.0, imm: 0 });
        self.parity(asm, COUNT);
        self.at_half(asm, OUT, &chip.spad, COUNT, "scores");
        self.step(asm, ACT, d.group() * d.hw, d.hw);
        self.step(asm, SCALE, d.group(), 1);
        self.step_rows(asm, OUT, d.scw);
        self.kv_head(asm, d.k_slots());
        asm.alu(ALU_MUL, COUNT, BLOCK, there);
        let runs = self.runs(asm);
        asm.repeat(COUNT, |asm| {
            for run in runs.iter() {
                let first = run.first_tile(asm, self.d);
                asm.emit(isa::Ld {
                    mode: LD_WEIGHT,
                    rows: Count::from(run.tiles).field(),
                    len: Count::from(d.hw).field(),
                    src_agu: A_K,
                    src_stride: d.k_tile_units(),
                    wscale: 1,
                    fmt: if d.kv_bits == 4 { FMT_W4K } else { FMT_W8K },
                    first: Count::from(first).field(),
                    ..isa::Ld::default()
                });
                asm.emit(isa::Mm {
                    rows: Count::from(Q_ROWS).field(),
                    tiles: Count::from(run.tiles).field(),
                    kb: Count::from(d.hw).field(),
                    act_agu: ACT,
                    act_stride: Count::from(Q_STRIDE).field(),
                    out_agu: OUT,
                    out_off: run.at,
                    out_stride: Count::from(d.scw).field(),
                    sa_agu: SCALE,
                    sa_stride: Count::from(S_STRIDE).field(),
                    wscale: 1,
                    first: Count::from(first).field(),
                    ..isa::Mm::default()
                });
            }
            asm.alu(ALU_ADD, FIRST, FIRST, TMP);
        });
        asm.repeat(there, |asm| asm.mm_sync(0, VX));
    }

    /// Value scales of all kv heads, `tiles` units of each.
    pub fn load_scales(&self, asm: &mut Asm, tiles: Reg, to: At, release: u8) {
        let d = self.d;
        let op = isa::Ld {
            mode: LD_ROWS,
            rows: Count::from(d.kv_heads).field(),
            len: Count::from(tiles).field(),
            dst_agu: to.agu,
            dst_off: to.off,
            dst_stride: d.scw,
            src_agu: A_V_SCALES,
            src_stride: d.kv_tiles(),
            ..isa::Ld::default()
        };
        asm.sync(op, 0, release);
    }

    /// Those of the tiles before this tile's that its rows see.
    pub fn load_old_scales(&self, asm: &mut Asm) {
        use regs::*;
        let to = self.spad("v_scales");
        if self.d.mask.is_none() {
            return self.load_scales(asm, OLD_TILES, to, 0);
        }
        asm.alu(ALU_SUB, KV_TILES, OLD_TILES, SKIP);
        let [sinks, window] = &self.runs(asm)[..] else {
            asm.emit(isa::Seta { agu: A_V_SCALES, what: SETA_ADVANCE, rs: SKIP.0, imm: 0 });
            self.load_scales(asm, KV_TILES, to, 0);
            asm.alu(ALU_SUB, TMP, Reg(0), SKIP);
            return asm.emit(isa::Seta { agu: A_V_SCALES, what: SETA_ADVANCE, rs: TMP.0, imm: 0 });
        };
        self.load_scales(asm, sinks.tiles, to, 0);
        asm.emit(isa::Seta { agu: A_V_SCALES, what: SETA_ADVANCE, rs: SKIP.0, imm: window.at });
        self.load_scales(asm, window.tiles, to.plus(window.at), 0);
        asm.alu(ALU_SUB, TMP, Reg(0), SKIP);
        asm.emit(isa::Seta { agu: A_V_SCALES, what: SETA_ADVANCE, rs: TMP.0, imm: window.at.wrapping_neg() });
    }

    /// Those of tiles with rows of this tile; VX may use all of them then.
    fn load_new_scales(&self, asm: &mut Asm) {
        use regs::*;
        let to = self.spad("v_scales").off;
        match self.d.mask {
            None => asm.base(SCALES, OLD_TILES, to),
            Some(_) => {
                asm.alu(ALU_SUB, TMP, OLD_TILES, SKIP);
                asm.base(SCALES, TMP, to);
            }
        }
        asm.alu(ALU_SUB, TMP, Reg(0), OLD_TILES);
        let advance = |asm: &mut Asm, by: Reg| {
            asm.emit(isa::Seta { agu: A_V_SCALES, what: SETA_ADVANCE, rs: by.0, imm: 0 });
        };
        advance(asm, OLD_TILES);
        self.load_scales(asm, NEW_TILES, At { agu: SCALES, off: 0 }, VX);
        advance(asm, TMP);
    }

    /// Scores of the item to int8 probabilities that carry the value scales. The row scale that MM applies
    /// (`row_sum` at the end) is quantisation scale over sum.
    fn softmax(&self, asm: &mut Asm, scale: f32, causal: bool, parity: Reg) {
        use regs::*;
        let (d, chip) = (self.d, self.chip);
        for (a, m) in [(ACT, &chip.abuf), (SCALE, &chip.s), (OUT, &chip.spad)] {
            asm.alu_imm(ALU_MUL, TMP, parity, m.block);
            asm.base(a, TMP, m.base);
        }
        let find = |m: &Halves, name| m.half.find(name).expect("invariant: a region of the halves");
        let at = |name| At { agu: SCALE, off: find(&chip.s, name) };
        let (max, sum, peak, inv) = (at("row_max"), at("row_sum"), at("p_scale"), at("p_inv"));
        let sc = At { agu: OUT, off: find(&chip.spad, "scores") };
        let p8 = At { agu: ACT, off: find(&chip.abuf, "p8") };
        // 4-bit keys and values are the 8-bit ones over this step (ST, modes kv_k4 and kv_v4).
        let step = if d.kv_bits == 4 { 2048.0 / 113.0 } else { 1.0 };
        let scores = || vx(BLOCK_ROWS, KV_LEN).a(sc, d.scw);
        asm.copy(RMOD, ROWS);
        scores().causal(causal).red(R_MAX, max).sync(asm, MM, 0);
        let e = scores().causal(causal).s(OP_SUB, max).imm(OP_MUL, scale * step * std::f32::consts::LOG2_E);
        e.func(F_EXP2).to_spad(sc, d.scw).red(R_SUM, sum).emit(asm);
        // Score rows of a command share their value scales, those of an item where heads share a kv head:
        // a period of 0 means the first row.
        self.kv_head(asm, d.scw);
        asm.base(SCALES, FIRST, self.spad("v_scales").off);
        match d.group() {
            1 => asm.copy(RMOD, Q_ROWS),
            _ => asm.alu(ALU_MUL, RMOD, Q_ROWS, ONE),
        }
        // The products with the value scales are made twice: writing them would wait for MM's writes.
        let p = || scores().spad(OP_MUL, At { agu: SCALES, off: 0 }, d.scw, ROW_DIV);
        p().red(R_ABSMAX, peak).emit(asm);
        let scalar = |from: At| vx(BLOCK_ROWS, 1).a_s(from);
        // Quantisation multiplier 127 / peak, then step · peak / (127 sum) as the reciprocal of its product with the sum.
        scalar(peak).imm(OP_MAX, 1e-20).imm(OP_MUL, 1.0 / 127.0).func(F_RECIP).to_s(inv).emit(asm);
        let inverse = scalar(inv).s(OP_MUL, sum);
        let inverse = if d.kv_bits == 4 { inverse.imm(OP_MUL, 1.0 / step) } else { inverse };
        inverse.func(F_RECIP).to_s(sum).emit(asm);
        p().s(OP_MUL, inv).to_abuf(p8, d.scw).sync(asm, 0, MM);
    }

    /// Probabilities times values, to the item's heads of `attended`.
    fn values(&self, asm: &mut Asm, commands: Reg) {
        use regs::*;
        let (d, chip) = (self.d, self.chip);
        self.at_half(asm, ATTENDED, &chip.spad, HALF, "attended");
        asm.alu_imm(ALU_MUL, TMP, HEAD, d.hw);
        asm.emit(isa::Seta { agu: ATTENDED, what: SETA_ADVANCE, rs: TMP.0, imm: 0 });
        self.step(asm, ATTENDED, d.group() * d.hw, d.hw);
        self.step_rows(asm, ACT, d.scw);
        self.step_rows(asm, SCALE, 1);
        let find = |m: &Halves, name| m.half.find(name).expect("invariant: a region of the halves");
        let (p8, sum) = (find(&chip.abuf, "p8"), find(&chip.s, "row_sum"));
        asm.mm_sync(VX, 0);
        self.kv_head(asm, d.hw);
        let runs = self.runs(asm);
        asm.repeat(commands, |asm| {
            self.load_values(asm, &runs);
            asm.emit(isa::Mm {
                rows: Count::from(Q_ROWS).field(),
                tiles: Count::from(d.hw).field(),
                kb: Count::from(KV_TILES).field(),
                act_agu: ACT,
                act_off: p8,
                act_stride: Count::from(d.scw).field(),
                out_agu: ATTENDED,
                out_stride: Count::from(Q_STRIDE).field(),
                sa_agu: SCALE,
                sa_off: sum,
                sa_stride: Count::from(1).field(),
                first: Count::from(FIRST).field(),
                ..isa::Mm::default()
            });
            asm.alu(ALU_ADD, FIRST, FIRST, TMP);
        });
    }

    /// The tiles that the item's rows see, KV_TILES in all, as runs. Uses VBASE, RMOD, PARITY.
    fn runs(&self, asm: &mut Asm) -> Vec<Run> {
        use regs::*;
        let sinks = self.d.sink_tiles();
        let run = |tiles, at, scratch| Run { tiles, at, scratch };
        match (self.d.mask, sinks) {
            (None, _) => vec![run(KV_TILES, 0, None)],
            (Some(_), 0) => vec![run(KV_TILES, 0, Some(PARITY))],
            _ => {
                asm.alu_imm(ALU_MIN, RMOD, KV_TILES, sinks);
                asm.alu(ALU_SUB, VBASE, KV_TILES, RMOD);
                vec![run(RMOD, 0, None), run(VBASE, sinks, Some(PARITY))]
            }
        }
    }

    /// Value tiles of kv slot FIRST. A slice takes its tiles one after the other, each whole: where runs make a
    /// tile and slices get several, they come in rounds. Uses HEAD.
    fn load_values(&self, asm: &mut Asm, runs: &[Run]) {
        use regs::*;
        let d = self.d;
        let step = if runs.len() == 1 { d.hw } else { d.slices };
        let skipped = |asm: &mut Asm, run: &Run, back: bool| {
            let units = d.kv_word_units();
            asm.alu_imm(ALU_MUL, PARITY, SKIP, if back { units.wrapping_neg() } else { units });
            let imm = run.at * units;
            let imm = if back { imm.wrapping_neg() } else { imm };
            asm.emit(isa::Seta { agu: A_V, what: SETA_ADVANCE, rs: PARITY.0, imm });
        };
        for at in (0..d.hw).step_by(step as usize) {
            for run in runs {
                let mut rows = Count::from(step.min(d.hw - at));
                if run.scratch.is_some() {
                    skipped(asm, run, false);
                }
                // Tiles of no words are a fault: then no tiles.
                if run.at > 0 {
                    asm.alu_imm(ALU_MIN, HEAD, run.tiles, 1);
                    asm.alu_imm(ALU_MUL, HEAD, HEAD, step.min(d.hw - at));
                    rows = HEAD.into();
                }
                asm.emit(isa::Ld {
                    mode: LD_WEIGHT,
                    rows: rows.field(),
                    len: Count::from(run.tiles).field(),
                    src_agu: A_V,
                    src_stride: d.v_tile_units(),
                    fmt: if d.kv_bits == 4 { FMT_W4N } else { FMT_W8N },
                    first: Count::from(FIRST).field(),
                    ..isa::Ld::default()
                });
                if run.scratch.is_some() {
                    skipped(asm, run, true);
                }
            }
            if step < d.hw {
                asm.alu_imm(ALU_ADD, FIRST, FIRST, step);
            }
        }
        if step < d.hw {
            asm.alu_imm(ALU_SUB, FIRST, FIRST, d.hw.next_multiple_of(step));
        }
    }
}

/// Tiles of the cache that follow each other there and in a score row.
struct Run {
    /// How many.
    tiles: Reg,
    /// Words in front of theirs in a score row.
    at: u32,
    /// Of a run behind skipped tiles: a register for its first slot.
    scratch: Option<Reg>,
}

impl Run {
    /// First key slot of the run; FIRST is the head's.
    fn first_tile(&self, asm: &mut Asm, d: &Dims) -> Reg {
        use regs::*;
        let Some(scratch) = self.scratch else { return FIRST };
        asm.alu(ALU_ADD, scratch, FIRST, SKIP);
        if d.sink_tiles() > 0 {
            asm.alu_imm(ALU_ADD, scratch, scratch, self.at);
        }
        scratch
    }
}
