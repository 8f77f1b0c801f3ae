//! Models that compare pictures with texts give vectors and write nothing.

use crate::clip::{model, tests};
use crate::rig::{base64, Server};
use serde_json::{json, Value};
use std::process::Command;

const EMBEDDINGS: &str = "/v1/embeddings";

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("numbers").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// The vectors are those of `flightvlm embed`, however the request is spelt.
#[test]
fn texts_and_pictures_have_the_vectors_of_the_command() {
    let folder = model();
    let picture = tests().join("data/emoji-vqa/images");
    let mut pictures: Vec<_> =
        std::fs::read_dir(picture).expect("pictures").map(|e| e.expect("an entry").path()).collect();
    pictures.sort();
    let command = Command::new(env!("CARGO_BIN_EXE_flightvlm"))
        .arg("embed")
        .arg(folder.path())
        .arg("--image")
        .arg(&pictures[0])
        .args(["--text", "a photo of a cat.", "--json"])
        .output()
        .expect("start");
    let said: Value = serde_json::from_slice(&command.stdout).expect("JSON");
    let wanted: Vec<Vec<f64>> =
        said["embeddings"].as_array().expect("list").iter().map(|e| floats(&e["embedding"])).collect();
    let url = format!("data:image/png;base64,{}", base64(&std::fs::read(&pictures[0]).expect("a file")));
    let server = Server::of(folder.path(), &["--name", "clip"]);
    let vectors = |mut body: Value| -> Vec<Vec<f64>> {
        body["model"] = "clip".into();
        let response = server.post(EMBEDDINGS, &body);
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["data"].as_array().expect("data").iter().map(|d| floats(&d["embedding"])).collect()
    };
    let (image, text) = (json!({"type": "image_url", "image_url": {"url": url}}), "a photo of a cat.");
    let part = json!({"type": "text", "text": text});
    assert_eq!(vectors(json!({"input": [url, text]})), wanted);
    assert_eq!(vectors(json!({"input": [image, part]})), wanted);
    assert_eq!(vectors(json!({"input": text})), wanted[1..]);
    // The first text's rows are not taken for the second's.
    assert_eq!(
        vectors(json!({"input": ["a photo of a dog.", text, text]}))[1..],
        [&wanted[1..], &wanted[1..]].concat()
    );
    let turn = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    assert_eq!(vectors(turn(json!([image]))), wanted[..1]);
    assert_eq!(vectors(turn(json!(text))), wanted[1..]);

    let refused = |path: &str, mut body: Value| {
        body["model"] = "clip".into();
        let response = server.post(path, &body);
        assert_eq!(response.status, 400, "{}", response.text());
        response.error()
    };
    let error = refused(EMBEDDINGS, turn(json!([image, part])));
    assert!(error["message"].as_str().expect("text").contains("2 parts"), "{error}");
    let error = refused("/v1/chat/completions", turn(json!("x")));
    assert!(error["message"].as_str().expect("text").contains("/v1/embeddings"), "{error}");
    let error = refused(EMBEDDINGS, json!({"input": ["a", "data:image/png;base64,aGVsbG8="]}));
    assert_eq!((&error["param"], &error["code"]), (&json!("input[1]"), &json!("invalid_image")));
    let error = refused(EMBEDDINGS, json!({"input": "a ".repeat(60)}));
    assert_eq!(error["code"], "context_length_exceeded");
}
