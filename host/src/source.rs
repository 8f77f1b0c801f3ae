//! A model as the user names it: a checkpoint folder or a compiled program.

use crate::bundle::{BundleError, TextAssets};
use crate::device::{ImageInfo, ModelInfo};
use flightvlm_compiler::diag::{Diagnostic, Diagnostics};
use flightvlm_compiler::graph::{BlockMask, ModelSpec, Prune, VisualPositions};
use flightvlm_compiler::import::{import, is_checkpoint, is_gguf, Gguf, ImportOptions, Model};
use flightvlm_compiler::pipeline::{self, Compiled};
use flightvlm_compiler::program::{Program, ProgramError};
use flightvlm_compiler::quant::{Spec, Widths};
use flightvlm_hw::config::HwConfig;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Choices that concern loading.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Positions that prompt and answer may fill together; `None`: what the model supports.
    pub max_context: Option<usize>,
    /// Hardware to compile for.
    pub target: HwConfig,
    /// Compile from `config.json` alone.
    pub no_weights: bool,
    /// How the language model's weights are stored.
    pub storage: Spec,
    /// Store the language model in the N:M pattern of the checkpoint's own zeros; `storage` says dense.
    pub detect_sparsity: bool,
    /// Bits of keys and values in the cache: 8 or 4.
    pub kv_bits: u32,
    /// The language model can be left early.
    pub early_exit: bool,
    /// Inputs of the language model's down projections and output layer have 16 bits instead of 8.
    pub wide_inputs: bool,
    /// How visual tokens are chosen, `Some(None)`: all stay; `None`: as the program says, else all stay.
    pub prune: Option<Option<Prune>>,
    /// Block-sparse attention of the language model; `None`: full.
    pub mask: Option<BlockMask>,
    /// Positions of visual tokens; `None`: those of the model.
    pub image_positions: Option<VisualPositions>,
    /// M-RoPE++ for sequences so many times as long as those of the training.
    pub mrope_stretch: Option<f32>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            max_context: None,
            target: HwConfig::sim(),
            no_weights: false,
            storage: Spec::dense(Widths::Uniform(8)),
            detect_sparsity: false,
            kv_bits: 8,
            early_exit: false,
            wide_inputs: false,
            prune: None,
            mask: None,
            image_positions: None,
            mrope_stretch: None,
        }
    }
}

/// Why a model cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing there.
    #[error("there is no model at {0}; give a checkpoint folder, a .gguf or a .fvp file")]
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
    /// The program file.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Something only a checkpoint folder can give.
    #[error("{0} is a compiled program; {1} needs the checkpoint folder")]
    NeedsCheckpoint(PathBuf, &'static str),
    /// More positions than there are.
    #[error("--max-context {asked}: {} holds at most {has} positions; ask for {has} or fewer", .path.display())]
    Context {
        /// What the user named.
        path: PathBuf,
        /// Positions that were asked for.
        asked: usize,
        /// Those of the model, or those that the program was compiled for.
        has: usize,
    },
    /// A model of another kind.
    #[error("{0} writes no text; it compares pictures with texts: use classify, embed or logits")]
    NoText(String),
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
    program: OnceLock<Program>,
}

/// Context that a program is compiled for when the user names none and the model allows more.
const DEFAULT_CONTEXT: usize = 512;

impl Source {
    /// Opens a checkpoint folder or GGUF file (reads only its small files) or a program file.
    pub fn open(path: &Path, options: LoadOptions) -> Result<Self, SourceError> {
        if !path.exists() {
            return Err(SourceError::Missing(path.to_owned()));
        }
        let (model, program) = (OnceLock::new(), OnceLock::new());
        if is_gguf(path) {
            let faults = |faults| SourceError::Faults { path: path.to_owned(), faults };
            let assets = TextAssets::from_files(Gguf::open(path).and_then(|g| g.files()).map_err(faults)?);
            return Ok(Source { path: path.to_owned(), assets, options, model, program });
        }
        if !path.is_dir() {
            let read = flightvlm_compiler::program::read(path)?;
            let assets = TextAssets::from_files(read.assets.clone());
            check_context(path, &options, read.meta.text.max_context)?;
            let program = OnceLock::from(read);
            return Ok(Source { path: path.to_owned(), assets, options, model, program });
        }
        let assets = TextAssets::from_dir(path)?;
        if !assets.files().contains_key("config.json") {
            let reason = "the folder has no config.json".to_owned();
            return Err(SourceError::NotAModel { path: path.to_owned(), reason });
        }
        Ok(Source { path: path.to_owned(), assets, options, model, program })
    }

    /// The compiled program: read from the file, or compiled on first use.
    pub fn program(&self) -> Result<&Program, SourceError> {
        if let Some(program) = self.program.get() {
            return Ok(program);
        }
        let compiled = self.compile(None)?;
        let built = compiled.program.expect("invariant: no stage was named to stop after");
        let faults = |faults| SourceError::Faults { path: self.path.clone(), faults };
        let program = built.collect(None).map_err(faults)?;
        Ok(self.program.get_or_init(|| program))
    }

