//! Timing of loads of rows and of stores, burst by burst, so that the requests of all units reach a
//! memory in the order of their cycles.

use crate::bursts::{burst_beats, Reader};
use crate::memory::Memory;
use crate::spad::MatrixWrites;
use crate::timing;
use crate::units::ld;
use crate::work::{Command, LdWork, StWork};
use flightvlm_hw::isa::names::*;
use flightvlm_hw::machine::Bank;
use flightvlm_mem::{MemoryPort, Port, Ports, Request};
use std::collections::VecDeque;
use std::ops::Range;

/// A load of rows or scalars whose requests are not all sent.
pub(crate) struct RowsRun {
    pub command: Command,
    work: LdWork,
    pub start: u64,
    reader: Reader,
    /// Source of each row that is left, the first one begun.
    rows: VecDeque<u64>,
    row: u32,
    unit: u64,
}

impl RowsRun {
    /// Rows up to one that is out of range (a gather finds out there).
    pub fn new(command: Command, work: LdWork, start: u64, m: &Memory) -> RowsRun {
        let rows = (0..work.rows).map_while(|r| ld::row_source(&work, m, r)).collect();
        let first = if work.mode == LD_GATHER { timing::LD_GATHER_CYCLES.0 } else { timing::LD_START_CYCLES };
        RowsRun { command, work, start, reader: Reader::new(start + first), rows, row: 0, unit: 0 }
    }

    /// Cycle of the next request; `None` when all are sent.
    pub fn next_request(&self) -> Option<u64> {
        self.rows.front().map(|_| self.reader.next_request())
    }

    /// Sends the next request. `taken`: spans of cycles in which VX has the write port of SPAD, in
    /// order; `matrix`: those in which MM has it.
    pub fn step(&mut self, port: &mut Port, taken: &VecDeque<Range<u64>>, matrix: &MatrixWrites) {
        let Some(from) = self.rows.front() else { return };
        let len = u64::from(self.work.len);
        let beats = burst_beats(from + self.unit, len - self.unit);
        let scalars = self.work.mode == LD_SCALARS;
        self.reader.burst(port, from + self.unit, beats, |last, offered| {
            let at = offered.max(last + 1);
            if scalars {
                return at + timing::LD_SCALARS_CYCLES - 1;
            }
            taken.iter().fold(matrix.free_from(at), |at, t| {
                if t.contains(&at) {
                    matrix.free_from(t.end)
                } else {
                    at
                }
            })
        });
        self.unit += beats;
        if self.unit == len {
            self.rows.pop_front();
            (self.row, self.unit) = (self.row + 1, 0);
            if self.work.mode == LD_GATHER {
                let (first, step) = timing::LD_GATHER_CYCLES;
                self.reader.not_before(self.start + first + step * u64::from(self.row));
            }
        }
    }

    /// Completion, once all requests are sent.
    pub fn end(&self) -> u64 {
        self.reader.last_taken() + timing::LD_END_CYCLES
    }

    pub fn beats(&self) -> u64 {
        u64::from(self.work.rows) * u64::from(self.work.len)
    }
}

/// A store whose beats are not all sent.
pub(crate) struct StoreRun {
    pub command: Command,
    pub work: StWork,
    pub start: u64,
    head: u32,
    row: u32,
    chunk: u32,
    done: bool,
    /// Cycle of the next beat, but for places.
    next: u64,
    /// By port (main first): responses of the latest bursts.
    responses: Vec<VecDeque<u64>>,
    last_response: u64,
}

impl StoreRun {
    pub fn new(command: Command, work: StWork, start: u64, slices: u32) -> StoreRun {
        let to_main = matches!(work.mode, ST_ROWS | ST_SCALAR);
        let first = if to_main { timing::ST_START_CYCLES.0 } else { timing::ST_START_CYCLES.1 };
        StoreRun {
            command,
            work,
            start,
            head: 0,
            row: 0,
            chunk: 0,
            done: false,
            next: start + first,
            responses: vec![VecDeque::new(); if to_main { 1 } else { slices as usize + 1 }],
            last_response: 0,
        }
    }

    /// Bank of the next burst and the cycle of its first beat; `None` when all are sent.
    pub fn next_burst(&self, slices: u32) -> Option<(Bank, u64)> {
        if self.done {
            return None;
        }
        let bank = self.work.target(self.head, self.row, self.chunk, slices).bank;
        let open = &self.responses[index(bank)];
        let place = if open.len() < timing::ST_OUTSTANDING { 0 } else { open[0] + timing::ST_PLACE_CYCLES };
        Some((bank, self.next.max(place)))
    }

    /// Sends the next burst; gives its beats.
    pub fn step(&mut self, ports: &mut Ports, slices: u32) -> u64 {
        let Some((bank, first)) = self.next_burst(slices) else { return 0 };
        let unit = self.work.target(self.head, self.row, self.chunk, slices).unit;
        let left = u64::from(self.work.chunks() - self.chunk);
        let beats = if self.work.mode == ST_ROWS { burst_beats(unit, left) } else { 1 };
        let port = match bank {
            Bank::Main => &mut ports.main,
            Bank::Channel(c) => &mut ports.channels[c as usize],
        };
        let response = port.write(Request { cycle: first + beats - 1, unit, beats });
        let open = &mut self.responses[index(bank)];
        if open.len() == timing::ST_OUTSTANDING {
            open.pop_front();
        }
        open.push_back(response);
        self.last_response = self.last_response.max(response);
        self.next = first + beats;
        self.chunk += beats as u32;
        if self.chunk == self.work.chunks() {
            (self.chunk, self.row) = (0, self.row + 1);
        }
        if self.row == self.work.rows {
            (self.row, self.head) = (0, self.head + 1);
        }
        self.done = self.head == self.work.repeats();
        beats
    }

    /// Completion, once all beats are sent.
    pub fn end(&self) -> u64 {
        self.last_response + timing::ST_END_CYCLES
    }
}

fn index(bank: Bank) -> usize {
    match bank {
        Bank::Main => 0,
        Bank::Channel(c) => c as usize + 1,
    }
}
