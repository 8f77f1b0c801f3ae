//! The scale of a group: a bfloat16 value that makes rounding to the levels cost least.

use half::bf16;

use super::grid::Grid;
use super::wide::widest;

/// Values that are summed side by side, so that the search vectorises.
const LANES: usize = 16;
/// Scales whose errors are summed together.
const TRIES: usize = 4;
/// Smaller scales would be lost among subnormal numbers; such a group is zero.
const SCALE_MIN: f32 = 1e-36;

/// A scale and what rounding with it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    pub scale: f32,
    /// `Σ cost (w − scale · level)²`.
    pub error: f32,
}

/// The nearest bfloat16 value.
pub(super) fn to_bf16(x: f32) -> f32 {
    bf16::from_f32(x).to_f32()
}

widest! {
    /// Searches clippings from none (the largest level is `most` times the largest weight; usually 1) downwards,
    /// first coarsely, then around the best, and improves that by least squares for its levels, which may go beyond the
    /// bound again. 0 for weights that are all zero.
    pub(super) fn fit(grid: &Grid, bits: u8, w: &[f32], cost: &[f32], most: f32) -> Fit = search
}

#[inline(always)]
fn search(grid: &Grid, bits: u8, w: &[f32], cost: &[f32], most: f32) -> Fit {
    match grid.whole() {
        Some(grid) => search_on(&grid, bits, w, cost, most),
        None => search_on(grid, bits, w, cost, most),
    }
}

#[inline(always)]
fn search_on(grid: &Grid, bits: u8, w: &[f32], cost: &[f32], most: f32) -> Fit {
    let unclipped = most * peak(w) / grid.max();
    if unclipped < SCALE_MIN {
        return Fit { scale: 0.0, error: errors(grid, 0.0, w, cost) };
    }
    let alike = cost.iter().fold(true, |alike, cost| alike & (*cost == 1.0));
    let mut best = Best { grid, w, cost, alike, fit: Fit { scale: f32::NAN, error: f32::INFINITY } };
    let (strongest, coarse, fine) = clippings(bits);
    let step = unclipped * (1.0 - strongest) / coarse.max(1) as f32;
    for i in (0..=coarse).step_by(TRIES) {
        best.consider_all(std::array::from_fn(|j| unclipped - (i + j).min(coarse) as f32 * step));
    }
    let center = best.fit.scale;
    for i in (1..=fine).step_by(TRIES / 2) {
        best.consider_all(std::array::from_fn(|j| {
            let away = (i + j / 2).min(fine) as f32 * if j % 2 == 0 { 1.0 } else { -1.0 };
            (center + away * step / (fine + 1) as f32).min(unclipped)
        }));
    }
    for _ in 0..if fine > 0 { 2 } else { 1 } {
        best.consider(least_squares(grid, best.fit.scale, w, cost));
    }
    if best.fit.scale.is_nan() {
        // Near the end of the float range, where rounding up overflows.
        return Fit { scale: 0.0, error: errors(grid, 0.0, w, cost) };
    }
    best.fit
}

/// The best scale so far. Not a closure: that would not be compiled for the vectors of its caller.
struct Best<'a> {
    grid: &'a Grid,
    w: &'a [f32],
    cost: &'a [f32],
    /// All costs are 1.
    alike: bool,
    fit: Fit,
}

impl Best<'_> {
    #[inline(always)]
    fn consider(&mut self, scale: f32) {
        let scale = to_bf16(scale);
        if scale != self.fit.scale && usable(scale) {
            let error = errors(self.grid, scale, self.w, self.cost);
            self.take(Fit { scale, error });
        }
    }

    /// The same of several, one after the other, for less than the price of each alone.
    #[inline(always)]
    fn consider_all(&mut self, scales: [f32; TRIES]) {
        let scales = scales.map(to_bf16);
        let inverses = scales.map(|scale| if usable(scale) { 1.0 / scale } else { 0.0 });
        let grid = self.grid;
        let rests = |w: f32| -> [f32; TRIES] {
            std::array::from_fn(|i| w - scales[i] * grid.nearest(w * inverses[i]))
        };
        let errors = if self.alike {
            sums(self.w, self.cost, |w, _| rests(w).map(|rest| rest * rest))
        } else {
            sums(self.w, self.cost, |w, cost| rests(w).map(|rest| cost * rest * rest))
        };
        for (scale, error) in scales.into_iter().zip(errors) {
            if usable(scale) {
                self.take(Fit { scale, error });
            }
        }
    }

    #[inline(always)]
    fn take(&mut self, fit: Fit) {
        if self.fit.scale.is_nan() || fit.error < self.fit.error {
            self.fit = fit;
        }
    }
}

#[inline(always)]
fn usable(scale: f32) -> bool {
    scale >= SCALE_MIN && scale.is_finite()
}

/// The smallest share of the range worth trying, coarse steps down to it, and finer ones on each side of the
/// best: the fewer levels, the more an outlier may be cut. Cutting gains nothing worth its time at 8 bits.
fn clippings(bits: u8) -> (f32, usize, usize) {
    match bits {
        8 => (0.98, 1, 0),
        6 => (0.8, 4, 1),
        5 => (0.7, 5, 1),
        4 => (0.5, 7, 2),
        3 => (0.35, 7, 2),
        _ => (0.25, 8, 2),
    }
}

