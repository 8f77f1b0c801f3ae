//! What runs the model.
//!
//! [`Device`] is the one interface that generation, `logits`, `evaluate` and the server use; they
//! do not know which implementation answers. [`DEVICES`] lists the implementations and [`open`]
//! makes one. Checks that must be the same everywhere (token ids, image rows, context length) are
//! in [`check_prompt`] and [`check_step`], which every implementation calls first.

mod check;
mod context;
mod depth;
mod dropping;
mod eval;
mod info;
mod merging;
mod program;
mod registry;
mod stats;
mod vision;
mod waves;
mod xrt;

pub use check::{check_prompt, check_step};
pub use eval::EvalDevice;
pub use info::{ImageInfo, ModelInfo};
pub use program::ProgramDevice;
pub use registry::{find, open, open_untimed, DeviceEntry, OpenError, DEVICES};
pub use stats::{PhaseStats, RunStats};
pub use waves::{open_with_waves, Waves};

use flightvlm_compiler::graph::Picture;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// Which rows of logits the caller wants back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logits {
    /// None: the device's own choice of token is enough, and no logit leaves it.
    None,
    /// Only the last position: enough to continue the text.
    LastToken,
    /// Every position of the prompt, in order.
    AllRows,
    /// The last position, and its hidden state ([`StepOutput::hidden`]).
    LastHidden,
}

/// An encoded picture that waits in the device for the prompt that shows it.
///
/// Valid until the next [`Device::begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHandle {
    /// Which picture since `begin`, counted from 0.
    pub index: usize,
    /// Image tokens it takes in the prompt.
    pub rows: usize,
}

/// What a prefill or a decode step returns.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutput {
    /// The device's own argmax over the last row; ties go to the lowest id.
    pub greedy_token: u32,
    /// [rows, vocabulary], row-major; rows as asked for with [`Logits`].
    pub logits: Vec<f32>,
    /// Behind the final norm, of the last row; empty unless asked for.
    pub hidden: Vec<f32>,
}

/// Something that runs one loaded model for one conversation at a time.
pub trait Device {
    /// The name it was opened by.
    fn name(&self) -> &str;

    /// The loaded model.
    fn model(&self) -> &ModelInfo;

    /// Starts an empty context: no tokens, no pictures, statistics at zero.
    fn begin(&mut self) -> Result<(), DeviceError>;

    /// Keeps the first `positions` of the context and forgets the rest, pictures included, so that the
    /// next [`Device::prefill`] continues behind them; statistics at zero. Gives the positions kept: 0,
    /// as after [`Device::begin`], where a device cannot.
    fn keep(&mut self, _positions: usize) -> Result<usize, DeviceError> {
        self.begin()?;
        Ok(0)
    }

    /// Keys and values of the first `positions` of the context, for [`Device::restore`].
    fn save(&mut self, _positions: usize) -> Result<Vec<u8>, DeviceError> {
        Err(DeviceError::Input(format!("device {} keeps no context that can be saved", self.name())))
    }

    /// Starts a context with rows that the same program saved.
    fn restore(&mut self, _positions: usize, _rows: &[u8]) -> Result<(), DeviceError> {
        Err(DeviceError::Input(format!("device {} cannot take a saved context", self.name())))
    }

    /// Runs the vision tower and projector on the tiles of one picture.
    fn encode_image(&mut self, picture: &Picture) -> Result<ImageHandle, DeviceError>;

    /// The vector of a picture, from models that compare pictures with texts.
    fn embed_image(&mut self, _picture: &Picture) -> Result<Vec<f32>, DeviceError> {
        Err(DeviceError::Input(format!("{} has no vectors of pictures", self.name())))
    }

    /// Runs a prompt into the context, empty or behind what was kept. The image placeholders in `ids` are filled from
    /// `images` in order.
    fn prefill(
        &mut self,
        ids: &[u32],
        images: &[ImageHandle],
        want: Logits,
    ) -> Result<StepOutput, DeviceError>;

    /// Appends one token; the logits after it are one row, if wanted.
    fn step(&mut self, token: u32, want: Logits) -> Result<StepOutput, DeviceError>;

    /// Rows run through the first `layers` layers of the language model from here on, then through the final norm and
    /// the output layer; also behind [`Device::begin`]. Another depth forgets the rows of the context.
    fn set_depth(&mut self, layers: usize) -> Result<(), DeviceError> {
        self.model().check_depth(layers)?;
        match layers == self.depth() {
            true => Ok(()),
            false => Err(DeviceError::Input(format!("device {} runs all layers", self.name()))),
        }
    }

    /// Layers that rows run through.
    fn depth(&self) -> usize {
        self.model().layers
    }

    /// Runs the rows of the prompt that came last, and had fewer layers, on to `layers`, which is the depth from
    /// here on.
    fn deepen(&mut self, _layers: usize, _want: Logits) -> Result<StepOutput, DeviceError> {
        Err(DeviceError::Input(format!("device {} runs all layers", self.name())))
    }

    /// Hidden states `[positions, hidden]` of a prompt in an empty context, as `output_hidden_states` of
    /// `transformers` counts them: behind `layers` layers, and where that is all, behind the final norm. The context is
    /// lost.
    fn hidden_states(
        &mut self,
        _ids: &[u32],
        _images: &[ImageHandle],
        _layers: usize,
        _positions: &[usize],
    ) -> Result<Vec<f32>, DeviceError> {
        Err(DeviceError::Input(format!("device {} gives no hidden states", self.name())))
    }

    /// What has happened since [`Device::begin`].
    fn stats(&self) -> RunStats;

    /// A flag that ends a running launch early when set ([`DeviceError::Interrupted`]). Devices whose
    /// calls are short may ignore it.
    fn interrupt(&mut self, _flag: Arc<AtomicBool>) {}
}

/// Why a device did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No device has this name.
    #[error("there is no device {name:?}; choose one of: {known}")]
    Unknown {
        /// What the user typed.
        name: String,
        /// Every name.
        known: String,
    },
    /// The device exists but not here.
    #[error("device {name} cannot be used on this machine: {reason}")]
    Unavailable {
        /// Device name.
        name: String,
        /// What is missing.
        reason: String,
    },
    /// The model cannot be loaded.
    #[error("{0}")]
    Load(String),
    /// More tokens than the context holds.
    #[error(
        "the prompt has {needed} tokens ({image} of them for images); the context holds {limit} \
         and one must stay free for the answer"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        needed: usize,
        /// Of these, image tokens.
        image: usize,
        /// Positions of the context.
        limit: usize,
    },
    /// Generation reached the end of the context.
    #[error("the context is full: it holds {limit} tokens")]
    ContextFull {
        /// Positions of the context.
        limit: usize,
    },
    /// An argument does not fit the model.
    #[error("{0}")]
    Input(String),
    /// The flag of [`Device::interrupt`] was set; the context is lost.
    #[error("interrupted")]
    Interrupted,
    /// The device stopped with a fault of its own.
    #[error("device fault: {0}")]
    Fault(String),
}
