//! `--device xrt` where there is no card: one message that says what is missing, exit code 2.

use std::process::{Command, Output};

fn run(device: &str, variables: &[(&str, &str)]) -> Output {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/emoji-llava");
    let mut command = Command::new(env!("CARGO_BIN_EXE_flightvlm"));
    command.args(["run", model, "--prompt", "hello", "--device", device]);
    command.envs(variables.iter().copied()).output().expect("start")
}

fn refused(device: &str, variables: &[(&str, &str)], any_of: &[&str]) {
    let output = run(device, variables);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{device}: {stderr}");
    assert!(output.stdout.is_empty() && !stderr.contains("panicked"), "{device}: {stderr}");
    assert_eq!(stderr.matches("error:").count(), 1, "{device}: {stderr}");
    assert!(any_of.iter().any(|needle| stderr.contains(needle)), "{device}: {stderr}");
}

/// What is missing depends on the computer: XRT, or the card.
const MISSING: [&str; 2] = ["libxrt_coreutil.so.2", "no AMD/Xilinx card on the PCI bus"];

#[test]
fn a_missing_card_or_a_missing_xrt_is_said() {
    for device in ["xrt", "xrt:3b:00.1"] {
        refused(device, &[], &MISSING);
    }
}

#[test]
fn a_missing_emulated_card_says_how_to_build_it() {
    let nowhere = [("FLIGHTVLM_XRT_SHIM", "/nowhere/shim.so")];
    for device in ["xrt:emulated", "xrt:emulated-rtl"] {
        refused(device, &nowhere, &["-p flightvlm-xrt-shim", MISSING[0]]);
    }
}

#[test]
fn a_library_that_is_no_emulated_card_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shim.so");
    std::fs::write(&file, b"not a library").expect("can write");
    let path = file.display().to_string();
    refused("xrt:emulated", &[("FLIGHTVLM_XRT_SHIM", &path)], &["shim.so", MISSING[0]]);
}

#[test]
fn other_names_list_the_devices() {
    refused("xrtx", &[], &["xrt:emulated"]);
    refused("iss:1", &[], &["xrt:emulated"]);
}
