//! The settings of an image processor, from the JSON that Hugging Face saves.

use super::{Filter, ImageError, Scheme, MAX_PIXELS};
use serde_json::{Map, Value};

/// Whose arithmetic to reproduce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// `CLIPImageProcessor` and relatives of transformers 5: torch kernels on `uint8` tensors.
    #[default]
    Torchvision,
    /// The `...ImageProcessorPil` classes: Pillow and numpy.
    Pillow,
}

/// The target of the resize step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Exactly this many rows and columns; the aspect ratio is not kept.
    Exact {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// The shorter side gets this length, the longer one follows (truncated).
    ShortestEdge(usize),
}

/// An image processor's settings. Missing keys take the defaults of the processor's class.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessorConfig {
    /// Whose arithmetic to reproduce.
    pub backend: Backend,
    /// How pictures are cut into tiles.
    pub scheme: Scheme,
    /// Filter of every change of size.
    pub filter: Filter,
    /// Resize each tile to this size, if at all.
    pub resize: Option<(Size, Filter)>,
    /// Crop to (height, width), if at all.
    pub crop: Option<(usize, usize)>,
    /// Multiply by `rescale_factor`.
    pub do_rescale: bool,
    /// Usually 1/255.
    pub rescale_factor: f64,
    /// Subtract `mean`, divide by `std`.
    pub do_normalize: bool,
    /// Per channel, in units of rescaled pixels.
    pub mean: [f64; 3],
    /// Per channel, in units of rescaled pixels.
    pub std: [f64; 3],
}

/// Mean and deviation by channel.
type Colours = ([f64; 3], [f64; 3]);
const CLIP_COLOURS: Colours = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]);
const IMAGENET: Colours = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
const HALF: Colours = ([0.5; 3], [0.5; 3]);
/// Larger targets than this are taken for a mistake in the file.
const MAX_TARGET: u64 = 4096;

impl ProcessorConfig {
    /// Is there a class of this name?
    pub fn knows(class: &str) -> bool {
        CLASSES.iter().any(|known| known.name == class)
    }

    /// Reads the settings from `processor_config.json` (where transformers 5 nests them under
    /// `image_processor`) or from a `preprocessor_config.json`. `file` is used in messages.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self, ImageError> {
        let json: Value = serde_json::from_slice(text)
            .map_err(|error| ImageError::Json { file: file.into(), message: error.to_string() })?;
        let object = json.get("image_processor").unwrap_or(&json);
        match object.as_object() {
            Some(keys) => Keys { file, keys }.read(),
            None => Err(ImageError::Config { file: file.into(), message: "expected a JSON object".into() }),
        }
    }
}

