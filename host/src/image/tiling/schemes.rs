//! The schemes: from a picture's size to its cut.

use super::grids;
use super::{Canvas, Cut, Extent, Origin, Whole};
use flightvlm_compiler::graph::best_pinpoint;

/// A way of cutting pictures; sizes in pixels.
#[derive(Clone, Debug, PartialEq)]
pub enum Scheme {
    /// One tile: the picture.
    Whole,
    /// LLaVA 1.5: padded to a square in the mean colour.
    PadToSquare {
        /// Colour.
        fill: [u8; 3],
    },
    /// LLaVA-NeXT: the picture, then tiles of the best of some sizes (height, width).
    Pinpoints {
        /// Sizes to choose from.
        pinpoints: Vec<[usize; 2]>,
        /// Side of a tile.
        tile: usize,
        /// Side of the whole picture's tile.
        whole: usize,
    },
    /// SmolVLM, Idefics3: the longer side gets a length, both become multiples of the tile.
    LongestEdge {
        /// Length of the longer side; `None`: as it is.
        longest: Option<usize>,
        /// Side of a tile.
        tile: usize,
        /// Cut into tiles, or one tile a picture.
        split: bool,
    },
    /// Qwen2-VL: sides that are multiples of `factor`, in an area between two limits.
    SmartResize {
        /// What sides are multiples of.
        factor: usize,
        /// Least area.
        min_area: usize,
        /// Largest area.
        max_area: usize,
    },
    /// Fuyu: scaled down into a size with its ratio kept, filled up to whole patches at the right and below.
    Fit {
        /// Largest width and height, multiples of `patch`.
        within: Extent,
        /// Side of a patch.
        patch: usize,
        /// Colour of what is filled up.
        fill: u8,
    },
    /// InternVL, NVLM: the grid with the closest ratio, and the whole picture behind it.
    ClosestRatio {
        /// Side of a tile.
        tile: usize,
        /// Fewest tiles.
        min: usize,
        /// Most tiles.
        max: usize,
    },
    /// BlueLM-V (arXiv 2411.10640): relaxed matching, and the whole picture behind the tiles.
    Relaxed {
        /// Side of a tile.
        tile: usize,
        /// Most tiles a side.
        max: usize,
        /// Share of the picture that a smaller grid may lose.
        alpha: f64,
    },
    /// InternLM-XComposer2-4KHD, Phi-3.5-V: as many tiles across as `max` allows, padded in white, upright pictures
    /// lying on their side meanwhile; the whole padded picture in front.
    Across {
        /// Side of a tile.
        tile: usize,
        /// Most tiles.
        max: usize,
    },
    /// MiniCPM-V: the picture at a tile's area, then slices of about that area each.
    Slices {
        /// Side of the square whose area a slice has.
        tile: usize,
        /// What sides are multiples of.
        patch: usize,
        /// Most slices.
        max: usize,
    },
}

/// Longest side that Idefics3's processor makes.
const IDEFICS_MAX: usize = 4096;

impl Scheme {
    /// The cut of a picture of `size` (width, height), both at least 1.
    pub fn cut(&self, size: Extent) -> Cut {
        assert!(size[0] > 0 && size[1] > 0, "a picture has pixels");
        match *self {
            Scheme::Whole => Cut::none(),
            Scheme::PadToSquare { fill } => pad_to_square(size, fill),
            Scheme::Pinpoints { ref pinpoints, tile, whole } => {
                let [height, width] = best_pinpoint(pinpoints, [size[1], size[0]]);
                on_canvas(size, [width, height], tile, whole)
            }
            Scheme::LongestEdge { longest, tile, split } => longest_edge(size, longest, tile, split),
            Scheme::SmartResize { factor, min_area, max_area } => {
                let scaled = vec![smart_resize(size, factor, min_area, max_area)];
                Cut { scaled, ..Cut::none() }
            }
            Scheme::Fit { within, patch, fill } => fit(size, within, patch, fill),
            Scheme::ClosestRatio { tile, min, max } => {
                stretched(grids::closest_ratio(size, tile, min, max), tile)
            }
            Scheme::Relaxed { tile, max, alpha } => stretched(grids::relaxed(size, tile, max, alpha), tile),
            Scheme::Across { tile, max } => across(size, tile, max),
            Scheme::Slices { tile, patch, max } => slices(size, tile, patch, max),
        }
    }
}

/// `n / 2`, the smaller half.
fn centred(outer: Extent, inner: Extent) -> Extent {
    [0, 1].map(|axis| (outer[axis] - inner[axis]) / 2)
}

