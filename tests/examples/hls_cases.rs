//! Writes cases for the test bench of the HLS kernel (`hw/hls/tb/replay.cpp`): random programs with what the
//! instruction-level simulator made of them.
//!
//! `cargo run --release -p flightvlm-tests --example hls_cases -- CONFIG COUNT FOLDER`

use flightvlm_hw::config::HwConfig;
use flightvlm_iss::Iss;
use flightvlm_tests::replay::record_programs;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match args.as_slice() {
        [config, count, folder] => HwConfig::named(config).zip(count.parse().ok()).map(|x| (x, folder)),
        _ => None,
    };
    let Some(((config, count), folder)) = parsed else {
        eprintln!("expected CONFIG (sim, mini, u280), COUNT and FOLDER, got {args:?}");
        std::process::exit(2);
    };
    if let Err(e) = std::fs::create_dir_all(folder) {
        eprintln!("{folder}: {e}");
        std::process::exit(2);
    }
    let iss = Box::new(Iss::new(config.clone()));
    let (files, faults) = record_programs(iss, &config, 1..=count, folder.into());
    println!("{}: {} cases, {faults} of them faults, in {folder}", config.name, files.len());
}
