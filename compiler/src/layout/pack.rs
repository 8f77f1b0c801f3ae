//! Packed linear layers: per tile of 16 outputs `[bias unit][per pair of groups: scale unit][words]`
//! in the format `mixed` of the weight stream (`hw/doc/microarchitecture.md` 3.1), tiles dealt out
//! to the slices in turn.
//!
//! [`Packed`] knows sizes without weights; [`Packed::write`] compresses the weights
//! ([`crate::quant`]) and appends each slice's bytes.

use crate::diag::Diagnostic;
use crate::plan::Linear;
use crate::quant::{tile_word_bits, Sparsity, Spec, Widths};
use flightvlm_hw::config::{HwConfig, TILE};
use flightvlm_hw::isa::{names::*, MIXED_BITS, NM_INDEX_UNITS, NM_WINDOW_WORDS};
use flightvlm_hw::numerics::canon;
use rayon::prelude::*;

pub(crate) mod compress;
mod pattern;
mod stream;
mod write;

/// One matrix inside a packed linear layer: rows of a checkpoint weight in hardware order.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The checkpoint's layer.
    pub linear: Linear,
    /// Source row of each output, `None` for padding; length is a multiple of 16.
    pub rows: Vec<Option<u32>>,
}

/// How linear layers are to be stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Storage {
    /// Widths of the levels.
    pub widths: Widths,
    /// N:M sparsity.
    pub sparsity: Sparsity,
    /// Words that share a scale, at most.
    pub group_words: usize,
    /// Slices that share the tiles.
    pub slices: u32,
}

impl Storage {
    /// Dense 8-bit levels in groups of 128 inputs: what is not compressed further.
    pub fn w8(slices: u32) -> Storage {
        let (widths, sparsity) = (Widths::Uniform(8), Sparsity::Dense);
        Storage { widths, sparsity, group_words: Spec::GROUP_WORDS, slices }
    }

    /// What the compression is told.
    pub fn spec(&self) -> Spec {
        Spec { widths: self.widths, sparsity: self.sparsity, group_words: self.group_words }
    }
}

/// A linear layer as the weight stream holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// Matrices, stacked along the outputs.
    pub parts: Vec<Part>,
    /// Source column of each input, `None` for padding; length is a multiple of 16.
    pub cols: Vec<Option<u32>>,
    /// Compression.
    pub spec: Spec,
    /// Slices that share the tiles.
    pub slices: u32,
    /// A bias unit precedes each tile.
    pub bias: bool,
}

/// `0..n`, padded with `None` to a multiple of 16.
pub fn padded(n: usize) -> Vec<Option<u32>> {
    (0..n.next_multiple_of(TILE)).map(|i| (i < n).then_some(i as u32)).collect()
}

impl Packed {
    /// Packs `parts` over inputs in the order `cols`.
    pub fn new(parts: Vec<Part>, cols: Vec<Option<u32>>, storage: Storage) -> Packed {
        assert!(cols.len().is_multiple_of(TILE) && parts.iter().all(|p| p.rows.len().is_multiple_of(TILE)));
        let bias = parts.iter().any(|p| p.linear.b.is_some());
        let words = cols.len().div_ceil(storage.sparsity.word_cols());
        // Groups of one size: a short last one would waste what mixed widths save.
        let fits = |g: &usize| *g <= storage.group_words && (words.is_multiple_of(*g) || words <= *g);
        let group_words = [8, 4, 2].into_iter().find(fits).unwrap_or(storage.group_words);
        let spec = Spec { widths: storage.widths, sparsity: storage.sparsity, group_words };
        Packed { parts, cols, spec, slices: storage.slices, bias }
    }

    /// One matrix in its own order.
    pub fn plain(linear: &Linear, storage: Storage) -> Packed {
        let part = Part { linear: linear.clone(), rows: padded(linear.cols_out) };
        Packed::new(vec![part], padded(linear.cols_in), storage)
    }

    /// The same matrices stored in another way.
    pub fn stored(&self, storage: Storage) -> Packed {
        Packed::new(self.parts.clone(), self.cols.clone(), storage)
    }

    /// The layer cut along its inputs into pieces of at most `words` stored words; the bias goes with
    /// the first. Their outputs are to be added.
    pub fn split(self, words: u32) -> Vec<Packed> {
        let pieces = self.words().div_ceil(words);
        if pieces == 1 {
            return vec![self];
        }
        let step = self.words().div_ceil(pieces).next_multiple_of(self.spec.group_words as u32);
        let cols = step as usize * self.spec.sparsity.word_cols();
        let mut out: Vec<Packed> =
            self.cols.chunks(cols).map(|c| Packed { cols: c.to_vec(), ..self.clone() }).collect();
        out.iter_mut().skip(1).for_each(|p| p.bias = false);
        out
    }

