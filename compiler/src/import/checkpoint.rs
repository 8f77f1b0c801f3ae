//! The tensors of a checkpoint folder: one safetensors file, or shards named by an index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Component, Path};
use std::sync::Arc;

use memmap2::Mmap;
use serde::Deserialize;

use super::header::{self, TensorEntry};
use crate::diag::{Diagnostic, Diagnostics};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A mapped safetensors file whose header has been validated.
#[derive(Clone)]
pub struct TensorFile {
    /// The whole file; pages are read when they are touched.
    pub bytes: Arc<Mmap>,
    /// Its tensors.
    pub entries: Vec<TensorEntry>,
}

impl TensorFile {
    /// Maps and validates `path`.
    pub fn open(path: &Path) -> Result<Self, Diagnostic> {
        let fault = |got: String, help: &str| {
            Diagnostic::new(display_name(path), "a complete safetensors file", got, help)
        };
        let file = File::open(path)
            .map_err(|e| fault(e.to_string(), "check the path and the file's permissions"))?;
        let is_file = file.metadata().map(|m| m.is_file() && m.len() > 0).unwrap_or(false);
        if !is_file {
            return Err(fault("an empty file, or not a file".into(), "download the file again"));
        }
        // SAFETY: the mapping is read-only. As with every mapped file, another process must not
        // truncate it while it is in use; checkpoints are written once.
        #[allow(unsafe_code, reason = "weights are mapped, not read")]
        let bytes = unsafe { Mmap::map(&file) }
            .map_err(|e| fault(e.to_string(), "check that the file is on a mappable file system"))?;
        let entries = header::parse(&bytes).map_err(|got| fault(got, "download or save the file again"))?;
        Ok(Self { bytes: Arc::new(bytes), entries })
    }
}

/// A tensor and the file that holds it.
#[derive(Clone)]
pub struct TensorRef {
    /// The mapped file.
    pub bytes: Arc<Mmap>,
    /// Element type, shape and byte range.
    pub entry: TensorEntry,
}

impl TensorRef {
    /// The tensor's raw little-endian bytes.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.entry.begin..self.entry.end]
    }
}

/// All tensors of a checkpoint by name.
#[derive(Clone, Default)]
pub struct Checkpoint {
    /// In name order.
    pub tensors: BTreeMap<String, TensorRef>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens `model.safetensors` or the shards that `model.safetensors.index.json` names.
    pub fn open(dir: &Path) -> Result<Self, Diagnostics> {
        if dir.join(INDEX).is_file() {
            return Self::open_sharded(dir);
        }
        let path = dir.join(SINGLE);
        if !path.exists() {
            return Err(Diagnostic::new(
                display_name(dir),
                format!("{SINGLE} or {INDEX}"),
                "neither file",
                "save the model with save_pretrained, or pass --no-weights to work from \
                 config.json alone",
            )
            .into());
        }
        let mut checkpoint = Self::default();
        let file = TensorFile::open(&path)?;
        checkpoint.add(file);
        Ok(checkpoint)
    }

    fn open_sharded(dir: &Path) -> Result<Self, Diagnostics> {
        let text = std::fs::read(dir.join(INDEX));
        let index: Index = text
            .map_err(|e| e.to_string())
            .and_then(|text| serde_json::from_slice(&text).map_err(|e| e.to_string()))
            .map_err(|got| {
                Diagnostic::new(INDEX, "{\"weight_map\": {tensor: file}}", got, "save the model again")
            })?;
        let mut diagnostics = Diagnostics::new();
        let mut checkpoint = Self::default();
        let shards: BTreeSet<&String> = index.weight_map.values().collect();
        for shard in shards {
            match open_shard(dir, shard) {
                Ok(file) => checkpoint.add_shard(file, shard, &index, &mut diagnostics),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        let opened_all = diagnostics.is_empty();
        let absent: Vec<&str> = index
            .weight_map
            .keys()
            .filter(|name| opened_all && !checkpoint.tensors.contains_key(*name))
            .map(String::as_str)
            .collect();
        if !absent.is_empty() {
            diagnostics.push(Diagnostic::new(
                INDEX,
                "every indexed tensor in its shard",
                format!("absent from their shards: {}", absent.join(", ")),
                "download the shards and the index again, from one revision",
            ));
        }
        diagnostics.into_result(checkpoint)
    }

    fn add_shard(&mut self, file: TensorFile, shard: &str, index: &Index, diagnostics: &mut Diagnostics) {
        for entry in &file.entries {
            if index.weight_map.get(&entry.name).map(String::as_str) != Some(shard) {
                diagnostics.push(Diagnostic::new(
                    format!("{shard}: {}", entry.name),
                    "each tensor in the one shard that the index names",
                    format!("the index names {:?}", index.weight_map.get(&entry.name)),
                    "download the shards and the index again, from one revision",
                ));
            }
        }
        self.add(file);
    }

    fn add(&mut self, file: TensorFile) {
        for entry in file.entries {
            let tensor = TensorRef { bytes: Arc::clone(&file.bytes), entry };
            self.tensors.insert(tensor.entry.name.clone(), tensor);
        }
    }
}

fn open_shard(dir: &Path, shard: &str) -> Result<TensorFile, Diagnostic> {
    let mut parts = Path::new(shard).components();
    let plain = matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
    if !plain {
        return Err(Diagnostic::new(
            INDEX,
            "shard names without folders",
            format!("{shard:?}"),
            "save the model again with save_pretrained",
        ));
    }
    TensorFile::open(&dir.join(shard))
}

/// The last part of a path, for messages.
fn display_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}
