//! The table of model families: all that distinguishes one supported checkpoint from another.
//!
//! A family adds rows here, not code. Default values are those of the Hugging Face configuration classes,
//! because `config.json` may leave out whatever equals its default. Prefix lists go from the spelling
//! written by current `save_pretrained` to older ones; the first that the checkpoint uses is taken.

use crate::graph::VisionKind;

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
    /// `sliding_window` applies when `use_sliding_window` is true.
    OnRequest,
}

/// A decoder-only language model: pre-norm, RMS norms, rotary positions, gated feed-forward.
pub(super) struct TextFamily {
    pub model_type: &'static str,
    pub architecture: &'static str,
    pub qkv_bias: Bias,
    pub output_bias: Bias,
    pub mlp_bias: Bias,
    pub window: Window,
    pub vocab: usize,
    pub hidden: usize,
    pub intermediate: usize,
    /// `None`: as many as query heads.
    pub kv_heads: Option<usize>,
    pub max_position: usize,
}

/// Hugging Face `LlamaForCausalLM`, `MistralForCausalLM`, `Qwen2ForCausalLM`.
pub(super) const TEXT: &[TextFamily] = &[
    TextFamily {
        model_type: "llama",
        architecture: "LlamaForCausalLM",
        qkv_bias: Bias::Key("attention_bias"),
        output_bias: Bias::Key("attention_bias"),
        mlp_bias: Bias::Key("mlp_bias"),
        window: Window::Never,
        vocab: 32_000,
        hidden: 4096,
        intermediate: 11_008,
        kv_heads: None,
        max_position: 2048,
    },
    TextFamily {
        model_type: "mistral",
        architecture: "MistralForCausalLM",
        qkv_bias: Bias::Never,
        output_bias: Bias::Never,
        mlp_bias: Bias::Never,
        window: Window::Default(4096),
        vocab: 32_000,
        hidden: 4096,
        intermediate: 14_336,
        kv_heads: Some(8),
        max_position: 131_072,
    },
    TextFamily {
        model_type: "qwen2",
        architecture: "Qwen2ForCausalLM",
        qkv_bias: Bias::Always,
        output_bias: Bias::Never,
        mlp_bias: Bias::Never,
        window: Window::OnRequest,
        vocab: 151_936,
        hidden: 4096,
        intermediate: 22_016,
        kv_heads: Some(32),
        max_position: 32_768,
    },
];

/// A vision transformer: pre-norm, layer norms, learned positions, biases everywhere.
pub(super) struct VisionFamily {
    pub model_type: &'static str,
    pub kind: VisionKind,
    /// Class row, in front of the patches.
    pub has_class: bool,
    pub conv_bias: bool,
    /// Layer norm between embeddings and layers.
    pub pre_norm: Option<&'static str>,
    pub activation: &'static str,
    pub patch: usize,
    pub eps: f64,
}

/// Hugging Face `CLIPVisionModel`, `SiglipVisionModel`.
pub(super) const VISION: &[VisionFamily] = &[
    VisionFamily {
        model_type: "clip_vision_model",
        kind: VisionKind::Clip,
        has_class: true,
        conv_bias: false,
        // The spelling is Hugging Face's.
        pre_norm: Some("pre_layrnorm"),
        activation: "quick_gelu",
        patch: 32,
        eps: 1e-5,
    },
    VisionFamily {
        model_type: "siglip_vision_model",
        kind: VisionKind::Siglip,
        has_class: false,
        conv_bias: true,
        pre_norm: None,
        activation: "gelu_pytorch_tanh",
        patch: 16,
        eps: 1e-6,
    },
];

/// How an architecture names its parts in the checkpoint.
pub(super) struct Layout {
    pub architecture: &'static str,
    pub model_type: &'static str,
    /// In front of `embed_tokens`, `layers`, `norm`.
    pub text: &'static [&'static str],
    /// In front of `weight` of the output layer.
    pub head: &'static [&'static str],
    /// In front of `embeddings`, `encoder`; empty for text-only models.
    pub vision: &'static [&'static str],
    /// In front of `linear_1`, `linear_2`.
    pub projector: &'static [&'static str],
}

/// LLaVA 1.5 and its siblings.
pub(super) const LLAVA: Layout = Layout {
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
    projector: &["multi_modal_projector.", "model.multi_modal_projector."],
};

/// Every causal language model of [`TEXT`] on its own.
pub(super) const TEXT_ONLY: Layout = Layout {
    architecture: "",
    model_type: "",
    text: &["model."],
    head: &["lm_head."],
    vision: &[],
    projector: &[],
};

/// Names of the supported architectures, for messages.
pub(super) fn supported_architectures() -> String {
    let names: Vec<&str> =
        std::iter::once(LLAVA.architecture).chain(TEXT.iter().map(|family| family.architecture)).collect();
    names.join(", ")
}

/// Names of the supported `model_type`s of a part, for messages.
pub(super) fn join<T>(table: &[T], name: impl Fn(&T) -> &'static str) -> String {
    table.iter().map(name).collect::<Vec<_>>().join(", ")
}
