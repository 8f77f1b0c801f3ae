//! FastViT towers (FastVLM's FastViTHD): stages of convolutions, in the last ones attention.
//!
//! Source: `timm` `fastvit.py` (`fastvit_mci3`, `fastvit_mci4`) in its re-parameterised form, behind Hugging Face's
//! `TimmWrapperModel`. Batch norms and layer scales are folded into the layers beside them.

use serde_json::{Map, Value};

use super::blocks::{AttentionShape, Blocks};
use super::fields::{Fields, FIX_CONFIG};
use super::layouts::Layout;
use super::text::WIDTH_MAX;
use crate::diag::Diagnostics;
use crate::graph::{
    ActKind, Change, InputKind, Op, PositionTable, Rows, TextSpec, ValueId, ValueType, VisionKind, VisionSpec,
};

/// Stages of a tower.
const STAGES: usize = 5;
/// Of these, those at the end that have attention.
const WITH_ATTENTION: usize = 2;
/// Columns of an attention head.
const HEAD: usize = 32;
/// Pixels of a side of the picture for each token.
const TOKEN_PIXELS: usize = 64;
/// Widening of a feed-forward block, epsilon of all norms, outputs of the last convolution for each channel.
const MLP_RATIO: usize = 4;
const EPS: f32 = 1e-5;
const LAST_MULTIPLIER: usize = 2;
/// Most tokens down and across.
const SIDE_MAX: usize = 64;

/// Sizes of a tower.
pub(super) struct FastVit {
    layers: [usize; STAGES],
    widths: [usize; STAGES],
}

/// The keys of a `timm_wrapper` tower; `text` is the language model.
pub(super) fn read(
    top: &Map<String, Value>,
    map: &Map<String, Value>,
    text: &TextSpec,
    faults: &mut Diagnostics,
) -> (FastVit, VisionSpec) {
    let mut fields = Fields::new("", top, faults);
    let tokens = fields.size("image_seq_length", 576, SIDE_MAX * SIDE_MAX);
    let side = tokens.isqrt();
    if side * side != tokens || tokens >= text.max_position {
        let expected = format!("a square number of tokens below the context of {}", text.max_position);
        fields.fault("image_seq_length", expected, tokens.to_string(), FIX_CONFIG);
    }
    for (key, wanted) in [("vision_feature_select_strategy", "full"), ("vision_feature_layer", "-1")] {
        let got = fields.get(key).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_string));
        if let Some(got) = got.filter(|got| got != wanted) {
            fields.fault(key, wanted, got, FIX_CONFIG);
        }
    }
    let mut fields = Fields::new("vision_config", map, faults);
    let kind = fields.text("model_type").unwrap_or("timm_wrapper");
    if kind != "timm_wrapper" {
        fields.fault("model_type", "timm_wrapper", kind, "use a FastVLM with its FastViT tower");
    }
    let name = fields.text("architecture").unwrap_or("fastvit_mci3");
    let (layers, widths) = match name {
        "fastvit_mci4" => ([2, 12, 24, 4, 4], [128, 256, 512, 1024, 2048]),
        "fastvit_mci3" => ([2, 12, 24, 4, 2], [96, 192, 384, 768, 1536]),
        other => {
            let names = ["fastvit_mci3", "fastvit_mci4"];
            fields.unsupported("architecture", names.into_iter(), other, "use a supported tower");
            ([1; STAGES], [HEAD; STAGES])
        }
    };
    let empty = Map::new();
    let args = fields.object("model_args").unwrap_or(&empty);
    let hidden = fields.optional_size("hidden_size", WIDTH_MAX);
    let mut fields = Fields::new("vision_config.model_args", args, faults);
    if !fields.flag("inference_mode", false) {
        let help = "re-parameterise the tower (timm's reparameterize_model) and save it again";
        fields.fault("inference_mode", "true: each block is one convolution", "false", help);
    }
    let known = ["inference_mode", "layers", "embed_dims"];
    for key in args.keys().filter(|key| !known.contains(&key.as_str())) {
        fields.fault(
            key,
            "no other arguments than inference_mode, layers, embed_dims",
            "this one",
            FIX_CONFIG,
        );
    }
    let layers = five(&mut fields, "layers", layers);
    let widths = five(&mut fields, "embed_dims", widths);
    let grows = widths.windows(2).all(|w| w[1].is_multiple_of(w[0]));
    let heads = widths[STAGES - WITH_ATTENTION..].iter().all(|w| w.is_multiple_of(HEAD));
    if !grows || !heads {
        let expected =
            format!("widths that divide the next one, the last {WITH_ATTENTION} in heads of {HEAD} columns");
        fields.fault("embed_dims", expected, format!("{widths:?}"), FIX_CONFIG);
    }
    let out = LAST_MULTIPLIER * widths[STAGES - 1];
    if let Some(got) = hidden.filter(|hidden| *hidden != out) {
        let mut fields = Fields::new("vision_config", map, faults);
        let expected = format!("{out}, {LAST_MULTIPLIER} times the last of embed_dims");
        fields.fault("hidden_size", expected, got.to_string(), FIX_CONFIG);
    }
    let stem = TOKEN_PIXELS / 2;
    let spec = VisionSpec {
        kind: VisionKind::Convolutions,
        image_size: TOKEN_PIXELS * side.max(1),
        patch: 2,
        patch_count: (stem * side.max(1)).pow(2),
        pixel_cols: 27,
        positions: PositionTable::None,
        merge: stem,
        rows: (stem * side.max(1)).pow(2),
        hidden: out,
        head_dim: HEAD,
        eps: EPS,
        ..VisionSpec::default()
    };
    (FastVit { layers, widths }, spec)
}

