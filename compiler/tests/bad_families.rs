//! Configurations of single families that contradict themselves or their weights are named.

mod common;

use common::Folder;
use serde_json::json;

#[test]
fn windows_that_are_no_windows_are_reported() {
    let folder = Folder::copy_of("qwen2.5-vl");
    folder.edit_config(|c| {
        c["vision_config"]["window_size"] = json!(11);
        c["vision_config"]["fullatt_block_indexes"] = json!([1, 3]);
        c["vision_config"]["out_hidden_size"] = json!(48);
    });
    folder.import_error(&[
        "vision_config.window_size",
        "at least 12 pixels",
        "vision_config.fullatt_block_indexes",
        "below 3",
        "vision_config.out_hidden_size",
        "40, the language model's hidden_size",
    ]);
}

#[test]
fn a_missing_gate_of_a_tower_is_reported() {
    let folder = Folder::copy_of("qwen2.5-vl");
    folder.edit_tensors(|tensors| tensors.retain(|t| !t.name.ends_with("blocks.2.mlp.gate_proj.bias")));
    folder.import_error(&["1 missing", "blocks.2.mlp.gate_proj.bias"]);
}

#[test]
fn a_fuyu_whose_patches_contradict_its_weights_is_reported() {
    let folder = Folder::copy_of("fuyu");
    folder.edit_config(|c| {
        c["patch_size"] = json!(6);
        c["text_config"]["qk_layernorm"] = json!(false);
    });
    folder.import_error(&[
        "vision_embed_tokens.weight",
        "[40, 108]",
        "[40, 75]",
        "8 unexpected",
        "layers.0.self_attn.q_layernorm.bias",
    ]);
    let folder = Folder::copy_of("fuyu");
    folder.edit_config(|c| {
        c["num_channels"] = json!(1);
        c["text_config"]["rope_parameters"]["partial_rotary_factor"] = json!(0.1);
    });
    folder.import_error(&["num_channels", "RGB", "partial_rotary_factor", "at least two columns"]);
}

#[test]
fn a_picture_of_patches_of_another_size_is_reported() {
    use flightvlm_compiler::eval::Inputs;
    let folder = Folder::copy_of("fuyu");
    let model = folder.import().expect("imports");
    let inputs = common::root().join("tests/golden/qwen2.5-vl/inputs.safetensors");
    let error = Inputs::read(&inputs, &model.spec).expect_err("other patches").to_string();
    assert!(error.contains("[patches, 75]") && error.contains("[92, 216]"), "{error}");
}
