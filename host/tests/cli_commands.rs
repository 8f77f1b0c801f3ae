//! The commands on the demo model, against what transformers answered.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

fn flightvlm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flightvlm")).args(arguments).output().expect("start")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Runs the command, which must succeed; its standard output.
fn succeeds(arguments: &[&str]) -> String {
    let output = flightvlm(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeeds(arguments)).expect("JSON on standard output")
}

fn reference() -> Value {
    let bytes = std::fs::read(tests().join("data/emoji-vqa/transformers.json")).expect("file");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn evaluate_gives_the_same_tokens_as_transformers() {
    let model = text(&tests().join("models/emoji-llava"));
    let data = tests().join("data/emoji-vqa");
    // Every sixth question, so that all kinds occur; pictures stay where they are.
    let questions = std::fs::read_to_string(data.join("questions.jsonl")).expect("questions");
    let reference = reference();
    let answers = reference["answers"].as_array().expect("answers");
    assert_eq!(questions.lines().count(), answers.len());
    let folder = tempfile::tempdir().expect("folder");
    let chosen: Vec<usize> = (0..answers.len()).step_by(6).collect();
    let lines: Vec<&str> = questions.lines().collect();
    let subset: String = chosen
        .iter()
        .map(|&at| {
            let mut line: Value = serde_json::from_str(lines[at]).expect("line");
            let image = line["image"].as_str().expect("one picture").to_owned();
            line["image"] = text(&data.join(image)).into();
            format!("{line}\n")
        })
        .collect();
    let file = folder.path().join("q.jsonl");
    std::fs::write(&file, subset).expect("write");
    let transcript = folder.path().join("t.jsonl");
    let (file, transcript) = (text(&file), text(&transcript));
    let arguments = ["evaluate", &model, "--questions", &file, "--transcript", &transcript, "--json"];
    let result = json(&[&arguments[..], &["--device", "eval", "--max-new-tokens", "16"]].concat());
    let said = std::fs::read_to_string(&transcript).expect("transcript");
    assert_eq!(said.lines().count(), chosen.len());
    let mut right = 0;
    for (line, &at) in said.lines().zip(&chosen) {
        let line: Value = serde_json::from_str(line).expect("line");
        assert_eq!(line["tokens"], answers[at]["token_ids"], "question {at}");
        assert_eq!(line["right"], answers[at]["correct"], "question {at}");
        right += usize::from(answers[at]["correct"] == true);
    }
    assert_eq!(result["n"], chosen.len());
    let share = result["exact_match"].as_f64().expect("number");
    assert!((share - right as f64 / chosen.len() as f64).abs() < 1e-9, "{share}");
}

#[test]
fn run_streams_only_the_answer() {
    let model = text(&tests().join("models/emoji-llava"));
    let reference = &reference()["answers"][0];
    let image = tests().join("data/emoji-vqa").join(reference["image"].as_str().expect("image"));
    let question = reference["question"].as_str().expect("question");
    let image = text(&image);
    let arguments = ["run", &model, "--device", "eval", "--image", &image, "--prompt", question];
    let plain = succeeds(&arguments);
    assert_eq!(plain, format!("{}\n", reference["answer"].as_str().expect("answer")));
    let report = json(&[&arguments[..], &["--json"]].concat());
    assert_eq!(report["answer"], reference["answer"]);
    assert_eq!(report["tokens"], reference["token_ids"]);
    assert_eq!(report["finish"], "stop");
    assert_eq!(report["image_tokens"], 36);
    assert_eq!(report["phases"]["vision"]["cycles"], Value::Null);
    // Equal seeds draw equal answers.
    let drawn = [&arguments[..], &["--json", "--temperature", "2", "--seed", "7"]].concat();
    assert_eq!(json(&drawn)["tokens"], json(&drawn)["tokens"]);
}

#[test]
fn check_and_devices_speak_json() {
    let model = text(&tests().join("models/emoji-llava"));
    let report = json(&["check", &model, "--json"]);
    assert_eq!(report["runs"], true);
    assert_eq!(report["visual_tokens"], 36);
    assert!(report["operators"]["linear"].as_u64().is_some_and(|count| count > 10));
    let devices = json(&["devices", "--json"]);
    assert!(devices.as_array().expect("list").iter().any(|device| device["name"] == "eval"));
}

#[test]
fn logits_have_the_documented_name_and_shape() {
    let model = text(&tests().join("models/emoji-llava"));
    let folder = tempfile::tempdir().expect("folder");
    let (input, output) = (folder.path().join("in.safetensors"), folder.path().join("out"));
    let ids: Vec<u8> = [1i64, 50, 60].iter().flat_map(|id| id.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![1, 3], &ids);
    let tensors = [("input_ids", view.expect("view"))];
    let bytes = safetensors::serialize(tensors, None).expect("serialise");
    std::fs::write(&input, bytes).expect("write");
    succeeds(&["logits", &model, "--inputs", &text(&input), "-o", &text(&output)]);
    let bytes = std::fs::read(&output).expect("output");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let logits = file.tensor("logits").expect("logits");
    assert_eq!(logits.dtype(), safetensors::Dtype::F32);
    assert_eq!(logits.shape()[..2], [1, 3]);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("folder").collect();
    assert_eq!(left.len(), 2, "temporary files were left behind");
}

/// The table of families is generated, in its page and in the README (`BLESS=1` writes both again), and every
/// family in it has a golden checkpoint.
#[test]
fn the_support_table_is_current_and_backed_by_goldens() {
    let root = tests().join("..");
    let table = succeeds(&["check", "--families"]);
    let (page_path, readme_path) = (root.join("compiler/doc/families.md"), root.join("README.md"));
    let page = std::fs::read_to_string(&page_path).expect("the table");
    let readme = std::fs::read_to_string(&readme_path).expect("README");
    let (before, rest) = readme.split_once("<!-- families -->\n").expect("README has a table of families");
    let (section, after) = rest.split_once("<!-- end of families -->").expect("which ends");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&page_path, &table).expect("writable");
        let readme = format!("{before}<!-- families -->\n{table}<!-- end of families -->{after}");
        std::fs::write(&readme_path, readme).expect("writable");
    } else {
        assert_eq!(page, table, "run: flightvlm check --families > compiler/doc/families.md");
        assert_eq!(section, table, "README's table of families is old: run scripts/readme_tables");
    }
    let goldens = std::fs::read_dir(tests().join("golden")).expect("goldens");
    let configs: Vec<String> = goldens
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("config.json")).ok())
        .collect();
    let families = json(&["check", "--families", "--json"]);
    for family in families.as_array().expect("a list") {
        let class = family["architecture"].as_str().expect("a name");
        assert!(configs.iter().any(|c| c.contains(&format!("\"{class}\""))), "no golden of {class}");
    }
    assert!(families.as_array().is_some_and(|list| list.len() >= 12));
}

