//! Requests of a read port: bursts in order, one address a cycle, a limited number in flight.

use crate::timing;
use flightvlm_mem::{MemoryPort, Port, Request};
use std::collections::VecDeque;

/// Beats of the next burst when `units` from `unit` on are left.
pub(crate) fn burst_beats(unit: u64, units: u64) -> u64 {
    units.min(timing::BURST_BEATS).min(timing::PAGE_UNITS - unit % timing::PAGE_UNITS)
}

/// A read port whose receiver takes every beat as it comes.
pub(crate) struct Reader {
    next_request: u64,
    /// When the last beats of bursts in flight are taken.
    in_flight: VecDeque<u64>,
    last_taken: u64,
    beats: Vec<u64>,
}

impl Reader {
    pub fn new(first_request: u64) -> Reader {
        let (in_flight, beats) = (VecDeque::new(), Vec::new());
        Reader { next_request: first_request, in_flight, last_taken: 0, beats }
    }

    /// Cycle of the next address.
    pub fn next_request(&self) -> u64 {
        let place = if self.in_flight.len() < timing::READ_OUTSTANDING { 0 } else { self.in_flight[0] + 1 };
        self.next_request.max(place)
    }

    /// No address before this cycle.
    pub fn not_before(&mut self, cycle: u64) {
        self.next_request = self.next_request.max(cycle);
    }

    /// Requests a burst; `take(last, offered)` says when a beat is taken.
    pub fn burst(&mut self, port: &mut Port, unit: u64, beats: u64, mut take: impl FnMut(u64, u64) -> u64) {
        let cycle = self.next_request();
        if self.in_flight.len() == timing::READ_OUTSTANDING {
            self.in_flight.pop_front();
        }
        self.next_request = cycle + 1;
        port.read(Request { cycle, unit, beats }, &mut self.beats);
        for offered in &self.beats {
            self.last_taken = take(self.last_taken, *offered);
        }
        self.in_flight.push_back(self.last_taken);
    }

    /// Cycle of the last beat so far.
    pub fn last_taken(&self) -> u64 {
        self.last_taken
    }
}
