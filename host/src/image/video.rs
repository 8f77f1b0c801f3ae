//! Frames of a video to the tensors that a tower reads, as the `...VideoProcessor` classes of Hugging Face do.

use super::{
    Backend, Extent, ImageError, ImageProcessor, PixelValues, ProcessorConfig, RgbPicture, Sampling, Scheme,
};
use serde_json::Value;

/// Pixels that a whole video may have, which its frames share (`cap_pixels_per_frame`).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Budget {
    /// Of the whole.
    pixels: usize,
    /// Frames of a patch.
    multiple: usize,
}

/// A checkpoint's way with videos.
#[derive(Clone, Debug)]
pub struct VideoProcessor {
    frame: ImageProcessor,
    sampling: Sampling,
    budget: Option<Budget>,
}

/// Frames that Video-LLaVA was trained with.
const FRAMES: usize = 8;

impl VideoProcessor {
    /// Reads the settings of a video processor, or those of an image processor that serve both. `file` is used in
    /// messages.
    pub fn from_json(file: &str, mut settings: Value) -> Result<VideoProcessor, ImageError> {
        let fault = |message: String| ImageError::Config { file: file.into(), message };
        let Some(keys) = settings.as_object_mut() else { return Err(fault("expected a JSON object".into())) };
        let image_class = ["image_processor_type", "feature_extractor_type"].map(|key| keys.remove(key));
        let image_class = image_class.into_iter().flatten().find_map(|name| name.as_str().map(str::to_owned));
        if let (None, Some(name)) = (keys.get("video_processor_type"), image_class) {
            let stem = name.trim_end_matches("Fast").trim_end_matches("Pil");
            let name = match stem.replace("ImageProcessor", "VideoProcessor") {
                sibling if ProcessorConfig::knows(&sibling) => sibling,
                _ => stem.to_owned(),
            };
            keys.insert("video_processor_type".into(), name.into());
        }
        let count = |key: &str, default: usize| match keys.get(key).filter(|value| !value.is_null()) {
            None => Ok(default),
            Some(value) => match value.as_u64() {
                Some(n @ 1..=1_000_000) => Ok(n as usize),
                _ => Err(fault(format!("{key} is {value}, expected 1 to 1000000"))),
            },
        };
        let flag = |key: &str| keys.get(key).and_then(Value::as_bool).unwrap_or(false);
        let given = keys.get("num_frames").filter(|value| !value.is_null()).is_some();
        let (frames, multiple) = (count("num_frames", FRAMES)?, count("temporal_patch_size", 2)?);
        let config = ProcessorConfig::from_json(file, settings_text(keys).as_bytes())?;
        let smart = matches!(config.scheme, Scheme::SmartResize { .. });
        let sampling = match smart {
            // Rounded half to even, as Python does.
            true if given => Sampling::Count(
                ((frames as f64 / multiple as f64).round_ties_even() as usize * multiple).max(multiple),
            ),
            true => {
                let per_second = match keys.get("fps").filter(|value| !value.is_null()) {
                    None => 2.0,
                    Some(value) => value
                        .as_f64()
                        .filter(|fps| *fps > 0.0)
                        .ok_or_else(|| fault(format!("fps is {value}, expected a number above 0")))?,
                };
                let (least, most) = (count("min_frames", 4)?, count("max_frames", 768)?);
                Sampling::Rate { per_second, least, most, multiple }
            }
            false => Sampling::Count(frames),
        };
        let budget = match config.scheme {
            Scheme::SmartResize { factor, .. } if flag("cap_pixels_per_frame") => {
                let tokens = count("max_video_tokens", 128_000)?;
                let pixels = ((tokens * factor * factor) as f64 * 0.9) as usize;
                Some(Budget { pixels, multiple })
            }
            _ => None,
        };
        let config = ProcessorConfig { backend: Backend::Torchvision, ..config };
        Ok(VideoProcessor { frame: ImageProcessor::new(config), sampling, budget })
    }

