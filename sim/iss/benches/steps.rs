//! How fast the CPU executes the matrices of a decode step and of a prefill, and how fast it times
//! them without data.

mod common;

use common::{program, step, LARGE, SMALL};
use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::Machine;
use flightvlm_iss::Iss;

fn steps(c: &mut Criterion) {
    let u280 = HwConfig::u280();
    let mut group = c.benchmark_group("135M");
    group.sample_size(10);
    for (bits, rows, timed) in [(8, 1, false), (8, 1, true), (4, 1, false), (8, 32, false), (8, 32, true)] {
        let mut iss = if timed { Iss::new(u280.clone()) } else { Iss::function_only(u280.clone()) };
        let work = step(&mut iss, &u280, &SMALL, bits, rows);
        let name = format!("{bits} bits, {rows} rows, {}", if timed { "timed" } else { "function only" });
        // Bytes a second for one row, MACs for many.
        let throughput =
            if rows == 1 { Throughput::Bytes(work.weight_bytes) } else { Throughput::Elements(work.macs) };
        group.throughput(throughput);
        group.bench_function(name, |b| b.iter(|| iss.launch(&work.launch).expect("runs").counters.cycles));
    }
    group.finish();
    let mut group = c.benchmark_group("7B, timing only");
    group.sample_size(10);
    let mut iss = Iss::timing_only(u280.clone());
    let work = step(&mut iss, &u280, &LARGE, 4, 1);
    group.throughput(Throughput::Bytes(work.weight_bytes));
    group.bench_function("4 bits, 1 row", |b| {
        b.iter(|| iss.launch(&work.launch).expect("runs").counters.cycles)
    });
    group.finish();
}

/// The vector commands of attention and of a gated layer over 32 rows.
fn vectors(c: &mut Criterion) {
    let u280 = HwConfig::u280();
    let mut group = c.benchmark_group("vectors");
    group.sample_size(10);
    for (name, text) in [
        ("exponentials and their sum", "func=exp2 d_kind=spad d_off=2000 d_stride=40 red=sum sred_off=100"),
        ("gate", "b_kind=spad b=a0+3000 b_stride=40 op1=mul func=silu d_kind=spad d_off=2000 d_stride=40"),
        ("quantisation", "b_kind=imm b=#30.0 op1=mul d_kind=abuf d_stride=40"),
        ("largest magnitude", "red=absmax sred_off=100"),
    ] {
        let mut iss = Iss::function_only(u280.clone());
        let launch = program(
            &mut iss,
            &format!("loop count=100 len=1\nvx rows=32 len=640 a_stride=40 {text}\nnop\nhalt"),
        );
        group.throughput(Throughput::Elements(100 * 32 * 640));
        group.bench_function(name, |b| b.iter(|| iss.launch(&launch).expect("runs").counters.dispatched));
    }
    group.finish();
}

criterion_group!(benches, steps, vectors);
criterion_main!(benches);
