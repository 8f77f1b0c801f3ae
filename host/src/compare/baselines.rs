//! Records: those that are built in, and files.

use super::check::faults;
use super::record::Record;
use anyhow::{bail, Context, Result};
use std::path::Path;

/// Published figures, by kind of hardware; the folder's README says how they were chosen.
const SHIPPED: [(&str, &str); 3] = [
    ("gpu-7b.json", include_str!("../../data/baselines/gpu-7b.json")),
    ("gpu-small.json", include_str!("../../data/baselines/gpu-small.json")),
    ("fpga.json", include_str!("../../data/baselines/fpga.json")),
];

/// A record larger than this is none.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The built-in records.
pub fn shipped() -> Vec<Record> {
    let parse = |(name, text): &(&str, &str)| -> Vec<Record> {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("invariant: {name} is tested: {error}"))
    };
    SHIPPED.iter().flat_map(parse).collect()
}

/// Records of a file (one, or a list), or of every `.json` file of a folder.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|x| x == "json"));
        files.sort();
        if files.is_empty() {
            bail!(
                "{} has no .json files; give a record of scripts/gpu_baseline.py or a folder of them",
                path.display()
            );
        }
        return files.iter().map(|file| read_file(file)).collect::<Result<Vec<_>>>().map(|all| all.concat());
    }
    read_file(path)
}

fn read_file(path: &Path) -> Result<Vec<Record>> {
    let place = || path.display().to_string();
    let size = std::fs::metadata(path).with_context(place)?.len();
    if size > MAX_FILE_BYTES {
        bail!("{} has {size} bytes; a baseline record has at most {MAX_FILE_BYTES}", place());
    }
    let text = std::fs::read_to_string(path).with_context(place)?;
    let list = text.trim_start().starts_with('[');
    let records: Vec<Record> = if list {
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a list of baseline records", place()))?
    } else {
        vec![serde_json::from_str(&text).with_context(|| format!("{} is not a baseline record", place()))?]
    };
    for record in &records {
        let faults = faults(record);
        if !faults.is_empty() {
            bail!("{}: record {:?} cannot be used: {}", place(), record.name, faults.join("; "));
        }
    }
    Ok(records)
}
