//! Suites that compare the executors. One binary, so that the Verilated model is linked once.

mod accuracy;
mod assets;
mod baselines;
mod choice;
mod cycles;
mod families;
mod faults;
mod formats;
mod fuzz;
mod hidden;
mod lengths;
mod masks;
mod positions;
mod pruned_checkpoint;
mod pruning;
mod quecc;
mod same_bits;
mod traffic;
