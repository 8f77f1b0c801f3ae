//! Writing a checkpoint folder.

use std::path::Path;

use safetensors::tensor::TensorView;

use super::Gguf;
use crate::diag::{Diagnostic, Diagnostics};

impl Gguf {
    /// Writes the folder `dir`, which may exist: the small files and `model.safetensors` in float32.
    pub fn save(&self, dir: &Path) -> Result<(), Diagnostics> {
        let fault = |what: &str, got: String| {
            let at = dir.join(what).display().to_string();
            Diagnostic::new(at, "a place to write to", got, "choose another folder, or make room")
        };
        let (files, checkpoint) = (self.files()?, self.checkpoint()?);
        std::fs::create_dir_all(dir).map_err(|e| fault("", e.to_string()))?;
        for (name, bytes) in &files {
            std::fs::write(dir.join(name), bytes).map_err(|e| fault(name, e.to_string()))?;
        }
        let views = checkpoint.tensors.iter().map(|(name, tensor)| {
            let view = TensorView::new(safetensors::Dtype::F32, tensor.entry.shape.clone(), tensor.data());
            (name, view.expect("invariant: shape and bytes agree"))
        });
        let name = "model.safetensors";
        safetensors::serialize_to_file(views, None, &dir.join(name))
            .map_err(|e| fault(name, e.to_string()))?;
        // The library makes the file private to its owner; the others show what is usual here.
        let usual = std::fs::metadata(dir.join("config.json")).map(|m| m.permissions());
        usual
            .and_then(|usual| std::fs::set_permissions(dir.join(name), usual))
            .map_err(|e| fault(name, e.to_string()))?;
        Ok(())
    }
}
