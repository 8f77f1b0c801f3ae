//! Packed linear layers: per tile of 16 outputs `[bias unit][per group: scale unit, words]`, a word
//! being 16 outputs × 16 inputs int8. `hw/doc/microarchitecture.md` section 3, mode WEIGHT.
//!
//! Quantisation: symmetric round-to-nearest, one f32 scale per output row and group of
//! `16 · kbg` inputs, `q = round(w / scale)`, `scale = max|w| / 127`.

use crate::diag::{Diagnostic, Diagnostics};
use crate::import::WeightStore;
use crate::plan::Linear;
use flightvlm_hw::config::{TILE, UNIT_BYTES, WORD_UNITS};
use flightvlm_hw::numerics::canon;

/// Inputs per scale group, in k-blocks of 16 (128 inputs).
pub const GROUP_K_BLOCKS: u32 = 8;

/// One matrix inside a packed linear layer: rows of a checkpoint weight in hardware order.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The checkpoint's layer.
    pub linear: Linear,
    /// Source row of each output, `None` for padding; length is a multiple of 16.
    pub rows: Vec<Option<u32>>,
}

/// A linear layer as the weight stream holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// Matrices, stacked along the outputs.
    pub parts: Vec<Part>,
    /// Source column of each input, `None` for padding; length is a multiple of 16.
    pub cols: Vec<Option<u32>>,
    /// k-blocks per scale group as the instructions have it, 0 = one group.
    pub kbg: u32,
    /// A bias unit precedes each tile.
    pub bias: bool,
}

/// `0..n`, padded with `None` to a multiple of 16.
pub fn padded(n: usize) -> Vec<Option<u32>> {
    (0..n.next_multiple_of(TILE)).map(|i| (i < n).then_some(i as u32)).collect()
}

impl Packed {
    /// Packs `parts` over inputs in the order `cols`.
    pub fn new(parts: Vec<Part>, cols: Vec<Option<u32>>) -> Packed {
        assert!(cols.len().is_multiple_of(TILE) && parts.iter().all(|p| p.rows.len().is_multiple_of(TILE)));
        let kb = (cols.len() / TILE) as u32;
        let kbg = if kb > GROUP_K_BLOCKS { GROUP_K_BLOCKS } else { 0 };
        let bias = parts.iter().any(|p| p.linear.b.is_some());
        Packed { parts, cols, kbg, bias }
    }

    /// One matrix in its own order.
    pub fn plain(linear: &Linear) -> Packed {
        let part = Part { linear: linear.clone(), rows: padded(linear.cols_out) };
        Packed::new(vec![part], padded(linear.cols_in))
    }

    /// Tiles of 16 outputs.
    pub fn tiles(&self) -> u32 {
        (self.parts.iter().map(|p| p.rows.len()).sum::<usize>() / TILE) as u32
    }
    /// k-blocks of a tile.
    pub fn kb(&self) -> u32 {
        (self.cols.len() / TILE) as u32
    }
    /// Scale groups of a tile.
    pub fn groups(&self) -> u32 {
        if self.kbg == 0 {
            1
        } else {
            self.kb().div_ceil(self.kbg)
        }
    }
    /// DRAM units of a tile.
    pub fn tile_units(&self) -> u32 {
        u32::from(self.bias) + self.groups() + self.kb() * WORD_UNITS as u32
    }
    /// DRAM units of the layer.
    pub fn units(&self) -> u32 {
        self.tiles() * self.tile_units()
    }

    /// The stream's bytes.
    pub fn bytes(&self, weights: &WeightStore) -> Result<Vec<u8>, Diagnostics> {
        let mut out = Vec::with_capacity(self.units() as usize * UNIT_BYTES);
        for part in &self.parts {
            let w = weights.load_f32(part.linear.w)?;
            let b = part.linear.b.map(|b| weights.load_f32(b)).transpose()?;
            for rows in part.rows.chunks_exact(TILE) {
                self.tile(rows, &w, b.as_deref(), part.linear.cols_in, &mut out);
            }
        }
        debug_assert_eq!(out.len(), self.units() as usize * UNIT_BYTES);
        Ok(out)
    }

    fn tile(&self, rows: &[Option<u32>], w: &[f32], b: Option<&[f32]>, cols_in: usize, out: &mut Vec<u8>) {
        if self.bias {
            for r in rows {
                let x = r.zip(b).map_or(0.0, |(r, b)| b[r as usize]);
                out.extend(canon(x).to_le_bytes());
            }
        }
        let group = if self.kbg == 0 { self.cols.len() } else { self.kbg as usize * TILE };
        let at = |row: Option<u32>, col: Option<u32>| match (row, col) {
            (Some(r), Some(c)) => w[r as usize * cols_in + c as usize],
            _ => 0.0,
        };
        for cols in self.cols.chunks(group) {
            let scales: Vec<f32> = rows
                .iter()
                .map(|r| {
                    let peak = cols.iter().fold(0.0f32, |m, c| m.max(at(*r, *c).abs()));
                    canon(peak / 127.0)
                })
                .collect();
            for s in &scales {
                out.extend(s.to_le_bytes());
            }
            for block in cols.chunks_exact(TILE) {
                for (r, s) in rows.iter().zip(&scales) {
                    for c in block {
                        let q = if *s == 0.0 { 0.0 } else { (at(*r, *c) / s).round() };
                        out.push(q.clamp(-127.0, 127.0) as i8 as u8);
                    }
                }
            }
        }
    }
}

/// A vector as f32 units, padded with zeros to `words` words.
pub fn vector(values: &[f32], words: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(words as usize * UNIT_BYTES);
    out.extend(values.iter().flat_map(|x| canon(*x).to_le_bytes()));
    out.resize(words as usize * UNIT_BYTES, 0);
    out
}

/// A matrix as padded rows.
pub fn matrix(values: &[f32], cols: usize) -> Vec<u8> {
    values.chunks_exact(cols).flat_map(|row| vector(row, super::words(cols))).collect()
}

/// The message for a layer that is too wide for the hardware.
pub fn check_fits(p: &Packed, wfifo_words: u32, sfifo_words: u32) -> Result<(), Diagnostic> {
    if p.kb() <= wfifo_words && p.groups() + u32::from(p.bias) <= sfifo_words {
        return Ok(());
    }
    Err(Diagnostic::new(
        &p.parts[0].linear.path,
        format!("at most {} input columns", wfifo_words * TILE as u32),
        format!("{} input columns", p.cols.len()),
        "use a target with a larger weight FIFO",
    ))
}
