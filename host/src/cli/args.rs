//! Options that several commands share.

use crate::generate;
use crate::sampler::Sampling;
use crate::source::{LoadOptions, Source};
use anyhow::{bail, Result};
use clap::Args;
use flightvlm_compiler::graph::{BlockMask, Method, Prune, VisualPositions};
use flightvlm_compiler::quant::{Sparsity, Spec, Widths};
use flightvlm_hw::config::HwConfig;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which model, and how it is loaded.
#[derive(Args)]
pub(super) struct ModelArgs {
    /// Checkpoint folder, GGUF file or compiled program (.fvp)
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// Positions that prompt and answer may fill together [default: what the model supports]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) max_context: Option<usize>,
    /// Hardware to compile for: sim, mini, u280, or a TOML file (hw/targets has some)
    #[arg(long, default_value = "sim", value_name = "NAME|FILE", value_parser = target)]
    target: HwConfig,
    /// Width of the language model's weights: w8, w6, w5, w4, w3, w2, or mixed=BITS on average
    #[arg(long, default_value = "w8", value_name = "FORMAT")]
    weights: Widths,
    /// Sparsity of the language model's layers: dense, 2:4, 8:16, 4:16, 2:16, or auto: that of the checkpoint's own zeros
    #[arg(long, default_value = "dense", value_name = "N:M")]
    sparsity: Pattern,
    /// Stored inputs that share a scale: 32, 64 or 128
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = group_size)]
    group_size: usize,
    /// Bits of keys and values in the cache: 8 or 4
    #[arg(long, default_value_t = 8, value_name = "BITS", value_parser = kv_bits)]
    kv_bits: u32,
    /// Inputs of down projections and of the output layer in 16 bits: nearer to float at the same bytes in decode;
    /// a prompt's rows multiply down projections twice
    #[arg(long)]
    wide_inputs: bool,
    /// Compile so that the language model can be left early (run --exit-layer) and gone on with
    #[arg(long)]
    early_exit: bool,
    /// Visual tokens of a picture's tile that enter the prompt [default: all]
    #[arg(long, value_name = "N", value_parser = positive)]
    visual_tokens: Option<usize>,
    /// How they are chosen: none, fastervlm, hired or hired-bands (the others are dropped), folder or turbo (the others are
    /// merged into them) [default: fastervlm]
    #[arg(long, value_name = "METHOD", value_parser = method)]
    prune: Option<Choice>,
    /// What the language model's rows see: full, or blocks of 64: window=512 or window=512,sinks=64 tokens
    #[arg(long, default_value = "full", value_name = "MASK", value_parser = attention)]
    attention: Attention,
    /// Positions of visual tokens: v2pe=STRIDE (256ths of a position), rows (a line shares one) or one (all do)
    /// [default: the model's]
    #[arg(long, value_name = "SCHEME")]
    image_positions: Option<VisualPositions>,
    /// M-RoPE++: rotary frequencies for sequences so many times as long as those of the training (Qwen2-VL)
    #[arg(long, value_name = "FACTOR", value_parser = stretch)]
    mrope_stretch: Option<f32>,
    /// Compile from config.json alone: code, memory map and sizes
    #[arg(long)]
    no_weights: bool,
}

/// Which inputs are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pattern {
    Auto,
    Given(Sparsity),
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Pattern::Auto),
            _ => text.parse().map(Pattern::Given).map_err(|e: String| format!("{e}, or auto")),
        }
    }
}

/// How visual tokens are chosen.
#[derive(Clone, Copy)]
enum Choice {
    None,
    By(Method),
}

fn method(name: &str) -> Result<Choice, String> {
    match name {
        "none" => Ok(Choice::None),
        _ => name.parse().map(Choice::By),
    }
}

/// Does a file hold a compiled program? Everything but checkpoints does, or is refused.
pub(super) fn is_program(model: &Path) -> bool {
    model.is_file() && model.extension().is_none_or(|x| x != "gguf")
}

/// A named configuration or one from a file.
pub(super) fn target(name: &str) -> Result<HwConfig, String> {
    if name.ends_with(".toml") {
        let help = "give a TOML file as in hw/targets, or a target's name";
        let text = std::fs::read_to_string(name).map_err(|e| format!("cannot be read: {e}; {help}"))?;
        return HwConfig::from_toml(&text);
    }
    HwConfig::named(name).ok_or_else(|| {
        let names: Vec<String> = HwConfig::all().into_iter().map(|c| c.name).collect();
        format!("no such target; there are {} and TOML files", names.join(", "))
    })
}

fn group_size(text: &str) -> Result<usize, String> {
    match text {
        "32" | "64" | "128" => Ok(text.parse().expect("invariant: a number")),
        _ => Err("expected 32, 64 or 128".into()),
    }
}

fn kv_bits(text: &str) -> Result<u32, String> {
    match text {
        "8" => Ok(8),
        "4" => Ok(4),
        _ => Err("expected 8 or 4".into()),
    }
}

fn stretch(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(factor) if (1.0..=1024.0).contains(&factor) => Ok(factor),
        _ => Err("expected a number from 1 to 1024".into()),
    }
}

/// `full`, or a mask.
#[derive(Clone, Copy)]
struct Attention(Option<BlockMask>);

fn attention(text: &str) -> Result<Attention, String> {
    match text {
        "full" => Ok(Attention(None)),
        _ => text.parse().map(|mask| Attention(Some(mask))),
    }
}

