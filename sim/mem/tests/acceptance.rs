//! The model against published figures, and the laws of a port.

use flightvlm_mem::acceptance::{rows, Row};
use flightvlm_mem::traffic::{drive, Burst, Kernel, Kind};
use flightvlm_mem::{
    Channel, ChannelConfig, Fixed, Master, MasterConfig, MemoryPort, RefreshPhase, Request, HBM_CHANNELS,
};

const KERNEL_HZ: u64 = 225_000_000;

fn hbm(port_bytes_per_cycle: u64) -> Channel {
    Channel::new(ChannelConfig::hbm2_u280(KERNEL_HZ, port_bytes_per_cycle, RefreshPhase::Aligned))
}

fn sequential(bursts: u64, beats: u64) -> impl Iterator<Item = Burst> {
    (0..bursts).map(move |i| Burst { kind: Kind::Read, unit: i * beats, beats })
}

fn bandwidth(port: &mut dyn MemoryPort, outstanding: usize, bursts: u64, beats: u64) -> f64 {
    let kernel = Kernel { issue_cycles: 1, outstanding };
    drive(port, kernel, sequential(bursts, beats)).gigabytes_per_second(KERNEL_HZ)
}

#[test]
fn every_published_figure_is_met_within_its_tolerance() {
    let all = rows();
    let off: Vec<&Row> = all.iter().filter(|r| r.passes() == Some(false)).collect();
    assert!(off.is_empty(), "{off:#?}");
    // The table is whole, and what the kernel limits is what the document derives: 75 and 100 M/s.
    assert_eq!(all.iter().filter(|r| r.source.contains("XD099")).count(), 40);
    let limited: Vec<&str> =
        all.iter().filter(|r| r.note.contains("issue limited")).map(|r| r.case.as_str()).collect();
    assert!(
        limited.contains(&"random, 1 PC, 64 B") && limited.contains(&"random, 1 PC, 128 B"),
        "{limited:?}"
    );
    assert!(limited.contains(&"random + RAMA, 4 PC, 64 B"), "{limited:?}");
    assert!(!limited.iter().any(|case| case.contains("512 B") || case.contains("1024 B")), "{limited:?}");
    assert_eq!(all.iter().filter(|r| r.passes().is_none()).count(), 2, "rows without a verdict");
}

#[test]
fn a_narrow_port_at_a_slow_clock_carries_half_a_channel() {
    let narrow = bandwidth(&mut hbm(32), 16, 4000, 16);
    assert!((narrow / 7.2 - 1.0).abs() < 0.01, "{narrow}");
    let wide = bandwidth(&mut hbm(64), 16, 4000, 16);
    assert!(wide > 13.2, "{wide}");
    // 256 bits carry it at 450 MHz.
    let fast = ChannelConfig::hbm2_u280(450_000_000, 32, RefreshPhase::Aligned);
    let kernel = Kernel { issue_cycles: 1, outstanding: 16 };
    let fast = drive(&mut Channel::new(fast), kernel, sequential(4000, 16)).gigabytes_per_second(450_000_000);
    assert!((fast / wide - 1.0).abs() < 0.01, "{fast}");
}

/// One unit in flight after another: bandwidth grows with their number until the channel is full, and
/// below that it is units times 64 bytes over the latency of an open row, 24 cycles.
#[test]
fn bandwidth_follows_the_requests_in_flight() {
    let ladder: Vec<f64> = (1..=32).map(|n| bandwidth(&mut hbm(64), n, 20_000, 1)).collect();
    for (i, pair) in ladder.windows(2).enumerate() {
        assert!(pair[1] >= pair[0] * 0.999, "{} in flight: {pair:?}", i + 2);
    }
    for n in [1, 2, 4, 8, 16] {
        let gigabytes = |cycles: f64| 32.0 * 64.0 * KERNEL_HZ as f64 / cycles / 1e9;
        // 32 units, a pair of rows: n each latency and the cycle to react; at worst a row change (26
        // ticks, 7 cycles) hides nowhere and refresh takes its 7.5 %.
        let hits = 32.0 / n as f64 * 25.0;
        let (most, least) = (gigabytes(hits), gigabytes(hits + 7.0) * 0.925);
        let got = ladder[n - 1];
        assert!(least * 0.99 < got && got < most * 1.001, "{n} in flight: {got}, expected {least}..{most}");
    }
    assert!(ladder[31] > 13.2, "{}", ladder[31]);
}

