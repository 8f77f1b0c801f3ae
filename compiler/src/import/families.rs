//! The table of model families: all that distinguishes one supported checkpoint from another.
//!
//! A family adds rows here, not code. Default values are those of the Hugging Face configuration classes,
//! because `config.json` may leave out whatever equals its default. Prefix lists go from the spelling
//! written by current `save_pretrained` to older ones; the first that the checkpoint uses is taken.

use crate::graph::PositionScheme;

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
}

/// A decoder-only language model: pre-norm, RMS norms, rotary positions, gated feed-forward.
pub(super) struct TextFamily {
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
    /// Norm weights are stored minus one.
    pub norms_minus_one: bool,
    /// Embedding rows are multiplied by the root of the width.
    pub scaled_embedding: bool,
}

/// Hugging Face `LlamaConfig`; the others are given by what differs.
const LLAMA: TextFamily = TextFamily {
    model_type: "llama",
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
    norms_minus_one: false,
    scaled_embedding: false,
};

/// Hugging Face `LlamaForCausalLM` (SmolLM2 is one), `MistralForCausalLM`, `Qwen2ForCausalLM`,
/// `Phi3ForCausalLM`, `GemmaForCausalLM`.
pub(super) const TEXT: &[TextFamily] = &[
    LLAMA,
    TextFamily {
        model_type: "mistral",
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
    TextFamily {
        // Part of Qwen2-VL; older files keep its keys at the top level.
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
    },
    TextFamily {
        model_type: "phi3",
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
];

/// How a tower's rows become visual tokens of the language model's width.
pub(super) struct Projector {
    /// The configuration says which layer's rows are taken, and whether the first one is dropped.
    pub selects: bool,
    /// Feature layer where the configuration does not say; as in Hugging Face, -1 is the last one.
    pub feature_layer: i64,
    /// The norm behind the tower's layers applies (only to the last layer's rows).
    pub post_norm: PostNorm,
    /// Patches down and across that are joined to a token.
    pub merge: Merge,
    /// Layer norm of the joined rows.
    pub norm: Option<&'static str>,
    /// Linear layers; `true`: as wide as their input, else as wide as the language model.
    pub linears: &'static [(&'static str, bool)],
    /// Between them.
    pub activation: Activation,
    pub bias: ProjectorBias,
}

