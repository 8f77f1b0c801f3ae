//! `--calibrate`: sample inputs for the compiler, from texts and from questions about pictures.

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
    /// Inputs that show the compiler what the layers read: a .txt file, questions (.jsonl), or a folder with such files
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "no_weights")]
    calibrate: Option<PathBuf>,
    /// Most samples taken: pieces of text or questions
    #[arg(long, default_value_t = 64, value_name = "N", requires = "calibrate", value_parser = positive)]
    calibrate_samples: usize,
    /// Tokens of a piece of text
    #[arg(long, default_value_t = 512, value_name = "N", requires = "calibrate", value_parser = positive)]
    calibrate_window: usize,
    /// Look for the clipping of weights of 4 bits or fewer block by block (Q-VLM); takes many times as long
    #[arg(long, requires = "calibrate")]
    pub(super) clip_search: bool,
    /// Write what compression costs in each layer and end to end, against rounding to nearest, and show a summary
    #[arg(long, value_name = "FILE.json", requires = "calibrate")]
    pub(super) calibration_report: Option<PathBuf>,
}

/// What one run of the model sees.
enum Sample {
    Text(Vec<u32>),
    Question(Question),
}

impl Sample {
    /// As a prompt; a question with, because decoding reads them, the tokens of the first accepted answer.
    fn prompt(&self, source: &Source) -> Result<Prompt> {
        let question = match self {
            Sample::Text(ids) => {
                return Ok(Prompt { ids: ids.clone(), image_tokens: 0, images: Vec::new() });
            }
            Sample::Question(question) => question,
        };
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
}

impl CalibrateArgs {
    /// Runs the samples through the float reference; `None` without `--calibrate`.
    pub(super) fn collect(&self, source: &Source) -> Result<Option<(Calibration, Prompts)>> {
        if self.calibrate.is_none() {
            return Ok(None);
        }
        let model = source.model()?;
        let samples = self.samples(source, self.calibrate_samples)?;
        let room = Room::new(model);
        let known = |sample: &Sample| if let Sample::Text(ids) = sample { ids.len() } else { 0 };
        room.fits(samples.iter().map(known).sum())?;
        let mut run = Calibrator::new(model, Scope::Pictures).map_err(|e| anyhow!("{e}"))?;
        let (progress, mut rows) = (bar(samples.len()), 0);
        for sample in &samples {
            let prompt = sample.prompt(source)?;
            rows += prompt.ids.len();
            room.fits(rows)?;
            run.add(&prompt.ids, &prompt.images).map_err(|e| anyhow!("{e}"))?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(Some(run.finish()))
    }

    /// An input like the samples: the one behind the last of them, if there are more, else the last.
    pub(super) fn probe(&self, source: &Source) -> Result<Prompt> {
        let samples = self.samples(source, self.calibrate_samples + 1)?;
        samples.last().context("--calibration-report needs --calibrate")?.prompt(source)
    }

    /// At most so many samples, from all files in turn.
    fn samples(&self, source: &Source, most: usize) -> Result<Vec<Sample>> {
        let Some(path) = &self.calibrate else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        for file in files_of(path)? {
            let samples: Vec<Sample> = if is(&file, "txt") {
                self.pieces(&file, source)?.into_iter().map(Sample::Text).collect()
            } else {
                read_questions(&file, Some(most))?.into_iter().map(Sample::Question).collect()
            };
            files.push(samples.into_iter());
        }
        let mut out = Vec::new();
        loop {
            let before = out.len();
            out.extend(files.iter_mut().filter_map(Iterator::next));
            if out.len() == before || out.len() >= most {
                out.truncate(most);
                return Ok(out);
            }
        }
    }

    /// The text in pieces of a window.
    fn pieces(&self, path: &Path, source: &Source) -> Result<Vec<Vec<u32>>> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let window = self.calibrate_window.min(source.info()?.max_context);
        let ids = source.assets().tokenizer()?.encode(&text, false)?;
        if ids.is_empty() {
            bail!("{} has no text", path.display());
        }
        Ok(ids.chunks(window).map(<[u32]>::to_vec).collect())
    }
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e == extension)
}

/// The text and question files at a path, a folder's in the order of their names.
fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    let usable = |path: &Path| is(path, "txt") || is(path, "jsonl");
    if !path.is_dir() {
        if !path.exists() {
            bail!("--calibrate: there is no file or folder at {}", path.display());
        }
        if !usable(path) {
            bail!(
                "{}: --calibrate takes a .txt or a .jsonl file, or a folder with such files",
                path.display()
            );
        }
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let mut files = paths.with_context(|| format!("cannot read {}", path.display()))?;
    files.retain(|path| path.is_file() && usable(path));
    files.sort();
    if files.is_empty() {
        bail!("{} has no .txt and no .jsonl file to calibrate with", path.display());
    }
    Ok(files)
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
