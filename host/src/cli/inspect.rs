//! `flightvlm inspect`.

use super::args::ModelArgs;
use super::compile::stage;
use super::output::{print, print_json};
use anyhow::{bail, Result};
use flightvlm_compiler::import::is_checkpoint;
use flightvlm_compiler::program::Program;
use flightvlm_hw::isa::{disassemble, Insn};
use serde_json::json;
use std::fmt::Write as _;

/// Show what is inside a program, or any stage of compiling a checkpoint
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// What to show: graph, dot, plan (checkpoint folders only), map, asm, stats
    #[arg(long, default_value = "map,stats", value_delimiter = ',', value_parser = stage)]
    show: Vec<String>,
    /// Write JSON: sizes, regions, parts of the code
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    let source = args.model.open()?;
    if args.json {
        return print_json(&report(source.program()?));
    }
    if is_checkpoint(&args.model.model) {
        let compiled = source.compile(None)?;
        for (name, text) in &compiled.stages {
            if args.show.iter().any(|s| s == name) {
                print(text)?;
            }
        }
        return Ok(());
    }
    let program = source.program()?;
    for what in &args.show {
        match what.as_str() {
            "map" => print(&format!("{}\n{}", program.meta.dram, program.meta.onchip))?,
            "asm" => print(&listing(program))?,
            "stats" => print(&format!("{}\n", serde_json::to_string_pretty(&report(program))?))?,
            other => bail!("a program file does not hold the {other}; inspect the checkpoint folder"),
        }
    }
    Ok(())
}

fn report(p: &Program) -> serde_json::Value {
    let m = &p.meta;
    json!({
        "architecture": m.model.architecture,
        "target": m.config.name,
        "isa_hash": format!("{:#010x}", m.isa_hash),
        "weights": m.weights,
        "program_instructions": m.code_len,
        "sparsity": m.sparsity,
        "program_bytes": p.code_bytes(),
        "weight_bytes": p.weight_bytes(),
        "kv_bytes_per_token": m.kv_bytes_per_token,
        "channels": m.dram.channels,
        "max_context": m.text.max_context,
        "tile_rows": m.text.tile_rows,
        "dram_regions": m.dram.regions,
        "files": p.assets.keys().collect::<Vec<_>>(),
    })
}

/// Disassembly with the part of the model that each stretch computes.
fn listing(p: &Program) -> String {
    let mut out = String::new();
    let mut marks = p.meta.marks.iter().peekable();
    for (pc, word) in p.words().iter().enumerate() {
        while let Some((_, what)) = marks.next_if(|(at, _)| *at as usize == pc) {
            let _ = writeln!(out, "; {what}");
        }
        let text = Insn::decode(word).map_or_else(|e| format!("; {e}"), |i| disassemble(&i));
        let _ = writeln!(out, "{pc:>5}  {text}");
    }
    out
}
