//! One phase of a request: its counts, and what they mean on a target.

use crate::device::PhaseStats;
use crate::energy::Activity;
use flightvlm_hw::config::{HwConfig, MemoryTiming, UNIT_BYTES};
use flightvlm_hw::machine::Counters;
use serde::Serialize;

/// One phase, summed over its launches.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Phase {
    /// Launches simulated.
    pub launches: usize,
    /// Cycles.
    pub cycles: u64,
    /// Milliseconds at the target's clock.
    pub ms: f64,
    /// Bytes from and to the weight channels.
    pub channel_bytes: u64,
    /// Bytes from and to main memory.
    pub main_bytes: u64,
    /// Multiply-accumulates of the array.
    pub macs: u64,
    /// Share of the array's peak.
    pub mac_utilization: f64,
    /// Share of the channels' peak bandwidth.
    pub hbm_utilization: f64,
    /// Unit that is busy longest, with its share of the time.
    pub limit: String,
    /// Cycles in which ld, st, mm, vx executed a command.
    pub busy_cycles: [u64; 4],
    /// Of mm's: waiting for weights.
    pub starved_cycles: u64,
}

/// Peak bandwidth of all channels, bytes per second.
pub fn channel_peak(c: &HwConfig) -> f64 {
    let port = f64::from(c.clock_mhz) * 1e6 * UNIT_BYTES as f64;
    let channel = match c.memory {
        // Two transfers of 8 bytes a cycle.
        MemoryTiming::Hbm { memory_mhz, .. } => f64::from(memory_mhz) * 1e6 * 16.0,
        MemoryTiming::Fixed { .. } => port,
    };
    channel * f64::from(c.slices)
}

/// Multiply-accumulates of the whole array in a cycle: 16 outputs × 16 inputs × 2 rows a slice.
pub fn peak_macs_per_cycle(c: &HwConfig) -> f64 {
    f64::from(c.slices) * 512.0
}

/// DSP slices of the array: double-pumped, two products each.
pub fn array_dsps(c: &HwConfig) -> u32 {
    c.slices * 128
}

/// What a device's counts mean for the power model; `None` where it does not count.
pub fn activity(stats: &PhaseStats, c: &HwConfig) -> Option<Activity> {
    let (cycles, channel_bytes) = (stats.cycles?, stats.channel_bytes?);
    let all_bytes = stats.dram_bytes_read? + stats.dram_bytes_written?;
    let [_, _, mm, vx] = stats.busy_cycles?;
    let main_bytes = all_bytes.saturating_sub(channel_bytes);
    Some(activity_of(cycles, channel_bytes, main_bytes, stats.macs?, mm, vx, c))
}

fn activity_of(
    cycles: u64,
    channel_bytes: u64,
    main_bytes: u64,
    macs: u64,
    mm: u64,
    vx: u64,
    c: &HwConfig,
) -> Activity {
    let run = cycles.max(1) as f64;
    let seconds = cycles as f64 / (f64::from(c.clock_mhz) * 1e6);
    Activity {
        seconds,
        channel_bytes: channel_bytes as f64,
        main_bytes: main_bytes as f64,
        array: macs as f64 / (run * peak_macs_per_cycle(c)),
        channels: channel_bytes as f64 / (seconds.max(1e-12) * channel_peak(c)),
        matrix: mm as f64 / run,
        vector: vx as f64 / run,
    }
}

impl Phase {
    /// Adds a launch.
    pub(super) fn add(&mut self, c: &Counters) {
        self.launches += 1;
        self.cycles += c.cycles;
        self.channel_bytes += (c.channel_read_beats + c.channel_write_beats) * UNIT_BYTES as u64;
        self.main_bytes += (c.read_beats + c.write_beats) * UNIT_BYTES as u64;
        self.macs += c.mac_beats * 256;
        self.busy_cycles.iter_mut().zip(c.busy_cycles).for_each(|(b, c)| *b += c);
        self.starved_cycles += c.starved_cycles;
    }

    /// The derived fields.
    pub(super) fn finish(&mut self, config: &HwConfig) {
        let cycles = self.cycles.max(1) as f64;
        let a = self.activity(config);
        self.ms = self.cycles as f64 / f64::from(config.clock_mhz) / 1e3;
        self.mac_utilization = a.array;
        self.hbm_utilization = a.channels;
        let longest = self.shares(cycles).into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let (unit, share) = longest.expect("invariant: four shares");
        self.limit = format!("{unit} ({:.0} % of the time)", 100.0 * share);
    }

    /// Share of the time in which each unit does its work.
    fn shares(&self, cycles: f64) -> [(&'static str, f64); 4] {
        let [_, st, mm, vx] = self.busy_cycles;
        [
            ("memory channels", self.hbm_utilization),
            ("matrix unit", mm.saturating_sub(self.starved_cycles) as f64 / cycles),
            ("vector unit", vx as f64 / cycles),
            ("stores", st as f64 / cycles),
        ]
    }

    /// For the power model.
    pub fn activity(&self, c: &HwConfig) -> Activity {
        let [_, _, mm, vx] = self.busy_cycles;
        activity_of(self.cycles, self.channel_bytes, self.main_bytes, self.macs, mm, vx, c)
    }
}
