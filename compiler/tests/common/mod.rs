//! Checkpoint folders for tests: copies of goldens that a test may damage.

#![allow(dead_code, reason = "each test target uses its own part")]

use std::path::{Path, PathBuf};

use flightvlm_compiler::diag::Diagnostics;
use flightvlm_compiler::import::{import, ImportOptions, Model};
use serde_json::Value;
use tempfile::TempDir;

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A tensor as stored: name, element type, shape, bytes.
#[derive(Clone)]
pub struct Stored {
    pub name: String,
    pub dtype: safetensors::Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// A private copy of a golden checkpoint.
pub struct Folder {
    dir: TempDir,
}

impl Folder {
    /// Copies `tests/golden/<case>`.
    pub fn copy_of(case: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for entry in std::fs::read_dir(root().join("tests/golden").join(case)).expect("the golden") {
            let path = entry.expect("a readable entry").path();
            std::fs::copy(&path, dir.path().join(path.file_name().expect("a name"))).expect("a copy");
        }
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).expect("a readable file")
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.file(name), bytes).expect("a writable file");
    }

    /// Changes `config.json`.
    pub fn edit_config(&self, edit: impl FnOnce(&mut Value)) {
        let mut config = serde_json::from_slice(&self.read("config.json")).expect("valid JSON");
        edit(&mut config);
        self.write("config.json", config.to_string().as_bytes());
    }

    /// Changes the tensors of `model.safetensors`.
    pub fn edit_tensors(&self, edit: impl FnOnce(&mut Vec<Stored>)) {
        self.edit_tensors_of("model.safetensors", edit);
    }

    /// Changes the tensors of a file.
    pub fn edit_tensors_of(&self, name: &str, edit: impl FnOnce(&mut Vec<Stored>)) {
        let bytes = self.read(name);
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("a valid file");
        let mut tensors: Vec<Stored> = file
            .tensors()
            .into_iter()
            .map(|(name, view)| Stored {
                name,
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            })
            .collect();
        edit(&mut tensors);
        let views = tensors.iter().map(|t| {
            let view = safetensors::tensor::TensorView::new(t.dtype, t.shape.clone(), &t.bytes);
            (t.name.as_str(), view.expect("shape and bytes agree"))
        });
        let bytes = safetensors::serialize(views, None).expect("a serialisable set");
        self.write(name, &bytes);
    }

    pub fn import(&self) -> Result<Model, Diagnostics> {
        import(self.path(), &ImportOptions::default())
    }

    /// The message of an import that must fail; checks that it names each of `parts`.
    pub fn import_error(&self, parts: &[&str]) -> String {
        let message = match self.import() {
            Ok(_) => panic!("the import succeeded, expected a message about {parts:?}"),
            Err(faults) => faults.to_string(),
        };
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in:\n{message}");
        }
        message
    }
}