/// A list of five sizes.
fn five(fields: &mut Fields<'_, '_>, key: &str, default: [usize; STAGES]) -> [usize; STAGES] {
    let Some(value) = fields.get(key) else { return default };
    let size = |v: &Value| v.as_u64().map(|n| n as usize).filter(|n| (1..=WIDTH_MAX).contains(n));
    let list: Option<Vec<usize>> = value.as_array().and_then(|list| list.iter().map(size).collect());
    list.and_then(|list| list.try_into().ok()).unwrap_or_else(|| {
        fields.fault(key, format!("a list of {STAGES} sizes"), value.to_string(), FIX_CONFIG);
        default
    })
}

/// A map under construction: its value and the pixels of a side.
#[derive(Clone, Copy)]
struct Image {
    x: ValueId,
    side: usize,
}

/// `[receptive fields, 27] -> [image, columns]`.
pub(super) fn tower(blocks: &mut Blocks<'_>, layout: &Layout, vit: &FastVit, spec: &VisionSpec) -> ValueId {
    let root = blocks.spelling(layout.vision, "stem.0.reparam_conv.weight");
    let name = |part: &str| format!("{root}{part}");
    let ty = ValueType::new(Rows::Patches { with_class: false }, spec.pixel_cols);
    let pixels = blocks.graph.push("pixel_values", Op::Input(InputKind::Pixels), &[], ty);
    let width = vit.widths[0];
    let x = blocks.linear(&name("stem.0.reparam_conv"), pixels, width, true);
    let x = blocks.act(&name("stem.0.act"), ActKind::Gelu, x);
    let mut map = Image { x, side: spec.image_size / 2 };
    map = depthwise(blocks, &name("stem.1.reparam_conv"), map, width, (3, 2), None);
    map.x = blocks.act(&name("stem.1.act"), ActKind::Gelu, map.x);
    map = pointwise(blocks, &name("stem.2.reparam_conv"), map, width);
    for (stage, (layers, width)) in vit.layers.into_iter().zip(vit.widths).enumerate() {
        let path = name(&format!("stages.{stage}"));
        let attends = stage >= STAGES - WITH_ATTENTION;
        if stage > 0 {
            let proj = format!("{path}.downsample.proj");
            map = depthwise(blocks, &format!("{proj}.0.reparam_conv"), map, width, (7, 2), None);
            map.x = blocks.act(&format!("{proj}.0.act"), ActKind::Gelu, map.x);
            map = pointwise(blocks, &format!("{proj}.1.reparam_conv"), map, width);
        }
        if attends {
            map = depthwise(blocks, &format!("{path}.pos_emb.reparam_conv"), map, width, (7, 1), None);
        }
        for layer in 0..layers {
            let path = format!("{path}.blocks.{layer}");
            map = match attends {
                true => attention(blocks, &path, map, width),
                false => {
                    let conv = format!("{path}.token_mixer.reparam_conv");
                    depthwise(blocks, &conv, map, width, (3, 1), None)
                }
            };
            let scale = if attends { "layer_scale_2" } else { "layer_scale" };
            map = feed_forward(blocks, &path, map, width, scale);
        }
    }
    let width = LAST_MULTIPLIER * width_of(blocks, map);
    map = depthwise(blocks, &name("final_conv.reparam_conv"), map, width, (3, 1), None);
    map.x = excite(blocks, &name("final_conv.se"), map.x);
    map.x = blocks.act(&name("final_conv.act"), ActKind::Gelu, map.x);
    let op = Op::SelectRows { skip: 0, join: 1, pooled: false };
    blocks.graph.push("vision_feature_select", op, &[map.x], ValueType::new(Rows::Image, width))
}

