//! Composition of blocks into vision tower, projector and language model.
//!
//! Sources: Hugging Face `CLIPVisionTransformer`, `SiglipVisionTransformer`, `LlavaMultiModalProjector`,
//! `LlamaModel` (Mistral and Qwen2 differ in biases only).

use super::blocks::{AttentionShape, Blocks};
use super::config::Config;
use super::text::TextConfig;
use super::vision::VisionConfig;
use crate::graph::{ImageExtents, InputKind, Op, Rows, ValueId, ValueType};

/// Appends the whole model.
pub(super) fn model(blocks: &mut Blocks<'_>, config: &Config) {
    let image = config.vision.as_ref().map(|vision| {
        blocks.graph.image = Some(ImageExtents {
            patch_count: vision.spec.patch_count,
            visual_token_count: vision.visual_tokens,
        });
        let rows = vision_tower(blocks, config, vision);
        projector(blocks, config, vision, rows)
    });
    let merge = image.zip(config.image_token_id);
    language_model(blocks, config, merge);
}

/// `[patches, 3*p*p] -> [image, hidden]`.
fn vision_tower(blocks: &mut Blocks<'_>, config: &Config, vision: &VisionConfig) -> ValueId {
    let spec = &vision.spec;
    let root = blocks.spelling(config.layout.vision, "embeddings.patch_embedding.weight").to_string();
    let patches = Rows::Patches { with_class: false };
    let pixels_ty = ValueType::new(patches, 3 * spec.patch * spec.patch);
    let pixels = blocks.graph.push("pixel_values", Op::Input(InputKind::Pixels), &[], pixels_ty);
    let embeddings = format!("{root}embeddings");
    let path = format!("{embeddings}.patch_embedding");
    let mut x = blocks.linear(&path, pixels, spec.hidden, vision.family.conv_bias);
    if vision.family.has_class {
        let path = format!("{embeddings}.class_embedding");
        let w = blocks.weight(path.clone(), &[spec.hidden]);
        let ty = ValueType::new(Rows::Patches { with_class: true }, spec.hidden);
        x = blocks.graph.push(path, Op::PrependRow { w }, &[x], ty);
    }
    let path = format!("{embeddings}.position_embedding");
    let w = blocks.weight(format!("{path}.weight"), &[spec.rows, spec.hidden]);
    x = blocks.same(&path, Op::AddPosition { w }, &[x]);
    if let Some(name) = vision.family.pre_norm {
        x = blocks.layer_norm(&format!("{root}{name}"), x, spec.eps);
    }
    for layer in 0..spec.layers_used {
        x = vision_layer(blocks, &format!("{root}encoder.layers.{layer}"), vision, x);
    }
    let ty = ValueType::new(Rows::Image, spec.hidden);
    let op = Op::SkipRows { count: vision.skip_rows };
    blocks.graph.push("vision_feature_select", op, &[x], ty)
}

fn vision_layer(blocks: &mut Blocks<'_>, path: &str, vision: &VisionConfig, x: ValueId) -> ValueId {
    let spec = &vision.spec;
    let h = blocks.layer_norm(&format!("{path}.layer_norm1"), x, spec.eps);
    let attn = format!("{path}.self_attn");
    let project = |blocks: &mut Blocks<'_>, name: &str, x| {
        blocks.linear(&format!("{attn}.{name}"), x, spec.hidden, true)
    };
    let qkv = ["q_proj", "k_proj", "v_proj"].map(|name| project(blocks, name, h));
    let shape =
        AttentionShape { heads: spec.heads, kv_heads: spec.heads, head_dim: spec.head_dim, causal: false };
    let h = blocks.attention(&attn, &shape, qkv);
    let h = project(blocks, "out_proj", h);
    let x = blocks.add(&attn, x, h);
    let h = blocks.layer_norm(&format!("{path}.layer_norm2"), x, spec.eps);
    let h = blocks.linear(&format!("{path}.mlp.fc1"), h, spec.intermediate, true);
    let h = blocks.act(&format!("{path}.mlp.activation_fn"), vision.activation, h);
    let h = blocks.linear(&format!("{path}.mlp.fc2"), h, spec.hidden, true);
    blocks.add(&format!("{path}.mlp"), x, h)
}

