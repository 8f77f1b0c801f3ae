//! `--calibrate`: sample inputs for the compiler, from a text or from questions about pictures.

use super::args::positive;
use super::progress::bar;
use super::score::{read_questions, Question};
use crate::image::decode_file;
use crate::prompt::{prepare, user_turn, Prompt};
use crate::source::Source;
use anyhow::{anyhow, bail, Context, Result};
use flightvlm_compiler::import::Model;
use flightvlm_compiler::quant::{calibration_bytes, Calibration, Calibrator, Prompts, Scope};
use std::path::{Path, PathBuf};

/// Where calibration inputs come from.
#[derive(clap::Args)]
pub(super) struct CalibrateArgs {
    /// Inputs that show the compiler what the layers read: a .txt file, or questions (.jsonl)
    #[arg(long, value_name = "FILE")]
    calibrate: Option<PathBuf>,
    /// Most samples taken: pieces of text or questions
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = positive)]
    calibrate_samples: usize,
    /// Tokens of a piece of text
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = positive)]
    calibrate_window: usize,
    /// Write what compression costs in each layer and end to end, against rounding to nearest, and show a summary
    #[arg(long, value_name = "FILE.json", requires = "calibrate")]
    pub(super) calibration_report: Option<PathBuf>,
}

impl CalibrateArgs {
    /// Runs the samples through the float reference; `None` without `--calibrate`.
    pub(super) fn collect(&self, source: &Source) -> Result<Option<(Calibration, Prompts)>> {
        let Some(path) = &self.calibrate else { return Ok(None) };
        let model = source.model()?;
        let room = Room::new(model);
        room.fits(0)?;
        let start = || Calibrator::new(model, Scope::Pictures).map_err(|e| anyhow!("{e}"));
        let run = match path.extension().and_then(|e| e.to_str()) {
            Some("txt") => self.text(path, source, &room, start)?,
            Some("jsonl") => self.questions(path, source, &room, start)?,
            _ => bail!("{}: --calibrate takes a .txt or a .jsonl file", path.display()),
        };
        Ok(Some(run.finish()))
    }

    /// An input like the samples: the one behind the last of them, if there are more, else the last.
    pub(super) fn probe(&self, source: &Source) -> Result<Prompt> {
        let path = self.calibrate.as_deref().context("--calibration-report needs --calibrate")?;
        if path.extension().is_some_and(|e| e == "txt") {
            let pieces = self.pieces(path, source)?;
            let ids = pieces.get(self.calibrate_samples).or(pieces.last()).context("no text")?;
            return Ok(Prompt { ids: ids.clone(), image_tokens: 0, images: Vec::new() });
        }
        let questions = read_questions(path, Some(self.calibrate_samples + 1))?;
        prompt_of(questions.last().context("no questions")?, source)
    }

    /// The text in pieces of a window.
    fn pieces(&self, path: &Path, source: &Source) -> Result<Vec<Vec<u32>>> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let window = self.calibrate_window.min(source.info()?.max_context);
        let ids = source.assets().tokenizer()?.encode(&text, false)?;
        Ok(ids.chunks(window).map(<[u32]>::to_vec).collect())
    }

    fn text<'m>(
        &self,
        path: &Path,
        source: &'m Source,
        room: &Room<'_>,
        start: impl Fn() -> Result<Calibrator<'m>>,
    ) -> Result<Calibrator<'m>> {
        let mut pieces = self.pieces(path, source)?;
        pieces.truncate(self.calibrate_samples);
        if pieces.is_empty() {
            bail!("{} has no text", path.display());
        }
        room.fits(pieces.iter().map(Vec::len).sum())?;
        let (mut run, progress) = (start()?, bar(pieces.len()));
        for ids in pieces {
            run.add(&ids, &[]).map_err(|e| anyhow!("{e}"))?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(run)
    }

    fn questions<'m>(
        &self,
        path: &Path,
        source: &'m Source,
        room: &Room<'_>,
        start: impl Fn() -> Result<Calibrator<'m>>,
    ) -> Result<Calibrator<'m>> {
        let questions = read_questions(path, Some(self.calibrate_samples))?;
        let (mut run, progress, mut rows) = (start()?, bar(questions.len()), 0);
        for question in &questions {
            let prompt = prompt_of(question, source)?;
            rows += prompt.ids.len();
            room.fits(rows)?;
            run.add(&prompt.ids, &prompt.images).map_err(|e| anyhow!("{e}"))?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(run)
    }
}

/// The memory that was free before calibration began.
struct Room<'m> {
    model: &'m Model,
    free_bytes: Option<u64>,
}

impl<'m> Room<'m> {
    fn new(model: &'m Model) -> Self {
        Room { model, free_bytes: free_bytes() }
    }

    /// Is there enough for so many rows of prompts?
    fn fits(&self, rows: usize) -> Result<()> {
        let needed = calibration_bytes(self.model, rows);
        match self.free_bytes.filter(|free| needed > *free) {
            None => Ok(()),
            Some(free) => bail!(
                "calibrating this model with {rows} tokens takes about {:.1} GB of memory, and {:.1} GB are free; \
                 take fewer or shorter samples (--calibrate-samples, --calibrate-window), or a machine with more memory",
                needed as f64 / 1e9,
                free as f64 / 1e9,
            ),
        }
    }
}

/// Memory that can be had without swapping, where the system says.
fn free_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The prompt and, because decoding reads them, the tokens of the first accepted answer.
fn prompt_of(question: &Question, source: &Source) -> Result<Prompt> {
    let mut pictures = Vec::with_capacity(question.images.len());
    for path in &question.images {
        pictures.push(decode_file(path).with_context(|| path.display().to_string())?);
    }
    let (assets, info) = (source.assets(), source.info()?);
    let turn = user_turn(assets, pictures.len(), &question.question)?;
    let mut prompt = prepare(assets, &info, &[turn], &pictures)?;
    prompt.ids.extend(assets.tokenizer()?.encode(&question.answers[0], false)?);
    prompt.ids.truncate(info.max_context);
    Ok(prompt)
}
