//! `flightvlm embed`.

use super::args::{words, DeviceArgs, ModelArgs};
use super::output::{print, print_json};
use super::progress::spinner;
use crate::bundle::TextAssets;
use crate::device::{open, ModelInfo};
use crate::embed::{compared_picture, compared_text, embed};
use crate::image::{decode_file, RgbPicture};
use crate::prompt::{plain, prepare, user_turn, Prompt};
use crate::source::Source;
use anyhow::{bail, Context, Result};
use serde_json::{json, Value};
use std::path::PathBuf;

/// Compute vectors of length 1: of pictures and texts with CLIP and SigLIP, of prompts with a model that writes text
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("inputs").required(true).multiple(true).args(["images", "texts"]))]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// PNG or JPEG picture; may be given several times. A model that writes text sees all of them with every text,
    /// CLIP and SigLIP give each a vector of its own
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<PathBuf>,
    /// A text; may be given several times
    #[arg(long = "text", value_name = "TEXT", allow_hyphen_values = true, value_parser = words)]
    texts: Vec<String>,
    /// Make each text a user's turn of the chat template, as texts with pictures always are; else it stands as it is
    #[arg(long)]
    chat: bool,
    #[command(flatten)]
    device: DeviceArgs,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// What has a vector, and what it is called in the result.
struct Item {
    name: Value,
    label: String,
    prompt: Prompt,
}

pub(super) fn main(args: Args) -> Result<()> {
    crate::device::find(&args.device.device)?;
    let source = args.model.open()?;
    let pictures =
        args.images.iter().map(|path| decode_file(path).with_context(|| path.display().to_string()));
    let pictures = pictures.collect::<Result<Vec<_>>>()?;
    let items = match source.spec()?.contrast {
        Some(_) => compared(&args, &source, &pictures)?,
        None => prompts(&args, source.assets(), &source.info()?, &pictures)?,
    };
    let waiting = spinner("loading the model");
    let mut device = open(&args.device.device, &source)?;
    waiting.set_message("computing");
    let mut vectors = Vec::with_capacity(items.len());
    for item in &items {
        vectors.push(embed(device.as_mut(), &item.prompt, 0)?);
    }
    waiting.finish_and_clear();
    if args.json {
        let of = |(item, vector): (&Item, &Vec<f32>)| -> Value {
            let mut value = item.name.clone();
            value["embedding"] = json!(vector);
            value
        };
        let all: Vec<Value> = items.iter().zip(&vectors).map(of).collect();
        let width = vectors.first().map_or(0, Vec::len);
        return print_json(&json!({"device": device.name(), "width": width, "embeddings": all}));
    }
    for (item, vector) in items.iter().zip(&vectors) {
        let values: Vec<String> = vector.iter().map(f32::to_string).collect();
        print(&format!("{}\t{}\n", item.label, values.join(" ")))?;
    }
    Ok(())
}

/// Pictures, then texts, each with a vector of its own.
fn compared(args: &Args, source: &Source, pictures: &[RgbPicture]) -> Result<Vec<Item>> {
    let (spec, assets) = (source.spec()?, source.assets());
    let how = crate::embed::contrast(spec)?;
    if args.chat {
        bail!("{} has no chat template; leave --chat out", spec.architecture);
    }
    let mut items = Vec::new();
    for (path, picture) in args.images.iter().zip(pictures) {
        let (name, label) = (json!({"image": path}), path.display().to_string());
        items.push(Item { name, label, prompt: compared_picture(spec, assets, picture)? });
    }
    for text in &args.texts {
        let prompt = compared_text(how, assets, text)?;
        items.push(Item { name: json!({"text": text}), label: text.clone(), prompt });
    }
    Ok(items)
}

/// Each text, with the pictures if there are any; pictures alone are one prompt.
fn prompts(args: &Args, assets: &TextAssets, info: &ModelInfo, pictures: &[RgbPicture]) -> Result<Vec<Item>> {
    let alone = [String::new()];
    let texts = if args.texts.is_empty() { &alone[..] } else { &args.texts };
    let mut items = Vec::with_capacity(texts.len());
    for text in texts {
        let prompt = if args.chat || !pictures.is_empty() {
            prepare(assets, info, &[user_turn(assets, pictures.len(), text)?], pictures)?
        } else {
            plain(info, assets.tokenizer()?.encode(text, true).map_err(crate::bundle::BundleError::from)?)?
        };
        let mut name = json!({"text": text});
        if !pictures.is_empty() {
            name["images"] = json!(args.images);
        }
        let label = if args.texts.is_empty() { "pictures".into() } else { text.clone() };
        items.push(Item { name, label, prompt });
    }
    Ok(items)
}
