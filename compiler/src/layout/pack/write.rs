//! From weights to bytes: tiles are gathered, compressed and encoded side by side.

use super::{stream, Packed, Part};
use crate::diag::Diagnostics;
use crate::import::{Rows, WeightStore};
use crate::quant::report::{Measure, Sums};
use crate::quant::{Calibration, Hessian, LayerReport, Quantiser};
use flightvlm_hw::config::TILE;
use flightvlm_hw::numerics::canon;
use rayon::prelude::*;
use std::sync::Mutex;

/// A part's values and what is folded into them.
struct Source<'a> {
    part: &'a Part,
    w: Rows<'a>,
    /// Instead of `w`.
    aim: Option<&'a [f32]>,
    bias: Option<Vec<f32>>,
    columns: Option<&'a [f32]>,
    outputs: Option<&'a [f32]>,
}

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
        let live: Vec<bool> = self.cols.iter().map(Option::is_some).collect();
        let mut known: Option<(Option<&Hessian>, Quantiser)> = None;
        let mut slot = 0;
        for part in &self.parts {
            let source = self.source(part, weights, calibration)?;
            let hessian = calibration.and_then(|c| c.hessians.get(&part.linear.w));
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
            let measure = report
                .map(|_| Measure::new(&live, &self.spec, hessian.map(|h| h.select(&self.cols)).as_ref()));
            let tiles: Vec<(Vec<u8>, Option<Sums>)> = part
                .rows
                .par_chunks(TILE)
                .map(|rows| self.tile(&source, rows, &quantiser, measure.as_ref()))
                .collect();
            let sums: Vec<Sums> = tiles.iter().filter_map(|(_, sums)| *sums).collect();
            for (tile, _) in tiles {
                out[slot % self.slices as usize].extend(tile);
                slot += 1;
            }
            if let Some(report) = report {
                let first = self.cols.iter().flatten().min().map_or(0, |c| *c as usize);
                let inputs = (first, self.cols.iter().flatten().count());
                let outputs = part.rows.iter().flatten().count();
                let line = Sums::of(&sums).report(&part.linear.path, inputs, outputs, source.columns);
                report.lock().unwrap_or_else(|e| e.into_inner()).push(line);
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
        weights: &'a WeightStore,
        calibration: Option<&'a Calibration>,
    ) -> Result<Source<'a>, Diagnostics> {
        let bias = part.linear.b.filter(|_| self.bias).map(|b| weights.load_f32(b)).transpose()?;
        let folding = calibration.map(|c| &c.folding);
        let columns = folding.and_then(|f| f.columns.get(&part.linear.w));
        let outputs = folding.and_then(|f| f.outputs.get(&part.linear.w));
        Ok(Source {
            part,
            w: weights.rows(part.linear.w)?,
            aim: calibration.and_then(|c| c.aims.get(&part.linear.w)).map(|aim| aim.as_slice()),
            bias,
            columns: columns.map(|s| s.as_slice()),
            outputs: outputs.map(|s| s.as_slice()),
        })
    }

    /// A tile's bytes, and with `measure` what its compression costs.
    fn tile(
        &self,
        source: &Source<'_>,
        rows: &[Option<u32>],
        quantiser: &Quantiser,
        measure: Option<&Measure>,
    ) -> (Vec<u8>, Option<Sums>) {
        let bytes = self.tile_units() as usize * 64;
        let mut out = Vec::with_capacity(bytes);
        let factor = |row: u32| source.outputs.map_or(1.0, |s| s[row as usize]);
        if self.bias {
            for r in rows {
                let x = r.zip(source.bias.as_deref()).map_or(0.0, |(r, b)| b[r as usize] * factor(r));
                out.extend(canon(x).to_le_bytes());
            }
        }
        let cols_in = source.part.linear.cols_in;
        let gathered = |fill: &dyn Fn(u32, &mut [f32]), columns: Option<&[f32]>, folded: bool| {
            let mut w = vec![0.0; rows.len() * self.cols.len()];
            let mut values = vec![0.0; cols_in];
            for (to, row) in w.chunks_exact_mut(self.cols.len()).zip(rows) {
                let Some(row) = *row else { continue };
                fill(row, &mut values);
                self.gather(to, &values, columns, if folded { factor(row) } else { 1.0 });
            }
            w
        };
        let row_of = |row: u32, values: &mut [f32]| match source.aim {
            Some(aim) => values.copy_from_slice(&aim[row as usize * cols_in..][..cols_in]),
            None => source.w.copy(row as usize, values),
        };
        let q = quantiser.tile(&gathered(&row_of, source.columns, true));
        let sums = measure.map(|m| {
            let mut factors = gathered(&|_, values| values.fill(1.0), source.columns, true);
            // Padding.
            factors.iter_mut().filter(|f| **f == 0.0).for_each(|f| *f = 1.0);
            m.tile(&gathered(&row_of, None, false), &q, &factors)
        });
        stream::tile(&q, 0, &mut out);
        assert!(out.len() <= bytes, "invariant: a tile fits its {} units", self.tile_units());
        out.resize(bytes, 0);
        (out, sums)
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
