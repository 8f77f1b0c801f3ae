//! Clients that are not ours: the official Python package, and a browser. Both are skipped, with the
//! reason, where they are not installed.

use crate::rig::{tests, Server};
use std::process::Command;

/// Exit code of the scripts for "not installed here".
const SKIPPED: i32 = 77;

/// A Python with the packages, if `FLIGHTVLM_PYTHON` names one.
fn python() -> String {
    std::env::var("FLIGHTVLM_PYTHON").unwrap_or_else(|_| "python3".into())
}

fn run(script: &str, arguments: &[&str]) {
    let path = tests().join("clients").join(script);
    let output = match Command::new(python()).arg(&path).args(arguments).output() {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: {}: {error}", python()),
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => println!("{stdout}"),
        Some(SKIPPED) => eprintln!("skipped: {}", stdout.trim()),
        code => panic!("{script} ended with {code:?}\n{stdout}\n{stderr}"),
    }
}

#[test]
fn the_official_python_client_is_content() {
    let server = Server::start(&[]);
    let picture = tests().join("data/emoji-vqa/images/one-001.png");
    run("openai_client.py", &[&format!("http://{}/v1", server.address), &picture.display().to_string()]);
}

#[test]
fn the_page_works_in_a_browser() {
    let server = Server::start(&[]);
    let picture = tests().join("data/emoji-vqa/images/one-001.png");
    run("page.py", &[&format!("http://{}/", server.address), &picture.display().to_string()]);
}
