//! Bounds that follow from the timing rules alone.

use super::{Grade, Row};
use crate::channel::ChannelConfig;
use crate::controller::{Controller, ControllerConfig, Run};
use crate::port::UNIT_BYTES;
use crate::presets::RefreshPhase;
use crate::timing::Timing;

const ACCESSES: u64 = 200_000;

fn config(change: impl Fn(&mut ControllerConfig)) -> ControllerConfig {
    let mut config = ChannelConfig::hbm2_u280(225_000_000, UNIT_BYTES, RefreshPhase::Aligned).controller;
    change(&mut config);
    config
}

/// Bytes a tick of reads that are all submitted at once.
fn saturated(config: ControllerConfig, access: impl Fn(u64) -> u64) -> f64 {
    let mut controller = Controller::new(config);
    let mut runs: Vec<Run> = Vec::new();
    let mut last = 0;
    for i in 0..ACCESSES {
        runs.clear();
        controller.read(0, access(i), 1, &mut runs);
        last = last.max(runs[0].tick);
    }
    (ACCESSES * controller.config().timing.access_bytes) as f64 / last as f64
}

pub(super) fn rows() -> Vec<Row> {
    let t = Timing::hbm2_u280();
    let peak = t.access_bytes as f64 / t.burst as f64;
    let mut rows = Vec::new();
    let mut row = |case: &str, unit, published: f64, source, modelled: f64, note: &str| {
        rows.push(Row {
            table: "Closed form",
            case: case.into(),
            unit,
            published,
            grade: Grade::Formula,
            source,
            modelled,
            tolerance: Some(0.005),
            note: note.into(),
        });
    };
    let lost = (t.t_rtp + t.t_rp + t.t_rfc + t.t_rcd_rd) as f64 / t.t_refi as f64;
    let sequential = saturated(config(|_| ()), |i| i);
    row(
        "refresh-limited stream",
        "B/tick",
        peak * (1.0 - lost),
        "1 - (tRTP+tRP+tRFC+tRCD)/tREFI",
        sequential,
        "",
    );
    let no_refresh = saturated(config(|c| c.refresh = false), |i| i);
    row("stream without refresh", "B/tick", peak, "bus", no_refresh, "");
    // A new row for every access, banks in turn: 16 banks lie 1 KB apart, a row of all is 16 KB.
    let every_row = |i: u64| {
        let (bank, row) = (i % 16, i / 16);
        (bank & 1) | (bank >> 1 & 7) << 6 | row << 9
    };
    let faw = saturated(
        config(|c| {
            c.refresh = false;
            c.timing.t_faw = 27;
        }),
        every_row,
    );
    row(
        "an activate an access, tFAW 30 ns",
        "B/tick",
        4.0 * 32.0 / 27.0,
        "4 x 32 B / tFAW",
        faw,
        "no refresh",
    );
    let rrd = saturated(config(|c| c.refresh = false), every_row);
    let bound = 32.0 / t.t_rrd_s as f64;
    row("an activate an access", "B/tick", bound, "32 B / tRRD_S", rrd, "no refresh; tFAW 15 < 4 tRRD_S");
    let one_group = saturated(config(|c| c.refresh = false), |i| (i % 32) << 1);
    row("one bank group", "B/tick", 32.0 / t.t_ccd_l as f64, "32 B / tCCD_L", one_group, "no refresh");
    let one_bank = saturated(config(|c| c.refresh = false), |i| i << 9);
    row("one bank, a row an access", "B/tick", 32.0 / t.t_rc as f64, "32 B / tRC", one_bank, "no refresh");
    let mut controller = Controller::new(config(|_| ()));
    let mut runs = Vec::new();
    controller.read(0, 0, 1, &mut runs);
    runs.clear();
    controller.read(1000, 1 << 9, 1, &mut runs);
    let latency = (t.t_rp + t.t_rcd_rd + t.cl + t.burst) as f64;
    let modelled = (runs[0].tick - 1000) as f64;
    row("unloaded latency, another row open", "ticks", latency, "tRP + tRCD + CL + burst", modelled, "");
    rows
}
