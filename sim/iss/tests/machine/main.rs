//! The simulator as a machine: programs in, memories, cycles and accounts out.

mod cycles;
mod modes;
mod results;
mod rig;
