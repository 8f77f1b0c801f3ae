//! The driver over the genuine XRT with the emulated card below it: what runs on the simulators runs here, same
//! bits; what goes wrong on a card goes wrong here, with one message.
//!
//! One process has one XRT with one shim, and most tests change what the cards do: they take turns.

mod faults;
mod model;
mod programs;
mod rig;
mod serve;
