//! Cycle counts of the units: `hw/doc/timing.md` says where each constant comes from. Left out of
//! the model: a VX or LD word that waits because MM writes SPAD in the same cycle.

use std::collections::VecDeque;

/// From a command's push into an idle unit's empty queue to its start.
pub const QUEUE_CYCLES: u64 = 2;
/// From a command's completion to the start of the unit's next one.
pub const NEXT_CYCLES: u64 = 2;
/// From a completion to the start of a command that waited for its token.
pub const TOKEN_CYCLES: u64 = 2;
/// Cycles of the dispatcher per instruction.
pub const DISPATCH_CYCLES: u64 = 2;
/// Launch: cycle of the first code request.
pub const FETCH_START_CYCLES: u64 = 3;
/// From the last code beat to the first instruction.
pub const FETCH_END_CYCLES: u64 = 3;
/// From HALT to the end of the count.
pub const HALT_CYCLES: u64 = 2;
/// LD: from start to the first request.
pub const LD_START_CYCLES: u64 = 5;
/// LD: further cycles of a weight load with several scale groups.
pub const LD_GROUPS_CYCLES: u64 = 10;
/// LD: from start to the first request of a gather, and between its rows.
pub const LD_GATHER_CYCLES: (u64, u64) = (8, 4);
/// LD: cycles a beat of scalars takes.
pub const LD_SCALARS_CYCLES: u64 = 16;
/// LD: from the last beat to completion.
pub const LD_END_CYCLES: u64 = 1;
/// LD: an empty command.
pub const LD_EMPTY_CYCLES: u64 = 4;
/// ST: from start to the first beat, exclusive.
pub const ST_START_CYCLES: u64 = 5;
/// ST: from the last response to completion.
pub const ST_END_CYCLES: u64 = 1;
/// ST: an empty command.
pub const ST_EMPTY_CYCLES: u64 = 3;
/// ST: bursts that may wait for responses.
pub const ST_OUTSTANDING: u64 = 16;
/// VX: besides one cycle a word, without reduction.
pub const VX_CYCLES: u64 = 26;
/// VX: the same with a reduction.
pub const VX_REDUCE_CYCLES: u64 = 55;
/// VX: further cycles when an operand's row is divided.
pub const VX_DIVIDE_CYCLES: u64 = 8;
/// VX, MM: an empty command.
pub const EMPTY_CYCLES: u64 = 3;
/// MM: from start to the first issue.
pub const MM_START_CYCLES: u64 = 4;
/// MM: from the last issue to completion.
pub const MM_END_CYCLES: u64 = 41;
/// MM: from a word's last beat until it can be issued.
pub const MM_WORD_CYCLES: u64 = 1;
/// MM: from the issue of a tile's last word until its scale words are dropped.
pub const MM_DROP_CYCLES: u64 = 24;
/// MM: fewest issue cycles of a pair of rows when a tile has one scale group.
pub const MM_PAIR_CYCLES: u64 = 2;
/// MM: fewest issue cycles of a pair and group when it has several.
pub const MM_PAIR_GROUP_CYCLES: u64 = 8;
/// Beats of the longest burst.
pub const BURST_BEATS: u64 = 16;
/// Read bursts in flight.
pub const OUTSTANDING: usize = 8;

/// AXI read channel: bursts in order, one beat a cycle, each burst `latency` after its request.
pub(crate) struct ReadStream {
    latency: u64,
    next_request: u64,
    last_beat: u64,
    in_flight: VecDeque<u64>,
    /// Next unit and units left of the row; beats left of the burst.
    at: u64,
    row_left: u64,
    burst_left: u64,
}

impl ReadStream {
    /// `first_request`: cycle of the first address.
    pub fn new(first_request: u64, latency: u64) -> ReadStream {
        ReadStream {
            latency,
            next_request: first_request,
            last_beat: first_request,
            in_flight: VecDeque::new(),
            at: 0,
            row_left: 0,
            burst_left: 0,
        }
    }

    /// Starts a row: its address may not be sent before `not_before`.
    pub fn row(&mut self, from: u64, units: u64, not_before: u64) {
        debug_assert_eq!(self.burst_left, 0);
        (self.at, self.row_left) = (from, units);
        self.next_request = self.next_request.max(not_before);
    }

    /// The next beat of the row; the receiver takes it from cycle `not_before` on.
    pub fn beat(&mut self, not_before: u64) -> u64 {
        let mut ready = self.last_beat + 1;
        if self.burst_left == 0 {
            if self.in_flight.len() == OUTSTANDING {
                let oldest = self.in_flight.pop_front().expect("invariant: not empty");
                self.next_request = self.next_request.max(oldest + 1);
            }
            ready = ready.max(self.next_request + self.latency);
            self.next_request += 1;
            self.burst_left = BURST_BEATS.min(self.row_left).min(64 - self.at % 64);
        }
        self.last_beat = ready.max(not_before);
        self.at += 1;
        self.row_left -= 1;
        self.burst_left -= 1;
        if self.burst_left == 0 {
            self.in_flight.push_back(self.last_beat);
        }
        self.last_beat
    }

    /// All beats of a row, `spacing` cycles each.
    pub fn whole_row(&mut self, from: u64, units: u64, not_before: u64, spacing: u64) {
        self.row(from, units, not_before);
        for _ in 0..units {
            self.beat(0);
            self.last_beat += spacing - 1;
        }
    }

    /// Cycle of the last beat so far.
    pub fn last_beat(&self) -> u64 {
        self.last_beat
    }
}
