//! Which visual tokens stay, where the others are dropped: chosen on the machine, in front of a tile's first launch of the
//! projector, from the sums of attention that the tower has left in memory. What is left in memory by this is the list of
//! the tokens that stay, in raster order, as the gather of [`super::merge`] reads it.
//!
//! There is no sorting: every token counts the others in front of it, those with a higher score and the equal ones before
//! it, which is its rank. VX subtracts a token's score from all scores, a row for each token, and counts by the table's
//! power of two, which is 1 at zero and 0 far below: `2^(-big·max(d, 0))` where a score is not higher, `2^(-big·d²)` where
//! it is equal, the latter with the causal mask. Ranks below the number of tokens to keep stay. Their running sum, by the
//! causal mask again, turns into the list: token j of it is the first at which the sum, capped at j + 1, is largest.
//!
//! All of it is exact. Scores are scaled to where differences cannot vanish, and counts are whole numbers.

use super::asm::{abs, vx, Asm, At, Count, Reg, Vec1, LD, ST, VX};
use super::layer::A_TEMP;
use super::merge::GroupsLayout;
use super::tower::regs;
use super::{add, group_args, Build};
use crate::diag::Diagnostic;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::onchip::{OnChip, Request};
use crate::layout::words;
use crate::plan::Vision;
use flightvlm_hw::config::{HwConfig, TILE};
use flightvlm_hw::isa::{self, names::*};

/// Name of the region that says which tokens of a tile the picture shows: a float for each, 0 for those, [`NOT_SHOWN`]
/// for the others.
pub const SHOWN_REGION: &str = "vision.shown";
/// Taken from the scaled score of a token that the picture does not show: behind all others.
pub const NOT_SHOWN: f32 = power(126);

/// Tokens that stay, 0 where nothing is chosen, and tokens of the tile: arguments.
const KEEP: Reg = Reg(group_args::KEEP as u32);
const TOKENS: Reg = Reg(group_args::TOKENS as u32);
/// Scores are sums of probabilities, below 2^20 in all and zero or at least 2^-125; scaled by this they differ by 2^-48 or
/// not at all, and neither that nor its square is lost.
const SCALE: f32 = power(100);
/// Takes any such difference and its square, negated, to where the table's power of two is zero.
const FAR: f32 = -power(110);
/// Generator of the tokens that are compared, in S, and the loop level that it steps at.
const PART: u32 = A_TEMP + 4;
const PART_LEVEL: u32 = 1;
/// Tokens that are compared with all others at a time, the most first.
const PARTS: [u32; 4] = [128, 64, 32, 16];

/// Where the choice has what.
#[derive(Debug, Clone)]
pub struct ChoiceLayout {
    spad: OnChip,
    s: OnChip,
    /// Rows of the tower in front of those that tokens are made of, and how many make one.
    skip: u32,
    join: u32,
    /// Words of a row of the tower's sums, and of one with a scalar for each token.
    sum_words: u32,
    words: u32,
    /// Tokens of a part.
    part: u32,
    /// First units: the last layer's sums, what is shown, scalars on their way to a row.
    sums: u32,
    shown: u32,
    scalars: u32,
}

impl ChoiceLayout {
    /// For a tower that leaves sums of `sum_words` words at unit `sums`.
    pub(super) fn new(
        v: &Vision,
        (sums, sum_words): (u32, u32),
        groups: &GroupsLayout,
        build: &Build,
        dram: &mut DramMap,
    ) -> Result<ChoiceLayout, Diagnostic> {
        let words = words(v.tokens);
        let fit = |part: &u32| Some((*part, on_chip(&build.config, sum_words, words, groups.rows, *part)?));
        let (part, [spad, s]) = PARTS.iter().find_map(fit).ok_or_else(|| {
            let c = &build.config;
            Diagnostic::new(
                "--visual-tokens",
                format!("{} scratchpad words and {} scalars to choose them with", c.spad_words, c.s_words),
                format!("tiles of {} visual tokens", v.tokens),
                "use a target with larger on-chip memories",
            )
        })?;
        let mut region = |name, kind| add(dram, Space::Main, name, kind, 1, words.into());
        let (shown, scalars) = (region(SHOWN_REGION, Kind::Input)?, region("vision.scalars", Kind::State)?);
        let (skip, join) = (v.skip_rows as u32, v.join as u32);
        Ok(ChoiceLayout { spad, s, skip, join, sum_words, words, part, sums, shown, scalars })
    }

    fn spad(&self, name: &str) -> At {
        abs(self.spad.find(name).expect("invariant: a region of the choice"))
    }

    fn s(&self, name: &str) -> At {
        abs(self.s.find(name).expect("invariant: a region of the choice"))
    }

