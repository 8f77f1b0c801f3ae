//! `flightvlm exits`.

use super::args::{positive, DeviceArgs, ModelArgs};
use super::depth::layers;
use super::output::{print, PendingFile};
use super::progress::{bar, interrupt_flag};
use super::score::{read_questions, Question};
use crate::device::{open_untimed, Device, Logits};
use crate::exits::{observe, Calibration};
use crate::image::decode_file;
use crate::profile::exit_costs;
use crate::prompt::{prepare, user_turn};
use crate::source::Source;
use anyhow::{bail, Context, Result};
use std::io::Write as _;
use std::path::PathBuf;

/// See on questions set aside where the language model could be left early, for run and evaluate --exits
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// One JSON object per line: image, question, answer; answers are not looked at
    #[arg(long, value_name = "FILE")]
    questions: PathBuf,
    /// Ask only the first N
    #[arg(long, value_name = "N", value_parser = positive)]
    limit: Option<usize>,
    /// Layers to look behind; answers may end behind all but the first [default: every layer]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    layers: Vec<usize>,
    /// Longest answer in tokens
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = positive)]
    max_new_tokens: usize,
    #[command(flatten)]
    device: DeviceArgs,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// What a question showed.
struct Seen {
    rows: usize,
    answer_tokens: usize,
    changes: Vec<f32>,
    tokens: Vec<u32>,
}

pub(super) fn main(args: Args) -> Result<()> {
    crate::device::find(&args.device.device)?;
    let questions = read_questions(&args.questions, args.limit)?;
    let source = args.model.open_leaving(true)?;
    source.check_writes()?;
    let mut output = PendingFile::create(&args.output)?;
    let layers = layers(&args.layers, source.info()?.layers)?;
    let program = source.program()?;
    let mut device = open_untimed(&args.device.device, &source)?;
    device.interrupt(interrupt_flag().clone());
    let progress = bar(questions.len());
    let mut seen = Vec::with_capacity(questions.len());
    for question in &questions {
        seen.push(ask(device.as_mut(), &source, question, &layers, args.max_new_tokens)?);
        progress.inc(1);
    }
    progress.finish_and_clear();
    let count = seen.len();
    let prompt_rows = seen.iter().map(|s| s.rows).sum::<usize>().div_ceil(count);
    let same = |s: &Seen| s.tokens[1..].iter().map(|token| s.tokens.last() == Some(token)).collect();
    let calibration = Calibration {
        program: program.fingerprint(),
        target: program.meta.config.name.clone(),
        costs: exit_costs(program, prompt_rows, &layers)?,
        layers,
        prompt_rows,
        answer_tokens: seen.iter().map(|s| s.answer_tokens).sum::<usize>() as f64 / count as f64,
        same_token: seen.iter().map(same).collect(),
        changes: seen.into_iter().map(|s| s.changes).collect(),
    };
    serde_json::to_writer(output.writer(), &calibration).context("cannot write the calibration")?;
    output.writer().write_all(b"\n").context("cannot write the calibration")?;
    output.commit()?;
    Ok(print(&table(&calibration))?)
}

/// Runs a question behind each of `layers`, then to the end of its answer.
fn ask(
    device: &mut dyn Device,
    source: &Source,
    question: &Question,
    layers: &[usize],
    most: usize,
) -> Result<Seen> {
    let pictures =
        question.images.iter().map(|path| decode_file(path).with_context(|| path.display().to_string()));
    let pictures = pictures.collect::<Result<Vec<_>>>()?;
    let turn = user_turn(source.assets(), pictures.len(), &question.question)?;
    let prompt = prepare(source.assets(), device.model(), &[turn], &pictures)?;
    device.begin()?;
    let handles = prompt.images.iter().map(|picture| device.encode_image(picture));
    let handles = handles.collect::<Result<Vec<_>, _>>()?;
    let mut seen = Seen { rows: prompt.ids.len(), answer_tokens: 1, changes: vec![], tokens: vec![] };
    observe(device, &prompt.ids, &handles, layers, Logits::LastToken, &mut |_, output, change| {
        seen.changes.extend(change);
        seen.tokens.push(output.greedy_token);
        true
    })?;
    if seen.changes.iter().any(|change| !change.is_finite()) {
        bail!("the model returned no finite logits for {:?}", question.question);
    }
    let (stops, room) = (device.model().stop_ids.clone(), device.model().max_context - prompt.ids.len());
    let mut token = *seen.tokens.last().expect("invariant: two layers at least");
    while !stops.contains(&token) && seen.answer_tokens < most.min(room) {
        token = device.step(token, Logits::None)?.greedy_token;
        seen.answer_tokens += 1;
    }
    Ok(seen)
}

fn table(c: &Calibration) -> String {
    let mut out = format!(
        "{} questions, {} prompt rows and {:.1} answer tokens on average, target {} (cycles simulated)\n\
         layers  prompt cycles  step cycles  cycles a question  same token  median change\n",
        c.changes.len(),
        c.prompt_rows,
        c.answer_tokens,
        c.target
    );
    for (exit, (cost, cycles)) in c.costs.iter().skip(1).zip(c.exit_cycles()).enumerate() {
        let same = c.same_token.iter().filter(|same| same[exit]).count() as f64 / c.same_token.len() as f64;
        let mut changes: Vec<f32> = c.changes.iter().map(|changes| changes[exit]).collect();
        changes.sort_by(f32::total_cmp);
        out += &format!(
            "{:>6}  {:>13}  {:>11}  {:>17.0}  {:>8.1} %  {:>13.4}\n",
            cost.layers,
            cost.prompt_cycles,
            cost.step_cycles,
            cycles,
            100.0 * same,
            changes[changes.len() / 2]
        );
    }
    out
}
