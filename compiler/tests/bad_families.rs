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

#[test]
fn a_video_model_whose_tokens_or_towers_contradict_each_other_is_reported() {
    let folder = Folder::copy_of("video-llava");
    folder.edit_config(|c| c["video_token_index"] = c["image_token_index"].clone());
    folder.import_error(&["video_token_index", "another id than image_token_index"]);
    let folder = Folder::copy_of("video-llava");
    folder.edit_tensors(|tensors| tensors.retain(|t| !t.name.contains("video_tower")));
    folder.import_error(&["missing", "video_tower.vision_model.encoder.layers.1.mlp.fc1.weight"]);
}

#[test]
fn videos_that_a_model_does_not_take_are_reported() {
    use flightvlm_compiler::eval::Inputs;
    let inputs = common::root().join("tests/golden/video-llava/inputs.safetensors");
    let other = Folder::copy_of("clip-llama").import().expect("imports");
    let error = Inputs::read(&inputs, &other.spec).expect_err("no videos").to_string();
    assert!(error.contains("no videos, as LlavaForConditionalGeneration takes none"), "{error}");
    // 3 frames of 5 rows and a picture of 4: a prompt of one row less says so.
    let folder = Folder::copy_of("video-llava");
    let mut model = folder.import().expect("imports");
    assert_eq!(Inputs::read(&inputs, &model.spec).map(|i| i.images.len()), Ok(2));
    model.spec.video.as_mut().expect("a tower").vision.skip_rows = 1;
    let error = Inputs::read(&inputs, &model.spec).expect_err("too many rows").to_string();
    assert!(error.contains("16 image placeholders") && error.contains("19 placeholders"), "{error}");
}

#[test]
fn a_video_whose_grid_or_times_contradict_its_patches_is_reported() {
    use flightvlm_compiler::eval::Inputs;
    let message = |name: &str, edit: &dyn Fn(&mut common::Stored)| {
        let folder = Folder::copy_of("qwen2.5-vl-video");
        let model = folder.import().expect("imports");
        folder.edit_tensors_of("inputs.safetensors", |tensors| {
            edit(tensors.iter_mut().find(|t| t.name == name).expect("the tensor"));
        });
        Inputs::read(&folder.file("inputs.safetensors"), &model.spec).expect_err(name).to_string()
    };
    let grid = "video_grid_thw";
    for (edit, words) in [
        (0i64, "[times, height, width] for each"),
        (-3, "[times, height, width] for each"),
        (4, "as many as video_grid_thw says"),
        (i64::MAX, "as many as video_grid_thw says"),
    ] {
        let error = message(grid, &|t| t.bytes[..8].copy_from_slice(&edit.to_le_bytes()));
        assert!(error.contains(words), "{edit}: {error}");
    }
    let error = message(grid, &|t| t.bytes[8..16].copy_from_slice(&5i64.to_le_bytes()));
    assert!(error.contains("sides multiples of 2") && error.contains("5 x 8"), "{error}");
    for seconds in [-1.0f32, f32::NAN] {
        let error = message("second_per_grid_ts", &|t| t.bytes[..4].copy_from_slice(&seconds.to_le_bytes()));
        assert!(error.contains("second_per_grid_ts") && error.contains("2 float32 numbers"), "{error}");
    }
    let folder = Folder::copy_of("qwen2.5-vl-video");
    folder.edit_config(|c| {
        c["video_token_id"] = c["image_token_id"].clone();
        c["vision_config"]["tokens_per_second"] = json!(-2);
    });
    folder.import_error(&[
        "video_token_id",
        "another id than image_token_id",
        "tokens_per_second",
        "0 or more",
    ]);
}

#[test]
fn a_fastvit_that_is_not_what_it_says_is_reported() {
    let folder = Folder::copy_of("fastvlm");
    folder.edit_config(|c| {
        c["image_seq_length"] = json!(5);
        c["vision_config"]["hidden_size"] = json!(64);
        c["vision_config"]["model_args"]["embed_dims"] = json!([8, 16, 24, 32, 64]);
        c["vision_config"]["model_args"]["inference_mode"] = json!(false);
        c["vision_config"]["model_args"]["se_downsamples"] = json!([true]);
    });
    folder.import_error(&[
        "image_seq_length",
        "a square number of tokens",
        "vision_config.hidden_size",
        "128, 2 times the last of embed_dims",
        "vision_config.model_args.embed_dims",
        "heads of 32 columns",
        "vision_config.model_args.inference_mode",
        "each block is one convolution",
        "vision_config.model_args.se_downsamples",
    ]);
    let folder = Folder::copy_of("fastvlm");
    folder.edit_config(|c| c["vision_config"]["architecture"] = json!("fastvit_mci2"));
    folder.import_error(&["vision_config.architecture", "fastvit_mci3, fastvit_mci4"]);
    let folder = Folder::copy_of("fastvlm");
    folder.edit_config(|c| c["vision_config"]["model_args"]["layers"] = json!([1, 2, 1, 2, 2]));
    folder.import_error(&["missing", "stages.4.blocks.1.mlp.conv.bn.running_var"]);
}

