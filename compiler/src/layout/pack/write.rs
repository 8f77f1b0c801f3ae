//! From weights to bytes: tiles are compressed and encoded side by side.

use super::compress::{Compressor, Source, Values};
use super::{stream, Packed};
use crate::diag::Diagnostics;
use crate::graph::WeightId;
use crate::import::WeightStore;
use crate::quant::report::Sums;
use crate::quant::{Calibration, Hessian, LayerReport, Quantised};
use flightvlm_hw::config::TILE;
use flightvlm_hw::numerics::canon;
use rayon::prelude::*;
use std::sync::Mutex;

/// A compressor and the inputs that it is for.
type Known<'a> = (Option<&'a Hessian>, Compressor<'a>);

impl Packed {
    /// Appends the layer's bytes to each slice's buffer, and what compression costs to `report` where that is wanted.
    pub fn write(
        &self,
        weights: &WeightStore,
        calibration: Option<&Calibration>,
        report: Option<&Mutex<Vec<LayerReport>>>,
        out: &mut [Vec<u8>],
    ) -> Result<(), Diagnostics> {
        assert_eq!(out.len(), self.slices as usize);
        let mut known: Option<Known<'_>> = None;
        let mut slot = 0;
        for part in &self.parts {
            let w = part.linear.w;
            let folding = calibration.map(|c| &c.folding);
            let source = Source::new(part, Values::File(weights.rows(w)?), folding);
            let bias = part.linear.b.filter(|_| self.bias).map(|b| weights.load_f32(b)).transpose()?;
            let encode = |rows: &[_], levels: &Quantised| self.encode(rows, levels, bias.as_deref(), &source);
            let followed = calibration.and_then(|c| c.followed.get(&self.piece(w)));
            let tiles: Vec<(Vec<u8>, Option<Sums>)> = match followed {
                Some(tiles) => {
                    let rows = part.rows.par_chunks(TILE).zip(tiles.par_iter());
                    rows.map(|(rows, tile)| (encode(rows, &tile.levels), tile.cost)).collect()
                }
                None => {
                    let hessian = calibration.and_then(|c| c.hessians.get(&w));
                    // Parts read the same inputs, as a rule.
                    let same = |before: &Option<&Hessian>| match (before, hessian) {
                        (Some(a), Some(b)) => a.is(b),
                        (a, b) => a.is_none() && b.is_none(),
                    };
                    let make = || (hessian, Compressor::new(self, hessian, source.columns, report.is_some()));
                    let usable = known.take().filter(|(before, _)| same(before)).unwrap_or_else(make);
                    let (_, compressor) = known.insert(usable);
                    let one = |rows: &[Option<u32>]| {
                        let tile = compressor.tile(rows, &source);
                        (encode(rows, &tile.levels), tile.cost)
                    };
                    part.rows.par_chunks(TILE).map(one).collect()
                }
            };
            if let Some(report) = report {
                let sums: Vec<Sums> = tiles.iter().filter_map(|(_, sums)| *sums).collect();
                let inputs = (self.first_col(), self.cols.iter().flatten().count());
                let outputs = part.rows.iter().flatten().count();
                let line = Sums::of(&sums).report(&part.linear.path, inputs, outputs, source.columns);
                report.lock().unwrap_or_else(|e| e.into_inner()).push(line);
            }
            for (tile, _) in tiles {
                out[slot % self.slices as usize].extend(tile);
                slot += 1;
            }
        }
        // Slices with a tile less keep their place empty.
        let longest = out.iter().map(Vec::len).max().unwrap_or(0);
        out.iter_mut().for_each(|o| o.resize(longest, 0));
        Ok(())
    }

    /// A weight's share of this layer, which may have only some of its inputs.
    pub(crate) fn piece(&self, w: WeightId) -> (WeightId, usize) {
        (w, self.first_col())
    }

    fn first_col(&self) -> usize {
        self.cols.iter().flatten().min().map_or(0, |c| *c as usize)
    }

    fn encode(
        &self,
        rows: &[Option<u32>],
        levels: &Quantised,
        bias: Option<&[f32]>,
        source: &Source<'_>,
    ) -> Vec<u8> {
        let bytes = self.tile_units() as usize * 64;
        let mut out = Vec::with_capacity(bytes);
        if self.bias {
            for r in rows {
                let x = r.zip(bias).map_or(0.0, |(r, b)| b[r as usize] * source.factor(r));
                out.extend(canon(x).to_le_bytes());
            }
        }
        stream::tile(levels, 0, &mut out);
        assert!(out.len() <= bytes, "invariant: a tile fits its {} units", self.tile_units());
        out.resize(bytes, 0);
        out
    }
}
