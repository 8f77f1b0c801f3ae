//! A GPU or FPGA baseline: one JSON record, measured here or published by others.

use serde::{Deserialize, Serialize};

/// Version of the schema.
pub const SCHEMA: &str = "flightvlm-baseline-1";

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// By this project, with the method of `scripts/gpu_baseline.py`.
    Measured,
    /// By the named source.
    Published,
}

/// What a power figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerKind {
    /// A reading of the board.
    Measured,
    /// Worked out from ratios and prices that a source gives.
    Implied,
    /// A rating; never divided by.
    Tdp,
    /// A mode's name ("40 W mode"); never divided by.
    Nominal,
    /// A tool's estimate for a design.
    Simulated,
}

/// Where energy was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boundary {
    /// The accelerator board.
    Board,
    /// A module with its memory.
    Module,
    /// The whole computer.
    Wall,
}

/// The hardware.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Name.
    pub name: String,
    /// `gpu` or `fpga`.
    pub kind: String,
    /// A hash of the serial number, so that two records can be told to be of one card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid_hash: Option<String>,
    /// Driver version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// CUDA version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda: Option<String>,
    /// Watts that the driver allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_limit_w: Option<f64>,
    /// The same as delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_power_limit_w: Option<f64>,
    /// Error correction of the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecc: Option<bool>,
    /// Partitioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mig: Option<bool>,
    /// In a virtual machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<bool>,
}

/// What ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// Framework.
    pub framework: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Attention kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<String>,
    /// What multiplies the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_path: Option<String>,
    /// Kernels were launched as a graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda_graphs: Option<bool>,
    /// Compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile: Option<bool>,
}

/// The model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name.
    pub id: String,
    /// Hash of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// `real` or `random`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Parameters, billions, of the language model.
    pub params_b: f64,
    /// Bits of a weight.
    pub w_bits: f64,
    /// Bits of an activation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a_bits: Option<f64>,
    /// Bits of keys and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_bits: Option<f64>,
    /// Bytes a decode step reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_token: Option<f64>,
}

/// What it was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Requests at a time.
    pub batch: f64,
    /// Tokens of the prompt, pictures included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Of these, of pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_tokens: Option<u64>,
    /// Side of the picture in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_px: Option<u64>,
    /// New tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// No sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greedy: Option<bool>,
    /// Of random weights and prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// Times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Tokens a second in decode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tok_s: Option<f64>,
    /// Milliseconds of the vision tower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision_ms: Option<f64>,
    /// Milliseconds of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefill_ms: Option<f64>,
    /// Milliseconds a decode step, median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode_ms_p50: Option<f64>,
    /// The same, 90 % of the steps are faster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode_ms_p90: Option<f64>,
    /// Steps before the first window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_iters: Option<u64>,
    /// Steps of all windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iters: Option<u64>,
    /// Seconds of the shortest window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_s: Option<f64>,
}

/// Energy and power.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Energy {
    /// `counter` or `poll`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Counter at the start of the first window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_start_mj: Option<f64>,
    /// Counter at the end of the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_end_mj: Option<f64>,
    /// How often the counter was seen to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_counter_period_ms: Option<f64>,
    /// Mean power in decode, watts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_mean_w: Option<f64>,
    /// Highest power seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_max_w: Option<f64>,
    /// Nothing loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_idle_w: Option<f64>,
    /// Model loaded, clocks up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_idle_context_w: Option<f64>,
    /// Joules a decode step, everything counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gross_j_per_token: Option<f64>,
    /// The same less the idle power with the model loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_j_per_token: Option<f64>,
    /// Joules of the workload's request, everything counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gross_j_per_request: Option<f64>,
    /// The same less idle power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_j_per_request: Option<f64>,
    /// Windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trials: Option<u64>,
    /// Standard deviation over the windows, joules a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdev: Option<f64>,
    /// Half the 95 % interval, joules a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci95: Option<f64>,
}

/// The card's state around a measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Temperature before.
    pub temp_before_c: f64,
    /// Temperature after.
    pub temp_after_c: f64,
    /// Clock of the multiprocessors, MHz.
    pub sm_clock: f64,
    /// Clock of the memory, MHz.
    pub mem_clock: f64,
    /// Why the clocks were held down; empty: they were not.
    pub throttle_reasons: Vec<String>,
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Title, address, version.
    pub cite: String,
    /// How the source got its numbers: measured, datasheet, simulated, computed.
    pub basis: String,
    /// What must be known to read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: String,
    /// Short name.
    pub name: String,
    /// Where the numbers come from.
    pub grade: Grade,
    /// What the power figure is; none: no power is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_kind: Option<PowerKind>,
    /// Where energy was counted.
    pub boundary: Boundary,
    /// Version of the measuring tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_version: Option<String>,
    /// Commit of the measuring tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_rev: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_utc: Option<String>,
    /// Hardware.
    pub device: Device,
    /// Software.
    pub software: Software,
    /// Model.
    pub model: Model,
    /// Request.
    pub workload: Workload,
    /// Times.
    pub timing: Timing,
    /// Energy.
    pub energy: Energy,
    /// State; measured records have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Source; published records have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}
