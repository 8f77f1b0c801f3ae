//! Whole requests against Hugging Face's processors: words, pictures and videos become the same tokens, see
//! `scripts/export_prompt_goldens.py`.

use flightvlm::image::{RgbPicture, Video};
use flightvlm::prompt::{prepare_shown, video_sampling};
use flightvlm::source::{LoadOptions, Source};
use flightvlm::text::{Message, Part};
use flightvlm_compiler::graph::Picture;
use serde_json::{json, Value};
use std::path::Path;

#[path = "common/golden.rs"]
mod common;

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn blank(size: &Value) -> RgbPicture {
    let [width, height] = [0, 1].map(|at| size[at].as_u64().expect("a side") as usize);
    RgbPicture::new(width, height, vec![0; width * height * 3])
}

/// Times, rows and columns of patches.
fn grid(shown: &Picture) -> Value {
    json!([shown.tiles.len(), shown.tiles[0].grid[0], shown.tiles[0].grid[1]])
}

/// A turn of a conversation.
fn turn(turn: &Value) -> Message {
    let part = |part: &Value| match part["text"].as_str() {
        Some(text) => Part::Text { text: text.into() },
        None if part["type"] == "video" => Part::Video,
        None => Part::Image,
    };
    Message {
        role: turn["role"].as_str().expect("a role").into(),
        content: list(&turn["content"]).iter().map(part).collect(),
    }
}

fn check(source: &Source, case: &Value) {
    let (assets, model) = (source.assets(), source.info().expect("facts"));
    let pictures: Vec<RgbPicture> = list(&case["pictures"]).iter().map(blank).collect();
    let videos: Vec<Video> = list(&case["videos"])
        .iter()
        .map(|video| {
            let (total, fps) = (video["total"].as_u64().expect("frames") as usize, video["fps"].as_f64());
            let sampling = video_sampling(assets, &model).expect("a model of videos");
            let count = sampling.places(total, fps).len();
            Video {
                frames: vec![blank(&video["size"]); count],
                seconds_per_frame: sampling.seconds(count, total, fps),
            }
        })
        .collect();
    let turns = match case.get("turns") {
        Some(turns) => list(turns).iter().map(turn).collect(),
        None => {
            let mut turn = Message::user(pictures.len(), case["text"].as_str().expect("text"));
            turn.content.splice(0..0, vec![Part::Video; videos.len()]);
            vec![turn]
        }
    };
    let prompt = prepare_shown(assets, &model, &turns, &pictures, &videos)
        .unwrap_or_else(|error| panic!("{error}: {case}"));
    assert_eq!(case["ids"], json!(prompt.ids), "{case}");
    let of = |video: bool| prompt.images.iter().filter(move |shown| shown.video == video);
    if let Some(grids) = case.get("image_grid_thw") {
        assert_eq!(*grids, of(false).map(grid).collect::<Value>(), "{case}");
    }
    if let Some(grids) = case.get("video_grid_thw") {
        assert_eq!(*grids, of(true).map(grid).collect::<Value>(), "{case}");
    }
    if let Some(seconds) = case.get("second_per_grid_ts") {
        let found: Vec<f32> = of(true).map(|shown| shown.seconds).collect();
        let expected = list(seconds).iter().map(|s| s.as_f64().expect("seconds") as f32);
        assert_eq!(expected.collect::<Vec<_>>(), found, "{case}");
    }
    if let Some(patches) = case.get("patches") {
        let tile = &prompt.images[0].tiles[0];
        let rows = tile.grid[0] * tile.grid[1];
        assert_eq!(*patches, json!([rows, tile.rows.len() / rows]), "{case}");
    }
}

/// Many tiles take more positions than the tiny checkpoints have.
fn lengthen(config: &Path) {
    let mut json: Value = serde_json::from_slice(&std::fs::read(config).expect("config")).expect("JSON");
    let text = if json.get("text_config").is_some() { &mut json["text_config"] } else { &mut json };
    text["max_position_embeddings"] = 2048.into();
    std::fs::write(config, json.to_string()).expect("written");
}

fn family(name: &str, least: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    common::checkpoint(name, folder.path());
    lengthen(&folder.path().join("config.json"));
    let options = LoadOptions { no_weights: true, ..LoadOptions::default() };
    let source = Source::open(folder.path(), options).expect("opens");
    let text = std::fs::read(common::golden().join("prompts").join(name).join("cases.json")).expect("cases");
    let cases: Value = serde_json::from_slice(&text).expect("JSON");
    assert!(list(&cases).len() >= least, "only {} requests", list(&cases).len());
    list(&cases).iter().for_each(|case| check(&source, case));
}

#[test]
fn requests_of_qwen2_vl_become_the_same_tokens() {
    family("qwen2-vl-video", 44);
}

#[test]
fn requests_of_qwen2_5_vl_become_the_same_tokens_and_seconds() {
    family("qwen2.5-vl-video", 44);
}

#[test]
fn requests_of_video_llava_become_the_same_tokens() {
    family("video-llava", 44);
}

#[test]
fn requests_of_llava_become_the_same_tokens() {
    family("clip-llama", 16);
}

#[test]
fn requests_of_fastvlm_become_the_same_tokens() {
    family("fastvlm", 16);
}

#[test]
fn requests_of_fuyu_become_the_same_tokens() {
    family("fuyu", 40);
}

#[test]
fn requests_of_llava_next_become_the_same_tokens() {
    family("llava-next", 32);
}

#[test]
fn requests_of_llava_onevision_become_the_same_tokens() {
    family("llava-onevision", 32);
}

#[test]
fn requests_of_internvl_become_the_same_tokens() {
    family("internvl", 32);
}

#[test]
fn requests_of_paligemma_become_the_same_tokens() {
    family("paligemma", 6);
}

#[test]
fn requests_of_smolvlm_become_the_same_tokens() {
    family("smolvlm", 32);
}

#[test]
fn requests_of_smolvlm_with_whole_pictures_become_the_same_tokens() {
    family("smolvlm-factor-4", 16);
}

#[test]
fn requests_of_idefics3_become_the_same_tokens() {
    family("idefics3-small-tiles", 32);
}
