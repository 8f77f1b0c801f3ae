//! Qwen2-VL's video processor against Hugging Face's: grids over a sweep of sizes and lengths, pixel values bit for
//! bit, and which frames are shown.

use flightvlm::image::{decode_file, RgbPicture, Sampling, VideoProcessor};
use flightvlm::prompt::video_tiles;
use flightvlm_compiler::graph::VisionSpec;
use serde_json::{json, Value};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/processor")
}

fn golden() -> Value {
    let text = std::fs::read(folder().join("videos.json")).expect("golden file");
    serde_json::from_slice(&text).expect("golden JSON")
}

fn processor(settings: &Value) -> VideoProcessor {
    VideoProcessor::from_json("golden", settings.clone()).expect("settings")
}

fn number(value: &Value) -> usize {
    value.as_u64().expect("a number") as usize
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

/// As in the script that made the goldens: the picture, mirrored, in negative, mirrored in negative.
fn frames_of(picture: &RgbPicture, count: usize) -> Vec<RgbPicture> {
    let frame = |at: usize| {
        let mut data = picture.data.clone();
        if at % 2 == 1 {
            for (to, from) in data.chunks_mut(picture.width * 3).zip(picture.data.chunks(picture.width * 3)) {
                to.chunks_mut(3).zip(from.chunks(3).rev()).for_each(|(to, from)| to.copy_from_slice(from));
            }
        }
        if at % 4 > 1 {
            data.iter_mut().for_each(|value| *value = 255 - *value);
        }
        RgbPicture::new(picture.width, picture.height, data)
    };
    (0..count).map(frame).collect()
}

/// The tower of such a processor: patches of two frames.
fn tower(settings: &Value) -> VisionSpec {
    let patch = settings.get("patch_size").map_or(14, number);
    VisionSpec { patch, merge: 2, pixel_cols: 3 * 2 * patch * patch, ..VisionSpec::default() }
}

#[test]
fn grids_are_the_same_for_every_size_and_length() {
    let mut count = 0;
    for (name, case) in golden()["processors"].as_object().expect("processors") {
        let (processor, tower) = (processor(&case["settings"]), tower(&case["settings"]));
        for case in list(&case["sizes"]) {
            let [width, height] = [0, 1].map(|at| number(&case["size"][at]));
            let frames = number(&case["frames"]);
            let blank = RgbPicture::new(width, height, vec![0; width * height * 3]);
            let size = processor.plan(&vec![blank; frames]).expect("a plan");
            let grid =
                json!([frames.div_ceil(tower.patch_frames()), size[1] / tower.patch, size[0] / tower.patch]);
            assert_eq!(case["grid"], grid, "{name}: {width} x {height}, {frames} frames");
            count += 1;
        }
    }
    assert!(count > 500, "only {count} sizes");
}

#[test]
fn pixels_are_the_same_bit_for_bit() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (name, case) in golden()["processors"].as_object().expect("processors") {
        let (processor, tower) = (processor(&case["settings"]), tower(&case["settings"]));
        for case in list(&case["pixels"]) {
            let image = case["image"].as_str().expect("a name");
            let picture = decode_file(&folder().join(image)).expect("golden picture");
            let frames = frames_of(&picture, number(&case["frames"]));
            let values = processor.process(&frames).expect("values");
            let tiles: Vec<_> = video_tiles(&tower, &values).collect();
            let grid = json!([tiles.len(), tiles[0].grid[0], tiles[0].grid[1]]);
            assert_eq!(case["grid"], grid, "{name} {image}");
            let values: Vec<f32> = tiles.into_iter().flat_map(|tile| tile.rows).collect();
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let digest: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
            if digest != case["values_sha256"].as_str().expect("digest") {
                let seen = list(&case["samples"]).iter();
                let seen = seen.map(|s| (s[1].clone(), values.get(number(&s[0])).copied()));
                wrong.push(format!("{name} {image}: {:?}", seen.collect::<Vec<_>>()));
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 18, "only {count} videos");
}

#[test]
fn the_same_frames_are_shown() {
    let mut count = 0;
    for case in list(&golden()["sampling"]) {
        let mut settings = case["settings"].clone();
        settings["video_processor_type"] = "Qwen2VLVideoProcessor".into();
        let processor = processor(&settings);
        let sampling: &Sampling = processor.sampling();
        let (total, fps) = (number(&case["total"]), case["fps"].as_f64());
        let places = sampling.places(total, fps);
        assert_eq!(case["places"], json!(places), "{case}");
        let seconds = sampling.seconds(places.len(), total, fps);
        let expected = 1.0 / case["sampled_fps"].as_f64().expect("a rate");
        assert!((seconds - expected).abs() <= 1e-12 * expected, "{case}: {seconds} s");
        count += 1;
    }
    assert!(count > 180, "only {count} cases");
}
