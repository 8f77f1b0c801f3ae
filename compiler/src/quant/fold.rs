//! Folding: scales that move size from a layer's inputs into its weights, exactly, so that outliers among
//! the inputs cost fewer of the 8 bits that a row of them has.
//!
//! Column j of the inputs is divided by `s[j]` where it is made (in a norm's vector, or in the rows of
//! the linear layer in front), and column j of the weights multiplied by it: SmoothQuant (Xiao et al.,
//! arXiv:2211.10438) and, in front of linear layers, AWQ (Lin et al., arXiv:2306.00978). How strongly is
//! decided place by place: the candidate wins whose outputs, with inputs and weights both quantised, are
//! nearest to the exact ones on sample rows. Candidates are scales by formula, at several strengths, and
//! from the best of these on scales that are *balanced* for the inputs alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::grid::round;
use super::{dequantise, Quantiser, Spec, TILE_ROWS};
use crate::graph::WeightId;

/// Share of an input's size in its scale; the rest goes by the size of its weights.
pub(super) const STRENGTHS: [f32; 5] = [0.25, 0.45, 0.6, 0.75, 0.9];
/// Steps of balancing between two candidates, and candidates.
const BALANCE: (usize, usize) = (12, 4);
/// How fast balancing goes.
const RATE: f32 = 0.2;
/// Largest scale over the smallest, so that no column of weights drowns the others of its group.
const RANGE: f32 = 256.0;
/// Output rows that the comparison takes, a multiple of a tile.
const ROWS_MAX: usize = 256;

/// The scales of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folding {
    /// What the columns of a linear layer's weight are multiplied by.
    pub columns: BTreeMap<WeightId, Arc<Vec<f32>>>,
    /// What the outputs (rows of the weight, and bias) of a linear layer are multiplied by.
    pub outputs: BTreeMap<WeightId, Arc<Vec<f32>>>,
    /// What a norm's vector is multiplied by.
    pub vectors: BTreeMap<WeightId, Arc<Vec<f32>>>,
    /// What was decided, in the order of the model.
    pub report: Vec<Decision>,
}

/// What was decided for one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Module path of the first layer that reads the inputs.
    pub path: String,
    /// Strength of the formula; 0: nothing is folded.
    pub strength: f32,
    /// Steps of balancing behind it.
    pub balanced: usize,
    /// Mean squared error of the outputs over their mean square, per row, without folding.
    pub error_before: f64,
    /// The same with it.
    pub error_after: f64,
}

/// A linear layer that reads the place's inputs.
pub struct Reader<'a> {
    /// `[rows, cols]`.
    pub w: &'a [f32],
    /// How it will be stored.
    pub spec: Spec,
}

/// A choice of scales and what it leads to.
pub struct Choice {
    /// By input column; `None`: nothing to fold.
    pub scales: Option<Vec<f32>>,
    /// Its strength.
    pub strength: f32,
    /// Steps of balancing.
    pub balanced: usize,
    /// Error without.
    pub error_before: f64,
    /// Error with.
    pub error_after: f64,
}

/// Chooses scales for the inputs `x`, `[samples, cols]`. Columns with the same `tied` number get the same
/// scale.
pub fn choose(x: &[f32], cols: usize, readers: &[Reader<'_>], tied: &dyn Fn(usize) -> usize) -> Choice {
    let parts: Vec<(Vec<f32>, Spec)> = readers.iter().map(|r| (some_rows(r.w, cols), r.spec)).collect();
    let exact: Vec<Vec<f32>> = parts.iter().map(|(w, _)| product(x, w, cols)).collect();
    let error = |scales: &[f32]| -> f64 {
        let x = eight_bits(x, scales);
        let errors = parts.iter().zip(&exact).map(|((w, spec), y)| {
            let scaled: Vec<f32> =
                w.chunks_exact(cols).flat_map(|w| w.iter().zip(scales).map(|(w, s)| w * s)).collect();
            let quantiser = Quantiser::new(&vec![true; cols], spec, None);
            let stored: Vec<f32> =
                scaled.chunks(TILE_ROWS * cols).flat_map(|tile| dequantise(&quantiser.tile(tile))).collect();
            relative_error(&product(&x, &stored, cols), y, w.len() / cols)
        });
        errors.sum::<f64>() / parts.len() as f64
    };
    let sizes = (input_sizes(x, cols, tied), weight_sizes(&parts, cols, tied));
    let error_before = error(&vec![1.0; cols]);
    let mut best =
        Choice { scales: None, strength: 0.0, balanced: 0, error_before, error_after: error_before };
    for strength in STRENGTHS {
        let scales = scales(&sizes.0, &sizes.1, strength);
        let error_after = error(&scales);
        if error_after < best.error_after {
            best = Choice { scales: Some(scales), strength, balanced: 0, error_before, error_after };
        }
    }
    let Some(mut scales) = best.scales.clone() else { return best };
    let balance = Balance::new(x, cols, &parts, &exact, tied);
    for step in 1..=BALANCE.1 {
        (0..BALANCE.0).for_each(|_| balance.step(&mut scales));
        let error_after = error(&scales);
        if error_after < best.error_after {
            let balanced = step * BALANCE.0;
            best = Choice { scales: Some(scales.clone()), balanced, error_after, ..best };
        }
    }
    best
}

/// What rounding the inputs costs is `Σ peak² · Σ s² |w|²`: the peaks of the rows of `x / s`, each relative to
/// its outputs, times the energy of the columns of weights. It is least where every column has the same share of
/// the energy as of the peaks.
struct Balance<'a> {
    x: &'a [f32],
    /// One over the square of each sample's outputs.
    importance: Vec<f32>,
    energy: Vec<f32>,
    tied: Vec<usize>,
}

