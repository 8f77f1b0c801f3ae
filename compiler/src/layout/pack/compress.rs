//! From weights to compressed tiles, in the order of the hardware.

use super::{Packed, Part};
use crate::import::Rows;
use crate::quant::report::Measure;
use crate::quant::{dequantise, CompressedTile, Folding, Hessian, Quantiser};
use flightvlm_hw::config::TILE;
use rayon::prelude::*;

/// Where a part's values are.
pub(crate) enum Values<'a> {
    /// In the checkpoint.
    File(Rows<'a>),
    /// In memory, `[outputs, inputs]`.
    Memory(&'a [f32]),
}

/// A part's values and what is folded into them.
pub(crate) struct Source<'a> {
    values: Values<'a>,
    cols_in: usize,
    pub(super) columns: Option<&'a [f32]>,
    outputs: Option<&'a [f32]>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(part: &Part, values: Values<'a>, folding: Option<&'a Folding>) -> Source<'a> {
        let w = part.linear.w;
        let columns = folding.and_then(|f| f.columns.get(&w)).map(|s| s.as_slice());
        let outputs = folding.and_then(|f| f.outputs.get(&w)).map(|s| s.as_slice());
        Source { values, cols_in: part.linear.cols_in, columns, outputs }
    }

    /// What is folded into an output row.
    pub(super) fn factor(&self, row: u32) -> f32 {
        self.outputs.map_or(1.0, |s| s[row as usize])
    }

    fn row(&self, row: u32, to: &mut [f32]) {
        match &self.values {
            Values::File(rows) => rows.copy(row as usize, to),
            Values::Memory(all) => to.copy_from_slice(&all[row as usize * self.cols_in..][..self.cols_in]),
        }
    }
}

/// Compresses the parts of a packed layer that read the same inputs.
pub(crate) struct Compressor<'p> {
    packed: &'p Packed,
    quantiser: Quantiser,
    measure: Option<Measure>,
}

impl<'p> Compressor<'p> {
    /// For inputs with the sum `hessian` that are divided by `columns`; `measured`: tiles say what they cost.
    pub(crate) fn new(
        packed: &'p Packed,
        hessian: Option<&Hessian>,
        columns: Option<&[f32]>,
        measured: bool,
    ) -> Self {
        let live: Vec<bool> = packed.cols.iter().map(Option::is_some).collect();
        let divided = hessian.map(|h| columns.map_or_else(|| h.clone(), |s| h.divided(s)));
        let selected = |h: Option<&Hessian>| h.map(|h| h.select(&packed.cols));
        let quantiser = Quantiser::new(&live, &packed.spec, selected(divided.as_ref()).as_ref());
        let measure = measured.then(|| Measure::new(&live, &packed.spec, selected(hessian).as_ref()));
        Compressor { packed, quantiser, measure }
    }

    /// The same with every group of weights clipped to `most` of its largest or less.
    pub(crate) fn clipped(self, most: f32) -> Self {
        Compressor { quantiser: self.quantiser.clipped(most), ..self }
    }

    /// All tiles of a part.
    pub(crate) fn part(&self, part: &Part, source: &Source<'_>) -> Vec<CompressedTile> {
        part.rows.par_chunks(TILE).map(|rows| self.tile(rows, source)).collect()
    }

    /// The tile of these output rows.
    pub(super) fn tile(&self, rows: &[Option<u32>], source: &Source<'_>) -> CompressedTile {
        let levels = self.quantiser.tile(&self.gathered(rows, source, true));
        let cost = self.measure.as_ref().map(|measure| {
            let factors = self.packed.factors(rows, source);
            measure.tile(&self.gathered(rows, source, false), &levels, &factors)
        });
        CompressedTile { levels, cost }
    }

    /// Rows in hardware order, padding as zeros; `folded`: times what is folded into them.
    fn gathered(&self, rows: &[Option<u32>], source: &Source<'_>, folded: bool) -> Vec<f32> {
        let cols = &self.packed.cols;
        let mut out = vec![0.0; rows.len() * cols.len()];
        let mut values = vec![0.0; source.cols_in];
        for (to, row) in out.chunks_exact_mut(cols.len()).zip(rows) {
            let Some(row) = *row else { continue };
            source.row(row, &mut values);
            for (x, c) in to.iter_mut().zip(cols) {
                *x = c.map_or(0.0, |c| values[c as usize]);
            }
            if folded {
                self.packed.fold(to, row, source);
            }
        }
        out
    }
}

impl Packed {
    fn fold(&self, to: &mut [f32], row: u32, source: &Source<'_>) {
        let factor = source.factor(row);
        match source.columns {
            None if factor == 1.0 => {}
            None => to.iter_mut().for_each(|x| *x *= factor),
            Some(columns) => {
                for (x, c) in to.iter_mut().zip(&self.cols) {
                    *x *= c.map_or(1.0, |c| columns[c as usize]) * factor;
                }
            }
        }
    }

    /// What is folded into each element of a tile; 1 for padding.
    fn factors(&self, rows: &[Option<u32>], source: &Source<'_>) -> Vec<f32> {
        let mut out = vec![1.0; rows.len() * self.cols.len()];
        for (to, row) in out.chunks_exact_mut(self.cols.len()).zip(rows) {
            row.iter().for_each(|row| self.fold(to, *row, source));
        }
        out
    }

    /// Writes what the machine will compute with, folding undone, into `to` `[outputs, inputs]`.
    pub(crate) fn restore(&self, part: &Part, source: &Source<'_>, tiles: &[CompressedTile], to: &mut [f32]) {
        for (rows, tile) in part.rows.chunks(TILE).zip(tiles) {
            let (values, factors) = (dequantise(&tile.levels), self.factors(rows, source));
            for (at, (value, factor)) in values.iter().zip(&factors).enumerate() {
                let (row, col) = (rows[at / self.cols.len()], self.cols[at % self.cols.len()]);
                if let Some((row, col)) = row.zip(col) {
                    to[row as usize * source.cols_in + col as usize] = value / factor;
                }
            }
        }
    }
}
