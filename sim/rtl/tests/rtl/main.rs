//! Small programs on the Verilated RTL of each configuration, against references written from the
//! specification: memories, faults, cycle counts, and the same bits under any memory timing. That
//! whole programs do what the instruction-level simulator does is the test suite's affair.

mod control;
mod cycles;
mod faults;
mod moves;
mod reference;
mod rig;
mod weights;
