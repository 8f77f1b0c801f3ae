//! The test bench of the top functions replays what the instruction-level simulator did, also with the
//! sanitizers on.

use crate::compilers::{compilers, flags, must, top};
use crate::hw;
use flightvlm::device::{Device, Logits, ProgramDevice};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::graph::{Picture, Tile};
use flightvlm_compiler::quant::{Sparsity, Spec, Widths};
use flightvlm_hw::config::HwConfig;
use flightvlm_iss::Iss;
use flightvlm_tests::replay::{record_programs, Recorder};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the test bench of a configuration.
fn build(compiler: &str, config: &str, extra: &[&str], folder: &Path) -> PathBuf {
    let program = folder.join(format!("replay_{config}"));
    let class = config[..1].to_uppercase() + &config[1..];
    must(
        Command::new(compiler)
            .args(flags())
            .args(extra)
            .args(["-include", &format!("flightvlm_hls_{config}.hpp")])
            .arg(format!("-DCONFIG={class}"))
            .arg("-I")
            .arg(hw("hls/gen"))
            .args([hw("hls/tb/replay.cpp"), top(config)])
            .arg("-o")
            .arg(&program),
    );
    program
}

/// Random programs on the simulator, as files.
fn programs(config: &HwConfig, count: u64, folder: &Path) -> Vec<PathBuf> {
    let iss = Box::new(Iss::new(config.clone()));
    let (files, faults) = record_programs(iss, config, 1..=count, folder.into());
    println!("{}: {count} programs, {faults} of them faults", config.name);
    assert!(faults > 0 || count < 20, "no program was made to fail");
    files
}

fn count(default: u64) -> u64 {
    let text = std::env::var("FLIGHTVLM_HLS_PROGRAMS").ok();
    text.map_or(default, |t| {
        t.parse().unwrap_or_else(|_| panic!("FLIGHTVLM_HLS_PROGRAMS={t} is not a number"))
    })
}

fn replay(program: &Path, cases: &[PathBuf]) {
    let folder = program.parent().expect("a folder");
    let options = "halt_on_error=1:print_stacktrace=1";
    for cases in cases.chunks(500) {
        let text = must(
            Command::new(program)
                .args(cases)
                .current_dir(folder)
                .env("UBSAN_OPTIONS", options)
                .env("ASAN_OPTIONS", "detect_leaks=0"),
        );
        assert!(text.contains(&format!("{} launches replayed, 0 differ", cases.len())), "{text}");
        print!("{text}");
    }
}

/// Undefined behaviour and accesses outside an object end the run.
const SANITIZE: [&str; 4] = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

#[test]
fn random_programs_replay_without_a_sanitizer_s_report() {
    for config in [HwConfig::sim(), HwConfig::mini()] {
        let folder = tempfile::tempdir().expect("a folder");
        let cases = programs(&config, count(60), folder.path());
        let program = build(&compilers()[0], &config.name, &SANITIZE, folder.path());
        replay(&program, &cases);
    }
}

/// A picture, a prompt and a decode step of the demo model: dense and mid-rise, sparse, four-bit cache.
#[test]
fn questions_replay_without_a_sanitizer_s_report() {
    let spec = |widths, sparsity| Spec { widths, sparsity, group_words: 8 };
    for (target, storage, kv_bits) in [
        (HwConfig::sim(), spec(Widths::Mixed { average_bits: 3.5 }, Sparsity::Dense), 8),
        (HwConfig::mini(), spec(Widths::Uniform(4), Sparsity::S8of16), 4),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let options = LoadOptions { target: target.clone(), storage, kv_bits, ..LoadOptions::default() };
        let model = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/emoji-llava");
        let source = Source::open(&model, options).expect("the demo model opens");
        let program = source.program().expect("compiles");
        let iss = Box::new(Iss::new(target.clone()));
        let machine = Box::new(Recorder::new(iss, target.clone(), folder.path().into()));
        let info = source.info().expect("facts");
        let image = info.image.clone().expect("it takes pictures");
        let mut d = ProgramDevice::new("recorder", program, machine, info).expect("it loads");
        d.begin().expect("an empty context");
        let grid = image.vision.full_grid();
        let count = grid[0] * grid[1] * image.vision.pixel_cols;
        let rows = (0..count).map(|i| (i % 97) as f32 / 48.0 - 1.0).collect();
        let picture = Picture::of_tiles(&image.vision, vec![Tile { grid, rows }]);
        let handle = d.encode_image(&picture).expect("encodes");
        let mut ids = vec![image.token_id; image.rows];
        ids.extend([5, 6, 7]);
        let out = d.prefill(&ids, &[handle], Logits::LastToken).expect("prefill");
        d.step(out.greedy_token, Logits::LastToken).expect("a step");
        let entries = std::fs::read_dir(folder.path()).expect("readable");
        let mut cases: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        cases.sort();
        assert_eq!(cases.len(), 3, "a launch each");
        let replay_program = build(&compilers()[0], &target.name, &SANITIZE, folder.path());
        replay(&replay_program, &cases);
    }
}

/// A case that differs is seen, and named.
#[test]
fn the_test_bench_sees_a_changed_bit() {
    let config = HwConfig::sim();
    let folder = tempfile::tempdir().expect("a folder");
    let cases = programs(&config, 3, folder.path());
    let program = build(&compilers()[0], "sim", &["-O1"], folder.path());
    replay(&program, &cases);
    let mut bytes = std::fs::read(&cases[1]).expect("readable");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&cases[1], bytes).expect("writable");
    let out = Command::new(&program).args(&cases).output().expect("it runs");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && text.contains("00001.case: memory of port 0 differs"), "{text}");
}
