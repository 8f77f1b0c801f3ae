//! Streams that do not end well.

use crate::rig::{long_question, post, question, Response, Server};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// A device slow enough that long answers are still under way when their clients or the server go.
const DEVICE: &str = if cfg!(feature = "hls") { "hls" } else { "iss" };

/// Two of them.
fn devices() -> String {
    format!("{DEVICE},{DEVICE}")
}

/// Sends a request for a long answer.
fn ask(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let request = post("/v1/completions", "", long_question().to_string().as_bytes());
    stream.write_all(&request).expect("send");
    stream
}

/// Many long answers, begun but not ended: waits for the first piece of one.
fn ask_many(server: &Server) -> Vec<(TcpStream, Vec<u8>)> {
    let mut all: Vec<_> = (0..24).map(|_| (ask(server), Vec::new())).collect();
    // Requests are prepared side by side: any of them may be the first that is answered.
    all.iter().for_each(|(stream, _)| stream.set_nonblocking(true).expect("a socket"));
    let mut piece = [0; 512];
    while !all.iter().any(|(_, read)| read.windows(5).any(|w| w == b"data:")) {
        for (stream, read) in &mut all {
            match stream.read(&mut piece) {
                Ok(0) => panic!("no stream: {}", String::from_utf8_lossy(read)),
                Ok(n) => read.extend_from_slice(&piece[..n]),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    all.iter().for_each(|(stream, _)| stream.set_nonblocking(false).expect("a socket"));
    all
}

fn rest((mut stream, mut read): (TcpStream, Vec<u8>)) -> Response {
    let _ = stream.read_to_end(&mut read);
    Response::parse(&read)
}

fn is_done(response: &Response) -> bool {
    response.events().last().is_some_and(|event| event == "[DONE]")
}

#[test]
#[cfg(unix)]
fn a_server_that_is_told_to_end_tells_its_clients() {
    let mut server = Server::start(&["--device", &devices()]);
    let begun = ask_many(&server);
    let kill = Command::new("kill").arg(server.process.id().to_string()).status().expect("kill");
    assert!(kill.success());
    let (mut in_stream, mut waiting) = (0, 0);
    for response in begun.into_iter().map(rest) {
        assert!(response.complete, "{}", response.text());
        match response.status {
            200 if is_done(&response) => {}
            // In mid-stream: an event in the API's shape, and no [DONE].
            200 => {
                let last = response.events().pop().expect("events");
                assert!(last.contains("\"code\":\"shutting_down\""), "{last}");
                in_stream += 1;
            }
            status => {
                assert_eq!((status, response.error()["code"].as_str()), (503, Some("shutting_down")));
                waiting += 1;
            }
        }
    }
    // How many had begun by then is up to the computer.
    assert!(in_stream + waiting > 0, "every answer was whole before the server was told to end");
    assert_eq!(server.process.wait().expect("end").code(), Some(0));
}

#[test]
#[cfg(unix)]
fn a_killed_server_leaves_no_answer_that_looks_whole_and_can_be_started_again() {
    let mut server = Server::start(&["--device", &devices()]);
    let begun = ask_many(&server);
    server.process.kill().expect("kill");
    server.process.wait().expect("end");
    let mut broken = 0;
    for response in begun.into_iter().map(rest) {
        assert!(!response.complete || is_done(&response), "it looks whole: {}", response.text());
        broken += usize::from(response.status == 200 && !response.complete);
    }
    assert!(broken > 0, "no answer was under way");
    Server::start(&[]).chat(&question(0).0);
}

#[test]
fn a_client_that_goes_away_frees_the_device() {
    let server = Server::start(&["--device", DEVICE]);
    drop(ask_many(&server));
    server.chat(&question(0).0);
    assert!(server.metric("flightvlm_requests_cancelled_total") >= 1.0, "nothing was cancelled");
    // 24 answers of 240 tokens were asked for.
    let steps = server.metric("flightvlm_device_rows_total{phase=\"decode\"}");
    assert!(steps < 12.0 * 240.0, "{steps} steps were run for clients that had gone");
}
