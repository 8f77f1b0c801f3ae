//! Standard output, and files that are either complete or absent.

use anyhow::{Context, Result};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes text to standard output and flushes it.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a value as indented JSON to standard output.
pub(super) fn print_json(value: &impl Serialize) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))?;
    Ok(())
}

/// Whether the error is that nobody reads our output any more.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// A file that appears under its name only when it is complete.
pub(super) struct PendingFile<'p> {
    path: &'p Path,
    file: NamedTempFile,
}

impl<'p> PendingFile<'p> {
    /// Opens a temporary file in the same folder; fails now if that folder cannot be written.
    pub(super) fn create(path: &'p Path) -> Result<Self> {
        if path.is_dir() {
            anyhow::bail!("cannot write {}: it is a folder", path.display());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(PendingFile { path, file })
    }

    /// Where to write until [`PendingFile::commit`].
    pub(super) fn temporary_path(&self) -> &Path {
        self.file.path()
    }

    /// The open file.
    pub(super) fn writer(&mut self) -> &mut impl Write {
        self.file.as_file_mut()
    }

    /// Gives the file its name, replacing what was there.
    pub(super) fn commit(mut self) -> Result<()> {
        let describe = || format!("cannot write {}", self.path.display());
        self.file.flush().with_context(describe)?;
        make_readable(self.file.path()).with_context(describe)?;
        self.file.persist(self.path).map_err(|error| error.error).with_context(describe)?;
        Ok(())
    }
}

/// Temporary files are private to their owner; results are not.
#[cfg(unix)]
fn make_readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_path: &Path) -> io::Result<()> {
    Ok(())
}
