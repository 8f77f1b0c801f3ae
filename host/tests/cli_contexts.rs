//! Questions that share a picture share what it costs: inside a run, over a question file, and over a file.

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

const MODEL: &str = "models/emoji-llava";
const PICTURE: &str = "data/emoji-vqa/images/one-002.png";

fn path(relative: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests").join(relative).display().to_string()
}

fn flightvlm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flightvlm")).args(arguments).output().expect("start")
}

fn json(arguments: &[&str]) -> Value {
    let output = flightvlm(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

/// Asks about the picture, with more options.
fn ask(prompts: &[&str], more: &[&str]) -> Value {
    let (model, picture) = (path(MODEL), path(PICTURE));
    let mut arguments = vec!["run", &model, "--image", &picture, "--json"];
    prompts.iter().for_each(|prompt| arguments.extend(["--prompt", prompt]));
    arguments.extend(more);
    json(&arguments)
}

const QUESTIONS: [&str; 2] = ["what is this?", "how many things are there?"];

#[test]
fn the_second_question_about_a_picture_does_not_read_it_again() {
    let several = ask(&QUESTIONS, &[]);
    for (i, question) in QUESTIONS.iter().enumerate() {
        let (alone, together) = (ask(&[question], &[]), &several["answers"][i]);
        assert_eq!(alone["tokens"], together["tokens"], "{question}");
        assert_eq!(together["phases"]["vision"]["calls"], u64::from(i == 0), "{question}");
    }
    assert!(several["answers"][1]["reused_tokens"].as_u64() >= Some(36));
    // Fewer visual tokens are other rows, with the same rules.
    let pruned = ask(&QUESTIONS, &["--visual-tokens", "9"]);
    assert_eq!(pruned["answers"][1]["image_tokens"], 9);
    assert_eq!(pruned["answers"][1]["phases"]["vision"]["calls"], 0);
    let merged = ask(&QUESTIONS, &["--visual-tokens", "9", "--prune", "turbo"]);
    assert_eq!(merged["answers"][0]["image_tokens"], 9);
    assert_eq!(merged["answers"][1]["phases"]["vision"]["calls"], 0);
}

#[test]
fn a_saved_context_spares_the_next_run_the_picture() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("elephant.context").display().to_string();
    let first = ask(&QUESTIONS[..1], &["--save-context", &file]);
    let again = ask(&QUESTIONS[..1], &["--load-context", &file]);
    assert_eq!(first["tokens"], again["tokens"]);
    assert_eq!(again["phases"]["vision"]["calls"], 0);
    assert_eq!(again["phases"]["prefill"]["rows"], 1, "only the last row is run again");
    // Another program's rows are refused, and nothing is written where a run fails.
    let (model, picture) = (path(MODEL), path(PICTURE));
    let common = ["run", &model, "--image", &picture, "--prompt", QUESTIONS[0], "--load-context", &file];
    let foreign = flightvlm(&[&common[..], &["--kv-bits", "4"]].concat());
    assert_eq!(foreign.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&foreign.stderr).contains("another program"));
    let never = folder.path().join("never").display().to_string();
    let float = ["run", &model, "--prompt", "hello", "--device", "eval", "--save-context", &never];
    let float = flightvlm(&float);
    assert_eq!(float.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&float.stderr).contains("keeps no context"));
    assert!(!std::path::Path::new(&never).exists());
}

#[test]
fn an_evaluation_reads_a_picture_once_for_the_questions_that_follow_each_other() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("q.jsonl");
    let line = |question: &str| {
        serde_json::json!({ "image": path(PICTURE), "question": question, "answer": "elephant" }).to_string()
    };
    std::fs::write(&file, QUESTIONS.map(line).join("\n")).expect("written");
    let (model, file) = (path(MODEL), file.display().to_string());
    let evaluate = ["evaluate", &model, "--questions", &file, "--json"];
    let (plain, reuse) = (json(&evaluate), json(&[&evaluate[..], &["--reuse"]].concat()));
    assert_eq!(plain["exact_match"], reuse["exact_match"]);
    assert_eq!((&plain["phases"]["vision"]["calls"], &plain["reused_tokens"]), (&2.into(), &0.into()));
    assert_eq!(reuse["phases"]["vision"]["calls"], 1);
    assert!(reuse["reused_tokens"].as_u64() >= Some(36));
}

#[test]
fn what_pruning_cannot_do_is_said() {
    let (model, picture) = (path(MODEL), path(PICTURE));
    let fails = |more: &[&str], part: &str| {
        let common = ["run", &model, "--image", &picture, "--prompt", QUESTIONS[0]];
        let output = flightvlm(&[&common[..], more].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(part), "{more:?}: {text}");
    };
    fails(&["--visual-tokens", "37"], "1 to 36 visual tokens");
    fails(&["--prune", "hired"], "--prune hired needs --visual-tokens N");
    fails(&["--prune", "magic", "--visual-tokens", "9"], "fastervlm, hired, hired-bands, folder, turbo");
    let folder = tempfile::tempdir().expect("folder");
    let program = folder.path().join("plain.fvp").display().to_string();
    assert!(flightvlm(&["compile", &model, "-o", &program]).status.success());
    let arguments = ["run", &program, "--image", &picture, "--prompt", "?", "--visual-tokens", "9"];
    let output = flightvlm(&arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && text.contains("compiled with --prune fastervlm"), "{text}");
}
