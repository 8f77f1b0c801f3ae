//! Inputs of 16 bits: a row as two rows of 8 bits, what it rounds to and what is left over. A matrix command multiplies both
//! with the same weights (they are its two lanes, so decode reads no more bytes and takes no more cycles), the
//! vector unit adds the results.
//!
//! For rows that 8 bits serve badly: the inputs of down projections have outliers in every row, and errors in the
//! inputs of the output layer go straight into the logits. The leftover row is the side path for outliers taken to its
//! end (shadow outliers of Xu et al., arXiv:2407.05858, keep some columns of it).

use super::asm::{vx, Asm, At, Count, Reg, MM, VX};
use super::layer::{linear_op, Tower, TINY};
use super::text::TextLayout;
use super::tower::regs;
use flightvlm_hw::isa::{self, names::*};

/// Adding it rounds to the nearest whole number, ties to even, as quantisation does.
const ROUNDER: f32 = 1.5 * (1 << 23) as f32;
/// Steps of the leftover row in a step of the first: leftovers of up to half a step fill ±127.
const FINER: f32 = 254.0;
/// Pieces of the output layer: the leftover row's logits need room for one of them.
const HEAD_PIECES: u32 = 4;
/// Columns of a vector command.
const COLS_MAX: u32 = (1 << 15) - 1;

/// Rows to split.
pub struct Split {
    /// Where they are, with the words between them.
    pub from: (At, u32),
    /// Room for as many, with the words between them.
    pub spare: (At, u32),
    /// ABUF: each row, then what is left of it.
    pub to: At,
    /// Words of a row there.
    pub words: u32,
    /// S: one over a step of each row (then the same of the leftovers).
    pub inv: At,
    /// S: for the inverses of the leftovers' steps.
    pub inv_finer: At,
}

impl Tower<'_> {
    /// Quantises `rows` rows of `cols` columns and their leftovers.
    pub fn quantise_both(
        &self,
        asm: &mut Asm,
        rows: impl Into<Count> + Copy,
        cols: u32,
        s: &Split,
        release: u8,
    ) {
        let row = || vx(rows, cols).a(s.from.0, s.from.1);
        let spare = || vx(rows, cols).a(s.spare.0, s.spare.1).to_spad(s.spare.0, s.spare.1);
        vx(rows, 1).a_s(s.inv).imm(OP_MUL, FINER).to_s(s.inv_finer).emit(asm);
        row().s(OP_MUL, s.inv).to_abuf(s.to, 2 * s.words).emit(asm);
        row().s(OP_MUL, s.inv).imm(OP_ADD, ROUNDER).to_spad(s.spare.0, s.spare.1).emit(asm);
        spare().imm(OP_SUB, ROUNDER).imm(OP_MUL, FINER).emit(asm);
        let left = row().s(OP_MUL, s.inv_finer).spad(OP_SUB, s.spare.0, s.spare.1, ROW);
        left.to_abuf(s.to.plus(s.words), 2 * s.words).sync(asm, 0, release);
    }

    /// Scales of rows and leftovers, in turn, from the rows' maxima in S at `peak`, which are lost; `inv` as in
    /// [`Split`].
    pub fn both_scales(&self, asm: &mut Asm, rows: impl Into<Count> + Copy, peak: At, factor: f32) {
        let (inv, both) = (self.s("inv"), self.s("both_scales"));
        let peaks = || vx(rows, 1).a_s(peak).imm(OP_MAX, TINY);
        peaks().imm(OP_MUL, 1.0 / 127.0).func(F_RECIP).to_s(inv).emit(asm);
        peaks().imm(OP_MUL, factor / 127.0).to_s_every(both, 2).emit(asm);
        peaks().imm(OP_MUL, factor / (127.0 * FINER)).to_s_every(both.plus(1), 2).emit(asm);
    }

    /// Logits of the normalised row at `row`, whose maximum is in S at `peak`.
    pub fn wide_logits(&self, asm: &mut Asm, l: &TextLayout, weights: At, row: At, peak: At) {
        let (d, p, logits) = (self.d, &l.head, self.spad("logits"));
        let (spare, to) = (logits.plus(l.logit_words), self.abuf("head8"));
        self.both_scales(asm, 1, peak, 1.0);
        let split = Split {
            from: (row, 0),
            spare: (spare, 0),
            to,
            words: d.dw,
            inv: self.s("inv"),
            inv_finer: self.s("inv_finer"),
        };
        self.quantise_both(asm, 1, d.cols, &split, MM);
        let piece = head_piece(l.logit_words);
        for first in (0..l.logit_words).step_by(piece as usize) {
            let tiles = piece.min(l.logit_words - first);
            let at = logits.plus(first);
            self.load_tiles(asm, weights, p, first, tiles);
            // The second row goes behind all logits.
            let out = (at, l.logit_words - first);
            let both = linear_op(2, p, (to, d.dw), out, self.s("both_scales"));
            let op = isa::Mm { tiles: Count::from(tiles).field(), first: Count::from(first).field(), ..both };
            asm.sync(op, VX, VX);
            let sum = vx(1, 16 * tiles).a(at, 0).spad(OP_ADD, spare, 0, ROW).to_spad(at, 0);
            let last = first + tiles == l.logit_words;
            sum.sync(asm, MM, if last { 0 } else { MM });
        }
    }
}

/// Tiles of 16 logits of a piece.
fn head_piece(logit_words: u32) -> u32 {
    logit_words.div_ceil(HEAD_PIECES).min(COLS_MAX / 16)
}

/// Words behind the logits: for the leftover row's, and while it is made for its `row_words`.
pub fn spare_words(logit_words: u32, row_words: u32) -> u32 {
    head_piece(logit_words).max(row_words)
}

/// `to` = both rows of each of the half's rows.
pub fn both_rows(asm: &mut Asm, to: Reg) {
    asm.alu(ALU_ADD, to, regs::ROWS, regs::ROWS);
}
