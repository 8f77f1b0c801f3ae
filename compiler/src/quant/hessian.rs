//! Sums of `xᵀx` over the input rows of a linear layer.

use super::dense::{add_product, Part};
use rayon::prelude::*;
use std::sync::Arc;

/// Input rows that one product takes; bounds the error of the float32 sums inside it.
const ROWS_PER_SUM: usize = 256;
/// Rows of the matrix that one job computes.
const STRIPE: usize = 128;

/// `XᵀX` of a layer's inputs `X [rows, cols]`: half the Hessian of its squared output error. Only
/// ratios matter, so the sum is not divided by the number of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Hessian {
    cols: usize,
    rows: u64,
    /// Lower triangle, row by row; shared by the layers that read the same inputs.
    packed: Arc<Vec<f64>>,
}

impl Hessian {
    /// No rows yet.
    pub fn new(cols: usize) -> Self {
        Hessian { cols, rows: 0, packed: Arc::new(vec![0.0; cols * (cols + 1) / 2]) }
    }

    /// Bytes that a sum over `cols` inputs takes.
    pub fn bytes(cols: usize) -> u64 {
        (cols as u64) * (cols as u64 + 1) / 2 * 8
    }

    /// Adds input rows, row-major. Sums of up to 256 rows are float32, sums of those float64.
    pub fn add_rows(&mut self, x: &[f32]) {
        let cols = self.cols;
        assert!(x.len().is_multiple_of(cols), "whole rows of {cols} inputs");
        self.rows += (x.len() / cols) as u64;
        let mut stripes = Vec::new();
        let mut rest = Arc::make_mut(&mut self.packed).as_mut_slice();
        for start in (0..cols).step_by(STRIPE) {
            let end = (start + STRIPE).min(cols);
            let (stripe, behind) = rest.split_at_mut(row_start(end) - row_start(start));
            stripes.push((start, end, stripe));
            rest = behind;
        }
        stripes.into_par_iter().for_each(|(start, end, stripe)| {
            let mut sum = vec![0.0f32; (end - start) * end];
            for x in x.chunks(ROWS_PER_SUM * cols) {
                let rows = x.len() / cols;
                sum.fill(0.0);
                let left = Part::new(&x[start..], rows, end - start, cols).transposed();
                add_product(&mut sum, end, 1.0, left, Part::new(x, rows, end, cols));
                let mut packed = stripe.iter_mut();
                for (row, sum) in (start..end).zip(sum.chunks_exact(end)) {
                    let targets = packed.by_ref().take(row + 1);
                    targets.zip(sum).for_each(|(total, part)| *total += f64::from(*part));
                }
            }
        });
    }

    /// Adds the rows of another sum.
    pub fn add(&mut self, other: &Hessian) {
        assert_eq!(self.cols, other.cols, "sums over the same inputs");
        self.rows += other.rows;
        Arc::make_mut(&mut self.packed).iter_mut().zip(other.packed.iter()).for_each(|(a, b)| *a += b);
    }

    /// Inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Input rows summed so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Element `[row, col]`.
    pub fn at(&self, row: usize, col: usize) -> f64 {
        self.packed[row_start(row.max(col)) + row.min(col)]
    }

    /// The sum for a layer whose inputs are reordered: new column `i` is old column `cols[i]`, or
    /// always zero.
    pub fn select(&self, cols: &[Option<u32>]) -> Hessian {
        let mut packed = Vec::with_capacity(row_start(cols.len()));
        for (row, a) in cols.iter().enumerate() {
            for b in &cols[..=row] {
                packed.push(a.zip(*b).map_or(0.0, |(a, b)| self.at(a as usize, b as usize)));
            }
        }
        Hessian { cols: cols.len(), rows: self.rows, packed: Arc::new(packed) }
    }

    /// The sum for inputs that have been divided by `scales`.
    pub fn divided(&self, scales: &[f32]) -> Hessian {
        assert_eq!(self.cols, scales.len(), "one scale per input");
        let inverse: Vec<f64> = scales.iter().map(|s| 1.0 / f64::from(*s)).collect();
        let mut packed = Vec::with_capacity(self.packed.len());
        for (row, a) in inverse.iter().enumerate() {
            let values = &self.packed[row_start(row)..];
            packed.extend(inverse[..=row].iter().zip(values).map(|(b, x)| x * a * b));
        }
        Hessian { cols: self.cols, rows: self.rows, packed: Arc::new(packed) }
    }

    /// True when both are the same sum, not only equal ones.
    pub fn is(&self, other: &Hessian) -> bool {
        Arc::ptr_eq(&self.packed, &other.packed)
    }

    /// All elements, `[padded, padded]`, zero beyond the inputs.
    pub(super) fn expand(&self, padded: usize) -> Vec<f64> {
        let mut out = vec![0.0; padded * padded];
        for row in 0..self.cols {
            for col in 0..=row {
                let value = self.packed[row_start(row) + col];
                out[row * padded + col] = value;
                out[col * padded + row] = value;
            }
        }
        out
    }
}

fn row_start(row: usize) -> usize {
    row * (row + 1) / 2
}
