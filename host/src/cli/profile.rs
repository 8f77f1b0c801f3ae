//! `flightvlm profile`.

use super::args::{positive, ModelArgs};
use super::depth::layers;
use super::output::{print, print_json, PendingFile};
use super::progress::spinner;
use crate::energy::{card, Spread};
use crate::exits::Cost;
use crate::profile::{
    array_dsps, channel_peak, exit_costs, peak_macs_per_cycle, profile, roofline_svg, typical_picture,
    write_trace, Bottleneck, Phase, Profile, RequestEnergy, Workload, UNITS,
};
use anyhow::{bail, Context, Result};
use flightvlm_compiler::program::Program;
use flightvlm_hw::config::HwConfig;
use serde_json::json;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Simulate what a model takes on the target: cycles, time, bytes, energy (no weights needed)
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
    /// Tokens to generate
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = positive)]
    new_tokens: usize,
    /// Also what the language model takes where a prompt is looked at behind each of these layers, for early exits
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    exit_layers: Vec<usize>,
    /// Write a timeline of every unit and channel for Perfetto (ui.perfetto.dev) or chrome://tracing
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// Write a roofline plot
    #[arg(long, value_name = "FILE.svg")]
    roofline: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    let source = args.model.open_shape(!args.exit_layers.is_empty())?;
    source.check_writes()?;
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
    let prune = source.info()?.image.and_then(|image| image.prune);
    let rows = args.prompt_tokens + images * typical_picture(program, prune).placeholders;
    if rows + args.new_tokens > meta.text.max_context {
        bail!(
            "{rows} prompt rows and {} new tokens exceed the context of {}; raise --max-context",
            args.new_tokens,
            meta.text.max_context
        );
    }
    let workload = Workload { prompt_tokens: args.prompt_tokens, images, prune, new_tokens: args.new_tokens };
    waiting.set_message("simulating");
    let p = profile(program, &workload)?;
    let energy = RequestEnergy::of(&p, &meta.config, workload.new_tokens);
    if let Some(path) = &args.roofline {
        write_roofline(path, program, &p)?;
    }
    if let Some(path) = &args.trace {
        waiting.set_message("tracing");
        trace(path, program, &workload)?;
    }
    let exits = match &args.exit_layers[..] {
        [] => Vec::new(),
        list => {
            if meta.text.saved_row.is_none() {
                bail!("--exit-layers needs a program with early exits; compile it with --early-exit");
            }
            exit_costs(program, rows, &layers(list, meta.model.text.layers)?)?
        }
    };
    waiting.finish_and_clear();
    if args.json {
        let mut report = report(program, &p, &energy, &workload);
        if !exits.is_empty() {
            report["exits"] = json!(exits);
        }
        return print_json(&report);
    }
    let exits = exits_text(&exits, rows, meta.config.clock_mhz);
    Ok(print(&(text(program, &p, &workload) + &exits + &limits_text(&p) + &energy_text(&energy)))?)
}

fn write_roofline(path: &Path, program: &Program, p: &Profile) -> Result<()> {
    let m = &program.meta;
    let title = format!(
        "{} {} {} on {} ({})",
        m.model.architecture,
        m.weights,
        m.sparsity,
        m.config.name,
        basis(&m.config)
    );
    let svg = roofline_svg(p, &m.config, &title).map_err(anyhow::Error::msg)?;
    let mut file = PendingFile::create(path)?;
    file.writer().write_all(svg.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    file.commit()
}

fn trace(path: &Path, program: &Program, workload: &Workload) -> Result<()> {
    let mut file = PendingFile::create(path)?;
    let size = write_trace(program, workload, &mut BufWriter::new(file.writer()))?;
    file.commit()?;
    if size.left_out > 0 {
        eprintln!("note: {} spans at the ends of long launches are not in {}", size.left_out, path.display());
    }
    Ok(())
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
fn report(program: &Program, p: &Profile, energy: &RequestEnergy, w: &Workload) -> serde_json::Value {
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
        "attention": m.mask.map_or("full".to_owned(), |mask| mask.to_string()),
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
        "power_w": energy.power_w,
        "j_per_token": energy.j_per_token,
        "j_per_request": energy.j_per_request,
        "j_per_token_decode": energy.j_per_token_decode,
        "energy_basis": "modelled",
        "energy": energy,
        "cards_measured": card::readings(),
        "array_dsps": array_dsps(&m.config),
        "phases": {"vision": p.vision, "prefill": p.prefill, "decode": p.decode},
        "bottlenecks": p.bottlenecks.iter().map(|(phase, b)| ((*phase).to_owned(), json!(b))).collect::<serde_json::Map<_, _>>(),
        "steps": p.steps,
    })
}

