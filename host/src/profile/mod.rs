//! What a model would take on a target: the program's launches on the timing model of the
//! instruction-level simulator, without weights and without data.
//!
//! Every number is simulated. Decode steps are simulated at a few positions and interpolated between
//! them: a step's time is affine in the number of key/value tiles, so little is lost.

mod bottleneck;
mod cost;
mod energy;
mod exits;
mod phase;
mod picture;
mod roofline;
mod runner;
mod trace;

pub use bottleneck::{Bottleneck, ChannelTime, PartTime, UNITS};
pub use cost::{Cost, CostModel};
pub use energy::{ConstantPower, RequestEnergy, StageEnergy};
pub use exits::exit_costs;
pub use phase::{activity, array_dsps, channel_peak, peak_macs_per_cycle, Phase};
pub use picture::{typical_picture, TypicalPicture};
pub use roofline::roofline_svg;
pub use trace::{write_trace, TraceError, TraceSize};

use flightvlm_compiler::graph::Prune;
use flightvlm_compiler::program::Program;
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::machine::{Counters, MachineError};
use runner::{interpolate, Runner};
use serde::Serialize;

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Text tokens of the prompt.
    pub prompt_tokens: usize,
    /// Pictures.
    pub images: usize,
    /// Which visual tokens enter the prompt; `None`: all.
    pub prune: Option<Prune>,
    /// Tokens to generate.
    pub new_tokens: usize,
}

/// A decode step at a position.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Positions in the cache before it.
    pub position: usize,
    /// Cycles.
    pub cycles: u64,
}

/// The result. Field names of the contract are in the command's JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// Vision tower and projector, all pictures.
    pub vision: Phase,
    /// The prompt.
    pub prefill: Phase,
    /// All decode steps, interpolated.
    pub decode: Phase,
    /// What holds each phase up: its name, the account of one launch.
    pub bottlenecks: Vec<(&'static str, Bottleneck)>,
    /// The steps that were simulated.
    pub steps: Vec<Step>,
    /// Visual tokens of the prompt.
    pub visual_tokens: usize,
    /// Bytes of weights and cache a decode step reads, at the middle of the answer.
    pub hbm_bytes_per_token: u64,
}

/// Most decode steps that are simulated.
const STEPS: usize = 5;

/// Runs the workload; the program may be compiled without weights.
pub fn profile(program: &Program, w: &Workload) -> Result<Profile, MachineError> {
    let meta = &program.meta;
    let config = &meta.config;
    let mut run = Runner::new(program)?;
    run.machine.set_profiling(true);
    let mut bottlenecks = Vec::new();
    let mut account = |name, run: &Runner<'_>, counters: &Counters| {
        let profile = run.profile().expect("invariant: profiling is on");
        bottlenecks.push((name, Bottleneck::of(meta, counters, &profile)));
    };
    let mut vision = Phase::default();
    let mut visual_tokens = 0;
    if meta.vision.is_some() && w.images > 0 {
        let picture = typical_picture(program, w.prune);
        let counters = run.vision(w.prune)?.expect("invariant: the model takes pictures");
        account("vision", &run, &counters);
        for _ in 0..w.images * picture.tiles {
            vision.add(&counters);
        }
        vision.launches = 1;
        visual_tokens = w.images * picture.placeholders;
    }
    let rows = w.prompt_tokens + visual_tokens;
    let mut prefill = Phase::default();
    if visual_tokens > 0 && meta.model.vision.as_ref().is_some_and(|v| v.question) {
        // Each picture is encoded for a question, which is at most the prompt's text.
        let asked = run.prompt(w.prompt_tokens.max(1))?;
        (0..w.images).for_each(|_| asked.iter().for_each(|counters| prefill.add(counters)));
    }
    let launches = run.prompt(rows)?;
    account("prefill", &run, &launches[0]);
    launches.iter().for_each(|counters| prefill.add(counters));
    let (mut steps, mut decode) = (Vec::new(), Phase::default());
    let count = w.new_tokens.saturating_sub(1);
    let mut middle = 0;
    if count > 0 {
        let samples = count.min(STEPS);
        let at = |i: usize| if samples == 1 { 0 } else { i * (count - 1) / (samples - 1) };
        let mut sampled = Vec::new();
        for i in 0..samples {
            let position = rows + at(i);
            let c = run.text(position, 1)?;
            if i == samples / 2 {
                account("decode", &run, &c);
            }
            steps.push(Step { position, cycles: c.cycles });
            sampled.push((at(i), c));
        }
        for step in 0..count {
            let next = sampled.iter().position(|(i, _)| *i >= step).unwrap_or(samples - 1);
            let (b, hi) = &sampled[next];
            let (a, lo) = &sampled[next.saturating_sub(1)];
            let share = if b == a { 0.0 } else { (step - a) as f64 / (b - a) as f64 };
            decode.add(&interpolate(lo, hi, share));
        }
        decode.launches = samples;
        middle = sampled[samples / 2].1.channel_read_beats * UNIT_BYTES as u64;
    }
    for p in [&mut vision, &mut prefill, &mut decode] {
        p.finish(config);
    }
    Ok(Profile { vision, prefill, decode, bottlenecks, steps, visual_tokens, hbm_bytes_per_token: middle })
}
