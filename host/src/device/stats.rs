//! What a run cost.

use serde::Serialize;
use std::time::Duration;

/// Costs since `begin`, by phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RunStats {
    /// Vision tower and projector.
    pub vision: PhaseStats,
    /// The prompt.
    pub prefill: PhaseStats,
    /// Single-token steps.
    pub decode: PhaseStats,
}

/// Costs of one phase. What a device does not count is `None`, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PhaseStats {
    /// Calls: pictures, prompts or steps.
    pub calls: u64,
    /// Rows that went through: patches or tokens.
    pub rows: u64,
    /// Clock cycles of the accelerator.
    pub cycles: Option<u64>,
    /// Instructions retired.
    pub instructions: Option<u64>,
    /// Multiply-accumulates of the matrix array.
    pub macs: Option<u64>,
    /// Bytes read from device memory.
    pub dram_bytes_read: Option<u64>,
    /// Bytes written to device memory.
    pub dram_bytes_written: Option<u64>,
    /// Of the bytes read and written, those of the weight channels; the rest is main memory's.
    pub channel_bytes: Option<u64>,
    /// Cycles in which ld, st, mm, vx executed a command.
    pub busy_cycles: Option<[u64; 4]>,
    /// Seconds on this machine, which for a simulator say nothing about the hardware.
    #[serde(rename = "wall_s", serialize_with = "seconds")]
    pub wall: Duration,
}

fn seconds<S: serde::Serializer>(wall: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(wall.as_secs_f64())
}

impl PhaseStats {
    /// Adds another measurement; a count that only one side knows becomes unknown.
    pub fn add(&mut self, other: &PhaseStats) {
        if self.calls == 0 {
            *self = *other;
            return;
        }
        if other.calls == 0 {
            return;
        }
        let sum = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        self.calls += other.calls;
        self.rows += other.rows;
        self.cycles = sum(self.cycles, other.cycles);
        self.instructions = sum(self.instructions, other.instructions);
        self.macs = sum(self.macs, other.macs);
        self.dram_bytes_read = sum(self.dram_bytes_read, other.dram_bytes_read);
        self.dram_bytes_written = sum(self.dram_bytes_written, other.dram_bytes_written);
        self.channel_bytes = sum(self.channel_bytes, other.channel_bytes);
        let busy = self.busy_cycles.zip(other.busy_cycles);
        self.busy_cycles = busy.map(|(a, b)| std::array::from_fn(|unit| a[unit] + b[unit]));
        self.wall += other.wall;
    }
}

impl RunStats {
    /// All phases together.
    pub fn total(&self) -> PhaseStats {
        let mut total = self.vision;
        total.add(&self.prefill);
        total.add(&self.decode);
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_counts_stay_unknown() {
        let known = PhaseStats { calls: 1, cycles: Some(5), ..PhaseStats::default() };
        let unknown = PhaseStats { calls: 1, ..PhaseStats::default() };
        let mut sum = PhaseStats::default();
        sum.add(&known);
        sum.add(&known);
        sum.add(&PhaseStats::default());
        assert_eq!((sum.calls, sum.cycles), (2, Some(10)));
        sum.add(&unknown);
        assert_eq!((sum.calls, sum.cycles), (3, None));
    }
}
