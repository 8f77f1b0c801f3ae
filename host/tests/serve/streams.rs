//! Streams that do not end well.

use crate::rig::{long_question, post, question, Response, Server};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Asks for a long answer and waits for its first piece; gives what has been read.
fn begin(server: &Server) -> (TcpStream, Vec<u8>) {
    let mut stream = server.connect();
    let request = post("/v1/completions", "", long_question().to_string().as_bytes());
    stream.write_all(&request).expect("send");
    let mut read = Vec::new();
    let mut piece = [0; 512];
    while !read.windows(5).any(|w| w == b"data:") {
        let n = stream.read(&mut piece).expect("read");
        assert!(n > 0, "no stream: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..n]);
    }
    (stream, read)
}

fn rest(mut stream: TcpStream, mut read: Vec<u8>) -> Response {
    let _ = stream.read_to_end(&mut read);
    Response::parse(&read)
}

#[test]
fn the_long_answer_is_long() {
    let server = Server::start(&[]);
    let (stream, read) = begin(&server);
    let response = rest(stream, read);
    let events = response.events();
    assert!(events.len() > 100, "the other tests need a longer answer: {} events", events.len());
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}

#[test]
#[cfg(unix)]
fn a_server_that_is_told_to_end_tells_its_clients() {
    let mut server = Server::start(&["--target", "mini"]);
    let (stream, read) = begin(&server);
    let waiting = {
        let mut stream = server.connect();
        let body = question(0).0.to_string();
        stream.write_all(&post("/v1/chat/completions", "", body.as_bytes())).expect("send");
        stream
    };
    // The second request is in the queue before the server is told.
    let start = Instant::now();
    while server.get("/health").json()["waiting"] != 1 && start.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(1));
    }
    let kill = Command::new("kill").arg(server.process.id().to_string()).status().expect("kill");
    assert!(kill.success());
    let response = rest(stream, read);
    let events = response.events();
    let last = events.last().expect("events");
    assert!(last.contains("\"code\":\"shutting_down\""), "{last}");
    assert!(!events.iter().any(|event| event == "[DONE]"));
    let second = rest(waiting, Vec::new());
    assert_eq!((second.status, second.error()["code"].as_str()), (503, Some("shutting_down")));
    assert_eq!(server.process.wait().expect("end").code(), Some(0));
}

#[test]
#[cfg(unix)]
fn a_killed_server_leaves_no_answer_that_looks_whole_and_can_be_started_again() {
    let mut server = Server::start(&["--target", "mini"]);
    let (stream, read) = begin(&server);
    server.process.kill().expect("kill");
    server.process.wait().expect("end");
    let response = rest(stream, read);
    assert_eq!(response.status, 200);
    assert!(!response.complete, "the body ends as if the answer were whole");
    assert!(!response.events().iter().any(|event| event == "[DONE]"));
    let port = server.address.port().to_string();
    let again = Server::start(&["--port", &port]);
    again.chat(&question(0).0);
}

#[test]
fn a_client_that_goes_away_frees_the_device() {
    let server = Server::start(&["--target", "mini"]);
    let gone: Vec<_> = (0..3).map(|_| begin_quietly(&server)).collect();
    let (stream, _) = begin_after(&server);
    drop(gone);
    drop(stream);
    let start = Instant::now();
    server.chat(&question(0).0);
    let answered = start.elapsed();
    let metric = server.metric("flightvlm_requests_cancelled_total");
    assert!(metric >= 1.0, "nothing was cancelled; the next answer took {answered:?}");
    // 4 × 240 tokens were asked for; only a part of them was made.
    let steps = server.metric("flightvlm_device_cycles_total{phase=\"decode\"}") / 15_000.0;
    assert!(steps < 800.0, "{steps} steps were run for clients that had gone");
}

/// Asks and does not wait.
fn begin_quietly(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let request = post("/v1/completions", "", long_question().to_string().as_bytes());
    stream.write_all(&request).expect("send");
    stream
}

/// Waits until the first of the earlier requests runs.
fn begin_after(server: &Server) -> (TcpStream, ()) {
    let start = Instant::now();
    while server.get("/health").json()["running"] != 1 && start.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(1));
    }
    (begin_quietly(server), ())
}