impl<'a> Balance<'a> {
    fn new(
        x: &'a [f32],
        cols: usize,
        parts: &[(Vec<f32>, Spec)],
        exact: &[Vec<f32>],
        tied: &dyn Fn(usize) -> usize,
    ) -> Self {
        let samples = x.len() / cols;
        let square = |r: usize| -> f32 {
            let rows = exact.iter().flat_map(|y| &y[r * (y.len() / samples)..][..y.len() / samples]);
            rows.map(|y| y * y).sum()
        };
        let importance = (0..samples).map(square).map(|s| if s > 0.0 { 1.0 / s } else { 0.0 }).collect();
        let mut energy = vec![0.0f32; cols];
        for row in parts.iter().flat_map(|(w, _)| w.chunks_exact(cols)) {
            energy.iter_mut().zip(row).for_each(|(e, w)| *e += w * w);
        }
        Balance { x, importance, energy, tied: (0..cols).map(tied).collect() }
    }

    /// Moves every scale towards the balance.
    fn step(&self, scales: &mut [f32]) {
        let cols = scales.len();
        let mut peaks = vec![0.0f32; cols];
        let mut sizes = vec![0.0f32; cols];
        for (row, importance) in self.x.chunks_exact(cols).zip(&self.importance) {
            sizes.iter_mut().zip(row).zip(&*scales).for_each(|((u, x), s)| *u = (x / s).powi(2));
            let peak = sizes.iter().copied().fold(1e-30, f32::max);
            // A soft maximum, so that columns just below the peak count too.
            sizes.iter_mut().for_each(|u| *u = (*u / peak).powi(8));
            let share = peak * importance / sizes.iter().sum::<f32>();
            peaks.iter_mut().zip(&sizes).for_each(|(p, u)| *p += share * u);
        }
        let energy: Vec<f32> = self.energy.iter().zip(&*scales).map(|(e, s)| e * s * s).collect();
        let (peaks, energy) = (self.shares(&peaks), self.shares(&energy));
        // Columns that never are the peak would shrink for ever.
        let floor = 0.1 / cols as f32;
        for ((s, p), e) in scales.iter_mut().zip(&peaks).zip(&energy) {
            *s *= ((p + floor) / (e + floor)).powf(RATE);
        }
    }

    /// Shares of the whole, those of tied columns together.
    fn shares(&self, values: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0f32; self.tied.iter().max().map_or(0, |most| most + 1)];
        self.tied.iter().zip(values).for_each(|(t, v)| sums[*t] += v);
        let total: f32 = values.iter().sum::<f32>().max(1e-30);
        self.tied.iter().map(|t| sums[*t] / total).collect()
    }
}

/// Whole tiles, evenly spaced over the matrix.
fn some_rows(w: &[f32], cols: usize) -> Vec<f32> {
    let tiles: Vec<&[f32]> = w.chunks(TILE_ROWS * cols).collect();
    let step = tiles.len().div_ceil(ROWS_MAX / TILE_ROWS);
    tiles.into_iter().step_by(step).flatten().copied().collect()
}

/// The largest share that each input has of its row's root mean square.
fn input_sizes(x: &[f32], cols: usize, tied: &dyn Fn(usize) -> usize) -> Vec<f32> {
    let mut sizes = vec![0.0f32; cols];
    for row in x.chunks_exact(cols) {
        let mean = row.iter().map(|x| x * x).sum::<f32>() / cols as f32;
        if mean > 0.0 {
            let inverse = mean.sqrt().recip();
            sizes.iter_mut().zip(row).for_each(|(size, x)| *size = size.max(x.abs() * inverse));
        }
    }
    shared(&sizes, tied)
}

/// The largest weight of each column.
fn weight_sizes(parts: &[(Vec<f32>, Spec)], cols: usize, tied: &dyn Fn(usize) -> usize) -> Vec<f32> {
    let mut sizes = vec![0.0f32; cols];
    for row in parts.iter().flat_map(|(w, _)| w.chunks_exact(cols)) {
        sizes.iter_mut().zip(row).for_each(|(size, w)| *size = size.max(w.abs()));
    }
    shared(&sizes, tied)
}

