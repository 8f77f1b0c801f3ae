//! From a conversation and pictures to the tokens and patches that a device takes.

use crate::bundle::{BundleError, TextAssets};
use crate::device::{check_prompt, DeviceError, ImageInfo, ModelInfo};
use crate::image::{Extent, PixelValues, RgbPicture, Sampling, Video};
use crate::text::{
    expand_placeholders, lines_before_start, pictures_before_start, Message, Part, PictureText, TextError,
};
use flightvlm_compiler::graph::{order_by_placeholders, Arrange, Picture, Tile, VisionSpec};

/// A request in the device's terms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// Token ids with image placeholders expanded.
    pub ids: Vec<u32>,
    /// Of these, image tokens.
    pub image_tokens: usize,
    /// The pictures in order of appearance.
    pub images: Vec<Picture>,
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
    /// Videos for a model that takes none.
    #[error("{0} takes no videos; ask about pictures (--image shows a folder or GIF as one picture)")]
    NoVideos(String),
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
    let token = if images > 0 { assets.image_token()? } else { String::new() };
    let placed = if images > 0 { text.matches(&token).count() } else { 0 };
    if placed == 0 {
        return Ok(Message::user(images, text));
    }
    if placed != images {
        return Err(TextError::ImageCount { token, placeholders: placed, shown: images }.into());
    }
    Ok(Message { role: "user".into(), content: vec![Part::Text { text: text.into() }] })
}

/// Tokens as they are, without pictures: known ids, of a length that the model takes.
pub fn plain(model: &ModelInfo, ids: Vec<u32>) -> Result<Prompt, PromptError> {
    if let Some(at) = ids.iter().position(|&id| model.is_placeholder(id)) {
        let what = format!("token {at} stands for a picture or video, and there is none");
        return Err(DeviceError::Input(what).into());
    }
    check_prompt(model, &ids, &[])?;
    Ok(Prompt { ids, ..Prompt::default() })
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
    prepare_shown(assets, model, messages, pictures, &[])
}

/// The same with videos.
pub fn prepare_shown(
    assets: &TextAssets,
    model: &ModelInfo,
    messages: &[Message],
    pictures: &[RgbPicture],
    videos: &[Video],
) -> Result<Prompt, PromptError> {
    let template = assets.template()?;
    let token = assets.image_token()?;
    let mut text = template.render(messages)?;
    let (mut special, mut in_lines) = (template.wants_special_tokens(&text), false);
    let pruned = model.image.as_ref().is_some_and(|image| image.prune.is_some());
    if pruned && !videos.is_empty() {
        let what = "videos keep all their visual tokens; leave --visual-tokens out";
        return Err(DeviceError::Input(what.into()).into());
    }
    let planned = match (&model.image, pictures) {
        (None, []) => Vec::new(),
        (None, _) => return Err(PromptError::TextOnly(model.architecture.clone())),
        (Some(image), _) => plan(assets, image, pictures)?,
    };
    if model.image.is_some() {
        let writing = PictureText::of(&model.architecture);
        if writing == PictureText::LinesBeforeStart && pictures.len() > 1 {
            let what = format!("{} takes one picture a prompt, not {}", model.architecture, pictures.len());
            return Err(DeviceError::Input(what).into());
        }
        let write = |(at, (grid, picture)): (usize, &(Extent, Picture))| {
            writing.of_picture(at, &token, *grid, picture)
        };
        let written: Vec<String> = planned.iter().enumerate().map(write).collect();
        text = if writing == PictureText::BeforeStart && !template.is_present() {
            let tokens = assets.special_tokens()?;
            special = false;
            pictures_before_start(&text, &token, &written, tokens.get("bos_token").unwrap_or_default())
        } else if writing == PictureText::LinesBeforeStart && !template.is_present() && !written.is_empty() {
            (special, in_lines) = (false, true);
            lines_before_start(&text, &token, &written)
        } else {
            expand_placeholders(&text, &token, &written)?
        };
    }
    let shown = plan_videos(assets, model, videos)?;
    if model.image.as_ref().is_some_and(|image| image.video.is_some()) {
        let token = assets.video_token()?;
        let written: Vec<String> = shown.iter().map(|v| token.repeat(v.placeholders())).collect();
        text = expand_placeholders(&text, &token, &written)?;
    }
    let mut ids = assets.tokenizer()?.encode(&text, special)?;
    if in_lines && ids.first().is_some_and(|first| !model.is_placeholder(*first)) {
        // The blank with which the tokenizer begins every text does not stand in front of a picture.
        ids.remove(0);
    }
    let image_tokens = ids.iter().filter(|id| model.is_placeholder(**id)).count();
    let counts = shown.iter().map(Picture::placeholders).sum::<usize>();
    if image_tokens != counts + planned.iter().map(|(_, picture)| picture.placeholders()).sum::<usize>() {
        let error = TextError::NoImageToken(token);
        return Err(error.into());
    }
    if ids.len() >= model.max_context {
        let (needed, limit) = (ids.len(), model.max_context);
        return Err(DeviceError::PromptTooLong { needed, image: image_tokens, limit }.into());
    }
    let mut images: Vec<Picture> = planned.into_iter().map(|(_, picture)| picture).collect();
    if let Some(image) = &model.image {
        fill(assets, image, pictures, &mut images)?;
        if image.vision.question && !images.is_empty() {
            let question = assets.tokenizer()?.encode(&question(messages, &token), true)?;
            images.iter_mut().for_each(|picture| picture.question.clone_from(&question));
        }
    }
    let images = in_prompt_order(model, &ids, images, fill_videos(assets, model, videos, shown)?);
    Ok(Prompt { ids, image_tokens, images })
}

