//! From weights to bytes: tiles are gathered, compressed and encoded side by side.

use super::{stream, Packed, Part};
use crate::diag::Diagnostics;
use crate::import::WeightStore;
use crate::quant::{Calibration, Hessian, Quantiser, Sparsity, Widths};
use flightvlm_hw::config::TILE;
use flightvlm_hw::numerics::canon;
use rayon::prelude::*;

/// A part's values and what is folded into them.
struct Source<'a> {
    part: &'a Part,
    w: Vec<f32>,
    bias: Option<Vec<f32>>,
    columns: Option<&'a [f32]>,
    outputs: Option<&'a [f32]>,
}

impl Packed {
    /// Appends the layer's bytes to each slice's buffer.
    pub fn write(
        &self,
        weights: &WeightStore,
        calibration: Option<&Calibration>,
        out: &mut [Vec<u8>],
    ) -> Result<(), Diagnostics> {
        assert_eq!(out.len(), self.slices as usize);
        // Dense levels of 8 bits leave no error worth feeding forward.
        let rounded = self.spec.widths == Widths::Uniform(8) && self.spec.sparsity == Sparsity::Dense;
        let live: Vec<bool> = self.cols.iter().map(Option::is_some).collect();
        let mut known: Option<(Option<&Hessian>, Quantiser)> = None;
        let mut slot = 0;
        for part in &self.parts {
            let source = self.source(part, weights, calibration)?;
            let hessian = calibration.filter(|_| !rounded).and_then(|c| c.hessians.get(&part.linear.w));
            // Parts read the same inputs, as a rule.
            let same = |before: &Option<&Hessian>| match (before, hessian) {
                (Some(a), Some(b)) => a.is(b),
                (a, b) => a.is_none() && b.is_none(),
            };
            let (_, quantiser) = match known.take().filter(|(before, _)| same(before)) {
                Some(known) => known,
                None => {
                    let divided = hessian.map(|h| source.columns.map_or_else(|| h.clone(), |s| h.divided(s)));
                    let selected = divided.map(|h| h.select(&self.cols));
                    (hessian, Quantiser::new(&live, &self.spec, selected.as_ref()))
                }
            };
            let tiles: Vec<Vec<u8>> =
                part.rows.par_chunks(TILE).map(|rows| self.tile(&source, rows, &quantiser)).collect();
            for tile in tiles {
                out[slot % self.slices as usize].extend(tile);
                slot += 1;
            }
            known = Some((hessian, quantiser));
        }
        // Slices with a tile less keep their place empty.
        let longest = out.iter().map(Vec::len).max().unwrap_or(0);
        out.iter_mut().for_each(|o| o.resize(longest, 0));
        Ok(())
    }

    fn source<'a>(
        &self,
        part: &'a Part,
        weights: &WeightStore,
        calibration: Option<&'a Calibration>,
    ) -> Result<Source<'a>, Diagnostics> {
        let bias = part.linear.b.filter(|_| self.bias).map(|b| weights.load_f32(b)).transpose()?;
        let folding = calibration.map(|c| &c.folding);
        let columns = folding.and_then(|f| f.columns.get(&part.linear.w));
        let outputs = folding.and_then(|f| f.outputs.get(&part.linear.w));
        Ok(Source {
            part,
            w: weights.load_f32(part.linear.w)?,
            bias,
            columns: columns.map(|s| s.as_slice()),
            outputs: outputs.map(|s| s.as_slice()),
        })
    }

    /// A tile's bytes.
    fn tile(&self, source: &Source<'_>, rows: &[Option<u32>], quantiser: &Quantiser) -> Vec<u8> {
        let bytes = self.tile_units() as usize * 64;
        let mut out = Vec::with_capacity(bytes);
        let factor = |row: u32| source.outputs.map_or(1.0, |s| s[row as usize]);
        if self.bias {
            for r in rows {
                let x = r.zip(source.bias.as_deref()).map_or(0.0, |(r, b)| b[r as usize] * factor(r));
                out.extend(canon(x).to_le_bytes());
            }
        }
        let mut w = vec![0.0; rows.len() * self.cols.len()];
        for (to, row) in w.chunks_exact_mut(self.cols.len()).zip(rows) {
            let Some(row) = *row else { continue };
            let cols_in = source.part.linear.cols_in;
            self.gather(to, &source.w[row as usize * cols_in..][..cols_in], source.columns, factor(row));
        }
        stream::tile(&quantiser.tile(&w), 0, &mut out);
        assert!(out.len() <= bytes, "invariant: a tile fits its {} units", self.tile_units());
        out.resize(bytes, 0);
        out
    }

    /// A row in hardware order, padding as zeros.
    fn gather(&self, to: &mut [f32], from: &[f32], columns: Option<&[f32]>, factor: f32) {
        for (x, c) in to.iter_mut().zip(&self.cols) {
            *x = c.map_or(0.0, |c| from[c as usize]);
        }
        let Some(columns) = columns else {
            if factor != 1.0 {
                to.iter_mut().for_each(|x| *x *= factor);
            }
            return;
        };
        for (x, c) in to.iter_mut().zip(&self.cols) {
            *x *= c.map_or(1.0, |c| columns[c as usize]) * factor;
        }
    }
}
