//! The facts about a loaded model that callers need.

use super::DeviceError;
use flightvlm_compiler::graph::{Prune, VideoSpec, VisionSpec};

/// What everyone above a device has to know about the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// Hugging Face class, for example `LlavaForConditionalGeneration`.
    pub architecture: String,
    /// Ids that prompts may have.
    pub vocabulary: usize,
    /// Layers of the language model.
    pub layers: usize,
    /// Columns of the result: the vocabulary's logits, or the vector of a text.
    pub outputs: usize,
    /// A text is written behind the prompt, and needs room.
    pub answers: bool,
    /// Positions that prompt and answer may fill together.
    pub max_context: usize,
    /// Ids that end an answer; may be empty.
    pub stop_ids: Vec<u32>,
    /// `None` for text-only models.
    pub image: Option<ImageInfo>,
}

impl ModelInfo {
    /// Does this id stand for a visual token, of a picture or of a video?
    pub fn is_placeholder(&self, id: u32) -> bool {
        let of = |image: &ImageInfo| {
            image.token_id == id || image.video.as_ref().is_some_and(|video| video.token_id == id)
        };
        self.image.as_ref().is_some_and(of)
    }

    /// Tokens that a prompt may have.
    pub fn longest_prompt(&self) -> usize {
        self.max_context - usize::from(self.answers)
    }

    /// Is there such a layer to stop behind?
    pub fn check_depth(&self, layers: usize) -> Result<(), DeviceError> {
        match (1..=self.layers).contains(&layers) {
            true => Ok(()),
            false => Err(DeviceError::Input(format!(
                "the language model of {} has layers 1 to {}, there is no layer {layers} to stop behind",
                self.architecture, self.layers
            ))),
        }
    }
}

/// The picture side of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageInfo {
    /// The vision tower: sizes, patches, arrangement of tiles.
    pub vision: VisionSpec,
    /// The id that stands for one image token in the prompt.
    pub token_id: u32,
    /// Image tokens per tile of full size, after pruning.
    pub rows: usize,
    /// The same before pruning: what the checkpoint's own processor counts.
    pub rows_unpruned: usize,
    /// How visual tokens are chosen; `None`: all stay.
    pub prune: Option<Prune>,
    /// How videos are seen, by models that take them.
    pub video: Option<VideoSpec>,
}
