//! The C functions of a device library, as `xrt.h` declares them. Errors are negative errno values.
#![allow(non_snake_case)] // XRT's names

use crate::card::{Card, Handle};
use crate::control;
use crate::cxx::CoreDevice;
use flightvlm_hw::kernel::REGISTER_BYTES;
use flightvlm_xrt::{xclBOProperties, xclDeviceInfo2};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::time::Duration;

const NO_BUFFER: c_uint = c_uint::MAX;
/// Flags of a buffer: its bank, and that it holds a command packet.
const FLAG_BANK: u32 = 0x00ff_ffff;
const FLAG_EXEC: u32 = 1 << 31;
const FLAG_HOST_ONLY: u32 = 1 << 29;
/// The context that stands for the whole device.
const VIRTUAL_CU: u32 = u32::MAX;
/// Fields of a command packet's header (`ert.h`).
const PACKET_BYTES: usize = 4096;
const STATE_COMPLETED: u32 = 4;
const STATE_ERROR: u32 = 5;
const OPCODE_START_CU: u32 = 0;

fn fail((errno, why): (i32, String)) -> c_int {
    control::refuse(why);
    -errno
}

/// A result with errno set beside it, for functions that return something else.
fn fail_errno(error: (i32, String)) {
    // SAFETY: errno of this thread.
    unsafe { *libc::__errno_location() = error.0 };
    control::refuse(error.1);
}

#[no_mangle]
pub extern "C" fn xclProbe() -> c_uint {
    control::cards()
}

#[no_mangle]
pub extern "C" fn xclOpen(index: c_uint, _: *const c_char, _: c_int) -> *mut c_void {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    if Card::at(index).is_none() {
        return std::ptr::null_mut();
    }
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    // Never freed: XRT's object for it lives for ever.
    let handle: *mut Handle = Box::into_raw(Box::new(Handle { index, id, core: OnceLock::new() }));
    // SAFETY: just made.
    let _ = unsafe { &*handle }.core.set(CoreDevice::new(handle.cast(), index));
    handle.cast()
}

#[no_mangle]
pub extern "C" fn xclClose(handle: *mut c_void) {
    if let Some((card, id)) = Card::of(handle) {
        card.close_contexts(id, None);
        card.state().buffers.retain(|_, b| b.owner != id);
    }
}

/// # Safety
/// `info` points to a structure to be filled.
#[no_mangle]
pub unsafe extern "C" fn xclGetDeviceInfo2(handle: *mut c_void, info: *mut xclDeviceInfo2) -> c_int {
    let Some((card, _)) = Card::of(handle) else { return -libc::EINVAL };
    // SAFETY: plain numbers, for which zero is a value.
    let mut out: xclDeviceInfo2 = unsafe { std::mem::zeroed() };
    out.mMagic = 0x586c_0c6c;
    let state = card.state();
    let name = state.loaded.as_ref().map_or("emulated", |l| l.file.vbnv.as_str());
    for (to, from) in out.mName.iter_mut().zip(name.bytes().take(255)) {
        *to = from as c_char;
    }
    let mhz = state.loaded.as_ref().map_or(0, |l| l.kernel.config.clock_mhz);
    out.mOCLFrequency[0] = mhz as u16;
    out.mNumClocks = 1;
    out.mDataAlignment = 4096;
    out.mMigCalib = true;
    // SAFETY: the caller's promise.
    unsafe { info.write(out) };
    0
}

/// # Safety
/// `axlf` is a whole xclbin.
#[no_mangle]
pub unsafe extern "C" fn xclLoadXclBin(handle: *mut c_void, axlf: *const u8) -> c_int {
    let Some((card, _)) = Card::of(handle) else { return -libc::EINVAL };
    // SAFETY: the header gives the length; XRT has read the whole file.
    let bytes = unsafe {
        let length = axlf.add(304).cast::<u64>().read_unaligned();
        std::slice::from_raw_parts(axlf, length as usize)
    };
    if let Err(e) = card.load(bytes) {
        return fail(e);
    }
    // SAFETY: handles are never freed; the caller's promise.
    unsafe {
        if let Some(core) = (*handle.cast::<Handle>()).core.get() {
            core.register(axlf.cast());
        }
    }
    0
}

fn allocate(handle: *mut c_void, user: Option<usize>, size: usize, flags: c_uint) -> c_uint {
    let Some((card, id)) = Card::of(handle) else { return NO_BUFFER };
    let host_only = flags & (FLAG_EXEC | FLAG_HOST_ONLY) != 0;
    let bank = (!host_only).then_some(flags & FLAG_BANK);
    match card.allocate(id, (user, size), flags, bank) {
        Ok(buffer) => buffer,
        Err(e) => {
            fail_errno(e);
            NO_BUFFER
        }
    }
}

#[no_mangle]
pub extern "C" fn xclAllocBO(handle: *mut c_void, size: usize, _: c_int, flags: c_uint) -> c_uint {
    allocate(handle, None, size, flags)
}

