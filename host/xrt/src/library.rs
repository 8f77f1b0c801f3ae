//! Finding and opening XRT.
//!
//! Two libraries: `libxrt_coreutil` with the C API, and a shim that talks to the device, `libxrt_core` for
//! cards or our emulated card. Opened in this order with global symbols, the shim's constructor registers
//! it, and XRT's own search for a shim, whose exceptions nobody catches, never runs.

use crate::bindings::Xrt;
use crate::error::XrtError;
use crate::log::Log;
use libloading::os::unix::{Library as Shared, RTLD_GLOBAL, RTLD_NOW};
use std::ffi::{c_char, c_int, c_void, CString};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

const CORE: &str = "libxrt_coreutil.so.2";
const CARD_SHIM: &str = "libxrt_core.so.2";

/// What is behind XRT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Cards in this computer.
    Card,
    /// The emulated card, by its library.
    Emulated(PathBuf),
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Backend::Card => f.write_str("cards"),
            Backend::Emulated(path) => write!(f, "the emulated card ({})", path.display()),
        }
    }
}

/// XRT, opened; lives as long as the process.
pub struct Library {
    pub(crate) api: Xrt,
    shim: Shared,
    pub(crate) log: Log,
}

static OPEN: Mutex<Option<(Backend, &'static Library)>> = Mutex::new(None);

/// Opens XRT for a backend. The first success decides for the process: XRT cannot be unloaded, and it
/// takes one shim.
pub fn load(backend: &Backend) -> Result<&'static Library, XrtError> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((first, library)) = &*open {
        if first == backend {
            return Ok(library);
        }
        return Err(XrtError::OtherBackend { open: first.to_string(), asked: backend.to_string() });
    }
    let library: &'static Library = Box::leak(Box::new(Library::open(backend)?));
    *open = Some((backend.clone(), library));
    Ok(library)
}

/// Folders to look in; `None` leaves it to the dynamic loader.
fn folders() -> Vec<Option<PathBuf>> {
    let named = std::env::var_os("XILINX_XRT").map(|x| Path::new(&x).join("lib"));
    named.map(Some).into_iter().chain([None, Some("/opt/xilinx/xrt/lib".into())]).collect()
}

fn open_global(path: &Path) -> Result<Shared, String> {
    // SAFETY: the constructors of XRT's libraries and of our shim only register tables.
    unsafe { Shared::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }.map_err(|e| e.to_string())
}

/// Opens XRT's core library, from the folder returned.
pub(crate) fn core_library() -> Result<(Shared, Option<PathBuf>), XrtError> {
    let mut plain = String::new();
    for folder in folders() {
        match open_global(&in_folder(&folder, CORE)) {
            Ok(core) => return Ok((core, folder)),
            // What the loader says about the plain name says most.
            Err(e) if folder.is_none() => plain = e,
            Err(_) => {}
        }
    }
    Err(XrtError::NotInstalled { what: plain })
}

fn in_folder(folder: &Option<PathBuf>, name: &str) -> PathBuf {
    folder.as_ref().map_or_else(|| PathBuf::from(name), |f| f.join(name))
}

impl Library {
    fn open(backend: &Backend) -> Result<Library, XrtError> {
        let (core, folder) = core_library()?;
        let shim = match backend {
            Backend::Card => in_folder(&folder, CARD_SHIM),
            Backend::Emulated(path) => path.clone(),
        };
        let missing = |what: String| XrtError::NotInstalled { what };
        let shim = match open_global(&shim) {
            Ok(shim) => shim,
            Err(e) => {
                // XRT has threads and destructors of its own: it stays once it is loaded.
                std::mem::forget(core);
                return Err(missing(e));
            }
        };
        // SAFETY: the bindings are those of the library's headers.
        let api = unsafe { Xrt::from_library(core) }.map_err(|e| missing(e.to_string()))?;
        let library = Library { api, shim, log: Log::new() };
        library.capture_log();
        Ok(library)
    }

    fn capture_log(&self) {
        let Some(path) = self.log.path() else { return };
        let (key, value) = (CString::new("Runtime.runtime_log"), CString::new(path));
        if let (Ok(key), Ok(value)) = (key, value) {
            // SAFETY: both are texts that outlive the call. A user's own xrt.ini has precedence; then
            // the log goes where it says.
            unsafe { self.api.xrtIniStringSet(key.as_ptr(), value.as_ptr()) };
        }
    }

    /// A function of the shim by name, as the caller says its type.
    ///
    /// # Safety
    /// `T` is the function's type.
    pub unsafe fn shim_symbol<T: Copy>(&self, name: &str) -> Option<T> {
        // SAFETY: the caller's promise.
        unsafe { self.shim.get::<T>(name.as_bytes()) }.ok().map(|s| *s)
    }

    /// A setting of the emulated card (`simulator=rtl`, `hang=1`); false if the backend has none such.
    pub fn set_emulated(&self, setting: &str) -> bool {
        type Set = unsafe extern "C" fn(*const c_char) -> c_int;
        // SAFETY: prototype of the emulated card's function.
        let set: Option<Set> = unsafe { self.shim_symbol("flightvlm_card_set") };
        let text = CString::new(setting).ok();
        // SAFETY: a text that outlives the call.
        set.zip(text).is_some_and(|(set, text)| unsafe { set(text.as_ptr()) } == 0)
    }

    /// Why the last call failed: XRT's log, else errno, which it sets only now and then; and what the emulated
    /// card says.
    pub(crate) fn words(&self) -> String {
        let errno = std::io::Error::last_os_error();
        let said = match (self.log.words(), errno.raw_os_error()) {
            (Some(log), _) => log,
            (None, Some(e)) if e != 0 => errno.to_string(),
            _ => "XRT gives no reason".into(),
        };
        match self.refused() {
            Some(card) => format!("{said}; the card: {card}"),
            None => said,
        }
    }

    /// Why the emulated card refused something since the last question; of a card, its driver's log in the
    /// kernel's says that.
    pub fn refused(&self) -> Option<String> {
        type Refused = unsafe extern "C" fn(*mut u8, usize) -> usize;
        // SAFETY: prototype of the emulated card's function.
        let refused: Refused = unsafe { self.shim_symbol("flightvlm_card_refused") }?;
        let mut text = vec![0; 1024];
        // SAFETY: room for as many bytes.
        let len = unsafe { refused(text.as_mut_ptr(), text.len()) };
        text.truncate(len);
        (len > 0).then(|| String::from_utf8_lossy(&text).into_owned())
    }

    fn prepare(&self) {
        self.log.skip();
        self.refused();
        // SAFETY: errno of this thread.
        unsafe { *libc::__errno_location() = 0 };
    }

    /// A call that returns a handle, null on failure.
    pub(crate) fn handle(
        &self,
        call: &'static str,
        what: &str,
        f: impl FnOnce(&Xrt) -> *mut c_void,
    ) -> Result<NonNull<c_void>, XrtError> {
        self.prepare();
        NonNull::new(f(&self.api)).ok_or_else(|| XrtError::Call {
            call,
            what: what.into(),
            words: self.words(),
        })
    }

    /// A call that returns 0 on success.
    pub(crate) fn status(
        &self,
        call: &'static str,
        what: &str,
        f: impl FnOnce(&Xrt) -> c_int,
    ) -> Result<(), XrtError> {
        self.prepare();
        match f(&self.api) {
            0 => Ok(()),
            _ => Err(XrtError::Call { call, what: what.into(), words: self.words() }),
        }
    }
}
