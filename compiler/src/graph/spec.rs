//! The facts about a model that its users need beside the graph.

use serde::{Deserialize, Serialize};

use crate::diag::Diagnostic;

/// Which vision tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VisionKind {
    /// `CLIPVisionModel`: class row, layer norm in front of the layers.
    Clip,
    /// `SiglipVisionModel`: no class row, convolution with bias.
    Siglip,
}

/// The vision tower and projector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VisionSpec {
    /// Family of the tower.
    pub kind: VisionKind,
    /// Height and width of the input picture in pixels.
    pub image_size: usize,
    /// Height and width of a patch in pixels.
    pub patch: usize,
    /// Patches of one image, class row not counted.
    pub patch_count: usize,
    /// True when a class row runs through the tower.
    pub has_class: bool,
    /// Rows inside the tower: `patch_count + has_class`.
    pub rows: usize,
    /// Encoder layers in the checkpoint.
    pub layers_total: usize,
    /// Encoder layers that the feature layer needs.
    pub layers_used: usize,
    /// Width of the tower.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Columns of one head.
    pub head_dim: usize,
    /// Width of the feed-forward block.
    pub intermediate: usize,
    /// Epsilon of the layer norms.
    pub eps: f32,
}

/// The language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextSpec {
    /// Hugging Face `model_type`: `llama`, `mistral`, `qwen2`.
    pub model_type: String,
    /// Rows of the embedding table.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Columns of one head.
    pub head_dim: usize,
    /// Width of the gated feed-forward block.
    pub intermediate: usize,
    /// Positions that the model supports, or the lower limit that the import was given.
    pub max_position: usize,
    /// Epsilon of the RMS norms.
    pub eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// True when the output layer is the embedding table.
    pub tied_embeddings: bool,
}

/// Facts about the whole model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Hugging Face class, for example `LlavaForConditionalGeneration`.
    pub architecture: String,
    /// `None` for text-only models.
    pub vision: Option<VisionSpec>,
    /// The language model.
    pub text: TextSpec,
    /// Placeholder id; `Some` exactly when `vision` is.
    pub image_token_id: Option<u32>,
    /// Visual tokens of one image; 0 for text-only models.
    pub visual_tokens: usize,
    /// Begin-of-sequence ids.
    pub bos_ids: Vec<u32>,
    /// Ids that end generation (`generation_config.json` wins over `config.json`).
    pub eos_ids: Vec<u32>,
}

impl ModelSpec {
    /// Checks that every id is in the vocabulary (or is the image placeholder).
    pub fn check_ids(&self, ids: &[u32]) -> Result<(), Diagnostic> {
        let bad = |id: &&u32| **id as usize >= self.text.vocab && Some(**id) != self.image_token_id;
        match ids.iter().find(bad) {
            None => Ok(()),
            Some(id) => Err(Diagnostic::new(
                "input_ids",
                format!("token ids below the vocabulary size {}", self.text.vocab),
                id.to_string(),
                "use the tokenizer of this checkpoint",
            )),
        }
    }

    /// Checks that the prompt has one placeholder per visual token of `image_count` pictures.
    pub fn check_placeholders(&self, ids: &[u32], image_count: usize) -> Result<(), Diagnostic> {
        let is_placeholder = |id: &&u32| Some(**id) == self.image_token_id;
        let found = ids.iter().filter(is_placeholder).count();
        if found == image_count * self.visual_tokens && (image_count == 0 || self.vision.is_some()) {
            return Ok(());
        }
        Err(Diagnostic::new(
            "input_ids",
            format!(
                "{} image placeholders (id {}): {image_count} pictures of {} visual tokens",
                image_count * self.visual_tokens,
                self.image_token_id.map_or("none".to_string(), |id| id.to_string()),
                self.visual_tokens
            ),
            format!("{found} placeholders"),
            "repeat the placeholder once per visual token, as the model's processor does",
        ))
    }
}
