//! The generation loop.

use crate::bundle::BundleError;
use crate::device::{Device, DeviceError, Logits, RunStats, StepOutput};
use crate::exits::Exits;
use crate::prompt::Prompt;
use crate::sampler::{Sampler, Sampling};
use crate::text::{StopStrings, TextError, TokenStream, Tokenizer};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// When to stop, and how tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// At most so many tokens, the stop token not counted; at least 1.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Ids that end the answer and are not shown.
    pub stop_ids: Vec<u32>,
    /// Texts that end the answer and are not shown.
    pub stop_strings: Vec<String>,
    /// Where the language model may be left early; `None`: the device's depth holds.
    pub exits: Option<Exits>,
}

/// Why the answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// A stop token or stop string.
    Stop,
    /// `max_new_tokens` reached.
    Length,
    /// No position left in the context.
    ContextFull,
    /// The user interrupted.
    Interrupted,
}

/// A finished answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The text, as streamed, without white space in front.
    pub text: String,
    /// The chosen tokens; a final stop token is included.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// From the start of image encoding to the first token, on this machine.
    pub first_token: Duration,
    /// From the first token to the end, on this machine.
    pub rest: Duration,
    /// What the device counted.
    pub stats: RunStats,
}

/// Why generation failed.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The tokenizer.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The caller's sink for text failed.
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
    /// Logits without a single number.
    #[error("the model returned no finite logit for token {0}; its weights may be damaged")]
    NoLogits(usize),
}

impl From<TextError> for GenerateError {
    fn from(error: TextError) -> Self {
        GenerateError::Bundle(error.into())
    }
}

/// What somebody sees of an answer while it grows.
pub trait Watch {
    /// Text, as soon as it is certain.
    fn text(&mut self, text: &str) -> std::io::Result<()>;

    /// The first `kept` tokens of the prompt are not run again.
    fn started(&mut self, _kept: usize) {}

    /// A token was chosen; `stats` is what the device has counted so far. `false` ends the answer with
    /// it, as an interruption does.
    fn token(&mut self, _stats: &RunStats) -> bool {
        true
    }

    /// Whether [`Watch::state`] is wanted.
    fn wants_states(&self) -> bool {
        false
    }

    /// The hidden state, behind the final norm, from which the next token is chosen.
    fn state(&mut self, _state: Vec<f32>) {}

    /// Whether white space in front of the answer is dropped.
    fn trims(&self) -> bool {
        true
    }
}

impl<F: FnMut(&str) -> std::io::Result<()>> Watch for F {
    fn text(&mut self, text: &str) -> std::io::Result<()> {
        self(text)
    }
}

/// Encodes the pictures, runs the prompt, and continues it.
///
/// `show` receives text as soon as it is certain. `interrupted` is looked at between tokens.
pub fn generate(
    device: &mut dyn Device,
    tokenizer: &Tokenizer,
    prompt: &Prompt,
    options: &Options,
    interrupted: &AtomicBool,
    mut show: &mut dyn FnMut(&str) -> std::io::Result<()>,
) -> Result<Answer, GenerateError> {
    continue_from(device, tokenizer, prompt, 0, options, interrupted, &mut show)
}

