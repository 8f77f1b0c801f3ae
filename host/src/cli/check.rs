//! `flightvlm check`.

use super::output::{print, print_json};
use crate::source::{model_info, SourceError};
use anyhow::Result;
use flightvlm_compiler::diag::{Diagnostic, Diagnostics};
use flightvlm_compiler::import::{families, import, is_checkpoint, ImportOptions, Model};
use flightvlm_compiler::layout::dram::Space;
use flightvlm_compiler::pipeline::{self, Options};
use flightvlm_compiler::plan::placement;
use flightvlm_compiler::quant::Widths;
use flightvlm_hw::config::HwConfig;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Say whether a checkpoint can run, where every operator runs, and what stands in the way
#[derive(clap::Args)]
pub(super) struct Args {
    /// Checkpoint folder or GGUF file
    #[arg(value_name = "MODEL_DIR", required_unless_present = "families")]
    model: Option<PathBuf>,
    /// Look at config.json only
    #[arg(long)]
    no_weights: bool,
    /// Positions to lay the cache out for
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = super::args::positive)]
    max_context: usize,
    /// Hardware to lay the model out for: sim, mini, u280, or a TOML file (hw/targets has some); may be given several
    /// times [default: sim, mini, u280]
    #[arg(long = "target", value_name = "NAME|FILE", value_parser = super::args::target)]
    targets: Vec<HwConfig>,
    /// List the supported model families instead
    #[arg(long, conflicts_with = "model")]
    families: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    let Some(path) = &args.model else {
        return if args.json { print_json(&families_json()) } else { Ok(print(&families_table())?) };
    };
    if !is_checkpoint(path) {
        return Err(SourceError::Missing(path.clone()).into());
    }
    let options = ImportOptions { no_weights: args.no_weights, ..ImportOptions::default() };
    let model = match import(path, &options) {
        Ok(model) => model,
        Err(faults) => return refuse(&args, path, faults),
    };
    let configs = if args.targets.is_empty() { HwConfig::all().to_vec() } else { args.targets.clone() };
    let targets: Vec<Fit> = configs.into_iter().map(|c| fit(&model, c, args.max_context)).collect();
    // No target at all: the faults are the model's own, the same for each.
    if targets.iter().all(|t| t.memory.is_none()) {
        let faults = targets.into_iter().next().and_then(|t| t.faults).unwrap_or_default();
        return refuse(&args, path, faults);
    }
    match args.json {
        true => print_json(&report(&model, &targets)),
        false => Ok(print(&describe(&model, &targets))?),
    }
}

/// Lists every fault and ends with exit code 2.
fn refuse(args: &Args, path: &Path, faults: Diagnostics) -> Result<()> {
    if args.json {
        let list: Vec<Value> = faults.iter().map(fault_json).collect();
        print_json(&json!({"runs": false, "faults": list}))?;
    }
    Err(SourceError::Faults { path: path.to_owned(), faults }.into())
}

fn fault_json(fault: &Diagnostic) -> Value {
    json!({"where": fault.where_, "expected": fault.expected, "got": fault.got, "help": fault.help})
}

/// What a model takes on a target.
struct Fit {
    target: String,
    /// Widths of the weights, bytes of main memory, bytes of each channel, channels.
    memory: Option<(Widths, u64, u64, u32)>,
    /// Why not.
    faults: Option<Diagnostics>,
}

/// The widest weights of 8, 4, 2 bits with which the model fits.
fn fit(model: &Model, config: HwConfig, max_context: usize) -> Fit {
    let target = config.name.clone();
    let context = max_context.min(model.spec.text.max_position);
    let mut faults = None;
    for bits in [8, 4, 2] {
        let mut options = Options::new(config.clone(), context);
        (options.storage.widths, options.no_weights) = (Widths::Uniform(bits), true);
        match pipeline::compile(model, &options) {
            Ok(compiled) => {
                let program = compiled.program.expect("invariant: no stage was named to stop after");
                let dram = &program.program.meta.dram;
                let bytes = |space| u64::from(dram.end(space)) * 64;
                let (main, channel) = (bytes(Space::Main), bytes(Space::Channels));
                let memory = Some((options.storage.widths, main, channel, dram.channels));
                return Fit { target, memory, faults: None };
            }
            Err(found) => faults = Some(found),
        }
    }
    Fit { target, memory: None, faults }
}

/// Operators by name: number, and where they run.
fn operators(model: &Model) -> BTreeMap<&'static str, (usize, &'static str)> {
    let mut counts = BTreeMap::new();
    for (_, node) in model.graph.iter() {
        counts.entry(node.op.name()).or_insert((0, placement(&node.op))).0 += 1;
    }
    counts
}