/// What early exits take.
fn exits_text(exits: &[Cost], rows: usize, clock_mhz: u32) -> String {
    if exits.is_empty() {
        return String::new();
    }
    let mut out = format!("\nearly exits behind a prompt of {rows} rows, all looks on the way included\n");
    for exit in exits {
        let ms = |cycles: u64| cycles as f64 / f64::from(clock_mhz) / 1e3;
        let _ = writeln!(
            out,
            "  {:>3} layers {:>12} cycles {:>9.3} ms, then {:>10} cycles {:>8.3} ms a token",
            exit.layers,
            exit.prompt_cycles,
            ms(exit.prompt_cycles),
            exit.step_cycles,
            ms(exit.step_cycles)
        );
    }
    out
}

/// Which unit holds each phase up, and for which parts of the model it works.
fn limits_text(p: &Profile) -> String {
    let mut out = String::from("\nwhere the time goes (one launch of each phase)\n");
    let phase_of = |name: &str| match name {
        "vision" => &p.vision,
        "prefill" => &p.prefill,
        _ => &p.decode,
    };
    for (name, b) in &p.bottlenecks {
        let _ = writeln!(out, "  {name:<8} held up by: {}", phase_of(name).limit);
        let _ = writeln!(out, "{}", units_text(b));
        let parts: Vec<String> = b
            .parts
            .iter()
            .take(4)
            .map(|part| format!("{} on {} {:.0} %", part.part, part.unit, 100.0 * part.share))
            .collect();
        let _ = writeln!(out, "           longest: {}", parts.join("; "));
    }
    out
}

fn units_text(b: &Bottleneck) -> String {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let units = (0..4).map(|u| format!("{} {}", UNITS[u], percent(b.busy[u]))).collect::<Vec<_>>().join(", ");
    let (a, c) = (&b.array, &b.channels);
    let known = a.multiplying + a.no_tile + a.one_row + a.results + a.starved;
    let list = |items: &[(&str, f64)]| {
        items.iter().map(|(name, share)| format!("{name} {}", percent(*share))).collect::<Vec<_>>().join(", ")
    };
    let array = list(&[
        ("multiplying", a.multiplying),
        ("slices without a tile", a.no_tile),
        ("one row", a.one_row),
        ("results to write", a.results),
        ("no weights", a.starved),
        ("between commands", (1.0 - known).max(0.0)),
    ]);
    let channels = list(&[
        ("moving", c.moving),
        ("full FIFO", c.fifo_full),
        ("no load", c.no_load),
        ("memory", c.memory),
    ]);
    let gap = " ".repeat(11);
    format!("{gap}busy: {units}\n{gap}array: {array}\n{gap}channels: {channels}")
}

/// Three values for people.
fn ends(s: &Spread) -> String {
    let digits = |x: f64| match x {
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 1.0 => format!("{x:.2}"),
        x => format!("{x:.3}"),
    };
    format!("{} / {} / {}", digits(s.low), digits(s.mid), digits(s.high))
}

fn energy_text(e: &RequestEnergy) -> String {
    let mut out = format!(
        "\nenergy, modelled for the board of an {}: low / mid / high (one deviation is {:.0} %)\n",
        e.board,
        100.0 * e.sigma
    );
    for stage in &e.stages {
        let mut parts = stage.by_part_w.clone();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1));
        let parts: Vec<String> = parts.iter().take(4).map(|(part, w)| format!("{part} {w:.1}")).collect();
        let (watts, joules) = (ends(&stage.power_w), ends(&stage.joules));
        let _ =
            writeln!(out, "  {:<8} {watts:>22} W {joules:>24} J   mid W: {}", stage.stage, parts.join(", "));
    }
    let _ = writeln!(
        out,
        "  request  {:>22} W {:>24} J\n  a token  {:>22} J of the request, {} J of decode alone",
        ends(&e.power_w),
        ends(&e.j_per_request),
        ends(&e.j_per_token),
        ends(&e.j_per_token_decode),
    );
    let c = &e.constant;
    let _ = writeln!(
        out,
        "  beside it, constant {} ± {} W (null model): {:.3} J a request, {:.3} J a token",
        c.power_w, c.sigma_w, c.j_per_request, c.j_per_token
    );
    for card in card::readings() {
        let _ = writeln!(out, "  card {} draws {:.1} W now (measured by the card)", card.bdf, card.power_w);
    }
    out
}

fn text(program: &Program, p: &Profile, w: &Workload) -> String {
    let m = &program.meta;
    let c = &m.config;
    let label = basis(c);
    let mut out = format!(
        "{} on {} ({label}): {} slices, {} array DSPs, {} MAC/cycle, {} MHz, {:.1} GB/s peak\n\
         weights {} {}, KV {} bits, attention {}; {} prompt tokens of text, {} visual, {} new; \
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
        m.mask.map_or("full".to_owned(), |mask| mask.to_string()),
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
