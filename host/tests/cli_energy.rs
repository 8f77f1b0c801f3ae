//! Energy, comparison, timeline and plots on the command line.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn model() -> String {
    text(&root().join("tests/models/emoji-llava"))
}

fn flightvlm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flightvlm")).args(arguments).output().expect("start")
}

fn json(arguments: &[&str]) -> Value {
    let output = flightvlm(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

/// Runs the command, which must fail with a message that has all of `needles`.
fn refused(arguments: &[&str], needles: &[&str]) {
    let output = flightvlm(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty() && !stderr.contains("panicked"), "{stderr}");
    for needle in needles {
        assert!(stderr.contains(needle), "{needle:?} is not in: {stderr}");
    }
}

fn ends(value: &Value) -> [f64; 3] {
    let ends =
        ["low", "mid", "high"].map(|end| value[end].as_f64().unwrap_or_else(|| panic!("{end} of {value}")));
    assert!(0.0 < ends[0] && ends[0] < ends[1] && ends[1] < ends[2], "{value}");
    ends
}

#[test]
fn profile_gives_energy_with_both_ends() {
    let p = json(&["profile", &model(), "--new-tokens", "20", "--json"]);
    let (watts, request, token) = (ends(&p["power_w"]), ends(&p["j_per_request"]), ends(&p["j_per_token"]));
    assert_eq!((&p["basis"], &p["energy_basis"]), (&Value::from("simulated"), &Value::from("modelled")));
    let phases = ["vision", "prefill", "decode"].map(|phase| p["phases"][phase]["ms"].as_f64().expect("ms"));
    let seconds = phases.iter().sum::<f64>() / 1e3;
    for end in 0..3 {
        assert!((watts[end] * seconds / request[end] - 1.0).abs() < 1e-6);
        assert!((token[end] * 20.0 / request[end] - 1.0).abs() < 1e-6);
    }
    let constant = &p["energy"]["constant"];
    assert!((constant["j_per_request"].as_f64().expect("J") / (46.5 * seconds) - 1.0).abs() < 1e-6);
    let stages = p["energy"]["stages"].as_array().expect("stages");
    let sum: f64 = stages.iter().map(|stage| ends(&stage["joules"])[1]).sum();
    assert!((sum / request[1] - 1.0).abs() < 1e-6);
    for phase in ["vision", "prefill", "decode"] {
        let b = &p["bottlenecks"][phase];
        assert!(b["parts"].as_array().is_some_and(|parts| !parts.is_empty()), "{b}");
    }
}

#[test]
fn profile_writes_a_timeline_and_a_roofline() {
    let folder = tempfile::tempdir().expect("folder");
    let (trace, roof) = (folder.path().join("t.json"), folder.path().join("r.svg"));
    let output = flightvlm(&[
        "profile",
        &model(),
        "--target",
        "mini",
        "--new-tokens",
        "4",
        "--trace",
        &text(&trace),
        "--roofline",
        &text(&roof),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("held up by") && said.contains("low / mid / high"), "{said}");
    let svg = std::fs::read_to_string(&roof).expect("plot");
    assert!(
        svg.starts_with("<svg") && ["vision", "prefill", "decode"].iter().all(|phase| svg.contains(phase))
    );
    let trace: Value = serde_json::from_slice(&std::fs::read(&trace).expect("trace")).expect("JSON");
    assert_eq!(trace["otherData"]["basis"], "simulated");
    let mut tracks: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    let mut channels = std::collections::BTreeSet::new();
    for event in trace["traceEvents"].as_array().expect("events") {
        let number = |key: &str| event[key].as_f64().expect("number");
        match event["ph"].as_str() {
            Some("X") => {
                let track = tracks.entry(event["tid"].as_u64().expect("track")).or_default();
                track.push((number("ts"), number("ts") + number("dur")));
            }
            Some("C") => {
                assert!((0.0..=14.5).contains(&event["args"]["GB/s"].as_f64().expect("rate")), "{event}");
                channels.insert(event["name"].as_str().expect("name").to_owned());
            }
            _ => {}
        }
    }
    assert!(tracks.len() > 5, "ld, st, mm, vx, phases, and what overlaps");
    assert_eq!(channels.len(), 4);
    let end = tracks[&10].last().expect("phases").1;
    for (track, mut spans) in tracks {
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(spans.last().expect("spans").1 <= end + 1e-3, "track {track} goes on behind its launch");
        // Perfetto drops spans of a track that overlap, by a nanosecond even.
        assert!(spans.windows(2).all(|pair| pair[1].0 > pair[0].1 - 1e-6), "track {track}: {spans:?}");
        if track == 10 {
            assert_eq!(spans.len(), 3);
            assert!(spans.windows(2).all(|pair| (pair[1].0 - pair[0].1).abs() < 1e-6), "{spans:?}");
        }
    }
}

/// Blocks of an FST file by kind, and the first and last time in its header.
fn fst(bytes: &[u8]) -> (Vec<u8>, u64, u64) {
    let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let (mut kinds, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        kinds.push(bytes[at]);
        at += 1 + number(at + 1) as usize;
    }
    assert_eq!(at, bytes.len(), "the last block is whole");
    (kinds, number(9), number(17))
}

#[test]
#[cfg(feature = "rtl")]
fn run_writes_a_window_of_waveforms() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("w.fst");
    let (model, name) = (model(), text(&file));
    let run =
        ["run", &model, "--device", "rtl", "--prompt", "hello", "--max-new-tokens", "1", "--waves", &name];
    let window = |from: &str| {
        let output = flightvlm(&[&run[..], &["--waves-from", from, "--waves-cycles", "300"]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        (said, std::fs::read(&file).expect("waveforms"))
    };
    let (said, waves) = window("5000");
    assert!(!said.contains("empty"), "{said}");
    let (kinds, first, last) = fst(&waves);
    // Header, geometry, hierarchy and at least one block of values (kind 8: with time table, aliased).
    assert!(kinds[0] == 0 && [3, 6, 8].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    // Two times a cycle, one for each edge of the double clock.
    assert_eq!(last - first, 2 * 300 - 1, "{first} to {last}");
    let later = window("9000").1;
    assert_eq!(fst(&later).1 - first, 2 * 4000);
    assert!(window("999999999").0.contains("the waveforms are empty"));
    let nowhere = text(&folder.path().join("none/w.fst"));
    refused(
        &["run", &model, "--device", "rtl", "--prompt", "x", "--waves", &nowhere],
        &["cannot write", "none/w.fst"],
    );
}

#[test]
fn compare_sets_a_record_of_the_same_size_beside_the_model() {
    let folder = tempfile::tempdir().expect("folder");
    let record =
        std::fs::read_to_string(root().join("host/tests/data/measured-record.json")).expect("record");
    let mut record: Value = serde_json::from_str(&record).expect("JSON");
    // The demo model's language part has 1.9 million parameters.
    record["model"]["params_b"] = 0.0019.into();
    let (file, plot) = (folder.path().join("gpu.json"), folder.path().join("p.svg"));
    std::fs::write(&file, record.to_string()).expect("write");
    let (model, file, plot_name) = (model(), text(&file), text(&plot));
    let arguments =
        ["compare", &model, "--precisions", "w8,w4+2:4", "--new-tokens", "16", "--baseline", &file];
    let c = json(&[&arguments[..], &["--plot", &plot_name, "--json"]].concat());
    let ours = c["ours"].as_array().expect("ours");
    let formats: Vec<&str> = ours.iter().filter_map(|o| o["weights"].as_str()).collect();
    assert_eq!(formats, ["w8", "w8", "w4", "w4"]);
    assert_eq!((&ours[0]["sparsity"], &ours[2]["sparsity"]), (&Value::from("dense"), &Value::from("2:4")));
    assert!(ours.iter().all(|o| o["grade"] == "simulated"));
    let rows = c["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4, "one record, two formats, two tasks");
    for row in rows {
        assert_eq!(row["grade"], "measured");
        let ratio = ["low", "mid", "high"].map(|end| row["energy_ratio"][end].as_f64().expect("ratio"));
        assert!(ratio[0] < ratio[1] && ratio[1] < ratio[2]);
        assert!((row["energy_ratio"]["sigma"].as_f64().expect("sigma") - 0.28).abs() < 0.02);
    }
    let svg = std::fs::read_to_string(&plot).expect("plot");
    assert!(svg.contains("measured") && svg.contains("simulated"));
    let alone = flightvlm(&["compare", &model, "--new-tokens", "16"]);
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(
        said.contains("no baseline of about this size") && said.contains("no GPU was measured"),
        "{said}"
    );
}

#[test]
fn bad_records_and_places_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("r.json");
    let write = |text: &str| std::fs::write(&file, text).expect("write");
    let (model, name) = (model(), text(&file));
    let arguments = ["compare", &model, "--baseline", &name];
    write("{\"schema\": ");
    refused(&arguments, &["r.json", "not a baseline record"]);
    write("[{\"schema\": \"x\"}]");
    refused(&arguments, &["r.json", "missing field"]);
    let record =
        std::fs::read_to_string(root().join("host/tests/data/measured-record.json")).expect("record");
    write(&record.replace("\"window_s\": 30.0", "\"window_s\": 3.0"));
    refused(&arguments, &["r.json", "window_s", "at least 30"]);
    refused(&["compare", &model, "--baseline", &text(folder.path()), "--precisions", "w9"], &["w9"]);
    refused(&["compare", &model, "--precisions", "w4+3:4"], &["3:4", "2:4"]);
    refused(&["run", &model, "--prompt", "x", "--waves", "w.fst"], &["--waves", "--device rtl"]);
    let nowhere = text(&folder.path().join("none/t.json"));
    refused(&["profile", &model, "--new-tokens", "2", "--trace", &nowhere], &["cannot write", "none/t.json"]);
    refused(&["profile", &model, "--new-tokens", "2", "--roofline", &nowhere], &["cannot write"]);
    let left = std::fs::read_dir(folder.path()).expect("folder").count();
    assert_eq!(left, 1, "something was left behind");
}

#[test]
fn a_computer_without_a_gpu_says_so() {
    let output =
        flightvlm(&["compare", &model(), "--measure-gpu", "--gpu-script", "/nowhere/gpu_baseline.py"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("gpu_baseline.py"), "{stderr}");
}
