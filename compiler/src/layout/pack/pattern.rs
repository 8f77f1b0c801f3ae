//! Which N:M patterns a checkpoint's own zeros follow.

use super::Packed;
use crate::diag::Diagnostics;
use crate::import::WeightStore;
use crate::quant::Sparsity;
use rayon::prelude::*;

impl Packed {
    /// Keeps the patterns that drop only zeros: in each block of `m` inputs, in the order in which they are
    /// stored, at most `n` weights differ from zero. Reads nothing when none is left.
    pub fn keep_patterns(
        &self,
        weights: &WeightStore,
        patterns: &mut Vec<Sparsity>,
    ) -> Result<(), Diagnostics> {
        for part in &self.parts {
            if patterns.is_empty() {
                break;
            }
            let w = weights.load_f32(part.linear.w)?;
            let rows: Vec<&[f32]> = w.chunks_exact(part.linear.cols_in).collect();
            patterns.retain(|pattern| rows.par_iter().all(|row| self.follows(row, *pattern)));
        }
        Ok(())
    }

    fn follows(&self, row: &[f32], pattern: Sparsity) -> bool {
        self.cols.chunks(pattern.m()).all(|block| {
            let kept = block.iter().flatten().filter(|col| row[**col as usize] != 0.0).count();
            kept <= pattern.n()
        })
    }
}
