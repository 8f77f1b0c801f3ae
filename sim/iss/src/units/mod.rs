//! What each unit does to memory. `check` runs before any effect and names the fault; `run` then
//! cannot fail (but for a gathered row's address, known only when its index is read).

pub(crate) mod dot;
pub(crate) mod ld;
pub(crate) mod mm;
#[cfg(target_arch = "x86_64")]
mod sfu;
pub(crate) mod st;
pub(crate) mod vx;
