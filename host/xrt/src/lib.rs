//! The accelerator on an Alveo card, or on the emulated card, through XRT.
//!
//! * [`missing`], [`cards`]: what is here. [`load`]: XRT's libraries, found and opened at run time; `log`, [`XrtError`]: its own words.
//! * [`Device`], [`Buffer`], [`Kernel`], [`Run`]: XRT's handles, closed in the right order.
//! * `region`, `transfer`: one memory of the accelerator as buffers in the banks of its port; moving data.
//! * [`XrtMachine`]: all of that as a [`flightvlm_hw::machine::Machine`].
//!
//! Invariants: XRT's libraries are never unloaded, and the one that talks to the device (the shim) is opened
//! before XRT's first call: looking for it itself, XRT would throw a C++ exception through its C functions.

#[rustfmt::skip]
#[allow(non_camel_case_types, non_snake_case, non_upper_case_globals, dead_code, missing_docs, clippy::all)]
mod bindings;
mod buffer;
mod device;
mod error;
mod kernel;
mod library;
mod log;
mod machine;
mod probe;
mod region;
mod transfer;

#[doc(hidden)]
pub use bindings::{xclBOProperties, xclDeviceInfo2};
pub use buffer::{Buffer, Direction};
pub use device::Device;
pub use error::XrtError;
pub use kernel::{Ended, Kernel, Run};
pub use library::{load, Backend, Library};
pub use machine::{XrtMachine, XrtOptions};
pub use probe::{cards, missing};
