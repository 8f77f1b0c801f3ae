//! The HLS kernel as its users build it: compilers, the test bench of the top functions (also under
//! sanitizers), and the scripts for Vitis.
//!
//! `FLIGHTVLM_HLS_PROGRAMS` sets the number of random programs that the test bench replays.

mod bench;
mod compilers;
mod scripts;

use std::path::PathBuf;

/// A path under `hw/`.
fn hw(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../hw").join(relative)
}
