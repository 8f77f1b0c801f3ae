//! The scale of a group: a bfloat16 value that makes rounding to the levels cost least.

use half::bf16;

use super::grid::Grid;

/// Values that are summed side by side, so that the search vectorises.
const LANES: usize = 16;
/// Clippings tried between none and the strongest.
const STEPS: usize = 20;
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

/// Searches clippings from none (the largest weight is the largest level) downwards, then improves the
/// best by least squares for its levels. 0 for weights that are all zero.
pub(super) fn fit(grid: &Grid, bits: u8, w: &[f32], cost: &[f32]) -> Fit {
    let peak = w.iter().fold(0.0f32, |peak, w| peak.max(w.abs()));
    let unclipped = peak / grid.max();
    if unclipped < SCALE_MIN {
        return Fit { scale: 0.0, error: errors(grid, 0.0, w, cost) };
    }
    let mut best = Fit { scale: f32::NAN, error: f32::INFINITY };
    let mut consider = |scale: f32| {
        let scale = to_bf16(scale);
        if scale == best.scale || !(scale >= SCALE_MIN && scale.is_finite()) {
            return best;
        }
        let error = errors(grid, scale, w, cost);
        if best.scale.is_nan() || error < best.error {
            best = Fit { scale, error };
        }
        best
    };
    let strongest = strongest_clipping(bits);
    for step in 0..=STEPS {
        let share = step as f32 / STEPS as f32;
        consider(unclipped * (1.0 - share * (1.0 - strongest)));
    }
    for _ in 0..2 {
        let scale = consider(f32::NAN).scale;
        consider(least_squares(grid, scale, w, cost));
    }
    let best = consider(f32::NAN);
    if best.scale.is_nan() {
        // Near the end of the float range, where rounding up overflows.
        return Fit { scale: 0.0, error: errors(grid, 0.0, w, cost) };
    }
    best
}

/// The smallest share of the range worth trying: the fewer levels, the more an outlier may be cut.
fn strongest_clipping(bits: u8) -> f32 {
    match bits {
        8 => 0.9,
        6 => 0.7,
        5 => 0.6,
        4 => 0.45,
        3 => 0.3,
        _ => 0.2,
    }
}

fn errors(grid: &Grid, scale: f32, w: &[f32], cost: &[f32]) -> f32 {
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let error = |w: f32, cost: f32| {
        let rest = w - scale * grid.nearest(w * inverse);
        cost * rest * rest
    };
    let (w, w_tail) = w.as_chunks::<LANES>();
    let (cost, cost_tail) = cost.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (w, cost) in w.iter().zip(cost) {
        for lane in 0..LANES {
            sums[lane] += error(w[lane], cost[lane]);
        }
    }
    let tail: f32 = w_tail.iter().zip(cost_tail).map(|(w, cost)| error(*w, *cost)).sum();
    sums.iter().sum::<f32>() + tail
}

/// The scale that suits best the levels that `scale` leads to.
fn least_squares(grid: &Grid, scale: f32, w: &[f32], cost: &[f32]) -> f32 {
    let inverse = 1.0 / scale;
    let (mut above, mut below) = (0.0, 0.0);
    for (w, cost) in w.iter().zip(cost) {
        let level = grid.nearest(w * inverse);
        above += cost * w * level;
        below += cost * level * level;
    }
    above / below
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
        let found = fit(&grid, 3, &w, &cost);
        let unclipped = errors(&grid, 1.0 / 7.0, &w, &cost);
        assert!(found.error < 0.8 * unclipped, "{found:?} against {unclipped}");
        // Unless the outlier is what matters.
        let mut cost = vec![1e-6; 128];
        cost[5] = 1.0;
        let kept = fit(&grid, 3, &w, &cost);
        assert!((kept.scale * grid.nearest(1.0 / kept.scale) - 1.0).abs() < 0.01, "{kept:?}");
    }

    #[test]
    fn more_bits_cost_less_and_scales_are_bfloat16() {
        let (w, cost) = (spread(128), vec![1.0; 128]);
        let fits = WIDTHS.map(|bits| fit(&Grid::new(bits), bits, &w, &cost));
        assert!(fits.is_sorted_by(|a, b| a.error > b.error), "{fits:?}");
        assert!(fits.iter().all(|f| f.scale > 0.0 && f.scale == to_bf16(f.scale)));
    }

    #[test]
    fn extreme_weights_give_finite_scales() {
        let grid = Grid::new(4);
        for peak in [0.0, 1e-45, 1e-30, 1e30, f32::MAX] {
            let found = fit(&grid, 4, &[peak, -peak, 0.0], &[1.0; 3]);
            assert!(found.scale.is_finite() && found.scale >= 0.0, "{peak}: {found:?}");
            assert_eq!(found.scale == 0.0, peak < 1e-35, "{peak}: {found:?}");
        }
    }
}
