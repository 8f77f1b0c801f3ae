//! Our side of a comparison: **simulated** time, **modelled** energy.

use crate::energy::Spread;
use crate::profile::{profile, RequestEnergy, Workload};
use flightvlm_compiler::graph::ModelSpec;
use flightvlm_compiler::program::Program;
use flightvlm_hw::machine::MachineError;
use serde::{Deserialize, Serialize};

/// What is asked of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Decode of text, prompt not counted.
    TextDecode,
    /// A picture and a question, from pixels to the last token.
    ImageQuestion,
}

impl Task {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Task::TextDecode => "text decode",
            Task::ImageQuestion => "picture and question, end to end",
        }
    }
}

/// One program on one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ours {
    /// Task.
    pub task: Task,
    /// Always `simulated` or `projected`.
    pub grade: String,
    /// Target.
    pub target: String,
    /// Weight format.
    pub weights: String,
    /// Bits of a weight.
    pub w_bits: f64,
    /// Sparsity.
    pub sparsity: String,
    /// Positions of the prompt.
    pub prompt_tokens: usize,
    /// Of these, of pictures.
    pub image_tokens: usize,
    /// New tokens.
    pub new_tokens: usize,
    /// Tokens a second in decode.
    pub tok_s: f64,
    /// Seconds of the request.
    pub seconds: f64,
    /// Joules a token: of decode for text, of the whole request by new token for pictures.
    pub j_per_token: Spread,
    /// Joules of the request.
    pub j_per_request: Spread,
    /// The same with the null model's constant power.
    pub j_per_token_constant_power: f64,
}

/// Parameters of the language model, billions.
pub fn params_b(spec: &ModelSpec) -> f64 {
    let t = &spec.text;
    let attention = t.hidden * t.head_dim * (2 * t.heads + 2 * t.kv_heads);
    let layer = attention + 3 * t.hidden * t.intermediate;
    let tables = t.vocab * t.hidden * if t.tied_embeddings { 1 } else { 2 };
    (t.layers * layer + tables) as f64 / 1e9
}

/// Profiles a program on a task; `prompt` and `new` are text tokens.
pub fn ours(
    program: &Program,
    task: Task,
    prompt: usize,
    new: usize,
    w_bits: f64,
) -> Result<Ours, MachineError> {
    let m = &program.meta;
    let images = usize::from(task == Task::ImageQuestion);
    let prune = m.vision.as_ref().and_then(|vision| vision.prune);
    let workload = Workload { prompt_tokens: prompt, images, prune, new_tokens: new };
    let p = profile(program, &workload)?;
    let energy = RequestEnergy::of(&p, &m.config, new);
    let steps = new.saturating_sub(1).max(1) as f64;
    let (decode_s, all_s) = (p.decode.ms / 1e3, (p.vision.ms + p.prefill.ms + p.decode.ms) / 1e3);
    let (j_per_token, constant) = match task {
        Task::TextDecode => (energy.j_per_token_decode, energy.constant.power_w * decode_s / steps),
        Task::ImageQuestion => (energy.j_per_token, energy.constant.j_per_token),
    };
    Ok(Ours {
        task,
        grade: if m.config.projected { "projected" } else { "simulated" }.into(),
        target: m.config.name.clone(),
        weights: m.weights.to_string(),
        w_bits,
        sparsity: m.sparsity.to_string(),
        prompt_tokens: prompt + p.visual_tokens,
        image_tokens: p.visual_tokens,
        new_tokens: new,
        tok_s: steps / decode_s.max(1e-12),
        seconds: all_s,
        j_per_token,
        j_per_request: energy.j_per_request,
        j_per_token_constant_power: constant,
    })
}
