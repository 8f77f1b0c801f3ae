//! The facts about a loaded model that callers need.

/// What everyone above a device has to know about the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// Hugging Face class, for example `LlavaForConditionalGeneration`.
    pub architecture: String,
    /// Rows of the logits.
    pub vocabulary: usize,
    /// Positions that prompt and answer may fill together.
    pub max_context: usize,
    /// Ids that end an answer; may be empty.
    pub stop_ids: Vec<u32>,
    /// `None` for text-only models.
    pub image: Option<ImageInfo>,
}

/// The picture side of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// Rows and columns of `pixel_values`.
    pub side: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// The id that stands for one image token in the prompt.
    pub token_id: u32,
    /// Image tokens per picture, after pruning.
    pub rows: usize,
    /// Image tokens per picture, before pruning: what the checkpoint's own processor counts.
    pub rows_unpruned: usize,
}
