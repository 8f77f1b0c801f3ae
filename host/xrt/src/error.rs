//! Errors, with XRT's own words where it has any.

use std::path::PathBuf;
use std::time::Duration;

/// Why something with a card did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum XrtError {
    /// A library cannot be opened.
    #[error("XRT cannot be used: {what}; install XRT (Debian: libxrt1; AMD: the xrt package of the card's platform)")]
    NotInstalled {
        /// Which library, and what the loader said.
        what: String,
    },
    /// This process already drives the other kind of card.
    #[error("XRT takes one kind of card per process: it was opened for {open}, then asked for {asked}")]
    OtherBackend {
        /// The first one.
        open: String,
        /// The second one.
        asked: String,
    },
    /// No device.
    #[error("there is no {which}: {words}; `xbutil examine` lists the cards")]
    NoCard {
        /// `card` or `card 0000:3b:00.1`.
        which: String,
        /// XRT's words.
        words: String,
    },
    /// Someone else uses the card.
    #[error("{which} is busy: another process has its kernel open ({words})")]
    Busy {
        /// Which card.
        which: String,
        /// XRT's words.
        words: String,
    },
    /// The xclbin cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// File.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The xclbin is not the one for the program.
    #[error("{path} does not fit the program\n  {}\n  help: build the release of this target (scripts/build_card), or compile for the release's target", faults.join("\n  "))]
    WrongXclbin {
        /// File.
        path: PathBuf,
        /// Expected and got.
        faults: Vec<String>,
    },
    /// A buffer is not where the kernel's port reaches.
    #[error("memory: {0}")]
    Bank(String),
    /// No end.
    #[error(
        "the kernel on {which} did not end within {}; {reset} and try again (FLIGHTVLM_XRT_TIMEOUT_S sets the time)",
        seconds(timeout)
    )]
    Hung {
        /// Which card.
        which: String,
        /// How long it was waited for.
        timeout: Duration,
        /// What resets it.
        reset: String,
    },
    /// Anything else that XRT refused.
    #[error("{call} failed for {what}: {words}")]
    Call {
        /// Function of XRT.
        call: &'static str,
        /// With what.
        what: String,
        /// XRT's words.
        words: String,
    },
}

fn seconds(time: &Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
