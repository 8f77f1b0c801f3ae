//! The Verilated model: raw interface, clocking, and access to registers and memories.

use std::ffi::{c_char, c_int, c_void, CStr, CString};

/// Pointers to the model's pins and memories; order and types as in `cpp/shim.cpp`.
#[repr(C)]
pub(crate) struct Pins {
    pub clk: *mut u8,
    pub rst_n: *mut u8,
    pub s_awaddr: *mut u16,
    pub s_awvalid: *mut u8,
    pub s_awready: *mut u8,
    pub s_wdata: *mut u32,
    pub s_wstrb: *mut u8,
    pub s_wvalid: *mut u8,
    pub s_wready: *mut u8,
    pub s_bvalid: *mut u8,
    pub s_bready: *mut u8,
    pub s_araddr: *mut u16,
    pub s_arvalid: *mut u8,
    pub s_arready: *mut u8,
    pub s_rdata: *mut u32,
    pub s_rvalid: *mut u8,
    pub s_rready: *mut u8,
    pub araddr: *mut u64,
    pub arlen: *mut u8,
    pub arvalid: *mut u8,
    pub arready: *mut u8,
    pub rdata: *mut u32,
    pub rresp: *mut u8,
    pub rlast: *mut u8,
    pub rvalid: *mut u8,
    pub rready: *mut u8,
    pub awaddr: *mut u64,
    pub awlen: *mut u8,
    pub awvalid: *mut u8,
    pub awready: *mut u8,
    pub wdata: *mut u32,
    pub wstrb: *mut u64,
    pub wlast: *mut u8,
    pub wvalid: *mut u8,
    pub wready: *mut u8,
    pub bresp: *mut u8,
    pub bvalid: *mut u8,
    pub bready: *mut u8,
    pub active: *mut u8,
    pub retire_valid: *mut u8,
    pub retire_pc: *mut u64,
    pub spad: *const u32,
    pub abuf: *const u32,
    pub s: *const u32,
    pub r: *const u32,
}

extern "C" {
    fn fvlm_new() -> *mut c_void;
    fn fvlm_free(m: *mut c_void);
    fn fvlm_eval(m: *mut c_void);
    fn fvlm_stop_message() -> *const c_char;
    fn fvlm_clear_stop();
    fn fvlm_trace_open(m: *mut c_void, path: *const c_char, depth: c_int) -> c_int;
    fn fvlm_trace_dump(m: *mut c_void, time: u64);
    fn fvlm_pins(m: *mut c_void, p: *mut Pins);
}

/// Owns one model instance.
pub(crate) struct Model {
    raw: *mut c_void,
    pub pins: Pins,
    /// Cycles since construction.
    pub time: u64,
    tracing: bool,
}

// SAFETY: the model has no thread affinity; `&mut self` guards every call.
unsafe impl Send for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: `raw` came from fvlm_new and is freed once.
        unsafe { fvlm_free(self.raw) }
    }
}

impl Model {
    pub fn new() -> Model {
        // SAFETY: the shim fills every pointer; they stay valid as long as the model lives.
        unsafe {
            let raw = fvlm_new();
            let mut pins = std::mem::MaybeUninit::uninit();
            fvlm_pins(raw, pins.as_mut_ptr());
            Model { raw, pins: pins.assume_init(), time: 0, tracing: false }
        }
    }

    /// Starts an FST file; false if the crate was built without feature `trace`.
    pub fn trace(&mut self, path: &std::path::Path) -> bool {
        let Ok(path) = CString::new(path.to_string_lossy().as_bytes()) else { return false };
        // SAFETY: `path` is a C string that outlives the call.
        self.tracing = unsafe { fvlm_trace_open(self.raw, path.as_ptr(), 99) } != 0;
        self.tracing
    }

    /// Inputs are set: lets combinational outputs follow them.
    #[inline]
    pub fn settle(&mut self) {
        // SAFETY: see `new`.
        unsafe {
            *self.pins.clk = 0;
            fvlm_eval(self.raw);
        }
    }

    /// The rising edge.
    #[inline]
    pub fn edge(&mut self) {
        // SAFETY: see `new`.
        unsafe {
            if self.tracing {
                fvlm_trace_dump(self.raw, 2 * self.time);
            }
            *self.pins.clk = 1;
            fvlm_eval(self.raw);
            if self.tracing {
                fvlm_trace_dump(self.raw, 2 * self.time + 1);
            }
        }
        self.time += 1;
    }

    /// Where an assertion failed since the last call, on this thread.
    pub fn take_stop(&mut self) -> Option<String> {
        // SAFETY: the message is a static buffer of this thread, copied before it is cleared.
        unsafe {
            let p = fvlm_stop_message();
            if p.is_null() {
                return None;
            }
            let text = CStr::from_ptr(p).to_string_lossy().into_owned();
            fvlm_clear_stop();
            Some(text)
        }
    }

    /// Copies `words` 32-bit words of an on-chip memory (`pins.spad` and its like).
    pub fn copy(&self, from: *const u32, words: usize) -> Vec<u32> {
        // SAFETY: the pointer is one of `pins`' memories and `words` its size in the configuration
        // that the RTL package was generated from (checked by the ISA hash).
        unsafe { std::slice::from_raw_parts(from, words).to_vec() }
    }
}
