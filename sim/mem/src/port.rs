//! The interface of every memory: requests in, schedules out, both in kernel-clock cycles.

use crate::clock::ClockRatio;
use crate::controller::Run;

/// Bytes of a unit, the granule of requests, and of a beat.
pub const UNIT_BYTES: u64 = 64;

/// An AXI burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Read: cycle in which the address is accepted. Write: cycle of the last data beat.
    pub cycle: u64,
    /// First unit (64 bytes) within the port's memory.
    pub unit: u64,
    /// Beats of 64 bytes.
    pub beats: u64,
}

/// A port that answers in order. The schedule of a request is complete when it is submitted and
/// depends only on the requests submitted before it. Submit in the order of the cycles, reads and
/// writes together: two simulators that do so get the same schedule.
///
/// A schedule says when a beat is offered at the earliest. A receiver that is not ready takes beat
/// `i` at `max(offered[i], taken[i - 1] + 1, ready)`; the memory has room for what waits.
pub trait MemoryPort {
    /// Reads: replaces `beats` by the cycle of each beat.
    fn read(&mut self, request: Request, beats: &mut Vec<u64>);

    /// Writes: returns the cycle of the response.
    fn write(&mut self, request: Request) -> u64;

    /// Forgets everything; cycles start at 0 again.
    fn reset(&mut self);
}

/// What lies between a kernel and the DRAM's controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortConfig {
    /// Kernel clock.
    pub kernel_hz: u64,
    /// Width of the AXI port at the kernel clock. A narrow port at a slow clock cannot carry a
    /// channel: 32 bytes at 225 MHz are 7.2 of 14.4 GB/s.
    pub port_bytes_per_cycle: u64,
    /// Memory ticks from an accepted address to the controller: AXI, clock crossing, controller.
    pub request_ticks: u64,
    /// Memory ticks from complete data to the kernel, or from a posted write to its response.
    pub response_ticks: u64,
}

/// Order and rate of a port's answers.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    pub clock: ClockRatio,
    response_ticks: u64,
    /// Ticks of a unit on the memory's side of the port, cycles on the kernel's side.
    unit_ticks: u64,
    unit_cycles: u64,
    /// `unit_ticks` in cycles, if whole and not less than `unit_cycles`.
    even_cycles: Option<u64>,
    next_tick: u64,
    next_cycle: u64,
    next_response: u64,
}

impl Answers {
    /// `peak_bytes_per_second`: rate of the memory's side.
    pub fn new(port: &PortConfig, clock_hz: u64, peak_bytes_per_second: u64) -> Answers {
        assert!(port.port_bytes_per_cycle > 0, "port of 0 bytes a cycle: expected at least 1");
        let clock = ClockRatio::new(clock_hz, port.kernel_hz);
        let unit_ticks = (UNIT_BYTES * clock_hz).div_ceil(peak_bytes_per_second);
        let unit_cycles = UNIT_BYTES.div_ceil(port.port_bytes_per_cycle);
        Answers {
            clock,
            response_ticks: port.response_ticks,
            unit_ticks,
            unit_cycles,
            even_cycles: clock.whole_cycles(unit_ticks).filter(|&c| c >= unit_cycles),
            next_tick: 0,
            next_cycle: 0,
            next_response: 0,
        }
    }

    /// Beats of a request from its data runs. `late_ticks`: further way back of this request.
    pub fn beats(&mut self, runs: &[Run], access_bytes: u64, late_ticks: u64, beats: &mut Vec<u64>) {
        let accesses = UNIT_BYTES / access_bytes;
        let late = self.response_ticks + late_ticks;
        // Latest data of the unit so far, and its accesses still to come.
        let (mut unit_tick, mut missing) = (0, accesses);
        for run in runs {
            let mut i = 0;
            while i < run.count {
                let taken = missing.min(run.count - i);
                i += taken;
                missing -= taken;
                unit_tick = unit_tick.max(run.tick + (i - 1) * run.stride);
                if missing > 0 {
                    continue;
                }
                let cycle = self.unit(unit_tick + late);
                beats.push(cycle);
                (unit_tick, missing) = (0, accesses);
                // The rest of an even run follows at the rate of the port.
                let units = (run.count - i) / accesses;
                if let Some(step) = self.even_cycles.filter(|_| accesses * run.stride == self.unit_ticks) {
                    beats.extend((1..=units).map(|n| cycle + n * step));
                    self.next_tick += units * self.unit_ticks;
                    self.next_cycle += units * step;
                    i += units * accesses;
                }
            }
        }
        debug_assert_eq!(missing, accesses, "requests are whole units");
    }

    #[inline]
    fn unit(&mut self, tick: u64) -> u64 {
        let tick = tick.max(self.next_tick);
        self.next_tick = tick + self.unit_ticks;
        let cycle = self.clock.cycle_at(tick).max(self.next_cycle);
        self.next_cycle = cycle + self.unit_cycles;
        cycle
    }

    /// Response to a write that was posted at `tick`.
    pub fn response(&mut self, tick: u64, late_ticks: u64) -> u64 {
        let cycle = self.clock.cycle_at(tick + self.response_ticks + late_ticks).max(self.next_response);
        self.next_response = cycle;
        cycle
    }
}
