//! One AXI master on 1, 2, 4 pseudo-channels: AMD Vitis tutorial "HBM Bandwidth Explorations"
//! (XD099; U280, 300 MHz kernel, 512-bit port, reads only).

use super::{Grade, Row};
use crate::master::{Master, MasterConfig};
use crate::port::UNIT_BYTES;
use crate::presets::HBM_CHANNEL_BYTES;
use crate::traffic::{drive, Burst, Kernel, Kind, Numbers};

const SOURCE: &str = "AMD Vitis tutorial XD099";
const KERNEL_HZ: u64 = 300_000_000;
const SIZES: [u64; 5] = [64, 128, 256, 512, 1024];
const UNITS_PER_CHANNEL: u64 = HBM_CHANNEL_BYTES / UNIT_BYTES;
/// Bytes a case moves.
const BYTES: u64 = 16 << 20;
/// A point whose bandwidth rises by more than this when the kernel issues every cycle is limited by it.
const ISSUE_LIMITED: f64 = 1.03;
/// Bursts the kernel keeps in flight (not published; enough for every point: 14.4 GB/s times the
/// latency is 2 KB, and a burst is 64 bytes at least).
const OUTSTANDING: usize = 64;

/// Channels, whether with RAMA, fewest cycles between two requests, GB/s by size. The random kernel
/// issues 75 M requests a second (4.75 GB/s of 64 bytes), with RAMA 100 M (6.40 GB/s): 300 MHz / 4 and
/// / 3. Of longer requests none more than every `beats + 2` cycles: 9.60 and 12.80 GB/s of 128 and
/// 256 bytes are 300 MHz / 4 and / 6 to the digit.
const RANDOM: [(u64, bool, u64, [f64; 5]); 5] = [
    (1, false, 4, [4.75, 9.60, 12.62, 13.13, 13.16]),
    (2, false, 4, [0.761, 1.50, 2.71, 4.50, 6.55]),
    (4, false, 4, [0.553, 1.07, 1.99, 3.50, 5.53]),
    (2, true, 3, [6.40, 9.60, 12.80, 13.96, 14.17]),
    (4, true, 3, [6.40, 9.60, 12.80, 13.75, 14.07]),
];

/// Channels, GB/s by size. Bursts are inferred: the kernel issues every cycle.
const SEQUENTIAL: [(u64, [f64; 5]); 3] = [
    (1, [13.10, 13.07, 13.10, 13.07, 13.04]),
    (2, [13.12, 13.11, 13.13, 13.11, 13.11]),
    (4, [13.15, 13.14, 13.15, 13.15, 13.15]),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (channels, published) in SEQUENTIAL {
        for (size, published) in SIZES.into_iter().zip(published) {
            let bursts = sequential(channels, size / UNIT_BYTES);
            let modelled = run(channels, false, 1, bursts);
            rows.push(row("sequential", channels, size, published, modelled, String::new()));
        }
    }
    for (channels, reorder, issue_cycles, published) in RANDOM {
        for (size, published) in SIZES.into_iter().zip(published) {
            let beats = size / UNIT_BYTES;
            let issue_cycles = issue_cycles.max(beats + 2);
            let modelled = run(channels, reorder, issue_cycles, random(channels, beats));
            let unlimited = run(channels, reorder, 1, random(channels, beats));
            let note = if unlimited > modelled * ISSUE_LIMITED {
                format!("kernel-issue limited, {} M/s (else {unlimited:.2})", 300 / issue_cycles)
            } else {
                String::new()
            };
            let pattern = if reorder { "random + RAMA" } else { "random" };
            rows.push(row(pattern, channels, size, published, modelled, note));
        }
    }
    rows
}

fn row(pattern: &str, channels: u64, size: u64, published: f64, modelled: f64, note: String) -> Row {
    Row {
        table: "One AXI master on 1, 2, 4 pseudo-channels",
        case: format!("{pattern}, {channels} PC, {size} B"),
        unit: "GB/s",
        published,
        grade: Grade::Measured,
        source: SOURCE,
        modelled,
        tolerance: Some(0.10),
        note,
    }
}

fn run(channels: u64, reorder: bool, issue_cycles: u64, bursts: impl Iterator<Item = Burst>) -> f64 {
    let mut master = Master::new(MasterConfig::hbm2_u280(KERNEL_HZ, UNIT_BYTES, channels, reorder));
    let kernel = Kernel { issue_cycles, outstanding: OUTSTANDING };
    drive(&mut master, kernel, bursts).gigabytes_per_second(KERNEL_HZ)
}

/// An equal stretch at the end of each channel but the last, and at the start of the next: every
/// border is crossed.
fn sequential(channels: u64, beats: u64) -> impl Iterator<Item = Burst> {
    let units = BYTES / UNIT_BYTES / channels;
    (0..channels).flat_map(move |channel| {
        let first = channel * UNITS_PER_CHANNEL;
        let starts = (0..units / beats).map(move |i| first + i * beats);
        starts.map(move |unit| Burst { kind: Kind::Read, unit, beats })
    })
}

fn random(channels: u64, beats: u64) -> impl Iterator<Item = Burst> {
    let mut numbers = Numbers(channels * 1000 + beats);
    let places = channels * UNITS_PER_CHANNEL / beats;
    (0..BYTES / UNIT_BYTES / beats).map(move |_| Burst {
        kind: Kind::Read,
        unit: numbers.below(places) * beats,
        beats,
    })
}
