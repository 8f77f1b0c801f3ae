//! Hidden states and early exits at the command line.

use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

/// Exit code, standard output, standard error.
fn flightvlm(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flightvlm")).args(arguments).output().expect("start");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn done(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = flightvlm(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout
}

fn refused(arguments: &[&str], needle: &str) {
    let (code, stdout, stderr) = flightvlm(arguments);
    assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
    assert!(stdout.is_empty() && stderr.contains(needle), "{arguments:?}: {needle:?} is not in: {stderr}");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Shape and values of `hidden_states`, and `tokens`.
fn states(path: &str) -> (Vec<usize>, Vec<f32>, Vec<i64>) {
    let bytes = std::fs::read(path).expect("a file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let (hidden, tokens) =
        (file.tensor("hidden_states").expect("states"), file.tensor("tokens").expect("tokens"));
    let values = hidden.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")));
    let tokens = tokens.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")));
    (hidden.shape().to_vec(), values.collect(), tokens.collect())
}

#[test]
fn hidden_states_of_chosen_positions_are_written() {
    let folder = tempfile::tempdir().expect("folder");
    let out = text(&folder.path().join("states.safetensors"));
    let llama = tests().join("golden/llama");
    let (model, inputs) = (text(&llama), text(&llama.join("inputs.safetensors")));
    let golden = std::fs::read(tests().join("golden/hidden/llama.safetensors")).expect("a golden");
    let golden = SafeTensors::deserialize(&golden).expect("safetensors");
    let golden = golden.tensor("hidden_states").expect("states");
    let record = |layer: usize, at: usize| -> Vec<f32> {
        let bytes = &golden.data()[(layer * 6 + at) * 160..][..160];
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes"))).collect()
    };
    let ask = |more: &[&str]| {
        done(&[&["logits", &model, "--inputs", &inputs, "-o", &out], more].concat());
        states(&out)
    };
    // The prompt is 1 40 41 42 77 3.
    for (device, most) in [("eval", 1e-4), ("iss", 0.2)] {
        for (layer, more) in [(1, &["--hidden-layer", "1"][..]), (2, &[])] {
            let (shape, values, tokens) = ask(&[&["--hidden=-1,0", "--device", device], more].concat());
            assert_eq!((shape, tokens), (vec![2, 40], vec![3, 1]));
            let wanted = [record(layer, 5), record(layer, 0)].concat();
            let off = values.iter().zip(&wanted).fold(0.0f32, |a, (x, y)| a.max((x - y).abs()));
            assert!(off < most, "{device} behind {layer}: {off}");
        }
    }
    assert_eq!(ask(&["--hidden", "id=41"]).2, [41]);
    assert_eq!(ask(&["--hidden", "all", "--device", "eval"]).0, [6, 40]);
    let no = |more: &[&str], needle: &str| {
        refused(&[&["logits", &model, "--inputs", &inputs, "-o", &out], more].concat(), needle);
    };
    no(&["--hidden", "6"], "there is no position 6");
    no(&["--hidden", "id=99"], "token 99 is not among");
    no(&["--hidden", "x"], "expected positions");
    no(&["--hidden", "0", "--hidden-layer", "3"], "layers 1 to 2");
    no(&["--hidden-layer", "1"], "--hidden");
}

#[test]
fn the_states_of_an_answer_are_those_of_its_tokens() {
    let folder = tempfile::tempdir().expect("folder");
    let out = text(&folder.path().join("states.safetensors"));
    let demo = text(&tests().join("models/emoji-llava"));
    let picture = text(&tests().join("data/emoji-vqa/images/one-002.png"));
    let run = |more: &[&str]| -> Value {
        let arguments =
            ["run", &demo, "--image", &picture, "--prompt", "what is this?", "--hidden", &out, "--json"];
        serde_json::from_str(&done(&[&arguments, more].concat())).expect("JSON")
    };
    for device in ["eval", "iss"] {
        let answer = run(&["--device", device]);
        let (shape, values, tokens) = states(&out);
        let said: Vec<i64> = serde_json::from_value(answer["tokens"].clone()).expect("tokens");
        assert_eq!((shape, &tokens), (vec![said.len(), 192], &said), "{device}");
        assert!(said.len() > 1 && values.iter().all(|x| x.is_finite()));
        assert!(values[..192] != values[values.len() - 192..]);
        assert_eq!(answer["layers"], 4);
    }
    assert_eq!(run(&["--exit-layer", "2"])["layers"], 2);
    refused(&["run", &demo, "--prompt", "a", "--prompt", "b", "--hidden", &out], "one --prompt");
    refused(&["run", &demo, "--prompt", "a", "--exit-layer", "5"], "layers 1 to 4");
}

/// A few questions with whole paths.
fn questions(folder: &Path, count: usize) -> String {
    let data = tests().join("data/emoji-vqa");
    let all = std::fs::read_to_string(data.join("questions.jsonl")).expect("questions");
    let whole = |line: &str| {
        let mut row: Value = serde_json::from_str(line).expect("JSON");
        row["image"] = text(&data.join(row["image"].as_str().expect("a picture"))).into();
        format!("{row}\n")
    };
    let path = folder.join("questions.jsonl");
    std::fs::write(&path, all.lines().take(count).map(whole).collect::<String>()).expect("write");
    text(&path)
}

#[test]
fn answers_end_where_the_budget_says() {
    let folder = tempfile::tempdir().expect("folder");
    let demo = text(&tests().join("models/emoji-llava"));
    let asked = questions(folder.path(), 8);
    let exits = text(&folder.path().join("exits.json"));
    let table = done(&["exits", &demo, "--questions", &asked, "--layers", "2,3,4", "-o", &exits]);
    assert!(table.contains("8 questions") && table.contains("simulated"), "{table}");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(&exits).expect("a file")).expect("JSON");
    let cycles = |exit: usize| file["costs"][exit]["prompt_cycles"].as_u64().expect("cycles");
    assert!(cycles(0) < cycles(1) && cycles(1) < cycles(2));
    let evaluate = |more: &[&str]| -> Value {
        let arguments = ["evaluate", &demo, "--questions", &asked, "--json"];
        serde_json::from_str(&done(&[&arguments, more].concat())).expect("JSON")
    };
    let spent = |result: &Value| result["phases"]["prefill"]["cycles"].as_u64().expect("cycles");
    let all = evaluate(&["--exits", &exits, "--exit-budget", "100000000"]);
    assert_eq!(all["answers_by_layers"]["4"], 8, "a large budget ends no answer early");
    assert_eq!(all["answers_by_layers"].as_object().map(|map| map.len()), Some(1));
    // Between the cheapest exit and all layers: some end early.
    let middle = (cycles(1) + cycles(2)) / 2 + 30_000;
    let some = evaluate(&["--exits", &exits, "--exit-budget", &middle.to_string()]);
    let early = some["answers_by_layers"]["3"].as_u64().unwrap_or(0);
    assert!(early > 0 && early < 8, "{}", some["answers_by_layers"]);
    assert!(spent(&some) < spent(&all), "{} against {}", spent(&some), spent(&all));
    let profiled = done(&[
        "profile",
        &demo,
        "--exit-layers",
        "2,3,4",
        "--prompt-tokens",
        "13",
        "--new-tokens",
        "4",
        "--json",
    ]);
    let profiled: Value = serde_json::from_str(&profiled).expect("JSON");
    let step = |at: usize| profiled["exits"][at]["step_cycles"].as_u64().expect("cycles");
    assert!(step(0) < step(1) && step(1) < step(2));

    let run = ["run", &demo, "--prompt", "what is this?", "--exits", &exits];
    refused(&[&run[..], &["--exit-budget", "1000"]].concat(), "the cheapest exit, behind 3 layers");
    refused(&run, "--exit-budget");
    refused(&[&run[..], &["--exit-budget", "300000", "--weights", "w4"]].concat(), "another program");
    refused(&["exits", &demo, "--questions", &asked, "--layers", "3,2", "-o", &exits], "ascending");
    refused(&["exits", &demo, "--questions", &asked, "--layers", "4,5", "-o", &exits], "from 1 to 4");
    refused(&["profile", &demo, "--exit-layers", "4"], "two or more");
}