/// Which parameters a class's way of cutting pictures has.
#[derive(Clone, Copy)]
enum Cutting {
    None,
    Square,
    Pinpoints,
    LongestEdge,
    /// Most tiles.
    ClosestRatio(usize),
    /// Default of least and largest area.
    SmartResize([usize; 2]),
    Relaxed,
    /// Key and default of the most tiles.
    Across(&'static str, usize),
    Slices,
    Fit,
}

/// A Hugging Face image processor: defaults of its settings.
struct Class {
    name: &'static str,
    /// Resize of each tile; `None`: the scheme does it.
    size: Option<Size>,
    crops: bool,
    colours: Colours,
    filter: Filter,
    cutting: Cutting,
    /// Its arithmetic is Pillow's and numpy's.
    pillow: bool,
}

const CLIP: Class = Class {
    name: "CLIPImageProcessor",
    size: Some(Size::ShortestEdge(224)),
    crops: true,
    colours: CLIP_COLOURS,
    filter: Filter::Bicubic,
    cutting: Cutting::None,
    pillow: false,
};

const IDEFICS3: Class = Class {
    name: "Idefics3ImageProcessor",
    size: None,
    crops: false,
    colours: HALF,
    filter: Filter::Lanczos,
    cutting: Cutting::LongestEdge,
    pillow: false,
};

const ACROSS: Class = Class {
    name: "XComposer2ImageProcessor",
    size: Some(Size::Exact { height: 336, width: 336 }),
    crops: false,
    filter: Filter::Bilinear,
    cutting: Cutting::Across("hd_num", 55),
    pillow: true,
    ..CLIP
};

const QWEN2_VL: Class = Class {
    name: "Qwen2VLImageProcessor",
    size: None,
    crops: false,
    cutting: Cutting::SmartResize([56 * 56, 28 * 28 * 1280]),
    ..CLIP
};

const CLASSES: &[Class] = &[
    CLIP,
    Class {
        name: "SiglipImageProcessor",
        size: Some(Size::Exact { height: 224, width: 224 }),
        crops: false,
        colours: HALF,
        ..CLIP
    },
    Class { name: "LlavaImageProcessor", cutting: Cutting::Square, ..CLIP },
    Class { name: "LlavaNextImageProcessor", cutting: Cutting::Pinpoints, ..CLIP },
    Class {
        name: "LlavaOnevisionImageProcessor",
        size: Some(Size::Exact { height: 384, width: 384 }),
        crops: false,
        cutting: Cutting::Pinpoints,
        ..CLIP
    },
    IDEFICS3,
    Class { name: "SmolVLMImageProcessor", ..IDEFICS3 },
    // InternVL's. Published files say `crop_to_patches` false, and InternVL's processor cuts all the same.
    Class {
        name: "GotOcr2ImageProcessor",
        size: Some(Size::Exact { height: 384, width: 384 }),
        crops: false,
        cutting: Cutting::ClosestRatio(12),
        ..CLIP
    },
    Class {
        name: "FuyuImageProcessor",
        size: None,
        crops: false,
        colours: HALF,
        filter: Filter::Bilinear,
        cutting: Cutting::Fit,
        pillow: false,
    },
    Class { name: "VideoLlavaImageProcessor", pillow: true, ..CLIP },
    Class { name: "VideoLlavaVideoProcessor", ..CLIP },
    QWEN2_VL,
    Class {
        name: "Qwen2VLVideoProcessor",
        cutting: Cutting::SmartResize([128 * 28 * 28, 768 * 28 * 28]),
        ..QWEN2_VL
    },
    // Four whose processors are code beside a checkpoint or in a paper: `tests/golden/processor/README.md`.
    Class {
        name: "BlueLMVImageProcessor",
        size: Some(Size::Exact { height: 384, width: 384 }),
        crops: false,
        colours: HALF,
        cutting: Cutting::Relaxed,
        ..CLIP
    },
    ACROSS,
    Class { name: "Phi3VImageProcessor", cutting: Cutting::Across("num_crops", 16), ..ACROSS },
    Class {
        name: "MiniCPMVImageProcessor",
        size: None,
        crops: false,
        colours: HALF,
        cutting: Cutting::Slices,
        pillow: true,
        ..CLIP
    },
    Class {
        name: "NVLMImageProcessor",
        size: Some(Size::Exact { height: 448, width: 448 }),
        crops: false,
        colours: IMAGENET,
        cutting: Cutting::ClosestRatio(6),
        pillow: true,
        ..CLIP
    },
];

/// Sizes (height, width) of LLaVA-NeXT's first release.
const PINPOINTS: [[usize; 2]; 5] = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]];

/// Typed access to the keys, with errors that name them.
struct Keys<'a> {
    file: &'a str,
    keys: &'a Map<String, Value>,
}

