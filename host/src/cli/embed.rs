//! `flightvlm embed`.

use super::args::{DeviceArgs, ModelArgs};
use super::output::{print, print_json};
use super::progress::spinner;
use crate::device::open;
use crate::embed::{contrast, embed_picture, embed_text};
use crate::image::decode_file;
use anyhow::{Context, Result};
use serde_json::{json, Value};
use std::path::PathBuf;

/// Compute the vectors of pictures and texts, each of length 1, with a model that compares them (CLIP, SigLIP)
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// PNG or JPEG picture; may be given several times
    #[arg(long = "image", value_name = "FILE", required_unless_present = "texts")]
    images: Vec<PathBuf>,
    /// A text; may be given several times
    #[arg(long = "text", value_name = "TEXT", allow_hyphen_values = true)]
    texts: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    crate::device::find(&args.device.device)?;
    let source = args.model.open()?;
    let pictures =
        args.images.iter().map(|path| decode_file(path).with_context(|| path.display().to_string()));
    let pictures = pictures.collect::<Result<Vec<_>>>()?;
    let (spec, assets) = (source.spec()?.clone(), source.assets());
    let how = contrast(&spec)?;
    let waiting = spinner("loading the model");
    let mut device = open(&args.device.device, &source)?;
    let mut vectors: Vec<(&str, String, Vec<f32>)> = Vec::new();
    for (path, picture) in args.images.iter().zip(&pictures) {
        let vector = embed_picture(device.as_mut(), &spec, assets, picture)?;
        vectors.push(("image", path.display().to_string(), vector));
    }
    for text in &args.texts {
        vectors.push(("text", text.clone(), embed_text(device.as_mut(), how, assets, text)?));
    }
    waiting.finish_and_clear();
    if args.json {
        let of = |(kind, what, vector): &(&str, String, Vec<f32>)| -> Value {
            json!({*kind: what, "embedding": vector})
        };
        let all: Vec<Value> = vectors.iter().map(of).collect();
        return print_json(&json!({"device": device.name(), "width": how.width, "embeddings": all}));
    }
    for (_, what, vector) in &vectors {
        let values: Vec<String> = vector.iter().map(f32::to_string).collect();
        print(&format!("{what}\t{}\n", values.join(" ")))?;
    }
    Ok(())
}