impl ModelArgs {
    /// Opens the model's small files.
    pub(super) fn open(&self) -> Result<Source> {
        self.open_leaving(false)
    }

    /// The same; `leaves`: the language model is to be left early.
    pub(super) fn open_leaving(&self, leaves: bool) -> Result<Source> {
        self.open_with(self.no_weights, None, leaves)
    }

    /// The same for commands that never need weights.
    pub(super) fn open_shape(&self, leaves: bool) -> Result<Source> {
        self.open_with(true, None, leaves)
    }

    /// The same with another format.
    pub(super) fn open_shape_as(&self, format: Option<Format>) -> Result<Source> {
        self.open_with(true, format, false)
    }

    /// Weights have so few bits that cutting the largest can gain something.
    pub(super) fn check_clip_search(&self) -> Result<()> {
        match self.weights {
            Widths::Uniform(bits @ 5..) => bail!(
                "--clip-search is for weights of 4 bits or fewer, or mixed; with {bits} bits nothing is gained by clipping"
            ),
            _ => Ok(()),
        }
    }

    /// Is it a compiled program?
    pub(super) fn is_program(&self) -> bool {
        is_program(&self.model)
    }

    /// What `--visual-tokens` and `--prune` ask for, if anything.
    fn prune(&self) -> Result<Option<Option<Prune>>> {
        let by = |method| self.visual_tokens.map(|tokens| Prune { method, tokens });
        Ok(match (self.prune, self.visual_tokens) {
            (None, None) => None,
            (None, Some(_)) => Some(by(Method::Fastervlm)),
            (Some(Choice::None), None) => Some(None),
            (Some(Choice::By(method)), Some(_)) => Some(by(method)),
            (Some(Choice::By(method)), None) => bail!("--prune {method} needs --visual-tokens N"),
            (Some(Choice::None), Some(n)) => bail!("--prune none keeps all visual tokens, not {n}"),
        })
    }

    fn open_with(&self, no_weights: bool, format: Option<Format>, leaves: bool) -> Result<Source> {
        let format = format.unwrap_or(Format { widths: self.weights, sparsity: self.sparsity });
        let (sparsity, detect_sparsity) = match format.sparsity {
            Pattern::Auto => (Sparsity::Dense, true),
            Pattern::Given(sparsity) => (sparsity, false),
        };
        if detect_sparsity && self.no_weights {
            bail!("--sparsity auto looks at the weights, which --no-weights leaves out; name a sparsity");
        }
        let prune = self.prune()?;
        Ok(Source::open(
            &self.model,
            LoadOptions {
                max_context: self.max_context,
                target: self.target.clone(),
                no_weights,
                storage: Spec { widths: format.widths, sparsity, group_words: self.group_size / 16 },
                detect_sparsity,
                kv_bits: self.kv_bits,
                early_exit: self.early_exit || leaves,
                wide_inputs: self.wide_inputs,
                prune,
                mask: self.attention.0,
                image_positions: self.image_positions,
                mrope_stretch: self.mrope_stretch,
            },
        )?)
    }
}

/// A format of a list: `w4`, or with a sparsity `w4+2:4`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Format {
    widths: Widths,
    sparsity: Pattern,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (widths, sparsity) = text.split_once('+').unwrap_or((text, "dense"));
        Ok(Format { widths: widths.parse()?, sparsity: sparsity.parse()? })
    }
}

/// Where it runs.
#[derive(Args)]
pub(super) struct DeviceArgs {
    /// What runs the model; `flightvlm devices` lists the choices
    #[arg(long, default_value = "iss", value_name = "NAME")]
    pub(super) device: String,
}

/// How an answer is generated.
#[derive(Args)]
pub(super) struct GenerateArgs {
    /// Longest answer in tokens
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = positive)]
    pub(super) max_new_tokens: usize,
    /// Draw tokens with this temperature; 0 takes the most likely one
    #[arg(long, value_name = "T", value_parser = temperature, allow_hyphen_values = true)]
    temperature: Option<f64>,
    /// Draw from the most likely tokens that reach this probability together
    #[arg(long, value_name = "P", value_parser = probability, allow_hyphen_values = true)]
    top_p: Option<f64>,
    /// Makes drawn answers repeatable
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// End the answer before this text; may be given several times
    #[arg(long = "stop", value_name = "TEXT", allow_hyphen_values = true)]
    stop_strings: Vec<String>,
}

impl GenerateArgs {
    /// Options for a model with these stop tokens. Drawing is on when a temperature above 0 or a
    /// top-p is given.
    pub(super) fn options(&self, stop_ids: &[u32]) -> generate::Options {
        let sampling = match (self.temperature, self.top_p) {
            (None, None) | (Some(0.0), _) => Sampling::Greedy,
            (temperature, top_p) => Sampling::TopP {
                temperature: temperature.unwrap_or(1.0),
                top_p: top_p.unwrap_or(1.0),
                seed: self.seed,
            },
        };
        generate::Options {
            max_new_tokens: self.max_new_tokens,
            sampling,
            stop_ids: stop_ids.to_vec(),
            stop_strings: self.stop_strings.clone(),
            exits: None,
        }
    }
}

/// A text that is not blank.
pub(super) fn words(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err("it is empty".into()),
        false => Ok(text.into()),
    }
}

/// A whole number of at least 1.
pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("expected a whole number".into()),
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 100".into()),
    }
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if value > 0.0 && value <= 1.0 => Ok(value),
        _ => Err("expected a number above 0 and up to 1".into()),
    }
}