/// Every checkpoint of the goldens and every published shape is one that `check` says runs, on every target that holds it.
#[test]
fn check_knows_every_golden_and_every_shape() {
    let mut checked = 0;
    for (parent, more) in [("golden", &[][..]), ("data/shapes", &["--no-weights"][..])] {
        for entry in std::fs::read_dir(tests().join(parent)).expect("folders") {
            let folder = entry.expect("an entry").path();
            // Its weights are the demo model's.
            if !folder.join("config.json").exists() || folder.ends_with("emoji-llava") {
                continue;
            }
            let report = json(&[&["check", &text(&folder), "--json"], more].concat());
            assert_eq!(report["runs"], true, "{folder:?}");
            let targets = report["targets"].as_array().expect("targets");
            assert!(targets.iter().any(|t| t["fits"] == true), "{folder:?}: {report}");
            checked += 1;
        }
    }
    assert!(checked >= 49, "{checked} checkpoints");
}

#[test]
fn check_says_where_operators_run_and_what_targets_hold() {
    let model = text(&tests().join("golden/internvl-6b"));
    let report = json(&["check", &model, "--max-context", "64", "--json"]);
    assert_eq!(report["runs_on"]["linear"], "matrix unit");
    let targets = report["targets"].as_array().expect("targets");
    assert_eq!(targets.len(), 3);
    assert!(targets.iter().all(|t| t["fits"] == true && t["memory"]["main_bytes"].as_u64() > Some(0)));
    assert!(report["lost"][0].as_str().is_some_and(|s| s.contains("INT8")));
    // Another board, by its file.
    let board = text(&tests().join("../hw/targets/v80.toml"));
    let report = json(&["check", &model, "--max-context", "64", "--target", &board, "--json"]);
    let targets = report["targets"].as_array().expect("targets");
    assert_eq!((targets.len(), &targets[0]["target"]), (1, &"v80".into()));
    // Too large for one target, not for the others.
    let large = text(&tests().join("data/shapes/llava-next-7b"));
    let report = json(&["check", &large, "--no-weights", "--json"]);
    let fits = |at: usize| report["targets"][at]["fits"].clone();
    assert_eq!((fits(0), fits(2)), (false.into(), true.into()), "{report}");
}

/// A folder's texts and questions are taken in turn, and the report compares what they made with rounding to nearest.
#[test]
fn a_folder_of_texts_and_questions_calibrates() {
    let model = text(&tests().join("models/emoji-llava"));
    let data = tests().join("data/emoji-vqa");
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| text(&folder.path().join(name));
    let mut questions = std::fs::read_to_string(data.join("questions.jsonl")).expect("questions");
    questions = questions.lines().take(8).fold(String::new(), |all, line| {
        let mut line: Value = serde_json::from_str(line).expect("line");
        line["image"] = text(&data.join(line["image"].as_str().expect("one picture"))).into();
        format!("{all}{line}\n")
    });
    std::fs::create_dir(folder.path().join("samples")).expect("folder");
    std::fs::write(at("samples/b.jsonl"), questions).expect("write");
    std::fs::write(at("samples/a.txt"), "what animal is this? where is it? ".repeat(40)).expect("write");
    std::fs::write(at("samples/README.md"), "not a sample").expect("write");
    let compile = |samples: &str, more: &[&str]| {
        let (samples, program, report) = (at(samples), at("m.fvp"), at("r.json"));
        let common = ["compile", &model, "--weights", "w3", "--calibrate", &samples, "-o", &program];
        let rest = ["--calibrate-samples", "12", "--calibration-report", &report, "--json"];
        let answer = json(&[&common[..], &rest, more].concat());
        let report: Value = serde_json::from_slice(&std::fs::read(&report).expect("report")).expect("JSON");
        (answer, report, std::fs::read(&program).expect("program"))
    };
    let (answer, report, both) = compile("samples", &[]);
    assert_eq!(answer["clipping"].as_array().map(Vec::len), Some(0));
    let end = &report["end_to_end"];
    let divergence = |which: &str| end[which]["divergence"].as_f64().expect("nats");
    assert!(divergence("chosen") < 0.7 * divergence("rounded"), "{end}");
    let (.., texts) = compile("samples/a.txt", &[]);
    let (.., asked) = compile("samples/b.jsonl", &[]);
    assert!(both != texts && both != asked, "the folder's files are all seen");

    let (answer, report, _) = compile("samples", &["--clip-search"]);
    assert_eq!(answer["clipping"], report["clipping"]);
    let found = report["clipping"].as_array().expect("clippings");
    assert!(found.iter().any(|c| c["most"].as_f64() < Some(1.0)), "{found:?}");
}
