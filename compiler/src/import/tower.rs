//! The graph of a vision tower.
//!
//! Sources: Hugging Face `CLIPVisionTransformer`, `SiglipVisionTransformer`, `Idefics3VisionTransformer`,
//! `InternVLVisionModel`, `Qwen2VisionTransformerPretrainedModel`.

use super::blocks::{AttentionShape, Blocks, NormShape};
use super::layouts::Layout;
use super::quecc;
use super::towers::{Norms, Qkv, Tower};
use super::vision::VisionConfig;
use crate::graph::{
    plain_frequencies, ActKind, Change, Frequencies, InputKind, Op, PositionTable, Rotary, Rows, ValueId,
    ValueType,
};

/// What a tower is for: pictures, or frames of videos.
pub(super) struct Side {
    /// In front of the tower's tensors.
    pub roots: &'static [&'static str],
    pub input: InputKind,
    /// Its visual tokens.
    pub tokens: Rows,
    /// Rows dropped behind it.
    pub skip_rows: usize,
}

/// `[patches, pixels] -> [image, joined columns]`.
pub(super) fn tower(
    blocks: &mut Blocks<'_>,
    layout: &Layout,
    vision: &VisionConfig,
    family: &'static Tower,
    side: &Side,
) -> ValueId {
    let spec = &vision.spec;
    let root = blocks.spelling(side.roots, &format!("{}.weight", family.patch_embedding)).to_string();
    let pixels = pixels(blocks, side.input, vision);
    let path = format!("{root}{}", family.patch_embedding);
    let mut x = blocks.linear(&path, pixels, spec.hidden, family.patch_bias);
    if let Some(class) = family.class {
        let path = format!("{root}{class}");
        let w = blocks.weight(path.clone(), &[spec.hidden]);
        let ty = ValueType::new(Rows::Patches { with_class: true }, spec.hidden);
        x = blocks.graph.push(path, Op::PrependRow { w }, &[x], ty);
    }
    if let PositionTable::Learned { side } = spec.positions {
        let name = format!("{root}{}", family.position);
        let rows = side * side + usize::from(spec.has_class);
        let w = blocks.weight(name.clone(), &[rows, spec.hidden]);
        x = blocks.same(name.trim_end_matches(".weight"), Op::AddPosition { w }, &[x]);
    }
    if let Some(name) = family.pre_norm {
        x = blocks.layer_norm(&format!("{root}{name}"), x, spec.eps);
    }
    let shape = EncoderShape {
        family,
        hidden: spec.hidden,
        heads: spec.heads,
        head_dim: spec.head_dim,
        intermediate: spec.intermediate,
        norm: vision.norm,
        activation: vision.activation,
        qkv_bias: vision.qkv_bias,
        qk_norm: vision.qk_norm,
        causal: false,
        prefix: false,
    };
    let mut states = vec![x];
    for number in 0..spec.layers_used {
        let windows = spec.windows.as_ref().filter(|windows| !windows.is_full(number)).map(|w| w.side);
        x = layer(blocks, &format!("{root}{}{number}", family.layer), &shape, windows, x);
        states.push(x);
    }
    if let (Some(quecc), Some(name)) = (&vision.quecc, layout.compressor) {
        let anchor = format!("{name}clip_attn.in_proj_weight");
        let root = format!("{}{name}", blocks.spelling(layout.projector_root, &anchor));
        return quecc::compress(blocks, &root, quecc, spec, &states);
    }
    if vision.post_norm {
        // InternViT's is a layer norm whatever the others are.
        let path = format!("{root}{}", family.post_norm);
        x = match family.norm_type {
            Norms::Rms => blocks.rms_norm(&path, x, spec.eps, false),
            Norms::Layer | Norms::Key(_) => blocks.layer_norm(&path, x, spec.eps),
        };
    }
    if layout.contrast.is_some_and(|family| family.pooling_head) {
        return pool(blocks, &format!("{root}head"), &shape, x);
    }
    let (join, pooled) = (spec.merge * spec.merge, spec.pooled);
    let ty = ValueType::new(side.tokens, join * spec.hidden);
    let op = Op::SelectRows { skip: side.skip_rows, join, pooled };
    blocks.graph.push("vision_feature_select", op, &[x], ty)
}

fn pixels(blocks: &mut Blocks<'_>, input: InputKind, vision: &VisionConfig) -> ValueId {
    let ty = ValueType::new(Rows::Patches { with_class: false }, vision.spec.pixel_cols);
    let path = if input == InputKind::FramePixels { "pixel_values_videos" } else { "pixel_values" };
    blocks.graph.push(path, Op::Input(input), &[], ty)
}

/// No tower: patches are what the projector takes.
pub(super) fn patches(blocks: &mut Blocks<'_>, vision: &VisionConfig) -> ValueId {
    let pixels = pixels(blocks, InputKind::Pixels, vision);
    let ty = ValueType::new(Rows::Image, vision.spec.pixel_cols);
    let op = Op::SelectRows { skip: 0, join: 1, pooled: false };
    blocks.graph.push("patches", op, &[pixels], ty)
}

