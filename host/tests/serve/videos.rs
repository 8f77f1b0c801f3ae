//! Videos in chat messages.

use crate::golden::checkpoint;
use crate::rig::{base64, Server};
use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, Rgba, RgbaImage};
use serde_json::{json, Value};
use std::path::Path;
use std::process::Command;

const CHAT: &str = "/v1/chat/completions";

/// A GIF of so many frames, five a second.
fn gif(frames: u8, side: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = GifEncoder::new(&mut file);
    for at in 0..frames {
        let shade = |x: u32, y: u32| Rgba([at.wrapping_mul(30), (9 * x) as u8, (7 * y) as u8, 255]);
        let delay = Delay::from_numer_denom_ms(200, 1);
        let frame = RgbaImage::from_fn(side, side, shade);
        encoder.encode_frame(Frame::from_parts(frame, 0, 0, delay)).expect("a frame");
    }
    drop(encoder);
    file
}

fn film(file: &[u8]) -> Value {
    json!({"type": "video_url", "video_url": {"url": format!("data:image/gif;base64,{}", base64(file))}})
}

fn ask(parts: &[Value]) -> Value {
    let mut content = parts.to_vec();
    content.push(json!({"type": "text", "text": "what is this?"}));
    json!({"model": "tiny", "max_tokens": 6, "messages": [{"role": "user", "content": content}]})
}

/// What `run` answers.
fn run(model: &Path, video: &Path) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_flightvlm"))
        .arg("run")
        .arg(model)
        .arg("--video")
        .arg(video)
        .args(["--prompt", "what is this?", "--json", "--max-new-tokens", "6"])
        .output()
        .expect("start");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

#[test]
fn every_family_of_videos_answers_as_run_does() {
    let file = gif(8, 24);
    for family in ["qwen2-vl-video", "qwen2.5-vl-video", "video-llava"] {
        let folder = tempfile::tempdir().expect("a folder");
        checkpoint(family, folder.path());
        let video = folder.path().join("film.gif");
        std::fs::write(&video, &file).expect("a file");
        let server = Server::of(folder.path(), &["--name", "tiny"]);
        let answer = server.chat(&ask(&[film(&file)]));
        let expected = run(folder.path(), &video);
        assert_eq!(answer["choices"][0]["message"]["content"], expected["answer"], "{family}");
        assert_eq!(answer["usage"]["prompt_tokens"], expected["prompt_tokens"], "{family}");
        let tokens = server.metric("flightvlm_tokens_total{kind=\"image\"}");
        assert_eq!(Some(tokens as u64), expected["image_tokens"].as_u64(), "{family}");
        // The same frames faster, and others, are other videos.
        let other = server.chat(&ask(&[film(&gif(7, 24))]));
        assert!(other["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64() < Some(12), "{family}");
    }
}

#[test]
fn bad_videos_and_too_many_of_them_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint("qwen2-vl-video", folder.path());
    let limits = ["--name", "tiny", "--max-videos", "1", "--max-frames", "5", "--max-pixels", "10000"];
    let server = Server::of(folder.path(), &limits);
    let url = |url: &str| ask(&[json!({"type": "video_url", "video_url": {"url": url}})]);
    let good = film(&gif(8, 24));
    let place = "messages[0].content[0].video_url.url";
    let still = format!("data:image/png;base64,{}", base64(b"\x89PNG\r\n\x1a\n"));
    for (body, param, code, word) in [
        (url("https://x.y/z.mp4"), place, "invalid_video_url", "never fetched"),
        (url("data:video/mp4;base64,AAAA"), place, "invalid_video", "animated GIF"),
        (url(&still), place, "invalid_video", "animated GIF"),
        (url("data:image/gif;base64,R0lGODlh"), place, "invalid_video", "cut off"),
        (ask(&[film(&gif(40, 24))]), place, "video_too_long", "at most 5"),
        (ask(&[film(&gif(6, 60))]), place, "video_too_large", "at most 10000"),
        (
            ask(&[good.clone(), good.clone()]),
            "messages[0].content[1].video_url.url",
            "invalid_value",
            "at most 1",
        ),
        (ask(&[json!({"type": "video_url"})]), place, "invalid_value", "url"),
    ] {
        let response = server.post(CHAT, &body);
        assert_eq!(response.status, 400, "{}", response.text());
        let error = response.error();
        assert_eq!((&error["param"], &error["code"]), (&json!(param), &json!(code)), "{error}");
        assert!(error["message"].as_str().is_some_and(|said| said.contains(word)), "{error}");
    }
    // It is none the worse for all that.
    server.chat(&ask(&[good]));
    let llava = Server::start(&["--name", "tiny"]);
    let error = llava.post(CHAT, &ask(&[film(&gif(4, 24))])).error();
    assert_eq!(error["code"], "unsupported_value");
    assert!(error["message"]
        .as_str()
        .is_some_and(|said| said.contains("takes no videos; send the GIF as image_url")));
}
