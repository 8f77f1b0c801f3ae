//! The timing model against the RTL: instructions equal, cycles within 1 % (nearly all are equal), the gap printed.

use crate::assets::{demo_with, device, iss, questions, rtl};
use flightvlm::device::{Device, Logits, RunStats};
use flightvlm::image::decode_file;
use flightvlm::prompt::{prepare, user_turn};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::quant::{Sparsity, Spec, Widths};
use flightvlm_hw::config::HwConfig;

fn measure(d: &mut dyn Device, source: &Source) -> RunStats {
    let q = &questions()[0];
    let info = source.info().expect("facts");
    let picture = decode_file(&q.image).expect("a picture");
    let turn = user_turn(source.assets(), 1, &q.text).expect("a turn");
    let prompt = prepare(source.assets(), &info, &[turn], &[picture]).expect("a prompt");
    d.begin().expect("an empty context");
    let handle = d.encode_image(&prompt.images[0]).expect("encodes");
    let mut out = d.prefill(&prompt.ids, &[handle], Logits::None).expect("prefill");
    for _ in 0..3 {
        out = d.step(out.greedy_token, Logits::None).expect("a step");
    }
    d.stats()
}

#[test]
fn predicted_cycles_are_within_one_percent() {
    for target in [HwConfig::sim(), HwConfig::mini()] {
        compare(LoadOptions { target, ..LoadOptions::default() });
    }
}

/// The same for what a format changes: the widths of weights, sparse tiles, a cache of 4 bits, rows of 16 bits.
#[test]
fn predicted_cycles_of_every_format_are_within_one_percent() {
    let mini = LoadOptions { target: HwConfig::mini(), ..LoadOptions::default() };
    let with = |widths, sparsity| {
        let storage = Spec { sparsity, ..Spec::dense(widths) };
        LoadOptions { storage, ..mini.clone() }
    };
    let mixed = Widths::Mixed { average_bits: 3.5 };
    let (w4, w8) = (Widths::Uniform(4), Widths::Uniform(8));
    for options in [
        with(w4, Sparsity::Dense),
        with(Widths::Uniform(2), Sparsity::Dense),
        with(mixed, Sparsity::Dense),
        with(w4, Sparsity::S2of4),
        with(w8, Sparsity::S4of16),
        LoadOptions { kv_bits: 4, ..mini.clone() },
        LoadOptions { wide_inputs: true, ..mini.clone() },
    ] {
        compare(options);
    }
}

fn compare(options: LoadOptions) {
    let s = &options.storage;
    let wide = if options.wide_inputs { " wide" } else { "" };
    let on = format!("{} {} {} KV{}{wide}", options.target.name, s.widths, s.sparsity, options.kv_bits);
    let source = demo_with(options);
    let program = source.program().expect("compiles");
    let a = measure(&mut device(&source, "iss", iss(program)), &source);
    let b = measure(&mut device(&source, "rtl", rtl(program)), &source);
    for (name, x, y) in
        [("vision", a.vision, b.vision), ("prefill", a.prefill, b.prefill), ("decode", a.decode, b.decode)]
    {
        assert_eq!(x.instructions, y.instructions, "{name}: instructions");
        assert_eq!(x.dram_bytes_read, y.dram_bytes_read, "{name}: bytes read");
        assert_eq!(x.dram_bytes_written, y.dram_bytes_written, "{name}: bytes written");
        let (x, y) = (x.cycles.expect("counted") as f64, y.cycles.expect("counted") as f64);
        let gap = (x - y) / y;
        println!("{on} {name}: iss {x} cycles, rtl {y} cycles, gap {:+.2} %", gap * 100.0);
        assert!(gap.abs() <= 0.01, "{on} {name}: {x} against {y}");
    }
}
