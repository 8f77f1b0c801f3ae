//! Always-on-chip decode: a step moves the weights, the cache and a few rows of tables, and nothing
//! else; without wanted logits, the token is all that comes back. A prompt writes its cache and its token.

use crate::assets::{demo_with, device, iss, path};
use flightvlm::device::{Device, Logits};
use flightvlm::profile::{profile, Workload};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::codegen::{logits, text_args};
use flightvlm_compiler::layout::dram::Space;
use flightvlm_compiler::program::{Program, CODE_REGION};
use flightvlm_compiler::quant::{Spec, Widths};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::{Bank, Counters, Launch, Machine};

/// Counters of a launch of `rows` rows behind `position` others; one row is a decode step.
fn launch(machine: &mut dyn Machine, p: &Program, position: u32, rows: u32) -> Counters {
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
    launch.args[text_args::ROWS] = rows;
    launch.args[text_args::LOGITS] = logits::NONE;
    let report = machine.launch(&launch).expect("runs");
    assert_eq!(report.fault, None);
    report.counters
}

/// Beats of all tiles of `layers` layers and of the output layer, as the compiler's statistics list them.
fn weight_beats(source: &Source, layers: u64) -> u64 {
    let compiled = source.compile(Some("stats")).expect("compiles");
    let (_, stats) = compiled.stages.last().expect("a stage");
    let beats = |line: &str| {
        // NAME PATH: T tiles of W words, FORMAT SPARSITY, B bytes in a row, R per channel
        let (_, sizes) = line.split_once(": ").expect("a path");
        let tiles: u64 = sizes.split(' ').next().expect("a number").parse().expect("a number");
        let bytes = sizes.split(", ").find_map(|part| part.strip_suffix(" bytes in a row")).expect("bytes");
        tiles * bytes.parse::<u64>().expect("a number") / 64
    };
    let of = |name: &str| -> u64 { stats.lines().filter(|line| line.starts_with(name)).map(beats).sum() };
    layers * of("text ") + of("head ")
}

#[test]
fn a_decode_step_moves_weights_cache_and_its_token() {
    for target in [HwConfig::sim(), HwConfig::mini(), HwConfig::u280()] {
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
        let weights = weight_beats(&source, layers);
        for position in [0u32, 15, 16, 40] {
            let c = launch(machine.as_mut(), p, position, 1);
            let tiles = u64::from(position / 16 + 1);
            // Weights: every tile of every layer and of the output layer, once; no channel reads padding.
            // Cache: a scale unit and the words of each key tile, the words of each value block.
            let cache = layers * kv_heads * tiles * (1 + 4 * head_words + 4 * head_words);
            assert_eq!(c.channel_read_beats, weights + cache, "{} position {position}", m.config.name);
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
        // A prompt writes what every one of its rows writes, and one token: row tiles stay on chip.
        for rows in [16u32, 48, 100] {
            let c = launch(machine.as_mut(), p, 0, rows);
            let each = u64::from(rows) * layers * kv_heads;
            assert_eq!(c.channel_write_beats, each * (2 * head_words + 1), "{rows} rows");
            assert_eq!(c.write_beats, each + 1, "{rows} rows");
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

/// Loads overlap everything: norms, softmax, token selection and the next layer's first tile. Four layers of LLaMA2-7B on
/// `u280` behind 512 positions, simulated.
#[test]
fn the_channels_wait_for_nothing_but_the_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let shape = path("data/shapes/llama2-7b/config.json");
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(shape).expect("a shape")).expect("JSON");
    config["num_hidden_layers"] = 4.into();
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("write");
    let options = LoadOptions {
        target: HwConfig::u280(),
        no_weights: true,
        storage: Spec::dense(Widths::Uniform(4)),
        max_context: Some(1024),
        ..LoadOptions::default()
    };
    let source = Source::open(folder.path(), options).expect("opens");
    let workload = Workload { prompt_tokens: 512, images: 0, prune: None, new_tokens: 4 };
    let p = profile(source.program().expect("compiles"), &workload).expect("runs");
    let (_, decode) = p.bottlenecks.iter().find(|(phase, _)| *phase == "decode").expect("decode");
    let c = decode.channels;
    assert!(c.moving > 0.85, "{c:?}");
    assert!(c.no_load + c.fifo_full < 0.03, "{c:?}");
}
