//! `flightvlm bench`.

use super::args::ModelArgs;
use super::output::{print, print_json};
use crate::device::{open, open_untimed, Device, Logits, PhaseStats};
use anyhow::Result;
use flightvlm_compiler::graph::{Picture, Tile};
use serde_json::{json, Value};

/// Measure the simulators on a model: wall-clock rates, and simulated cycles apart from them
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Devices to measure, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "iss,hls,rtl", value_name = "LIST")]
    device: Vec<String>,
    /// Text tokens of the prompt, besides one picture's
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = super::args::positive)]
    prompt_tokens: usize,
    /// Tokens to decode
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = super::args::positive)]
    new_tokens: usize,
    /// Runs of each device; rates are given as minimum, median and maximum
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = super::args::positive)]
    runs: usize,
    /// Leave the simulator's timing model out: the fastest answer, without cycles
    #[arg(long)]
    untimed: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Minimum, median, maximum.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

/// One run: a picture, a prompt, a few steps.
fn once(d: &mut dyn Device, args: &Args) -> Result<()> {
    d.begin()?;
    let info = d.model().clone();
    let (mut ids, mut handles) = (vec![1u32; args.prompt_tokens], Vec::new());
    if let Some(image) = &info.image {
        let grid = image.vision.full_grid();
        let count = grid[0] * grid[1] * image.vision.pixel_cols;
        let rows = (0..count).map(|i| (i % 97) as f32 / 48.0 - 1.0).collect();
        let picture = Picture::of_tiles(&image.vision, vec![Tile { grid, rows }]);
        let picture = Picture { prune: image.prune, question: ids.clone(), ..picture };
        handles.push(d.encode_image(&picture)?);
        ids.splice(0..0, vec![image.token_id; picture.placeholders()]);
    }
    let mut out = d.prefill(&ids, &handles, Logits::None)?;
    let room = info.max_context - ids.len() - 1;
    for _ in 0..args.new_tokens.min(room) {
        out = d.step(out.greedy_token, Logits::None)?;
    }
    Ok(())
}

/// Rates of one phase over the runs.
fn phase(name: &str, runs: &[PhaseStats]) -> Value {
    let rate = |what: fn(&PhaseStats) -> Option<u64>| {
        let all: Option<Vec<f64>> =
            runs.iter().map(|p| Some(what(p)? as f64 / p.wall.as_secs_f64())).collect();
        all.map(spread)
    };
    json!({
        "phase": name,
        "programs_per_s": rate(|p| Some(p.calls)),
        "rows_per_s": rate(|p| Some(p.rows)),
        "simulated_cycles_per_s": rate(|p| p.cycles),
        "macs_per_s": rate(|p| p.macs),
        "simulated_cycles": runs[0].cycles,
        "macs": runs[0].macs,
    })
}

pub(super) fn main(args: Args) -> Result<()> {
    let source = args.model.open()?;
    let mut results = Vec::new();
    for name in &args.device {
        crate::device::find(name)?;
        let mut device = if args.untimed { open_untimed(name, &source)? } else { open(name, &source)? };
        let mut runs = Vec::new();
        for _ in 0..args.runs {
            once(device.as_mut(), &args)?;
            runs.push(device.stats());
        }
        let of = |f: fn(&crate::device::RunStats) -> PhaseStats| runs.iter().map(f).collect::<Vec<_>>();
        let phases = [
            phase("vision", &of(|r| r.vision)),
            phase("prefill", &of(|r| r.prefill)),
            phase("decode", &of(|r| r.decode)),
        ];
        results.push(json!({"device": name, "runs": args.runs, "phases": phases}));
    }
    if args.json {
        return print_json(&results);
    }
    for r in &results {
        print(&format!("{} ({} runs; min / median / max)\n", r["device"].as_str().unwrap_or(""), r["runs"]))?;
        for p in r["phases"].as_array().into_iter().flatten() {
            print(&format!("  {:<8} {}\n", p["phase"].as_str().unwrap_or(""), describe(p)))?;
        }
    }
    Ok(())
}

fn describe(p: &Value) -> String {
    let triple = |key: &str, scale: f64, unit: &str| {
        let [a, b, c] = [0, 1, 2].map(|i| p[key][i].as_f64());
        Some(format!("{:.2} / {:.2} / {:.2} {unit}", a? / scale, b? / scale, c? / scale))
    };
    let parts = [
        triple("programs_per_s", 1.0, "programs/s wall"),
        triple("rows_per_s", 1.0, "rows/s wall"),
        triple("simulated_cycles_per_s", 1e6, "M simulated cycles/s wall"),
        triple("macs_per_s", 1e6, "M MAC/s wall"),
        p["simulated_cycles"].as_u64().map(|c| format!("{c} simulated cycles")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
