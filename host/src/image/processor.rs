//! The chain of steps.

use super::crop::center_crop;
use super::normalize::normalize;
use super::resize::resize;
use super::{ImageError, PixelValues, ProcessorConfig, RgbPicture, Size, MAX_PIXELS};

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

    /// The 8-bit picture before normalisation: resized and cropped.
    pub fn resize_and_crop(&self, picture: &RgbPicture) -> Result<RgbPicture, ImageError> {
        let mut picture = match self.config.resize {
            None => picture.clone(),
            Some((size, filter)) => {
                let (width, height) = target(size, picture)?;
                resize(picture, width, height, filter, self.config.backend)
            }
        };
        if let Some((height, width)) = self.config.crop {
            picture = center_crop(&picture, width, height, self.config.backend);
        }
        Ok(picture)
    }

    /// All steps: an upright RGB picture to [3, height, width].
    pub fn process(&self, picture: &RgbPicture) -> Result<PixelValues, ImageError> {
        Ok(normalize(&self.resize_and_crop(picture)?, &self.config))
    }
}

/// (width, height) after the resize.
fn target(size: Size, picture: &RgbPicture) -> Result<(usize, usize), ImageError> {
    let (width, height) = (picture.width, picture.height);
    let (new_width, new_height) = match size {
        Size::Exact { height, width } => (width, height),
        Size::ShortestEdge(edge) if width <= height => (edge, edge * height / width),
        Size::ShortestEdge(edge) => (edge * width / height, edge),
    };
    if new_width as u64 * new_height as u64 > MAX_PIXELS {
        return Err(ImageError::Stretched { width, height, new_width, new_height });
    }
    Ok((new_width, new_height))
}
