//! The table of vision towers: names, defaults and parts of each Hugging Face vision model.
//!
//! A tower adds a row here, not code. Paths are below the tower's own prefix, `{}` is a layer's number.

use crate::graph::VisionKind;

/// Keys of the configuration under which a tower keeps its sizes.
pub(super) struct SizeKeys {
    pub hidden: &'static str,
    pub layers: &'static str,
    pub heads: &'static str,
}

const USUAL_KEYS: SizeKeys =
    SizeKeys { hidden: "hidden_size", layers: "num_hidden_layers", heads: "num_attention_heads" };

/// Width of the feed-forward block.
pub(super) enum Intermediate {
    /// Under `intermediate_size`, with the class's default.
    Key(usize),
    /// A multiple of the tower's width.
    Ratio(&'static str, f64),
}

/// Where the weights of queries, keys and values lie.
pub(super) enum Qkv {
    /// One tensor each.
    Each([&'static str; 3]),
    /// One behind the other in one tensor.
    Fused(&'static str),
}

/// Which norms a tower has.
pub(super) enum Norms {
    Layer,
    Rms,
    /// `layer_norm` or `rms_norm`, as this key says; absent means layer norms.
    Key(&'static str),
}

/// A vision transformer: pre-norm, biases in its feed-forward block.
pub(super) struct Tower {
    pub model_type: &'static str,
    /// Other names in older files.
    pub aliases: &'static [&'static str],
    pub kind: VisionKind,
    pub keys: SizeKeys,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub intermediate: Intermediate,
    pub patch: usize,
    pub image_size: usize,
    /// Frames that a patch covers (a still picture repeats its one).
    pub frames: usize,
    /// Grids other than the square of `image_size` are allowed.
    pub any_grid: bool,
    /// Rotary instead of learned positions.
    pub rotary: bool,
    /// Layers outside `fullatt_block_indexes` see windows of `window_size` pixels.
    pub windows: bool,
    /// Key of the language model's width, which the projector gives.
    pub out_width: Option<&'static str>,
    pub eps: f64,
    pub activation: &'static str,
    /// Name of a first row in front of the patches.
    pub class: Option<&'static str>,
    pub patch_embedding: &'static str,
    pub patch_bias: bool,
    pub position: &'static str,
    /// Layer norm between embeddings and layers.
    pub pre_norm: Option<&'static str>,
    /// In front of a layer's number.
    pub layer: &'static str,
    pub norms: [&'static str; 2],
    pub attention: &'static str,
    pub qkv: Qkv,
    /// Key that says whether queries, keys and values have a bias; `None`: they have.
    pub qkv_bias: Option<&'static str>,
    /// RMS norms of whole rows of queries and keys, if the key says so.
    pub qk_norm: Option<(&'static str, [&'static str; 2])>,
    pub output: &'static str,
    pub mlp: [&'static str; 2],
    /// Of a gated feed-forward block: what the first of its layers is multiplied by.
    pub gate: Option<&'static str>,
    /// Factors behind attention and feed-forward block.
    pub layer_scales: Option<[&'static str; 2]>,
    pub norm_type: Norms,
    /// Norm behind the layers.
    pub post_norm: &'static str,
}

const SIGLIP: Tower = Tower {
    model_type: "siglip_vision_model",
    aliases: &[],
    kind: VisionKind::Siglip,
    keys: USUAL_KEYS,
    hidden: 768,
    layers: 12,
    heads: 12,
    intermediate: Intermediate::Key(3072),
    patch: 16,
    image_size: 224,
    frames: 1,
    any_grid: false,
    rotary: false,
    windows: false,
    out_width: None,
    eps: 1e-6,
    activation: "gelu_pytorch_tanh",
    class: None,
    patch_embedding: "embeddings.patch_embedding",
    patch_bias: true,
    position: "embeddings.position_embedding.weight",
    pre_norm: None,
    layer: "encoder.layers.",
    norms: ["layer_norm1", "layer_norm2"],
    attention: "self_attn",
    qkv: Qkv::Each(["q_proj", "k_proj", "v_proj"]),
    qkv_bias: None,
    qk_norm: None,
    output: "out_proj",
    mlp: ["mlp.fc1", "mlp.fc2"],
    gate: None,
    layer_scales: None,
    norm_type: Norms::Layer,
    post_norm: "post_layernorm",
};

const QWEN2_VL: Tower = Tower {
    model_type: "qwen2_vl_vision",
    aliases: &["qwen2_vl"],
    kind: VisionKind::Qwen2Vl,
    keys: SizeKeys { hidden: "embed_dim", layers: "depth", heads: "num_heads" },
    hidden: 1280,
    layers: 32,
    heads: 16,
    intermediate: Intermediate::Ratio("mlp_ratio", 4.0),
    patch: 14,
    image_size: 448,
    frames: 2,
    any_grid: true,
    rotary: true,
    activation: "quick_gelu",
    patch_embedding: "patch_embed.proj",
    patch_bias: false,
    layer: "blocks.",
    norms: ["norm1", "norm2"],
    attention: "attn",
    qkv: Qkv::Fused("qkv"),
    output: "proj",
    post_norm: "merger.ln_q",
    ..SIGLIP
};

/// Text encoders have the same parts.
pub(super) static TEXT_ENCODER: Tower = Tower { model_type: "clip_text_model", ..SIGLIP };

/// Hugging Face `CLIPVisionModel`, `SiglipVisionModel`, `Idefics3VisionTransformer` (SmolVLM's is the
/// same), `InternVLVisionModel`, `Qwen2VisionTransformer`, `Qwen2_5_VisionTransformer`.
pub(super) const TOWERS: &[Tower] = &[
    Tower {
        model_type: "clip_vision_model",
        kind: VisionKind::Clip,
        patch: 32,
        eps: 1e-5,
        activation: "quick_gelu",
        class: Some("embeddings.class_embedding"),
        patch_bias: false,
        // The spelling is Hugging Face's.
        pre_norm: Some("pre_layrnorm"),
        ..SIGLIP
    },
    SIGLIP,
    Tower {
        model_type: "idefics3_vision",
        aliases: &["idefics3"],
        kind: VisionKind::Idefics3,
        hidden: 1152,
        heads: 16,
        patch: 32,
        any_grid: true,
        ..SIGLIP
    },
    Tower {
        model_type: "smolvlm_vision",
        aliases: &["smolvlm"],
        kind: VisionKind::Idefics3,
        hidden: 1152,
        heads: 16,
        patch: 32,
        any_grid: true,
        ..SIGLIP
    },
    Tower {
        model_type: "internvl_vision",
        kind: VisionKind::InternVit,
        hidden: 1024,
        layers: 24,
        heads: 16,
        patch: 14,
        image_size: 448,
        activation: "gelu",
        class: Some("embeddings.cls_token"),
        patch_embedding: "embeddings.patch_embeddings.projection",
        position: "embeddings.position_embeddings",
        layer: "encoder.layer.",
        norms: ["layernorm_before", "layernorm_after"],
        attention: "attention",
        qkv_bias: Some("attention_bias"),
        qk_norm: Some(("use_qk_norm", ["q_norm", "k_norm"])),
        output: "projection_layer",
        layer_scales: Some(["lambda_1", "lambda_2"]),
        norm_type: Norms::Key("norm_type"),
        post_norm: "layernorm",
        ..SIGLIP
    },
    QWEN2_VL,
    Tower {
        model_type: "qwen2_5_vl_vision",
        aliases: &["qwen2_5_vl"],
        kind: VisionKind::Qwen25Vl,
        keys: SizeKeys { hidden: "hidden_size", ..QWEN2_VL.keys },
        hidden: 3584,
        intermediate: Intermediate::Key(3420),
        windows: true,
        out_width: Some("out_hidden_size"),
        activation: "silu",
        mlp: ["mlp.up_proj", "mlp.down_proj"],
        gate: Some("mlp.gate_proj"),
        norm_type: Norms::Rms,
        ..QWEN2_VL
    },
];
