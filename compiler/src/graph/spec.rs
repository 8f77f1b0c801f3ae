//! The facts about a model that its users need beside the graph.

use serde::{Deserialize, Serialize};

use super::contrast::Contrast;
use super::picture::Picture;
use super::positions::VisualPositions;
use super::window::Windows;
use crate::diag::Diagnostic;

/// Which vision tower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VisionKind {
    /// `CLIPVisionModel`: class row, layer norm in front of the layers.
    #[default]
    Clip,
    /// `SiglipVisionModel`: no class row, convolution with bias.
    Siglip,
    /// The tower of Idefics3 and SmolVLM: SigLIP at any grid.
    Idefics3,
    /// InternViT: class row, layer scales, on request norms of queries and keys.
    InternVit,
    /// Qwen2-VL: rotary positions, any grid.
    Qwen2Vl,
    /// Qwen2.5-VL: the same with windows, RMS norms and a gated feed-forward block.
    Qwen25Vl,
    /// None: patches go straight into the projector (Fuyu).
    Patches,
    /// FastViT: convolutions, in its last stages attention.
    Convolutions,
}

/// Where a tower's rows get their positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PositionTable {
    /// A learned table of `side` x `side` patches (and the class row).
    Learned {
        /// Patches down and across.
        side: usize,
    },
    /// Rotary: row and column turn queries and keys.
    Rotary,
    /// No tower, no positions.
    None,
}

/// How the tiles of a picture become its placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arrange {
    /// The tokens of one tile after those of the other.
    #[default]
    Tiles,
    /// LLaVA-NeXT: a thumbnail, then the assembled tiles row by row.
    AnyResolution {
        /// Sizes (height, width) in pixels to choose from.
        pinpoints: Vec<[usize; 2]>,
        /// LLaVA-OneVision: several pictures are thumbnails only, and a picture has no more visual tokens
        /// than so many tiles, or few more.
        most_tiles: Option<usize>,
    },
}

impl Default for PositionTable {
    fn default() -> Self {
        PositionTable::Learned { side: 1 }
    }
}

/// The vision tower and projector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VisionSpec {
    /// Family of the tower.
    pub kind: VisionKind,
    /// Height and width of the input picture in pixels.
    pub image_size: usize,
    /// Height and width of a patch in pixels.
    pub patch: usize,
    /// Patches of one tile at most, class row not counted.
    pub patch_count: usize,
    /// Tiles may have fewer patches, in grids of their own.
    pub any_grid: bool,
    /// Values of a patch.
    pub pixel_cols: usize,
    /// They come pixel by pixel, else colour by colour.
    pub interleaved: bool,
    /// Where rows get their positions.
    pub positions: PositionTable,
    /// Which rows a layer sees; `None`: all of the tile.
    pub windows: Option<Windows>,
    /// Rows dropped behind the tower.
    pub skip_rows: usize,
    /// Of the others, only the first becomes a visual token: the picture's vector.
    pub pooled: bool,
    /// Visual tokens depend on the question: its hidden state goes into what compresses them (QueCC).
    #[serde(default)]
    pub question: bool,
    /// So many patches down and across are joined to a visual token.
    pub merge: usize,
    /// How tiles become placeholders.
    pub arrange: Arrange,
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// Rotary positions of a prompt's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PositionScheme {
    /// Each row's place.
    #[default]
    Sequence,
    /// Time, row and column (M-RoPE).
    Multimodal,
    /// Visual tokens have positions of their own kind.
    Visual(VisualPositions),
}

/// The tower that videos go through, tile by tile: so many frames as the tower's patches are deep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoSpec {
    /// Placeholder id.
    pub token_id: u32,
    /// The tower and projector; may be those of pictures.
    pub vision: VisionSpec,
    /// Positions on the axis of time that a second takes; `None`: each tile is one further than the tile before.
    pub positions_per_second: Option<f32>,
}

/// Facts about the whole model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Hugging Face class, for example `LlavaForConditionalGeneration`.
    pub architecture: String,
    /// `None` for text-only models.
    pub vision: Option<VisionSpec>,
    /// The language model.
    pub text: TextSpec,
    /// Placeholder id; `Some` where prompts show pictures.
    pub image_token_id: Option<u32>,
    /// How videos are seen, by models that take them.
    pub video: Option<VideoSpec>,
    /// Visual tokens of one tile of full size; 0 for text-only models.
    pub visual_tokens: usize,
    /// Positions of a prompt's rows.
    pub position_scheme: PositionScheme,
    /// How pictures and texts are compared; `None` for models that write text.
    pub contrast: Option<Contrast>,
    /// Begin-of-sequence ids.
    pub bos_ids: Vec<u32>,
    /// Ids that end generation (`generation_config.json` wins over `config.json`).
    pub eos_ids: Vec<u32>,
}

impl VisionSpec {
    /// Frames of a video that a patch takes.
    pub fn patch_frames(&self) -> usize {
        (self.pixel_cols / (3 * self.patch * self.patch).max(1)).max(1)
    }
}

impl ModelSpec {
    /// Does this id stand for a visual row, of a picture or of a video?
    pub fn is_placeholder(&self, id: u32) -> bool {
        Some(id) == self.image_token_id || self.video.as_ref().is_some_and(|video| video.token_id == id)
    }

    /// The tower that a picture goes through, if the model has it.
    pub fn tower_of(&self, picture: &Picture) -> Option<&VisionSpec> {
        match picture.video {
            false => self.vision.as_ref(),
            true => self.video.as_ref().map(|video| &video.vision),
        }
    }

    /// Checks that every id is in the vocabulary (or is a placeholder).
    pub fn check_ids(&self, ids: &[u32]) -> Result<(), Diagnostic> {
        let bad = |id: &&u32| **id as usize >= self.text.vocab && !self.is_placeholder(**id);
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

    /// Checks that the prompt has one placeholder per visual token of each picture.
    pub fn check_placeholders(&self, ids: &[u32], pictures: &[usize]) -> Result<(), Diagnostic> {
        let found = ids.iter().filter(|id| self.is_placeholder(**id)).count();
        let wanted: usize = pictures.iter().sum();
        if found == wanted && (pictures.is_empty() || self.vision.is_some()) {
            return Ok(());
        }
        let counts = pictures.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        Err(Diagnostic::new(
            "input_ids",
            format!(
                "{wanted} image placeholders (id {}): {} pictures of {} visual tokens",
                self.image_token_id.map_or("none".to_string(), |id| id.to_string()),
                pictures.len(),
                if counts.is_empty() { "no" } else { &counts },
            ),
            format!("{found} placeholders"),
            "repeat the placeholder once per visual token, as the model's processor does",
        ))
    }
}
