//! What a test may set: `flightvlm_card_set("key=value")` before or between uses. Nothing of it exists on a
//! card.

use crate::engine::Simulator;
use std::ffi::{c_char, CStr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Most cards that can be emulated.
pub(crate) const MAX_CARDS: u32 = 4;

static CARDS: AtomicU32 = AtomicU32::new(1);
/// Starts until one hangs; 0 is never.
static HANG: AtomicU32 = AtomicU32::new(0);
static SIMULATOR: Mutex<Simulator> = Mutex::new(Simulator::Iss);
static REFUSED: Mutex<String> = Mutex::new(String::new());

/// Cards in the emulated computer.
pub(crate) fn cards() -> u32 {
    CARDS.load(Ordering::Relaxed)
}

/// What executes starts on cards that get an xclbin from now on.
pub(crate) fn simulator() -> Simulator {
    *SIMULATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this start is the one that hangs.
pub(crate) fn hangs() -> bool {
    let left = |n: u32| n.checked_sub(1);
    HANG.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left) == Ok(1)
}

/// Keeps why the card refused something: what a real driver writes into the kernel's log.
pub(crate) fn refuse(why: impl Into<String>) {
    *REFUSED.lock().unwrap_or_else(PoisonError::into_inner) = why.into();
}

/// Sets `simulator=iss|rtl`, `cards=N`, or `hang=N` (the Nth start from now never ends); 0 if it is understood.
///
/// # Safety
/// `setting` is a text that ends with a zero.
#[no_mangle]
pub unsafe extern "C" fn flightvlm_card_set(setting: *const c_char) -> i32 {
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(setting) }.to_string_lossy();
    let number = |v: &str| v.parse::<u32>().ok();
    match text.split_once('=') {
        Some(("simulator", v @ ("iss" | "rtl"))) => {
            let simulator = if v == "rtl" { Simulator::Rtl } else { Simulator::Iss };
            *SIMULATOR.lock().unwrap_or_else(PoisonError::into_inner) = simulator;
            0
        }
        Some(("cards", v)) => match number(v).filter(|n| *n <= MAX_CARDS) {
            Some(n) => {
                CARDS.store(n, Ordering::Relaxed);
                0
            }
            None => -1,
        },
        Some(("hang", v)) => match number(v) {
            Some(n) => {
                HANG.store(n, Ordering::Relaxed);
                0
            }
            None => -1,
        },
        _ => -1,
    }
}

/// Takes why the card refused something since the last time: copies at most `len` bytes, returns how many.
///
/// # Safety
/// `out` has room for `len` bytes.
#[no_mangle]
pub unsafe extern "C" fn flightvlm_card_refused(out: *mut u8, len: usize) -> usize {
    let text = std::mem::take(&mut *REFUSED.lock().unwrap_or_else(PoisonError::into_inner));
    let len = text.len().min(len);
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), out, len) };
    len
}
