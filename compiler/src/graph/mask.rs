//! Block-sparse causal masks: sliding windows with attention sinks, in blocks of 64 × 64.
//!
//! Sources: Longformer (Beltagy et al. 2020, window and global positions), StreamingLLM (Xiao et al. 2024, why
//! the first positions must stay visible), FlightLLM (FPGA'24: blocks of 64 × 64).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Rows and columns of a block.
pub const MASK_BLOCK: usize = 64;

/// What rows of a causal model see: in block row `b` the first `sinks` blocks and the last `window` ones, `b`
/// itself (causal inside) included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockMask {
    /// Blocks up to the row's own, at least 1.
    pub window: usize,
    /// Blocks at the start.
    pub sinks: usize,
}

impl BlockMask {
    /// Positions behind the sinks that the row at `position` does not see.
    pub fn skipped(&self, position: usize) -> usize {
        (position / MASK_BLOCK).saturating_sub(self.window - 1 + self.sinks) * MASK_BLOCK
    }

    /// Does the row at `position` see the one at `at`, which is not behind it?
    pub fn sees(&self, position: usize, at: usize) -> bool {
        let sinks = self.sinks * MASK_BLOCK;
        at < sinks || at >= sinks + self.skipped(position)
    }

    /// Positions that a row sees at most.
    pub fn positions(&self) -> usize {
        (self.window + self.sinks) * MASK_BLOCK
    }
}

impl fmt::Display for BlockMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "window={}", self.window * MASK_BLOCK)?;
        match self.sinks {
            0 => Ok(()),
            n => write!(f, ",sinks={}", n * MASK_BLOCK),
        }
    }
}

impl FromStr for BlockMask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut mask = BlockMask { window: 0, sinks: 0 };
        for part in text.split(',') {
            let blocks = |n: &str| n.parse::<usize>().ok().filter(|n| n % MASK_BLOCK == 0 && *n <= 1 << 20);
            match part.split_once('=').map(|(name, n)| (name, blocks(n))) {
                Some(("window", Some(n))) if n > 0 => mask.window = n / MASK_BLOCK,
                Some(("sinks", Some(n))) => mask.sinks = n / MASK_BLOCK,
                _ => {
                    return Err(format!(
                        "'{part}'; expected window=TOKENS[,sinks=TOKENS], multiples of {MASK_BLOCK}"
                    ))
                }
            }
        }
        match mask.window {
            0 => Err(format!("no window; expected window=TOKENS[,sinks=TOKENS], multiples of {MASK_BLOCK}")),
            _ => Ok(mask),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_see_sinks_and_a_window_of_whole_blocks() {
        let mask: BlockMask = "window=128,sinks=64".parse().unwrap();
        assert_eq!(mask, BlockMask { window: 2, sinks: 1 });
        assert_eq!(mask.to_string().parse(), Ok(mask));
        // Blocks 0 to 2 see everything; block 3 lacks block 1, block 5 lacks 1 to 3.
        let seen = |row: usize| (0..=row / 64).filter(|b| mask.sees(row, b * 64)).collect::<Vec<_>>();
        assert_eq!(seen(191), [0, 1, 2]);
        assert_eq!(seen(192), [0, 2, 3]);
        assert_eq!(seen(383), [0, 4, 5]);
        assert_eq!(BlockMask { window: 1, sinks: 0 }.skipped(130), 128);
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["", "512", "window=0", "window=100", "sinks=64", "window=64,sinks=x", "window=64,w=1"] {
            assert!(text.parse::<BlockMask>().unwrap_err().contains("window=TOKENS"), "{text}");
        }
    }
}
