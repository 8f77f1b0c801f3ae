//! Damaged and unsupported checkpoints end in messages that name everything that is wrong.

mod common;

use common::Folder;
use flightvlm_compiler::eval::{Inputs, Session};
use flightvlm_compiler::import::{import, ImportOptions};
use serde_json::json;

const WEIGHTS: &str = "model.safetensors";

/// Replaces the header of `model.safetensors` by an edited text of the same length or not.
fn edit_header(folder: &Folder, edit: impl FnOnce(String) -> String) {
    let bytes = folder.read(WEIGHTS);
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header = edit(String::from_utf8(bytes[8..8 + length].to_vec()).expect("UTF-8"));
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&bytes[8 + length..]);
    folder.write(WEIGHTS, &out);
}

#[test]
fn truncated_files_are_reported() {
    for keep in [0, 4, 8, 100, 20_000] {
        let folder = Folder::copy_of("llama");
        let bytes = folder.read(WEIGHTS);
        folder.write(WEIGHTS, &bytes[..keep]);
        folder.import_error(&[WEIGHTS]);
    }
}

#[test]
fn a_lying_header_length_is_reported() {
    let folder = Folder::copy_of("llama");
    let mut bytes = folder.read(WEIGHTS);
    bytes[..8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
    folder.write(WEIGHTS, &bytes);
    folder.import_error(&["the header claims"]);
}

#[test]
fn lying_shapes_and_offsets_are_reported() {
    let folder = Folder::copy_of("llama");
    edit_header(&folder, |h| h.replacen("[128,40]", "[128,41]", 1));
    folder.import_error(&["does not fill"]);

    let folder = Folder::copy_of("llama");
    let huge = format!("[{},{}]", u64::MAX, u64::MAX);
    edit_header(&folder, |h| h.replacen("[128,40]", &huge, 1));
    folder.import_error(&["does not fill"]);

    let folder = Folder::copy_of("llama");
    edit_header(&folder, |h| h.replacen("\"F32\"", "\"F31\"", 1));
    folder.import_error(&["unknown element type"]);
}

#[test]
fn overlaps_gaps_and_duplicates_are_reported() {
    let tensor = |name: &str, at: u64| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{at},{}]}}", at + 4)
    };
    let cases = [
        ([tensor("a", 0), tensor("b", 0)], 4, "overlaps"),
        ([tensor("a", 0), tensor("b", 8)], 12, "gap"),
        ([tensor("a", 0), tensor("a", 4)], 8, "listed twice"),
        ([tensor("a", 0), tensor("b", 4)], 12, "belong to no tensor"),
    ];
    for (tensors, data_bytes, message) in cases {
        let folder = Folder::copy_of("llama");
        let header = format!("{{{}}}", tensors.join(","));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend(std::iter::repeat_n(0, data_bytes));
        folder.write(WEIGHTS, &bytes);
        folder.import_error(&[message]);
    }
}

#[test]
fn all_missing_and_all_unexpected_tensors_are_listed() {
    let folder = Folder::copy_of("clip-llama");
    folder.edit_tensors(|tensors| {
        tensors.retain(|t| !t.name.ends_with("layers.1.mlp.up_proj.weight"));
        tensors.retain(|t| !t.name.ends_with("lm_head.weight"));
        let mut extra = tensors[0].clone();
        extra.name = "language_model.model.layers.0.self_attn.q_norm.weight".into();
        tensors.push(extra);
    });
    folder.import_error(&[
        "2 missing",
        "layers.1.mlp.up_proj.weight",
        "language_model.lm_head.weight",
        "1 unexpected",
        "self_attn.q_norm.weight",
    ]);
}

