//! `flightvlm import`.

use super::progress::spinner;
use anyhow::{bail, Result};
use flightvlm_compiler::import::{is_gguf, Gguf};
use std::path::PathBuf;

/// Turn a GGUF file into a checkpoint folder with float32 weights
#[derive(clap::Args)]
pub(super) struct Args {
    /// GGUF file
    #[arg(value_name = "FILE.gguf")]
    file: PathBuf,
    /// Folder to write; files of the same names are replaced
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub(super) fn main(args: Args) -> Result<()> {
    if !is_gguf(&args.file) {
        bail!("{} is not a GGUF file", args.file.display());
    }
    let waiting = spinner("converting");
    let saved = Gguf::open(&args.file).and_then(|gguf| gguf.save(&args.output));
    waiting.finish_and_clear();
    match saved {
        Ok(()) => eprintln!("{}: a checkpoint folder with float32 weights", args.output.display()),
        Err(faults) => bail!("{} cannot be imported\n{faults}", args.file.display()),
    }
    Ok(())
}