    /// Code: writes the list if the launch says how many stay.
    pub(super) fn emit(&self, asm: &mut Asm, groups: &GroupsLayout) {
        asm.mark("choice of visual tokens");
        asm.alu_imm(ALU_MIN, regs::COUNT, KEEP, 1);
        asm.repeat(regs::COUNT, |asm| {
            self.scores(asm);
            self.compare(asm);
            self.stay(asm);
            self.list(asm, groups);
            // The gather reads what ST writes.
            asm.emit(isa::Fence {});
        });
    }

    /// Scores of the tokens, as scalars and as a row, which VX may use after LD's token.
    fn scores(&self, asm: &mut Asm) {
        let load = |to: At, from, units: u32| isa::Ld {
            mode: LD_SCALARS,
            rows: Count::from(1).field(),
            len: Count::from(units).field(),
            dst_off: to.off,
            src_off: from,
            ..isa::Ld::default()
        };
        let (sums, shown, scalars) = (self.s("sums"), self.s("shown"), self.s("scalars"));
        asm.emit(load(sums, self.sums, self.sum_words));
        asm.sync(load(shown, self.shown, self.words), 0, VX);
        // Sums in the order in which the reference adds them, two operations an instruction.
        let row = |i: u32| sums.plus(self.skip + i);
        let mut ops: Vec<Box<dyn Fn(Vec1) -> Vec1>> = Vec::new();
        for i in 1..self.join {
            ops.push(Box::new(move |v| v.s_every(OP_ADD, row(i), self.join)));
        }
        ops.push(Box::new(|v| v.imm(OP_MUL, SCALE)));
        ops.push(Box::new(move |v| v.s(OP_SUB, shown)));
        let count = ops.len().div_ceil(2);
        for (i, ops) in ops.chunks(2).enumerate() {
            let from = match i {
                0 => vx(TOKENS, 1).a_s_every(row(0), self.join),
                _ => vx(TOKENS, 1).a_s(scalars),
            };
            let y = ops.iter().fold(from, |y, op| op(y));
            y.to_s(scalars).sync(asm, if i == 0 { LD } else { 0 }, if i + 1 == count { ST } else { 0 });
        }
        self.lay_out(asm);
    }

    /// The scalars as a row, by way of memory: VX has released ST, and may use the row after LD's token.
    fn lay_out(&self, asm: &mut Asm) {
        let store = isa::St {
            mode: ST_SCALAR,
            rows: Count::from(TOKENS).field(),
            src_off: self.s("scalars").off,
            src_stride: 1,
            dst_off: self.scalars,
            dst_stride: 1,
            heads: Count::from(1).field(),
            ..isa::St::default()
        };
        asm.sync(store, VX, LD);
        let load = isa::Ld {
            mode: LD_ROWS,
            rows: Count::from(1).field(),
            len: Count::from(self.words).field(),
            dst_off: self.spad("row").off,
            src_off: self.scalars,
            ..isa::Ld::default()
        };
        asm.sync(load, ST, VX);
    }

    /// Sums `factor` over the first VBASE + r tokens in row r, to `to`.
    fn count(&self, rows: impl Into<Count>, factor: f32, to: At) -> Vec1 {
        let ones = vx(rows, TOKENS).a(self.spad("row"), 0).imm(OP_MUL, 0.0).imm(OP_ADD, factor);
        ones.causal(true).red(R_SUM, to)
    }

    /// For each token how many have no higher score, and how many of the equal ones stand before it.
    fn compare(&self, asm: &mut Asm) {
        use regs::*;
        let (row, apart) = (self.spad("row"), self.spad("apart"));
        let part = |name| At { agu: PART, off: self.s(name).off };
        asm.alu(ALU_SUB, VBASE, TOKENS, KEEP);
        asm.alu_imm(ALU_ADD, VBASE, VBASE, 1);
        self.count(1, 1.0, self.s("need")).sync(asm, LD, 0);
        asm.base(PART, Reg(0), 0);
        asm.stride(PART, PART_LEVEL, Reg(0), self.part);
        asm.copy(LEFT, TOKENS);
        asm.set(VBASE, 0);
        asm.alu_imm(ALU_ADD, COUNT, TOKENS, self.part - 1);
        asm.alu_imm(ALU_SHR, COUNT, COUNT, self.part.trailing_zeros());
        asm.repeat(COUNT, |asm| {
            asm.alu_imm(ALU_MIN, ROWS, LEFT, self.part);
            asm.alu(ALU_SUB, LEFT, LEFT, ROWS);
            vx(ROWS, TOKENS).a(row, 0).s(OP_SUB, part("scalars")).to_spad(apart, self.words).emit(asm);
            let counted = |v: Vec1| v.imm(OP_MUL, FAR).func(F_EXP2);
            let other = || vx(ROWS, TOKENS).a(apart, self.words);
            counted(other().imm(OP_MAX, 0.0)).red(R_SUM, part("not_higher")).emit(asm);
            let equal = counted(other().spad(OP_MUL, apart, self.words, ROW));
            equal.causal(true).red(R_SUM, part("equal")).emit(asm);
            asm.alu(ALU_ADD, VBASE, VBASE, ROWS);
        });
    }

