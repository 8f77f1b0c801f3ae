//! Controller and banks alone against DRAMsim3 (commit 2981759) with the same timing set: one 64-bit
//! pseudo-channel at 900 MHz, open page, queue of 32.

use super::{Grade, Row};
use crate::controller::{Controller, ControllerConfig, Run};
use crate::map::AddressMap;
use crate::timing::Timing;
use crate::traffic::{drive_controller, Kind, Numbers};

const CLOCK_HZ: u64 = 900_000_000;
const ACCESSES: u64 = 400_000;
/// Accesses of a pseudo-channel.
const SPACE: u64 = (256 << 20) / 32;
/// Accesses DRAMsim3 chooses from: its queue of 32 transactions and the banks' command queues. By its
/// own latencies 13.24 GB/s x 153 ns = 63 accesses are in flight (Little).
const QUEUE: usize = 64;

fn config(map: AddressMap, change: impl Fn(&mut Timing)) -> ControllerConfig {
    // As run there: tRRD_L 4 and tFAW 14 ticks, the rest as ours.
    let mut timing = Timing { t_rrd_l: 4, t_faw: 14, ..Timing::hbm2_u280() };
    change(&mut timing);
    ControllerConfig {
        timing,
        map,
        window_accesses: QUEUE,
        write_batch_accesses: 64,
        write_age_accesses: 128,
        write_idle_ticks: 32,
        refresh: true,
        refresh_phase_ticks: 0,
    }
}

/// GB/s with the queue always full.
fn saturated(config: ControllerConfig, accesses: impl Iterator<Item = (Kind, u64)>) -> f64 {
    let mut controller = Controller::new(config);
    let (mut last, mut bytes) = (0, 0);
    let mut runs: Vec<Run> = Vec::new();
    for (kind, access) in accesses {
        match kind {
            Kind::Read => {
                runs.clear();
                controller.read(0, access, 1, &mut runs);
                last = last.max(runs[0].tick);
            }
            Kind::Write => last = last.max(controller.write(0, access, 1)),
        }
        bytes += 32;
    }
    bytes as f64 * CLOCK_HZ as f64 / last as f64 / 1e9
}

fn sequential(write_percent: u64) -> impl Iterator<Item = (Kind, u64)> {
    let mut numbers = Numbers(11);
    (0..ACCESSES).map(move |access| {
        let kind = if numbers.below(100) < write_percent { Kind::Write } else { Kind::Read };
        (kind, access)
    })
}

/// Random blocks of `bytes`.
fn random(bytes: u64) -> impl Iterator<Item = (Kind, u64)> {
    let of_block = bytes / 32;
    let mut numbers = Numbers(bytes);
    (0..ACCESSES / of_block).flat_map(move |_| {
        let first = numbers.below(SPACE / of_block) * of_block;
        (first..first + of_block).map(|access| (Kind::Read, access))
    })
}

pub(super) fn rows() -> Vec<Row> {
    let lowest = AddressMap::hbm2_groups_lowest();
    let columns = AddressMap::hbm2_columns_lowest();
    let plain = |map| config(map, |_| ());
    let no_refresh = ControllerConfig { refresh: false, ..plain(lowest) };
    let high = config(lowest, |t| t.t_rfc = 315);
    let faw = || config(lowest, |t| t.t_faw = 27);
    let mut rows = Vec::new();
    let mut row = |case: String, published, modelled, tolerance, note: &str| {
        rows.push(Row {
            table: "DRAM core alone against DRAMsim3",
            case,
            unit: "GB/s",
            published,
            grade: Grade::Simulated,
            source: "DRAMsim3 2981759",
            modelled,
            tolerance,
            note: note.into(),
        });
    };
    const STREAM: Option<f64> = Some(0.03);
    const RANDOM: Option<f64> = Some(0.10);
    row("sequential read, groups lowest".into(), 13.24, saturated(plain(lowest), sequential(0)), STREAM, "");
    row("same, no refresh".into(), 14.40, saturated(no_refresh, sequential(0)), STREAM, "");
    row("same, tRFC 350 ns (8H)".into(), 12.90, saturated(high, sequential(0)), STREAM, "");
    row(
        "sequential, 10 % writes".into(),
        12.46,
        saturated(plain(lowest), sequential(10)),
        STREAM,
        "write age calibrated here",
    );
    row(
        "sequential, 50 % writes".into(),
        12.22,
        saturated(plain(lowest), sequential(50)),
        STREAM,
        "write batch calibrated here",
    );
    let by_size =
        [(32, 6.60), (64, 6.58), (128, 6.56), (256, 12.44), (512, 12.99), (1024, 13.08), (4096, 13.24)];
    for (bytes, published) in by_size {
        let modelled = saturated(plain(lowest), random(bytes));
        row(format!("random {bytes} B, groups lowest"), published, modelled, RANDOM, "");
    }
    for (bytes, published) in [(128, 13.07), (256, 13.01)] {
        let modelled = saturated(plain(columns), random(bytes));
        row(format!("random {bytes} B, columns lowest"), published, modelled, RANDOM, "");
    }
    let note = "not comparable: a pool whose entries leave out of order looks farther ahead than our window";
    row("random 64 B, columns lowest".into(), 12.53, saturated(plain(columns), random(64)), None, note);
    let note = "not comparable: depends on the bits above the column and on queues per bank";
    row(
        "sequential read, columns lowest".into(),
        10.50,
        saturated(plain(columns), sequential(0)),
        None,
        note,
    );
    for (bytes, published) in [(64, 3.93), (256, 7.83), (512, 13.04)] {
        let modelled = saturated(faw(), random(bytes));
        row(format!("tFAW 30 ns, random {bytes} B"), published, modelled, RANDOM, "");
    }
    let ladder = [(1, 1.52), (2, 3.04), (4, 6.04), (8, 11.51), (16, 12.78), (32, 13.25)];
    for (outstanding, published) in ladder {
        let mut controller = Controller::new(plain(lowest));
        let reads = sequential(0);
        let modelled = drive_controller(&mut controller, outstanding, reads).gigabytes_per_second(CLOCK_HZ);
        row(format!("sequential, {outstanding} x 32 B outstanding"), published, modelled, RANDOM, "");
    }
    rows
}
