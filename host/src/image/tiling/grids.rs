//! Choosing columns and rows for a picture.

use super::Extent;

/// The area of `size` that remains when it is scaled into `into`, at most its own; sides are truncated
/// to whole pixels.
fn kept([width, height]: Extent, into: Extent) -> usize {
    let scale = (into[0] as f64 / width as f64).min(into[1] as f64 / height as f64);
    ((width as f64 * scale) as usize * (height as f64 * scale) as usize).min(width * height)
}

/// InternVL, NVLM: columns : rows closest to the picture's ratio; on a tie the later, larger grid, as
/// long as the picture has more than half its pixels.
pub(super) fn closest_ratio([width, height]: Extent, tile: usize, min: usize, max: usize) -> Extent {
    let mut grids: Vec<Extent> = (1..=max)
        .flat_map(|c| (1..=max).map(move |r| [c, r]))
        .filter(|g| (min..=max).contains(&(g[0] * g[1])))
        .collect();
    grids.sort_by_key(|g| g[0] * g[1]);
    let ratio = width as f64 / height as f64;
    let (mut best, mut least) = ([1, 1], f64::INFINITY);
    for g in grids {
        let difference = (ratio - g[0] as f64 / g[1] as f64).abs();
        let large = (width * height) as f64 > 0.5 * (tile * tile * g[0] * g[1]) as f64;
        if difference < least || (difference == least && large) {
            (best, least) = (g, difference);
        }
    }
    best
}

/// BlueLM-V (arXiv 2411.10640): grids up to `max` a side from large to small; a smaller one wins when it
/// keeps nearly as much (within `alpha`) and wastes less.
pub(super) fn relaxed(size: Extent, tile: usize, max: usize, alpha: f64) -> Extent {
    let mut grids: Vec<Extent> = (1..=max).rev().flat_map(|c| (1..=max).rev().map(move |r| [c, r])).collect();
    grids.sort_by_key(|g| std::cmp::Reverse(g[0] * g[1]));
    let (mut best, mut most, mut least) = ([1, 1], 0.0, f64::INFINITY);
    for g in grids {
        let into = g.map(|n| n * tile);
        let kept = kept(size, into) as f64;
        let wasted = (into[0] * into[1]) as f64 - kept;
        if kept - most > alpha * most || (most - kept < alpha * most && wasted < least) {
            (best, most, least) = (g, kept, wasted);
        }
    }
    best
}

/// MiniCPM-V: so many slices as the picture has tiles' areas, one more or one less, in the grid whose
/// ratio is closest; `None` for pictures of one tile's area.
pub(super) fn slices([width, height]: Extent, tile: usize, max: usize) -> Option<Extent> {
    let wanted = ((width * height) as f64 / (tile * tile) as f64).ceil() as usize;
    let wanted = wanted.min(max);
    if wanted <= 1 {
        return None;
    }
    let counts = (wanted - 1..=wanted + 1).filter(|n| *n != 1 && *n <= max);
    let grids = counts.flat_map(|n| (1..=n).filter(move |c| n % c == 0).map(move |c| [c, n / c]));
    let ratio = (width as f64 / height as f64).ln();
    let (mut best, mut least) = ([1, 1], f64::INFINITY);
    for g in grids {
        let difference = (ratio - (g[0] as f64 / g[1] as f64).ln()).abs();
        if difference < least {
            (best, least) = (g, difference);
        }
    }
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper's own examples, and one of the authors of the comparison.
    #[test]
    fn relaxed_matching_of_bluelm() {
        for (size, grid) in [([394, 390], [1, 1]), ([380, 76], [1, 1]), ([800, 600], [2, 2])] {
            assert_eq!(relaxed(size, 384, 3, 0.1), grid, "{size:?}");
        }
    }

    #[test]
    fn internvl_takes_the_closest_ratio() {
        assert_eq!(closest_ratio([380, 76], 448, 1, 6), [5, 1]);
        assert_eq!(closest_ratio([800, 600], 448, 1, 12), [4, 3]);
        assert_eq!(closest_ratio([448, 448], 448, 1, 12), [1, 1]);
        assert_eq!(closest_ratio([1000, 1000], 448, 1, 12), [3, 3]);
    }

    #[test]
    fn minicpm_slices() {
        assert_eq!(slices([800, 600], 448, 9), Some([2, 2]));
        assert_eq!(slices([1920, 1080], 448, 9), Some([4, 2]));
        assert_eq!(slices([1344, 1344], 448, 9), Some([3, 3]));
        assert_eq!(slices([448, 448], 448, 9), None);
    }
}