/// `f` of 16 neighbours at a time and their costs, summed side by side, and of the rest.
#[inline(always)]
fn sums<const N: usize>(w: &[f32], cost: &[f32], f: impl Fn(f32, f32) -> [f32; N]) -> [f32; N] {
    let (w, w_tail) = w.as_chunks::<LANES>();
    let (cost, cost_tail) = cost.as_chunks::<LANES>();
    let mut lanes = [[0.0f32; LANES]; N];
    for (w, cost) in w.iter().zip(cost) {
        for lane in 0..LANES {
            let terms = f(w[lane], cost[lane]);
            for (sums, term) in lanes.iter_mut().zip(terms) {
                sums[lane] += term;
            }
        }
    }
    let mut out = lanes.map(|sums| sums.iter().sum::<f32>());
    for (w, cost) in w_tail.iter().zip(cost_tail) {
        out.iter_mut().zip(f(*w, *cost)).for_each(|(sum, term)| *sum += term);
    }
    out
}

#[inline(always)]
fn peak(w: &[f32]) -> f32 {
    let (blocks, tail) = w.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = lanes[lane].max(block[lane].abs());
        }
    }
    lanes.iter().copied().chain(tail.iter().map(|w| w.abs())).fold(0.0, f32::max)
}

#[inline(always)]
fn errors(grid: &Grid, scale: f32, w: &[f32], cost: &[f32]) -> f32 {
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let [error] = sums(w, cost, |w, cost| {
        let rest = w - scale * grid.nearest(w * inverse);
        [cost * rest * rest]
    });
    error
}

/// The scale that suits best the levels that `scale` leads to.
#[inline(always)]
fn least_squares(grid: &Grid, scale: f32, w: &[f32], cost: &[f32]) -> f32 {
    let inverse = 1.0 / scale;
    let [above, below] = sums(w, cost, |w, cost| {
        let level = grid.nearest(w * inverse);
        [cost * w * level, cost * level * level]
    });
    above / below
}

widest! {
    /// The levels nearest to `w / scale`.
    pub(super) fn levels(grid: &Grid, scale: f32, w: &[f32], out: &mut [i8]) = round
}

#[inline(always)]
fn round(grid: &Grid, scale: f32, w: &[f32], out: &mut [i8]) {
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut each = |grid: &Grid| out.iter_mut().zip(w).for_each(|(out, w)| *out = grid.level(w * inverse));
    match grid.whole() {
        Some(grid) => each(&grid),
        None => each(grid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::WIDTHS;

    fn spread(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 300.0).collect()
    }

    #[test]
    fn clipping_pays_for_an_outlier() {
        let (mut w, cost) = (spread(128), vec![1.0; 128]);
        w[5] = 1.0;
        let grid = Grid::new(3);
        let found = fit(&grid, 3, &w, &cost, 1.0);
        let unclipped = errors(&grid, 1.0 / 7.0, &w, &cost);
        assert!(found.error < 0.8 * unclipped, "{found:?} against {unclipped}");
        // Unless the outlier is what matters.
        let mut cost = vec![1e-6; 128];
        cost[5] = 1.0;
        let kept = fit(&grid, 3, &w, &cost, 1.0);
        assert!((kept.scale * grid.nearest(1.0 / kept.scale) - 1.0).abs() < 0.01, "{kept:?}");
    }

    #[test]
    fn a_bound_clips_weights_that_would_not_be() {
        let (mut w, mut cost) = (spread(128), vec![1.0; 128]);
        (w[5], cost[5]) = (1.0, 4.0);
        let grid = Grid::new(4);
        let scales = [1.0, 0.85, 0.7, 0.5].map(|most| fit(&grid, 4, &w, &cost, most).scale);
        assert!(scales.is_sorted_by(|a, b| a >= b) && scales[3] < 0.95 * scales[0], "{scales:?}");
    }

    #[test]
    fn more_bits_cost_less_and_scales_are_bfloat16() {
        let (w, cost) = (spread(128), vec![1.0; 128]);
        let fits = WIDTHS.map(|bits| fit(&Grid::new(bits), bits, &w, &cost, 1.0));
        assert!(fits.is_sorted_by(|a, b| a.error > b.error), "{fits:?}");
        assert!(fits.iter().all(|f| f.scale > 0.0 && f.scale == to_bf16(f.scale)));
    }

    #[test]
    fn extreme_weights_give_finite_scales() {
        let grid = Grid::new(4);
        for peak in [0.0, 1e-45, 1e-30, 1e30, f32::MAX] {
            let found = fit(&grid, 4, &[peak, -peak, 0.0], &[1.0; 3], 1.0);
            assert!(found.scale.is_finite() && found.scale >= 0.0, "{peak}: {found:?}");
            assert_eq!(found.scale == 0.0, peak < 1e-35, "{peak}: {found:?}");
        }
    }
}
