//! Suites that compare the executors. One binary, so that the Verilated model is linked once.

mod accuracy;
mod assets;
mod cycles;
mod families;
mod formats;
mod faults;
mod fuzz;
mod lengths;
mod same_bits;
mod traffic;