fn width_of(blocks: &Blocks<'_>, map: Image) -> usize {
    blocks.cols(map.x)
}

/// `norm`: the batch norm behind the convolution, which then has no bias of its own.
fn depthwise(
    blocks: &mut Blocks<'_>,
    path: &str,
    map: Image,
    width: usize,
    (kernel, stride): (usize, usize),
    norm: Option<&str>,
) -> Image {
    let shape = [width, kernel * kernel];
    let (w, b) = match norm {
        None => {
            (blocks.weight(format!("{path}.weight"), &shape), blocks.weight(format!("{path}.bias"), &[width]))
        }
        Some(norm) => {
            let part = |part: &str| format!("{norm}.{part}");
            let (gamma, var, mean) = (part("weight"), part("running_var"), part("running_mean"));
            let normed = vec![Change::Normed { gamma: gamma.clone(), var: var.clone(), eps: EPS }];
            let shifted = vec![Change::MinusNormed { mean, gamma, var, eps: EPS }];
            let w = blocks.graph.add_changed(format!("{path}.weight"), &shape, normed);
            (w, blocks.graph.add_changed(part("bias"), &[width], shifted))
        }
    };
    let side = (map.side - 1) / stride + 1;
    let op = Op::Depthwise { w, b, kernel, stride, side: map.side };
    let ty = ValueType::new(Rows::Const(side * side), width);
    Image { x: blocks.graph.push(path, op, &[map.x], ty), side }
}

/// A convolution of single pixels and its activation.
fn pointwise(blocks: &mut Blocks<'_>, path: &str, map: Image, width: usize) -> Image {
    let x = blocks.linear(path, map.x, width, true);
    Image { x: blocks.act(&format!("{path}.act"), ActKind::Gelu, x), ..map }
}

fn feed_forward(blocks: &mut Blocks<'_>, path: &str, map: Image, width: usize, scale: &str) -> Image {
    let (mlp, norm) = (format!("{path}.mlp"), format!("{path}.mlp.conv.bn"));
    let h = depthwise(blocks, &format!("{mlp}.conv.conv"), map, width, (7, 1), Some(&norm));
    let h = blocks.linear(&format!("{mlp}.fc1"), h.x, MLP_RATIO * width, true);
    let h = blocks.act(&format!("{mlp}.act"), ActKind::Gelu, h);
    let h = blocks.scaled_linear(&format!("{mlp}.fc2"), h, width, &format!("{path}.{scale}.gamma"));
    Image { x: blocks.add(&mlp, map.x, h), ..map }
}

fn attention(blocks: &mut Blocks<'_>, path: &str, map: Image, width: usize) -> Image {
    let (heads, mixer) = (width / HEAD, format!("{path}.token_mixer"));
    let h = blocks.layer_norm(&format!("{path}.norm"), map.x, EPS);
    let parts = ["q", "k", "v"].map(|name| (format!("{mixer}.{name}"), width));
    let qkv = blocks.linears(Some(format!("{mixer}.qkv")), h, parts, false);
    let (causal, prefix, mask, windows) = (false, false, None, None);
    let shape = AttentionShape { heads, kv_heads: heads, head_dim: HEAD, causal, prefix, mask, windows };
    let h = blocks.attention(&mixer, &shape, qkv);
    let scale = format!("{path}.layer_scale_1.gamma");
    let h = blocks.scaled_linear(&format!("{mixer}.proj"), h, width, &scale);
    Image { x: blocks.add(&mixer, map.x, h), ..map }
}

fn excite(blocks: &mut Blocks<'_>, path: &str, x: ValueId) -> ValueId {
    let columns = blocks.cols(x);
    // As timm rounds it.
    let inner = ((columns as f64 / 16.0) + 0.5) as usize;
    let mut layer = |name: &str, shape: [usize; 2]| {
        let w = blocks.weight(format!("{path}.{name}.weight"), &shape);
        [w, blocks.weight(format!("{path}.{name}.bias"), &shape[..1])]
    };
    let (first, second) = (layer("fc1", [inner, columns]), layer("fc2", [columns, inner]));
    blocks.same(path, Op::Excite { first, second }, &[x])
}
