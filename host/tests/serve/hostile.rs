//! Input that is meant to cost too much.

use crate::rig::{post, question, Response, Server};
use serde_json::json;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    let server = Server::start(&["--max-pixels", "5000"]);
    // 96 × 96 pixels.
    let (body, _) = question(0);
    let response = server.post("/v1/chat/completions", &body);
    assert_eq!((response.status, &response.error()["code"]), (400, &json!("image_too_large")));
}

#[test]
fn prices_are_predicted_before_admission() {
    let server = Server::start(&["--max-cycles", "800000"]);
    let (mut body, expected) = question(0);
    body["max_tokens"] = 100.into();
    let refused = server.post("/v1/chat/completions", &body);
    let error = refused.error();
    assert_eq!((refused.status, &error["code"]), (400, &json!("request_too_expensive")));
    let message = error["message"].as_str().expect("message");
    let advice = message.split("max_tokens ").nth(1).expect(message).split(' ').next().expect("number");
    let affordable: u64 = advice.parse().expect(message);
    assert!((1..100).contains(&affordable), "{message}");
    assert_eq!(server.metric("flightvlm_device_cycles_total{phase=\"vision\"}").to_string(), "0");
    // As advised, and with the choice left to the server, it is answered.
    body["max_tokens"] = affordable.into();
    server.chat(&body);
    body.as_object_mut().expect("object").remove("max_tokens");
    let answer = server.chat(&body);
    assert!(
        !expected.is_empty() && answer["usage"]["completion_tokens"].as_u64().expect("count") <= affordable
    );
    // The same number of cycles as seconds of a 225 MHz device.
    let hurried = Server::start(&["--max-device-seconds", "0.0036"]);
    body["max_tokens"] = 100.into();
    let error = hurried.post("/v1/chat/completions", &body).error();
    assert!(error["message"].as_str().expect("message").contains("0.0036 s on the device"), "{error}");
    body["max_tokens"] = 2.into();
    hurried.chat(&body);
    let poor = Server::start(&["--max-joules", "0.000001"]);
    let error = poor.post("/v1/chat/completions", &body).error();
    assert!(error["message"].as_str().expect("message").contains("fewer pictures"), "{error}");
}

#[test]
fn slow_and_oversized_bodies_end_in_time() {
    let server = Server::start(&["--body-seconds", "0.3", "--max-body-bytes", "2000"]);
    let start = Instant::now();
    let mut slow = server.connect();
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Content-Length: 1000\r\nConnection: close\r\n\r\n{\"model\":";
    slow.write_all(head).expect("send");
    let response = Response::read(&mut slow);
    assert_eq!((response.status, &response.error()["code"]), (408, &json!("slow_body")));
    assert!(start.elapsed() < Duration::from_secs(30));
    let large = server.send(&post("/v1/chat/completions", "", &[b' '; 3000]));
    assert_eq!((large.status, &large.error()["code"]), (413, &json!("body_too_large")));
    // Without a length, the size counts as it comes.
    let mut chunked = server.connect();
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    chunked.write_all(head).expect("send");
    for _ in 0..3 {
        let _ = chunked.write_all(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes());
    }
    let response = Response::read(&mut chunked);
    assert_eq!((response.status, &response.error()["code"]), (413, &json!("body_too_large")));
}

#[test]
fn requests_have_an_end() {
    let server = Server::start(&["--max-seconds", "0.0001"]);
    let response = server.post("/v1/chat/completions", &question(0).0);
    assert_eq!((response.status, &response.error()["code"]), (504, &json!("timeout")));
}

#[test]
fn a_port_in_use_is_an_error_of_the_request() {
    let server = Server::start(&["--device", "eval"]);
    let model = crate::rig::tests().join("models/emoji-llava");
    let port = server.address.port().to_string();
    let second = Command::new(env!("CARGO_BIN_EXE_flightvlm"))
        .args(["serve", &model.display().to_string(), "--port", &port])
        .output()
        .expect("start");
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(&port) && stderr.contains("--port") && second.stdout.is_empty(), "{stderr}");
}
