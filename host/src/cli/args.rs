//! Options that several commands share.

use crate::generate;
use crate::sampler::Sampling;
use crate::source::{LoadOptions, Source};
use anyhow::Result;
use clap::Args;
use flightvlm_hw::config::HwConfig;
use std::path::PathBuf;

/// Which model, and how it is loaded.
#[derive(Args)]
pub(super) struct ModelArgs {
    /// Checkpoint folder, GGUF file or compiled program (.fvp)
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// Positions that prompt and answer may fill together [default: what the model supports]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) max_context: Option<usize>,
    /// Hardware to compile for, a named configuration
    #[arg(long, default_value = "sim", value_name = "NAME", value_parser = target)]
    target: HwConfig,
    /// Weight format: w8
    #[arg(long, default_value = "w8", value_name = "FORMAT", value_parser = ["w8"])]
    weights: String,
    /// Compile from config.json alone: code, memory map and sizes
    #[arg(long)]
    no_weights: bool,
}

/// A named configuration. The array, the memories and the RTL of others come with their build.
fn target(name: &str) -> Result<HwConfig, String> {
    HwConfig::named(name).ok_or_else(|| "no such target in this build; there is: sim".to_owned())
}

impl ModelArgs {
    /// Opens the model's small files.
    pub(super) fn open(&self) -> Result<Source> {
        Ok(Source::open(
            &self.model,
            LoadOptions {
                max_context: self.max_context,
                target: self.target.clone(),
                no_weights: self.no_weights,
                weights: self.weights.clone(),
            },
        )?)
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
        }
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
