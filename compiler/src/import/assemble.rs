//! Composition of blocks into vision tower, projector and language model.
//!
//! Sources: Hugging Face `LlavaMultiModalProjector` and its relatives, `LlamaModel` (the other language
//! models differ in what the table of families says).

use super::blocks::{AttentionShape, Blocks};
use super::config::Config;
use super::contrast::TextEncoder;
use super::families::Fused;
use super::fastvit;
use super::layouts::Tiling;
use super::text::TextConfig;
use super::tower::{self, Side};
use super::vision::VisionConfig;
use crate::graph::{Change, ImageExtents, InputKind, Op, Rows, ValueId, ValueType};

/// Appends the whole model.
pub(super) fn model(blocks: &mut Blocks<'_>, config: &Config) {
    let image = config.vision.as_ref().map(|vision| {
        let own_tower = config.layout.video.as_ref().is_some_and(|video| !video.tower.is_empty());
        let frame = vision.video.as_ref().filter(|_| own_tower).map(|video| &video.vision);
        blocks.graph.image = Some(ImageExtents {
            patch_count: vision.spec.patch_count,
            visual_token_count: vision.visual_tokens,
            frame_token_count: frame.map_or(0, |spec| spec.tokens(spec.full_grid())),
        });
        let side = Side {
            roots: config.layout.vision,
            input: InputKind::Pixels,
            tokens: Rows::Image,
            skip_rows: vision.spec.skip_rows,
        };
        let rows = match (vision.family, &vision.fastvit) {
            (Some(family), _) => tower::tower(blocks, config.layout, vision, family, &side),
            (None, Some(vit)) => fastvit::tower(blocks, config.layout, vit, &vision.spec),
            (None, None) => tower::patches(blocks, vision),
        };
        projector(blocks, config, vision, rows)
    });
    let video = config.vision.as_ref().zip(config.layout.video.as_ref()).and_then(|(vision, video)| {
        let skip_rows = vision.video.as_ref().filter(|_| !video.tower.is_empty())?.vision.skip_rows;
        let (input, tokens) = (InputKind::FramePixels, Rows::Frame);
        let side = Side { roots: video.tower, input, tokens, skip_rows };
        let rows = tower::tower(blocks, config.layout, vision, vision.family?, &side);
        Some(projector(blocks, config, vision, rows))
    });
    match (&config.text.encoder, image) {
        (Some(encoder), Some(image)) => {
            blocks.graph.push_output("image_embeds", image);
            text_encoder(blocks, config, encoder);
        }
        _ => language_model(blocks, config, image.zip(config.image_token_id), video),
    }
}

/// `[image, joined columns] -> [image, text hidden]`.
fn projector(blocks: &mut Blocks<'_>, config: &Config, vision: &VisionConfig, mut x: ValueId) -> ValueId {
    let layout = &config.layout.projector;
    let Some((first, _)) = layout.linears.first() else { return x };
    let first = format!("{first}.weight");
    let root = blocks.spelling(config.layout.projector_root, &first);
    if let Some(name) = layout.norm {
        // The epsilon is PyTorch's default: the configuration has no key for it.
        x = blocks.layer_norm(&format!("{root}{name}"), x, 1e-5);
    }
    for (at, (name, own_width)) in layout.linears.iter().enumerate() {
        if at > 0 {
            x = blocks.act(&format!("{root}act"), vision.projector_activation, x);
        }
        let wide = config.contrast.as_ref().map_or(config.text.spec.hidden, |contrast| contrast.width);
        let width = if *own_width { blocks.cols(x) } else { wide };
        x = blocks.linear(&format!("{root}{name}"), x, width, vision.projector_bias);
    }
    x
}

/// Token ids (and visual tokens) to logits `[prompt, vocab]`.
fn language_model(
    blocks: &mut Blocks<'_>,
    config: &Config,
    merge: Option<(ValueId, u32)>,
    frames: Option<ValueId>,
) {
    let text = &config.text;
    let spec = &text.spec;
    let root = blocks.spelling(config.layout.text, "embed_tokens.weight");
    let ids_ty = ValueType::new(Rows::Prompt, 1);
    let ids = blocks.graph.push("input_ids", Op::Input(InputKind::TokenIds), &[], ids_ty);
    let path = format!("{root}embed_tokens");
    let shape = [spec.vocab, spec.hidden];
    let scale = text.embedding_scale.map(Change::Times);
    let table = blocks.graph.add_changed(format!("{path}.weight"), &shape, scale.into_iter().collect());
    let ty = ValueType::new(Rows::Prompt, spec.hidden);
    let mut x = blocks.graph.push(path.as_str(), Op::Embedding { w: table }, &[ids], ty);
    if let Some((image, placeholder)) = merge {
        let learned = match config.layout.tiling {
            Tiling::Tiles => None,
            Tiling::AnyResolution { newline, .. } => {
                let name = blocks.tensor(newline);
                Some(blocks.weight(name.to_string(), &[1, spec.hidden]))
            }
        };
        let video = config.vision.as_ref().and_then(|vision| vision.video.as_ref());
        let video = video.filter(|_| frames.is_some()).map(|video| video.token_id);
        let op = Op::MergeImageRows { placeholder, video, learned };
        let inputs: Vec<ValueId> = [x, image].into_iter().chain(frames).collect();
        x = blocks.same("merge_image_features", op, &inputs);
    }
    for layer in 0..spec.layers {
        x = decoder_layer(blocks, &format!("{root}layers.{layer}"), text, x);
    }
    x = norm(blocks, &format!("{root}{}", text.family.names.final_norm), text, x);
    let head = blocks.spelling(config.layout.head, "weight");
    let logits = if spec.tied_embeddings {
        let ty = ValueType::new(Rows::Prompt, spec.vocab);
        // The output layer shares the tensor, not the scale.
        let w = match text.embedding_scale {
            None => table,
            Some(_) => blocks.weight(format!("{path}.weight"), &shape),
        };
        blocks.graph.push(head.trim_end_matches('.'), Op::Linear { w, b: None }, &[x], ty)
    } else {
        blocks.linear(head.trim_end_matches('.'), x, spec.vocab, false)
    };
    blocks.graph.push_output("logits", logits);
}

