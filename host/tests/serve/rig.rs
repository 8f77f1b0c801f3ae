//! A server process and a small HTTP client.

use serde_json::{json, Value};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The repository's test data.
pub fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

/// A running server; dropping it kills the process.
pub struct Server {
    pub process: Child,
    pub address: SocketAddr,
}

impl Server {
    /// The demo model with these options.
    pub fn start(options: &[&str]) -> Server {
        Server::of(&tests().join("models/emoji-llava"), options)
    }

    /// Another model.
    pub fn of(model: &Path, options: &[&str]) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_flightvlm"))
            .arg("serve")
            .arg(model)
            .args(["--port", "0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("start");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("pipe");
        BufReader::new(stdout).read_line(&mut line).expect("line");
        let address = line.trim().rsplit("http://").next().and_then(|address| address.parse().ok());
        Server { process, address: address.unwrap_or_else(|| panic!("no address in {line:?}")) }
    }

    /// Opens a connection.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("timeout");
        stream
    }

    /// Sends a request and reads the whole response.
    pub fn send(&self, request: &[u8]) -> Response {
        let mut stream = self.connect();
        stream.write_all(request).expect("send");
        Response::read(&mut stream)
    }

    /// GET.
    pub fn get(&self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
    }

    /// POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Response {
        self.send(&post(path, "", body.to_string().as_bytes()))
    }

    /// A chat request that must succeed.
    pub fn chat(&self, body: &Value) -> Value {
        let response = self.post("/v1/chat/completions", body);
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// A number of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).parse().expect("number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A POST request's bytes.
pub fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// What came back.
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// The body ended as HTTP says it must.
    pub complete: bool,
}

impl Response {
    /// Reads until the connection ends.
    pub fn read(stream: &mut TcpStream) -> Response {
        let mut raw = Vec::new();
        // A reset ends a response too, an incomplete one.
        let _ = stream.read_to_end(&mut raw);
        Response::parse(&raw)
    }

    pub fn parse(raw: &[u8]) -> Response {
        let split = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(raw.len());
        let head = String::from_utf8_lossy(&raw[..split]).into_owned();
        let rest = raw.get(split + 4..).unwrap_or(&[]);
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            let (body, complete) = unchunk(rest);
            return Response { status, head, body, complete };
        }
        Response { status, head, body: rest.to_vec(), complete: status != 0 }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Data of the server-sent events.
    pub fn events(&self) -> Vec<String> {
        self.text().lines().filter_map(|line| Some(line.strip_prefix("data:")?.trim().to_owned())).collect()
    }

    /// The error that the API defines.
    pub fn error(&self) -> Value {
        let json = self.json();
        let error = json["error"].as_object().unwrap_or_else(|| panic!("no error: {json}"));
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["message", "type", "param", "code"]);
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        json["error"].clone()
    }
}

/// The chunks' contents, and whether the last one came.
fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|s| usize::from_str_radix(s, 16).ok());
        let Some(size) = size else { return (body, false) };
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, true);
        }
        if rest.len() < size + 2 {
            body.extend_from_slice(rest);
            return (body, false);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

/// A question of the demo data, as a chat request, with the answer that `transformers` gave.
pub fn question(number: usize) -> (Value, String) {
    let data = tests().join("data/emoji-vqa");
    let reference = std::fs::read(data.join("transformers.json")).expect("reference");
    let reference: Value = serde_json::from_slice(&reference).expect("JSON");
    let entry = &reference["answers"][number];
    let image = std::fs::read(data.join(entry["image"].as_str().expect("image"))).expect("picture");
    let url = format!("data:image/png;base64,{}", base64(&image));
    let content = json!([{"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": entry["question"]}]);
    let body =
        json!({"model": "emoji-llava", "max_tokens": 12, "messages": [{"role": "user", "content": content}]});
    (body, entry["answer"].as_str().expect("answer").to_owned())
}

/// A request whose answer is long.
pub fn long_question() -> Value {
    json!({"model": "emoji-llava", "prompt": "what is this?", "ignore_eos": true, "max_tokens": 240, "stream": true})
}

/// Base64 of bytes.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63] as char;
            out.push(if i <= group.len() { digit } else { '=' });
        }
    }
    out
}
