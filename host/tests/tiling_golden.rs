//! Processors that cut pictures, against Hugging Face's: tile counts, sizes and grids over a sweep of
//! picture sizes, pixel values bit for bit, and the text around the tiles.

use flightvlm::image::{decode_file, Cut, ImageProcessor, PixelValues, ProcessorConfig};
use flightvlm::text::PictureText;
use flightvlm_compiler::graph::{Arrange, Picture, Tile, VisionSpec};
use serde_json::{json, Value};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/processor")
}

fn golden() -> Value {
    let text = std::fs::read(folder().join("tilings.json")).expect("golden file");
    serde_json::from_slice(&text).expect("golden JSON")
}

fn processor(scheme: &Value) -> ImageProcessor {
    let text = serde_json::to_vec(&scheme["settings"]).expect("JSON");
    ImageProcessor::new(ProcessorConfig::from_json("golden", &text).expect("settings"))
}

fn numbers(list: &Value) -> Vec<usize> {
    let number = |v: &Value| v.as_u64().expect("a number") as usize;
    list.as_array().expect("a list").iter().map(number).collect()
}

fn sha256(levels: &[u8]) -> String {
    Sha256::digest(levels).iter().map(|b| format!("{b:02x}")).collect()
}

/// Visual placeholders of a picture for LLaVA-NeXT with patches of 8 pixels.
fn next_tokens(settings: &Value, [width, height]: [usize; 2]) -> usize {
    let pinpoints = settings["image_grid_pinpoints"].as_array().expect("pinpoints");
    let pinpoints = pinpoints.iter().map(|p| numbers(p).try_into().expect("a pair")).collect();
    let vision = VisionSpec {
        image_size: 32,
        patch: 8,
        patch_count: 16,
        merge: 1,
        arrange: Arrange::AnyResolution { pinpoints, most_tiles: None },
        ..VisionSpec::default()
    };
    let tile = Tile { grid: vision.full_grid(), rows: Vec::new() };
    let tiles = vec![tile; vision.tiles_of_picture([height, width])];
    Picture::arranged(&vision, tiles, [height, width]).expect("arranged").rows.len()
}

#[test]
fn tiles_and_grids_are_the_same_for_every_size() {
    let mut count = 0;
    for (name, scheme) in golden()["schemes"].as_object().expect("schemes") {
        let processor = processor(scheme);
        for case in scheme["sizes"].as_array().expect("sizes") {
            let size: [usize; 2] = numbers(&case["size"]).try_into().expect("a pair");
            let (cut, tiles) = processor.plan(size).expect("a plan");
            let [width, height] = tiles[0];
            assert!(tiles.iter().all(|t| *t == tiles[0]), "{name} {size:?}: {tiles:?}");
            let shape = if let Some(vision) = patches(name) {
                let (patch, cols) = (vision.patch, vision.pixel_cols);
                assert_eq!(case["grid"], json!([1, height / patch, width / patch]), "{name} {size:?}");
                json!([1, height / patch * (width / patch), cols])
            } else {
                json!([tiles.len(), 3, height, width])
            };
            assert_eq!(case["shape"], shape, "{name} {size:?}");
            if name.starts_with("smolvlm") || name.starts_with("idefics3") {
                // No rows and columns are reported for a single tile.
                let [columns, rows] = if cut.tiles() == 1 { [0, 0] } else { cut.grid };
                assert_eq!(case["grid"], json!([rows, columns]), "{name} {size:?}");
            }
            if let Some(tokens) = case["tokens"].as_u64() {
                assert_eq!(next_tokens(&scheme["settings"], size), tokens as usize, "{name} {size:?}");
            }
            count += 1;
        }
    }
    assert!(count > 700, "only {count} sizes");
}

/// Of processors that return patches: those.
fn patches(name: &str) -> Option<VisionSpec> {
    match name {
        "qwen2-vl" => {
            Some(VisionSpec { patch: 7, merge: 2, pixel_cols: 3 * 2 * 49, ..VisionSpec::default() })
        }
        "fuyu" => {
            let (patch, pixel_cols) = (6, 3 * 36);
            Some(VisionSpec { patch, merge: 1, pixel_cols, interleaved: true, ..VisionSpec::default() })
        }
        _ => None,
    }
}

/// Values in the order of the reference: planes, or patches.
fn flat(name: &str, tiles: &[PixelValues]) -> Vec<f32> {
    let Some(vision) = patches(name) else {
        return tiles.iter().flat_map(|t| t.data.iter().copied()).collect();
    };
    let tile = |t: &PixelValues| vision.tile(&t.data, [t.height, t.width]).rows;
    tiles.iter().flat_map(tile).collect()
}

