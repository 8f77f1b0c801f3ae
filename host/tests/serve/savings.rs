//! Requests that leave visual tokens or layers out.

use crate::rig::{question, tests, Server};
use serde_json::{json, Value};
use std::process::Command;

/// The same question with more fields.
fn with(number: usize, fields: Value) -> Value {
    let (mut body, _) = question(number);
    body["device_figures"] = true.into();
    body.as_object_mut().expect("object").extend(fields.as_object().expect("object").clone());
    body
}

fn prompt_tokens(answer: &Value) -> u64 {
    answer["usage"]["prompt_tokens"].as_u64().expect("a count")
}

/// What a request is refused with: field, code and message.
fn refused(server: &Server, fields: Value) -> (String, String, String) {
    let response = server.post("/v1/chat/completions", &with(0, fields));
    assert_eq!(response.status, 400, "{}", response.text());
    let error = response.error();
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    (text("param"), text("code"), text("message"))
}

#[test]
fn a_request_says_how_many_visual_tokens_it_wants() {
    let server = Server::start(&["--visual-tokens", "18"]);
    let half = server.chat(&with(2, json!({})));
    let quarter = server.chat(&with(2, json!({"visual_tokens": 9})));
    let all = server.chat(&with(2, json!({"prune": "none"})));
    assert_eq!(prompt_tokens(&half) + 18, prompt_tokens(&all));
    assert_eq!(prompt_tokens(&quarter) + 27, prompt_tokens(&all));
    assert_eq!(server.metric("flightvlm_tokens_total{kind=\"dropped\"}"), 18.0 + 27.0);
    let again = server.chat(&with(2, json!({"visual_tokens": 9})));
    assert_eq!(again["choices"][0]["message"], quarter["choices"][0]["message"]);
    for (fields, param, code) in [
        (json!({"visual_tokens": 0}), "visual_tokens", "unsupported_value"),
        (json!({"visual_tokens": 37}), "visual_tokens", "unsupported_value"),
        (json!({"visual_tokens": "9"}), "visual_tokens", "invalid_value"),
        (json!({"visual_tokens": 9, "prune": "none"}), "prune", "invalid_value"),
        (json!({"prune": "fastervlm"}), "prune", "invalid_value"),
        (json!({"visual_tokens": 9, "prune": "best"}), "prune", "invalid_value"),
        // Compiled for a method that reads one layer's attention, not two.
        (json!({"visual_tokens": 9, "prune": "hired"}), "visual_tokens", "unsupported_value"),
    ] {
        let (found, said, message) = refused(&server, fields.clone());
        assert_eq!((found.as_str(), said.as_str()), (param, code), "{fields}: {message}");
    }
    // A program that leaves no attention behind.
    let (param, code, message) = refused(&Server::start(&[]), json!({"visual_tokens": 9}));
    assert_eq!((param.as_str(), code.as_str()), ("visual_tokens", "unsupported_value"));
    assert!(message.contains("compiled with --prune fastervlm"), "{message}");
}

#[test]
fn a_request_says_how_many_layers_it_wants() {
    let server = Server::start(&["--early-exit"]);
    let whole = server.chat(&with(1, json!({})));
    let two = server.chat(&with(1, json!({"exit_layer": 2})));
    assert_eq!((&whole["device"]["layers"], &two["device"]["layers"]), (&json!(4), &json!(2)));
    // Rows of two layers are no beginning for those of four, and the other way round.
    assert_eq!(two["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    let after = server.chat(&with(1, json!({})));
    assert_eq!(after["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    assert_eq!(after["choices"], whole["choices"]);
    let again = server.chat(&with(1, json!({})));
    assert!(again["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64() > Some(0));
    assert_eq!(server.metric("flightvlm_answers_total{layers=\"2\"}"), 1.0);
    assert_eq!(server.metric("flightvlm_answers_total{layers=\"4\"}"), 3.0);
    assert_eq!(refused(&server, json!({"exit_layer": 5})).0, "exit_layer");
    let (param, code, message) = refused(&server, json!({"exit_budget": 1000}));
    assert_eq!((param.as_str(), code.as_str()), ("exit_budget", "unsupported_value"));
    assert!(message.contains("--exits FILE"), "{message}");
    let (param, code, message) = refused(&Server::start(&[]), json!({"exit_layer": 2}));
    assert_eq!((param.as_str(), code.as_str()), ("exit_layer", "unsupported_value"), "{message}");
}

#[test]
fn a_request_has_a_budget_of_cycles() {
    let folder = tempfile::tempdir().expect("folder");
    let data = tests().join("data/emoji-vqa");
    let all = std::fs::read_to_string(data.join("questions.jsonl")).expect("questions");
    let whole = |line: &str| {
        let mut row: Value = serde_json::from_str(line).expect("JSON");
        row["image"] = data.join(row["image"].as_str().expect("a picture")).display().to_string().into();
        format!("{row}\n")
    };
    let asked = folder.path().join("questions.jsonl");
    std::fs::write(&asked, all.lines().take(6).map(whole).collect::<String>()).expect("write");
    let exits = folder.path().join("exits.json").display().to_string();
    let made = Command::new(env!("CARGO_BIN_EXE_flightvlm"))
        .arg("exits")
        .arg(tests().join("models/emoji-llava"))
        .args(["--questions", &asked.display().to_string(), "--layers", "2,3,4", "-o", &exits])
        .status()
        .expect("start");
    assert!(made.success());
    let file: Value = serde_json::from_slice(&std::fs::read(&exits).expect("a file")).expect("JSON");
    let cheapest = file["costs"][1]["prompt_cycles"].as_u64().expect("cycles");
    let server = Server::start(&["--exits", &exits, "--exit-budget", "100000000"]);
    let layers = |fields: Value| server.chat(&with(0, fields))["device"]["layers"].clone();
    assert_eq!(layers(json!({})), 4, "a large budget ends nothing early");
    // Hardly more than the cheapest exit: all questions of the calibration end there, and this is one of them.
    let steps = file["costs"][1]["step_cycles"].as_u64().expect("cycles") as f64;
    let least = cheapest as f64 + steps * (file["answer_tokens"].as_f64().expect("tokens") - 1.0);
    assert_eq!(layers(json!({"exit_budget": least as u64 + 2})), 3);
    assert_eq!(layers(json!({"exit_layer": 2})), 2);
    let (param, code, message) = refused(&server, json!({"exit_budget": 1000}));
    assert_eq!((param.as_str(), code.as_str()), ("exit_budget", "invalid_value"));
    assert!(message.contains("the cheapest exit, behind 3 layers"), "{message}");
    assert_eq!(server.metric("flightvlm_answers_total{layers=\"3\"}"), 1.0);
}
