//! Always-on-chip decode: a step moves the weights, the cache and a few rows of tables, and nothing
//! else; without wanted logits, the token is all that comes back.

use crate::assets::{demo_with, device, iss};
use flightvlm::device::{Device, Logits};
use flightvlm::source::LoadOptions;
use flightvlm_compiler::codegen::{logits, text_args};
use flightvlm_compiler::layout::dram::Space;
use flightvlm_compiler::program::{Program, CODE_REGION};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::{Bank, Counters, Launch, Machine};

/// Counters of a decode step behind `position` rows.
fn step(machine: &mut dyn Machine, p: &Program, position: u32) -> Counters {
    let code = p.meta.dram.get(CODE_REGION).expect("code");
    let mut launch = Launch {
        code_base_units: code.base,
        code_units: (p.code.len() / 64) as u32,
        code_len: p.meta.code_len,
        entry: p.meta.text.entry,
        args: [0; 16],
        watchdog_cycles: 65_536,
    };
    launch.args[text_args::POSITION] = position;
    launch.args[text_args::ROWS] = 1;
    launch.args[text_args::LOGITS] = logits::NONE;
    let report = machine.launch(&launch).expect("runs");
    assert_eq!(report.fault, None);
    report.counters
}

#[test]
fn a_decode_step_moves_weights_cache_and_its_token() {
    for target in [HwConfig::sim(), HwConfig::mini()] {
        let source = demo_with(LoadOptions { target, ..LoadOptions::default() });
        let p = source.program().expect("compiles");
        let m = &p.meta;
        let mut machine = iss(p);
        machine.resize(m.dram.end(Space::Main), m.dram.end(Space::Channels)).expect("room");
        let code = m.dram.get(CODE_REGION).expect("code");
        machine.write(Bank::Main, u64::from(code.base) * 64, &p.code).expect("fits");
        let spec = &m.model.text;
        let (layers, kv_heads) = (spec.layers as u64, spec.kv_heads as u64);
        let head_words = u64::from(m.text.rope_half_words) * 2;
        for position in [0u32, 15, 16, 40] {
            let c = step(machine.as_mut(), p, position);
            let tiles = u64::from(position / 16 + 1);
            // Weights: every tile of every layer and of the output layer, once.
            let dram = &m.dram;
            let weights: u64 = ["text.layers", "text.head"]
                .iter()
                .map(|r| dram.get(r).expect("there").units)
                .map(u64::from)
                .sum();
            let slots = weights * u64::from(dram.channels);
            // Cache: a scale unit and the words of each key tile, the words of each value block.
            let cache = layers * kv_heads * tiles * (1 + 4 * head_words + 4 * head_words);
            // With one channel no slot is padding.
            if dram.channels == 1 {
                assert_eq!(c.channel_read_beats, slots + cache, "position {position}");
            }
            assert!(
                c.channel_read_beats <= slots + cache && c.channel_read_beats + slots / 10 >= slots + cache,
                "{} position {position}: {} beats read, {slots} of weights (padding included), {cache} of cache",
                m.config.name,
                c.channel_read_beats
            );
            // A key, its scale, and a value of each head.
            assert_eq!(
                c.channel_write_beats,
                layers * kv_heads * (2 * head_words + 1),
                "position {position}"
            );
            // Main memory: code, ids, the embedding row, the rotary row, norm vectors, value scales.
            let code_units = (p.code.len() / 64) as u64;
            let row = u64::from(m.text.row_units);
            let tables = 1 + row + head_words + layers * 2 * row + row;
            assert_eq!(c.read_beats, code_units + tables + layers * kv_heads * tiles, "position {position}");
            // Value scales, and the token.
            assert_eq!(c.write_beats, layers * kv_heads + 1, "position {position}");
        }
    }
}

#[test]
fn wanted_logits_are_the_only_other_traffic() {
    let source = demo_with(LoadOptions::default());
    let p = source.program().expect("compiles");
    let mut written = Vec::new();
    for want in [Logits::None, Logits::LastToken] {
        let mut d = device(&source, "iss", iss(p));
        d.prefill(&[5, 6, 7], &[], Logits::None).expect("prefill");
        d.step(9, want).expect("a step");
        written.push(d.stats().decode.dram_bytes_written.expect("counted"));
    }
    assert_eq!(written[1] - written[0], u64::from(p.meta.text.logit_units) * 64);
}
