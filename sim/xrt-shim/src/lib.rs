//! The emulated card: a library that the genuine XRT user space takes for its device library ("shim"), with
//! the instruction-level simulator or the Verilated RTL in place of the card.
//!
//! * `abi`: the C functions that XRT calls; `cxx`: the few C++ ones on both sides.
//! * `card`: one card: buffers, contexts, starts. The same for everyone who opens its index.
//! * `engine`: registers, device memory and the simulator, on a thread of their own.
//! * `control`: what tests may make go wrong.
//!
//! It is stricter than a card: device memory is poison until written and apart from host memory, a start whose
//! buffers are not in banks wired to the port is refused, contexts are exclusive. It proves our use of XRT,
//! not XRT's kernel driver, DMA, or a card.

#[cfg(xrt)]
mod abi;
#[cfg(xrt)]
mod card;
#[cfg(xrt)]
mod control;
#[cfg(xrt)]
mod cxx;
#[cfg(xrt)]
mod engine;
#[cfg(xrt)]
mod store;
