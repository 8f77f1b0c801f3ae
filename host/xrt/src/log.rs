//! XRT writes why it refuses something to its log, not into return values. The log goes into a file without
//! a name here, so that errors can quote it and nothing else appears on the terminal.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The captured log.
pub(crate) struct Log {
    file: Option<File>,
    read_to: AtomicU64,
}

impl Log {
    /// A new file; without one, errors have no quotes.
    pub fn new() -> Log {
        Log { file: tempfile::tempfile().ok(), read_to: AtomicU64::new(0) }
    }

    /// A path under which XRT can open it.
    pub fn path(&self) -> Option<String> {
        self.file.as_ref().map(|f| format!("/proc/self/fd/{}", f.as_raw_fd()))
    }

    /// Forgets what is there.
    pub fn skip(&self) {
        if let Some(end) = self.file.as_ref().and_then(|f| f.metadata().ok()) {
            self.read_to.store(end.len(), Ordering::Relaxed);
        }
    }

    /// What XRT said since: the texts of its lines, each once.
    pub fn words(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let from = self.read_to.load(Ordering::Relaxed);
        let len = file.metadata().ok()?.len().checked_sub(from)?;
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, from).ok()?;
        self.read_to.store(from + len, Ordering::Relaxed);
        texts(&String::from_utf8_lossy(&bytes))
    }
}

fn texts(log: &str) -> Option<String> {
    let mut out: Vec<&str> = Vec::new();
    for line in log.lines() {
        // `[time] [XRT] Tid: 1,  ERROR: text`; a banner of other lines comes first.
        let Some((_, text)) = line.split_once("[XRT]") else { continue };
        let levels = ["ERROR: ", "WARNING: ", "INFO: "].into_iter();
        let text = levels.filter_map(|level| text.split_once(level)).next().map_or(text, |(_, t)| t).trim();
        if !text.is_empty() && !out.contains(&text) {
            out.push(text);
        }
    }
    (!out.is_empty()).then(|| out.join("; "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_texts_of_lines_are_quoted_once() {
        let log = "XRT build version: 2.13\n[Wed Nov 25] [XRT] Tid: 14,  ERROR: no room\n\
                   [Wed Nov 25] [XRT] Tid: 14,  ERROR: no room\n[XRT] WARNING: slow\n";
        assert_eq!(super::texts(log).as_deref(), Some("no room; slow"));
        assert_eq!(super::texts("PID: 3\n"), None);
    }
}
