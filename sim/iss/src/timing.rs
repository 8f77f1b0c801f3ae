//! Cycle constants of the units, as `hw/doc/timing.md` documents them for the RTL, and the AXI
//! read/write stream models.

use std::collections::VecDeque;

/// Cycles from a command's push into an empty queue until its unit starts.
pub const QUEUE_CYCLES: u64 = 2;
/// Cycles from one command's completion until the next of the same unit starts.
pub const NEXT_CYCLES: u64 = 2;
/// Cycles from a completion until the token can start another unit.
pub const TOKEN_CYCLES: u64 = 2;
/// Cycles the dispatcher needs per instruction.
pub const DISPATCH_CYCLES: u64 = 2;
/// Launch: cycles before the first code beat is requested and after the last one arrived.
pub const LAUNCH_CYCLES: u64 = 6;
/// VX: pipeline depth from issue of the last word to completion, without reduction.
pub const VX_DEPTH_CYCLES: u64 = 22;
/// VX: further cycles until a reduction is in S.
pub const VX_REDUCE_CYCLES: u64 = 28;
/// MM: cycles from the issue of the last beat to completion.
pub const MM_DEPTH_CYCLES: u64 = 44;
/// MM: cycles from a word's push until it can be issued.
pub const MM_WORD_CYCLES: u64 = 2;
/// MM: fewest issue cycles of a pair-group when a tile has one scale group.
pub const MM_PAIR_CYCLES: u64 = 2;
/// MM: the same when it has several.
pub const MM_PAIR_GROUP_CYCLES: u64 = 8;
/// LD, ST: cycles from start to the first address on the bus.
pub const DMA_START_CYCLES: u64 = 3;
/// LD, ST: cycles from the last beat or response to completion.
pub const DMA_END_CYCLES: u64 = 3;
/// Beats of the longest burst.
pub const BURST_BEATS: u64 = 16;
/// Bursts in flight.
pub const OUTSTANDING: usize = 8;

/// AXI read channel: bursts in order, one beat a cycle.
pub(crate) struct ReadStream {
    latency: u64,
    next_request: u64,
    last_beat: u64,
    in_flight: VecDeque<u64>,
}

impl ReadStream {
    pub fn new(start: u64, latency: u64) -> ReadStream {
        let next_request = start + DMA_START_CYCLES;
        ReadStream { latency, next_request, last_beat: next_request, in_flight: VecDeque::new() }
    }

    /// Requests one burst of `beats`; `not_before` delays each beat for the receiver. Gives the
    /// cycle of the last beat.
    pub fn burst(&mut self, beats: u64, not_before: u64) -> u64 {
        if self.in_flight.len() == OUTSTANDING {
            let oldest = self.in_flight.pop_front().expect("invariant: not empty");
            self.next_request = self.next_request.max(oldest + 1);
        }
        let first = (self.next_request + self.latency).max(self.last_beat + 1).max(not_before);
        self.next_request += 1;
        self.last_beat = first + beats - 1;
        self.in_flight.push_back(self.last_beat);
        self.last_beat
    }

    /// A contiguous run from unit `from`: bursts that do not cross 4 KiB (64 units).
    pub fn run(&mut self, from: u64, units: u64) -> u64 {
        let (mut at, end) = (from, from + units);
        while at < end {
            let n = BURST_BEATS.min(end - at).min(64 - at % 64);
            self.burst(n, 0);
            at += n;
        }
        self.last_beat
    }

    pub fn last_beat(&self) -> u64 {
        self.last_beat
    }
}
