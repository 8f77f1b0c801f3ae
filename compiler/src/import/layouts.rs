//! The table of vision-language architectures: how each names its parts in the checkpoint, and how it joins
//! them.
//!
//! An architecture adds a row here, not code. Prefix lists go from the spelling written by current
//! `save_pretrained` to older ones; the first that the checkpoint uses is taken.

use super::contrast::{self, ContrastFamily};
use crate::graph::PositionScheme;

/// How a tower's rows become visual tokens of the language model's width.
pub(super) struct Projector {
    /// The configuration says which layer's rows are taken, and whether the first one is dropped.
    pub selects: bool,
    /// Feature layer where the configuration does not say; as in Hugging Face, -1 is the last one.
    pub feature_layer: i64,
    /// What becomes of its first row where the configuration does not say.
    pub strategy: &'static str,
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
    /// Key of the vision configuration with the width of its output, which must be the language model's.
    pub width: Option<&'static str>,
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
        /// Key that limits the tiles, and its default.
        limit: Option<(&'static str, &'static str)>,
    },
}

/// How videos are seen.
pub(super) struct VideoTower {
    /// In front of the tensors of a tower for frames, of the same kind as that for pictures, of which no row is dropped;
    /// empty where that for pictures takes several frames at once.
    pub tower: &'static [&'static str],
    /// Placeholder where the configuration names none.
    pub token: u32,
    /// Key of the tower's configuration with the positions that a second takes, and its default.
    pub positions_per_second: Option<(&'static str, f64)>,
}

/// An architecture: how it names its parts in the checkpoint, and how it joins them.
pub(super) struct Layout {
    /// For the support table.
    pub about: &'static str,
    pub architecture: &'static str,
    pub model_type: &'static str,
    /// In front of `embed_tokens`, `layers`, `norm`.
    pub text: &'static [&'static str],
    /// In front of `weight` of the output layer.
    pub head: &'static [&'static str],
    /// In front of `embeddings`, `encoder`; empty for models without a tower.
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
    /// The rows of a prompt see each other.
    pub prefix: bool,
    /// The tower is a FastViT.
    pub convolutions: bool,
    /// In front of the names of a QueCC compressor, behind the projector's root; it stands in front of the projector.
    pub compressor: Option<&'static str>,
    /// How it takes videos, if it does.
    pub video: Option<VideoTower>,
    /// Pictures are compared with texts, of which an encoder makes vectors.
    pub contrast: Option<&'static ContrastFamily>,
}

/// LLaVA 1.5 and its siblings.
const LLAVA: Layout = Layout {
    about: "CLIP or SigLIP tower, any supported language model, two-layer projector",
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
        strategy: "default",
        post_norm: PostNorm::Never,
        merge: Merge::None,
        norm: None,
        linears: &[("linear_1", false), ("linear_2", false)],
        activation: Activation::Key("projector_hidden_act"),
        bias: ProjectorBias::Key("multimodal_projector_bias"),
        width: None,
    },
    tiling: Tiling::Tiles,
    image_token: 32_000,
    text_type: "llama",
    tower: "clip_vision_model",
    tied: false,
    positions: PositionScheme::Sequence,
    prefix: false,
    convolutions: false,
    compressor: None,
    video: None,
    contrast: None,
};

const CLIP: Layout = Layout {
    about: "vectors of pictures and texts: `classify`, `embed`",
    architecture: "CLIPModel",
    model_type: "clip",
    text: &["text_model."],
    head: &["text_projection."],
    vision: &["vision_model."],
    projector_root: &[""],
    projector: Projector {
        selects: false,
        feature_layer: -1,
        post_norm: PostNorm::Always,
        linears: &[("visual_projection", false)],
        bias: ProjectorBias::Never,
        ..LLAVA.projector
    },
    text_type: "clip_text_model",
    contrast: Some(&contrast::CLIP),
    ..LLAVA
};

const IDEFICS3: Layout = Layout {
    about: "tiles with row and column tags, joined patches, any grid",
    architecture: "Idefics3ForConditionalGeneration",
    model_type: "idefics3",
    text: &["model.text_model."],
    head: &["lm_head."],
    vision: &["model.vision_model."],
    projector_root: &["model.connector."],
    projector: Projector {
        selects: false,
        feature_layer: -1,
        strategy: "default",
        post_norm: PostNorm::Always,
        merge: Merge::Factor("scale_factor", 2),
        linears: &[("modality_projection.proj", false)],
        activation: Activation::Gelu,
        bias: ProjectorBias::Never,
        width: None,
        norm: None,
    },
    image_token: 128_257,
    tower: "idefics3_vision",
    ..LLAVA
};

/// Qwen2-VL.
const QWEN2_VL: Layout = Layout {
    about: "native resolution, rotary tower, patch merger, positions of three axes; `run --video`",
    architecture: "Qwen2VLForConditionalGeneration",
    model_type: "qwen2_vl",
    text: &["model.", "model.language_model."],
    head: &["lm_head."],
    vision: &["visual.", "model.visual."],
    projector_root: &["visual.merger.", "model.visual.merger."],
    projector: Projector {
        selects: false,
        feature_layer: -1,
        strategy: "default",
        post_norm: PostNorm::Always,
        merge: Merge::Vision("spatial_merge_size", 2),
        norm: None,
        linears: &[("mlp.0", true), ("mlp.2", false)],
        activation: Activation::Gelu,
        bias: ProjectorBias::Always,
        width: None,
    },
    image_token: 151_655,
    text_type: "qwen2_vl_text",
    tower: "qwen2_vl_vision",
    positions: PositionScheme::Multimodal,
    video: Some(VideoTower { tower: &[], token: 151_656, positions_per_second: None }),
    ..LLAVA
};