/// How XRT makes buffers with host memory: it reserves that itself.
#[no_mangle]
pub extern "C" fn xclAllocUserPtrBO(
    handle: *mut c_void,
    user: *mut c_void,
    size: usize,
    flags: c_uint,
) -> c_uint {
    allocate(handle, Some(user as usize), size, flags)
}

#[no_mangle]
pub extern "C" fn xclFreeBO(handle: *mut c_void, buffer: c_uint) {
    if let Some((card, _)) = Card::of(handle) {
        let bo = card.state().buffers.remove(&buffer);
        if let Some(range) = bo.as_ref().and_then(|b| b.device.clone()) {
            card.on_engine(move |e| e.poison(range));
        }
    }
}

#[no_mangle]
pub extern "C" fn xclMapBO(handle: *mut c_void, buffer: c_uint, _: bool) -> *mut c_void {
    let host = Card::of(handle).and_then(|(card, _)| card.state().buffers.get(&buffer).map(|b| b.host));
    host.map_or(std::ptr::null_mut(), |h| h as *mut c_void)
}

#[no_mangle]
pub extern "C" fn xclUnmapBO(_: *mut c_void, _: c_uint, _: *mut c_void) -> c_int {
    0
}

/// Host and device address of a range of a buffer.
fn range_of(card: &Card, buffer: c_uint, offset: usize, len: usize) -> Result<(usize, u64), (i32, String)> {
    let state = card.state();
    let bo = state.buffers.get(&buffer).ok_or((libc::EINVAL, "no such buffer".to_string()))?;
    if offset.checked_add(len).is_none_or(|end| end > bo.len) {
        return Err((libc::EINVAL, format!("{len} bytes at {offset} of a buffer of {}", bo.len)));
    }
    let device = bo.device.as_ref().ok_or((libc::EINVAL, "the buffer has no device memory".to_string()))?;
    Ok((bo.host + offset, device.start + offset as u64))
}

#[no_mangle]
pub extern "C" fn xclSyncBO(
    handle: *mut c_void,
    buffer: c_uint,
    direction: c_int,
    size: usize,
    offset: usize,
) -> c_int {
    let Some((card, _)) = Card::of(handle) else { return -libc::EINVAL };
    let (host, device) = match range_of(card, buffer, offset, size) {
        Ok(range) => range,
        Err(e) => return fail(e),
    };
    card.on_engine(move |e| {
        // SAFETY: the buffer's mapping, in bounds; the caller waits, so nobody frees it meanwhile.
        unsafe {
            match direction {
                0 => e.write(device, std::slice::from_raw_parts(host as *const u8, size)),
                _ => e.read(device, std::slice::from_raw_parts_mut(host as *mut u8, size)),
            }
        }
    });
    0
}

#[no_mangle]
pub extern "C" fn xclCopyBO(
    handle: *mut c_void,
    to: c_uint,
    from: c_uint,
    size: usize,
    to_offset: usize,
    from_offset: usize,
) -> c_int {
    let Some((card, _)) = Card::of(handle) else { return -libc::EINVAL };
    let ranges =
        range_of(card, to, to_offset, size).and_then(|t| Ok((t, range_of(card, from, from_offset, size)?)));
    let (to, from) = match ranges {
        Ok((to, from)) => (to.1, from.1),
        Err(e) => return fail(e),
    };
    card.on_engine(move |e| {
        let mut bytes = vec![0; size];
        e.read(from, &mut bytes);
        e.write(to, &bytes);
    });
    0
}

#[no_mangle]
pub extern "C" fn xclExportBO(_: *mut c_void, _: c_uint) -> c_int {
    -1
}

#[no_mangle]
pub extern "C" fn xclImportBO(_: *mut c_void, _: c_int, _: c_uint) -> c_uint {
    NO_BUFFER
}

/// # Safety
/// `out` points to a structure to be filled.
#[no_mangle]
pub unsafe extern "C" fn xclGetBOProperties(
    handle: *mut c_void,
    buffer: c_uint,
    out: *mut xclBOProperties,
) -> c_int {
    let Some((card, _)) = Card::of(handle) else { return -libc::EINVAL };
    let state = card.state();
    let Some(bo) = state.buffers.get(&buffer) else { return -libc::EINVAL };
    let paddr = bo.device.as_ref().map_or(u64::MAX, |r| r.start);
    let properties =
        xclBOProperties { handle: buffer, flags: bo.flags, size: bo.len as u64, paddr, reserved: 0 };
    // SAFETY: the caller's promise.
    unsafe { out.write(properties) };
    0
}

/// # Safety
/// `uuid` points to 16 bytes.
#[no_mangle]
pub unsafe extern "C" fn xclOpenContext(
    handle: *mut c_void,
    uuid: *const u8,
    cu: c_uint,
    shared: bool,
) -> c_int {
    let Some((card, id)) = Card::of(handle) else { return -libc::EINVAL };
    // SAFETY: the caller's promise.
    let uuid = unsafe { std::slice::from_raw_parts(uuid, 16) };
    let mut state = card.state();
    if state.loaded.as_ref().is_none_or(|l| l.file.uuid != uuid) {
        return fail((libc::EINVAL, "the card has another xclbin".into()));
    }
    match cu == VIRTUAL_CU || state.open_context(id, cu, shared) {
        true => 0,
        false => fail((libc::EBUSY, "another context of the compute unit is open".into())),
    }
}

