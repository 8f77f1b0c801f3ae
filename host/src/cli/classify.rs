//! `flightvlm classify`.

use super::args::{words, DeviceArgs, ModelArgs};
use super::output::{print, print_json};
use super::progress::spinner;
use crate::device::open;
use crate::embed::{compared_picture, compared_text, contrast, embed, fill_templates, mean, EmbedError};
use crate::image::decode_file;
use anyhow::{Context, Result};
use serde_json::json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Find the label that fits a picture best, with a model that was never trained on the labels (CLIP, SigLIP)
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("choice").required(true).multiple(true).args(["labels", "label"]))]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// PNG or JPEG picture; may be given several times
    #[arg(long = "image", value_name = "FILE", required = true)]
    images: Vec<PathBuf>,
    /// File with one label a line
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// A label; may be given several times
    #[arg(long, value_name = "TEXT", value_parser = words)]
    label: Vec<String>,
    /// Sentence with {} where the label goes; of several, the mean counts
    #[arg(long = "template", value_name = "TEXT", default_value = "a photo of a {}.")]
    templates: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Lines that are printed for a picture.
const SHOWN: usize = 5;

pub(super) fn main(args: Args) -> Result<()> {
    crate::device::find(&args.device.device)?;
    let source = args.model.open()?;
    let mut labels = match &args.labels {
        Some(file) => read_labels(file)?,
        None => Vec::new(),
    };
    labels.extend(args.label.iter().cloned());
    let mut known = HashSet::new();
    labels.retain(|label| known.insert(label.clone()));
    let pictures =
        args.images.iter().map(|path| decode_file(path).with_context(|| path.display().to_string()));
    let pictures = pictures.collect::<Result<Vec<_>>>()?;
    let (spec, assets) = (source.spec()?.clone(), source.assets());
    let how = contrast(&spec)?;
    let texts = labels.iter().map(|label| fill_templates(label, &args.templates));
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let waiting = spinner("loading the model");
    let mut device = open(&args.device.device, &source)?;
    waiting.set_message("reading the labels");
    let mut of_labels = Vec::with_capacity(labels.len());
    for texts in &texts {
        let prompts = texts.iter().map(|text| compared_text(how, assets, text));
        let prompts = prompts.collect::<Result<Vec<_>, _>>()?;
        let vectors = prompts.iter().map(|prompt| embed(device.as_mut(), prompt, 0));
        of_labels.push(mean(&vectors.collect::<Result<Vec<_>, _>>()?));
    }
    waiting.set_message("looking at the pictures");
    let mut results = Vec::with_capacity(pictures.len());
    for (path, picture) in args.images.iter().zip(&pictures) {
        let vector = embed(device.as_mut(), &compared_picture(&spec, assets, picture)?, 0)?;
        let scores = how.scores(&[vector], &of_labels);
        let mut ranked: Vec<(usize, f32, f32)> = how
            .probabilities(&scores)
            .into_iter()
            .zip(&scores)
            .enumerate()
            .map(|(i, (p, s))| (i, p, *s))
            .collect();
        ranked.sort_by(|a, b| b.2.total_cmp(&a.2));
        results.push((path, ranked));
    }
    waiting.finish_and_clear();
    if args.json {
        let results = results.iter().map(|(path, ranked)| {
            let of = |(i, p, score): &(usize, f32, f32)| {
                json!({"label": labels[*i], "probability": p, "score": score})
            };
            let best = ranked.first().map(|(i, _, _)| &labels[*i]);
            json!({"image": path, "best": best, "labels": ranked.iter().map(of).collect::<Vec<_>>()})
        });
        return print_json(&json!({"device": device.name(), "results": results.collect::<Vec<_>>()}));
    }
    for (path, ranked) in &results {
        for (i, p, _) in ranked.iter().take(SHOWN) {
            print(&format!("{}: {:5.1} %  {}\n", path.display(), p * 100.0, labels[*i]))?;
        }
    }
    Ok(())
}

/// Lines that are not empty.
fn read_labels(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let labels: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(Into::into).collect();
    match labels.is_empty() {
        true => Err(anyhow::Error::from(EmbedError::NoLabels).context(file.display().to_string())),
        false => Ok(labels),
    }
}
