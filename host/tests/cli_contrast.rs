//! `classify` and `embed`: a tiny CLIP with a tokenizer and an image processor around it.

use serde_json::{json, Value};
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

/// The golden with words for some of its ids.
fn model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(tests().join("golden/clip").join(file), folder.path().join(file)).expect("copy");
    }
    let word = |(i, w): (usize, &str)| (w.to_string(), json!(i + 5));
    let words = ["a", "photo", "of", "cat", "dog", "bird", ".", "drawing"];
    let mut vocabulary: serde_json::Map<_, _> = words.into_iter().enumerate().map(word).collect();
    vocabulary.extend([("[UNK]", 0), ("<s>", 97), ("</s>", 98)].map(|(w, id)| (w.to_string(), json!(id))));
    let special = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let added = |token: &str, id: u32| {
        json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let sequence = json!({"Sequence": {"id": "A", "type_id": 0}});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
        "added_tokens": [added("<s>", 97), added("</s>", 98)],
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {"type": "TemplateProcessing", "pair": [],
            "single": [special("<s>"), sequence, special("</s>")],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [97], "tokens": ["<s>"]},
                               "</s>": {"id": "</s>", "ids": [98], "tokens": ["</s>"]}}},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    });
    let processor = json!({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 16},
                           "crop_size": {"height": 16, "width": 16}});
    write(folder.path(), "tokenizer.json", &tokenizer.to_string());
    write(folder.path(), "preprocessor_config.json", &processor.to_string());
    folder
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    std::fs::write(folder.join(name), text).expect("write");
    folder.join(name).display().to_string()
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
    let writer = tests().join("models/emoji-llava").display().to_string();
    refused(&["embed", &writer, "--text", "x"], "LlavaForConditionalGeneration writes text");
    refused(&["run", &path, "--prompt", "x"], "CLIPModel writes no text");
    refused(&["profile", &path], "CLIPModel writes no text");
}
