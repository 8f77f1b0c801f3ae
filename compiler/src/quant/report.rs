//! What compression costs, layer by layer: rounding to nearest against what was chosen, both measured on the inputs
//! that calibration has seen.

use super::dense::{add_product, Part};
use super::{dequantise, Grid, Hessian, Quantised, Quantiser, Spec, TILE_ROWS};

/// A linear layer, or a piece of its inputs where the weight stream cuts it.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// Module path.
    pub path: String,
    /// First input column of the piece, and how many there are.
    pub inputs: (usize, usize),
    /// Outputs.
    pub outputs: usize,
    /// Mean bits of a stored level.
    pub bits: f64,
    /// Squared error of the outputs over their square where weights are only rounded to nearest.
    pub rounded_error: f64,
    /// The same with folding and error compensation, as stored. Where calibration has followed the layers in front,
    /// both are against the layer's target on the compressed model's inputs ([`super::aim`]).
    pub error: f64,
    /// What the largest level stands for over the largest weight of the group; mean over the groups.
    pub clip: f64,
    /// The largest folded scale of the inputs over the smallest; 1: nothing is folded.
    pub fold: f64,
}

/// A tile of a layer, compressed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CompressedTile {
    pub levels: Quantised,
    /// What that costs, if it was measured.
    pub cost: Option<Sums>,
}

/// Sums over the tiles of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    square: f64,
    rounded: f64,
    stored: f64,
    clip: f64,
    groups: usize,
    bits: f64,
    tiles: usize,
}

/// Measures the tiles of one layer.
pub(crate) struct Measure {
    spec: Spec,
    cols: usize,
    plain: Quantiser,
    /// `[cols, cols]`; empty: all inputs alike.
    h: Vec<f32>,
}

impl Measure {
    /// For inputs as in [`Quantiser::new`], with the sum of the inputs as they are without folding.
    pub(crate) fn new(live: &[bool], spec: &Spec, hessian: Option<&Hessian>) -> Self {
        let cols = live.len();
        let h = hessian.map(|h| h.expand(cols).iter().map(|x| *x as f32).collect());
        Measure { spec: *spec, cols, plain: Quantiser::new(live, spec, None), h: h.unwrap_or_default() }
    }

    /// `w`: the tile's weights; `stored` is the compressed form of `w` times `factors`, element by element.
    pub(crate) fn tile(&self, w: &[f32], stored: &Quantised, factors: &[f32]) -> Sums {
        let difference = |other: &[f32]| -> Vec<f32> { w.iter().zip(other).map(|(a, b)| a - b).collect() };
        let mut back = dequantise(stored);
        back.iter_mut().zip(factors).for_each(|(x, f)| *x /= f);
        let folded: Vec<f32> = w.iter().zip(factors).map(|(w, f)| w * f).collect();
        let (clip, groups) = self.clip(&folded, stored);
        Sums {
            square: self.energy(w),
            rounded: self.energy(&difference(&dequantise(&self.plain.tile(w)))),
            stored: self.energy(&difference(&back)),
            clip,
            groups,
            bits: stored.average_bits(),
            tiles: 1,
        }
    }

    /// `Σ e H eᵀ` over the rows of `e`.
    fn energy(&self, e: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        if self.h.is_empty() {
            return dot(e, e);
        }
        let (rows, cols) = (e.len() / self.cols, self.cols);
        let mut product = vec![0.0f32; e.len()];
        let h = Part::new(&self.h, cols, cols, cols);
        add_product(&mut product, cols, 1.0, Part::new(e, rows, cols, cols), h);
        dot(e, &product)
    }

    /// Sum over the groups of the tile that are not zero, and their number.
    fn clip(&self, w: &[f32], q: &Quantised) -> (f64, usize) {
        let groups = q.groups();
        let (mut sum, mut count) = (0.0, 0);
        for (row, w) in w.chunks_exact(self.cols).enumerate() {
            for (group, w) in w.chunks(self.spec.group_cols()).enumerate() {
                let peak = w.iter().fold(0.0f32, |peak, w| peak.max(w.abs()));
                let bits = q.bits[row / TILE_ROWS * groups + group];
                if peak > 0.0 {
                    sum += f64::from(q.scales[row * groups + group] * Grid::new(bits).max() / peak);
                    count += 1;
                }
            }
        }
        (sum, count)
    }
}

impl Sums {
    /// The tiles of a layer together.
    pub(crate) fn of(tiles: &[Sums]) -> Sums {
        tiles.iter().fold(Sums::default(), |a, b| Sums {
            square: a.square + b.square,
            rounded: a.rounded + b.rounded,
            stored: a.stored + b.stored,
            clip: a.clip + b.clip,
            groups: a.groups + b.groups,
            bits: a.bits + b.bits,
            tiles: a.tiles + b.tiles,
        })
    }

    /// As a line of the report.
    pub(crate) fn report(
        &self,
        path: &str,
        inputs: (usize, usize),
        outputs: usize,
        columns: Option<&[f32]>,
    ) -> LayerReport {
        let of = |error: f64| if self.square > 0.0 { error / self.square } else { 0.0 };
        let extreme = |f: fn(f32, f32) -> f32| columns.and_then(|c| c.iter().copied().reduce(f));
        let fold = extreme(f32::max).zip(extreme(f32::min)).map_or(1.0, |(max, min)| f64::from(max / min));
        LayerReport {
            path: path.into(),
            inputs,
            outputs,
            bits: self.bits / self.tiles.max(1) as f64,
            rounded_error: of(self.rounded),
            error: of(self.stored),
            clip: self.clip / self.groups.max(1) as f64,
            fold,
        }
    }
}
