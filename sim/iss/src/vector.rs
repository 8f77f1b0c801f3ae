//! Timing of a vector command: `hw/doc/timing.md`, section VX.

use crate::spad::MatrixWrites;
use crate::timing;
use crate::work::Command;
use crate::work::VxWork;
use flightvlm_hw::isa::names::*;
use std::ops::Range;

/// When things happen in a vector command, in cycles from its start, if nothing keeps it from writing SPAD.
pub(crate) struct VxTimes {
    /// Completion.
    pub end: u64,
    /// Its writes to SPAD.
    writes: Option<Writes>,
}

/// Cycles of writes: rows of steps.
struct Writes {
    first: u64,
    rows: u64,
    /// Of a row.
    steps: u64,
    /// From row to row, in steps.
    row: u64,
    /// Cycles of a step.
    pace: u64,
}

impl Writes {
    fn last(&self) -> u64 {
        self.first + self.pace * ((self.rows - 1) * self.row + self.steps - 1)
    }

    /// The first one that is not before a cycle.
    fn not_before(&self, cycle: u64) -> Option<u64> {
        let step = cycle.saturating_sub(self.first).div_ceil(self.pace);
        let (row, at) = (step / self.row, step % self.row);
        let step = if at < self.steps { step } else { (row + 1) * self.row };
        let cycle = self.first + self.pace * step;
        (cycle <= self.last()).then_some(cycle)
    }
}

/// A vector command that has started. A write that meets one of the matrix unit waits, and everything behind it.
pub(crate) struct VectorRun {
    pub command: Command,
    pub start: u64,
    times: VxTimes,
    /// Cycles that it has lost.
    stalled: u64,
    /// The first matrix write that it has not met.
    next: u64,
}

impl VectorRun {
    pub fn new(command: Command, start: u64, times: VxTimes, matrix: &MatrixWrites) -> VectorRun {
        let mut run = VectorRun { command, start, times, stalled: 0, next: matrix.first() };
        run.meet(matrix);
        run
    }

    /// Completion, as far as the matrix unit's writes are known.
    pub fn end(&self) -> u64 {
        self.start + self.times.end + self.stalled
    }

    /// Cycles in which it may write SPAD.
    pub fn spad_writes(&self) -> Option<Range<u64>> {
        let writes = self.times.writes.as_ref()?;
        Some(self.start + writes.first..self.start + writes.last() + self.stalled + 1)
    }

    /// Waits for the matrix writes that have become known.
    pub fn meet(&mut self, matrix: &MatrixWrites) {
        let Some(writes) = &self.times.writes else { return };
        while let Some(span) = matrix.get(self.next) {
            let begun = self.start + self.stalled;
            // In cycles that pass for the command, where it is when the matrix unit begins to write.
            let Some(write) = writes.not_before(span.start.saturating_sub(begun)) else { return };
            if begun + writes.last() < span.start {
                return;
            }
            self.stalled += span.end.saturating_sub(begun + write);
            self.next += 1;
        }
    }
}

impl VxTimes {
    pub fn new(w: &VxWork, vx_words: u32) -> VxTimes {
        let divides = w.b.row == ROW_DIV || w.c.row == ROW_DIV;
        let first = if divides { timing::VX_DIVIDE_CYCLES } else { 0 };
        if w.rows == 0 || w.len == 0 {
            return VxTimes { end: first + timing::VX_EMPTY_CYCLES, writes: None };
        }
        let first = first + timing::VX_START_CYCLES;
        let sums = matches!(w.red, R_SUM | R_SUMSQ);
        let adds = matches!(w.op2, OP_ADD | OP_SUB);
        let bump = matches!(w.func, F_GELU | F_GELU_TANH | F_SILU);
        let pace = if adds && bump { timing::VX_SLOW_CYCLES } else { 1 };
        let steps = u64::from(w.len.div_ceil(16).div_ceil(vx_words));
        let row = if sums { steps.max(timing::vx_sum_period(vx_words)) } else { steps };
        let last = first + pace * (u64::from(w.rows - 1) * row + steps - 1);

        let func = match w.func {
            F_NONE => 0,
            _ if bump => timing::VX_BUMP_CYCLES,
            _ => timing::VX_FUNC_CYCLES,
        };
        let y = timing::VX_SELECT_CYCLES + op_cycles(w.op1) + op_cycles(w.op2) + func;
        let write = y + if w.d_kind == D_ABUF { timing::VX_INT8_CYCLES } else { 1 };
        let end = match w.red {
            R_NONE => write,
            R_SUM => y + 1 + pace * timing::vx_sum_cycles(vx_words),
            R_SUMSQ => y + 1 + timing::VX_SQUARE_CYCLES + pace * timing::vx_sum_cycles(vx_words),
            _ => y + timing::VX_BEST_CYCLES + u64::from(vx_words.ilog2()),
        };
        let rows = u64::from(w.rows);
        let writes = Writes { first: first + write, rows, steps, row, pace };
        VxTimes { end: last + end + 1, writes: (w.d_kind == D_SPAD).then_some(writes) }
    }
}

fn op_cycles(op: u32) -> u64 {
    match op {
        OP_PASS => 0,
        OP_MAX => 1,
        OP_MUL => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{StWork, Work};

    /// Two rows of three steps, five steps apart, from cycle 10 on.
    fn run(matrix: &MatrixWrites) -> VectorRun {
        let writes = Writes { first: 10, rows: 2, steps: 3, row: 5, pace: 1 };
        let command = Command { pc: 0, wait: 0, release: 0, work: Work::St(StWork::default()) };
        VectorRun::new(command, 100, VxTimes { end: 20, writes: Some(writes) }, matrix)
    }

    fn matrix(spans: &[Range<u64>]) -> MatrixWrites {
        let mut writes = MatrixWrites::default();
        spans.iter().for_each(|span| writes.push(span.clone()));
        writes
    }

    #[test]
    fn only_writes_at_the_same_time_wait() {
        assert_eq!(run(&matrix(&[])).end(), 120);
        // In front of the first write, between the rows, behind the last.
        assert_eq!(run(&matrix(&[90..110, 113..115, 118..500])).end(), 120);
        // The second write waits for two cycles, all behind it too; the next span then meets the gap only.
        assert_eq!(run(&matrix(&[111..113, 115..117])).end(), 122);
        // From the gap into the second row.
        assert_eq!(run(&matrix(&[113..119])).end(), 124);
    }

    #[test]
    fn writes_that_become_known_later_count() {
        let mut known = matrix(&[105..111]);
        let mut run = run(&known);
        assert_eq!((run.end(), run.spad_writes()), (121, Some(110..119)));
        known.push(112..114);
        run.meet(&known);
        assert_eq!(run.end(), 123);
        run.meet(&known);
        assert_eq!(run.end(), 123);
    }
}
