//! What the suites share: the random-program generator and the comparison of two machines.

pub mod compare;
pub mod pair;
pub mod progen;
pub mod replay;
