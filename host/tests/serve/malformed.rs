//! Malformed requests of every kind get the API's error shape.

use crate::rig::{post, Server};
use serde_json::{json, Value};

const CHAT: &str = "/v1/chat/completions";

#[test]
fn every_kind_of_malformed_request_is_answered_in_shape() {
    let server = Server::start(&["--max-tokens", "50", "--max-images", "1", "--max-pixels", "10000"]);
    let user =
        |content: Value| json!({"model": "emoji-llava", "messages": [{"role": "user", "content": content}]});
    let url = |url: &str| user(json!([{"type": "image_url", "image_url": {"url": url}}]));
    let with = |key: &str, value: Value| {
        let mut body = user("hello".into());
        body[key] = value;
        body
    };
    let long = "word ".repeat(60_000);
    let cases: Vec<(&str, Value, u16, Value, &str)> = vec![
        (CHAT, json!([]), 400, json!("body"), "invalid_value"),
        (CHAT, json!({}), 400, json!("model"), "invalid_value"),
        (CHAT, json!({"model": 5}), 400, json!("model"), "invalid_value"),
        (CHAT, json!({"model": "gpt"}), 404, json!("model"), "model_not_found"),
        (CHAT, json!({"model": "emoji-llava"}), 400, json!("messages"), "invalid_value"),
        (CHAT, with("messages", json!([])), 400, json!("messages"), "invalid_value"),
        (CHAT, with("max_tokens", json!(0)), 400, json!("max_tokens"), "invalid_value"),
        (CHAT, with("max_tokens", json!(51)), 400, json!("max_tokens"), "invalid_value"),
        (CHAT, with("temperature", json!(9)), 400, json!("temperature"), "invalid_value"),
        (CHAT, with("n", json!(3)), 400, json!("n"), "unsupported_value"),
        (CHAT, with("tools", json!([{"type": "function"}])), 400, json!("tools"), "unsupported_value"),
        (
            CHAT,
            url("http://169.254.169.254/x.png"),
            400,
            json!("messages[0].content[0].image_url.url"),
            "invalid_image_url",
        ),
        (
            CHAT,
            url("data:image/png;base64,aGVsbG8="),
            400,
            json!("messages[0].content[0].image_url.url"),
            "invalid_image",
        ),
        (CHAT, user(json!("word ".repeat(300))), 400, json!("messages"), "context_length_exceeded"),
        (CHAT, user(json!(long)), 400, json!("messages"), "context_length_exceeded"),
        (CHAT, user(json!("<image> what?")), 400, json!("messages"), "invalid_prompt"),
        ("/v1/completions", json!({"model": "emoji-llava"}), 400, json!("prompt"), "invalid_value"),
        (
            "/v1/completions",
            json!({"model": "emoji-llava", "prompt": ["a", "b"]}),
            400,
            json!("prompt"),
            "invalid_value",
        ),
        (
            "/v1/completions",
            json!({"model": "emoji-llava", "prompt": [9_999_999]}),
            400,
            json!("prompt"),
            "invalid_value",
        ),
        (
            "/v1/completions",
            json!({"model": "emoji-llava", "prompt": []}),
            400,
            json!("prompt"),
            "invalid_value",
        ),
        (
            "/v1/embeddings",
            json!({"model": "emoji-llava", "input": {}}),
            400,
            json!("input"),
            "invalid_value",
        ),
        (
            "/v1/embeddings",
            json!({"model": "emoji-llava", "input": "x", "encoding_format": "hex"}),
            400,
            json!("encoding_format"),
            "invalid_value",
        ),
        (
            "/v1/embeddings",
            json!({"model": "emoji-llava", "input": "x", "dimensions": 8}),
            400,
            json!("dimensions"),
            "unsupported_value",
        ),
        (
            "/v1/embeddings",
            json!({"model": "emoji-llava", "input": ["x", [9_999_999]]}),
            400,
            json!("input"),
            "invalid_value",
        ),
        ("/v1/audio/speech", json!({}), 404, Value::Null, "unknown_url"),
        ("/v1/models", json!({}), 405, Value::Null, "method_not_allowed"),
    ];
    for (path, body, status, param, code) in cases {
        let response = server.post(path, &body);
        let shown: String = body.to_string().chars().take(120).collect();
        assert_eq!(response.status, status, "{path} {shown}: {}", response.text());
        let error = response.error();
        assert_eq!((&error["param"], &error["code"]), (&param, &json!(code)), "{path} {shown}: {error}");
    }
    for (raw, status, code) in [
        (post(CHAT, "", b"{\"model\": "), 400, "invalid_json"),
        (post(CHAT, "", &[0xff, 0xfe]), 400, "invalid_json"),
        (post(CHAT, "", "[".repeat(100_000).as_bytes()), 400, "invalid_json"),
        (
            post(CHAT, "X: y\r\n", b"{}").iter().map(|b| if *b == b'j' { b'x' } else { *b }).collect(),
            415,
            "unsupported_media_type",
        ),
        (
            b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_vec(),
            403,
            "wrong_host",
        ),
    ] {
        let response = server.send(&raw);
        assert_eq!(response.status, status, "{}", response.text());
        assert_eq!(response.error()["code"], code);
    }
    // It is none the worse for all that.
    assert_eq!(server.get("/health").json()["status"], "ok");
}

#[test]
fn keys_are_asked_for() {
    let server = Server::start(&["--api-key", "one", "--api-key", "two"]);
    let body =
        json!({"model": "emoji-llava", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1});
    for path in [CHAT, "/v1/completions", "/v1/embeddings"] {
        let refused = server.post(path, &body);
        assert_eq!((refused.status, &refused.error()["code"]), (401, &json!("invalid_api_key")));
    }
    assert_eq!(server.get("/metrics").status, 401);
    let with_key = |key: &str| {
        let header = format!("Authorization: Bearer {key}\r\n");
        server.send(&post(CHAT, &header, body.to_string().as_bytes())).status
    };
    assert_eq!((with_key("two"), with_key("three")), (200, 401));
    // The page and the health check have nothing to hide.
    assert_eq!((server.get("/").status, server.get("/health").status), (200, 200));
}
