//! From a conversation and pictures to the tokens and patches that a device takes.

use crate::bundle::{BundleError, TextAssets};
use crate::device::{DeviceError, ImageInfo, ModelInfo};
use crate::image::{PatchRows, RgbPicture};
use crate::text::{expand_placeholders, Message, Part, TextError};

/// A request in the device's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Token ids with image placeholders expanded.
    pub ids: Vec<u32>,
    /// Of these, image tokens.
    pub image_tokens: usize,
    /// The pictures in order of appearance.
    pub images: Vec<PatchRows>,
}

/// Why a request cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// Files of the checkpoint.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Length, ids.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Pictures for a model without eyes.
    #[error("{0} is a text-only model; ask without images")]
    TextOnly(String),
    /// The checkpoint's files contradict each other.
    #[error("{0}")]
    Inconsistent(String),
}

impl From<TextError> for PromptError {
    fn from(error: TextError) -> Self {
        PromptError::Bundle(error.into())
    }
}

/// One user turn. The pictures come first, unless the text places them itself with exactly as
/// many placeholders as there are pictures.
pub fn user_turn(assets: &TextAssets, images: usize, text: &str) -> Result<Message, PromptError> {
    let placed = images > 0 && text.matches(&assets.image_token()?).count() == images;
    if !placed {
        return Ok(Message::user(images, text));
    }
    Ok(Message { role: "user".into(), content: vec![Part::Text { text: text.into() }] })
}

/// Renders, expands, encodes, and processes the pictures.
///
/// The length is checked before any picture is processed.
pub fn prepare(
    assets: &TextAssets,
    model: &ModelInfo,
    messages: &[Message],
    pictures: &[RgbPicture],
) -> Result<Prompt, PromptError> {
    let template = assets.template()?;
    let token = assets.image_token()?;
    let mut text = template.render(messages)?;
    let special = template.wants_special_tokens(&text);
    let rows = match (&model.image, pictures) {
        (None, []) => 0,
        (None, _) => return Err(PromptError::TextOnly(model.architecture.clone())),
        (Some(image), _) => image.rows,
    };
    if model.image.is_some() {
        text = expand_placeholders(&text, &token, &vec![rows; pictures.len()])?;
    }
    let ids = assets.tokenizer()?.encode(&text, special)?;
    let image_tokens = count_image_tokens(model, &ids);
    if image_tokens != rows * pictures.len() {
        let error = TextError::NoImageToken(token);
        return Err(error.into());
    }
    if ids.len() >= model.max_context {
        let (needed, limit) = (ids.len(), model.max_context);
        return Err(DeviceError::PromptTooLong { needed, image: image_tokens, limit }.into());
    }
    let images = match &model.image {
        Some(image) => process(assets, image, pictures)?,
        None => Vec::new(),
    };
    Ok(Prompt { ids, image_tokens, images })
}

fn count_image_tokens(model: &ModelInfo, ids: &[u32]) -> usize {
    let Some(image) = &model.image else { return 0 };
    ids.iter().filter(|&&id| id == image.token_id).count()
}

/// Pictures to patches, with the processor's and the model's idea of a picture compared.
fn process(
    assets: &TextAssets,
    image: &ImageInfo,
    pictures: &[RgbPicture],
) -> Result<Vec<PatchRows>, PromptError> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    let processor = assets.image_processor()?;
    let counting = assets.image_tokens()?;
    let mut out = Vec::with_capacity(pictures.len());
    for picture in pictures {
        let values = processor.process(picture).map_err(BundleError::from)?;
        if (values.height, values.width) != (image.side, image.side) {
            return Err(PromptError::Inconsistent(format!(
                "the image processor makes pictures of {} x {} pixels, the vision tower takes \
                 {side} x {side}; correct size or crop_size in the processor's configuration",
                values.height,
                values.width,
                side = image.side
            )));
        }
        let counted = counting.map(|rule| rule.count(values.height, values.width));
        if let Some(counted) = counted.filter(|&counted| counted != image.rows_unpruned) {
            return Err(PromptError::Inconsistent(format!(
                "the processor counts {counted} tokens for an image, the model makes {}; correct \
                 patch_size, vision_feature_select_strategy or num_additional_image_tokens in \
                 processor_config.json",
                image.rows_unpruned
            )));
        }
        out.push(values.patch_rows(image.patch));
    }
    Ok(out)
}
