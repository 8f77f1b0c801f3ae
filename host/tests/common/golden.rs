//! Golden checkpoints with the tokenizers and processors of `tests/golden/prompts` beside them.

use std::path::{Path, PathBuf};

/// The folder of all goldens.
pub fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

/// Puts a family's whole checkpoint into `folder`.
pub fn checkpoint(family: &str, folder: &Path) {
    let config = [golden().join(family).join("config.json"), golden().join(family).join("model.safetensors")];
    let prompts = std::fs::read_dir(golden().join("prompts").join(family)).expect("prompts");
    let prompts = prompts.map(|entry| entry.expect("an entry").path());
    for from in config.into_iter().chain(prompts) {
        let name = from.file_name().expect("a name").to_owned();
        std::fs::copy(&from, folder.join(name)).expect("copy");
    }
}
