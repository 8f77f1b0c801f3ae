//! The small files of a checkpoint: everything around the weights that a run needs.
//!
//! `compile` embeds them in the program file, so that a `.fvp` alone can answer a question; a
//! checkpoint folder gives the same set. Parsing happens on first use: a folder without a
//! tokenizer is fine until somebody asks for text.

use crate::image::{ImageError, ImageProcessor, ProcessorConfig, VideoProcessor};
use crate::text::{ChatTemplate, ImageTokens, SpecialTokens, TextError, Tokenizer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

/// The names that are looked for in a checkpoint folder; others are left alone.
pub const FILE_NAMES: [&str; 10] = [
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
];

/// No such file is anywhere near this large.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// A missing or unusable file of the bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A needed file is not there.
    #[error("the model has no {file}, which is needed to {purpose}")]
    Missing {
        /// File name.
        file: &'static str,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// A file cannot be read from disk.
    #[error("cannot read {file}: {error}")]
    Read {
        /// File name.
        file: String,
        /// The system's message.
        error: std::io::Error,
    },
    /// A file is far too large to be what its name says.
    #[error("{file} has {bytes} bytes; at most {MAX_FILE_BYTES} are accepted")]
    TooLarge {
        /// File name.
        file: String,
        /// Its size.
        bytes: u64,
    },
    /// A file's contents are wrong.
    #[error("{file}: {message}")]
    Invalid {
        /// File name.
        file: String,
        /// What was found and what is accepted.
        message: String,
    },
    /// Text files.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Image processor settings.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// The files, by name, and what has been built from them so far.
#[derive(Default)]
pub struct TextAssets {
    files: BTreeMap<String, Vec<u8>>,
    tokenizer: OnceLock<Tokenizer>,
    image_processor: OnceLock<ImageProcessor>,
    video_processor: OnceLock<VideoProcessor>,
    template: OnceLock<ChatTemplate>,
}

impl TextAssets {
    /// Collects the known files of a checkpoint folder; missing ones are left out.
    pub fn from_dir(folder: &Path) -> Result<Self, BundleError> {
        let mut files = BTreeMap::new();
        for name in FILE_NAMES {
            let path = folder.join(name);
            let read_error = |error| BundleError::Read { file: name.to_owned(), error };
            let bytes = match std::fs::metadata(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(read_error(error)),
                Ok(data) if data.len() > MAX_FILE_BYTES => {
                    return Err(BundleError::TooLarge { file: name.into(), bytes: data.len() })
                }
                Ok(_) => std::fs::read(&path).map_err(read_error)?,
            };
            files.insert(name.to_owned(), bytes);
        }
        Ok(Self::from_files(files))
    }

    /// Takes files that were embedded elsewhere.
    pub fn from_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        TextAssets { files, ..TextAssets::default() }
    }

    /// The files, for embedding.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> Result<&Tokenizer, BundleError> {
        get_or_try(&self.tokenizer, || {
            let file = "tokenizer.json";
            let bytes = self.files.get(file).ok_or(BundleError::Missing {
                file,
                purpose: "turn text into tokens (`logits` and `profile` work without)",
            })?;
            Ok(Tokenizer::from_bytes(bytes)?)
        })
    }

    /// The image processor; the settings inside `processor_config.json` come first.
    pub fn image_processor(&self) -> Result<&ImageProcessor, BundleError> {
        get_or_try(&self.image_processor, || {
            let nested = self.json("processor_config.json")?;
            let nested = nested.filter(|json| json.get("image_processor").is_some());
            let file = match nested {
                Some(_) => "processor_config.json",
                None => "preprocessor_config.json",
            };
            let bytes = self.files.get(file).ok_or(BundleError::Missing {
                file: "preprocessor_config.json",
                purpose: "prepare images",
            })?;
            Ok(ImageProcessor::new(ProcessorConfig::from_json(file, bytes)?))
        })
    }

    /// The processor of videos: settings of its own in `processor_config.json` or
    /// `video_preprocessor_config.json`, else those of pictures.
    pub fn video_processor(&self) -> Result<&VideoProcessor, BundleError> {
        get_or_try(&self.video_processor, || {
            let part = |name: &str| {
                let file = self.json("processor_config.json")?;
                Ok::<_, BundleError>(file.and_then(|json| json.get(name).cloned()))
            };
            let places = [
                ("processor_config.json", part("video_processor")?),
                ("video_preprocessor_config.json", self.json("video_preprocessor_config.json")?),
                ("processor_config.json", part("image_processor")?),
                ("preprocessor_config.json", self.json("preprocessor_config.json")?),
            ];
            let found = places.into_iter().find_map(|(file, json)| Some((file, json?)));
            let (file, json) = found.ok_or(BundleError::Missing {
                file: "video_preprocessor_config.json",
                purpose: "prepare videos",
            })?;
            Ok(VideoProcessor::from_json(file, json)?)
        })
    }

    /// The chat template, or the plain layout where the checkpoint has none.
    pub fn template(&self) -> Result<&ChatTemplate, BundleError> {
        get_or_try(&self.template, || {
            let source = self.template_source()?;
            let visual = [self.image_token()?, self.video_token()?];
            Ok(ChatTemplate::new(source.as_deref(), self.special_tokens()?, visual)?)
        })
    }

    /// The spelling of the image placeholder.
    pub fn image_token(&self) -> Result<String, BundleError> {
        // InternVL's tokenizer calls it the context of an image.
        let names = ["image_token", "context_image_token"];
        if let Some(token) = self.placeholder(&names, &["image_token_id", "image_token_index"])? {
            return Ok(token);
        }
        // Fuyu's files name none: its placeholder is a token of the vocabulary.
        let model = self.json("config.json")?.unwrap_or_default();
        let fuyu = model.get("model_type").is_some_and(|kind| kind == "fuyu");
        Ok(if fuyu { "|SPEAKER|" } else { "<image>" }.to_owned())
    }

    /// The spelling of the placeholder of videos.
    pub fn video_token(&self) -> Result<String, BundleError> {
        let token = self.placeholder(&["video_token"], &["video_token_id", "video_token_index"])?;
        Ok(token.unwrap_or_else(|| "<video>".to_owned()))
    }

    /// A placeholder as the processor's or the tokenizer's files spell it under one of `names`, else as the tokenizer
    /// spells the id that the model has under one of `ids`.
    fn placeholder(&self, names: &[&str], ids: &[&str]) -> Result<Option<String>, BundleError> {
        for file in ["processor_config.json", "tokenizer_config.json"] {
            let json = self.json(file)?.unwrap_or_default();
            let token = names.iter().find_map(|name| json.get(name));
            let token = token.and_then(|t| t.as_str().or_else(|| t.get("content")?.as_str()));
            if let Some(token) = token.filter(|token| !token.is_empty()) {
                return Ok(Some(token.to_owned()));
            }
        }
        let model = self.json("config.json")?.unwrap_or_default();
        match ids.iter().find_map(|key| id(model.get(key)?)) {
            Some(id) if self.files.contains_key("tokenizer.json") => Ok(self.tokenizer()?.token(id)),
            _ => Ok(None),
        }
    }

    /// The counting rule for image tokens. `None` when the files say nothing about patches.
    ///
    /// `processor_config.json` decides; what it leaves out is taken from `config.json`.
    pub fn image_tokens(&self) -> Result<Option<ImageTokens>, BundleError> {
        let processor = self.json("processor_config.json")?.unwrap_or_default();
        let model = self.json("config.json")?.unwrap_or_default();
        let vision = model.get("vision_config").cloned().unwrap_or_default();
        let number = |json: &Value, key: &str| json.get(key).and_then(Value::as_u64);
        let Some(patch_size) = number(&processor, "patch_size").or_else(|| number(&vision, "patch_size"))
        else {
            return Ok(None);
        };
        if patch_size == 0 {
            return Err(BundleError::Invalid {
                file: "processor_config.json".into(),
                message: "patch_size is 0".into(),
            });
        }
        let key = "vision_feature_select_strategy";
        let strategy = processor.get(key).or(model.get(key)).and_then(Value::as_str);
        // Checkpoints older than these keys: CLIP towers add one token.
        let has_class_token = vision.get("model_type") == Some(&"clip_vision_model".into());
        let additional = match number(&processor, "patch_size") {
            Some(_) => number(&processor, "num_additional_image_tokens").unwrap_or(0),
            None => u64::from(has_class_token),
        };
        Ok(Some(ImageTokens {
            patch_size: patch_size as usize,
            additional: additional as usize,
            drops_one: strategy == Some("default"),
        }))
    }

    /// The ids that end an answer: `generation_config.json`, then `config.json`, then the
    /// tokenizer's `eos_token`. Empty when nobody names one.
    pub fn stop_ids(&self) -> Result<Vec<u32>, BundleError> {
        let model = self.json("config.json")?.unwrap_or_default();
        let generation = self.json("generation_config.json")?.unwrap_or_default();
        let text = model.get("text_config").cloned().unwrap_or_default();
        for json in [&generation, &model, &text] {
            let ids: Vec<u32> = match json.get("eos_token_id") {
                Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
                Some(value) => id(value).into_iter().collect(),
                None => Vec::new(),
            };
            if !ids.is_empty() {
                return Ok(ids);
            }
        }
        let special = self.special_tokens()?;
        let eos = special.get("eos_token");
        Ok(match (eos, self.files.contains_key("tokenizer.json")) {
            (Some(eos), true) => self.tokenizer()?.id(eos).into_iter().collect(),
            _ => Vec::new(),
        })
    }

    /// Named special tokens.
    pub fn special_tokens(&self) -> Result<SpecialTokens, BundleError> {
        let mut tokens = SpecialTokens::default();
        for file in ["tokenizer_config.json", "special_tokens_map.json"] {
            if let Some(bytes) = self.files.get(file) {
                tokens.merge(file, bytes)?;
            }
        }
        Ok(tokens)
    }

    /// A file as JSON, if it is there.
    pub fn json(&self, file: &str) -> Result<Option<Value>, BundleError> {
        let parse = |bytes: &Vec<u8>| {
            serde_json::from_slice(bytes).map_err(|error| BundleError::Invalid {
                file: file.to_owned(),
                message: format!("not valid JSON: {error}"),
            })
        };
        self.files.get(file).map(parse).transpose()
    }

    /// The template's text: its own file, or a key of one of three JSON files.
    fn template_source(&self) -> Result<Option<String>, BundleError> {
        if let Some(bytes) = self.files.get("chat_template.jinja") {
            let text = String::from_utf8(bytes.clone()).map_err(|_| BundleError::Invalid {
                file: "chat_template.jinja".into(),
                message: "not UTF-8".into(),
            })?;
            return Ok(Some(text));
        }
        for file in ["chat_template.json", "processor_config.json", "tokenizer_config.json"] {
            let json = self.json(file)?.unwrap_or_default();
            match json.get("chat_template") {
                Some(Value::String(text)) => return Ok(Some(text.clone())),
                // Several named templates: "default" is the one for plain conversations.
                Some(Value::Array(list)) => {
                    let default = list.iter().find(|entry| entry["name"] == "default");
                    if let Some(text) = default.and_then(|entry| entry["template"].as_str()) {
                        return Ok(Some(text.to_owned()));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

fn id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// The value in the cell, built now if it is not there yet.
fn get_or_try<T, E>(cell: &OnceLock<T>, build: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = build()?;
    Ok(cell.get_or_init(|| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets(files: &[(&str, &str)]) -> TextAssets {
        let own = |&(name, text): &(&str, &str)| (name.to_owned(), text.as_bytes().to_vec());
        TextAssets::from_files(files.iter().map(own).collect())
    }

    #[test]
    fn an_empty_bundle_only_fails_when_asked() {
        let assets = assets(&[]);
        let error = assets.tokenizer().err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("no tokenizer.json")));
        assert!(assets.image_processor().is_err());
        assert_eq!(assets.image_tokens().unwrap(), None);
        assert_eq!(assets.image_token().unwrap(), "<image>");
        assert!(assets.stop_ids().unwrap().is_empty());
        assert!(!assets.template().unwrap().is_present());
    }

    #[test]
    fn stop_ids_come_from_the_most_specific_file() {
        let text = r#"{"text_config": {"eos_token_id": 5}, "eos_token_id": null}"#;
        let model = ("config.json", text);
        assert_eq!(assets(&[model]).stop_ids().unwrap(), [5]);
        let generation = ("generation_config.json", r#"{"eos_token_id": [2, 7]}"#);
        assert_eq!(assets(&[model, generation]).stop_ids().unwrap(), [2, 7]);
    }

    #[test]
    fn image_token_rules() {
        let model = r#"{"vision_config": {"patch_size": 14, "model_type": "clip_vision_model"},
            "vision_feature_select_strategy": "default"}"#;
        let old = assets(&[("config.json", model)]).image_tokens().unwrap();
        let clip = ImageTokens { patch_size: 14, additional: 1, drops_one: true };
        assert_eq!(old, Some(clip));
        let processor = r#"{"patch_size": 16, "vision_feature_select_strategy": "full",
            "image_token": "<pic>"}"#;
        let files = [("config.json", model), ("processor_config.json", processor)];
        let new = assets(&files);
        let siglip = ImageTokens { patch_size: 16, additional: 0, drops_one: false };
        assert_eq!(new.image_tokens().unwrap(), Some(siglip));
        assert_eq!(new.image_token().unwrap(), "<pic>");
    }

    #[test]
    fn templates_are_found_in_old_places() {
        let list = r#"{"chat_template": [{"name": "rag", "template": "no"},
            {"name": "default", "template": "yes"}]}"#;
        let bundle = assets(&[("tokenizer_config.json", list)]);
        assert_eq!(bundle.template().unwrap().render(&[]).unwrap(), "yes");
    }
}
