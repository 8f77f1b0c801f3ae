//! XRT with the emulated card, or the reason why there is none.

use flightvlm_hw::config::HwConfig;
use flightvlm_hw::kernel::{xclbin, Kernel};
use flightvlm_xrt::{load, Backend, Library, XrtError, XrtMachine, XrtOptions};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

static TURN: Mutex<()> = Mutex::new(());

/// The emulated computer, for one test at a time.
pub struct Rig {
    _turn: MutexGuard<'static, ()>,
    folder: tempfile::TempDir,
    pub library: &'static Library,
}

pub fn backend() -> Backend {
    // Cargo puts the library beside the test.
    let exe = std::env::current_exe().expect("a test has a path");
    Backend::Emulated(exe.parent().expect("in a folder").join("libflightvlm_xrt_shim.so"))
}

/// The rig with one card on the simulator named; `None`, with a note, where XRT 2.13 is missing.
pub fn rig(simulator: &str) -> Option<Rig> {
    let reason = env!("FLIGHTVLM_NO_XRT");
    if !reason.is_empty() {
        eprintln!("skipped: {reason}");
        return None;
    }
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let library = load(&backend()).expect("XRT and the emulated card open");
    let folder = tempfile::tempdir().expect("a folder");
    let rig = Rig { _turn: turn, folder, library };
    for setting in [&format!("simulator={simulator}"), "cards=1", "hang=0"] {
        rig.set(setting);
    }
    Some(rig)
}

impl Rig {
    /// Changes what the emulated card does.
    pub fn set(&self, setting: &str) {
        assert!(self.library.set_emulated(setting), "{setting}");
    }

    /// A file of the rig.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("can write");
        path
    }

    /// The release of a configuration for the emulated card.
    pub fn xclbin(&self, config: &HwConfig) -> PathBuf {
        let kernel = Kernel::of(config).expect("fits the card");
        self.file(&format!("{}.xclbin", config.name), &xclbin::emulation(&kernel))
    }

    pub fn options(&self, config: &HwConfig, xclbin: &Path) -> XrtOptions {
        let (xclbin, config) = (xclbin.to_owned(), config.clone());
        XrtOptions {
            backend: backend(),
            bdf: None,
            index: 0,
            xclbin,
            config,
            timeout: Duration::from_secs(600),
        }
    }

    /// The accelerator on the emulated card.
    pub fn open(&self, config: &HwConfig) -> Result<XrtMachine, XrtError> {
        XrtMachine::open(self.options(config, &self.xclbin(config)))
    }

    pub fn machine(&self, config: &HwConfig) -> XrtMachine {
        self.open(config).unwrap_or_else(|e| panic!("{e}"))
    }
}