fn pad_to_square(size: Extent, fill: [u8; 3]) -> Cut {
    let side = [size[0].max(size[1]); 2];
    Cut { canvas: Some(Canvas { size: side, at: centred(side, size), fill }), ..Cut::none() }
}

/// Scaled into `canvas` with its ratio kept, centred on black, cut into tiles.
fn on_canvas(size: Extent, canvas: Extent, tile: usize, whole: usize) -> Cut {
    let [across, down] = [0, 1].map(|axis| canvas[axis] as f64 / size[axis] as f64);
    let scaled = if across < down {
        [canvas[0], ((size[1] as f64 * across).ceil() as usize).min(canvas[1])]
    } else {
        [((size[0] as f64 * down).ceil() as usize).min(canvas[0]), canvas[1]]
    };
    Cut {
        scaled: vec![scaled],
        canvas: Some(Canvas { size: canvas, at: centred(canvas, scaled), fill: [0; 3] }),
        grid: canvas.map(|n| n / tile),
        whole: Some(Whole { size: [whole; 2], first: true, from: Origin::Picture }),
        ..Cut::none()
    }
}

/// Stretched over the grid; the whole picture behind it unless it is the only tile.
fn stretched(grid: Extent, tile: usize) -> Cut {
    let whole = Whole { size: [tile; 2], first: false, from: Origin::Picture };
    Cut {
        scaled: vec![grid.map(|n| n * tile)],
        grid,
        whole: (grid != [1, 1]).then_some(whole),
        ..Cut::none()
    }
}

fn longest_edge([width, height]: Extent, longest: Option<usize>, tile: usize, split: bool) -> Cut {
    let ratio = width as f64 / height as f64;
    let mut scaled = Vec::new();
    let (mut w, mut h) = (width, height);
    if let Some(longest) = longest {
        let even = |n: usize| n + n % 2;
        (w, h) = if w >= h {
            (longest, even((longest as f64 / ratio) as usize).max(1))
        } else {
            (even((longest as f64 * ratio) as usize).max(1), longest)
        };
        let ratio = w as f64 / h as f64;
        if w >= h && w > IDEFICS_MAX {
            (w, h) = (IDEFICS_MAX, ((IDEFICS_MAX as f64 / ratio) as usize).max(1));
        } else if h > w && h > IDEFICS_MAX {
            (w, h) = (((IDEFICS_MAX as f64 * ratio) as usize).max(1), IDEFICS_MAX);
        }
        scaled.push([w, h]);
    }
    if !split {
        scaled.push([tile; 2]);
        return Cut { scaled, ..Cut::none() };
    }
    let ratio = w as f64 / h as f64;
    let up = |n: usize| n.div_ceil(tile) * tile;
    (w, h) = if w >= h {
        (up(w), up((up(w) as f64 / ratio) as usize))
    } else {
        (up((up(h) as f64 * ratio) as usize), up(h))
    };
    scaled.push([w, h].map(|n| n.max(tile)));
    let grid = [w, h].map(|n| n.max(tile) / tile);
    let whole = Whole { size: [tile; 2], first: false, from: Origin::Scaled };
    Cut { scaled, grid, whole: (grid != [1, 1]).then_some(whole), ..Cut::none() }
}

/// Sides as multiples of `factor`, rounded half to even, in an area between two limits.
fn smart_resize(size: Extent, factor: usize, min_area: usize, max_area: usize) -> Extent {
    let (f, area) = (factor as f64, (size[0] * size[1]) as f64);
    let rounded = size.map(|n| (n as f64 / f).round_ties_even() as usize * factor);
    let product = rounded[0] * rounded[1];
    if product > max_area {
        let by = (area / max_area as f64).sqrt();
        return size.map(|n| ((n as f64 / by / f).floor() as usize * factor).max(factor));
    }
    if product < min_area {
        let by = (min_area as f64 / area).sqrt();
        return size.map(|n| (n as f64 * by / f).ceil() as usize * factor);
    }
    rounded
}

fn fit(size: Extent, within: Extent, patch: usize, fill: u8) -> Cut {
    let scale = [1, 0].map(|axis| within[axis] as f64 / size[axis] as f64);
    let by = if scale[0].min(scale[1]) < 1.0 { Some(scale[0].min(scale[1])) } else { None };
    let scaled = by.map(|by| size.map(|n| ((n as f64 * by) as usize).max(1)));
    let canvas = scaled.unwrap_or(size).map(|n| n.div_ceil(patch) * patch);
    let canvas = Canvas { size: canvas, at: [0, 0], fill: [fill; 3] };
    Cut { scaled: scaled.into_iter().collect(), canvas: Some(canvas), ..Cut::none() }
}

