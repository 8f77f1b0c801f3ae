//! Whole requests and decoded answers of the demo model against its Hugging Face processor, see
//! `tests/golden/processor/provenance.toml`.

use flightvlm::bundle::TextAssets;
use flightvlm::device::ModelInfo;
use flightvlm::image::{decode_file, RgbPicture};
use flightvlm::prompt::{prepare, user_turn};
use flightvlm::source::{LoadOptions, Source};
use flightvlm::text::TokenStream;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

fn golden() -> Value {
    let bytes = std::fs::read(tests().join("golden/processor/text.json")).expect("golden file");
    serde_json::from_slice(&bytes).expect("golden JSON")
}

fn source(golden: &Value) -> Source {
    let name = golden["model"].as_str().expect("model");
    Source::open(&tests().join("models").join(name), LoadOptions::default()).expect("model")
}

fn list<'v>(value: &'v Value, key: &str) -> &'v Vec<Value> {
    value[key].as_array().expect("a list")
}

fn ids(value: &Value) -> Vec<u32> {
    list(value, "ids").iter().map(|id| id.as_u64().expect("id") as u32).collect()
}

fn hash(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_request(assets: &TextAssets, model: &ModelInfo, request: &Value) {
    let text = request["text"].as_str().expect("text");
    let pictures: Vec<RgbPicture> = list(request, "images")
        .iter()
        .map(|name| tests().join("golden/processor").join(name.as_str().expect("name")))
        .map(|path| decode_file(&path).expect("picture"))
        .collect();
    let turn = user_turn(assets, pictures.len(), text).expect("turn");
    let rendered = assets.template().expect("template").render(std::slice::from_ref(&turn));
    assert_eq!(request["prompt"], rendered.expect("render"), "{text:?}");
    let prompt = prepare(assets, model, &[turn], &pictures).expect("prompt");
    assert_eq!(prompt.ids, ids(request), "{text:?} with {} pictures", pictures.len());
    let processor = assets.image_processor().expect("processor");
    for (picture, expected) in pictures.iter().zip(list(request, "values_sha256")) {
        let values = processor.process(picture).expect("values").remove(0);
        assert_eq!(*expected, hash(&values.data), "{text:?}");
    }
}

#[test]
fn requests_become_the_same_tokens_and_pixels() {
    let golden = golden();
    let source = source(&golden);
    let model = source.info().expect("facts");
    let requests = list(&golden, "requests");
    assert!(requests.len() >= 15);
    for request in requests {
        check_request(source.assets(), &model, request);
    }
}

#[test]
fn random_tokens_decode_and_stream_to_the_same_text() {
    let golden = golden();
    let source = source(&golden);
    let tokenizer = source.assets().tokenizer().expect("tokenizer");
    for case in list(&golden, "decoded") {
        let ids = ids(case);
        assert_eq!(case["text"], tokenizer.decode(&ids).expect("decode"), "{ids:?}");
        let mut stream = TokenStream::new(tokenizer);
        let mut text: String = ids.iter().map(|&id| stream.push(id).expect("push")).collect();
        text.push_str(&stream.finish().expect("finish"));
        assert_eq!(case["text"], text, "streamed {ids:?}");
    }
}
