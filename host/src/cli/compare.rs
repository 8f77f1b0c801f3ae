//! `flightvlm compare`.

use super::args::{positive, Format, ModelArgs};
use super::output::{print, print_json, PendingFile};
use super::progress::spinner;
use crate::compare::baselines::{read, shipped};
use crate::compare::gpu::{measure, Measurement};
use crate::compare::ours::{ours, params_b};
use crate::compare::plot::comparison_svg;
use crate::compare::record::{Grade, Record};
use crate::compare::{compare, Comparison, Row, Task};
use crate::energy::{ABSOLUTE_SIGMA, CONSTANT_W};
use anyhow::{bail, Context, Result};
use flightvlm_compiler::program::Program;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

/// Energy per token and per request beside GPU baselines, the worst ratio first
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Formats to compare, separated by commas, such as w4,w4+2:4 [default: --weights and --sparsity]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    precisions: Vec<Format>,
    /// Text tokens of the prompt
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = positive)]
    prompt_tokens: usize,
    /// Tokens to generate
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = positive)]
    new_tokens: usize,
    /// Record of scripts/gpu_baseline.py, or a folder of them; may be given several times
    #[arg(long = "baseline", value_name = "FILE|DIR")]
    baselines: Vec<PathBuf>,
    /// Leave the published baselines out
    #[arg(long)]
    no_published: bool,
    /// Measure the first NVIDIA GPU of this computer (takes minutes; needs PyTorch and Transformers)
    #[arg(long)]
    measure_gpu: bool,
    /// The measuring script
    #[arg(long, default_value = "scripts/gpu_baseline.py", value_name = "FILE")]
    gpu_script: PathBuf,
    /// Interpreter for it
    #[arg(long, default_value = "python3", value_name = "COMMAND")]
    python: String,
    /// Write the comparison as a picture
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    let mut records = if args.no_published { Vec::new() } else { shipped() };
    for path in &args.baselines {
        records.extend(read(path)?);
    }
    if args.measure_gpu {
        records.extend(measure(&Measurement {
            model: args.model.model.clone(),
            script: args.gpu_script.clone(),
            python: args.python.clone(),
            prompt_tokens: args.prompt_tokens,
            new_tokens: args.new_tokens,
        })?);
    }
    if args.model.is_program() && !args.precisions.is_empty() {
        bail!("a compiled program has its weight format; give the checkpoint folder with --precisions");
    }
    let comparison = simulate(&args, &records)?;
    if let Some(path) = &args.plot {
        let svg = comparison_svg(&comparison).map_err(anyhow::Error::msg)?;
        let mut file = PendingFile::create(path)?;
        file.writer()
            .write_all(svg.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.commit()?;
    }
    if args.json {
        return print_json(&comparison);
    }
    Ok(print(&text(&comparison))?)
}

/// Every precision on every task that the model can do, beside the records.
fn simulate(args: &Args, records: &[Record]) -> Result<Comparison> {
    let waiting = spinner("compiling");
    let mut out = Vec::new();
    let (mut model, mut params) = (String::new(), 0.0);
    let formats: Vec<Option<Format>> = match args.precisions.is_empty() {
        true => vec![None],
        false => args.precisions.iter().copied().map(Some).collect(),
    };
    for format in formats {
        let source = args.model.open_shape_as(format)?;
        let compiled;
        let program: &Program = if args.model.is_program() {
            source.program()?
        } else {
            compiled = source.compile(None)?.program.expect("invariant: no stage was named to stop after");
            &compiled.program
        };
        let m = &program.meta;
        (model, params) = (m.model.architecture.clone(), params_b(&m.model));
        let rows = args.prompt_tokens
            + crate::profile::typical_picture(program, None).placeholders
            + args.new_tokens;
        if rows > m.text.max_context {
            bail!("{rows} positions exceed the context of {}; raise --max-context", m.text.max_context);
        }
        waiting.set_message(format!("simulating {} {}", m.weights, m.sparsity));
        let bits = bits_of(&m.weights.to_string());
        for task in [Task::TextDecode, Task::ImageQuestion] {
            if task == Task::TextDecode || m.vision.is_some() {
                out.push(ours(program, task, args.prompt_tokens, args.new_tokens, bits)?);
            }
        }
    }
    waiting.finish_and_clear();
    Ok(compare(&model, out, params, records))
}

