//! `flightvlm profile`.

use super::args::{positive, ModelArgs};
use super::output::{print, print_json};
use super::progress::spinner;
use crate::profile::{
    array_dsps, channel_peak, peak_macs_per_cycle, profile, typical_picture, Phase, Profile, Workload,
};
use anyhow::{bail, Result};
use flightvlm_compiler::program::Program;
use flightvlm_hw::config::HwConfig;
use serde_json::json;
use std::fmt::Write as _;

/// Simulate what a model takes on the target: cycles, time, bytes, utilisation (no weights needed)
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Text tokens of the prompt
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = positive)]
    prompt_tokens: usize,
    /// Pictures in the prompt [default: 1 where the model takes pictures]
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Visual tokens of each picture that enter the prompt [default: all]
    #[arg(long, value_name = "N", value_parser = positive)]
    visual_tokens: Option<usize>,
    /// Tokens to generate
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = positive)]
    new_tokens: usize,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    let source = args.model.open_shape()?;
    let waiting = spinner("compiling");
    let compiled;
    let program: &Program = if args.model.is_program() {
        source.program()?
    } else {
        compiled = source.compile(None)?.program.expect("invariant: no stage was named to stop after");
        &compiled.program
    };
    let meta = &program.meta;
    let takes_images = meta.vision.is_some();
    let images = args.images.unwrap_or(usize::from(takes_images));
    if images > 0 && !takes_images {
        bail!("the model takes no images; leave --images out");
    }
    let visual = typical_picture(program).placeholders;
    if let Some(n) = args.visual_tokens.filter(|n| *n > visual) {
        bail!("--visual-tokens {n} is more than the {visual} visual tokens of a picture");
    }
    let rows = args.prompt_tokens + images * args.visual_tokens.unwrap_or(visual);
    if rows + args.new_tokens > meta.text.max_context {
        bail!(
            "{rows} prompt rows and {} new tokens exceed the context of {}; raise --max-context",
            args.new_tokens,
            meta.text.max_context
        );
    }
    let workload = Workload {
        prompt_tokens: args.prompt_tokens,
        images,
        visual_tokens: args.visual_tokens,
        new_tokens: args.new_tokens,
    };
    waiting.set_message("simulating");
    let p = profile(program, &workload)?;
    waiting.finish_and_clear();
    if args.json {
        return print_json(&report(program, &p, &workload));
    }
    Ok(print(&text(program, &p, &workload))?)
}

/// Milliseconds per generated token after the first.
fn tpot_ms(p: &Profile, w: &Workload) -> f64 {
    p.decode.ms / (w.new_tokens.saturating_sub(1)).max(1) as f64
}

fn basis(c: &HwConfig) -> &'static str {
    if c.projected {
        "projected"
    } else {
        "simulated"
    }
}

/// The `--json` result; the keys are a contract.
fn report(program: &Program, p: &Profile, w: &Workload) -> serde_json::Value {
    let m = &program.meta;
    let tpot = tpot_ms(p, w);
    json!({
        "target": m.config.name,
        "clock_mhz": m.config.clock_mhz,
        "basis": basis(&m.config),
        "architecture": m.model.architecture,
        "weights": m.weights,
        "sparsity": m.sparsity,
        "kv_bits": m.kv_bits,
        "prompt_tokens": w.prompt_tokens,
        "visual_tokens": p.visual_tokens,
        "new_tokens": w.new_tokens,
        "vision_ms": p.vision.ms,
        "prefill_ms": p.prefill.ms,
        "ttft_ms": p.vision.ms + p.prefill.ms,
        "tpot_ms": tpot,
        "decode_tok_s": 1e3 / tpot,
        "hbm_bytes_per_token": p.hbm_bytes_per_token,
        "hbm_utilization": p.decode.hbm_utilization,
        "mac_utilization_prefill": p.prefill.mac_utilization,
        "program_bytes": program.code_bytes(),
        "program_instructions": m.code_len,
        "weight_bytes": program.weight_bytes(),
        "kv_bytes_per_token": m.kv_bytes_per_token,
        "array_dsps": array_dsps(&m.config),
        "phases": {"vision": p.vision, "prefill": p.prefill, "decode": p.decode},
        "steps": p.steps,
    })
}

fn text(program: &Program, p: &Profile, w: &Workload) -> String {
    let m = &program.meta;
    let c = &m.config;
    let label = basis(c);
    let mut out = format!(
        "{} on {} ({label}): {} slices, {} array DSPs, {} MAC/cycle, {} MHz, {:.1} GB/s peak\n\
         weights {} {}, KV {} bits; {} prompt tokens of text, {} visual, {} new; \
         program {} instructions, {} bytes\n\n",
        m.model.architecture,
        c.name,
        c.slices,
        array_dsps(c),
        peak_macs_per_cycle(c),
        c.clock_mhz,
        channel_peak(c) / 1e9,
        m.weights,
        m.sparsity,
        m.kv_bits,
        w.prompt_tokens,
        p.visual_tokens,
        w.new_tokens,
        m.code_len,
        program.code_bytes(),
    );
    let _ = writeln!(
        out,
        "{:<8} {:>14} {:>10} {:>10} {:>9} {:>8} {:>8}  limited by",
        "phase", "cycles", "ms", "GB HBM", "GB/s", "HBM %", "MAC %"
    );
    for (name, phase) in [("vision", &p.vision), ("prefill", &p.prefill), ("decode", &p.decode)] {
        if phase.launches > 0 {
            let _ = writeln!(out, "{}", row(name, phase));
        }
    }
    let tpot = tpot_ms(p, w);
    let _ = write!(
        out,
        "\nfirst token {:.1} ms, then {tpot:.3} ms each = {:.1} tok/s ({label}; {} decode steps simulated, the \
         rest interpolated)\n{} bytes of weights and cache a token, {:.1} % of the channels' peak\n",
        p.vision.ms + p.prefill.ms,
        1e3 / tpot,
        p.steps.len(),
        p.hbm_bytes_per_token,
        100.0 * p.decode.hbm_utilization,
    );
    out
}

fn row(name: &str, p: &Phase) -> String {
    let gb = p.channel_bytes as f64 / 1e9;
    format!(
        "{name:<8} {:>14} {:>10.2} {gb:>10.3} {:>9.1} {:>8.1} {:>8.1}  {}",
        p.cycles,
        p.ms,
        gb / (p.ms / 1e3).max(1e-12),
        100.0 * p.hbm_utilization,
        100.0 * p.mac_utilization,
        p.limit
    )
}
