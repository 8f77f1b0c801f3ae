//! Streams and latencies of whole channels, against measurements on cards.

use super::{Grade, Row};
use crate::channel::{Channel, ChannelConfig};
use crate::port::{MemoryPort, Request, UNIT_BYTES};
use crate::presets::{RefreshPhase, HBM_CHANNELS};
use crate::traffic::{drive, Burst, Kernel, Kind, Outcome};
use std::collections::VecDeque;

/// The accelerator's kernel clock.
const KERNEL_HZ: u64 = 225_000_000;
/// Beats of a 1 KiB burst.
const BEATS: u64 = 16;
/// Units between arrays of a copy.
const ARRAY_UNITS: u64 = 1 << 20;

fn staggered(channel: u64, channels: u64) -> RefreshPhase {
    RefreshPhase::Staggered { channel, channels }
}

fn reads(bursts: u64) -> impl Iterator<Item = Burst> {
    (0..bursts).map(|i| Burst { kind: Kind::Read, unit: i * BEATS, beats: BEATS })
}

/// One array read and one written, burst by burst in turn.
fn mixed_copy(bursts: u64) -> impl Iterator<Item = Burst> {
    (0..bursts).flat_map(|i| {
        [(Kind::Read, 0), (Kind::Write, ARRAY_UNITS)].map(|(kind, array)| Burst {
            kind,
            unit: array + i * BEATS,
            beats: BEATS,
        })
    })
}

/// Sum of equal traffic on all channels; the slowest decides.
fn aggregate(channels: u64, run: impl Fn(u64) -> Outcome) -> Outcome {
    let each: Vec<Outcome> = (0..channels).map(run).collect();
    Outcome {
        bytes: each.iter().map(|o| o.bytes).sum(),
        cycles: each.iter().map(|o| o.cycles).max().unwrap_or(1),
    }
}

const READER: Kernel = Kernel { issue_cycles: 1, outstanding: 16 };

fn hbm_read(channels: u64, bursts: u64) -> f64 {
    let one = |i| {
        let mut channel =
            Channel::new(ChannelConfig::hbm2_u280(KERNEL_HZ, UNIT_BYTES, staggered(i, channels)));
        drive(&mut channel, READER, reads(bursts))
    };
    aggregate(channels, one).gigabytes_per_second(KERNEL_HZ)
}

/// HPCC_FPGA's STREAM kernel (`stream_kernels_single.cl`): a loop for each source reads a block, then
/// one writes the result; nothing overlaps. Two assumptions about what the compiler makes of it: a
/// loop takes 1 us besides its data (DDR4's copy and triad differ by one loop of reads, 1 MiB in 58.5 us
/// where refresh alone leaves 57.5), and write bursts follow each other every `beats + 2` cycles, as
/// the requests of AMD's random kernel do. Applied to HBM2 both are predictions.
fn stream(config: ChannelConfig, sources: u64, block_units: u64, blocks: u64) -> Outcome {
    let loop_cycles = config.port.kernel_hz / 1_000_000;
    let mut channel = Channel::new(config);
    let mut beats = Vec::new();
    let mut now = 0;
    for block in 0..blocks {
        for array in 0..=sources {
            let first = array * ARRAY_UNITS + block * block_units;
            let bursts = (0..block_units / BEATS).map(|i| first + i * BEATS);
            now += loop_cycles;
            let mut answers = VecDeque::new();
            let (mut issue, mut answer) = (now, now);
            for unit in bursts {
                if answers.len() == READER.outstanding {
                    issue = issue.max(answers.pop_front().unwrap_or(0) + 1);
                }
                if array < sources {
                    channel.read(Request { cycle: issue, unit, beats: BEATS }, &mut beats);
                    answer = beats[beats.len() - 1];
                    issue += 1;
                } else {
                    issue += BEATS + WRITE_GAP_CYCLES;
                    answer = channel.write(Request { cycle: issue, unit, beats: BEATS });
                }
                answers.push_back(answer);
            }
            now = answer;
        }
    }
    Outcome { bytes: blocks * (sources + 1) * block_units * UNIT_BYTES, cycles: now }
}

/// Cycles between write bursts of the STREAM kernel.
const WRITE_GAP_CYCLES: u64 = 2;
const HBM_STREAM_HZ: u64 = 370_000_000;
const DDR_STREAM_HZ: u64 = 300_000_000;

/// 32 kernels at 370 MHz, blocks of 2048 vectors of 64 bytes.
fn hbm_stream(sources: u64) -> f64 {
    let one = |i| {
        let config = ChannelConfig::hbm2_u280(HBM_STREAM_HZ, UNIT_BYTES, staggered(i, HBM_CHANNELS));
        stream(config, sources, 2048, 20)
    };
    aggregate(HBM_CHANNELS, one).gigabytes_per_second(HBM_STREAM_HZ)
}

