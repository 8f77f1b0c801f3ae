//! Properties of the DRAM model under random traffic.

mod checker;

use checker::check;
use flightvlm_mem::{
    AddressMap, Channel, ChannelConfig, MemoryPort, RefreshPhase, Request, Timing, UNIT_BYTES,
};
use proptest::prelude::*;

/// A request relative to the one before.
#[derive(Debug, Clone)]
struct Step {
    gap_cycles: u64,
    write: bool,
    to: To,
    beats: u64,
}

#[derive(Debug, Clone)]
enum To {
    /// Where the last request of this kind ended.
    Next,
    /// Same bank, another row.
    Row(u64),
    /// Somewhere.
    Unit(u64),
}

fn step(longest_gap: u64, writes: bool) -> impl Strategy<Value = Step> {
    let to = prop_oneof![
        4 => Just(To::Next),
        2 => (0..6u64).prop_map(To::Row),
        2 => (0..1u64 << 22).prop_map(To::Unit),
    ];
    let gap = prop_oneof![6 => 0..=1u64, 2 => 0..40u64, 1 => 0..=longest_gap];
    (gap, prop::bool::weighted(if writes { 0.35 } else { 0.0 }), to, 1..=24u64)
        .prop_map(|(gap_cycles, write, to, beats)| Step { gap_cycles, write, to, beats })
}

fn requests(steps: &[Step]) -> Vec<(bool, Request)> {
    let mut cycle = 0;
    let mut next = [0, 1 << 18];
    let place = |s: &Step| {
        cycle += s.gap_cycles;
        let next = &mut next[usize::from(s.write)];
        let unit = match s.to {
            To::Next => *next,
            To::Row(row) => row << 10,
            To::Unit(unit) => unit,
        };
        *next = unit + s.beats;
        (s.write, Request { cycle, unit, beats: s.beats })
    };
    steps.iter().map(place).collect()
}

fn any_config() -> impl Strategy<Value = ChannelConfig> {
    let clocks =
        prop::sample::select(vec![225_000_000u64, 250_000_000, 300_000_000, 370_000_000, 450_000_000]);
    let maps = prop::sample::select(vec![
        AddressMap::hbm2_u280(),
        AddressMap::hbm2_groups_lowest(),
        AddressMap::hbm2_columns_lowest(),
    ]);
    let window = prop::sample::select(vec![8usize, 32, 64, 128]);
    let phase = 0..4000u64;
    (
        any::<bool>(),
        clocks,
        prop::sample::select(vec![32u64, 64]),
        maps,
        window,
        1..80usize,
        any::<bool>(),
        phase,
        (14..40u64, 0..16u64, 0..3u64, 0..4u64),
    )
        .prop_map(|(ddr, hz, bytes, map, window, batch, refresh, phase, (faw, rc, ccd, rrd))| {
            let aligned = RefreshPhase::Aligned;
            let mut config = if ddr {
                ChannelConfig::ddr4_2400(hz, bytes, aligned)
            } else {
                let mut hbm = ChannelConfig::hbm2_u280(hz, bytes, aligned);
                hbm.controller.map = map;
                hbm
            };
            let c = &mut config.controller;
            (c.window_accesses, c.write_batch_accesses) = (window, batch);
            (c.refresh, c.refresh_phase_ticks, c.timing.t_faw) = (refresh, phase, faw);
            // Rules that the presets leave slack: tRC beyond tRAS + tRP, odd tCCD_L.
            c.timing.t_rc += rc;
            c.timing.t_ccd_l += ccd;
            c.timing.t_rrd_l += rrd;
            config
        })
}