/// Token ids to vectors `[prompt, width]`, one a row.
fn text_encoder(blocks: &mut Blocks<'_>, config: &Config, encoder: &TextEncoder) {
    let (spec, shape) = (&config.text.spec, &encoder.shape);
    let root = blocks.spelling(config.layout.text, "embeddings.token_embedding.weight");
    let ids_ty = ValueType::new(Rows::Prompt, 1);
    let ids = blocks.graph.push("input_ids", Op::Input(InputKind::TokenIds), &[], ids_ty);
    let path = format!("{root}embeddings.token_embedding");
    let w = blocks.weight(format!("{path}.weight"), &[spec.vocab, spec.hidden]);
    let ty = ValueType::new(Rows::Prompt, spec.hidden);
    let mut x = blocks.graph.push(path, Op::Embedding { w }, &[ids], ty);
    let path = format!("{root}embeddings.position_embedding");
    let w = blocks.weight(format!("{path}.weight"), &[encoder.positions, spec.hidden]);
    x = blocks.same(&path, Op::AddPosition { w }, &[x]);
    for number in 0..spec.layers {
        x = tower::layer(blocks, &format!("{root}{}{number}", shape.family.layer), shape, None, x);
    }
    x = blocks.norm(&format!("{root}final_layer_norm"), x, shape.norm);
    let width = config.contrast.as_ref().map_or(spec.hidden, |contrast| contrast.width);
    let head = blocks.spelling(config.layout.head, "weight").trim_end_matches('.');
    x = blocks.linear(head, x, width, encoder.projection_bias);
    blocks.graph.push_output("text_embeds", x);
}

/// A norm of the language model.
fn norm(blocks: &mut Blocks<'_>, path: &str, text: &TextConfig, x: ValueId) -> ValueId {
    match text.family.layer_norms {
        true => blocks.layer_norm(path, x, text.spec.eps),
        false => blocks.rms_norm(path, x, text.spec.eps, text.family.norms_minus_one),
    }
}

fn decoder_layer(blocks: &mut Blocks<'_>, path: &str, text: &TextConfig, x: ValueId) -> ValueId {
    let (spec, family) = (&text.spec, text.family);
    let (q_cols, kv_cols) = (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim);
    let h = norm(blocks, &format!("{path}.input_layernorm"), text, x);
    let attn = format!("{path}.self_attn");
    let parts = [("q_proj", q_cols), ("k_proj", kv_cols), ("v_proj", kv_cols)];
    let parts = parts.map(|(name, cols)| (format!("{attn}.{name}"), cols));
    let [mut q, mut k, v] = match family.fused {
        Fused::No => blocks.linears(None, h, parts, text.qkv_bias),
        Fused::QkvAndGateUp => blocks.linears(Some(format!("{attn}.qkv_proj")), h, parts, text.qkv_bias),
        Fused::HeadByHead => {
            let tensor = format!("{attn}.query_key_value");
            blocks.head_linears(&tensor, h, parts, spec.head_dim, text.qkv_bias)
        }
    };
    if let (true, Some((_, [q_norm, k_norm]))) = (text.head_norms, family.head_norms) {
        q = blocks.head_layer_norm(&format!("{attn}.{q_norm}"), q, spec.heads, spec.eps);
        k = blocks.head_layer_norm(&format!("{attn}.{k_norm}"), k, spec.kv_heads, spec.eps);
    }
    let rope = |heads| Op::Rope { heads, head_dim: spec.head_dim, rotary: text.rotary.clone() };
    let q = blocks.same(&format!("{attn}.q_rope"), rope(spec.heads), &[q]);
    let k = blocks.same(&format!("{attn}.k_rope"), rope(spec.kv_heads), &[k]);
    let shape = AttentionShape {
        heads: spec.heads,
        kv_heads: spec.kv_heads,
        head_dim: spec.head_dim,
        causal: true,
        prefix: text.prefix,
        mask: text.mask,
        windows: None,
    };
    let h = blocks.attention(&attn, &shape, [q, k, v]);
    let h = blocks.linear(&format!("{attn}.{}", family.names.output), h, spec.hidden, text.output_bias);
    let x = blocks.add(&attn, x, h);
    let h = norm(blocks, &format!("{path}.post_attention_layernorm"), text, x);
    let mlp = format!("{path}.mlp");
    let [first, last] = family.names.mlp.map(|name| format!("{mlp}.{name}"));
    let act = format!("{mlp}.act_fn");
    let h = if family.gated {
        let fused = (family.fused == Fused::QkvAndGateUp).then(|| format!("{mlp}.gate_up_proj"));
        let parts = [format!("{mlp}.gate_proj"), first].map(|path| (path, spec.intermediate));
        let [gate, up] = blocks.linears(fused, h, parts, text.mlp_bias);
        let gate = blocks.act(&act, text.activation, gate);
        blocks.same(&mlp, Op::Mul, &[gate, up])
    } else {
        let up = blocks.linear(&first, h, spec.intermediate, text.mlp_bias);
        blocks.act(&act, text.activation, up)
    };
    let h = blocks.linear(&last, h, spec.hidden, text.mlp_bias);
    blocks.add(&mlp, x, h)
}
