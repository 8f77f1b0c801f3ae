//! Contexts in files: the keys and values of a prompt's rows with what they stand for, so that a later run with
//! the same beginning (system prompt, pictures) does not compute them again.
//!
//! A file is a safetensors file: `rows` (bytes of the cache, in the program's own layout), `keys` and `starts`
//! (see [`Conversation`]), and the program's fingerprint and a checksum as metadata.

use crate::device::{Device, DeviceError};
use crate::serve::Conversation;
use flightvlm_compiler::program::Program;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::Path;

const FINGERPRINT: &str = "program";
const CHECKSUM: &str = "crc32";

/// Why a context cannot be saved or used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Reading failed.
    #[error("cannot read the context {0}: {1}")]
    Io(String, std::io::Error),
    /// Not such a file, or a damaged one.
    #[error("{path} is not a saved context: {what}; make one with `flightvlm run --save-context`")]
    Damaged {
        /// File.
        path: String,
        /// What does not fit.
        what: String,
    },
    /// Rows of another program.
    #[error("{0} was saved by another program (model, format, target or context differ); save it again with this one")]
    Foreign(String),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// The first rows of the device's cache, which hold `held`, as a file's bytes.
pub fn save(
    device: &mut dyn Device,
    program: &Program,
    held: &Conversation,
) -> Result<Vec<u8>, ContextError> {
    let rows = device.save(held.len())?;
    let keys: Vec<u8> = held.keys().iter().flat_map(|key| key.to_le_bytes()).collect();
    let starts: Vec<u8> = held.starts().iter().map(|start| u8::from(*start)).collect();
    let view = |dtype, count, bytes| {
        TensorView::new(dtype, vec![count], bytes).expect("invariant: shape and bytes agree")
    };
    let checksum = checksum(&[&rows, &keys, &starts]);
    let metadata = HashMap::from([
        (FINGERPRINT.to_owned(), program.fingerprint().to_string()),
        (CHECKSUM.to_owned(), checksum),
    ]);
    let tensors = [
        ("rows", view(Dtype::U8, rows.len(), &rows)),
        ("keys", view(Dtype::U64, held.len(), &keys)),
        ("starts", view(Dtype::U8, held.len(), &starts)),
    ];
    Ok(safetensors::serialize(tensors, Some(metadata)).expect("invariant: names are unique"))
}

fn checksum(parts: &[&[u8]]) -> String {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().to_string()
}

/// Puts a saved context into the device; gives what it holds.
pub fn load(device: &mut dyn Device, program: &Program, path: &Path) -> Result<Conversation, ContextError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| ContextError::Io(name.clone(), error))?;
    let damaged = |what: &str| ContextError::Damaged { path: name.clone(), what: what.into() };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e.to_string()))?;
    let about = |key: &str| header.metadata().as_ref().and_then(|m| m.get(key)).cloned();
    if about(FINGERPRINT).ok_or_else(|| damaged("it names no program"))? != program.fingerprint().to_string()
    {
        return Err(ContextError::Foreign(name));
    }
    let tensor = |what: &str, dtype| {
        let view = file.tensor(what).ok().filter(|view| view.dtype() == dtype);
        view.map(|view| view.data().to_vec()).ok_or_else(|| damaged(&format!("it has no {what}")))
    };
    let rows = tensor("rows", Dtype::U8)?;
    let (keys, starts) = (tensor("keys", Dtype::U64)?, tensor("starts", Dtype::U8)?);
    if about(CHECKSUM) != Some(checksum(&[&rows, &keys, &starts])) {
        return Err(damaged("its checksum is another"));
    }
    let keys = keys.as_chunks().0.iter().map(|key| u64::from_le_bytes(*key)).collect();
    let starts = starts.into_iter().map(|start| start != 0).collect();
    let held = Conversation::from_parts(keys, starts).ok_or_else(|| damaged("keys and starts differ"))?;
    device.restore(held.len(), &rows)?;
    Ok(held)
}
