//! The C++ sides: functions that the classes in XRT's archive call beside the C ones, and two of XRT's core
//! that a device library calls. Names are mangled C++ of release 2.13; a difference shows when linking.

use crate::card::Card;
use std::ffi::{c_int, c_void};

extern "C" {
    /// `std::shared_ptr<xrt_core::device> xrt_core::get_userpf_device(void*, unsigned)`: the object comes back
    /// through a hidden pointer.
    #[link_name = "_ZN8xrt_core17get_userpf_deviceEPvj"]
    fn core_get_userpf_device(object: *mut [usize; 2], handle: *mut c_void, index: u32) -> *mut c_void;
    /// `void xrt_core::device::register_axlf(const axlf*)`.
    #[link_name = "_ZN8xrt_core6device13register_axlfEPK4axlf"]
    fn core_register_axlf(device: *mut c_void, axlf: *const c_void);
}

/// XRT's object for an opened device. It is kept for ever: XRT has other references to it.
pub(crate) struct CoreDevice(*mut c_void);

impl CoreDevice {
    /// Makes XRT's object for a handle.
    pub fn new(handle: *mut c_void, index: u32) -> CoreDevice {
        let mut object = [0usize; 2];
        // SAFETY: room for a `shared_ptr`, which is two pointers.
        unsafe { core_get_userpf_device(&mut object, handle, index) };
        CoreDevice(object[0] as *mut c_void)
    }

    /// Tells XRT which xclbin the device has.
    ///
    /// # Safety
    /// `axlf` is a whole xclbin.
    pub unsafe fn register(&self, axlf: *const c_void) {
        if !self.0.is_null() {
            // SAFETY: the object lives for ever; the caller's promise.
            unsafe { core_register_axlf(self.0, axlf) };
        }
    }
}

/// `int xclCmaEnable(void*, bool, unsigned long)`.
#[export_name = "_Z12xclCmaEnablePvbm"]
extern "C" fn cma_enable(_: *mut c_void, _: bool, _: u64) -> c_int {
    -libc::ENOTSUP
}

/// `int xclCloseExportHandle(int)`.
#[export_name = "_Z20xclCloseExportHandlei"]
extern "C" fn close_export_handle(_: c_int) -> c_int {
    -libc::ENOTSUP
}

/// `int xclInternalResetDevice(void*, xclResetKind)`.
#[export_name = "_Z22xclInternalResetDevicePv12xclResetKind"]
extern "C" fn reset_device(handle: *mut c_void, _: c_int) -> c_int {
    Card::of(handle).map_or(-libc::EINVAL, |(card, _)| {
        card.reset();
        0
    })
}

/// `int xclUpdateSchedulerStat(void*)`.
#[export_name = "_Z22xclUpdateSchedulerStatPv"]
extern "C" fn update_scheduler_stat(_: *mut c_void) -> c_int {
    0
}

/// `HwEmShim* xclhwemhal2::HwEmShim::handleCheck(void*)`: none, so that XRT gets "no" where it asks the emulator
/// whose classes we borrow.
#[export_name = "_ZN11xclhwemhal28HwEmShim11handleCheckEPv"]
extern "C" fn handle_check(_: *mut c_void) -> *mut c_void {
    std::ptr::null_mut()
}

/// `int xclhwemhal2::HwEmShim::deviceQuery(xrt_core::query::key_type)`.
#[export_name = "_ZN11xclhwemhal28HwEmShim11deviceQueryEN8xrt_core5query8key_typeE"]
extern "C" fn device_query(_: *mut c_void, _: c_int) -> c_int {
    0
}
