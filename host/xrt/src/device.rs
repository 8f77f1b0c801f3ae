//! An opened card with an xclbin on it.

use crate::error::XrtError;
use crate::library::Library;
use std::ffi::{c_void, CString};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

pub(crate) struct Handle {
    pub library: &'static Library,
    pub raw: NonNull<c_void>,
}

// SAFETY: XRT's C API may be called from any thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and nothing made from it is left: buffers and kernels hold an Arc of it.
        unsafe { self.library.api.xrtDeviceClose(self.raw.as_ptr()) };
    }
}

/// A card. Clones are the same handle, which closes with the last of its buffers and kernels.
#[derive(Clone)]
pub struct Device {
    pub(crate) handle: Arc<Handle>,
    name: String,
}

/// Spells a PCI address out: `3b:00.1` is `0000:3b:00.1`.
fn full_bdf(bdf: &str) -> Result<String, XrtError> {
    let text = if bdf.matches(':').count() == 1 { format!("0000:{bdf}") } else { bdf.to_string() };
    let lengths = [4, 2, 2, 1];
    let parts: Vec<&str> = text.split([':', '.']).collect();
    let hex = |p: &&str| p.chars().all(|c| c.is_ascii_hexdigit());
    let fits = parts.len() == 4
        && parts.iter().zip(lengths).all(|(p, n)| p.len() == n)
        && parts.iter().all(hex)
        && text.find('.') == Some(10);
    match fits {
        true => Ok(text.to_lowercase()),
        false => {
            let words = "expected a PCI address like 0000:3b:00.1".into();
            Err(XrtError::NoCard { which: format!("card {bdf:?}"), words })
        }
    }
}

impl Device {
    /// Opens the card at a PCI address, or XRT's card of this index.
    pub fn open(library: &'static Library, bdf: Option<&str>, index: u32) -> Result<Device, XrtError> {
        let name = bdf.map(full_bdf).transpose()?;
        let which = name.as_ref().map_or("card".to_string(), |b| format!("card {b}"));
        let raw = match &name {
            None => library.handle("xrtDeviceOpen", &which, |x| {
                // SAFETY: any index is allowed.
                unsafe { x.xrtDeviceOpen(index) }
            }),
            Some(bdf) => {
                let text = CString::new(bdf.as_str()).expect("invariant: hexadecimal digits");
                library.handle("xrtDeviceOpenByBDF", &which, |x| {
                    // SAFETY: a text that outlives the call.
                    unsafe { x.xrtDeviceOpenByBDF(text.as_ptr()) }
                })
            }
        };
        let no_card = |e| match e {
            XrtError::Call { words, .. } => XrtError::NoCard { which, words },
            e => e,
        };
        let raw = raw.map_err(no_card)?;
        let name = name.unwrap_or_else(|| format!("card {index}"));
        Ok(Device { handle: Arc::new(Handle { library, raw }), name })
    }

    pub(crate) fn library(&self) -> &'static Library {
        self.handle.library
    }

    /// How messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts an xclbin onto the card; returns its identity.
    pub fn load_xclbin(&self, path: &Path) -> Result<[u8; 16], XrtError> {
        let what = path.display().to_string();
        let bytes = path.as_os_str().as_encoded_bytes();
        let text = CString::new(bytes).expect("invariant: a path that was opened has no zero in it");
        let Handle { library, raw } = &*self.handle;
        library.status("xrtDeviceLoadXclbinFile", &what, |x| {
            // SAFETY: an open handle and a text that outlives the call.
            unsafe { x.xrtDeviceLoadXclbinFile(raw.as_ptr(), text.as_ptr()) }
        })?;
        let mut uuid = [0u8; 16];
        library.status("xrtDeviceGetXclbinUUID", &what, |x| {
            // SAFETY: `xuid_t` is 16 bytes.
            unsafe { x.xrtDeviceGetXclbinUUID(raw.as_ptr(), uuid.as_mut_ptr()) }
        })?;
        Ok(uuid)
    }
}

#[cfg(test)]
mod tests {
    use super::full_bdf;

    #[test]
    fn pci_addresses_are_spelled_out_or_refused() {
        assert_eq!(full_bdf("3B:00.1").unwrap(), "0000:3b:00.1");
        assert_eq!(full_bdf("0001:3b:00.1").unwrap(), "0001:3b:00.1");
        for bad in ["", "0", "3b:00", "3b.00:1", "0000:3b:00.10", "zz:00.1", "0000:3b:00:1", "3b:00.1\0"] {
            assert!(full_bdf(bad).unwrap_err().to_string().contains("0000:3b:00.1"), "{bad}");
        }
    }
}
