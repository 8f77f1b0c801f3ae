//! `flightvlm check`.

use super::output::{print, print_json};
use crate::source::{model_info, SourceError};
use anyhow::Result;
use flightvlm_compiler::import::{import, is_checkpoint, ImportOptions, Model};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Say whether a checkpoint can run, and list everything that stands in the way
#[derive(clap::Args)]
pub(super) struct Args {
    /// Checkpoint folder or GGUF file
    #[arg(value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Look at config.json only
    #[arg(long)]
    no_weights: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    if !is_checkpoint(&args.model) {
        return Err(SourceError::Missing(args.model).into());
    }
    let options = ImportOptions { no_weights: args.no_weights, max_context: None };
    match import(&args.model, &options) {
        Ok(model) if args.json => print_json(&report(&model)),
        Ok(model) => Ok(print(&describe(&model))?),
        Err(faults) => {
            if args.json {
                let list: Vec<Value> = faults
                    .iter()
                    .map(|fault| {
                        json!({
                            "where": fault.where_,
                            "expected": fault.expected,
                            "got": fault.got,
                            "help": fault.help,
                        })
                    })
                    .collect();
                print_json(&json!({"runs": false, "faults": list}))?;
            }
            Err(SourceError::Faults { path: args.model, faults }.into())
        }
    }
}

/// Operators by name with their number, in name order.
fn operators(model: &Model) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for (_, node) in model.graph.iter() {
        *counts.entry(node.op.name()).or_default() += 1;
    }
    counts
}

fn report(model: &Model) -> Value {
    let spec = &model.spec;
    let info = model_info(spec);
    json!({
        "runs": true,
        "architecture": spec.architecture,
        "language_model": spec.text.model_type,
        "vision": spec.vision.as_ref().map(|vision| format!("{:?}", vision.kind).to_lowercase()),
        "parameters": model.graph.parameter_count(),
        "visual_tokens": spec.visual_tokens,
        "vocabulary": info.vocabulary,
        "max_context": info.max_context,
        "operators": operators(model),
    })
}

fn describe(model: &Model) -> String {
    let spec = &model.spec;
    let tower = match &spec.vision {
        None => "no vision tower".to_owned(),
        Some(vision) => format!(
            "{:?} tower, {size} x {size} pixels, {} tokens per image",
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
    for (name, count) in operators(model) {
        text.push_str(&format!("{count:>6} {name}\n"));
    }
    text
}
