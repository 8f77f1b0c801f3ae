//! `flightvlm evaluate --text`: perplexity of a text.
//!
//! The text is tokenised as a whole and cut into windows that do not overlap. Each window is a prompt
//! of its own, behind the begin token where the tokenizer has one; every token but a window's first is
//! scored, given the tokens of its window before it. Perplexity is `exp` of the mean negative log
//! probability of the scored tokens. Shorter windows give worse figures: compare equal ones only.

use super::args::{positive, DeviceArgs, ModelArgs};
use super::output::{print, print_json};
use super::progress::{bar, interrupt_flag};
use crate::device::{open_untimed, DeviceError, Logits, PhaseStats};
use anyhow::{bail, Context, Result};
use serde_json::json;
use std::path::PathBuf;

/// Which text, and how it is cut.
#[derive(clap::Args)]
pub(super) struct TextArgs {
    /// Measure perplexity on this text
    #[arg(long, value_name = "FILE", conflicts_with = "questions")]
    text: Option<PathBuf>,
    /// Tokens of a window [default: 512, or the context if that is shorter]
    #[arg(long, value_name = "N", value_parser = positive, requires = "text")]
    window: Option<usize>,
    /// Use only the first N tokens
    #[arg(long, value_name = "N", value_parser = positive, requires = "text")]
    limit_tokens: Option<usize>,
}

const WINDOW: usize = 512;

pub(super) fn main(model: &ModelArgs, device: &DeviceArgs, args: &TextArgs, as_json: bool) -> Result<()> {
    let path = args.text.as_deref().context("name a text with --text or questions with --questions")?;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let source = model.open()?;
    source.check_writes()?;
    let tokenizer = source.assets().tokenizer()?;
    let begin = tokenizer.encode("", true)?;
    let mut ids = tokenizer.encode(&text, false)?;
    ids.truncate(args.limit_tokens.unwrap_or(usize::MAX));
    let mut device = open_untimed(&device.device, &source)?;
    device.interrupt(interrupt_flag().clone());
    // A prompt leaves one position free for an answer.
    let room = device.model().max_context.saturating_sub(1);
    let window = args.window.unwrap_or(WINDOW.min(room));
    if window > room || window < begin.len() + 2 {
        bail!("--window {window}: expected {} to {room} tokens with this model", begin.len() + 2);
    }
    let pieces: Vec<&[u32]> = ids.chunks(window - begin.len()).collect();
    let progress = bar(pieces.len());
    let (mut loss, mut scored, mut windows) = (0.0f64, 0usize, 0usize);
    let mut total = PhaseStats::default();
    let mut interrupted = false;
    for piece in pieces {
        let prompt = [begin.as_slice(), piece].concat();
        if prompt.len() < 2 {
            continue;
        }
        device.begin()?;
        let logits = match device.prefill(&prompt, &[], Logits::AllRows) {
            Ok(output) => output.logits,
            Err(DeviceError::Interrupted) => {
                interrupted = true;
                break;
            }
            Err(error) => return Err(error.into()),
        };
        let rows = logits.chunks_exact(device.model().vocabulary);
        loss += rows.zip(&prompt[1..]).map(|(row, next)| surprise(row, *next)).sum::<f64>();
        scored += prompt.len() - 1;
        windows += 1;
        total.add(&device.stats().total());
        progress.inc(1);
    }
    progress.finish_and_clear();
    if scored == 0 {
        bail!("{}: no token could be scored; two are needed", path.display());
    }
    let perplexity = (loss / scored as f64).exp();
    if !perplexity.is_finite() {
        bail!("device {} gave logits that are not finite, or certainty of a wrong token", device.name());
    }
    if interrupted {
        eprintln!("interrupted; the result covers {windows} windows");
    }
    if as_json {
        return print_json(&json!({
            "perplexity": perplexity,
            "tokens": scored,
            "windows": windows,
            "window": window,
            "device": device.name(),
            "complete": !interrupted,
            "total": total,
        }));
    }
    print(&format!("perplexity {perplexity:.4} over {scored} tokens in {windows} windows of {window}\n"))?;
    Ok(())
}

/// Negative log probability of token `next` under one row of logits.
fn surprise(row: &[f32], next: u32) -> f64 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|x| f64::from(x - max).exp()).sum();
    sum.ln() - f64::from(row[next as usize] - max)
}

#[cfg(test)]
mod tests {
    use super::surprise;

    #[test]
    fn surprise_is_the_log_of_the_inverse_probability() {
        assert!((surprise(&[3.0; 8], 5) - 8f64.ln()).abs() < 1e-9);
        let row = [1.0f32.ln(), 2.0f32.ln(), 5.0f32.ln()];
        assert!((surprise(&row, 2) - (8.0f64 / 5.0).ln()).abs() < 1e-6);
        assert!(surprise(&[1e30, 0.0], 0).abs() < 1e-9 && surprise(&[0.0, 200.0], 0) > 199.0);
    }
}