    /// Compiles the checkpoint; `stop_after` as in [`pipeline::STAGES`].
    pub fn compile(&self, stop_after: Option<&str>) -> Result<Compiled<'_>, SourceError> {
        let faults = |faults| SourceError::Faults { path: self.path.clone(), faults };
        let model = self.model()?;
        let limit = self.options.max_context.unwrap_or(DEFAULT_CONTEXT);
        let options = pipeline::Options {
            config: self.options.target.clone(),
            max_context: limit.min(model.spec.text.max_position),
            no_weights: self.options.no_weights,
            storage: self.options.storage,
            detect_sparsity: self.options.detect_sparsity,
            kv_bits: self.options.kv_bits,
            early_exit: self.options.early_exit,
            wide_inputs: self.options.wide_inputs,
            prune: self.options.prune.flatten(),
            stop_after: stop_after.map(str::to_owned),
        };
        let mut compiled = pipeline::compile(model, &options).map_err(faults)?;
        if let Some(built) = &mut compiled.program {
            built.program.assets = self.assets.files().clone();
        }
        Ok(compiled)
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
        if !is_checkpoint(&self.path) {
            return Err(SourceError::NeedsCheckpoint(self.path.clone(), "the float reference"));
        }
        // Zeros are looked for even where the program gets no weights.
        let no_weights = self.options.no_weights && !self.options.detect_sparsity;
        let o = &self.options;
        let options = ImportOptions {
            max_context: o.max_context,
            no_weights,
            mask: o.mask,
            image_positions: o.image_positions,
            mrope_stretch: o.mrope_stretch,
        };
        let model = import(&self.path, &options)
            .map_err(|faults| SourceError::Faults { path: self.path.clone(), faults })?;
        check_context(&self.path, o, model.spec.text.max_position)?;
        Ok(self.model.get_or_init(|| model))
    }

    /// Facts about the model, from the program or the checkpoint.
    pub fn spec(&self) -> Result<&ModelSpec, SourceError> {
        match self.program.get() {
            Some(program) => Ok(&program.meta.model),
            None => Ok(&self.model()?.spec),
        }
    }

    /// How visual tokens are chosen: what the user asked for, else what the program was compiled with.
    fn prune(&self) -> Result<Option<Prune>, SourceError> {
        let faults =
            |fault: Diagnostic| SourceError::Faults { path: self.path.clone(), faults: fault.into() };
        let compiled = self.program.get().and_then(|program| program.meta.vision.as_ref());
        let asked = self.options.prune.unwrap_or_else(|| compiled.and_then(|v| v.prune));
        let Some(prune) = asked else { return Ok(None) };
        self.spec()?;
        self.check_prune(&prune).map_err(faults)?;
        Ok(Some(prune))
    }

    /// Can visual tokens be chosen so: by the model, and by the program, where it is compiled?
    pub fn check_prune(&self, prune: &Prune) -> Result<(), Diagnostic> {
        let missing =
            |error: SourceError| Diagnostic::new("model", "a model", error.to_string(), "give a model");
        prune.check(self.spec().map_err(missing)?)?;
        match self.program.get().and_then(|program| program.meta.vision.as_ref()) {
            Some(vision) => vision.check_prune(prune),
            None => Ok(()),
        }
    }

    /// An error for models that write no text.
    pub fn check_writes(&self) -> Result<(), SourceError> {
        let spec = self.spec()?;
        match spec.contrast {
            None => Ok(()),
            Some(_) => Err(SourceError::NoText(spec.architecture.clone())),
        }
    }

    /// The facts that devices report.
    pub fn info(&self) -> Result<ModelInfo, SourceError> {
        let spec = self.spec()?;
        let mut info = model_info(spec);
        if let (Some(image), Some(prune)) = (&mut info.image, self.prune()?) {
            (image.rows, image.prune) = (prune.tokens, Some(prune));
        }
        if let Some(limit) = self.options.max_context {
            info.max_context = info.max_context.min(limit);
        }
        if info.stop_ids.is_empty() {
            info.stop_ids = self.assets.stop_ids()?;
        }
        Ok(info)
    }
}

/// Are there as many positions as were asked for?
fn check_context(path: &Path, options: &LoadOptions, has: usize) -> Result<(), SourceError> {
    match options.max_context {
        Some(asked) if asked > has => Err(SourceError::Context { path: path.to_owned(), asked, has }),
        _ => Ok(()),
    }
}

/// The host's view of a model's facts.
pub fn model_info(spec: &ModelSpec) -> ModelInfo {
    let image = spec.vision.as_ref().zip(spec.image_token_id).map(|(vision, token_id)| ImageInfo {
        vision: vision.clone(),
        token_id,
        rows: spec.visual_tokens,
        rows_unpruned: spec.visual_tokens,
        prune: None,
        video: spec.video.clone(),
    });
    ModelInfo {
        architecture: spec.architecture.clone(),
        vocabulary: spec.text.vocab,
        layers: spec.text.layers,
        outputs: spec.outputs(),
        answers: spec.contrast.is_none(),
        max_context: spec.text.max_position,
        stop_ids: spec.eos_ids.clone(),
        image,
    }
}