/// The largest of the columns that are tied.
fn shared(sizes: &[f32], tied: &dyn Fn(usize) -> usize) -> Vec<f32> {
    let mut most = vec![0.0f32; (0..sizes.len()).map(tied).max().map_or(0, |most| most + 1)];
    sizes.iter().enumerate().for_each(|(c, size)| most[tied(c)] = most[tied(c)].max(*size));
    (0..sizes.len()).map(|c| most[tied(c)]).collect()
}

/// `inputᵃ / weight¹⁻ᵃ` with a geometric mean of 1; 1 for columns without inputs or weights.
pub(super) fn scales(inputs: &[f32], weights: &[f32], strength: f32) -> Vec<f32> {
    let logs: Vec<Option<f32>> = inputs
        .iter()
        .zip(weights)
        .map(|(x, w)| (*x > 0.0 && *w > 0.0).then(|| strength * x.ln() - (1.0 - strength) * w.ln()))
        .collect();
    let (sum, count) = logs.iter().flatten().fold((0.0, 0.0f32), |(sum, n), log| (sum + log, n + 1.0));
    let mean = sum / count.max(1.0);
    let most = RANGE.ln() / 2.0;
    logs.iter().map(|log| log.map_or(1.0, |log| (log - mean).clamp(-most, most).exp())).collect()
}

/// `x / scales` as the device quantises it: 8 bits with a scale per row.
pub(crate) fn eight_bits(x: &[f32], scales: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(scales.len()) {
        let from = out.len();
        out.extend(row.iter().zip(scales).map(|(x, s)| x / s));
        let row = &mut out[from..];
        let step = row.iter().fold(1e-20f32, |peak, x| peak.max(x.abs())) / 127.0;
        row.iter_mut().for_each(|x| *x = round(*x / step) * step);
    }
    out
}

/// `x wᵀ`.
pub(crate) fn product(x: &[f32], w: &[f32], cols: usize) -> Vec<f32> {
    use super::dense::{add_product, Part};
    let (samples, rows) = (x.len() / cols, w.len() / cols);
    let mut out = vec![0.0f32; samples * rows];
    let w = Part::new(w, rows, cols, cols).transposed();
    add_product(&mut out, rows, 1.0, Part::new(x, samples, cols, cols), w);
    out
}

/// Mean over the samples of squared error over square.
fn relative_error(y: &[f32], exact: &[f32], rows: usize) -> f64 {
    let mut sum = 0.0;
    let samples = exact.chunks_exact(rows);
    let count = samples.len().max(1) as f64;
    for (y, exact) in y.chunks_exact(rows).zip(samples) {
        let square: f64 = exact.iter().map(|y| f64::from(*y).powi(2)).sum();
        let error: f64 = y.iter().zip(exact).map(|(y, e)| f64::from(y - e).powi(2)).sum();
        sum += if square > 0.0 { error / square } else { 0.0 };
    }
    sum / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::Widths;

    /// Two loud columns: folding makes the error several times smaller, and leaves even inputs alone.
    #[test]
    fn loud_columns_are_folded() {
        let (samples, cols, rows) = (64, 64, 32);
        let noise = |i: usize| ((i * 7919 % 1009) as f32 - 504.0) / 504.0;
        let even: Vec<f32> = (0..samples * cols).map(noise).collect();
        let w: Vec<f32> = (0..rows * cols).map(|i| noise(i * 31 + 5)).collect();
        let mut loud = even.clone();
        loud.chunks_exact_mut(cols).for_each(|row| (row[3], row[40]) = (row[3] * 200.0, row[40] * 50.0));
        let readers = [Reader { w: &w, spec: Spec::dense(Widths::Uniform(8)) }];
        let choice = choose(&loud, cols, &readers, &|c| c);
        let scales = choice.scales.expect("something to fold");
        assert!(
            choice.error_after < 0.3 * choice.error_before,
            "{}",
            choice.error_after / choice.error_before
        );
        assert!(scales[3] > 4.0 * scales[0] && scales[40] > 2.0 * scales[0]);
        let tied = choose(&loud, cols, &readers, &|c| c % 32).scales.expect("something to fold");
        assert_eq!(tied[3], tied[35]);
        let choice = choose(&even, cols, &readers, &|c| c);
        assert!(choice.error_after > 0.6 * choice.error_before, "nothing to gain");
    }

    #[test]
    fn dead_columns_keep_their_scale() {
        let scales = scales(&[0.0, 4.0, 1.0, 2.0], &[1.0, 1.0, 0.0, 1.0], 0.5);
        assert_eq!((scales[0], scales[2]), (1.0, 1.0));
        assert!((scales[1] * scales[3] - 1.0).abs() < 1e-6 && scales[1] > scales[3]);
    }
}
