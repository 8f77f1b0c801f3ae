//! `flightvlm compile`.

use super::args::ModelArgs;
use super::calibrate::CalibrateArgs;
use super::calibration_report::Report;
use super::output::{print, print_json, PendingFile};
use super::progress::spinner;
use anyhow::{anyhow, bail, Context, Result};
use flightvlm_compiler::import::is_checkpoint;
use flightvlm_compiler::layout::dram::Space;
use flightvlm_compiler::pipeline::{Compiled, STAGES};
use flightvlm_compiler::quant::fold::Decision;
use flightvlm_compiler::quant::{Calibration, Clipping};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Compile a checkpoint into a program
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Program file to write
    #[arg(short, long, value_name = "FILE.fvp")]
    output: Option<PathBuf>,
    /// Stages to write as text, separated by commas: graph, dot, plan, map, asm, stats
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = stage)]
    emit: Vec<String>,
    /// Where to write them [default: standard output]
    #[arg(long, value_name = "DIR")]
    emit_dir: Option<PathBuf>,
    /// Stop behind this stage; no program is written
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    stop_after: Option<String>,
    #[command(flatten)]
    calibrate: CalibrateArgs,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// A stage's name.
pub(super) fn stage(text: &str) -> Result<String, String> {
    let names: Vec<&str> = STAGES.iter().map(|(name, _)| *name).collect();
    if names.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("no such stage; choose from {}", names.join(", ")))
    }
}

pub(super) fn main(args: Args) -> Result<()> {
    let output = match (&args.output, &args.stop_after) {
        (None, None) => bail!("name the program file with -o FILE.fvp (or stop early with --stop-after)"),
        (Some(path), None) => Some(PendingFile::create(path)?),
        _ => None,
    };
    if !is_checkpoint(&args.model.model) {
        bail!("there is no checkpoint folder or GGUF file at {}", args.model.model.display());
    }
    if args.calibrate.clip_search {
        args.model.check_clip_search()?;
    }
    let source = args.model.open()?;
    let samples = args.calibrate.collect(&source)?;
    let waiting = spinner("compiling");
    let compiled = source.compile(args.stop_after.as_deref())?;
    waiting.finish_and_clear();
    emit(&compiled, &args.emit, args.emit_dir.as_deref())?;
    let Some((built, output)) = compiled.program.as_ref().zip(output) else {
        let last = compiled.stages.last().expect("invariant: one stage always runs").0;
        eprintln!("stopped after {last}; no program written");
        return Ok(());
    };
    let mut calibration = None;
    if let Some((mut collected, prompts)) = samples {
        let waiting = spinner("calibrating");
        let search = args.calibrate.clip_search;
        let done = built.fold(&mut collected).and_then(|()| built.follow(&mut collected, &prompts, search));
        done.map_err(|faults| anyhow!("{faults}"))?;
        waiting.finish_and_clear();
        calibration = Some(collected);
    }
    let pending = args.calibrate.calibration_report.as_deref().map(PendingFile::create).transpose()?;
    let decided = |c: Option<Calibration>| c.map(|c| (c.folding.report, c.clipping)).unwrap_or_default();
    let (folded, clipped) = match pending {
        None => {
            built.write(output.temporary_path(), calibration.as_ref())?;
            decided(calibration)
        }
        Some(mut file) => {
            let layers = built.write_measured(output.temporary_path(), calibration.as_ref())?;
            let (folded, clipped) = decided(calibration);
            let probe = args.calibrate.probe(&source)?;
            let decisions = (&folded[..], &clipped[..]);
            let report = Report::new(layers, decisions, &source, output.temporary_path(), &probe)?;
            serde_json::to_writer_pretty(file.writer(), &report)?;
            file.commit()?;
            eprint!("{}", report.table());
            (folded, clipped)
        }
    };
    output.commit()?;
    let program = &built.program;
    let m = &program.meta;
    let path = args.output.as_deref().unwrap_or(Path::new("")).display().to_string();
    let (weights, code_bytes) = (program.weight_bytes(), program.code_bytes());
    let bytes = |space| u64::from(m.dram.end(space)) * 64;
    if args.json {
        return print_json(&json!({
            "program": path,
            "target": m.config.name,
            "isa_hash": format!("{:#010x}", m.isa_hash),
            "weights": m.weights,
            "program_instructions": m.code_len,
            "program_bytes": code_bytes,
            "weight_bytes": weights,
            "sparsity": m.sparsity,
            "kv_bytes_per_token": m.kv_bytes_per_token,
            "main_bytes": bytes(Space::Main),
            "channels": m.dram.channels,
            "channel_bytes": bytes(Space::Channels),
            "max_context": m.text.max_context,
            "folding": folded.iter().map(decision).collect::<Vec<_>>(),
            "clipping": clipped.iter().map(clipping).collect::<Vec<_>>(),
        }));
    }
    if !folded.is_empty() {
        report(&folded);
    }
    if args.calibrate.clip_search {
        clip_report(&clipped);
    }
    eprintln!(
        "{path}: {} instructions ({code_bytes} bytes) for every length up to {}, {weights} bytes \
         of weights ({} {}), target {}",
        m.code_len, m.text.max_context, m.weights, m.sparsity, m.config.name
    );
    Ok(())
}

pub(super) fn decision(d: &Decision) -> serde_json::Value {
    json!({
        "path": d.path,
        "strength": d.strength,
        "balanced": d.balanced,
        "error_before": d.error_before,
        "error_after": d.error_after,
    })
}

pub(super) fn clipping(c: &Clipping) -> serde_json::Value {
    json!({
        "path": c.path,
        "entropy": c.entropy,
        "most": c.most,
        "error_before": c.error_before,
        "error_after": c.error_after,
    })
}

/// What the search for clippings chose, block by block.
fn clip_report(clipped: &[Clipping]) {
    eprintln!(
        "clipping: inputs of                                 entropy  at most   block error without    with"
    );
    for c in clipped {
        let [before, after] = [c.error_before, c.error_after].map(|e| 100.0 * e.sqrt());
        eprintln!("{:<50} {:>8.2} {:>8.2} {before:>19.2} % {after:>5.2} %", c.path, c.entropy, c.most);
    }
}

/// What calibration changed, place by place.
fn report(folded: &[Decision]) {
    eprintln!("inputs of                                          strength   output error without    with");
    for d in folded {
        let [before, after] = [d.error_before, d.error_after].map(|e| 100.0 * e.sqrt());
        eprintln!("{:<50} {:>8.2} {before:>20.2} % {after:>7.2} %", d.path, d.strength);
    }
}

fn emit(compiled: &Compiled, list: &[String], dir: Option<&Path>) -> Result<()> {
    for (name, text) in compiled.stages.iter().filter(|(name, _)| list.iter().any(|l| l == name)) {
        match dir {
            None => print(text)?,
            Some(dir) => {
                let path = dir.join(format!("{name}.txt"));
                std::fs::create_dir_all(dir)
                    .and_then(|()| std::fs::write(&path, text))
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    Ok(())
}
