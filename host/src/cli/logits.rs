//! `flightvlm logits`.

use super::args::{DeviceArgs, ModelArgs};
use super::output::PendingFile;
use super::progress::spinner;
use crate::device::{open, Logits};
use crate::embed::{contrast, embed};
use crate::prompt::Prompt;
use crate::source::Source;
use anyhow::{anyhow, Result};
use flightvlm_compiler::eval::{write_logits, write_tensor, Inputs, Pairs};
use std::path::PathBuf;

/// Compute the logits of every position for prepared inputs
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// safetensors file with what the model's Hugging Face processor returns
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// safetensors file to write: `logits`, float32 [1, T, vocabulary]; of models that compare pictures
    /// with texts `logits_per_image` [pictures, texts]
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(super) fn main(args: Args) -> Result<()> {
    crate::device::find(&args.device.device)?;
    let source = args.model.open()?;
    let output = PendingFile::create(&args.output)?;
    let spec = source.spec()?;
    if spec.contrast.is_some() {
        return compare(&args, &source, output);
    }
    let inputs = Inputs::read(&args.inputs, spec).map_err(|error| anyhow!("{error}"))?;
    let info = source.info()?;
    let waiting = spinner("running");
    let mut device = open(&args.device.device, &source)?;
    device.begin()?;
    let mut handles = Vec::with_capacity(inputs.images.len());
    for picture in &inputs.images {
        handles.push(device.encode_image(picture)?);
    }
    let result = device.prefill(&inputs.input_ids, &handles, Logits::AllRows)?;
    write_logits(output.temporary_path(), &result.logits, inputs.input_ids.len(), info.vocabulary)
        .map_err(|error| anyhow!("{error}"))?;
    output.commit()?;
    waiting.finish_and_clear();
    eprintln!("{}: {} positions, {} images", device.name(), inputs.input_ids.len(), handles.len());
    Ok(())
}

/// Scores of every picture for every text.
fn compare(args: &Args, source: &Source, output: PendingFile) -> Result<()> {
    let spec = source.spec()?;
    let how = contrast(spec)?;
    let pairs = Pairs::read(&args.inputs, spec).map_err(|error| anyhow!("{error}"))?;
    let waiting = spinner("running");
    let mut device = open(&args.device.device, source)?;
    let mut vectors = |prompts: Vec<Prompt>| {
        prompts.iter().map(|prompt| embed(device.as_mut(), prompt, 0)).collect::<Result<Vec<_>, _>>()
    };
    let text = |ids: Vec<u32>| Prompt { ids, ..Prompt::default() };
    let texts = vectors(pairs.texts.into_iter().map(text).collect())?;
    let picture = |picture| Prompt { images: vec![picture], ..Prompt::default() };
    let pictures = vectors(pairs.images.into_iter().map(picture).collect())?;
    let shape = [pictures.len(), texts.len()];
    write_tensor(output.temporary_path(), "logits_per_image", &shape, &how.scores(&pictures, &texts))
        .map_err(|error| anyhow!("{error}"))?;
    output.commit()?;
    waiting.finish_and_clear();
    eprintln!("{}: {} pictures, {} texts", device.name(), shape[0], shape[1]);
    Ok(())
}
