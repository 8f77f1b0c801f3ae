//! A layer's columns as words, groups and blocks.

use super::spec::{Sparsity, Spec};

/// Sizes that follow from the number of inputs and the [`Spec`].
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub cols: usize,
    /// `cols` rounded up to whole words.
    pub padded: usize,
    pub sparsity: Sparsity,
    pub group_words: usize,
    /// Dense columns of a full group; the last one may be shorter.
    pub group_cols: usize,
    pub groups: usize,
}

impl Shape {
    pub fn new(cols: usize, spec: &Spec) -> Self {
        assert!(matches!(spec.group_words, 2 | 4 | 8), "groups of 2, 4 or 8 words");
        let padded = cols.next_multiple_of(spec.sparsity.word_cols());
        let group_cols = spec.group_cols();
        let groups = padded.div_ceil(group_cols);
        let (sparsity, group_words) = (spec.sparsity, spec.group_words);
        Shape { cols, padded, sparsity, group_words, group_cols, groups }
    }

    /// Values that a row stores.
    pub fn stored(&self) -> usize {
        self.stored_at(self.padded)
    }

    /// Stored values in front of dense column `col`, a multiple of the block.
    pub fn stored_at(&self, col: usize) -> usize {
        col / self.sparsity.m() * self.sparsity.n()
    }

    /// Dense columns of a group.
    pub fn group(&self, group: usize) -> std::ops::Range<usize> {
        group * self.group_cols..((group + 1) * self.group_cols).min(self.padded)
    }

    /// Words of a group.
    pub fn words(&self, group: usize) -> usize {
        self.group(group).len() / self.sparsity.word_cols()
    }

    /// Rows of `cols` values as rows of `padded` values.
    pub fn pad(&self, rows: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; rows.len() / self.cols * self.padded];
        for (out, row) in out.chunks_exact_mut(self.padded).zip(rows.chunks_exact(self.cols)) {
            out[..self.cols].copy_from_slice(row);
        }
        out
    }
}