/// What pictures are encoded for, where that matters: the text of the message that shows the last of them.
fn question(messages: &[Message], token: &str) -> String {
    let texts = |message: &Message| -> String {
        let text = |part: &Part| match part {
            Part::Text { text } => text.replace(token, ""),
            Part::Image | Part::Video => String::new(),
        };
        message.content.iter().map(text).collect()
    };
    let shows = |message: &&Message| {
        message.content.iter().any(|part| match part {
            Part::Text { text } => text.contains(token),
            part => *part == Part::Image,
        })
    };
    let asked = messages.iter().rev().find(shows).map(texts).unwrap_or_default();
    match asked.trim() {
        // The reference's word for no question.
        "" => "image".into(),
        asked => asked.into(),
    }
}

/// Which frames of a video a model is shown, if it takes any.
pub fn video_sampling<'a>(assets: &'a TextAssets, model: &ModelInfo) -> Result<&'a Sampling, PromptError> {
    match model.image.as_ref().and_then(|image| image.video.as_ref()) {
        None => Err(PromptError::NoVideos(model.architecture.clone())),
        Some(_) => Ok(assets.video_processor()?.sampling()),
    }
}

/// The tiles of each video without their pixels: as many frames each as a patch has.
fn plan_videos(
    assets: &TextAssets,
    model: &ModelInfo,
    videos: &[Video],
) -> Result<Vec<Picture>, PromptError> {
    if videos.is_empty() {
        return Ok(Vec::new());
    }
    let Some(video) = model.image.as_ref().and_then(|image| image.video.as_ref()) else {
        return Err(PromptError::NoVideos(model.architecture.clone()));
    };
    let (processor, depth) = (assets.video_processor()?, video.vision.patch_frames());
    let of = |shown: &Video| {
        let size = processor.plan(&shown.frames).map_err(BundleError::from)?;
        let tile = planned(&video.vision, size)?;
        let tiles = vec![tile; shown.frames.len().div_ceil(depth)];
        let seconds = shown.seconds_per_frame * depth as f64;
        Ok(Picture::of_video(&video.vision, tiles, seconds as f32))
    };
    videos.iter().map(of).collect()
}

/// Computes the pixels of the planned frames.
fn fill_videos(
    assets: &TextAssets,
    model: &ModelInfo,
    videos: &[Video],
    mut planned: Vec<Picture>,
) -> Result<Vec<Picture>, PromptError> {
    let Some(video) = model.image.as_ref().and_then(|image| image.video.as_ref()) else { return Ok(planned) };
    for (shown, planned) in videos.iter().zip(&mut planned) {
        let values = assets.video_processor()?.process(&shown.frames).map_err(BundleError::from)?;
        for (tile, made) in planned.tiles.iter_mut().zip(video_tiles(&video.vision, &values)) {
            *tile = made;
        }
    }
    Ok(planned)
}

/// Tiles of processed frames, all of one size; the last frame fills the last patch up.
pub fn video_tiles<'a>(vision: &'a VisionSpec, frames: &'a [PixelValues]) -> impl Iterator<Item = Tile> + 'a {
    let depth = vision.patch_frames();
    frames.chunks(depth).map(move |chunk| {
        let last = &chunk[chunk.len() - 1];
        let frames = (0..depth).map(|at| chunk.get(at).unwrap_or(last).data.as_slice());
        vision.tile_of_frames(&frames.collect::<Vec<_>>(), [last.height, last.width])
    })
}

/// Pictures and videos as their placeholders follow each other.
fn in_prompt_order(
    model: &ModelInfo,
    ids: &[u32],
    pictures: Vec<Picture>,
    videos: Vec<Picture>,
) -> Vec<Picture> {
    let video_id = model.image.as_ref().and_then(|image| image.video.as_ref()).map(|video| video.token_id);
    order_by_placeholders(ids, model.image.as_ref().map(|image| image.token_id), video_id, pictures, videos)
}

