//! The table of model families: all that distinguishes one supported checkpoint from another.
//!
//! A family adds rows here, not code. Default values are those of the Hugging Face configuration classes,
//! because `config.json` may leave out whatever equals its default. Prefix lists go from the spelling
//! written by current `save_pretrained` to older ones; the first that the checkpoint uses is taken.

use super::layouts::LAYOUTS;

/// Whether a projection has a bias.
#[derive(Clone, Copy)]
pub(super) enum Bias {
    Never,
    Always,
    /// As the configuration key says; absent means no.
    Key(&'static str),
}

/// Whether attention may be limited to a window of the last positions.
#[derive(Clone, Copy)]
pub(super) enum Window {
    Never,
    /// `sliding_window` applies unless null; the class's default is given.
    Default(usize),
    /// `sliding_window` applies when it is there.
    IfGiven,
    /// `sliding_window` applies when `use_sliding_window` is true.
    OnRequest,
}

/// How the feed-forward and attention projections of a language model are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fused {
    /// One tensor each.
    No,
    /// `qkv_proj` and `gate_up_proj` hold several, one behind the other.
    QkvAndGateUp,
    /// `query_key_value` holds query, key and value of each head, head by head.
    HeadByHead,
}

/// Names of a layer's parts.
pub(super) struct TextNames {
    /// Behind the attention.
    pub output: &'static str,
    /// First and last layer of the feed-forward block.
    pub mlp: [&'static str; 2],
    /// The norm behind all layers.
    pub final_norm: &'static str,
}

/// A decoder-only language model: pre-norm, rotary positions.
pub(super) struct TextFamily {
    /// For the support table.
    pub about: &'static str,
    pub model_type: &'static str,
    pub architecture: &'static str,
    pub fused: Fused,
    pub qkv_bias: Bias,
    pub output_bias: Bias,
    pub mlp_bias: Bias,
    pub window: Window,
    pub vocab: usize,
    pub hidden: usize,
    pub intermediate: usize,
    /// `None`: as many as query heads.
    pub kv_heads: Option<usize>,
    /// `None`: hidden size over heads.
    pub head_dim: Option<usize>,
    pub max_position: usize,
    pub eps: f64,
    pub activation: &'static str,
    /// Names that old files use for an activation, and the function they mean.
    pub legacy_activation: Option<(&'static str, &'static str)>,
    pub tied: bool,
    /// Layer norms instead of RMS norms.
    pub layer_norms: bool,
    /// Norm weights are stored minus one.
    pub norms_minus_one: bool,
    /// Layer norms of each head of queries and keys, if the key (absent: true) says so.
    pub head_norms: Option<(&'static str, [&'static str; 2])>,
    /// The feed-forward block has a gate.
    pub gated: bool,
    /// Share of a head that turns, where the configuration does not say.
    pub partial_rotary: f64,
    pub names: TextNames,
    /// Embedding rows are multiplied by the root of the width.
    pub scaled_embedding: bool,
}

/// Hugging Face `LlamaConfig`; the others are given by what differs.
const LLAMA: TextFamily = TextFamily {
    model_type: "llama",
    about: "grouped heads, all rotary scalings; SmolLM2 is one",
    architecture: "LlamaForCausalLM",
    fused: Fused::No,
    qkv_bias: Bias::Key("attention_bias"),
    output_bias: Bias::Key("attention_bias"),
    mlp_bias: Bias::Key("mlp_bias"),
    window: Window::Never,
    vocab: 32_000,
    hidden: 4096,
    intermediate: 11_008,
    kv_heads: None,
    head_dim: None,
    max_position: 2048,
    eps: 1e-6,
    activation: "silu",
    legacy_activation: None,
    tied: false,
    layer_norms: false,
    norms_minus_one: false,
    head_norms: None,
    gated: true,
    partial_rotary: 1.0,
    names: TextNames { output: "o_proj", mlp: ["up_proj", "down_proj"], final_norm: "norm" },
    scaled_embedding: false,
};

/// Part of Qwen2-VL; older files keep its keys at the top level.
const QWEN2_VL: TextFamily = TextFamily {
    about: "",
    model_type: "qwen2_vl_text",
    architecture: "",
    qkv_bias: Bias::Always,
    output_bias: Bias::Never,
    mlp_bias: Bias::Never,
    window: Window::OnRequest,
    vocab: 152_064,
    hidden: 8192,
    intermediate: 29_568,
    kv_heads: Some(8),
    max_position: 32_768,
    eps: 1e-5,
    ..LLAMA
};

