//! The chain of steps.

use super::crop::center_crop;
use super::interpolate::interpolate;
use super::normalize::normalize;
use super::resize::resize;
use super::{Cut, Extent, ImageError, PixelValues, ProcessorConfig, RgbPicture, Size, MAX_PIXELS};

/// Turns pictures into `pixel_values` as the checkpoint's own processor does.
#[derive(Clone, Debug)]
pub struct ImageProcessor {
    config: ProcessorConfig,
}

impl ImageProcessor {
    /// A processor with these settings.
    pub fn new(config: ProcessorConfig) -> Self {
        ImageProcessor { config }
    }

    /// The settings.
    pub fn config(&self) -> &ProcessorConfig {
        &self.config
    }

    /// A tile before normalisation: resized and cropped.
    pub fn resize_and_crop(&self, picture: &RgbPicture) -> Result<RgbPicture, ImageError> {
        let mut picture = match self.config.resize {
            None => picture.clone(),
            Some((size, filter)) => {
                let (width, height) = target(size, [picture.width, picture.height])?.into();
                resize(picture, width, height, filter, self.config.backend)
            }
        };
        if let Some((height, width)) = self.config.crop {
            picture = center_crop(&picture, width, height, self.config.backend);
        }
        Ok(picture)
    }

    /// How a picture of `size` (width, height) is cut, and the size of each finished tile.
    pub fn plan(&self, size: Extent) -> Result<(Cut, Vec<Extent>), ImageError> {
        let cut = self.config.scheme.cut(size);
        let all = cut.scaled.iter().copied().chain(cut.canvas.map(|c| c.size));
        for [width, height] in all.chain(cut.whole.map(|w| w.size)) {
            within_limits(size, [width, height])?;
        }
        let finished = |size: Extent| match (self.config.crop, self.config.resize) {
            (Some((height, width)), _) => Ok([width, height]),
            (None, Some((target_size, _))) => target(target_size, size),
            (None, None) => Ok(size),
        };
        let sizes = cut.tile_sizes(size).into_iter().map(finished).collect::<Result<_, _>>()?;
        Ok((cut, sizes))
    }

    /// All steps: an upright RGB picture to its tiles, each [3, height, width].
    pub fn process(&self, picture: &RgbPicture) -> Result<Vec<PixelValues>, ImageError> {
        let (cut, _) = self.plan([picture.width, picture.height])?;
        let pieces = cut.apply(picture, self.config.filter, self.config.backend);
        let tile = |tile| Ok(normalize(&self.resize_and_crop(tile)?, &self.config));
        let mut tiles = pieces.tiles.iter().map(tile).collect::<Result<Vec<_>, ImageError>>()?;
        if let (Some(canvas), Some(whole)) = (pieces.canvas, cut.whole) {
            let values = interpolate(&normalize(&canvas, &self.config), whole.size);
            tiles.insert(if whole.first { 0 } else { tiles.len() }, values);
        }
        Ok(tiles)
    }
}

/// (width, height) after the resize.
fn target(size: Size, [width, height]: Extent) -> Result<Extent, ImageError> {
    let (new_width, new_height) = match size {
        Size::Exact { height, width } => (width, height),
        Size::ShortestEdge(edge) if width <= height => (edge, edge * height / width),
        Size::ShortestEdge(edge) => (edge * width / height, edge),
    };
    within_limits([width, height], [new_width, new_height])?;
    Ok([new_width, new_height])
}

/// Refuses sizes that a very long or flat picture would be enlarged to.
fn within_limits([width, height]: Extent, [new_width, new_height]: Extent) -> Result<(), ImageError> {
    if new_width as u64 * new_height as u64 > MAX_PIXELS {
        return Err(ImageError::Stretched { width, height, new_width, new_height });
    }
    Ok(())
}
