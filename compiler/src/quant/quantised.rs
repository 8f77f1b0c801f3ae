//! The compressed form of a matrix.

use super::grid::Grid;
use super::scale::to_bf16;
use super::shape::Shape;
use super::spec::Sparsity;
use super::sweep::Tile;
use super::TILE_ROWS;

/// A compressed matrix `[rows, cols]`.
///
/// Columns are padded behind the last one to [`Quantised::padded_cols`], a multiple of the dense width
/// of a word (`16 · M / N`). The padding belongs to the last block; what is stored for it meets inputs
/// that are zero, so its levels are arbitrary legal ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    /// Output rows, not padded.
    pub rows: usize,
    /// Dense inputs, not padded.
    pub cols: usize,
    /// Which inputs are stored.
    pub sparsity: Sparsity,
    /// Words of 16 stored inputs that share a scale; the last group of a row may be shorter.
    pub group_words: usize,
    /// `[rows, stored]`: what the array multiplies by.
    pub levels: Vec<i8>,
    /// `[rows, stored]`: position of each stored value in its block of M, ascending inside a block;
    /// empty when dense.
    pub index: Vec<u8>,
    /// `[rows, groups]`: bfloat16 values, not negative.
    pub scales: Vec<f32>,
    /// `[tiles of 16 rows, groups]`: width of the levels.
    pub bits: Vec<u8>,
}

impl Quantised {
    pub(super) fn assemble(rows: usize, shape: &Shape, tiles: Vec<Tile>) -> Self {
        let mut out = Quantised {
            rows,
            cols: shape.cols,
            sparsity: shape.sparsity,
            group_words: shape.group_words,
            levels: Vec::with_capacity(rows * shape.stored()),
            index: Vec::new(),
            scales: Vec::with_capacity(rows * shape.groups),
            bits: Vec::with_capacity(tiles.len() * shape.groups),
        };
        for tile in tiles {
            out.levels.extend(tile.levels);
            out.index.extend(tile.index);
            out.scales.extend(tile.scales);
            out.bits.extend(tile.bits);
        }
        debug_assert_eq!(out.check(), Ok(()));
        out
    }

    /// Dense inputs with padding.
    pub fn padded_cols(&self) -> usize {
        self.cols.next_multiple_of(self.sparsity.word_cols())
    }

    /// Stored values of a row.
    pub fn stored(&self) -> usize {
        self.padded_cols() / self.sparsity.m() * self.sparsity.n()
    }

    /// Stored values of a full group.
    pub fn group_stored(&self) -> usize {
        16 * self.group_words
    }

    /// Scale groups of a row.
    pub fn groups(&self) -> usize {
        self.stored().div_ceil(self.group_stored())
    }

    /// Mean bits of a stored level.
    pub fn average_bits(&self) -> f64 {
        let (stored, full) = (self.stored(), self.group_stored());
        let mut sum = 0;
        for bits in self.bits.chunks_exact(self.groups()) {
            for (group, bits) in bits.iter().enumerate() {
                sum += usize::from(*bits) * full.min(stored - group * full);
            }
        }
        sum as f64 / (stored * self.rows.div_ceil(TILE_ROWS)) as f64
    }

    /// Checks everything that the hardware relies on; the message names the first breach.
    pub fn check(&self) -> Result<(), String> {
        let (n, m, stored, groups) = (self.sparsity.n(), self.sparsity.m(), self.stored(), self.groups());
        let index = if m == 1 { 0 } else { self.rows * stored };
        let tiles = self.rows.div_ceil(TILE_ROWS);
        let sizes = [self.levels.len(), self.index.len(), self.scales.len(), self.bits.len()];
        let expected = [self.rows * stored, index, self.rows * groups, tiles * groups];
        if sizes != expected {
            return Err(format!("sizes {sizes:?}, expected {expected:?}"));
        }
        if let Some(bits) = self.bits.iter().find(|bits| !super::WIDTHS.contains(bits)) {
            return Err(format!("a width of {bits} bits"));
        }
        if let Some(scale) =
            self.scales.iter().find(|s| !(**s >= 0.0 && s.is_finite() && to_bf16(**s) == **s))
        {
            return Err(format!("scale {scale} is not a bfloat16 value of at least 0"));
        }
        for (at, level) in self.levels.iter().enumerate() {
            let (row, group) = (at / stored, at % stored / self.group_stored());
            let bits = self.bits[row / TILE_ROWS * groups + group];
            if !Grid::new(bits).contains(*level) {
                return Err(format!("row {row}: level {level} has no code of {bits} bits"));
            }
        }
        for (at, block) in self.index.chunks_exact(n).enumerate() {
            if !block.is_sorted_by(|a, b| a < b) || block.iter().any(|position| usize::from(*position) >= m) {
                return Err(format!("block {at}: positions {block:?} of {m}"));
            }
        }
        Ok(())
    }
}

/// The matrix `[rows, cols]` that the hardware computes with, padding removed.
pub fn dequantise(q: &Quantised) -> Vec<f32> {
    let (n, m, stored, groups) = (q.sparsity.n(), q.sparsity.m(), q.stored(), q.groups());
    let mut out = vec![0.0; q.rows * q.cols];
    for (row, out) in out.chunks_exact_mut(q.cols).enumerate() {
        let scales = &q.scales[row * groups..][..groups];
        for slot in 0..stored {
            let position = q.index.get(row * stored + slot).map_or(0, |position| usize::from(*position));
            if let Some(out) = out.get_mut(slot / n * m + position) {
                *out = scales[slot / q.group_stored()] * f32::from(q.levels[row * stored + slot]);
            }
        }
    }
    out
}
