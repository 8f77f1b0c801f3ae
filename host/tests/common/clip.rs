//! A tiny CLIP with a tokenizer and an image processor around it.

use serde_json::json;
use std::path::{Path, PathBuf};

/// The repository's test data.
pub fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

/// The golden with words for some of its ids.
pub fn model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(tests().join("golden/clip").join(file), folder.path().join(file)).expect("copy");
    }
    let word = |(i, w): (usize, &str)| (w.to_string(), json!(i + 5));
    let words = ["a", "photo", "of", "cat", "dog", "bird", ".", "drawing"];
    let mut vocabulary: serde_json::Map<_, _> = words.into_iter().enumerate().map(word).collect();
    vocabulary.extend([("[UNK]", 0), ("<s>", 97), ("</s>", 98)].map(|(w, id)| (w.to_string(), json!(id))));
    let special = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let added = |token: &str, id: u32| {
        json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let sequence = json!({"Sequence": {"id": "A", "type_id": 0}});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
        "added_tokens": [added("<s>", 97), added("</s>", 98)],
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {"type": "TemplateProcessing", "pair": [],
            "single": [special("<s>"), sequence, special("</s>")],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [97], "tokens": ["<s>"]},
                               "</s>": {"id": "</s>", "ids": [98], "tokens": ["</s>"]}}},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    });
    let processor = json!({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 16},
                           "crop_size": {"height": 16, "width": 16}});
    write(folder.path(), "tokenizer.json", &tokenizer.to_string());
    write(folder.path(), "preprocessor_config.json", &processor.to_string());
    folder
}

/// Writes a file; its path.
pub fn write(folder: &Path, name: &str, text: &str) -> String {
    std::fs::write(folder.join(name), text).expect("write");
    folder.join(name).display().to_string()
}