/// The same where the device's context already begins with the first `known` tokens of the prompt,
/// and the last of them is not inside a picture.
pub fn continue_from(
    device: &mut dyn Device,
    tokenizer: &Tokenizer,
    prompt: &Prompt,
    known: usize,
    options: &Options,
    interrupted: &AtomicBool,
    watch: &mut dyn Watch,
) -> Result<Answer, GenerateError> {
    assert!(options.max_new_tokens > 0, "nothing to generate");
    assert!(known < prompt.ids.len(), "the last token of a prompt is always run");
    let start = Instant::now();
    let kept = match known {
        // Rows of another answer may have fewer layers.
        _ if options.exits.is_some() => device.begin().map(|()| 0)?,
        0 => device.begin().map(|()| 0)?,
        _ => device.keep(known)?,
    };
    watch.started(kept);
    let want = match options.sampling {
        _ if watch.wants_states() => Logits::LastHidden,
        Sampling::Greedy => Logits::None,
        Sampling::TopP { .. } => Logits::LastToken,
    };
    let mut output = match read_prompt(device, prompt, kept, options.exits.as_ref(), want) {
        Ok(output) => output,
        Err(DeviceError::Interrupted) => return Ok(nothing(device, start)),
        Err(error) => return Err(error.into()),
    };
    let max_context = device.model().max_context;
    let mut sampler = Sampler::new(options.sampling);
    let mut text = Shown::new(tokenizer, options, watch);
    let mut tokens = Vec::new();
    let mut first_token = None;
    let finish = loop {
        let token = sampler
            .choose(&output.logits, output.greedy_token)
            .ok_or(GenerateError::NoLogits(tokens.len()))?;
        first_token.get_or_insert_with(|| start.elapsed());
        text.watch.state(output.hidden);
        tokens.push(token);
        let goes_on = text.watch.token(&device.stats());
        if options.stop_ids.contains(&token) {
            break Finish::Stop;
        }
        text.push(token)?;
        if text.stops.stopped() {
            break Finish::Stop;
        }
        if !goes_on || interrupted.load(Ordering::Relaxed) {
            break Finish::Interrupted;
        }
        if tokens.len() >= options.max_new_tokens {
            break Finish::Length;
        }
        if prompt.ids.len() + tokens.len() > max_context {
            break Finish::ContextFull;
        }
        output = match device.step(token, want) {
            Ok(output) => output,
            Err(DeviceError::Interrupted) => break Finish::Interrupted,
            Err(error) => return Err(error.into()),
        };
    };
    let text = text.finish()?;
    let first_token = first_token.unwrap_or_default();
    let rest = start.elapsed() - first_token;
    Ok(Answer { text, tokens, finish, first_token, rest, stats: device.stats() })
}

/// Hidden state of a prompt's last position, behind the final norm; `known` as in [`continue_from`].
pub fn hidden(device: &mut dyn Device, prompt: &Prompt, known: usize) -> Result<Vec<f32>, DeviceError> {
    let kept = match known {
        0 => device.begin().map(|()| 0)?,
        _ => device.keep(known)?,
    };
    Ok(read_prompt(device, prompt, kept, None, Logits::LastHidden)?.hidden)
}

/// Encodes the pictures and runs the prompt, both from token `kept` on.
fn read_prompt(
    device: &mut dyn Device,
    prompt: &Prompt,
    kept: usize,
    exits: Option<&Exits>,
    want: Logits,
) -> Result<StepOutput, DeviceError> {
    // Pictures whose tokens are all kept are not shown again.
    let mut placeholders = prompt.ids[..kept].iter().filter(|id| device.model().is_placeholder(**id)).count();
    let shown = prompt.images.iter().skip_while(|picture| {
        let rows = picture.placeholders();
        let whole = kept > 0 && rows <= placeholders;
        placeholders -= if whole { rows } else { 0 };
        whole
    });
    let mut handles = Vec::with_capacity(prompt.images.len());
    for picture in shown {
        handles.push(device.encode_image(picture)?);
    }
    match exits {
        None => device.prefill(&prompt.ids[kept..], &handles, want),
        Some(exits) => exits.prefill(device, &prompt.ids[kept..], &handles, want),
    }
}

/// The answer of a run that was interrupted before its first token.
fn nothing(device: &dyn Device, start: Instant) -> Answer {
    Answer {
        text: String::new(),
        tokens: Vec::new(),
        finish: Finish::Interrupted,
        first_token: start.elapsed(),
        rest: Duration::ZERO,
        stats: device.stats(),
    }
}

/// The path from tokens to the reader.
struct Shown<'a> {
    stream: TokenStream<'a>,
    stops: StopStrings,
    text: String,
    watch: &'a mut dyn Watch,
}

impl<'a> Shown<'a> {
    fn new(tokenizer: &'a Tokenizer, options: &Options, watch: &'a mut dyn Watch) -> Self {
        let stops = StopStrings::new(options.stop_strings.iter().cloned());
        Shown { stream: TokenStream::new(tokenizer), stops, text: String::new(), watch }
    }

    fn push(&mut self, token: u32) -> Result<(), GenerateError> {
        let piece = self.stream.push(token)?;
        let certain = self.stops.push(&piece);
        self.emit(&certain)
    }

    /// Shows text.
    fn emit(&mut self, certain: &str) -> Result<(), GenerateError> {
        let trims = self.text.is_empty() && self.watch.trims();
        let certain = if trims { certain.trim_start() } else { certain };
        if !certain.is_empty() {
            self.watch.text(certain)?;
            self.text.push_str(certain);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<String, GenerateError> {
        if !self.stops.stopped() {
            let piece = self.stream.finish()?;
            let mut certain = self.stops.push(&piece);
            certain.push_str(&self.stops.finish());
            self.emit(&certain)?;
        }
        Ok(self.text)
    }
}
