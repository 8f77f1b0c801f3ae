//! `run --video` with every family that takes videos.

use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, Rgba, RgbaImage};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

#[path = "common/golden.rs"]
mod common;

const FAMILIES: [&str; 3] = ["qwen2-vl-video", "qwen2.5-vl-video", "video-llava"];

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flightvlm")).arg("run").args(arguments).output().expect("start")
}

/// The report of a run that must succeed.
fn report(arguments: &[&str]) -> Value {
    let out = run(&[arguments, &["--json", "--max-new-tokens", "6"]].concat());
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{arguments:?}: {said}");
    serde_json::from_slice(&out.stdout).expect("JSON")
}

/// What a run says that must be refused.
fn refused(arguments: &[&str]) -> String {
    let out = run(arguments);
    assert_eq!(out.status.code(), Some(2), "{arguments:?}");
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn picture(width: u32, value: u8) -> RgbaImage {
    RgbaImage::from_fn(width, 24, |x, y| Rgba([value, (9 * x) as u8, (7 * y) as u8, 255]))
}

/// A GIF of eight frames, five a second.
fn gif(file: &Path) {
    let mut encoder = GifEncoder::new(std::fs::File::create(file).expect("a file"));
    for at in 0..8u8 {
        let delay = Delay::from_numer_denom_ms(200, 1);
        encoder.encode_frame(Frame::from_parts(picture(24, 30 * at), 0, 0, delay)).expect("a frame");
    }
}

#[test]
fn gifs_and_folders_are_videos_of_every_family() {
    let folder = tempfile::tempdir().expect("a folder");
    let film = folder.path().join("film.gif").display().to_string();
    gif(Path::new(&film));
    let frames = folder.path().join("frames");
    std::fs::create_dir(&frames).expect("a folder");
    for at in 0..3u8 {
        picture(24, 40 * at).save(frames.join(format!("{at}.png"))).expect("PNG");
    }
    let frames = frames.display().to_string();
    for family in FAMILIES {
        let folder = tempfile::tempdir().expect("a folder");
        common::checkpoint(family, folder.path());
        let model = folder.path().display().to_string();
        let ask = |video: &str, more: &[&str]| {
            report(&[&[&model, "--video", video, "--prompt", "what is this?"], more].concat())
        };
        // Qwen2-VL: four frames of 24 x 24 pixels are two times of 4 x 4 patches; Video-LLaVA: eight frames of five tokens.
        let llava = family == "video-llava";
        let device = ask(&film, &[]);
        assert_eq!(device["image_tokens"], if llava { 40 } else { 8 }, "{family}");
        // Three pictures are two times, the last filled up.
        assert_eq!(ask(&frames, &[])["image_tokens"], if llava { 40 } else { 8 }, "{family}");
        let still = ask(&frames, &["--image", &film, "--device", "eval"]);
        assert!(still["image_tokens"].as_u64() > Some(8), "{family}: a picture beside the video");
        let faster = ["--video", &film, "--video-fps", "20", "--prompt", "what is this?"];
        if llava {
            let said = refused(&[&[model.as_str()], &faster[..]].concat());
            assert!(said.contains("is shown 8 frames of any video"), "{said}");
            let fewer = [&model, "--video", &film, "--prompt", "what?", "--visual-tokens", "2"];
            let said = refused(&fewer);
            assert!(said.contains("videos keep all their visual tokens"), "{said}");
            continue;
        }
        // As many frames, nearer to each other; of Qwen2.5-VL that is another video.
        let faster = ask(&film, &["--video-fps", "20", "--device", "eval"]);
        assert_eq!(faster["image_tokens"], device["image_tokens"], "{family}");
        // Twenty a second of a folder: three pictures are less than half a second, of which two are shown.
        assert_eq!(ask(&frames, &["--video-fps", "20"])["image_tokens"], 4, "{family}");
    }
}

#[test]
fn bad_videos_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    common::checkpoint("qwen2.5-vl-video", folder.path());
    let model = folder.path().display().to_string();
    let ask = |video: &Path, needles: &[&str]| {
        let said = refused(&[&model, "--video", &video.display().to_string(), "--prompt", "what?"]);
        needles.iter().for_each(|needle| assert!(said.contains(needle), "no {needle:?} in {said}"));
    };
    let none = tempfile::tempdir().expect("a folder");
    ask(&none.path().join("gone.gif"), &["gone.gif", "cannot be read"]);
    ask(none.path(), &["the folder holds no pictures", "give a folder of pictures or an animated GIF"]);
    picture(24, 1).save(none.path().join("a.png")).expect("PNG");
    ask(&none.path().join("a.png"), &["a.png", "a video is a folder of pictures or an animated GIF"]);
    picture(25, 1).save(none.path().join("b.png")).expect("PNG");
    ask(none.path(), &["24 x 24 pixels", "shown frame 2 has 25 x 24"]);
    std::fs::write(none.path().join("c.png"), b"words").expect("a file");
    ask(none.path(), &["frame c.png", "\"words\""]);
    let film = none.path().join("film.gif");
    gif(&film);
    let bytes = std::fs::read(&film).expect("the file");
    std::fs::write(&film, &bytes[..20]).expect("a file");
    ask(&film, &["film.gif", "no frame that can be decoded"]);
    let said = refused(&[&model, "--video-fps", "2", "--prompt", "what?"]);
    assert!(said.contains("--video"), "{said}");
}
