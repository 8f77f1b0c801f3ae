//! A compute unit in exclusive use, and a run of it.

use crate::bindings::{ERT_CMD_STATE_COMPLETED, ERT_CMD_STATE_TIMEOUT};
use crate::buffer::Buffer;
use crate::device::{Device, Handle};
use crate::error::XrtError;
use std::ffi::{c_void, CString};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

struct Opened {
    device: Arc<Handle>,
    raw: NonNull<c_void>,
}

// SAFETY: XRT's C API may be called from any thread.
unsafe impl Send for Opened {}
// SAFETY: as above.
unsafe impl Sync for Opened {}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: the kernel is open, and no run of it is left: runs hold an Arc of it.
        unsafe { self.device.library.api.xrtKernelClose(self.raw.as_ptr()) };
    }
}

/// A compute unit that nobody else may use meanwhile: only then XRT lets registers be read.
#[derive(Clone)]
pub struct Kernel {
    opened: Arc<Opened>,
}

impl Kernel {
    /// Opens `kernel:{unit}` of the loaded xclbin.
    pub fn open(device: &Device, uuid: &[u8; 16], name: &str) -> Result<Kernel, XrtError> {
        let handle = device.handle.clone();
        let text = CString::new(name).expect("invariant: names of kernels are our own");
        let raw = handle.library.handle("xrtPLKernelOpenExclusive", name, |x| {
            // SAFETY: an open device, an identity of 16 bytes, a text that outlives the call.
            unsafe { x.xrtPLKernelOpenExclusive(handle.raw.as_ptr(), uuid.as_ptr(), text.as_ptr()) }
        });
        let raw = raw.map_err(|e| match e {
            XrtError::Call { words, .. } if words.contains("busy") || words.contains("context") => {
                XrtError::Busy { which: device.name().into(), words }
            }
            e => e,
        })?;
        Ok(Kernel { opened: Arc::new(Opened { device: handle, raw }) })
    }

    /// The group of memories that an argument's port reaches: index into the xclbin's group table.
    pub fn group(&self, arg: usize) -> Option<u32> {
        let o = &self.opened;
        // SAFETY: an open kernel; an unknown argument gives an error.
        let group = unsafe { o.device.library.api.xrtKernelArgGroupId(o.raw.as_ptr(), arg as i32) };
        u32::try_from(group).ok()
    }

    /// Reads a register.
    pub fn read(&self, offset: u32) -> Result<u32, XrtError> {
        let o = &self.opened;
        let mut value = 0;
        o.device.library.status("xrtKernelReadRegister", &format!("register {offset:#x}"), |x| {
            // SAFETY: an open kernel and a place for the value.
            unsafe { x.xrtKernelReadRegister(o.raw.as_ptr(), offset, &mut value) }
        })?;
        Ok(value)
    }

    /// A run that is started again and again.
    pub fn run(&self) -> Result<Run, XrtError> {
        let o = &self.opened;
        let raw = o.device.library.handle("xrtRunOpen", "the kernel", |x| {
            // SAFETY: an open kernel.
            unsafe { x.xrtRunOpen(o.raw.as_ptr()) }
        })?;
        Ok(Run { kernel: self.clone(), raw, buffers: Vec::new() })
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The kernel is done.
    Completed,
    /// Not yet.
    Running,
    /// Another state of `enum ert_cmd_state`: the start was refused or aborted.
    Failed(u32),
}

/// Arguments of a kernel and its start.
pub struct Run {
    kernel: Kernel,
    raw: NonNull<c_void>,
    /// Buffers by argument: they live at least as long as the run can read them.
    buffers: Vec<(usize, Arc<Buffer>)>,
}

// SAFETY: XRT's C API may be called from any thread.
unsafe impl Send for Run {}

impl Run {
    fn api(&self) -> &'static crate::library::Library {
        self.kernel.opened.device.library
    }

    /// Sets a 32-bit argument.
    pub fn set_u32(&mut self, arg: usize, value: u32) -> Result<(), XrtError> {
        self.api().status("xrtRunSetArg", &format!("argument {arg}"), |x| {
            // SAFETY: an open run. XRT reads as many bytes as the metadata gives the argument: four, which
            // the check of the xclbin has compared.
            unsafe { (x.xrtRunSetArg)(self.raw.as_ptr(), arg as i32, value) }
        })
    }

    /// Sets a pointer argument.
    pub fn set_buffer(&mut self, arg: usize, buffer: Arc<Buffer>) -> Result<(), XrtError> {
        self.api().status("xrtRunSetArg", &format!("argument {arg}"), |x| {
            // SAFETY: an open run and an open buffer, which is kept below.
            unsafe { (x.xrtRunSetArg)(self.raw.as_ptr(), arg as i32, buffer.raw.as_ptr()) }
        })?;
        self.buffers.retain(|(a, _)| *a != arg);
        self.buffers.push((arg, buffer));
        Ok(())
    }

    /// Starts the kernel.
    pub fn start(&mut self) -> Result<(), XrtError> {
        self.api().status("xrtRunStart", "the kernel", |x| {
            // SAFETY: an open run with all arguments set.
            unsafe { x.xrtRunStart(self.raw.as_ptr()) }
        })
    }

    /// Waits for the end, at most so long.
    pub fn wait(&mut self, time: Duration) -> Ended {
        let ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1);
        // SAFETY: a started run.
        match unsafe { self.api().api.xrtRunWaitFor(self.raw.as_ptr(), ms) } {
            ERT_CMD_STATE_COMPLETED => Ended::Completed,
            ERT_CMD_STATE_TIMEOUT => Ended::Running,
            state => Ended::Failed(state),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // SAFETY: the run is open.
        unsafe { self.api().api.xrtRunClose(self.raw.as_ptr()) };
    }
}