/// Average bits of a weight format's name: `w4`, `mixed=3.5`.
fn bits_of(weights: &str) -> f64 {
    let digits = weights.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.parse().unwrap_or(8.0)
}

fn text(c: &Comparison) -> String {
    let mut out = format!(
        "{:.2} B parameters in the language model; batch 1; boards only, the computer around them on neither side\n\n\
         ours: simulated time; energy modelled (one deviation {:.0} %; last column: constant {CONSTANT_W} W)\n",
        c.params_b,
        100.0 * ABSOLUTE_SIGMA
    );
    for o in &c.ours {
        let j = o.j_per_token;
        let _ = writeln!(
            out,
            "  {:<34} {:<10} {:>8.1} tok/s  {:>7.3} J/token [{:.3} to {:.3}]  {:>8.2} J/request  {:>7.3} J/token   [{}]",
            o.task.title(),
            format!("{} {}", o.weights, o.sparsity),
            o.tok_s,
            j.mid,
            j.low,
            j.high,
            o.j_per_request.mid,
            o.j_per_token_constant_power,
            o.grade,
        );
    }
    for task in [Task::TextDecode, Task::ImageQuestion] {
        out.push_str(&task_text(c, task));
    }
    if c.rows.is_empty() {
        out.push_str("\nno baseline of about this size\n");
    }
    let _ = writeln!(out, "\n{} records are of other sizes or batches and are not compared", c.other_sizes);
    let fused = |row: &Row| !row.note.as_deref().unwrap_or("").contains("without a fused kernel");
    let equal = |row: &Row| {
        row.same_precision && row.energy_ratio.is_some() && row.device_kind == "gpu" && fused(row)
    };
    if !c.rows.iter().any(equal) {
        out.push_str("no GPU reading at the same precision with a good kernel: that ratio is open, and smaller than those above\n");
    }
    if !c.rows.iter().any(|row| row.grade == Grade::Measured) {
        out.push_str(
            "no GPU was measured for this table: all baselines are other people's figures (--measure-gpu, --baseline)\n",
        );
    }
    out
}

fn task_text(c: &Comparison, task: Task) -> String {
    let rows: Vec<&Row> = c.rows.iter().filter(|row| row.task == task).collect();
    let mut out = String::new();
    if rows.is_empty() {
        return out;
    }
    let _ = writeln!(
        out,
        "\n{}: their joules over ours, the worst first (≈1: not to be told from 1; =: same precision)\n  {:<10} {:<34} {:>5} \
         {:>9} {:>9} {:>9} {:>9}  {:>20} {:>8}",
        task.title(),
        "ours",
        "baseline",
        "bits",
        "tok/s",
        "ours/it",
        "J/token",
        "J/request",
        "ratio [one deviation]",
        "46.5 W"
    );
    for row in rows {
        let number =
            |value: Option<f64>, digits: usize| value.map_or("-".into(), |v| format!("{v:.digits$}"));
        let ratio = row.energy_ratio.map_or("-".into(), |r| {
            let mark = if r.differs_from_1 { "" } else { " ≈1" };
            format!("{:.2} [{:.2} to {:.2}]{mark}", r.mid, r.low, r.high)
        });
        let grade = match row.grade {
            Grade::Measured => "measured",
            Grade::Published => "published",
        };
        let _ = writeln!(
            out,
            "  {:<10} {:<34} {:>4}{} {:>9} {:>9} {:>9} {:>9}  {:>20} {:>8}  [{grade}] {}",
            row.ours,
            row.baseline,
            row.w_bits,
            if row.same_precision { "=" } else { " " },
            number(row.tok_s, 1),
            number(row.speed_ratio, 2),
            number(row.j_per_token, 2),
            number(row.j_per_request, 0),
            ratio,
            number(row.energy_ratio_constant_power, 2),
            [Some(row.energy_note.as_str()), row.note.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("; "),
        );
    }
    out
}