/// `[image, vision hidden] -> [image, text hidden]`.
fn projector(blocks: &mut Blocks<'_>, config: &Config, vision: &VisionConfig, x: ValueId) -> ValueId {
    let root = blocks.spelling(config.layout.projector, "linear_1.weight");
    let hidden = config.text.spec.hidden;
    let bias = vision.projector_bias;
    let x = blocks.linear(&format!("{root}linear_1"), x, hidden, bias);
    let x = blocks.act(&format!("{root}act"), vision.projector_activation, x);
    blocks.linear(&format!("{root}linear_2"), x, hidden, bias)
}

/// Token ids (and visual tokens) to logits `[prompt, vocab]`.
fn language_model(blocks: &mut Blocks<'_>, config: &Config, merge: Option<(ValueId, u32)>) {
    let text = &config.text;
    let spec = &text.spec;
    let root = blocks.spelling(config.layout.text, "embed_tokens.weight");
    let ids_ty = ValueType::new(Rows::Prompt, 1);
    let ids = blocks.graph.push("input_ids", Op::Input(InputKind::TokenIds), &[], ids_ty);
    let path = format!("{root}embed_tokens");
    let table = blocks.weight(format!("{path}.weight"), &[spec.vocab, spec.hidden]);
    let ty = ValueType::new(Rows::Prompt, spec.hidden);
    let mut x = blocks.graph.push(path, Op::Embedding { w: table }, &[ids], ty);
    if let Some((image, placeholder)) = merge {
        let op = Op::MergeImageRows { placeholder };
        x = blocks.same("merge_image_features", op, &[x, image]);
    }
    for layer in 0..spec.layers {
        x = decoder_layer(blocks, &format!("{root}layers.{layer}"), text, x);
    }
    x = blocks.rms_norm(&format!("{root}norm"), x, spec.eps);
    let head = blocks.spelling(config.layout.head, "weight");
    let logits = if spec.tied_embeddings {
        let ty = ValueType::new(Rows::Prompt, spec.vocab);
        let path = head.trim_end_matches('.');
        blocks.graph.push(path, Op::Linear { w: table, b: None }, &[x], ty)
    } else {
        blocks.linear(head.trim_end_matches('.'), x, spec.vocab, false)
    };
    blocks.graph.push_output("logits", logits);
}

fn decoder_layer(blocks: &mut Blocks<'_>, path: &str, text: &TextConfig, x: ValueId) -> ValueId {
    let spec = &text.spec;
    let (q_cols, kv_cols) = (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim);
    let h = blocks.rms_norm(&format!("{path}.input_layernorm"), x, spec.eps);
    let attn = format!("{path}.self_attn");
    let q = blocks.linear(&format!("{attn}.q_proj"), h, q_cols, text.qkv_bias);
    let k = blocks.linear(&format!("{attn}.k_proj"), h, kv_cols, text.qkv_bias);
    let v = blocks.linear(&format!("{attn}.v_proj"), h, kv_cols, text.qkv_bias);
    let rope = |heads| Op::Rope {
        heads,
        head_dim: spec.head_dim,
        inv_freq: text.rope.inv_freq.clone(),
        attention_scaling: text.rope.attention_scaling,
    };
    let q = blocks.same(&format!("{attn}.q_rope"), rope(spec.heads), &[q]);
    let k = blocks.same(&format!("{attn}.k_rope"), rope(spec.kv_heads), &[k]);
    let shape =
        AttentionShape { heads: spec.heads, kv_heads: spec.kv_heads, head_dim: spec.head_dim, causal: true };
    let h = blocks.attention(&attn, &shape, [q, k, v]);
    let h = blocks.linear(&format!("{attn}.o_proj"), h, spec.hidden, text.output_bias);
    let x = blocks.add(&attn, x, h);
    let h = blocks.rms_norm(&format!("{path}.post_attention_layernorm"), x, spec.eps);
    let mlp = format!("{path}.mlp");
    let gate = blocks.linear(&format!("{mlp}.gate_proj"), h, spec.intermediate, text.mlp_bias);
    let gate = blocks.act(&format!("{mlp}.act_fn"), text.activation, gate);
    let up = blocks.linear(&format!("{mlp}.up_proj"), h, spec.intermediate, text.mlp_bias);
    let h = blocks.same(&mlp, Op::Mul, &[gate, up]);
    let h = blocks.linear(&format!("{mlp}.down_proj"), h, spec.hidden, text.mlp_bias);
    blocks.add(&mlp, x, h)
}
