//! `classify` and `embed`: a tiny CLIP with a tokenizer and an image processor around it.

#[path = "common/clip.rs"]
mod clip;

use clip::{model, tests, write};
use serde_json::Value;
use std::process::Command;

/// Exit code, standard output, standard error.
fn flightvlm(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flightvlm")).args(arguments).output().expect("start");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn answer(arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = flightvlm(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    serde_json::from_str(&stdout).expect("JSON on standard output")
}

fn refused(arguments: &[&str], needle: &str) {
    let (code, stdout, stderr) = flightvlm(arguments);
    assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
    assert!(stdout.is_empty() && stderr.contains(needle), "{arguments:?}: {needle:?} is not in: {stderr}");
}

fn picture() -> String {
    let mut files: Vec<_> = std::fs::read_dir(tests().join("data/emoji-vqa/images"))
        .expect("pictures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "png"))
        .collect();
    files.sort();
    files[0].display().to_string()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("numbers").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// The scores of `classify` are the scaled cosines of the vectors of `embed`.
#[test]
fn labels_are_ranked_by_the_vectors_of_embed() {
    let (folder, picture) = (model(), picture());
    let path = folder.path().display().to_string();
    let labels = write(folder.path(), "labels.txt", "cat\ndog\n\n  bird  \n");
    for device in ["eval", "iss"] {
        let said = answer(&[
            "classify", &path, "--image", &picture, "--labels", &labels, "--device", device, "--json",
        ]);
        let result = &said["results"][0];
        let ranked = result["labels"].as_array().expect("labels");
        assert_eq!((ranked.len(), &result["best"]), (3, &ranked[0]["label"]));
        let p: Vec<f64> = ranked.iter().map(|l| l["probability"].as_f64().expect("a number")).collect();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-5 && p.is_sorted_by(|a, b| a >= b), "{p:?}");
        let mut arguments = vec!["embed", &path, "--image", &picture, "--device", device, "--json"];
        let texts: Vec<String> =
            ranked.iter().map(|l| format!("a photo of a {}.", l["label"].as_str().expect("text"))).collect();
        texts.iter().for_each(|text| arguments.extend(["--text", text]));
        let vectors = answer(&arguments);
        assert_eq!(vectors["width"], 24);
        let vectors: Vec<Vec<f64>> = vectors["embeddings"]
            .as_array()
            .expect("vectors")
            .iter()
            .map(|e| floats(&e["embedding"]))
            .collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        for (label, vector) in ranked.iter().zip(&vectors[1..]) {
            assert!((dot(vector, vector) - 1.0).abs() < 1e-5);
            // The golden's factor is e^1.5.
            let score = 1.5f64.exp() * dot(&vectors[0], vector);
            assert!((score - label["score"].as_f64().expect("a number")).abs() < 1e-4, "{device}: {label}");
        }
    }
}

#[test]
fn several_templates_count_together() {
    let (folder, picture) = (model(), picture());
    let path = folder.path().display().to_string();
    let score = |templates: &[&str]| {
        let mut arguments =
            vec!["classify", &path, "--image", &picture, "--label", "cat", "--device", "eval", "--json"];
        templates.iter().for_each(|t| arguments.extend(["--template", t]));
        answer(&arguments)["results"][0]["labels"][0]["score"].as_f64().expect("a number")
    };
    let (a, b) = (score(&["a photo of a {}."]), score(&["a drawing of a {}"]));
    let both = score(&["a photo of a {}.", "a drawing of a {}"]);
    assert!(a != b && both != a && both != b, "{a} {b} {both}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let (folder, picture) = (model(), picture());
    let path = folder.path().display().to_string();
    let empty = write(folder.path(), "empty.txt", "\n  \n");
    refused(&["classify", &path, "--image", &picture, "--labels", &empty], "there are no labels");
    refused(&["classify", &path, "--image", &picture, "--labels", "/absent"], "/absent");
    refused(
        &["classify", &path, "--image", &picture, "--label", "cat", "--template", "a cat"],
        "write {} there",
    );
    refused(&["embed", &path, "--text", &"a ".repeat(60)], "62 tokens");
    refused(&["embed", &path, "--text", "a cat", "--chat"], "no chat template");
    let writer = tests().join("models/emoji-llava").display().to_string();
    refused(
        &["classify", &writer, "--image", &picture, "--label", "x"],
        "LlavaForConditionalGeneration writes text",
    );
    refused(&["embed", &writer, "--text", "<image>"], "stands for a picture");
    refused(&["embed", &writer, "--text", &"red ".repeat(600)], "tokens");
    refused(&["run", &path, "--prompt", "x"], "CLIPModel writes no text");
    refused(&["profile", &path], "CLIPModel writes no text");
}

/// A model that writes text gives the vector of what it is shown, as the server does.
#[test]
fn prompts_of_a_model_that_writes_text_have_vectors() {
    let (writer, picture) = (tests().join("models/emoji-llava").display().to_string(), picture());
    let vectors = |arguments: &[&str]| -> Vec<Vec<f64>> {
        let said = answer(&[&["embed", &writer, "--json"], arguments].concat());
        assert_eq!(said["width"], 192);
        said["embeddings"].as_array().expect("vectors").iter().map(|e| floats(&e["embedding"])).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let texts = ["--text", "a red heart", "--text", "what is this?"];
    let (int8, float) = (vectors(&texts), vectors(&[&texts[..], &["--device", "eval"]].concat()));
    for (a, b) in int8.iter().zip(&float) {
        assert!((dot(a, a) - 1.0).abs() < 1e-5 && dot(a, b) > 0.99, "{}", dot(a, b));
    }
    assert!(dot(&int8[0], &int8[1]) < 0.99, "texts cannot be told apart");
    let shown = vectors(&["--image", &picture, "--text", "what is this?"]);
    let turn = vectors(&["--text", "what is this?", "--chat"]);
    assert!(dot(&shown[0], &turn[0]) < 0.999 && dot(&turn[0], &int8[1]) < 0.9999);
    assert_eq!(vectors(&["--image", &picture]).len(), 1);
}
