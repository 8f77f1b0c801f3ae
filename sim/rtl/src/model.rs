//! The Verilated models: raw interface, clocking, and access to registers and memories.

use crate::pins::Pins;
use flightvlm_hw::machine::MachineError;
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::ops::Range;

/// What `cpp/shim.cpp` exports for a configuration.
#[repr(C)]
struct Api {
    make: unsafe extern "C" fn() -> *mut c_void,
    destroy: unsafe extern "C" fn(*mut c_void),
    evaluate: unsafe extern "C" fn(*mut c_void),
    trace_open: unsafe extern "C" fn(*mut c_void, *const c_char, c_int) -> c_int,
    trace_dump: unsafe extern "C" fn(*mut c_void, u64),
    pins: unsafe extern "C" fn(*mut c_void, *mut Pins),
}

extern "C" {
    static fvlm_sim: Api;
    static fvlm_mini: Api;
    #[cfg(feature = "u280")]
    static fvlm_u280: Api;
    fn fvlm_stop_message() -> *const c_char;
    fn fvlm_clear_stop();
}

/// The model of a configuration.
fn api(config: &str) -> Result<&'static Api, MachineError> {
    // SAFETY: constants in the shim.
    match config {
        "sim" => Ok(unsafe { &fvlm_sim }),
        "mini" => Ok(unsafe { &fvlm_mini }),
        #[cfg(feature = "u280")]
        "u280" => Ok(unsafe { &fvlm_u280 }),
        #[cfg(not(feature = "u280"))]
        "u280" => Err(MachineError(
            "configuration `u280`: its RTL model is not in this build (it takes long to compile); build \
             with feature `u280`, or use `mini`, the same structure with four slices"
                .into(),
        )),
        other => Err(MachineError(format!(
            "configuration `{other}`: there is RTL for sim, mini and u280 only; use the \
             instruction-level simulator for others"
        ))),
    }
}

/// Owns one model instance.
pub(crate) struct Model {
    api: &'static Api,
    raw: *mut c_void,
    pub pins: Pins,
    /// Cycles since construction.
    pub time: u64,
    /// Cycles whose waves are written.
    traced: Range<u64>,
}

// SAFETY: the model has no thread affinity; `&mut self` guards every call.
unsafe impl Send for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: `raw` came from `make` and is destroyed once.
        unsafe { (self.api.destroy)(self.raw) }
    }
}

impl Model {
    pub fn new(config: &str) -> Result<Model, MachineError> {
        let api = api(config)?;
        // SAFETY: the shim fills every pointer; they stay valid as long as the model lives.
        unsafe {
            let raw = (api.make)();
            let mut pins = std::mem::MaybeUninit::uninit();
            (api.pins)(raw, pins.as_mut_ptr());
            Ok(Model { api, raw, pins: pins.assume_init(), time: 0, traced: 0..0 })
        }
    }

    /// Starts an FST file for some cycles; false if it cannot be made.
    pub fn trace(&mut self, path: &std::path::Path, cycles: Range<u64>) -> bool {
        let Ok(path) = CString::new(path.to_string_lossy().as_bytes()) else { return false };
        // SAFETY: `path` is a C string that outlives the call.
        let open = unsafe { (self.api.trace_open)(self.raw, path.as_ptr(), 99) } != 0;
        self.traced = if open { cycles } else { 0..0 };
        open
    }

    /// Sets the clocks and evaluates.
    #[inline]
    fn clocks(&mut self, clk: u8, clk2x: u8) {
        // SAFETY: see `new`.
        unsafe {
            *self.pins.clk = clk;
            *self.pins.clk2x = clk2x;
            (self.api.evaluate)(self.raw);
        }
    }

    fn dump(&mut self, half: u64) {
        if self.traced.contains(&self.time) {
            // SAFETY: see `new`.
            unsafe { (self.api.trace_dump)(self.raw, 2 * self.time + half) }
        }
    }

    /// Inputs are set: lets combinational outputs follow them.
    #[inline]
    pub fn settle(&mut self) {
        self.clocks(0, 0);
    }

    /// The rising edge. The double clock, which only the structural array uses, rises with it and
    /// again half a cycle later.
    #[inline]
    pub fn edge(&mut self) {
        self.dump(0);
        if cfg!(feature = "structural") {
            self.clocks(1, 1);
            self.dump(1);
            self.clocks(1, 0);
            self.clocks(0, 1);
            self.clocks(0, 0);
        } else {
            self.clocks(1, 0);
            self.dump(1);
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

    /// Copies `count` words of `width` 32-bit words each from an on-chip memory of one bank or more.
    pub fn copy(&self, banks: &[*const u32], count: usize, width: usize) -> Vec<u32> {
        let mut out = Vec::with_capacity(count * width);
        for a in 0..count {
            // SAFETY: `banks` are those of one of the memories in `pins`, `count` its size in the
            // configuration that the model was generated from (checked by the ISA hash).
            let word = unsafe { banks[a % banks.len()].add(a / banks.len() * width) };
            // SAFETY: as above.
            out.extend_from_slice(unsafe { std::slice::from_raw_parts(word, width) });
        }
        out
    }
}
