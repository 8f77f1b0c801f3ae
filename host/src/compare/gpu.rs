//! Measuring the GPU of this computer: the script does the work, NVML is asked before and after.

use super::baselines::read;
use super::record::Record;
use anyhow::{bail, Context, Result};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::Nvml;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// Folder with the model's `config.json`.
    pub model: PathBuf,
    /// `scripts/gpu_baseline.py`.
    pub script: PathBuf,
    /// Interpreter with PyTorch.
    pub python: String,
    /// Text tokens of the prompt.
    pub prompt_tokens: usize,
    /// New tokens.
    pub new_tokens: usize,
}

/// A GPU that can be measured, and its energy counter, millijoules.
fn first_gpu(nvml: &Nvml) -> Result<(String, u64)> {
    let count = nvml.device_count().context("the NVIDIA driver does not answer")?;
    if count == 0 {
        bail!("this computer has no NVIDIA GPU; run scripts/gpu_baseline.py on one that has, and give its record with --baseline");
    }
    let device = nvml.device_by_index(0).context("GPU 0")?;
    let name = device.name().context("GPU 0")?;
    match device.total_energy_consumption() {
        Ok(energy) => Ok((name, energy)),
        Err(NvmlError::NotSupported) => {
            bail!("{name} has no energy counter (Volta and newer have one); polled power is not vouched for")
        }
        Err(error) => Err(error).with_context(|| format!("{name} does not give its energy counter")),
    }
}

/// Runs the script and checks its records against the driver's own counter.
pub fn measure(m: &Measurement) -> Result<Vec<Record>> {
    let nvml = Nvml::init().context(
        "no NVIDIA driver here (its library NVML cannot be loaded); run scripts/gpu_baseline.py on a computer with a GPU, and \
         give its record with --baseline",
    )?;
    let (name, before) = first_gpu(&nvml)?;
    if !m.script.is_file() {
        bail!("{} is missing; --gpu-script says where gpu_baseline.py is", m.script.display());
    }
    let folder = tempfile::tempdir().context("a temporary folder")?;
    run_script(m, folder.path())?;
    let (_, after) = first_gpu(&nvml)?;
    let records = read(folder.path())?;
    // All windows together cannot have taken more than the card did meanwhile.
    let spent_mj = after.saturating_sub(before) as f64;
    let claimed_mj: f64 = records.iter().map(counted_mj).sum();
    if claimed_mj > spent_mj * 1.02 {
        bail!("the script's windows took {claimed_mj:.0} mJ, but the counter of {name} moved by {spent_mj:.0} mJ only");
    }
    Ok(records)
}

/// Millijoules between the first and last reading of a record.
fn counted_mj(r: &Record) -> f64 {
    let ends = r.energy.counter_start_mj.zip(r.energy.counter_end_mj);
    ends.map_or(0.0, |(start, end)| (end - start).max(0.0))
}

fn run_script(m: &Measurement, folder: &Path) -> Result<()> {
    let status = Command::new(&m.python)
        .arg(&m.script)
        .arg(&m.model)
        .args(["--prompt-tokens", &m.prompt_tokens.to_string()])
        .args(["--new-tokens", &m.new_tokens.to_string()])
        .arg("--out")
        .arg(folder)
        .status()
        .with_context(|| format!("{} cannot be started", m.python))?;
    if !status.success() {
        bail!("{} ended with {status}; its message is above", m.script.display());
    }
    Ok(())
}