impl Keys<'_> {
    fn read(&self) -> Result<ProcessorConfig, ImageError> {
        let (kind, class) = self.class()?;
        let filter = self.filter(class.filter)?;
        let resize = match (class.size, self.flag("do_resize", true)?) {
            (Some(default), true) => Some((self.size(default)?, filter)),
            _ => None,
        };
        let crop = if self.flag("do_center_crop", class.crops)? { Some(self.crop()?) } else { None };
        let (mean, std) = class.colours;
        let scheme = self.scheme(class, resize, crop, self.triple("image_mean", mean)?)?;
        let std = self.triple("image_std", std)?;
        if std.contains(&0.0) {
            return Err(self.error("image_std contains 0".into()));
        }
        let rescale_factor = self.number("rescale_factor", 1.0 / 255.0)?;
        if rescale_factor <= 0.0 {
            return Err(self.error(format!("rescale_factor is {rescale_factor}, not positive")));
        }
        let backend =
            if kind.ends_with("Pil") || class.pillow { Backend::Pillow } else { Backend::Torchvision };
        Ok(ProcessorConfig {
            backend,
            scheme,
            filter,
            resize,
            crop,
            do_rescale: self.flag("do_rescale", true)?,
            rescale_factor,
            do_normalize: self.flag("do_normalize", true)?,
            mean: self.triple("image_mean", mean)?,
            std,
        })
    }

    fn error(&self, message: String) -> ImageError {
        ImageError::Config { file: self.file.into(), message }
    }

    /// The key's value, with an explicit null counted as absent.
    fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key).filter(|value| !value.is_null())
    }

    /// The class's name and row of the table.
    fn class(&self) -> Result<(&str, &'static Class), ImageError> {
        let keys = ["image_processor_type", "video_processor_type", "feature_extractor_type"];
        let Some(name) = keys.into_iter().find_map(|key| self.get(key)) else {
            return Ok((CLASSES[0].name, &CLASSES[0]));
        };
        let name = name.as_str().unwrap_or_default();
        let stem = name.trim_end_matches("Fast").trim_end_matches("Pil");
        let stem = if stem == "CLIPFeatureExtractor" { CLASSES[0].name } else { stem };
        if let Some(class) = CLASSES.iter().find(|class| class.name == stem) {
            return Ok((name, class));
        }
        let known: Vec<&str> = CLASSES.iter().map(|class| class.name).collect();
        Err(self.error(format!("image processor {name:?} is not supported; supported: {}", known.join(", "))))
    }

    /// The scheme of the class with its settings.
    fn scheme(
        &self,
        class: &Class,
        resize: Option<(Size, Filter)>,
        crop: Option<(usize, usize)>,
        mean: [f64; 3],
    ) -> Result<Scheme, ImageError> {
        let side = match resize {
            Some((Size::Exact { height, .. } | Size::ShortestEdge(height), _)) => height,
            None => 224,
        };
        Ok(match class.cutting {
            Cutting::None if self.flag("do_pad", false)? => {
                return Err(self.error("do_pad = true is not supported".into()));
            }
            Cutting::None => Scheme::Whole,
            Cutting::Square if self.flag("do_pad", false)? => {
                // Truncated, as Python's int does.
                Scheme::PadToSquare { fill: mean.map(|m| (m * 255.0).clamp(0.0, 255.0) as u8) }
            }
            Cutting::Square => Scheme::Whole,
            Cutting::Pinpoints => {
                let tile = crop.map_or(side, |(height, _)| height);
                Scheme::Pinpoints { pinpoints: self.pinpoints(tile)?, tile, whole: side }
            }
            Cutting::LongestEdge => {
                let longest = self.edge("size", "longest_edge", 4 * 364)?;
                Scheme::LongestEdge {
                    longest: self.flag("do_resize", true)?.then_some(longest),
                    tile: self.edge("max_image_size", "longest_edge", 364)?,
                    split: self.flag("do_image_splitting", true)?,
                }
            }
            Cutting::ClosestRatio(most) => {
                let max = self.count("max_patches", most)?;
                let min = self.count("min_patches", 1)?;
                if min > max {
                    return Err(self.error(format!("min_patches {min} is more than max_patches {max}")));
                }
                Scheme::ClosestRatio { tile: side, min, max }
            }
            Cutting::Relaxed => {
                let alpha = self.number("alpha", 0.1)?;
                if !(0.0..1.0).contains(&alpha) {
                    return Err(self.error(format!("alpha is {alpha}, expected 0 or more, below 1")));
                }
                Scheme::Relaxed { tile: side, max: self.count("max_tiles_per_side", 3)?, alpha }
            }
            Cutting::Across(key, most) => Scheme::Across { tile: side, max: self.count(key, most)? },
            Cutting::Slices => Scheme::Slices {
                tile: match self.get("scale_resolution") {
                    None => 448,
                    Some(value) => self.pixels("scale_resolution", value)?,
                },
                patch: self.count("patch_size", 14)?,
                max: self.count("max_slice_nums", 9)?,
            },
            Cutting::Fit => self.fit()?,
            Cutting::SmartResize([least, largest]) => Scheme::SmartResize {
                factor: self.count("patch_size", 14)? * self.count("merge_size", 2)?,
                min_area: self.area("min_pixels", "shortest_edge", least)?,
                max_area: self.area("max_pixels", "longest_edge", largest)?,
            },
        })
    }

    /// Fuyu's size, patches and padding.
    fn fit(&self) -> Result<Scheme, ImageError> {
        if !self.flag("do_resize", true)? || !self.flag("do_pad", true)? {
            return Err(self.error("do_resize and do_pad must be true: patches have to be whole".into()));
        }
        let mode = self.get("padding_mode").map_or("constant", |mode| mode.as_str().unwrap_or_default());
        let fill = self.number("padding_value", 1.0)?;
        if mode != "constant" || !(0.0..=255.0).contains(&fill) {
            return Err(
                self.error(format!("padding_mode {mode:?}, value {fill}; supported: constant, 0 to 255"))
            );
        }
        let sides = |key: &str, default: [usize; 2]| -> Result<[usize; 2], ImageError> {
            let Some(object) = self.get(key) else { return Ok(default) };
            match (object.get("width"), object.get("height")) {
                (Some(w), Some(h)) => Ok([self.pixels(key, w)?, self.pixels(key, h)?]),
                _ => Err(self.error(format!("{key} is {object}; supported: height and width"))),
            }
        };
        let (within, patch) = (sides("size", [1920, 1080])?, sides("patch_size", [30, 30])?);
        if patch[0] != patch[1] || within.iter().any(|n| n % patch[0] != 0) {
            let wanted = "square patches that divide size";
            return Err(self.error(format!("patch_size {patch:?} and size {within:?}; expected {wanted}")));
        }
        Ok(Scheme::Fit { within, patch: patch[0], fill: fill as u8 })
    }

    /// A small count.
    fn count(&self, key: &str, default: usize) -> Result<usize, ImageError> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => match value.as_u64() {
                Some(n @ 1..=64) => Ok(n as usize),
                _ => Err(self.error(format!("{key} is {value}, expected 1 to 64"))),
            },
        }
    }

    /// A length inside an object.
    fn edge(&self, key: &str, name: &str, default: usize) -> Result<usize, ImageError> {
        match self.get(key) {
            None => Ok(default),
            Some(object) => match object.get(name) {
                Some(value) => self.pixels(&format!("{key}.{name}"), value),
                None => Err(self.error(format!("{key} is {object}; supported: {name}"))),
            },
        }
    }

    /// An area in pixels, under its own key or inside `size`.
    fn area(&self, key: &str, name: &str, default: usize) -> Result<usize, ImageError> {
        let value = self.get(key).or_else(|| self.get("size")?.get(name));
        match value.map(|v| (v, v.as_u64())) {
            None => Ok(default),
            Some((_, Some(area @ 1..=MAX_PIXELS))) => Ok(area as usize),
            Some((value, _)) => Err(self.error(format!("{key} is {value}, expected 1 to {MAX_PIXELS}"))),
        }
    }

    fn pinpoints(&self, tile: usize) -> Result<Vec<[usize; 2]>, ImageError> {
        let Some(value) = self.get("image_grid_pinpoints") else { return Ok(PINPOINTS.to_vec()) };
        let most = MAX_TARGET as usize;
        let side = |v: &Value| v.as_u64().map(|n| n as usize).filter(|n| (tile..=most).contains(n));
        let pair = |v: &Value| match v.as_array()?.as_slice() {
            [height, width] => Some([side(height)?, side(width)?]),
            _ => None,
        };
        let list: Option<Vec<[usize; 2]>> =
            value.as_array().and_then(|list| list.iter().map(pair).collect::<Option<_>>());
        list.filter(|list| !list.is_empty()).ok_or_else(|| {
            self.error(format!("image_grid_pinpoints: expected pairs [height, width] from {tile} to {most}"))
        })
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, ImageError> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.error(format!("{key} is {other}, expected true or false"))),
        }
    }

    fn number(&self, key: &str, default: f64) -> Result<f64, ImageError> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => {
                value.as_f64().ok_or_else(|| self.error(format!("{key} is {value}, expected a number")))
            }
        }
    }

    /// Three numbers, or one for all channels.
    fn triple(&self, key: &str, default: [f64; 3]) -> Result<[f64; 3], ImageError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        if let Some(number) = value.as_f64() {
            return Ok([number; 3]);
        }
        let numbers: Option<Vec<f64>> =
            value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
        numbers
            .and_then(|list| <[f64; 3]>::try_from(list).ok())
            .ok_or_else(|| self.error(format!("{key} is {value}, expected three numbers")))
    }

    /// A length in pixels inside `value`.
    fn pixels(&self, key: &str, value: &Value) -> Result<usize, ImageError> {
        match value.as_u64() {
            Some(length @ 1..=MAX_TARGET) => Ok(length as usize),
            _ => Err(self.error(format!("{key} is {value}, expected 1 to {MAX_TARGET} pixels"))),
        }
    }

    fn size(&self, default: Size) -> Result<Size, ImageError> {
        let Some(value) = self.get("size") else { return Ok(default) };
        let part = |name| value.get(name).filter(|value| !value.is_null());
        if value.is_number() {
            return Ok(Size::ShortestEdge(self.pixels("size", value)?));
        }
        match (part("height"), part("width"), part("shortest_edge"), part("longest_edge")) {
            (Some(height), Some(width), None, None) => Ok(Size::Exact {
                height: self.pixels("size.height", height)?,
                width: self.pixels("size.width", width)?,
            }),
            (None, None, Some(edge), None) => {
                Ok(Size::ShortestEdge(self.pixels("size.shortest_edge", edge)?))
            }
            _ => Err(self.error(format!("size is {value}; supported: height and width, or shortest_edge"))),
        }
    }

    fn crop(&self) -> Result<(usize, usize), ImageError> {
        let Some(value) = self.get("crop_size") else { return Ok((224, 224)) };
        if value.is_number() {
            let side = self.pixels("crop_size", value)?;
            return Ok((side, side));
        }
        match (value.get("height"), value.get("width")) {
            (Some(height), Some(width)) => {
                Ok((self.pixels("crop_size.height", height)?, self.pixels("crop_size.width", width)?))
            }
            _ => Err(self.error(format!("crop_size is {value}; supported: height and width"))),
        }
    }

    fn filter(&self, default: Filter) -> Result<Filter, ImageError> {
        let Some(value) = self.get("resample") else { return Ok(default) };
        value.as_u64().and_then(Filter::from_code).ok_or_else(|| {
            self.error(format!("resample is {value}; supported: 1 (Lanczos), 2 (bilinear), 3 (bicubic)"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProcessorConfig, ImageError> {
        ProcessorConfig::from_json("preprocessor_config.json", text.as_bytes())
    }

    #[test]
    fn class_defaults() {
        let clip = read(r#"{"image_processor_type": "CLIPImageProcessor"}"#).unwrap();
        assert_eq!(clip.resize, Some((Size::ShortestEdge(224), Filter::Bicubic)));
        assert_eq!(clip.crop, Some((224, 224)));
        assert_eq!((clip.mean, clip.std), CLIP_COLOURS);
        let siglip = read(r#"{"image_processor_type": "SiglipImageProcessorFast"}"#).unwrap();
        assert_eq!(siglip.crop, None);
        assert_eq!(siglip.mean, [0.5; 3]);
        assert_eq!(siglip.backend, Backend::Torchvision);
        let pillow = read(r#"{"image_processor_type": "SiglipImageProcessorPil"}"#).unwrap();
        assert_eq!(pillow.backend, Backend::Pillow);
    }

    #[test]
    fn nested_settings_are_found() {
        let text = r#"{"image_processor": {"image_processor_type": "SiglipImageProcessor",
            "size": {"height": 96, "width": 64}, "resample": 2}, "patch_size": 16}"#;
        let config = read(text).unwrap();
        let size = Size::Exact { height: 96, width: 64 };
        assert_eq!(config.resize, Some((size, Filter::Bilinear)));
    }

    #[test]
    fn faults_name_the_key_and_the_choices() {
        for (text, needle) in [
            (r#"{"image_processor_type": "BitImageProcessor"}"#, "supported: CLIPImageProcessor"),
            (r#"{"resample": 0}"#, "resample is 0"),
            (r#"{"size": {"longest_edge": 5}}"#, "shortest_edge"),
            (r#"{"size": {"height": 0, "width": 5}}"#, "size.height is 0"),
            (r#"{"image_std": [1, 0, 1]}"#, "image_std"),
            (r#"{"image_mean": [1, 2]}"#, "three numbers"),
            (r#"{"do_resize": 1}"#, "true or false"),
            (r#"{"do_pad": true}"#, "do_pad"),
            (r#"{"image_processor_type": "BlueLMVImageProcessor", "alpha": 1}"#, "alpha is 1"),
            (r#"{"image_processor_type": "XComposer2ImageProcessor", "hd_num": 0}"#, "hd_num is 0"),
            (
                r#"{"image_processor_type": "MiniCPMVImageProcessor", "max_slice_nums": 99}"#,
                "max_slice_nums is 99",
            ),
            ("[]", "JSON object"),
            ("{", "not valid JSON"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}