/// Hugging Face `LlamaForCausalLM` (SmolLM2 is one), `MistralForCausalLM`, `Qwen2ForCausalLM`,
/// `Phi3ForCausalLM`, `GemmaForCausalLM`, `PersimmonForCausalLM`.
pub(super) const TEXT: &[TextFamily] = &[
    LLAMA,
    TextFamily {
        model_type: "mistral",
        about: "context within the sliding window",
        architecture: "MistralForCausalLM",
        qkv_bias: Bias::Never,
        output_bias: Bias::Never,
        mlp_bias: Bias::Never,
        window: Window::Default(4096),
        intermediate: 14_336,
        kv_heads: Some(8),
        max_position: 131_072,
        ..LLAMA
    },
    TextFamily {
        model_type: "qwen2",
        about: "biases of queries, keys, values",
        architecture: "Qwen2ForCausalLM",
        qkv_bias: Bias::Always,
        output_bias: Bias::Never,
        mlp_bias: Bias::Never,
        window: Window::OnRequest,
        vocab: 151_936,
        intermediate: 22_016,
        kv_heads: Some(32),
        max_position: 32_768,
        ..LLAMA
    },
    QWEN2_VL,
    TextFamily { model_type: "qwen2_5_vl_text", ..QWEN2_VL },
    TextFamily {
        model_type: "phi3",
        about: "fused projections, partial rotary turns, LongRoPE",
        architecture: "Phi3ForCausalLM",
        fused: Fused::QkvAndGateUp,
        qkv_bias: Bias::Never,
        output_bias: Bias::Never,
        mlp_bias: Bias::Never,
        window: Window::IfGiven,
        vocab: 32_064,
        hidden: 3072,
        intermediate: 8192,
        max_position: 4096,
        eps: 1e-5,
        ..LLAMA
    },
    TextFamily {
        model_type: "gemma",
        about: "GeGLU, norms stored minus one, scaled embedding",
        architecture: "GemmaForCausalLM",
        mlp_bias: Bias::Never,
        vocab: 256_000,
        hidden: 3072,
        intermediate: 24_576,
        kv_heads: Some(16),
        head_dim: Some(256),
        max_position: 8192,
        activation: "gelu_pytorch_tanh",
        legacy_activation: Some(("gelu", "gelu_pytorch_tanh")),
        tied: true,
        norms_minus_one: true,
        scaled_embedding: true,
        ..LLAMA
    },
    TextFamily {
        model_type: "persimmon",
        about: "squared ReLU, layer norms, also of each head, a part of a head turns",
        architecture: "PersimmonForCausalLM",
        fused: Fused::HeadByHead,
        qkv_bias: Bias::Always,
        output_bias: Bias::Always,
        mlp_bias: Bias::Always,
        vocab: 262_144,
        intermediate: 16_384,
        max_position: 16_384,
        eps: 1e-5,
        activation: "relu2",
        layer_norms: true,
        head_norms: Some(("qk_layernorm", ["q_layernorm", "k_layernorm"])),
        gated: false,
        partial_rotary: 0.5,
        names: TextNames {
            output: "dense",
            mlp: ["dense_h_to_4h", "dense_4h_to_h"],
            final_norm: "final_layernorm",
        },
        ..LLAMA
    },
];

/// Names of the supported architectures.
pub(super) fn architectures() -> impl Iterator<Item = (&'static str, &'static str)> {
    let layouts = LAYOUTS.iter().map(|layout| (layout.architecture, layout.model_type));
    let text = TEXT.iter().filter(|family| !family.architecture.is_empty());
    layouts.chain(text.map(|family| (family.architecture, family.model_type)))
}

/// A supported architecture, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Hugging Face class.
    pub architecture: &'static str,
    /// Hugging Face `model_type`.
    pub model_type: &'static str,
    /// Vision tower that it usually has; `None` for language models.
    pub tower: Option<&'static str>,
    /// Language model that it usually has, or is.
    pub text: &'static str,
    /// What is particular about it.
    pub about: &'static str,
}

/// All supported architectures: the data of the support table and of `flightvlm check --families`.
pub fn families() -> Vec<Family> {
    let layouts = LAYOUTS.iter().map(|l| Family {
        architecture: l.architecture,
        model_type: l.model_type,
        tower: (!l.tower.is_empty()).then_some(l.tower),
        text: l.text_type,
        about: l.about,
    });
    let text = TEXT.iter().filter(|family| !family.architecture.is_empty()).map(|family| Family {
        architecture: family.architecture,
        model_type: family.model_type,
        tower: None,
        text: family.model_type,
        about: family.about,
    });
    layouts.chain(text).collect()
}