#[test]
fn missing_and_foreign_shards_are_reported() {
    let folder = Folder::copy_of("clip-llama-sharded");
    std::fs::remove_file(folder.file("model-00002-of-00002.safetensors"))
        .or_else(|_| std::fs::remove_file(folder.file("model-00002-of-00003.safetensors")))
        .or_else(|_| std::fs::remove_file(folder.file("model-00002-of-00004.safetensors")))
        .expect("a second shard");
    folder.import_error(&["model-00002-of-"]);

    let folder = Folder::copy_of("clip-llama-sharded");
    folder.write("model.safetensors.index.json", br#"{"weight_map": {"a": "../model.safetensors"}}"#);
    folder.import_error(&["shard names without folders"]);
}

#[test]
fn shapes_that_contradict_the_config_are_reported() {
    let folder = Folder::copy_of("llama");
    folder.edit_config(|c| c["vocab_size"] = json!(129));
    folder.import_error(&["embed_tokens.weight", "lm_head.weight", "[129, 40]", "[128, 40]"]);
}

#[test]
fn contradictions_inside_the_config_are_collected() {
    let folder = Folder::copy_of("llama");
    folder.edit_config(|c| {
        c["head_dim"] = json!(null);
        c["num_attention_heads"] = json!(7);
        c["num_key_value_heads"] = json!(3);
        c["vocab_size"] = json!("many");
        c["rms_norm_eps"] = json!(-1);
    });
    folder.import_error(&["hidden_size", "num_key_value_heads", "config.json: vocab_size", "rms_norm_eps"]);
}

#[test]
fn everything_unsupported_is_listed_at_once() {
    let folder = Folder::copy_of("clip-llama");
    folder.edit_config(|c| {
        c["architectures"] = json!(["MllamaForConditionalGeneration"]);
        c["vision_config"]["model_type"] = json!("vitamin");
        c["text_config"]["model_type"] = json!("falcon");
        c["text_config"]["hidden_act"] = json!("xielu");
        c["text_config"]["rope_parameters"] = json!({"rope_type": "proportional", "factor": 2.0});
        c["vision_feature_layer"] = json!([-2, -5]);
        c["projector_hidden_act"] = json!("maxout");
        c["quantization_config"] = json!({"quant_method": "awq"});
    });
    folder.import_error(&[
        "MllamaForConditionalGeneration",
        "LlavaForConditionalGeneration",
        "vitamin",
        "siglip_vision_model",
        "falcon",
        "qwen2",
        "xielu",
        "proportional",
        "llama3",
        "[-2,-5]",
        "maxout",
        "awq",
    ]);
}

#[test]
fn a_sliding_window_needs_a_shorter_context() {
    let folder = Folder::copy_of("mistral");
    folder.edit_config(|c| c["sliding_window"] = json!(16));
    folder.import_error(&["sliding_window", "--max-context"]);
    let options = ImportOptions { max_context: Some(16), ..Default::default() };
    let model = import(folder.path(), &options).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(model.spec.text.max_position, 16, "the limit is in the facts");
}

#[test]
fn a_block_mask_needs_a_causal_prompt() {
    let folder = Folder::copy_of("paligemma");
    let mask = Some("window=64".parse().expect("a mask"));
    let options = ImportOptions { mask, ..Default::default() };
    let faults = import(folder.path(), &options).err().expect("refused").to_string();
    assert!(faults.contains("full attention") && faults.contains("window=64"), "{faults}");
}

#[test]
fn a_folder_without_files_is_reported() {
    let folder = Folder::copy_of("llama");
    std::fs::remove_file(folder.file("config.json")).expect("removable");
    std::fs::remove_file(folder.file(WEIGHTS)).expect("removable");
    folder.import_error(&["config.json", WEIGHTS, "--no-weights"]);
}

#[test]
fn nan_and_infinite_weights_name_tensor_and_index() {
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let folder = Folder::copy_of("llama");
        folder.edit_tensors(|tensors| {
            let found = tensors.iter_mut().find(|t| t.name.ends_with("layers.1.mlp.up_proj.weight"));
            let at = (3 * 40 + 5) * 4;
            found.expect("the tensor").bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        });
        let model = folder.import().unwrap_or_else(|e| panic!("{e}"));
        let message = Session::new(&model).err().expect("an error").to_string();
        assert!(message.contains("model.layers.1.mlp.up_proj.weight"), "{message}");
        assert!(message.contains(name) && message.contains("[3, 5]"), "{message}");
    }
}

#[test]
fn weights_of_other_types_are_reported() {
    let folder = Folder::copy_of("llama");
    folder.edit_tensors(|tensors| {
        let norm = tensors.iter_mut().find(|t| t.name == "model.norm.weight").expect("the tensor");
        norm.dtype = safetensors::Dtype::I32;
    });
    folder.import_error(&["model.norm.weight", "I32", "BF16"]);
}

#[test]
fn a_tied_model_with_another_head_is_reported() {
    let folder = Folder::copy_of("llama");
    folder.edit_config(|c| c["tie_word_embeddings"] = json!(true));
    folder.import_error(&["lm_head.weight", "tie_word_embeddings"]);
}

#[test]
fn a_wrong_number_of_placeholders_is_reported() {
    let folder = Folder::copy_of("clip-llama");
    let model = folder.import().unwrap_or_else(|e| panic!("{e}"));
    let mut inputs = Inputs::read(&folder.file("inputs.safetensors"), &model.spec).expect("good inputs");
    let placeholder = model.spec.image_token_id.expect("a placeholder");
    inputs.input_ids.push(placeholder);
    let mut session = Session::new(&model).expect("good weights");
    let message = session.logits(&inputs).expect_err("one placeholder too many").to_string();
    assert!(message.contains("1 pictures of 4 visual tokens"), "{message}");
    assert!(message.contains("5 placeholders"), "{message}");

    inputs.input_ids = vec![128];
    inputs.images.clear();
    let message = session.logits(&inputs).expect_err("an id beyond the vocabulary").to_string();
    assert!(message.contains("vocabulary size 128"), "{message}");

    inputs.input_ids = vec![1; 129];
    let message = session.logits(&inputs).expect_err("too many positions").to_string();
    assert!(message.contains("at most 128 positions"), "{message}");
}

#[test]
fn a_text_model_refuses_pictures() {
    let folder = Folder::copy_of("llama");
    let model = folder.import().unwrap_or_else(|e| panic!("{e}"));
    let inputs = common::root().join("tests/golden/clip-llama/inputs.safetensors");
    let message = Inputs::read(&inputs, &model.spec).expect_err("pictures").to_string();
    assert!(message.contains("text-only"), "{message}");
}

#[test]
fn a_model_without_weights_has_shapes_and_no_values() {
    let folder = Folder::copy_of("siglip-qwen2-tied");
    std::fs::remove_file(folder.file(WEIGHTS)).expect("removable");
    let options = ImportOptions { no_weights: true, ..Default::default() };
    let model = import(folder.path(), &options).unwrap_or_else(|e| panic!("{e}"));
    assert!(!model.weights.has_data());
    let message = Session::new(&model).err().expect("no values").to_string();
    assert!(message.contains("--no-weights"), "{message}");
}