/// Whether the norm behind the tower's layers applies.
pub(super) enum PostNorm {
    Never,
    Always,
    /// Unless this key of the vision configuration is true (its default).
    Unless(&'static str),
}

/// Patches joined to a token, in one direction.
pub(super) enum Merge {
    None,
    /// Under this key of the top level.
    Factor(&'static str, usize),
    /// One over the value of this key of the top level.
    Ratio(&'static str, f64),
    /// Under this key of the vision configuration.
    Vision(&'static str, usize),
}

/// The activation between the projector's layers.
pub(super) enum Activation {
    Key(&'static str),
    Gelu,
}

/// Whether the projector's layers have biases.
pub(super) enum ProjectorBias {
    Key(&'static str),
    Always,
    Never,
}

/// How tiles become placeholders.
pub(super) enum Tiling {
    Tiles,
    /// LLaVA-NeXT's, with the learned end of a row.
    AnyResolution {
        newline: &'static [&'static str],
    },
}

/// An architecture: how it names its parts in the checkpoint, and how it joins them.
pub(super) struct Layout {
    pub architecture: &'static str,
    pub model_type: &'static str,
    /// In front of `embed_tokens`, `layers`, `norm`.
    pub text: &'static [&'static str],
    /// In front of `weight` of the output layer.
    pub head: &'static [&'static str],
    /// In front of `embeddings`, `encoder`; empty for text-only models.
    pub vision: &'static [&'static str],
    /// In front of the projector's layers.
    pub projector_root: &'static [&'static str],
    pub projector: Projector,
    pub tiling: Tiling,
    /// Placeholder where the configuration names none.
    pub image_token: u32,
    /// `model_type` of the language model where the configuration names none.
    pub text_type: &'static str,
    /// `model_type` of the tower where the configuration names none.
    pub tower: &'static str,
    /// Output layer tied to the embedding where the configuration does not say.
    pub tied: bool,
    pub positions: PositionScheme,
}

/// LLaVA 1.5 and its siblings.
const LLAVA: Layout = Layout {
    architecture: "LlavaForConditionalGeneration",
    model_type: "llava",
    text: &["language_model.model.", "model.language_model.", "language_model."],
    head: &["language_model.lm_head.", "lm_head."],
    vision: &[
        "vision_tower.vision_model.",
        "model.vision_tower.vision_model.",
        "vision_tower.",
        "model.vision_tower.",
    ],
    projector_root: &["multi_modal_projector.", "model.multi_modal_projector."],
    projector: Projector {
        selects: true,
        feature_layer: -2,
        post_norm: PostNorm::Never,
        merge: Merge::None,
        norm: None,
        linears: &[("linear_1", false), ("linear_2", false)],
        activation: Activation::Key("projector_hidden_act"),
        bias: ProjectorBias::Key("multimodal_projector_bias"),
    },
    tiling: Tiling::Tiles,
    image_token: 32_000,
    text_type: "llama",
    tower: "clip_vision_model",
    tied: false,
    positions: PositionScheme::Sequence,
};

const IDEFICS3: Layout = Layout {
    architecture: "Idefics3ForConditionalGeneration",
    model_type: "idefics3",
    text: &["model.text_model."],
    head: &["lm_head."],
    vision: &["model.vision_model."],
    projector_root: &["model.connector."],
    projector: Projector {
        selects: false,
        feature_layer: -1,
        post_norm: PostNorm::Always,
        merge: Merge::Factor("scale_factor", 2),
        linears: &[("modality_projection.proj", false)],
        activation: Activation::Gelu,
        bias: ProjectorBias::Never,
        norm: None,
    },
    image_token: 128_257,
    tower: "idefics3_vision",
    ..LLAVA
};

/// The vision-language architectures.
pub(super) const LAYOUTS: &[Layout] = &[
    LLAVA,
    Layout {
        architecture: "LlavaNextForConditionalGeneration",
        model_type: "llava_next",
        tiling: Tiling::AnyResolution { newline: &["image_newline", "model.image_newline"] },
        ..LLAVA
    },
    IDEFICS3,
    Layout {
        architecture: "SmolVLMForConditionalGeneration",
        model_type: "smolvlm",
        tower: "smolvlm_vision",
        ..IDEFICS3
    },
    Layout {
        architecture: "InternVLForConditionalGeneration",
        model_type: "internvl",
        vision: &["vision_tower.", "model.vision_tower."],
        projector: Projector {
            selects: true,
            feature_layer: -1,
            post_norm: PostNorm::Unless("use_mean_pooling"),
            merge: Merge::Ratio("downsample_ratio", 0.5),
            norm: Some("layer_norm"),
            bias: ProjectorBias::Always,
            ..LLAVA.projector
        },
        image_token: 151_667,
        text_type: "qwen2",
        tower: "internvl_vision",
        tied: true,
        ..LLAVA
    },
    Layout {
        architecture: "Qwen2VLForConditionalGeneration",
        model_type: "qwen2_vl",
        text: &["model.", "model.language_model."],
        head: &["lm_head."],
        vision: &["visual.", "model.visual."],
        projector_root: &["visual.merger.", "model.visual.merger."],
        projector: Projector {
            selects: false,
            feature_layer: -1,
            post_norm: PostNorm::Always,
            merge: Merge::Vision("spatial_merge_size", 2),
            norm: None,
            linears: &[("mlp.0", true), ("mlp.2", false)],
            activation: Activation::Gelu,
            bias: ProjectorBias::Always,
        },
        image_token: 151_655,
        text_type: "qwen2_vl_text",
        tower: "qwen2_vl_vision",
        positions: PositionScheme::Multimodal,
        ..LLAVA
    },
];

/// Every causal language model of [`TEXT`] on its own.
pub(super) const TEXT_ONLY: Layout =
    Layout { architecture: "", model_type: "", text: &["model."], head: &["lm_head."], vision: &[], ..LLAVA };

/// Names of the supported architectures.
pub(super) fn architectures() -> impl Iterator<Item = (&'static str, &'static str)> {
    let layouts = LAYOUTS.iter().map(|layout| (layout.architecture, layout.model_type));
    let text = TEXT.iter().filter(|family| !family.architecture.is_empty());
    layouts.chain(text.map(|family| (family.architecture, family.model_type)))
}

/// The same for messages.
pub(super) fn supported_architectures() -> String {
    architectures().map(|row| row.0).collect::<Vec<_>>().join(", ")
}

/// Names of the supported `model_type`s of a part, for messages.
pub(super) fn join<T>(table: &[T], name: impl Fn(&T) -> &'static str) -> String {
    table.iter().map(name).collect::<Vec<_>>().join(", ")
}