/// Columns and rows, tiles without their pixels, and placeholders of each picture; the processor's and
/// the model's ideas of a picture are compared.
fn plan(
    assets: &TextAssets,
    image: &ImageInfo,
    pictures: &[RgbPicture],
) -> Result<Vec<(Extent, Picture)>, PromptError> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    let (processor, vision) = (assets.image_processor()?, &image.vision);
    let mut out = Vec::with_capacity(pictures.len());
    let thumbnails =
        pictures.len() > 1 && matches!(vision.arrange, Arrange::AnyResolution { most_tiles: Some(_), .. });
    for picture in pictures {
        let (cut, mut sizes) = processor.plan([picture.width, picture.height]).map_err(BundleError::from)?;
        if thumbnails {
            sizes.truncate(1);
        }
        let tiles = sizes.into_iter().map(|size| planned(vision, size)).collect::<Result<Vec<_>, _>>()?;
        let arranged = Picture::arranged(vision, tiles, [picture.height, picture.width]);
        let arranged = arranged.map_err(|error| PromptError::Inconsistent(error.to_string()))?;
        let arranged = Picture { prune: image.prune, ..arranged };
        out.push((cut.grid, arranged));
    }
    check_count(assets, image)?;
    Ok(out)
}

/// Does the processor count as many tokens for a tile as the model makes?
fn check_count(assets: &TextAssets, image: &ImageInfo) -> Result<(), PromptError> {
    let vision = &image.vision;
    if vision.any_grid || vision.merge > 1 {
        return Ok(());
    }
    let side = vision.image_size;
    let counted = assets.image_tokens()?.map(|rule| rule.count(side, side));
    match counted.filter(|&counted| counted != image.rows_unpruned) {
        None => Ok(()),
        Some(counted) => Err(PromptError::Inconsistent(format!(
            "the processor counts {counted} tokens for an image, the model makes {}; correct \
             patch_size, vision_feature_select_strategy or num_additional_image_tokens in \
             processor_config.json",
            image.rows_unpruned
        ))),
    }
}

/// Computes the pixels of the planned tiles.
fn fill(
    assets: &TextAssets,
    image: &ImageInfo,
    pictures: &[RgbPicture],
    planned: &mut [Picture],
) -> Result<(), PromptError> {
    for (picture, planned) in pictures.iter().zip(planned) {
        let values = assets.image_processor()?.process(picture).map_err(BundleError::from)?;
        for (tile, values) in planned.tiles.iter_mut().zip(values) {
            *tile = image.vision.tile(&values.data, [values.height, values.width]);
        }
    }
    Ok(())
}

/// The tiles of a picture that no prompt shows.
pub(crate) fn tiles(
    assets: &TextAssets,
    vision: &VisionSpec,
    picture: &RgbPicture,
) -> Result<Vec<Tile>, PromptError> {
    let processor = assets.image_processor()?;
    let (_, sizes) = processor.plan([picture.width, picture.height]).map_err(BundleError::from)?;
    sizes.into_iter().try_for_each(|size| planned(vision, size).map(drop))?;
    let values = processor.process(picture).map_err(BundleError::from)?;
    Ok(values.iter().map(|v| vision.tile(&v.data, [v.height, v.width])).collect())
}

/// A tile of such a size without its pixels, if the tower takes it.
fn planned(vision: &VisionSpec, [width, height]: Extent) -> Result<Tile, PromptError> {
    let tile = Tile { grid: [height / vision.patch, width / vision.patch], rows: Vec::new() };
    let whole = height % vision.patch == 0 && width % vision.patch == 0;
    let side = vision.image_size;
    if (!vision.any_grid && (height, width) != (side, side))
        || (vision.any_grid && !whole)
        || vision.check_grid(tile.grid).is_err()
    {
        return Err(PromptError::Inconsistent(format!(
            "the image processor makes pictures of {height} x {width} pixels, the vision tower \
             takes {side} x {side}; correct size or crop_size in the processor's configuration"
        )));
    }
    Ok(tile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_encoded_for_the_text_beside_them() {
        let said = |role: &str, text: &str| Message {
            role: role.into(),
            content: vec![Part::Text { text: text.into() }],
        };
        let turns = [Message::user(1, " what is this? "), said("assistant", "a cat"), said("user", "sure?")];
        assert_eq!(question(&turns, "<image>"), "what is this?");
        assert_eq!(question(&[said("user", "<image>\nwhere is it?")], "<image>"), "where is it?");
        assert_eq!(question(&[Message::user(2, "")], "<image>"), "image");
    }
}
