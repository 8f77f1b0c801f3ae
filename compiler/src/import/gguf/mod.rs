//! GGUF files: one file with metadata, tokenizer and weights, as llama.cpp writes it.
//!
//! A GGUF file is turned into what a Hugging Face checkpoint folder holds: the same small files
//! ([`Gguf::files`]) and the same float tensors under the same names ([`Gguf::checkpoint`]); everything
//! behind the import sees no difference. Quantised blocks become the float32 values that they stand
//! for, without loss.
//!
//! Layout: magic, version, counts, key-value pairs, tensor descriptions, data aligned to
//! `general.alignment`. Nothing in the file is believed before it is checked.

mod blocks;
mod config;
mod names;
mod reader;
mod save;
mod tokenizer;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use memmap2::{Mmap, MmapMut};
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::checkpoint::{Checkpoint, TensorRef};
use super::header::{Dtype, TensorEntry};
use crate::diag::{Diagnostic, Diagnostics};
use reader::TensorInfo;

const MAGIC: &[u8; 4] = b"GGUF";

/// True if the file starts like a GGUF file.
pub fn is_gguf(path: &Path) -> bool {
    let mut start = [0; 4];
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == *MAGIC
}

/// A mapped file whose descriptions have been validated.
pub struct Gguf {
    bytes: Mmap,
    keys: Map<String, Value>,
    tensors: Vec<TensorInfo>,
}

impl Gguf {
    /// Maps and validates `path`.
    pub fn open(path: &Path) -> Result<Self, Diagnostics> {
        let name =
            path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into());
        let fault =
            |got: String| Diagnostic::new(&name, "a complete GGUF file", got, "download the file again");
        let file = File::open(path).map_err(|e| fault(e.to_string()))?;
        // SAFETY: the mapping is read-only. As with every mapped file, another process must not
        // truncate it while it is in use; weights are written once.
        #[allow(unsafe_code, reason = "weights are mapped, not read")]
        let bytes = unsafe { Mmap::map(&file) }.map_err(|e| fault(e.to_string()))?;
        let (keys, tensors) = reader::parse(&bytes).map_err(fault)?;
        Ok(Gguf { bytes, keys, tensors })
    }

    /// `config.json`, `generation_config.json`, `tokenizer.json` and `tokenizer_config.json`, as far as
    /// the metadata has what they hold.
    pub fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, Diagnostics> {
        let mut faults = Diagnostics::new();
        let mut files = BTreeMap::new();
        let mut add =
            |name: &str, value: &Value| files.insert(name.to_owned(), value.to_string().into_bytes());
        match self.config() {
            Ok(configs) => {
                add("config.json", &Value::Object(configs.config));
                add("generation_config.json", &Value::Object(configs.generation));
            }
            Err(more) => faults.extend(more),
        }
        match tokenizer::files(&self.keys) {
            Ok(None) => {}
            Ok(Some((tokenizer, config))) => {
                add("tokenizer.json", &tokenizer);
                add("tokenizer_config.json", &config);
            }
            Err(fault) => faults.push(fault),
        }
        faults.into_result(files)
    }

    /// The contents of `config.json` and `generation_config.json`.
    pub(super) fn config(&self) -> Result<config::Configs, Diagnostics> {
        let tied = !self.tensors.iter().any(|tensor| tensor.name == names::HEAD);
        config::read(&self.keys, tied)
    }

    /// All tensors as float32, under their Hugging Face names, in memory.
    pub fn checkpoint(&self) -> Result<Checkpoint, Diagnostics> {
        let order = names::RowOrder::read(&self.keys)?;
        let mut faults = Diagnostics::new();
        let mut entries = Vec::new();
        let mut end = 0;
        for tensor in &self.tensors {
            let Some(name) = names::hugging_face(&tensor.name) else {
                faults.push(Diagnostic::new(
                    &tensor.name,
                    "a tensor of a Llama model",
                    "an unknown name",
                    "convert the model to a checkpoint folder with transformers",
                ));
                continue;
            };
            let begin = end;
            end += tensor.len() * 4;
            let shape = tensor.shape.clone();
            let dtype = Some(Dtype::F32);
            entries.push(TensorEntry { name, dtype, dtype_name: "F32".into(), shape, begin, end });
        }
        let entries = faults.into_result(entries)?;
        let mut floats = MmapMut::map_anon(end.max(1)).map_err(|e| {
            let expected = format!("{end} bytes of memory for the weights");
            Diagnostic::new("memory", expected, e.to_string(), "use a computer with more memory")
        })?;
        let mut rest = &mut floats[..end];
        for (tensor, entry) in self.tensors.iter().zip(&entries) {
            let (target, behind) = rest.split_at_mut(entry.end - entry.begin);
            rest = behind;
            let source = &self.bytes[tensor.begin..tensor.end];
            let row_bytes = tensor.format.bytes(tensor.row_len());
            let order = order.of(tensor)?;
            let rows = target.par_chunks_mut(tensor.row_len() * 4).enumerate();
            rows.for_each(|(row, target)| {
                tensor.format.decode(&source[order.stored_row(row) * row_bytes..][..row_bytes], target);
            });
        }
        let floats = floats.make_read_only().map_err(|e| {
            Diagnostic::new("memory", "a read-only mapping", e.to_string(), "report this as a defect")
        })?;
        let bytes = Arc::new(floats);
        let tensors = entries
            .into_iter()
            .map(|entry| (entry.name.clone(), TensorRef { bytes: Arc::clone(&bytes), entry }));
        Ok(Checkpoint { tensors: tensors.collect() })
    }
}
