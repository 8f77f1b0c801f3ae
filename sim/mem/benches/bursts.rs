//! Bursts of 16 beats a second on one core: a 7B decode step is 3.4 M of them over 32 channels.

use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use flightvlm_mem::traffic::Numbers;
use flightvlm_mem::{
    Channel, ChannelConfig, Fixed, MemoryPort, RefreshPhase, Request, HBM_CHANNELS, UNIT_BYTES,
};
use std::hint::black_box;

const BEATS: u64 = 16;
const BURSTS: u64 = 32_000;

fn channels(count: u64) -> Vec<Channel> {
    let channel = |channel| {
        let phase = RefreshPhase::Staggered { channel, channels: count };
        Channel::new(ChannelConfig::hbm2_u280(225_000_000, UNIT_BYTES, phase))
    };
    (0..count).map(channel).collect()
}

/// Bursts round robin over the ports, each as soon as the port's burst eight before is complete.
fn run<P: MemoryPort>(ports: &mut [P], unit: impl Fn(u64) -> u64) -> u64 {
    let mut beats = Vec::with_capacity(BEATS as usize);
    let mut last = vec![[0; 8]; ports.len()];
    let mut sum = 0;
    for burst in 0..BURSTS / ports.len() as u64 {
        for (port, last) in ports.iter_mut().zip(&mut last) {
            let place = &mut last[burst as usize % 8];
            port.read(Request { cycle: *place, unit: unit(burst), beats: BEATS }, &mut beats);
            *place = beats[BEATS as usize - 1];
            sum += *place;
        }
    }
    sum
}

fn bursts(c: &mut Criterion) {
    let mut group = c.benchmark_group("bursts of 16 beats");
    group.throughput(Throughput::Elements(BURSTS));
    group.bench_function("HBM2 sequential, 1 channel", |b| {
        b.iter_batched_ref(|| channels(1), |ports| run(ports, |i| i * BEATS), BatchSize::LargeInput)
    });
    group.bench_function("HBM2 sequential, 32 channels", |b| {
        b.iter_batched_ref(
            || channels(HBM_CHANNELS),
            |ports| run(ports, |i| i * BEATS),
            BatchSize::LargeInput,
        )
    });
    let mut numbers = Numbers(1);
    let random: Vec<u64> = (0..BURSTS).map(|_| numbers.below(1 << 18) * BEATS).collect();
    group.bench_function("HBM2 random, 1 channel", |b| {
        b.iter_batched_ref(|| channels(1), |ports| run(ports, |i| random[i as usize]), BatchSize::LargeInput)
    });
    group.bench_function("fixed latency", |b| {
        b.iter_batched_ref(
            || vec![Fixed::new(40, 20)],
            |ports| black_box(run(ports, |i| i * BEATS)),
            BatchSize::LargeInput,
        )
    });
    group.finish();
}

criterion_group!(benches, bursts);
criterion_main!(benches);
