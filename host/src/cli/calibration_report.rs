//! `compile --calibration-report`: what compression costs, layer by layer and end to end, against rounding to nearest.

use crate::device::{open, open_untimed, Device, Logits};
use crate::prompt::Prompt;
use crate::source::{LoadOptions, Source};
use anyhow::Result;
use flightvlm_compiler::quant::fold::Decision;
use flightvlm_compiler::quant::{Clipping, LayerReport};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// The file.
#[derive(Serialize)]
pub(super) struct Report {
    /// Every linear layer in the order of the weight stream.
    layers: Vec<Layer>,
    /// Places where scales are folded.
    folding: Vec<serde_json::Value>,
    /// Where clippings were looked for.
    clipping: Vec<serde_json::Value>,
    /// Logits on iss against the float reference.
    end_to_end: EndToEnd,
}

#[derive(Serialize)]
struct Layer {
    path: String,
    first_input: usize,
    inputs: usize,
    outputs: usize,
    bits: f64,
    rounded_error: f64,
    error: f64,
    clip: f64,
    fold: f64,
}

#[derive(Serialize)]
struct EndToEnd {
    rows: usize,
    rounded: Distance,
    chosen: Distance,
}

/// Between logits and those of the float reference.
#[derive(Serialize)]
struct Distance {
    /// Squared error over square.
    error: f64,
    /// Mean Kullback-Leibler divergence of the next token's distribution, in nats.
    divergence: f64,
}

impl Report {
    /// Runs the prompt on the float reference, on the program that rounds to nearest and on the one at `program`.
    pub(super) fn new(
        layers: Vec<LayerReport>,
        (folding, clipping): (&[Decision], &[Clipping]),
        source: &Source,
        program: &Path,
        prompt: &Prompt,
    ) -> Result<Report> {
        let float = logits(open("eval", source)?, prompt)?;
        let rounded = logits(open_untimed("iss", source)?, prompt)?;
        let chosen = Source::open(program, LoadOptions::default())?;
        let chosen = logits(open_untimed("iss", &chosen)?, prompt)?;
        let vocabulary = float.len() / prompt.ids.len();
        let distance = |logits: &[f32]| Distance {
            error: relative_error(logits, &float),
            divergence: divergence(logits, &float, vocabulary),
        };
        let rows = prompt.ids.len();
        let end_to_end = EndToEnd { rows, rounded: distance(&rounded), chosen: distance(&chosen) };
        let layers = layers.into_iter().map(Layer::from).collect();
        let folding = folding.iter().map(super::compile::decision).collect();
        let clipping = clipping.iter().map(super::compile::clipping).collect();
        Ok(Report { layers, folding, clipping, end_to_end })
    }

    /// Kinds of layers, averaged over the model, and the end.
    pub(super) fn table(&self) -> String {
        let mut kinds: Vec<(&str, Vec<&Layer>)> = Vec::new();
        for layer in &self.layers {
            let kind = layer.path.rsplit('.').next().unwrap_or(&layer.path);
            match kinds.iter_mut().find(|(name, _)| *name == kind) {
                Some((_, all)) => all.push(layer),
                None => kinds.push((kind, vec![layer])),
            }
        }
        let mut out = String::from(
            "error of outputs (root of squares)   layers   bits   rounded    chosen   worst    clip    fold\n",
        );
        for (kind, all) in &kinds {
            let mean = |f: fn(&Layer) -> f64| all.iter().map(|l| f(l)).sum::<f64>() / all.len() as f64;
            let most = |f: fn(&Layer) -> f64| all.iter().map(|l| f(l)).fold(0.0, f64::max);
            let percent = |x: f64| 100.0 * x.sqrt();
            let _ = writeln!(
                out,
                "{kind:<36} {:>6} {:>6.2} {:>7.2} % {:>7.2} % {:>5.2} % {:>7.3} {:>7.1}",
                all.len(),
                mean(|l| l.bits),
                percent(mean(|l| l.rounded_error)),
                percent(mean(|l| l.error)),
                percent(most(|l| l.error)),
                mean(|l| l.clip),
                most(|l| l.fold),
            );
        }
        let e = &self.end_to_end;
        let _ = writeln!(
            out,
            "logits of {} rows, iss against float: {:.2} % rounded, {:.2} % chosen; divergence {:.5}, {:.5} nats",
            e.rows,
            100.0 * e.rounded.error.sqrt(),
            100.0 * e.chosen.error.sqrt(),
            e.rounded.divergence,
            e.chosen.divergence
        );
        out
    }
}

impl From<LayerReport> for Layer {
    fn from(l: LayerReport) -> Layer {
        let (first_input, inputs) = l.inputs;
        Layer {
            path: l.path,
            first_input,
            inputs,
            outputs: l.outputs,
            bits: l.bits,
            rounded_error: l.rounded_error,
            error: l.error,
            clip: l.clip,
            fold: l.fold,
        }
    }
}

fn logits(mut device: Box<dyn Device + '_>, prompt: &Prompt) -> Result<Vec<f32>> {
    device.begin()?;
    let mut handles = Vec::with_capacity(prompt.images.len());
    for image in &prompt.images {
        handles.push(device.encode_image(image)?);
    }
    Ok(device.prefill(&prompt.ids, &handles, Logits::AllRows)?.logits)
}

fn relative_error(logits: &[f32], float: &[f32]) -> f64 {
    let square: f64 = float.iter().map(|x| f64::from(*x).powi(2)).sum();
    let error: f64 = logits.iter().zip(float).map(|(x, y)| f64::from(x - y).powi(2)).sum();
    error / square.max(f64::MIN_POSITIVE)
}

fn divergence(logits: &[f32], float: &[f32], vocabulary: usize) -> f64 {
    let log_of_sum = |row: &[f32]| {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        f64::from(max) + row.iter().map(|x| f64::from(x - max).exp()).sum::<f64>().ln()
    };
    let rows = float.chunks_exact(vocabulary).zip(logits.chunks_exact(vocabulary));
    let count = rows.len().max(1) as f64;
    let sum: f64 = rows
        .map(|(p, q)| {
            let (zp, zq) = (log_of_sum(p), log_of_sum(q));
            let term = |(p, q): (&f32, &f32)| {
                let (p, q) = (f64::from(*p) - zp, f64::from(*q) - zq);
                p.exp() * (p - q)
            };
            p.iter().zip(q).map(term).sum::<f64>()
        })
        .sum();
    sum / count
}

#[cfg(test)]
mod tests {
    use super::{divergence, relative_error};

    #[test]
    fn distances_of_known_distributions() {
        let logs = |p: [f32; 2]| p.map(f32::ln);
        let (a, b) = (logs([0.5, 0.5]), logs([0.25, 0.75]));
        let expected = 0.5 * (0.5f64 / 0.25).ln() + 0.5 * (0.5f64 / 0.75).ln();
        assert!((divergence(&b, &a, 2) - expected).abs() < 1e-6);
        assert!(divergence(&[3.0, 3.0], &a, 2).abs() < 1e-6, "a constant changes nothing");
        assert!((relative_error(&[1.0, 2.0], &[1.0, 3.0]) - 0.1).abs() < 1e-6);
    }
}
