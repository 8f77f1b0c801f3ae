//! Energy and rate of the simulated card beside baselines that were measured or published.
//!
//! Rules: batch 1; the accelerator's board on both sides, the computer around it on neither; gross
//! energy; ratings ("TDP") are never divided by; weight bits stand beside every ratio; the worst ratio
//! comes first; a ratio carries its uncertainty, and one that cannot be told from 1 says so.
//!
//! * [`record`]: the schema of a baseline; [`check`]: which ones may be used for what.
//! * [`ours`]: what the simulator and the power model say; [`rows`]: the comparison.
//! * [`plot`]: the same as a picture; [`gpu`]: measuring a GPU of this computer.

pub mod baselines;
pub mod check;
pub mod gpu;
pub mod ours;
pub mod plot;
pub mod record;
pub mod rows;

pub use ours::{Ours, Task};
pub use rows::{compare, Comparison, Ratio, Row};