/// The vision-language architectures.
pub(super) const LAYOUTS: &[Layout] = &[
    LLAVA,
    Layout {
        about: "a second tower for frames of videos, whose class row stays; `run --video`",
        architecture: "VideoLlavaForConditionalGeneration",
        model_type: "video_llava",
        vision: &[
            "image_tower.vision_model.",
            "model.image_tower.vision_model.",
            "image_tower.",
            "model.image_tower.",
        ],
        video: Some(VideoTower {
            tower: &[
                "video_tower.vision_model.",
                "model.video_tower.vision_model.",
                "video_tower.",
                "model.video_tower.",
            ],
            token: 32_001,
            positions_per_second: None,
        }),
        ..LLAVA
    },
    Layout {
        about: "tiles of any resolution, padding removed, learned end of each row",
        architecture: "LlavaNextForConditionalGeneration",
        model_type: "llava_next",
        tiling: Tiling::AnyResolution { newline: &["image_newline", "model.image_newline"], limit: None },
        ..LLAVA
    },
    Layout {
        about: "as LLaVA-NeXT, several pictures as thumbnails; pictures up to about nine tiles, no video",
        architecture: "LlavaOnevisionForConditionalGeneration",
        model_type: "llava_onevision",
        projector: Projector { feature_layer: -1, strategy: "full", ..LLAVA.projector },
        tiling: Tiling::AnyResolution {
            newline: &["image_newline", "model.image_newline"],
            limit: Some(("vision_aspect_ratio", "anyres_max_9")),
        },
        image_token: 151_646,
        text_type: "qwen2",
        tower: "siglip_vision_model",
        ..LLAVA
    },
    IDEFICS3,
    Layout {
        about: "as Idefics3",
        architecture: "SmolVLMForConditionalGeneration",
        model_type: "smolvlm",
        tower: "smolvlm_vision",
        ..IDEFICS3
    },
    Layout {
        about: "dynamic tiles, layer scales, norms of queries and keys, joined patches",
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
    QWEN2_VL,
    Layout {
        about: "as Qwen2-VL, with window attention, RMS norms and a gated feed-forward block in the tower",
        architecture: "Qwen2_5_VLForConditionalGeneration",
        model_type: "qwen2_5_vl",
        text_type: "qwen2_5_vl_text",
        tower: "qwen2_5_vl_vision",
        video: Some(VideoTower {
            tower: &[],
            token: 151_656,
            positions_per_second: Some(("tokens_per_second", 4.0)),
        }),
        ..QWEN2_VL
    },
    Layout {
        about: "prefix mask, Gemma",
        architecture: "PaliGemmaForConditionalGeneration",
        model_type: "paligemma",
        projector: Projector {
            selects: false,
            feature_layer: -1,
            post_norm: PostNorm::Always,
            width: Some("projection_dim"),
            linears: &[("linear", false)],
            bias: ProjectorBias::Always,
            ..LLAVA.projector
        },
        image_token: 256_000,
        text_type: "gemma",
        tower: "siglip_vision_model",
        tied: true,
        prefix: true,
        ..LLAVA
    },
    Layout {
        about: "no tower: patches of any picture in lines, Persimmon; one picture a prompt",
        architecture: "FuyuForCausalLM",
        model_type: "fuyu",
        text: &["language_model.model.", "model.language_model."],
        vision: &[],
        projector_root: &["", "model."],
        projector: Projector {
            selects: false,
            linears: &[("vision_embed_tokens", false)],
            bias: ProjectorBias::Always,
            ..LLAVA.projector
        },
        image_token: 71_011,
        text_type: "persimmon",
        tower: "",
        ..LLAVA
    },
    Layout {
        about: "FastViTHD: stages of convolutions, attention in the last ones; one size of picture",
        architecture: "FastVlmForConditionalGeneration",
        model_type: "fast_vlm",
        vision: &["model.vision_tower.timm_model.", "vision_tower.timm_model."],
        convolutions: true,
        image_token: 151_646,
        text_type: "qwen2",
        tower: "timm_wrapper",
        ..LLAVA
    },
    Layout {
        about: "QueCC (llava-token-compression): each window of patches becomes a token for the question; one tile a picture",
        architecture: "LlavaLlamaForCausalLM",
        model_type: "llava_llama",
        text: &["model."],
        head: &["lm_head."],
        vision: &["model.vision_tower.vision_tower.vision_model."],
        projector_root: &["model.mm_projector."],
        projector: Projector {
            selects: false,
            linears: &[("1", false), ("3", false)],
            activation: Activation::Gelu,
            bias: ProjectorBias::Always,
            ..LLAVA.projector
        },
        compressor: Some("0."),
        ..LLAVA
    },
    CLIP,
    Layout {
        about: "the same with attention pooling, texts in both directions, a score for each label",
        architecture: "SiglipModel",
        model_type: "siglip",
        head: &["text_model.head."],
        projector: Projector { linears: &[], ..CLIP.projector },
        text_type: "siglip_text_model",
        tower: "siglip_vision_model",
        contrast: Some(&contrast::SIGLIP),
        ..CLIP
    },
];

/// Every causal language model of [`TEXT`] on its own.
pub(super) const TEXT_ONLY: Layout = Layout {
    about: "",
    architecture: "",
    model_type: "",
    text: &["model."],
    head: &["lm_head."],
    vision: &[],
    ..LLAVA
};