#[test]
fn staggered_refreshes_differ_and_cost_the_same() {
    let run = |channel| {
        let phase = RefreshPhase::Staggered { channel, channels: HBM_CHANNELS };
        let mut port = Channel::new(ChannelConfig::hbm2_u280(KERNEL_HZ, 64, phase));
        let mut beats = Vec::new();
        let mut stalls = Vec::new();
        let mut before = 0;
        for i in 0..2000 {
            port.read(Request { cycle: 0, unit: i * 16, beats: 16 }, &mut beats);
            for &beat in &beats {
                if beat > before + 50 && before > 0 {
                    stalls.push(before);
                }
                before = beat;
            }
        }
        (stalls, before)
    };
    let (first, end_first) = run(0);
    let (other, end_other) = run(16);
    // 2000 bursts take 37 intervals of 877.5 cycles; channel 16 refreshes half an interval later.
    assert!(first.len() >= 36 && first.len().abs_diff(other.len()) <= 1, "{} {}", first.len(), other.len());
    assert!(other[0].abs_diff(first[0] + 877 / 2) < 20, "{} {}", first[0], other[0]);
    assert!(end_first.abs_diff(end_other) < 100, "{end_first} {end_other}");
}

#[test]
fn a_master_of_one_channel_is_that_channel() {
    for reorder in [false, true] {
        let mut master = Master::new(MasterConfig::hbm2_u280(KERNEL_HZ, 64, 1, reorder));
        let mut channel = hbm(64);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for i in 0..500u64 {
            let request = Request { cycle: i * 7, unit: i * 977 % 40_000, beats: 1 + i % 16 };
            if i % 5 == 0 {
                assert_eq!(master.write(request), channel.write(request), "{request:?}");
            } else {
                master.read(request, &mut a);
                channel.read(request, &mut b);
                assert_eq!(a, b, "{request:?}");
            }
        }
    }
}

#[test]
fn a_master_waits_before_it_changes_the_channel_unless_it_reorders() {
    let other = MasterConfig::hbm2_u280(KERNEL_HZ, 64, 2, false).units_per_channel;
    let second = |reorder| {
        let mut master = Master::new(MasterConfig::hbm2_u280(KERNEL_HZ, 64, 2, reorder));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        master.read(Request { cycle: 0, unit: 0, beats: 1 }, &mut first);
        master.read(Request { cycle: 1, unit: other, beats: 1 }, &mut second);
        (first[0], second[0])
    };
    let (first, reordered) = second(true);
    assert_eq!(reordered, first + 1);
    let (first, waited) = second(false);
    assert_eq!(waited, 2 * first, "the second starts when the first is back");
}

#[test]
fn hops_lengthen_the_way() {
    let latency = |hops| {
        let config = MasterConfig { hops: vec![hops], ..MasterConfig::hbm2_u280(900_000_000, 64, 1, false) };
        let mut beats = Vec::new();
        Master::new(config).read(Request { cycle: 0, unit: 0, beats: 1 }, &mut beats);
        beats[0]
    };
    assert_eq!(latency(7) - latency(0), 35);
}

#[test]
fn writes_answer_early_until_the_buffer_is_full() {
    let mut channel = hbm(64);
    let mut longest = 0;
    for i in 0..400u64 {
        let cycle = 16 * (i + 1);
        longest = longest.max(channel.write(Request { cycle, unit: i * 16, beats: 16 }) - cycle);
    }
    // Data at the rate of the bus: refresh fills the buffer, and it drains only as fast as it fills.
    assert!(longest > 60, "{longest}");
    let alone = hbm(64).write(Request { cycle: 16, unit: 0, beats: 16 });
    assert_eq!(alone - 16, 20, "posted: only the way there and back, 79 ticks");
}

#[test]
fn fixed_memory_needs_no_channel() {
    let mut fixed = Fixed::new(40, 20);
    let whole = bandwidth(&mut fixed, 8, 1000, 16);
    assert!(whole > 14.3, "{whole}");
}
