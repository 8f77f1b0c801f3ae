//! Where everything lies: DRAM regions, on-chip regions, and the packed form of weights.
//!
//! * [`pack`]: linear layers as streams of quantised 16 × 16 tiles.
//! * [`LayerStorage`]: the form of each linear layer.
//! * [`dram`]: the DRAM map.
//! * [`onchip`]: lifetime-based allocation of SPAD, ABUF and S.

pub mod dram;
mod layers;
pub mod onchip;
pub mod pack;

pub use layers::LayerStorage;

/// 16-element words that hold `cols` columns.
pub fn words(cols: usize) -> u32 {
    u32::try_from(cols.div_ceil(16)).expect("invariant: column counts are far below 2^32")
}
