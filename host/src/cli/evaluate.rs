//! `flightvlm evaluate`.

use super::args::{DeviceArgs, GenerateArgs, ModelArgs};
use super::depth::{DepthArgs, Depths};
use super::output::{print, print_json, PendingFile};
use super::perplexity::{self, TextArgs};
use super::progress::{bar, interrupt_flag};
use super::score::{is_right, read_questions, Question, Score};
use crate::device::{open, Device, RunStats};
use crate::exits::Exits;
use crate::generate::{continue_from, Answer, Finish, Options};
use crate::image::decode_file;
use crate::prompt::{prepare, user_turn};
use crate::serve::Conversation;
use crate::source::Source;
use anyhow::{Context, Result};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Measure exact-match accuracy on questions about pictures, or perplexity on a text
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// One JSON object per line: image, question, answer, kind
    #[arg(long, value_name = "FILE", required_unless_present = "text")]
    questions: Option<PathBuf>,
    #[command(flatten)]
    text: TextArgs,
    /// Ask only the first N
    #[arg(long, value_name = "N", value_parser = super::args::positive)]
    limit: Option<usize>,
    /// Keep what a question has in common with the one before it, so that questions about one picture that
    /// follow each other read it once
    #[arg(long)]
    reuse: bool,
    /// Write every answer to this file, one JSON object per line
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    #[command(flatten)]
    depth: DepthArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    generate: GenerateArgs,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    crate::device::find(&args.device.device)?;
    let Some(questions) = &args.questions else {
        return perplexity::main(&args.model, &args.device, &args.text, args.json);
    };
    let questions = read_questions(questions, args.limit)?;
    let source = args.depth.open(&args.model)?;
    source.check_writes()?;
    let exits = args.depth.exits(&source)?;
    let mut transcript = args.transcript.as_deref().map(PendingFile::create).transpose()?;
    let mut device = open(&args.device.device, &source)?;
    device.interrupt(interrupt_flag().clone());
    args.depth.set(device.as_mut())?;
    let progress = bar(questions.len());
    let mut score = Score::default();
    let mut total = RunStats::default();
    let mut interrupted = false;
    let mut held = Conversation::default();
    let (mut reused, mut depths) = (0, Depths::default());
    for question in &questions {
        if !args.reuse {
            held = Conversation::default();
        }
        let (answer, known) = ask(device.as_mut(), &source, question, (&args.generate, &exits), &mut held)?;
        reused += known;
        depths.add(device.depth());
        interrupted = answer.finish == Finish::Interrupted;
        if interrupted {
            break;
        }
        let right = is_right(&answer.text, &question.answers);
        score.add(&question.kind, right);
        add(&mut total, &answer.stats);
        if let Some(file) = &mut transcript {
            writeln!(file.writer(), "{}", transcript_line(question, &answer, right))
                .context("cannot write the transcript")?;
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    transcript.map(PendingFile::commit).transpose()?;
    if interrupted {
        eprintln!("interrupted; the result covers the questions answered so far");
    }
    if args.json {
        let mut result = score.to_json();
        result["device"] = device.name().into();
        result["complete"] = (!interrupted).into();
        result["phases"] = json!(total);
        result["reused_tokens"] = reused.into();
        result["answers_by_layers"] = depths.to_json();
        return print_json(&result);
    }
    print(&score.table())?;
    Ok(())
}

/// Puts one question to the model, whose context holds `held`, and says how many tokens of that it used.
fn ask(
    device: &mut dyn Device,
    source: &Source,
    question: &Question,
    (args, exits): (&GenerateArgs, &Option<Exits>),
    held: &mut Conversation,
) -> Result<(Answer, usize)> {
    let mut pictures = Vec::with_capacity(question.images.len());
    for path in &question.images {
        pictures.push(decode_file(path).with_context(|| path.display().to_string())?);
    }
    let assets = source.assets();
    let turn = user_turn(assets, pictures.len(), &question.question)?;
    let prompt = prepare(assets, device.model(), &[turn], &pictures)?;
    let options = Options { exits: exits.clone(), ..args.options(&device.model().stop_ids) };
    let mut quiet = |_: &str| Ok(());
    let tokenizer = assets.tokenizer()?;
    let asked = Conversation::of(&prompt, |id| device.model().is_placeholder(id));
    let known = asked.known_in(held);
    let answer = continue_from(device, tokenizer, &prompt, known, &options, interrupt_flag(), &mut quiet)?;
    *held = asked.answered(&answer.tokens);
    let reused = prompt.ids.len().saturating_sub(answer.stats.prefill.rows as usize);
    Ok((answer, reused))
}

fn transcript_line(question: &Question, answer: &Answer, right: bool) -> serde_json::Value {
    json!({
        "images": question.images,
        "question": question.question,
        "kind": question.kind,
        "accepted": question.answers,
        "answer": answer.text,
        "right": right,
        "finish": answer.finish,
        "tokens": answer.tokens,
    })
}

fn add(total: &mut RunStats, more: &RunStats) {
    total.vision.add(&more.vision);
    total.prefill.add(&more.prefill);
    total.decode.add(&more.decode);
}