#[test]
fn a_compressor_that_is_not_what_it_says_is_reported() {
    let folder = Folder::copy_of("quecc");
    folder.edit_config(|c| {
        c["mm_vision_token_compression_kernel_size"] = json!(4);
        c["mm_vision_output_token_count"] = json!(16);
        c["mm_vision_output_text_embedding_size"] = json!(40);
        c["mm_vision_select_feature"] = json!("cls_patch");
        c["mm_vision_select_layer"] = json!(-40);
        c["vision_config"]["num_hidden_layers"] = json!(20);
    });
    folder.import_error(&[
        "mm_vision_token_compression_kernel_size",
        "divides the grid of 6 x 6 patches",
        "mm_vision_output_token_count",
        "mm_vision_output_text_embedding_size",
        "mm_vision_select_feature",
        "mm_vision_select_layer",
        "at least 23 layers",
    ]);
    let folder = Folder::copy_of("quecc");
    folder.edit_config(|c| {
        c.as_object_mut().expect("an object").remove("mm_vision_token_compression_type");
    });
    folder.import_error(&["mm_vision_token_compression_type", "quecc", "LlavaForConditionalGeneration"]);
    let folder = Folder::copy_of("quecc");
    folder.edit_config(|c| {
        c.as_object_mut().expect("an object").remove("vision_config");
    });
    folder.import_error(&["vision_config", "scripts/join_quecc"]);
    let folder = Folder::copy_of("quecc");
    folder.edit_tensors(|tensors| tensors.retain(|t| !t.name.ends_with("q_downsample.bias")));
    folder.import_error(&["1 missing", "model.mm_projector.0.q_downsample.bias"]);
}

#[test]
fn a_picture_without_a_question_is_reported() {
    use flightvlm_compiler::eval::{Inputs, Session};
    let model = Folder::copy_of("quecc").import().expect("imports");
    let inputs = common::root().join("tests/golden/quecc/inputs.safetensors");
    let mut picture = Inputs::read(&inputs, &model.spec).expect("inputs").images.remove(0);
    let mut session = Session::new(&model).expect("eval");
    let asked = session.encode_image(&picture).expect("encodes").rows;
    picture.question.truncate(3);
    let otherwise = session.encode_image(&picture).expect("encodes").rows;
    assert!(asked.len() == otherwise.len() && asked != otherwise, "the question matters");
    picture.question.clear();
    let error = session.encode_image(&picture).expect_err("no question").to_string();
    assert!(error.contains("question_ids"), "{error}");
}

/// The feature layer counts from the last, so that fewer layers than `config.json` says would be another network, though
/// all tensors that are used are there.
#[test]
fn a_tower_with_fewer_layers_than_the_config_says_is_reported() {
    for (case, layers) in [("clip-llama", 4), ("llava-next", 3), ("siglip-llama-default", 3)] {
        let folder = Folder::copy_of(case);
        folder.edit_config(|c| {
            c["vision_config"]["num_hidden_layers"] = json!(layers);
            c["vision_feature_layer"] = json!(-2);
        });
        folder.import_error(&["num_hidden_layers"]);
    }
}

#[test]
fn a_paligemma_whose_projector_has_another_width_is_reported() {
    let folder = Folder::copy_of("paligemma");
    folder.edit_config(|c| c["vision_config"]["projection_dim"] = json!(44));
    folder.import_error(&["vision_config.projection_dim", "40, the language model's hidden_size"]);
}

#[test]
fn patches_that_cannot_be_joined_are_reported_by_the_factor() {
    let folder = Folder::copy_of("smolvlm");
    folder.edit_config(|c| c["scale_factor"] = json!(5));
    folder.import_error(&["scale_factor", "each of 25 patches"]);
}

/// Architectures that are not read: what comes nearest, and why it is not the same.
#[test]
fn relatives_of_unsupported_architectures_are_named() {
    for (name, nearest, why) in [
        ("LlavaLlamaForCausalLM", "nearest is LlavaForConditionalGeneration", "-hf"),
        ("LlavaQwen2ForCausalLM", "nearest is FastVlmForConditionalGeneration", "own format"),
        ("InternVLChatModel", "nearest is InternVLForConditionalGeneration", "-hf"),
        ("MiniCPMV", "nearest is LlavaOnevisionForConditionalGeneration", "resampler"),
        ("MllamaForConditionalGeneration", "nearest is LlavaNextForConditionalGeneration", "cross attention"),
        ("Qwen2MoeForCausalLM", "nearest supported one is Qwen2", "not supported"),
    ] {
        let folder = Folder::copy_of("clip-llama");
        folder.edit_config(|c| c["architectures"] = json!([name]));
        folder.import_error(&["architectures", name, nearest, why]);
    }
}
