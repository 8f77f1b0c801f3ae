//! Many clients at once: no answer lost, none mixed up, memory bounded.

use crate::rig::{question, Server};
use std::collections::HashMap;
use std::thread;
use std::time::Duration;

const CLIENTS: usize = 64;

#[test]
fn sixty_four_clients_get_their_own_answers() {
    let server = Server::start(&["--device", "iss,iss"]);
    // What each question is answered alone.
    let alone: HashMap<usize, String> = (0..16)
        .map(|number| {
            let answer = server.chat(&question(number).0);
            (number, answer["choices"][0]["message"]["content"].as_str().expect("text").to_owned())
        })
        .collect();
    let distinct: std::collections::HashSet<&String> = alone.values().collect();
    assert!(distinct.len() > 8, "answers that are alike cannot be told apart: {alone:?}");
    let before = server.metric("flightvlm_resident_bytes");
    let clients: Vec<_> = (0..CLIENTS).map(|client| client % alone.len()).collect();
    thread::scope(|scope| {
        for (client, number) in clients.iter().enumerate() {
            let (server, expected) = (&server, &alone[number]);
            scope.spawn(move || {
                let (mut body, _) = question(*number);
                body["stream"] = (client % 2 == 0).into();
                let response = server.post("/v1/chat/completions", &body);
                assert_eq!(response.status, 200, "{}", response.text());
                let text = if client % 2 == 0 {
                    let events = response.events();
                    assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "client {client}");
                    let json = events[..events.len() - 1]
                        .iter()
                        .map(|data| serde_json::from_str::<serde_json::Value>(data).expect("JSON"));
                    let pieces =
                        json.map(|c| c["choices"][0]["delta"]["content"].as_str().unwrap_or("").to_owned());
                    pieces.collect::<String>()
                } else {
                    response.json()["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
                };
                assert_eq!(text, *expected, "client {client}");
            });
        }
    });
    let grown = server.metric("flightvlm_resident_bytes") - before;
    assert!(grown < 96e6, "{grown} bytes more for {CLIENTS} clients");
    // A device is free a moment after its last answer has gone out.
    let busy = || {
        let health = server.get("/health").json();
        (health["waiting"].as_u64(), health["running"].as_u64()) != (Some(0), Some(0))
    };
    assert!(
        (0..500).any(|_| !busy() || {
            thread::sleep(Duration::from_millis(20));
            false
        }),
        "still busy"
    );
    let answered = server.metric("flightvlm_request_seconds_count");
    assert_eq!(answered as usize, CLIENTS + alone.len());
}