fn across([width, height]: Extent, tile: usize, max: usize) -> Cut {
    let upright = width < height;
    let [w, h] = if upright { [height, width] } else { [width, height] };
    let ratio = w as f64 / h as f64;
    let fits = |s: usize| s * (s as f64 / ratio).ceil() as usize <= max;
    let columns = (1..=max).take_while(|s| fits(*s)).last().unwrap_or(1);
    let scaled_width = columns * tile;
    let scaled_height = ((scaled_width as f64 / ratio) as usize).max(1);
    let canvas = [scaled_width, scaled_height.div_ceil(tile) * tile];
    let turn = |e: Extent| if upright { [e[1], e[0]] } else { e };
    let (scaled, canvas) = (turn([scaled_width, scaled_height]), turn(canvas));
    Cut {
        scaled: vec![scaled],
        lying: upright,
        canvas: Some(Canvas { size: canvas, at: centred(canvas, scaled), fill: [255; 3] }),
        grid: canvas.map(|n| n / tile),
        whole: Some(Whole { size: [tile; 2], first: true, from: Origin::Canvas }),
    }
}

/// The nearest multiple of `n`, at least one of them.
fn nearest_multiple(length: f64, n: usize) -> usize {
    ((length / n as f64).round_ties_even() as usize * n).max(n)
}

/// A size of the area of `tile` squared with the picture's ratio, sides multiples of `patch`.
fn of_area(width: f64, height: f64, tile: usize, patch: usize, enlarge: bool) -> Extent {
    let (mut w, mut h) = (width, height);
    if enlarge || width * height > (tile * tile) as f64 {
        let ratio = width / height;
        h = (tile as f64 / ratio.sqrt()).trunc();
        w = (h * ratio).trunc();
    }
    [w, h].map(|n| nearest_multiple(n, patch))
}

fn slices(size: Extent, tile: usize, patch: usize, max: usize) -> Cut {
    let [width, height] = size.map(|n| n as f64);
    let Some(grid) = grids::slices(size, tile, max) else {
        let whole =
            Whole { size: of_area(width, height, tile, patch, true), first: true, from: Origin::Picture };
        return Cut { grid: [0, 0], whole: Some(whole), ..Cut::none() };
    };
    let whole =
        Whole { size: of_area(width, height, tile, patch, false), first: true, from: Origin::Picture };
    let cell = [0, 1].map(|axis| nearest_multiple(size[axis] as f64, grid[axis]) as f64 / grid[axis] as f64);
    let refined = of_area(cell[0], cell[1], tile, patch, true);
    let scaled = [0, 1].map(|axis| refined[axis] * grid[axis]);
    Cut { scaled: vec![scaled], grid, whole: Some(whole), ..Cut::none() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xcomposer_goes_across() {
        for (max, grid) in [(55, [11, 5]), (25, [7, 3]), (16, [5, 3])] {
            assert_eq!(Scheme::Across { tile: 336, max }.cut([3840, 1600]).grid, grid);
            assert_eq!(Scheme::Across { tile: 336, max }.cut([1600, 3840]).grid, [grid[1], grid[0]]);
        }
    }

    #[test]
    fn minicpm_sizes() {
        let scheme = Scheme::Slices { tile: 448, patch: 14, max: 9 };
        for (size, whole, scaled) in
            [([800, 600], [518, 392], [1036, 784]), ([1920, 1080], [602, 336], [1680, 952])]
        {
            let cut = scheme.cut(size);
            assert_eq!((cut.whole.map(|w| w.size), cut.scaled), (Some(whole), vec![scaled]));
        }
        assert_eq!(scheme.cut([300, 300]).tiles(), 1);
    }

    #[test]
    fn llava_pads_to_a_square() {
        let cut = Scheme::PadToSquare { fill: [1, 2, 3] }.cut([5, 8]);
        assert_eq!(cut.canvas, Some(Canvas { size: [8, 8], at: [1, 0], fill: [1, 2, 3] }));
    }

    #[test]
    fn long_pictures_become_rows_of_tiles() {
        let scheme = Scheme::LongestEdge { longest: Some(2048), tile: 512, split: true };
        let cut = scheme.cut([1000, 250]);
        assert_eq!((cut.scaled.clone(), cut.grid), (vec![[2048, 512], [2048, 512]], [4, 1]));
        assert_eq!(cut.tiles(), 5);
        let one = Scheme::LongestEdge { longest: None, tile: 512, split: true }.cut([300, 200]);
        assert_eq!((one.tiles(), one.whole), (1, None));
    }
}
