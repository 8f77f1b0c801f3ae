//! Traffic as a kernel makes it: a closed loop around a port, for acceptance runs and tests.

use crate::controller::{Controller, Run};
use crate::port::{MemoryPort, Request, UNIT_BYTES};
use std::collections::VecDeque;

/// Reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Read burst.
    Read,
    /// Write burst.
    Write,
}

/// A burst to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// Read or write.
    pub kind: Kind,
    /// First unit.
    pub unit: u64,
    /// Beats of 64 bytes.
    pub beats: u64,
}

/// How a kernel issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// Cycles between two addresses.
    pub issue_cycles: u64,
    /// Bursts of a kind in flight.
    pub outstanding: usize,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes moved.
    pub bytes: u64,
    /// Cycles from the first address to the last answer.
    pub cycles: u64,
}

impl Outcome {
    /// Bandwidth in GB/s (1e9 bytes) at a clock.
    pub fn gigabytes_per_second(&self, clock_hz: u64) -> f64 {
        self.bytes as f64 * clock_hz as f64 / self.cycles as f64 / 1e9
    }
}

/// A kernel in front of a port.
struct Loop<'a> {
    port: &'a mut dyn MemoryPort,
    outstanding: usize,
    /// Answers of bursts that hold a place.
    reads: VecDeque<u64>,
    writes: VecDeque<u64>,
    /// Writes whose data are still being sent: submitted when they end, in the order of cycles.
    sending: VecDeque<Request>,
    last_answer: u64,
    beats: Vec<u64>,
}

impl Loop<'_> {
    fn submit_writes(&mut self, until: u64) {
        while let Some(&request) = self.sending.front().filter(|w| w.cycle <= until) {
            self.sending.pop_front();
            let answer = self.port.write(request);
            self.writes.push_back(answer);
            self.last_answer = self.last_answer.max(answer);
        }
    }

    /// Reads as soon as a place is free; returns the cycle of the address.
    fn read(&mut self, from: u64, burst: Burst) -> u64 {
        let cycle = from.max(free_at(&mut self.reads, self.outstanding));
        self.submit_writes(cycle);
        self.port.read(Request { cycle, unit: burst.unit, beats: burst.beats }, &mut self.beats);
        let answer = *self.beats.last().expect("invariant: a burst has beats");
        self.reads.push_back(answer);
        self.last_answer = self.last_answer.max(answer);
        cycle
    }

    /// The same for a write; its data follow those of the writes before.
    fn write(&mut self, from: u64, data_from: &mut u64, burst: Burst) -> u64 {
        if self.writes.len() + self.sending.len() >= self.outstanding {
            self.submit_writes(u64::MAX);
        }
        let cycle = from.max(free_at(&mut self.writes, self.outstanding));
        *data_from = cycle.max(*data_from) + burst.beats;
        self.sending.push_back(Request { cycle: *data_from, unit: burst.unit, beats: burst.beats });
        cycle
    }
}

/// Cycle from which one more burst may be in flight: after the answer that frees its place.
fn free_at(answers: &mut VecDeque<u64>, places: usize) -> u64 {
    if answers.len() < places {
        return 0;
    }
    answers.pop_front().map_or(0, |answer| answer + 1)
}

/// Runs bursts through a port. Reads and writes share the issue slots; write data take a cycle a beat
/// and the address counts from the last of them.
pub fn drive(port: &mut dyn MemoryPort, kernel: Kernel, bursts: impl Iterator<Item = Burst>) -> Outcome {
    let mut kernel_loop = Loop {
        port,
        outstanding: kernel.outstanding,
        reads: VecDeque::new(),
        writes: VecDeque::new(),
        sending: VecDeque::new(),
        last_answer: 0,
        beats: Vec::new(),
    };
    let (mut issue, mut data_from, mut bytes) = (0, 0, 0);
    for burst in bursts {
        bytes += burst.beats * UNIT_BYTES;
        let issued = match burst.kind {
            Kind::Read => kernel_loop.read(issue, burst),
            Kind::Write => kernel_loop.write(issue, &mut data_from, burst),
        };
        issue = issued + kernel.issue_cycles;
    }
    kernel_loop.submit_writes(u64::MAX);
    Outcome { bytes, cycles: kernel_loop.last_answer + 1 }
}

/// Numbers that look random and are the same everywhere (splitmix64).
#[derive(Debug, Clone)]
pub struct Numbers(pub u64);

impl Numbers {
    /// Next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Runs single accesses through a controller alone, in its ticks: `outstanding` of them in flight, a
/// new one as soon as any is complete.
pub fn drive_controller(
    controller: &mut Controller,
    outstanding: usize,
    accesses: impl Iterator<Item = (Kind, u64)>,
) -> Outcome {
    let bytes_each = controller.config().timing.access_bytes;
    let mut in_flight: VecDeque<u64> = VecDeque::new();
    let (mut now, mut last, mut bytes) = (0, 0, 0);
    let mut runs: Vec<Run> = Vec::new();
    for (kind, access) in accesses {
        if in_flight.len() == outstanding {
            // The earliest to finish makes room.
            let (first, &at) =
                in_flight.iter().enumerate().min_by_key(|a| a.1).expect("invariant: not empty");
            in_flight.remove(first);
            now = now.max(at);
        }
        let answer = match kind {
            Kind::Read => {
                runs.clear();
                controller.read(now, access, 1, &mut runs);
                runs[0].tick
            }
            Kind::Write => controller.write(now, access, 1),
        };
        in_flight.push_back(answer);
        last = last.max(answer);
        bytes += bytes_each;
    }
    Outcome { bytes, cycles: last.max(1) }
}
