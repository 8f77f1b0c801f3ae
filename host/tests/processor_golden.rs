//! Image processors against Hugging Face's, see `tests/golden/processor/provenance.toml`.

use flightvlm::image::{decode_file, Backend, ImageProcessor, ProcessorConfig, RgbPicture};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/processor")
}

fn golden() -> Value {
    let text = std::fs::read(folder().join("cases.json")).expect("golden file");
    serde_json::from_slice(&text).expect("golden JSON")
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn load(name: &Value) -> RgbPicture {
    decode_file(&folder().join(name.as_str().expect("file name"))).expect("golden picture")
}

#[test]
fn png_colour_types_decode_as_pillow_does() {
    let golden = golden();
    let mut wrong = Vec::new();
    for (name, digest) in golden["decoded_sha256"].as_object().expect("decoded") {
        let picture = decode_file(&folder().join(name)).expect(name);
        if hash(&picture.data) != digest.as_str().expect("digest") {
            wrong.push(name.clone());
        }
    }
    assert!(wrong.is_empty(), "decoded differently: {wrong:?}");
}

#[test]
fn processors_match_hugging_face_bit_for_bit() {
    let golden = golden();
    let mut wrong = Vec::new();
    let cases = golden["cases"].as_array().expect("cases");
    assert!(cases.len() > 100, "only {} cases", cases.len());
    for case in cases {
        let settings = &golden["processors"][case["processor"].as_str().expect("processor")];
        let text = serde_json::to_vec(settings).expect("JSON");
        let mut config = ProcessorConfig::from_json("golden", &text).expect("settings");
        config.backend = match case["backend"].as_str() {
            Some("pil") => Backend::Pillow,
            _ => Backend::Torchvision,
        };
        let processor = ImageProcessor::new(config);
        let picture = load(&case["image"]);
        let levels = processor.resize_and_crop(&picture).expect("levels");
        let values = processor.process(&picture).expect("values").remove(0);
        let name = format!("{} {} {}", case["image"], case["processor"], case["backend"]);
        assert_eq!(case["shape"], serde_json::json!([3, values.height, values.width]), "{name}");
        if hash(&levels.data) != case["levels_sha256"].as_str().expect("digest") {
            wrong.push(format!("{name}: levels"));
            continue;
        }
        for sample in case["samples"].as_array().expect("samples") {
            let at = sample[0].as_u64().expect("index") as usize;
            let expected = sample[1].as_f64().expect("value") as f32;
            assert_eq!(values.data[at], expected, "{name}: value {at}");
        }
        let bytes: Vec<u8> = values.data.iter().flat_map(|value| value.to_le_bytes()).collect();
        if hash(&bytes) != case["values_sha256"].as_str().expect("digest") {
            wrong.push(format!("{name}: values"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn a_rotated_jpeg_comes_upright_and_close() {
    let golden = &golden()["jpeg"];
    let picture = load(&golden["image"]);
    assert_eq!(golden["width"], picture.width);
    assert_eq!(golden["height"], picture.height);
    let hex = golden["rgb_hex"].as_str().expect("hex");
    let differences: Vec<u8> = (0..picture.data.len())
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
        .zip(&picture.data)
        .map(|(expected, &found)| expected.abs_diff(found))
        .collect();
    let mean = differences.iter().map(|&d| f64::from(d)).sum::<f64>() / differences.len() as f64;
    let worst = differences.iter().max().copied().unwrap_or(0);
    assert!(mean < 1.0 && worst <= 12, "mean {mean:.2}, worst {worst} levels");
}
