//! The API's answers are the model's.

use crate::rig::{question, Server};
use serde_json::{json, Value};

#[test]
fn chat_answers_what_transformers_answers() {
    let server = Server::start(&["--device", "eval"]);
    for number in [0, 3, 40] {
        let (body, expected) = question(number);
        let answer = server.chat(&body);
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"]["content"], expected.as_str(), "question {number}");
        assert_eq!(
            (&choice["finish_reason"], &choice["message"]["role"]),
            (&json!("stop"), &json!("assistant"))
        );
        assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("emoji-llava")));
        let usage = &answer["usage"];
        let [prompt, new, total] = ["prompt_tokens", "completion_tokens", "total_tokens"]
            .map(|key| usage[key].as_u64().expect("count"));
        assert!(prompt > 36 && new > 0 && prompt + new == total, "{usage}");
    }
}

#[test]
fn a_stream_says_the_same_in_pieces() {
    let server = Server::start(&[]);
    let (mut body, _) = question(5);
    let whole = server.chat(&body);
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let response = server.post("/v1/chat/completions", &body);
    assert!(response.complete && response.head.contains("text/event-stream"), "{}", response.head);
    let mut events = response.events();
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let chunks: Vec<Value> = events.iter().map(|data| serde_json::from_str(data).expect("JSON")).collect();
    let text: String = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, whole["choices"][0]["message"]["content"]);
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let (last, usage) = (&chunks[chunks.len() - 2], &chunks[chunks.len() - 1]);
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], whole["usage"]["total_tokens"]);
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
}

#[test]
fn seeds_stops_and_lengths_are_honoured() {
    let server = Server::start(&[]);
    let text = |extra: Value| {
        let mut body = json!({"model": "emoji-llava", "prompt": "what is this?", "max_tokens": 10});
        body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
        let answer = server.post("/v1/completions", &body).json();
        (
            answer["choices"][0]["text"].as_str().expect("text").to_owned(),
            answer["choices"][0]["finish_reason"].clone(),
        )
    };
    let drawn = json!({"temperature": 1.5, "seed": 3});
    assert_eq!(text(drawn.clone()), text(drawn));
    let several: Vec<String> = (0..6).map(|_| text(json!({"temperature": 2})).0).collect();
    assert!(several.iter().any(|other| *other != several[0]), "without a seed every draw is fresh");
    let (greedy, finish) = text(json!({"max_tokens": 2}));
    assert_eq!(finish, "length");
    let stop = greedy.trim().split(' ').next_back().expect("word").to_owned();
    let (stopped, finish) = text(json!({"stop": [stop]}));
    assert_eq!(finish, "stop");
    assert!(!stopped.contains(&stop) && greedy.starts_with(&stopped), "{stopped:?} of {greedy:?}");
}

#[test]
fn conversations_are_continued_from_the_cache_with_the_same_answers() {
    let server = Server::start(&[]);
    let (mut first, _) = question(2);
    let said = server.chat(&first)["choices"][0]["message"]["content"].clone();
    let messages = first["messages"].as_array_mut().expect("list");
    messages.push(json!({"role": "assistant", "content": said}));
    messages.push(json!({"role": "user", "content": "what colour is it?"}));
    let warm = server.chat(&first);
    let reused = warm["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().expect("count");
    assert!(reused >= 36, "the picture was encoded again: {}", warm["usage"]);
    // Another picture with the same words shares nothing behind it.
    let other = server.chat(&question(7).0);
    let reused = other["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().expect("count");
    assert!(reused < 36, "{}", other["usage"]);
    let fresh = Server::start(&[]).chat(&first);
    assert_eq!(fresh["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    assert_eq!(fresh["choices"], warm["choices"]);
}

#[test]
fn the_model_is_listed_and_figures_are_labelled() {
    let server = Server::start(&["--name", "demo"]);
    let list = server.get("/v1/models").json();
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!("demo")));
    assert_eq!(server.get("/v1/models/demo").json()["object"], "model");
    let (mut body, _) = question(1);
    body["model"] = "demo".into();
    body["device_figures"] = true.into();
    let device = server.chat(&body)["device"].clone();
    // Before the first answer the device may still be loading.
    assert_eq!(server.get("/health").json()["status"], "ok");
    assert_eq!((&device["basis"], &device["energy_basis"]), (&json!("simulated"), &json!("modelled")));
    let ends = ["low", "mid", "high"].map(|end| device["joules"][end].as_f64().expect("joules"));
    assert!(0.0 < ends[0] && ends[0] < ends[1] && ends[1] < ends[2], "{ends:?}");
    assert!(server.metric("flightvlm_device_joules_total{end=\"mid\"}") > 0.0);
}

#[test]
fn embeddings_stand_for_texts_and_pictures() {
    let vectors = |server: &Server, body: Value| -> Vec<Vec<f64>> {
        let response = server.post("/v1/embeddings", &body);
        assert_eq!(response.status, 200, "{}", response.text());
        let json = response.json();
        assert!(json["usage"]["prompt_tokens"].as_u64().is_some_and(|n| n > 0), "{json}");
        let of = |item: &Value| {
            item["embedding"]
                .as_array()
                .expect("vector")
                .iter()
                .map(|x| x.as_f64().expect("number"))
                .collect()
        };
        json["data"].as_array().expect("data").iter().map(of).collect()
    };
    let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let texts = json!({"model": "emoji-llava", "input": ["a red heart", "what is this?", "a red heart"]});
    let (iss, eval) = (Server::start(&[]), Server::start(&["--device", "eval"]));
    let (device, float) = (vectors(&iss, texts.clone()), vectors(&eval, texts));
    assert_eq!((device.len(), device[0].len()), (3, 192));
    assert_eq!(device[0], device[2]);
    assert!(cosine(&device[0], &device[1]) < 0.99, "texts cannot be told apart");
    for (device, float) in device.iter().zip(&float) {
        assert!((cosine(device, device) - 1.0).abs() < 1e-3);
        // 8-bit weights and activations against float32.
        assert!(cosine(device, float) > 0.99, "{}", cosine(device, float));
    }
    // Pictures, as chat messages.
    let picture = |number: usize| {
        let messages = question(number).0["messages"].clone();
        vectors(&iss, json!({"model": "emoji-llava", "messages": messages}))[0].clone()
    };
    // A picture alone is a turn.
    let alone = question(0).0["messages"][0]["content"][0].clone();
    let turn = json!({"model": "emoji-llava", "messages": [{"role": "user", "content": [alone]}]});
    let input = json!({"model": "emoji-llava", "input": [alone["image_url"]["url"], "a cat"]});
    assert_eq!(vectors(&iss, turn)[0], vectors(&iss, input)[0]);
    let (one, other) = (picture(0), picture(40));
    assert!(cosine(&one, &other) < 0.999 && one == picture(0));
}
