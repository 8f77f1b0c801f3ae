//! The test bench of the top functions replays what the instruction-level simulator did, also with the
//! sanitizers on.

use crate::compilers::{compilers, flags, must, top};
use crate::hw;
use flightvlm_hw::config::HwConfig;
use flightvlm_iss::Iss;
use flightvlm_tests::compare::run;
use flightvlm_tests::progen::case;
use flightvlm_tests::replay::Recorder;
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
            .arg(format!("-DTOP_HEADER=\"flightvlm_hls_{config}.hpp\""))
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
    let mut recorder = Recorder::new(Box::new(Iss::new(config.clone())), config.clone(), folder.into());
    let mut faults = 0;
    for seed in 1..=count {
        faults += u64::from(run(&mut recorder, &case(seed, config)).report.fault.is_some());
    }
    println!("{}: {count} programs, {faults} of them faults", config.name);
    assert!(faults > 0 || count < 20, "no program was made to fail");
    recorder.files
}

fn count(default: u64) -> u64 {
    let text = std::env::var("FLIGHTVLM_HLS_PROGRAMS").ok();
    text.map_or(default, |t| t.parse().unwrap_or_else(|_| panic!("FLIGHTVLM_HLS_PROGRAMS={t} is not a number")))
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

#[test]
fn random_programs_replay_without_a_sanitizer_s_report() {
    let compiler = &compilers()[0];
    let sanitize = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    for config in [HwConfig::sim(), HwConfig::mini()] {
        let folder = tempfile::tempdir().expect("a folder");
        let cases = programs(&config, count(60), folder.path());
        let program = build(compiler, &config.name, &sanitize, folder.path());
        replay(&program, &cases);
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