#[test]
fn pixels_are_the_same_bit_for_bit() {
    let mut wrong = Vec::new();
    for (name, scheme) in golden()["schemes"].as_object().expect("schemes") {
        for case in scheme["pixels"].as_array().expect("pixels") {
            let image = case["image"].as_str().expect("a name");
            let picture = decode_file(&folder().join(image)).expect("golden picture");
            let values = flat(name, &processor(scheme).process(&picture).expect("values"));
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            if sha256(&bytes) != case["values_sha256"].as_str().expect("digest") {
                let samples = case["samples"].as_array().expect("samples").iter();
                let first = samples.map(|s| (s[0].as_u64().expect("at") as usize, s[1].clone()));
                let seen: Vec<_> = first.map(|(at, v)| (v, values.get(at).copied())).collect();
                wrong.push(format!("{name} {image}: {seen:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn tags_of_smolvlm_are_the_same() {
    let golden = golden();
    let texts = golden["smolvlm_texts"].as_array().expect("texts");
    assert_eq!(texts.len(), 3);
    for case in texts {
        let grid: [usize; 2] = numbers(&case["grid"]).try_into().expect("a pair");
        let tokens = case["tokens"].as_u64().expect("tokens") as usize;
        let counts = vec![tokens; grid[0] * grid[1] + 1];
        let text = PictureText::RowsAndColumns.write(0, "<image>", grid, &counts);
        assert_eq!(case["text"], text, "{grid:?}");
    }
}

/// A cut in the terms of `references.json`; sizes are (width, height).
fn in_their_terms(cut: &Cut, size: [usize; 2]) -> Value {
    let canvas = cut.canvas.filter(|_| cut.grid != [0, 0]);
    json!([
        size[0],
        size[1],
        cut.scaled.last(),
        canvas.map(|canvas| canvas.size),
        canvas.map(|canvas| canvas.at),
        cut.grid,
        cut.whole.map(|whole| whole.size),
        cut.whole.is_some_and(|whole| whole.first),
    ])
}

/// Schemes that Hugging Face's package does not have, against references of our own writing.
#[test]
fn cuts_are_those_of_the_references_for_every_size() {
    let text = std::fs::read(folder().join("references.json")).expect("references");
    let references: Value = serde_json::from_slice(&text).expect("JSON");
    let fields = json!(["width", "height", "scaled", "canvas", "at", "grid", "whole", "first"]);
    assert_eq!(references["fields"], fields);
    let (mut count, mut wrong) = (0, Vec::new());
    for (name, scheme) in references["schemes"].as_object().expect("schemes") {
        let scheme_of = processor(scheme);
        for case in scheme["cuts"].as_array().expect("cuts") {
            let [width, height] = [0, 1].map(|at| case[at].as_u64().expect("a side") as usize);
            let cut = scheme_of.config().scheme.cut([width, height]);
            let mut found = in_their_terms(&cut, [width, height]);
            if cut.whole.is_none() {
                // Nothing that could be first.
                found[7] = case[7].clone();
            }
            if found != *case {
                wrong.push(format!("{name}: {found} instead of {case}"));
            }
            count += 1;
        }
    }
    wrong.truncate(5);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(count, 8 * 325);
}

/// The same schemes' pixels: grey levels bit for bit, values within a rounding of the largest ones.
#[test]
fn pixels_are_those_of_the_references() {
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder().join(name)).expect("references")).expect("JSON")
    };
    let (schemes, cases) = (read("references.json"), read("reference-pixels.json"));
    let cases = cases["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 24);
    let mut wrong = Vec::new();
    for case in cases {
        let name = format!("{} {}", case["scheme"], case["image"]);
        let processor = processor(&schemes["schemes"][case["scheme"].as_str().expect("a scheme")]);
        let picture =
            decode_file(&folder().join(case["image"].as_str().expect("a name"))).expect("a picture");
        let config = processor.config();
        let (cut, _) = processor.plan([picture.width, picture.height]).expect("a plan");
        let levels: Vec<u8> = cut
            .apply(&picture, config.filter, config.backend)
            .tiles
            .iter()
            .flat_map(|tile| processor.resize_and_crop(tile).expect("levels").data)
            .collect();
        if sha256(&levels) != case["levels_sha256"].as_str().expect("digest") {
            wrong.push(format!("{name}: other grey levels"));
        }
        let tiles = processor.process(&picture).expect("values");
        let sizes: Vec<[usize; 2]> = tiles.iter().map(|tile| [tile.height, tile.width]).collect();
        assert_eq!(case["sizes"], json!(sizes), "{name}");
        let values: Vec<f32> = tiles.into_iter().flat_map(|tile| tile.data).collect();
        // What is computed between values of about 2 is as exact as those.
        let whole = case["scheme"] == "xcomposer-25" || case["scheme"] == "phi3v-16";
        let between = if whole { sizes[0][0] * sizes[0][1] * 3 } else { 0 };
        for sample in case["samples"].as_array().expect("samples") {
            let (at, expected) =
                (sample[0].as_u64().expect("at") as usize, sample[1].as_f64().expect("value") as f32);
            let ulp =
                if at < between { 2.0 * f32::EPSILON } else { expected.abs().next_up() - expected.abs() };
            let apart = (values[at] - expected).abs();
            if apart > ulp {
                wrong.push(format!(
                    "{name}: {} instead of {expected} at {at}: {:.1} ulp",
                    values[at],
                    apart / ulp
                ));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn tags_of_nvlm_are_the_same() {
    let text = std::fs::read(folder().join("references.json")).expect("references");
    let references: Value = serde_json::from_slice(&text).expect("JSON");
    for case in references["nvlm_texts"].as_array().expect("texts") {
        let [tiles, tokens] = ["tiles", "tokens"].map(|key| case[key].as_u64().expect("a count") as usize);
        let written = PictureText::of("NVLM_D_Model").write(0, "x", [tiles, 1], &vec![tokens; tiles]);
        assert_eq!(case["text"], written, "{tiles} tiles");
    }
}

/// Slices of MiniCPM-V and their tags, as the class of its successor in Hugging Face's package has them.
#[test]
fn slices_and_tags_of_minicpm_are_the_same() {
    let settings = json!({"settings": {"image_processor_type": "MiniCPMVImageProcessor"}});
    let scheme = processor(&settings).config().scheme.clone();
    let golden = golden();
    let cases = golden["minicpm_texts"].as_array().expect("texts");
    assert!(cases.len() >= 300);
    for case in cases {
        let [size, grid]: [[usize; 2]; 2] =
            ["size", "grid"].map(|key| numbers(&case[key]).try_into().expect("a pair"));
        assert_eq!(scheme.cut(size).grid, grid, "{size:?}");
        let at = case["at"].as_u64().expect("a number") as usize;
        let text = PictureText::of("MiniCPMV").write(at, "x", grid, &numbers(&case["counts"]));
        assert_eq!(case["text"], text, "{size:?}");
    }
}

/// The frames of a folder that IG-VLM shows as one picture, pixel by pixel.
#[test]
fn frames_of_a_video_are_tiled_to_one_picture() {
    let text = std::fs::read(folder().join("reference-pixels.json")).expect("golden file");
    let golden: Value = serde_json::from_slice(&text).expect("golden JSON");
    let cases = golden["video_grids"].as_array().expect("cases");
    assert!(cases.len() >= 4);
    for case in cases {
        let files = case["files"].as_array().expect("files");
        let frames = tempfile::tempdir().expect("a folder");
        for at in 0..case["frames"].as_u64().expect("a count") as usize {
            let name = files[at % files.len()].as_str().expect("a name");
            std::fs::copy(folder().join(name), frames.path().join(format!("{at:03}-{name}"))).expect("copy");
        }
        let picture = decode_file(frames.path()).expect("a grid");
        assert_eq!(case["size"], json!([picture.width, picture.height]), "{case}");
        assert_eq!(case["levels_sha256"], sha256(&picture.data).as_str(), "{case}");
    }
}

/// Flat frames of all colours: which of a video are shown, and where.
#[test]
fn coloured_frames_stand_where_the_reference_has_them() {
    let text = std::fs::read(folder().join("reference-pixels.json")).expect("golden file");
    let golden: Value = serde_json::from_slice(&text).expect("golden JSON");
    let golden = &golden["coloured_grids"];
    let [width, height] = [0, 1].map(|at| numbers(&golden["size"])[at] as u32);
    let colours = golden["colours"].as_array().expect("colours");
    let cases = golden["cases"].as_array().expect("cases");
    assert!(cases.len() >= 10);
    for case in cases {
        let frames = tempfile::tempdir().expect("a folder");
        for (at, colour) in
            colours.iter().enumerate().take(case["frames"].as_u64().expect("a count") as usize)
        {
            let colour = numbers(colour);
            let colour = image::Rgb([0, 1, 2].map(|channel| colour[channel] as u8));
            let mut frame = image::RgbImage::from_pixel(width, height, colour);
            frame.put_pixel(0, 0, image::Rgb([0; 3]));
            frame.save(frames.path().join(format!("{at:03}.png"))).expect("PNG");
        }
        let mut shown = vec![decode_file(frames.path()).expect("a grid")];
        if case["frames"] == golden["animation"]["frames"] {
            let file = folder().join(golden["animation"]["file"].as_str().expect("a name"));
            shown.push(decode_file(&file).expect("a grid"));
        }
        for picture in shown {
            assert_eq!(case["size"], json!([picture.width, picture.height]), "{case}");
            assert_eq!(case["levels_sha256"], sha256(&picture.data).as_str(), "{case}");
        }
    }
}