/// The same copy with the directions mixed burst by burst and no pauses.
fn hbm_mixed() -> f64 {
    let one = |i| {
        let config = ChannelConfig::hbm2_u280(HBM_STREAM_HZ, UNIT_BYTES, staggered(i, HBM_CHANNELS));
        drive(&mut Channel::new(config), READER, mixed_copy(2000))
    };
    aggregate(HBM_CHANNELS, one).gigabytes_per_second(HBM_STREAM_HZ)
}

/// Two kernels at 300 MHz, blocks of 16384 vectors.
fn ddr_stream(sources: u64) -> f64 {
    let one = |i| {
        let config = ChannelConfig::ddr4_2400(DDR_STREAM_HZ, UNIT_BYTES, staggered(i, 2));
        stream(config, sources, 16_384, 10)
    };
    aggregate(2, one).gigabytes_per_second(DDR_STREAM_HZ)
}

/// Latency of one unit of a quiet channel in ns: row open, bank closed, another row open. The kernel
/// clock is the memory's, so that nothing is rounded.
fn latencies(config: fn(u64, u64, RefreshPhase) -> ChannelConfig, clock_hz: u64, row_units: u64) -> [f64; 3] {
    let latency = |before: Option<u64>| {
        let mut channel = Channel::new(config(clock_hz, UNIT_BYTES, RefreshPhase::Aligned));
        let mut beats = Vec::new();
        if let Some(unit) = before {
            channel.read(Request { cycle: 0, unit, beats: 1 }, &mut beats);
        }
        channel.read(Request { cycle: 1000, unit: 0, beats: 1 }, &mut beats);
        (beats[0] - 1000) as f64 * 1e9 / clock_hz as f64
    };
    [latency(Some(4)), latency(None), latency(Some(row_units))]
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |table, case: &str, unit, published, source, modelled, tolerance, note: &str| {
        rows.push(Row {
            table,
            case: case.into(),
            unit,
            published,
            grade: Grade::Measured,
            source,
            modelled,
            tolerance: Some(tolerance),
            note: note.into(),
        });
    };
    let hbm = "Streams, ports of 512 bit";
    let read32 = hbm_read(HBM_CHANNELS, 4000);
    row(hbm, "HBM2 read, 32 PCs", "GB/s", 425.0, "Shuhai, FCCM'20", read32, 0.01, "225 MHz");
    row(hbm, "HBM2 read, 32 PCs", "GB/s", 421.3, "Vitis hbm_bandwidth", read32, 0.02, "225 MHz");
    let one = hbm_read(1, 40_000) / 14.4 * 100.0;
    row(hbm, "HBM2 read, 1 PC, of 14.4 GB/s", "%", 92.0, "Shuhai: 425 of 460.8", one, 0.0109, "+/- 1 point");
    let (blocks, mixed) = ("blocks as the kernel is written", "directions mixed burst by burst");
    let mut stream = |case, published, modelled, tolerance, note| {
        row(hbm, case, "GB/s", published, "HPCC_FPGA stream-2-3", modelled, tolerance, note)
    };
    stream("HBM2 STREAM copy, 32 PCs", 377.42, hbm_stream(1), 0.05, blocks);
    stream("HBM2 STREAM triad, 32 PCs", 378.88, hbm_stream(2), 0.05, blocks);
    stream("HBM2 STREAM copy, 32 PCs", 377.42, hbm_mixed(), 0.05, mixed);
    stream("DDR4 STREAM copy, 2 channels", 33.94, ddr_stream(1), 0.05, blocks);
    stream("DDR4 STREAM triad, 2 channels", 34.57, ddr_stream(2), 0.05, blocks);
    let table = "Latency of a quiet channel";
    let names = ["row open", "bank closed", "another row open"];
    let note = "recalled, unverified; constant part calibrated here";
    // Rows of one bank: 16 banks of 1 KB, of 8 KB.
    let measured = latencies(ChannelConfig::hbm2_u280, 900_000_000, 16 * 1024 / UNIT_BYTES);
    for ((name, published), ns) in names.into_iter().zip([106.7, 122.2, 137.8]).zip(measured) {
        row(table, &format!("HBM2, {name}"), "ns", published, "Shuhai, FCCM'20", ns, 0.03, note);
    }
    let measured = latencies(ChannelConfig::ddr4_2400, 1_200_000_000, 16 * 8192 / UNIT_BYTES);
    for ((name, published), ns) in names.into_iter().zip([73.3, 89.9, 106.6]).zip(measured) {
        row(table, &format!("DDR4, {name}"), "ns", published, "Shuhai, FCCM'20", ns, 0.04, note);
    }
    rows
}
