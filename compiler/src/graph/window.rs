//! Window attention of a tower: most layers see the patches of a window of the picture only.
//!
//! Source: Hugging Face `get_vision_window_index` (Qwen2.5-VL). Windows are cut from the upper left corner of the
//! picture on, those at the right and lower edge are what is left. The tower takes its rows window by window,
//! so that the rows of a window follow each other.

use super::spec::VisionSpec;
use serde::{Deserialize, Serialize};

/// Which rows a tower's layers see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// Patches of a side of a window; a multiple of the patches of a side of a token.
    pub side: usize,
    /// Layers whose rows see the whole picture; ascending.
    pub full_layers: Vec<usize>,
}

impl Windows {
    /// Do the rows of this layer see the whole picture?
    pub fn is_full(&self, layer: usize) -> bool {
        self.full_layers.contains(&layer)
    }

    /// Rows of each window of a picture with such a grid of patches, in order.
    pub fn lengths(&self, [height, width]: [usize; 2]) -> Vec<usize> {
        let sides = |n: usize| (0..n).step_by(self.side).map(move |at| self.side.min(n - at));
        sides(height).flat_map(|h| sides(width).map(move |w| h * w)).collect()
    }
}

impl VisionSpec {
    /// Segments of rows that all layers of the tower go through together: a window, or the whole picture.
    pub fn segments(&self, grid: [usize; 2]) -> usize {
        let Some(windows) = &self.windows else { return self.layers_used };
        let full = (0..self.layers_used).filter(|layer| windows.is_full(*layer)).count();
        full + (self.layers_used - full) * windows.lengths(grid).len()
    }

    /// Place in the raster of blocks of `merge` x `merge` patches of each block of the tower's rows.
    pub(super) fn block_order(&self, grid: [usize; 2]) -> Vec<usize> {
        let [down, across] = grid.map(|n| n / self.merge);
        let side = self.windows.as_ref().map_or(down.max(across).max(1), |w| (w.side / self.merge).max(1));
        let mut out = Vec::with_capacity(down * across);
        for top in (0..down).step_by(side) {
            for left in (0..across).step_by(side) {
                for y in top..(top + side).min(down) {
                    out.extend((left..(left + side).min(across)).map(|x| y * across + x));
                }
            }
        }
        out
    }

    /// Row among the tile's tokens of each token of the raster, where windows change their order.
    pub(super) fn token_rows(&self, grid: [usize; 2]) -> Vec<usize> {
        if self.windows.is_none() {
            return (0..self.tokens(grid)).collect();
        }
        let order = self.block_order(grid);
        let mut rows = vec![0; order.len()];
        order.iter().enumerate().for_each(|(row, block)| rows[*block] = row);
        rows
    }

    /// Patch rows in the raster of blocks (as Hugging Face's processor gives them) in the tower's order.
    pub fn in_tower_order(&self, grid: [usize; 2], rows: &[f32]) -> Vec<f32> {
        let block = self.merge * self.merge * self.pixel_cols;
        self.block_order(grid).iter().flat_map(|at| &rows[at * block..][..block]).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_at_the_edges_are_what_is_left() {
        let windows = Windows { side: 4, full_layers: vec![1] };
        assert_eq!(windows.lengths([6, 10]), [16, 16, 8, 8, 8, 4]);
        let spec = VisionSpec { merge: 2, layers_used: 3, windows: Some(windows), ..VisionSpec::default() };
        assert_eq!(spec.segments([6, 10]), 2 * 6 + 1);
        let order = spec.block_order([6, 10]);
        assert_eq!(order, [0, 1, 5, 6, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 14]);
        // Cut from a picture, rows come in the same order as from the raster of blocks.
        let raster = VisionSpec { patch: 1, pixel_cols: 3, windows: None, ..spec.clone() };
        let windowed = VisionSpec { patch: 1, pixel_cols: 3, ..spec.clone() };
        let pixels: Vec<f32> = (0..180).map(|v| v as f32).collect();
        let rows = raster.tile(&pixels, [6, 10]).rows;
        assert_eq!(windowed.in_tower_order([6, 10], &rows), windowed.tile(&pixels, [6, 10]).rows);
        let rows = spec.token_rows([6, 10]);
        assert!(order.iter().enumerate().all(|(row, block)| rows[*block] == row));
    }
}