/// What the accelerator does not keep of the checkpoint, or of its precision.
fn lost(model: &Model) -> Vec<String> {
    let mut out = vec![
        "precision: activations and the key/value cache in INT8 with a scale per row or head, weights in \
         integers with a scale per group (--weights); everything else in float32"
            .to_owned(),
    ];
    if let Some(v) = model.spec.vision.as_ref().filter(|v| v.layers_used < v.layers_total) {
        out.push(format!(
            "vision layers behind the feature layer: {} of {}",
            v.layers_total - v.layers_used,
            v.layers_total
        ));
    }
    let ignored = model.weights.ignored();
    if !ignored.is_empty() {
        out.push(format!("tensors that the computation does not use: {}", ignored.join(", ")));
    }
    out
}

fn report(model: &Model, targets: &[Fit]) -> Value {
    let spec = &model.spec;
    let info = model_info(spec);
    let operators = operators(model);
    let counts: BTreeMap<_, _> = operators.iter().map(|(name, (count, _))| (name, count)).collect();
    let places: BTreeMap<_, _> = operators.iter().map(|(name, (_, place))| (name, place)).collect();
    let target = |t: &Fit| {
        let fits = t.memory.as_ref().map(|(widths, main, channel, channels)| {
            json!({
                "weights": widths.to_string(),
                "main_bytes": main,
                "channel_bytes": channel,
                "channels": channels,
            })
        });
        let faults = t.faults.as_ref().map(|f| f.iter().map(fault_json).collect::<Vec<_>>());
        json!({"target": t.target, "fits": fits.is_some(), "memory": fits, "faults": faults})
    };
    json!({
        "runs": true,
        "architecture": spec.architecture,
        "language_model": spec.text.model_type,
        "vision": spec.vision.as_ref().map(|vision| format!("{:?}", vision.kind).to_lowercase()),
        "parameters": model.graph.parameter_count(),
        "visual_tokens": spec.visual_tokens,
        "vocabulary": info.vocabulary,
        "max_context": info.max_context,
        "operators": counts,
        "runs_on": places,
        "targets": targets.iter().map(target).collect::<Vec<_>>(),
        "lost": lost(model),
    })
}

fn describe(model: &Model, targets: &[Fit]) -> String {
    let spec = &model.spec;
    let tower = match &spec.vision {
        None => "no vision tower".to_owned(),
        Some(vision) => format!(
            "{:?} tower, tiles of up to {size} x {size} pixels, {} tokens each",
            vision.kind,
            spec.visual_tokens,
            size = vision.image_size
        ),
    };
    let mut text = format!(
        "runs: {} ({tower}; {} with {} layers; {:.2} M parameters)\n",
        spec.architecture,
        spec.text.model_type,
        spec.text.layers,
        model.graph.parameter_count() as f64 / 1e6
    );
    for (name, (count, place)) in operators(model) {
        let _ = writeln!(text, "{count:>6} {name:<18} {place}");
    }
    for t in targets {
        let _ = match &t.memory {
            Some((widths, main, channel, channels)) => {
                let mib = |bytes: &u64| *bytes as f64 / (1 << 20) as f64;
                writeln!(
                    text,
                    "{:>6}: fits with {widths} weights: main memory {:.1} MiB, {channels} channels of {:.1} MiB",
                    t.target,
                    mib(main),
                    mib(channel)
                )
            }
            None => {
                let why = t.faults.as_ref().map(ToString::to_string).unwrap_or_default();
                writeln!(text, "{:>6}: does not fit\n{}", t.target, indent(&why))
            }
        };
    }
    for what in lost(model) {
        let _ = writeln!(text, "  lost: {what}");
    }
    text
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("        {line}")).collect::<Vec<_>>().join("\n")
}

fn families_json() -> Value {
    let row = |f: &flightvlm_compiler::import::Family| {
        json!({
            "architecture": f.architecture,
            "model_type": f.model_type,
            "tower": f.tower,
            "language_model": f.text,
            "about": f.about,
        })
    };
    families().iter().map(row).collect()
}

/// The support table in Markdown.
fn families_table() -> String {
    let mut text = "| class | tower | language model | |\n|---|---|---|---|\n".to_owned();
    for f in families() {
        let tower = f.tower.map_or("", |tower| tower.trim_end_matches("_model"));
        let _ = writeln!(text, "| `{}` | {tower} | {} | {} |", f.architecture, f.text, f.about);
    }
    text
}