    /// How many tokens stay up to each of them, negated, as a row.
    fn stay(&self, asm: &mut Asm) {
        let (row, scalars) = (self.spad("row"), self.s("scalars"));
        // Equal ones before it - those not higher + (all - kept + 1) = rank - kept + 1: at most zero for those that stay.
        let late = vx(TOKENS, 1).a_s(self.s("equal")).s(OP_SUB, self.s("not_higher"));
        late.s_every(OP_ADD, self.s("need"), 0).to_s(scalars).sync(asm, 0, ST);
        self.lay_out(asm);
        let stays = vx(1, TOKENS).a(row, 0).imm(OP_MAX, 0.0).imm(OP_MUL, FAR).func(F_EXP2);
        stays.to_spad(row, 0).sync(asm, LD, 0);
        asm.set(regs::VBASE, 1);
        let sums = vx(TOKENS, TOKENS).a(row, 0).imm(OP_MUL, -1.0).causal(true);
        sums.red(R_SUM, scalars).sync(asm, 0, ST);
        self.lay_out(asm);
    }

    /// The list, in rounds of whole launches, each token of weight 1.
    fn list(&self, asm: &mut Asm, groups: &GroupsLayout) {
        use regs::*;
        let (row, ones, place, list) = (self.spad("row"), self.spad("ones"), self.s("place"), self.s("list"));
        let rounds = LEFT;
        asm.alu_imm(ALU_ADD, rounds, KEEP, groups.rows - 1);
        asm.alu_imm(ALU_SHR, rounds, rounds, groups.rows.trailing_zeros());
        asm.alu_imm(ALU_MIN, ROWS, KEEP, groups.rows);
        asm.alu(ALU_MUL, COUNT, rounds, ROWS);
        // Places behind the last token get the last token.
        self.count(COUNT, -1.0, place).sync(asm, LD, 0);
        let capped = vx(COUNT, TOKENS).a(row, 0).s(OP_MAX, place).imm(OP_MUL, -1.0);
        capped.red(R_ARGMAX, list).emit(asm);
        let weights = vx(1, groups.rows).a(ones, 0).imm(OP_MUL, 0.0).imm(OP_ADD, 1.0);
        weights.to_spad(ones, 0).sync(asm, 0, ST);
        let members = isa::St {
            mode: ST_SCALAR,
            rows: Count::from(ROWS).field(),
            src_off: list.off,
            src_stride: 1,
            dst_off: groups.base,
            dst_stride: 1,
            heads: Count::from(rounds).field(),
            head_stride: groups.rows,
            head_step: groups.round_units(),
            ..isa::St::default()
        };
        asm.sync(members, VX, 0);
        asm.emit(isa::St {
            mode: ST_ROWS,
            rows: Count::from(rounds).field(),
            len: Count::from(groups.rows / TILE as u32).field(),
            src_off: ones.off,
            dst_off: groups.base + groups.round_units() / 2,
            dst_stride: groups.round_units(),
            ..isa::St::default()
        });
    }
}

/// Scratchpad and scalars, if there is room for parts of so many tokens. Steps: 0 scores, 1 compare, 2 what stays, 3 list.
fn on_chip(c: &HwConfig, sum_words: u32, words: u32, rows: u32, part: u32) -> Option<[OnChip; 2]> {
    let r = |name, words, from, to| Request { name, words, from, to };
    let (of_tokens, of_list) = (words * TILE as u32, (words * TILE as u32).next_multiple_of(rows));
    let spad = OnChip::allocate(&[
        r("row", words, 0, 3),
        r("apart", part * words, 1, 1),
        r("ones", rows / TILE as u32, 3, 3),
    ]);
    let s = OnChip::allocate(&[
        r("sums", sum_words * TILE as u32, 0, 0),
        r("shown", of_tokens, 0, 0),
        r("scalars", of_tokens, 0, 2),
        r("need", 1, 1, 2),
        r("not_higher", of_tokens, 1, 2),
        r("equal", of_tokens, 1, 2),
        r("place", of_list, 3, 3),
        r("list", of_list, 3, 3),
    ]);
    // Reduction results have a field of 14 bits.
    let fits = spad.words() <= c.spad_words && s.words() <= c.s_words.min(1 << 14);
    fits.then_some([spad, s])
}

/// 2^n, for normal numbers.
const fn power(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}
