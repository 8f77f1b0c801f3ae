//! Timing of a vector command: `hw/doc/timing.md`, section VX.

use crate::timing;
use crate::work::VxWork;
use flightvlm_hw::isa::names::*;
use std::ops::Range;

/// When things happen in a vector command, in cycles from its start.
pub(crate) struct VxTimes {
    /// Completion.
    pub end: u64,
    /// Cycles in which it writes SPAD.
    pub spad_writes: Option<Range<u64>>,
}

impl VxTimes {
    pub fn new(w: &VxWork, vx_words: u32) -> VxTimes {
        let divides = w.b.row == ROW_DIV || w.c.row == ROW_DIV;
        let first = if divides { timing::VX_DIVIDE_CYCLES } else { 0 };
        if w.rows == 0 || w.len == 0 {
            return VxTimes { end: first + timing::VX_EMPTY_CYCLES, spad_writes: None };
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
        let spad_writes = (w.d_kind == D_SPAD).then_some(first + write..last + write + 1);
        VxTimes { end: last + end + 1, spad_writes }
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
