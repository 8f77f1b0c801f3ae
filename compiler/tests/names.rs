//! Every spelling of tensor names that Hugging Face has written leads to the same model.

mod common;

use common::Folder;
use flightvlm_compiler::eval::{Inputs, Session};
use flightvlm_compiler::import::Model;

/// Old prefixes by the new ones, most specific first.
type Renames = &'static [(&'static str, &'static str)];

const SPELLINGS: &[Renames] = &[
    // transformers 4: LlavaForConditionalGeneration of 2023 to 2025.
    &[("vision_tower.", "vision_tower.vision_model.")],
    // transformers 4.52 and later, in memory and in some files.
    &[
        ("language_model.model.", "model.language_model."),
        ("language_model.lm_head.", "lm_head."),
        ("vision_tower.", "model.vision_tower.vision_model."),
        ("multi_modal_projector.", "model.multi_modal_projector."),
    ],
    // transformers 5, in memory.
    &[
        ("language_model.model.", "model.language_model."),
        ("language_model.lm_head.", "lm_head."),
        ("vision_tower.", "model.vision_tower."),
        ("multi_modal_projector.", "model.multi_modal_projector."),
    ],
];

fn logits(model: &Model, folder: &Folder) -> Vec<f32> {
    let inputs = Inputs::read(&folder.file("inputs.safetensors"), &model.spec).expect("good inputs");
    let mut session = Session::new(model).expect("good weights");
    session.logits(&inputs).expect("good inputs")
}

#[test]
fn all_spellings_give_the_same_logits() {
    for case in ["clip-llama", "siglip-qwen2-tied", "siglip-llama-default"] {
        let folder = Folder::copy_of(case);
        let model = folder.import().unwrap_or_else(|e| panic!("{case}: {e}"));
        let expected = logits(&model, &folder);
        for renames in SPELLINGS {
            let folder = Folder::copy_of(case);
            folder.edit_tensors(|tensors| {
                for tensor in tensors {
                    let rename = renames.iter().find(|(from, _)| tensor.name.starts_with(from));
                    if let Some((from, to)) = rename {
                        tensor.name = tensor.name.replacen(from, to, 1);
                    }
                }
            });
            let model = folder.import().unwrap_or_else(|e| panic!("{case} {renames:?}: {e}"));
            assert_eq!(logits(&model, &folder), expected, "{case} {renames:?}");
        }
    }
}

#[test]
fn buffers_and_unused_parts_are_tolerated() {
    let folder = Folder::copy_of("clip-llama");
    folder.edit_tensors(|tensors| {
        for name in [
            "vision_tower.embeddings.position_ids",
            "language_model.model.layers.0.self_attn.rotary_emb.inv_freq",
        ] {
            let mut extra = tensors[0].clone();
            extra.name = name.into();
            tensors.push(extra);
        }
    });
    let model = folder.import().unwrap_or_else(|e| panic!("{e}"));
    let ignored = model.weights.ignored();
    assert!(ignored.iter().any(|name| name.ends_with("inv_freq")), "{ignored:?}");
    assert!(ignored.iter().any(|name| name.contains("encoder.layers.2.")), "{ignored:?}");
    assert!(ignored.iter().all(|name| !name.contains("encoder.layers.1.")), "{ignored:?}");
}

#[test]
fn rope_theta_is_read_from_either_place() {
    let new = Folder::copy_of("odd-sizes");
    let old = Folder::copy_of("odd-sizes");
    old.edit_config(|c| {
        let text = c["text_config"].as_object_mut().expect("an object");
        text.remove("rope_parameters");
        text.insert("rope_theta".into(), 500.0.into());
        text.insert("rope_scaling".into(), serde_json::Value::Null);
    });
    let [new, old] = [new, old].map(|f| f.import().unwrap_or_else(|e| panic!("{e}")));
    assert_eq!(new.graph, old.graph);
    assert_eq!(old.spec.text.rope_theta, 500.0);
}

/// Qwen2-VL's first files keep the language model's keys at the top level, under older names.
#[test]
fn a_flat_qwen2_vl_configuration_means_the_same() {
    let folder = Folder::copy_of("qwen2-vl");
    let nested = folder.import().unwrap_or_else(|e| panic!("{e}"));
    folder.edit_config(|config| {
        let top = config.as_object_mut().expect("an object");
        let mut text = top.remove("text_config").expect("the text's part");
        let text = text.as_object_mut().expect("an object");
        let rope = text.remove("rope_parameters").expect("rotary settings");
        text.remove("model_type");
        top.append(text);
        top.insert("rope_theta".into(), rope["rope_theta"].clone());
        let scaling = serde_json::json!({"type": "mrope", "mrope_section": rope["mrope_section"]});
        top.insert("rope_scaling".into(), scaling);
        top["vision_config"]["model_type"] = "qwen2_vl".into();
        top["vision_config"]["in_chans"] = 3.into();
    });
    let flat = folder.import().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(flat.graph.to_string(), nested.graph.to_string());
    assert_eq!(flat.spec, nested.spec);
}
