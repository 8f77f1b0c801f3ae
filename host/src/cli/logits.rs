//! `flightvlm logits`.

use super::args::{DeviceArgs, ModelArgs};
use super::output::PendingFile;
use super::progress::spinner;
use crate::device::{open, Logits};
use anyhow::{anyhow, Result};
use flightvlm_compiler::eval::{write_logits, Inputs};
use std::path::PathBuf;

/// Compute the logits of every position for prepared inputs
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// safetensors file with what the model's Hugging Face processor returns
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// safetensors file to write: `logits`, float32 [1, T, vocabulary]
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