/// The same cases in every run, and no file that remembers failures.
fn always_the_same(cases: u32) -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(2026);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(always_the_same(256))]

    /// No command breaks a rule, every byte moves once, answers are in order and never early.
    #[test]
    fn traces_are_legal_and_schedules_monotone(
        config in any_config(),
        steps in prop::collection::vec(step(30_000, true), 1..250),
    ) {
        let timing = config.controller.timing.clone();
        let refreshed = config.controller.refresh;
        let cycles_a_beat = UNIT_BYTES / config.port.port_bytes_per_cycle;
        let mut channel = Channel::new(config);
        channel.start_trace();
        let (mut beats, mut next_beat, mut last_response) = (Vec::new(), 0, 0);
        let (mut reads, mut writes, mut end) = (0, 0, 0);
        for (write, request) in requests(&steps) {
            end = request.cycle;
            if write {
                let response = channel.write(request);
                prop_assert!(response > request.cycle && response >= last_response);
                last_response = response;
                writes += request.beats;
            } else {
                channel.read(request, &mut beats);
                prop_assert_eq!(beats.len() as u64, request.beats);
                prop_assert!(beats[0] > request.cycle);
                for &beat in &beats {
                    prop_assert!(beat >= next_beat, "beat at {beat}, expected {next_beat} or later");
                    next_beat = beat + cycles_a_beat;
                }
                reads += request.beats;
            }
        }
        // Idle time lets posted writes out.
        let quiet = Request { cycle: end.max(next_beat) + 100_000, unit: 0, beats: 1 };
        channel.read(quiet, &mut beats);
        let counts = check(&timing, &channel.take_trace(), refreshed).map_err(TestCaseError::fail)?;
        let accesses = UNIT_BYTES / timing.access_bytes;
        prop_assert_eq!(counts.reads, (reads + 1) * accesses);
        prop_assert_eq!(counts.writes, writes * accesses);
    }

    /// The fast path for runs of row hits places commands exactly where the general path does.
    #[test]
    fn a_burst_equals_its_beats_one_by_one(
        config in any_config(),
        steps in prop::collection::vec(step(5_000, false), 1..25),
    ) {
        let mut config = config;
        // A window that never binds: its admission is per request.
        config.controller.window_accesses = 2048;
        let (mut whole, mut single) = (Channel::new(config.clone()), Channel::new(config));
        whole.start_trace();
        single.start_trace();
        let (mut beats, mut beat) = (Vec::new(), Vec::new());
        for (_, request) in requests(&steps) {
            whole.read(request, &mut beats);
            for (i, &expected) in beats.iter().enumerate() {
                single.read(Request { unit: request.unit + i as u64, beats: 1, ..request }, &mut beat);
                prop_assert_eq!(beat[0], expected, "beat {} of {:?}", i, request);
            }
        }
        prop_assert_eq!(whole.take_trace(), single.take_trace());
    }

    /// Under load, refresh never makes a channel faster.
    #[test]
    fn refresh_never_raises_bandwidth(
        config in any_config(),
        steps in prop::collection::vec(step(1, true), 600..700),
    ) {
        let finish = |refresh| {
            let mut config = config.clone();
            config.controller.refresh = refresh;
            let mut channel = Channel::new(config);
            let (mut beats, mut last) = (Vec::new(), 0);
            for (write, request) in requests(&steps) {
                if write {
                    last = last.max(channel.write(request));
                } else {
                    channel.read(request, &mut beats);
                    last = last.max(beats[beats.len() - 1]);
                }
            }
            last
        };
        let (on, off) = (finish(true), finish(false));
        prop_assert!(off <= on, "refresh off ends at {off}, on at {on}");
    }

    /// Two ports that get the same requests give the same schedule, also after a reset.
    #[test]
    fn schedules_depend_on_the_requests_alone(
        config in any_config(),
        steps in prop::collection::vec(step(2_000, true), 1..60),
    ) {
        let run = |channel: &mut Channel| -> Vec<u64> {
            let (mut beats, mut all) = (Vec::new(), Vec::new());
            for (write, request) in requests(&steps) {
                if write {
                    all.push(channel.write(request));
                } else {
                    channel.read(request, &mut beats);
                    all.extend_from_slice(&beats);
                }
            }
            all
        };
        let mut channel = Channel::new(config);
        let first = run(&mut channel);
        channel.reset();
        prop_assert_eq!(first, run(&mut channel));
    }
}

#[test]
fn a_saturated_random_trace_is_legal() {
    let mut channel = Channel::new(ChannelConfig::hbm2_u280(225_000_000, 64, RefreshPhase::Aligned));
    channel.start_trace();
    let mut numbers = flightvlm_mem::traffic::Numbers(3);
    let mut beats = Vec::new();
    for cycle in 0..4000 {
        let unit = numbers.below(1 << 22);
        channel.read(Request { cycle, unit, beats: 1 }, &mut beats);
    }
    let trace = channel.take_trace();
    let counts = check(&Timing::hbm2_u280(), &trace, true).expect("legal");
    assert_eq!((counts.reads, counts.activates > 7000, counts.refreshes > 5), (8000, true, true));
}

/// Nothing bounds what a caller may submit ahead of time: the model does.
#[test]
fn a_flood_at_cycle_zero_takes_the_time_its_bytes_need() {
    for write_every in [0, 1, 2, 7] {
        let mut channel = Channel::new(ChannelConfig::hbm2_u280(225_000_000, 64, RefreshPhase::Aligned));
        let mut beats = Vec::new();
        let mut last = 0;
        for i in 0..20_000u64 {
            let request = Request { cycle: 0, unit: i * 7919 % (1 << 22), beats: 1 + i % 64 };
            if write_every > 0 && i % write_every == 0 {
                last = last.max(channel.write(request));
            } else {
                channel.read(request, &mut beats);
                last = last.max(beats[beats.len() - 1]);
            }
        }
        let units: u64 = (0..20_000u64).map(|i| 1 + i % 64).sum();
        // A unit a cycle at best; at worst rows, turnarounds and refresh take half as much again.
        assert!(last > units && last < units * 3 / 2, "{write_every}: {last} cycles for {units} units");
    }
}