    /// Which frames are shown.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The processor of a frame of a video that shows so many.
    fn of_frames(&self, frames: usize) -> ImageProcessor {
        let mut config = self.frame.config().clone();
        if let (Some(budget), Scheme::SmartResize { min_area, max_area, .. }) =
            (self.budget, &mut config.scheme)
        {
            let share = budget.pixels * budget.multiple / frames.max(1);
            *max_area = (*max_area).min(share).max((*min_area as f64 * 1.05) as usize);
        }
        ImageProcessor::new(config)
    }

    /// Width and height of a finished frame; all frames have one size, unless each is brought to the same.
    pub fn plan(&self, frames: &[RgbPicture]) -> Result<Extent, ImageError> {
        let size = |frame: &RgbPicture| [frame.width, frame.height];
        let Some(first) = frames.first() else {
            return Err(ImageError::NoFrames("the video has no frame".into()));
        };
        let other = frames.iter().position(|frame| size(frame) != size(first));
        if let (Some(at), true) = (other, matches!(self.frame.config().scheme, Scheme::SmartResize { .. })) {
            let (a, b) = (size(first), size(&frames[at]));
            return Err(ImageError::NoFrames(format!(
                "the frames of a video must have one size: the first has {} x {} pixels, shown frame {} has {} x {}",
                a[0], a[1], at + 1, b[0], b[1]
            )));
        }
        let (_, sizes) = self.of_frames(frames.len()).plan(size(first))?;
        Ok(sizes.first().copied().unwrap_or_default())
    }

    /// All steps, frame by frame.
    pub fn process(&self, frames: &[RgbPicture]) -> Result<Vec<PixelValues>, ImageError> {
        let processor = self.of_frames(frames.len());
        let one = |frame: &RgbPicture| Ok(processor.process(frame)?.remove(0));
        frames.iter().map(one).collect()
    }
}

fn settings_text(keys: &serde_json::Map<String, Value>) -> String {
    Value::from(keys.clone()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(settings: Value) -> String {
        VideoProcessor::from_json("f", settings).expect_err("refused").to_string()
    }

    #[test]
    fn settings_of_pictures_serve_videos() {
        let old = json!({"image_processor_type": "Qwen2VLImageProcessorFast", "min_pixels": 3136, "max_pixels": 12544});
        let p = VideoProcessor::from_json("f", old).expect("settings");
        let Scheme::SmartResize { min_area, max_area, .. } = p.frame.config().scheme else {
            panic!("a scheme")
        };
        assert_eq!((min_area, max_area), (3136, 12_544));
        assert_eq!(*p.sampling(), Sampling::Rate { per_second: 2.0, least: 4, most: 768, multiple: 2 });
        let llava = json!({"image_processor_type": "VideoLlavaImageProcessor"});
        let p = VideoProcessor::from_json("f", llava).expect("settings");
        assert_eq!((*p.sampling(), p.frame.config().backend), (Sampling::Count(8), Backend::Torchvision));
        let five = json!({"video_processor_type": "Qwen2VLVideoProcessor", "num_frames": 5});
        // Rounded half to even patches.
        assert_eq!(*VideoProcessor::from_json("f", five).expect("settings").sampling(), Sampling::Count(4));
        let fps = json!({"video_processor_type": "Qwen2VLVideoProcessor", "fps": 0});
        assert!(refused(fps).contains("fps is 0"));
        let none = json!({"video_processor_type": "Qwen2VLVideoProcessor", "max_frames": 0});
        assert!(refused(none).contains("max_frames is 0"));
        assert!(refused(json!([])).contains("JSON object"));
    }

    #[test]
    fn frames_of_several_sizes_are_refused_where_one_is_needed() {
        let frame = |width: usize| RgbPicture::new(width, 40, vec![0; width * 120]);
        let qwen = VideoProcessor::from_json("f", json!({"video_processor_type": "Qwen2VLVideoProcessor"}));
        let error = qwen.expect("settings").plan(&[frame(40), frame(41)]).expect_err("two sizes").to_string();
        assert!(error.contains("40 x 40") && error.contains("frame 2 has 41 x 40"), "{error}");
        let llava =
            VideoProcessor::from_json("f", json!({"image_processor_type": "VideoLlavaImageProcessor"}));
        let llava = llava.expect("settings");
        assert_eq!(llava.plan(&[frame(40), frame(41)]).expect("any sizes"), [224, 224]);
        assert!(llava.plan(&[]).is_err());
    }
}