/// # Safety
/// `uuid` is not read.
#[no_mangle]
pub unsafe extern "C" fn xclCloseContext(handle: *mut c_void, _: *const u8, cu: c_uint) -> c_int {
    let Some((card, id)) = Card::of(handle) else { return -libc::EINVAL };
    card.close_contexts(id, Some(cu));
    0
}

/// Sets a packet's state, as the scheduler does at a command's end.
fn finish(packet: usize, good: bool) {
    // SAFETY: the packet's mapping lives until XRT frees it, which it does after the end.
    let header = unsafe { AtomicU32::from_ptr(packet as *mut u32) };
    let state = if good { STATE_COMPLETED } else { STATE_ERROR };
    let old = header.load(Ordering::Acquire);
    header.store(old & !0xf | state, Ordering::Release);
}

#[no_mangle]
pub extern "C" fn xclExecBuf(handle: *mut c_void, buffer: c_uint) -> c_int {
    let Some((card, id)) = Card::of(handle) else { return -libc::EINVAL };
    let state = card.state();
    let Some(bo) = state.buffers.get(&buffer).filter(|b| b.flags & FLAG_EXEC != 0) else {
        return fail((libc::EINVAL, "not a command packet".into()));
    };
    if !state.contexts.iter().any(|c| c.0 == id) {
        return fail((libc::EPERM, "no context is open".into()));
    }
    let (packet, words) = (bo.host, bo.len.min(PACKET_BYTES) / 4);
    drop(state);
    // SAFETY: the packet's mapping, in bounds.
    let packet_words = unsafe { std::slice::from_raw_parts(packet as *const u32, words) };
    let header = packet_words[0];
    let (count, opcode) = ((header >> 12 & 0x7ff) as usize, header >> 23 & 0x1f);
    let first = 1 + 1 + (header >> 10 & 3) as usize;
    if opcode != OPCODE_START_CU || count + 1 > words || first > count + 1 {
        return fail((libc::EINVAL, format!("command packet with header {header:#x}")));
    }
    // The image begins with the control registers, which the scheduler writes itself.
    let image = packet_words[first..count + 1].iter().enumerate().skip(4);
    card.start(packet, image.map(|(i, v)| (4 * i as u32, *v)).collect(), finish);
    0
}

#[no_mangle]
pub extern "C" fn xclExecWait(handle: *mut c_void, milliseconds: c_int) -> c_int {
    let time = Duration::from_millis(milliseconds.max(0) as u64);
    Card::of(handle).map_or(-libc::EINVAL, |(card, _)| c_int::from(card.wait(time)))
}

/// A register access needs the compute unit for oneself.
fn register(handle: *mut c_void, cu: c_uint, offset: u32) -> Result<&'static Card, (i32, String)> {
    let (card, id) = Card::of(handle).ok_or((libc::EINVAL, "no such handle".to_string()))?;
    if !card.state().contexts.contains(&(id, cu, false)) {
        return Err((libc::EPERM, "registers need an exclusive context".into()));
    }
    if offset >= REGISTER_BYTES || !offset.is_multiple_of(4) {
        return Err((libc::EINVAL, format!("register {offset:#x} does not exist")));
    }
    Ok(card)
}

/// # Safety
/// `out` has room for a value.
#[no_mangle]
pub unsafe extern "C" fn xclRegRead(handle: *mut c_void, cu: c_uint, offset: c_uint, out: *mut u32) -> c_int {
    match register(handle, cu, offset) {
        Ok(card) => {
            let value = card.on_engine(move |e| e.register(offset));
            // SAFETY: the caller's promise.
            unsafe { out.write(value) };
            0
        }
        Err(e) => fail(e),
    }
}

#[no_mangle]
pub extern "C" fn xclRegWrite(handle: *mut c_void, cu: c_uint, offset: c_uint, value: u32) -> c_int {
    match register(handle, cu, offset) {
        Ok(card) => {
            card.on_engine(move |e| e.set_register(offset, value));
            0
        }
        Err(e) => fail(e),
    }
}

/// Accesses by address, which nothing here uses.
macro_rules! unsupported {
    ($($name:ident($($arg:ty),*) -> $result:ty;)*) => { $(
        #[no_mangle]
        pub extern "C" fn $name($(_: $arg),*) -> $result {
            -(libc::ENOTSUP as $result)
        }
    )* };
}

unsupported! {
    xclRead(*mut c_void, c_int, u64, *mut c_void, usize) -> isize;
    xclWrite(*mut c_void, c_int, u64, *const c_void, usize) -> isize;
    xclUnmgdPread(*mut c_void, c_uint, *mut c_void, usize, u64) -> isize;
    xclUnmgdPwrite(*mut c_void, c_uint, *const c_void, usize, u64) -> isize;
    xclReClock2(*mut c_void, u16, *const u16) -> c_int;
    xclP2pEnable(*mut c_void, bool, bool) -> c_int;
}