    /// Tiles of 16 outputs.
    pub fn tiles(&self) -> u32 {
        (self.parts.iter().map(|p| p.rows.len()).sum::<usize>() / TILE) as u32
    }
    /// Tiles of the slice that has most.
    pub fn rounds(&self) -> u32 {
        self.tiles().div_ceil(self.slices)
    }
    /// Tiles of a slice.
    pub fn tiles_of(&self, slice: u32) -> u32 {
        (self.tiles() + self.slices - 1 - slice) / self.slices
    }
    /// Stored words of a tile.
    pub fn words(&self) -> u32 {
        self.cols.len().div_ceil(self.spec.sparsity.word_cols()) as u32
    }
    /// Words per scale group as the instructions have it, 0 = one group.
    pub fn kbg(&self) -> u32 {
        let g = self.spec.group_words as u32;
        if self.words() > g {
            g
        } else {
            0
        }
    }
    /// Scale groups of a tile.
    pub fn groups(&self) -> u32 {
        self.words().div_ceil(self.spec.group_words as u32)
    }
    /// The `nm` field.
    pub fn nm(&self) -> u32 {
        match self.spec.sparsity {
            Sparsity::Dense => NM_DENSE,
            Sparsity::S2of4 => NM_2OF4,
            Sparsity::S8of16 => NM_8OF16,
            Sparsity::S4of16 => NM_4OF16,
            Sparsity::S2of16 => NM_2OF16,
        }
    }
    /// Units of a tile, the same for all tiles: levels, indices, scales, bias.
    pub fn tile_units(&self) -> u32 {
        let values = match self.spec.widths {
            Widths::Uniform(bits) => {
                let g = self.spec.group_words as u32;
                (0..self.groups()).map(|i| stream::group_units(g.min(self.words() - i * g), bits)).sum()
            }
            // A group of an odd number of words may end with half a unit.
            Widths::Mixed { .. } => {
                let g = self.spec.group_words as u32;
                let odd = (0..self.groups()).filter(|i| g.min(self.words() - i * g) % 2 == 1).count();
                ((tile_word_bits(self.cols.len(), &self.spec) + odd) / 2) as u32
            }
        };
        let index = self.words() * NM_INDEX_UNITS[self.nm() as usize];
        u32::from(self.bias) + self.groups().div_ceil(2) + index + values
    }
    /// Units of the layer in each channel.
    pub fn units(&self) -> u32 {
        self.rounds() * self.tile_units()
    }
    /// Multiply-accumulates of one row, stored ones only.
    pub fn macs_per_row(&self) -> u64 {
        u64::from(self.tiles()) * u64::from(self.words()) * 256
    }

    /// Can the target run it? Width of the FIFOs, and whole windows for sparse inputs.
    pub fn check(&self, config: &HwConfig) -> Result<(), Diagnostic> {
        let path = &self.parts[0].linear.path;
        if self.words() > config.wfifo_words || self.groups() + u32::from(self.bias) > config.sfifo_words {
            let dense = config.wfifo_words as usize * self.spec.sparsity.word_cols();
            return Err(Diagnostic::new(
                path,
                format!("at most {dense} input columns in {} scale groups", config.sfifo_words - 1),
                format!("{} input columns in {} groups", self.cols.len(), self.groups()),
                "use larger groups, or a target with larger weight FIFOs",
            ));
        }
        let window = NM_WINDOW_WORDS[self.nm() as usize] as usize * TILE;
        if !self.cols.len().is_multiple_of(window) {
            return Err(Diagnostic::new(
                path,
                format!("input columns in whole windows of {window} for sparsity {}", self.spec.sparsity),
                format!("{} input columns", self.cols.len()),
                "choose a sparsity with a smaller window (2:4 and 8:16 take 32 columns), or dense",
            ));
        }
        self.spec.check_storage()
    }
}

/// Format code of a width in the stream.
fn format_code(bits: u8) -> usize {
    MIXED_BITS.iter().position(|b| *b == u32::from(bits)).expect("invariant: a width of the stream")
}

/// A vector as f32 units, padded with zeros to `words` words.
pub fn vector(values: &[f32], words: u32) -> Vec<u8> {
    let mut out = vec![0; words as usize * 64];
    put(values, &mut out);
    out
}

/// A matrix as padded rows.
pub fn matrix(values: &[f32], cols: usize) -> Vec<u8> {
    let row_bytes = super::words(cols) as usize * 64;
    let mut out = vec![0; values.len() / cols * row_bytes];
    let rows = out.par_chunks_mut(row_bytes).zip(values.par_chunks_exact(cols));
    rows.with_min_len(64).for_each(|(to, row)| put(row, to));
    out
}

fn put(values: &[f32], to: &mut [u8]) {
    let places = to.as_chunks_mut().0;
    values.iter().zip(places).for_each(|(x, to)| *to = canon(*x).to_le_bytes());
}
