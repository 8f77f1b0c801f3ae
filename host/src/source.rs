//! A model as the user names it: a checkpoint folder.

use crate::bundle::{BundleError, TextAssets};
use crate::device::{ImageInfo, ModelInfo};
use flightvlm_compiler::diag::Diagnostics;
use flightvlm_compiler::graph::ModelSpec;
use flightvlm_compiler::import::{import, ImportOptions, Model};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Choices that concern loading.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Positions that prompt and answer may fill together; `None`: what the model supports.
    pub max_context: Option<usize>,
}

/// Why a model cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing there.
    #[error("there is no model at {0}; give a checkpoint folder")]
    Missing(PathBuf),
    /// Something there, but not a checkpoint.
    #[error("{path} is not a model: {reason}")]
    NotAModel {
        /// What the user named.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint has faults; all of them are listed.
    #[error("{path} cannot be run\n{faults}")]
    Faults {
        /// What the user named.
        path: PathBuf,
        /// Where, expected, got, help.
        faults: Diagnostics,
    },
    /// The files around the weights.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// An opened model. Weights are read when something asks for them.
pub struct Source {
    path: PathBuf,
    assets: TextAssets,
    options: LoadOptions,
    model: OnceLock<Model>,
}

impl Source {
    /// Opens a checkpoint folder; reads only its small files.
    pub fn open(path: &Path, options: LoadOptions) -> Result<Self, SourceError> {
        if !path.exists() {
            return Err(SourceError::Missing(path.to_owned()));
        }
        if !path.is_dir() {
            let reason = "it is a file; give a checkpoint folder".to_owned();
            return Err(SourceError::NotAModel { path: path.to_owned(), reason });
        }
        let assets = TextAssets::from_dir(path)?;
        if !assets.files().contains_key("config.json") {
            let reason = "the folder has no config.json".to_owned();
            return Err(SourceError::NotAModel { path: path.to_owned(), reason });
        }
        Ok(Source { path: path.to_owned(), assets, options, model: OnceLock::new() })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tokenizer, image processor, chat template.
    pub fn assets(&self) -> &TextAssets {
        &self.assets
    }

    /// Graph, facts and weights.
    pub fn model(&self) -> Result<&Model, SourceError> {
        if let Some(model) = self.model.get() {
            return Ok(model);
        }
        let options = ImportOptions { max_context: self.options.max_context, no_weights: false };
        let model = import(&self.path, &options)
            .map_err(|faults| SourceError::Faults { path: self.path.clone(), faults })?;
        Ok(self.model.get_or_init(|| model))
    }

    /// The facts that devices report, before any visual token is pruned.
    pub fn info(&self) -> Result<ModelInfo, SourceError> {
        let spec = &self.model()?.spec;
        let mut info = model_info(spec);
        if let Some(limit) = self.options.max_context {
            info.max_context = info.max_context.min(limit);
        }
        if info.stop_ids.is_empty() {
            info.stop_ids = self.assets.stop_ids()?;
        }
        Ok(info)
    }
}

/// The host's view of a model's facts.
pub fn model_info(spec: &ModelSpec) -> ModelInfo {
    let image = spec.vision.as_ref().zip(spec.image_token_id).map(|(vision, token_id)| ImageInfo {
        side: vision.image_size,
        patch: vision.patch,
        token_id,
        rows: spec.visual_tokens,
        rows_unpruned: spec.visual_tokens,
    });
    ModelInfo {
        architecture: spec.architecture.clone(),
        vocabulary: spec.text.vocab,
        max_context: spec.text.max_position,
        stop_ids: spec.eos_ids.clone(),
        image,
    }
}
