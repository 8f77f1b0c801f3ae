//! A buffer: device memory in a bank and its mirror in host memory. Bytes are visible to the other side only
//! after [`Buffer::sync`].

use crate::bindings::{XCL_BO_SYNC_BO_FROM_DEVICE, XCL_BO_SYNC_BO_TO_DEVICE};
use crate::device::{Device, Handle};
use crate::error::XrtError;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

/// Which way [`Buffer::sync`] copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Host memory to the device.
    ToDevice,
    /// The device's memory to the host.
    FromDevice,
}

/// A buffer.
pub struct Buffer {
    device: Arc<Handle>,
    pub(crate) raw: NonNull<c_void>,
    host: NonNull<u8>,
    len: usize,
    address: u64,
    what: String,
}

// SAFETY: XRT's C API may be called from any thread; host memory is only touched through copies below.
unsafe impl Send for Buffer {}
// SAFETY: as above; `write` and `read` copy through raw pointers and never make references to host memory.
unsafe impl Sync for Buffer {}

/// Where XRT returns an address instead of a handle's failure.
const NO_ADDRESS: u64 = u64::MAX;

impl Buffer {
    /// Reserves `len` bytes in a bank (index into the xclbin's memory table). `what` is for messages.
    pub fn new(device: &Device, len: usize, bank: u32, what: String) -> Result<Buffer, XrtError> {
        let handle = device.handle.clone();
        let library = handle.library;
        let dev = handle.raw.as_ptr();
        let refused = |e| {
            match e {
            XrtError::Call { words, .. } => XrtError::Bank(format!(
                "{what}: {len} bytes cannot be reserved in the card's bank {bank}: full, or not there ({words})"
            )),
            e => e,
        }
        };
        let raw = library.handle("xrtBOAlloc", &what, |x| {
            // SAFETY: an open handle; any length and bank may be asked for.
            unsafe { x.xrtBOAlloc(dev, len, 0, bank) }
        });
        let raw = raw.map_err(refused)?;
        let mut buffer = Buffer { device: handle, raw, host: NonNull::dangling(), len, address: 0, what };
        let host = library.handle("xrtBOMap", &buffer.what, |x| {
            // SAFETY: an open buffer.
            unsafe { x.xrtBOMap(raw.as_ptr()) }
        })?;
        buffer.host = host.cast();
        // SAFETY: as above.
        buffer.address = unsafe { library.api.xrtBOAddress(raw.as_ptr()) };
        if buffer.address == NO_ADDRESS {
            let what = buffer.what.clone();
            return Err(XrtError::Call { call: "xrtBOAddress", what, words: library.words() });
        }
        Ok(buffer)
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Address on the device.
    pub fn address(&self) -> u64 {
        self.address
    }

    fn check(&self, range: &Range<usize>) {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "{}: {range:?} of {}",
            self.what,
            self.len
        );
    }

    /// Copies into host memory.
    pub fn write(&self, at: usize, data: &[u8]) {
        self.check(&(at..at + data.len()));
        // SAFETY: in bounds, checked above; a mapping of XRT overlaps no Rust object.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), self.host.as_ptr().add(at), data.len()) };
    }

    /// Copies out of host memory.
    pub fn read(&self, at: usize, out: &mut [u8]) {
        self.check(&(at..at + out.len()));
        // SAFETY: as in `write`.
        unsafe { std::ptr::copy_nonoverlapping(self.host.as_ptr().add(at), out.as_mut_ptr(), out.len()) };
    }

    /// Sets host memory to zero.
    pub fn clear(&self, range: Range<usize>) {
        self.check(&range);
        // SAFETY: as in `write`.
        unsafe { std::ptr::write_bytes(self.host.as_ptr().add(range.start), 0, range.len()) };
    }

    /// Moves a range between host and device memory; returns when it is there.
    pub fn sync(&self, direction: Direction, range: Range<usize>) -> Result<(), XrtError> {
        self.check(&range);
        let way = match direction {
            Direction::ToDevice => XCL_BO_SYNC_BO_TO_DEVICE,
            Direction::FromDevice => XCL_BO_SYNC_BO_FROM_DEVICE,
        };
        self.device.library.status("xrtBOSync", &self.what, |x| {
            // SAFETY: an open buffer and a range inside of it.
            unsafe { x.xrtBOSync(self.raw.as_ptr(), way, range.len(), range.start) }
        })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the buffer is open; its mapping is used by nobody else.
        unsafe { self.device.library.api.xrtBOFree(self.raw.as_ptr()) };
    }
}