/// Attention pooling: a learned row asks all others (`SiglipMultiheadAttentionPoolingHead`).
fn pool(blocks: &mut Blocks<'_>, path: &str, spec: &EncoderShape, x: ValueId) -> ValueId {
    let (hidden, attn) = (spec.hidden, format!("{path}.attention"));
    let probe = format!("{path}.probe");
    let w = blocks.weight(probe.clone(), &[hidden]);
    let row = ValueType::new(Rows::Image, hidden);
    let probe = blocks.graph.push(probe, Op::LearnedRow { w }, &[], row);
    // PyTorch's `MultiheadAttention` keeps all three in one tensor.
    let mut part = |at: usize, name: &str, x: ValueId| {
        let rows = || vec![Change::Rows { first: at * hidden, of: 3 * hidden }];
        let w = blocks.graph.add_changed(format!("{attn}.in_proj_weight"), &[hidden, hidden], rows());
        let b = Some(blocks.graph.add_changed(format!("{attn}.in_proj_bias"), &[hidden], rows()));
        let ty = ValueType::new(blocks.graph.ty(x).rows, hidden);
        blocks.graph.push(format!("{attn}.{name}"), Op::Linear { w, b }, &[x], ty)
    };
    let (q, k, v) = (part(0, "q", probe), part(1, "k", x), part(2, "v", x));
    let (heads, head_dim) = (spec.heads, spec.head_dim);
    let (kv_heads, mask) = (heads, None);
    let shape =
        AttentionShape { heads, kv_heads, head_dim, causal: false, prefix: false, mask, windows: None };
    let h = blocks.attention(&attn, &shape, [q, k, v]);
    let x = blocks.linear(&format!("{attn}.out_proj"), h, hidden, true);
    let h = blocks.norm(&format!("{path}.layernorm"), x, spec.norm);
    let [fc1, fc2] = spec.family.mlp.map(|name| format!("{path}.{name}"));
    let h = blocks.linear(&fc1, h, spec.intermediate, true);
    let h = blocks.act(&format!("{path}.mlp.act"), spec.activation, h);
    let h = blocks.linear(&fc2, h, hidden, true);
    blocks.add(path, x, h)
}

/// A layer of an encoder.
pub(super) struct EncoderShape {
    pub family: &'static Tower,
    pub hidden: usize,
    pub heads: usize,
    pub head_dim: usize,
    pub intermediate: usize,
    pub norm: NormShape,
    pub activation: ActKind,
    pub qkv_bias: bool,
    pub qk_norm: bool,
    pub causal: bool,
    /// All rows of a text see each other.
    pub prefix: bool,
}

/// `windows`: its rows see those of their window only, of so many patches a side.
pub(super) fn layer(
    blocks: &mut Blocks<'_>,
    path: &str,
    spec: &EncoderShape,
    windows: Option<usize>,
    x: ValueId,
) -> ValueId {
    let family = spec.family;
    let [norm1, norm2] = family.norms;
    let h = blocks.norm(&format!("{path}.{norm1}"), x, spec.norm);
    let attn = format!("{path}.{}", family.attention);
    let (fused, names) = match family.qkv {
        Qkv::Each(names) => (None, names),
        Qkv::Fused(name) => (Some(format!("{attn}.{name}")), ["q", "k", "v"]),
    };
    let parts = names.map(|name| (format!("{attn}.{name}"), spec.hidden));
    let [mut q, mut k, v] = blocks.linears(fused, h, parts, spec.qkv_bias);
    if let (true, Some((_, [q_norm, k_norm]))) = (spec.qk_norm, family.qk_norm) {
        // The epsilon is the class's default: the configuration has no key for it.
        q = blocks.rms_norm(&format!("{attn}.{q_norm}"), q, 1e-6, false);
        k = blocks.rms_norm(&format!("{attn}.{k_norm}"), k, 1e-6, false);
    }
    if family.rotary {
        let rotary = plane_rotary(spec.head_dim);
        let rope = |rotary| Op::Rope { heads: spec.heads, head_dim: spec.head_dim, rotary };
        q = blocks.same(&format!("{attn}.q_rope"), rope(rotary.clone()), &[q]);
        k = blocks.same(&format!("{attn}.k_rope"), rope(rotary), &[k]);
    }
    let shape = AttentionShape {
        heads: spec.heads,
        kv_heads: spec.heads,
        head_dim: spec.head_dim,
        causal: spec.causal,
        prefix: spec.prefix,
        mask: None,
        windows,
    };
    let h = blocks.attention(&attn, &shape, [q, k, v]);
    let scaled = |blocks: &mut Blocks<'_>, name: &str, x, at: usize| match family.layer_scales {
        Some(scales) => blocks.scaled_linear(name, x, spec.hidden, &format!("{path}.{}", scales[at])),
        None => blocks.linear(name, x, spec.hidden, true),
    };
    let h = scaled(blocks, &format!("{attn}.{}", family.output), h, 0);
    let x = blocks.add(&attn, x, h);
    let h = blocks.norm(&format!("{path}.{norm2}"), x, spec.norm);
    let [fc1, fc2] = family.mlp.map(|name| format!("{path}.{name}"));
    let first = blocks.linear(&fc1, h, spec.intermediate, true);
    let act = format!("{path}.mlp.act");
    let h = match family.gate {
        None => blocks.act(&act, spec.activation, first),
        Some(gate) => {
            let gate = blocks.linear(&format!("{path}.{gate}"), h, spec.intermediate, true);
            let gate = blocks.act(&act, spec.activation, gate);
            blocks.same(&format!("{path}.mlp"), Op::Mul, &[gate, first])
        }
    };
    let h = scaled(blocks, &fc2, h, 1);
    blocks.add(&format!("{path}.mlp"), x, h)
}

/// Half of the pairs turn by the patch's row, half by its column.
fn plane_rotary(head_dim: usize) -> Rotary {
    let frequencies = plain_frequencies(10_000.0, head_dim / 2);
    let axes = [vec![0; frequencies.len()], vec![1; frequencies.len()]].concat();
    Rotary { frequencies: Frequencies::Fixed(frequencies.repeat(2)), axes, scaling: 1.0 }
}
