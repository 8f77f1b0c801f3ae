//! The server over emulated cards: two share the queue, and one that hangs comes back.

use crate::rig::{backend, rig};
use flightvlm::serve::{listen, Access, Limits, Options, QueueLimits, Savings, Server};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_xrt::Backend;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

fn options() -> Options {
    let (jobs, time) = (16, Duration::from_secs(120));
    Options {
        name: "demo".into(),
        devices: vec!["xrt:emulated".into(), "xrt:emulated".into()],
        access: Access { keys: vec![], loopback_only: true },
        limits: Limits {
            max_tokens: 16,
            max_images: 1,
            max_videos: 1,
            max_frames: 8,
            max_pixels: 1 << 20,
            max_tiles: 1,
            max_cycles: None,
            max_joules: None,
            max_device_seconds: None,
            time,
            body_bytes: 1 << 20,
            body_time: time,
        },
        queue: QueueLimits { jobs, jobs_per_client: jobs },
        max_connections: jobs,
        body_memory_bytes: 4 << 20,
        savings: Savings::default(),
    }
}

fn send(address: SocketAddr, request: String) -> Value {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.write_all(request.as_bytes()).expect("sends");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("reads");
    let body = response.split_once("\r\n\r\n").expect("a head").1;
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {response}"))
}

fn health(address: SocketAddr) -> Value {
    send(address, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".into())
}

fn ask(address: SocketAddr) -> Value {
    let body = r#"{"model": "demo", "prompt": "what is this?", "max_tokens": 3}"#;
    send(
        address,
        format!(
            "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

#[test]
fn two_cards_answer_and_one_that_hung_comes_back() {
    let Some(rig) = rig("iss") else { return };
    let Backend::Emulated(shim) = backend() else { unreachable!("invariant: the rig emulates") };
    std::env::set_var("FLIGHTVLM_XRT_SHIM", shim);
    std::env::set_var("FLIGHTVLM_XRT_TIMEOUT_S", "0.5");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/emoji-llava");
    let source = Source::open(&model, LoadOptions::default()).expect("opens");
    let listener = listen("127.0.0.1:0".parse().expect("an address")).expect("listens");
    let server = Server::new(source, options(), listener).expect("both cards load the model");
    let address = server.address().expect("an address");
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = std::thread::spawn(move || server.run(async { drop(ended.await) }));
    assert_eq!(health(address)["loaded"], 2);
    let answer = ask(address);
    rig.set("hang=1");
    let error = ask(address)["error"].clone();
    assert_eq!(error["code"], "device_error");
    assert!(error["message"].as_str().is_some_and(|m| m.contains("did not end within 0.5 s")), "{error}");
    // The other card answers meanwhile, with the same bits.
    assert_eq!(ask(address)["choices"], answer["choices"]);
    let start = Instant::now();
    while health(address)["loaded"] != 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "{}", health(address));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(health(address)["faults"], serde_json::json!([null, null]));
    end.send(()).expect("the server waits for its end");
    running.join().expect("no panic").expect("ends well");
}
