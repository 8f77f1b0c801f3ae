//! What a picture becomes: runs of the vision tower, and rows of the prompt.
//!
//! A [`Tile`] is one run: patch rows in the order in which the tower takes them. Patches that are joined
//! behind the tower (pixel shuffle, patch merger) follow each other in that order, so that joining rows
//! is no work at all. A [`Picture`] says which visual token or learned row each of its placeholders
//! stands for.

use super::prune::Prune;
use super::rope::Position;
use super::spec::{Arrange, PositionTable, VisionKind, VisionSpec};
use crate::diag::Diagnostic;

/// One run of the vision tower.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// Patches down and across.
    pub grid: [usize; 2],
    /// `[patches, columns]`, in tower order, each row in the flatten order of a convolution weight.
    pub rows: Vec<f32>,
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisualRow {
    /// A visual token of a tile.
    Token {
        /// Tile of the picture.
        tile: usize,
        /// Token of the tile.
        row: usize,
    },
    /// A learned row behind the vocabulary, for example the end of a picture's row.
    Learned(usize),
}

/// A picture as the model takes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// Runs of the tower.
    pub tiles: Vec<Tile>,
    /// One for each placeholder before pruning, in order.
    pub rows: Vec<VisualRow>,
    /// Which of them enter the prompt; `None`: all.
    pub prune: Option<Prune>,
    /// Tokens of the question that it is encoded for, where the model's visual tokens depend on that.
    pub question: Vec<u32>,
    /// The tiles are pieces of a video, one behind the other in time.
    pub video: bool,
    /// Seconds from one of them to the next.
    pub seconds: f32,
    /// Tiles down and across behind a thumbnail of the whole; zeros where there is none.
    pub detail: [usize; 2],
}

impl Picture {
    /// Tiles whose tokens follow each other.
    pub fn of_tiles(vision: &VisionSpec, tiles: Vec<Tile>) -> Picture {
        let token = |(tile, t): (usize, &Tile)| {
            vision.token_rows(t.grid).into_iter().map(move |row| VisualRow::Token { tile, row })
        };
        let rows = tiles.iter().enumerate().flat_map(token).collect();
        Picture { tiles, rows, ..Picture::default() }
    }

    /// A video, whose tiles are `seconds` apart; `vision` is the tower that takes them.
    pub fn of_video(vision: &VisionSpec, tiles: Vec<Tile>, seconds: f32) -> Picture {
        Picture { video: true, seconds, ..Picture::of_tiles(vision, tiles) }
    }

    /// Tiles of a picture of `height` x `width` pixels, in the model's own arrangement.
    pub fn arranged(vision: &VisionSpec, tiles: Vec<Tile>, size: [usize; 2]) -> Result<Picture, Diagnostic> {
        match &vision.arrange {
            Arrange::Tiles => Ok(Picture::of_tiles(vision, tiles)),
            Arrange::AnyResolution { most_tiles: Some(_), .. } if tiles.len() == 1 => {
                let mut picture = Picture::of_tiles(vision, tiles);
                picture.rows.push(VisualRow::Learned(0));
                Ok(picture)
            }
            Arrange::AnyResolution { pinpoints, most_tiles } => {
                let (rows, detail) = any_resolution(vision, pinpoints, *most_tiles, size)?;
                let expected = vision.tiles_of_picture(size);
                if tiles.len() != expected {
                    return Err(Diagnostic::new(
                        "pixel_values",
                        format!("{expected} tiles for a picture of {} x {} pixels", size[0], size[1]),
                        format!("{} tiles", tiles.len()),
                        "prepare the picture with the model's own processor",
                    ));
                }
                Ok(Picture { tiles, rows, detail, ..Picture::default() })
            }
        }
    }
}

/// Pictures and videos as their placeholders, `image_id` and `video_id`, follow each other in a prompt. Those without
/// placeholders come last.
pub fn order_by_placeholders(
    ids: &[u32],
    image_id: Option<u32>,
    video_id: Option<u32>,
    images: Vec<Picture>,
    videos: Vec<Picture>,
) -> Vec<Picture> {
    let (mut images, mut videos) = (images.into_iter(), videos.into_iter());
    let (mut out, mut left) = (Vec::new(), 0);
    for id in ids.iter().map(|id| Some(*id)).filter(|id| *id == image_id || *id == video_id) {
        if left == 0 {
            let next = if id == video_id { videos.next() } else { images.next() };
            left = next.as_ref().map_or(1, |picture| picture.placeholders().max(1));
            out.extend(next);
        }
        left -= 1;
    }
    out.extend(images.chain(videos));
    out
}

impl VisionSpec {
    /// Visual tokens of a tile with such a grid.
    pub fn tokens(&self, grid: [usize; 2]) -> usize {
        if self.pooled {
            return 1;
        }
        (grid[0] * grid[1] + usize::from(self.has_class)).saturating_sub(self.skip_rows)
            / (self.merge * self.merge)
    }

    /// Tiles that a picture of `size` (height, width) is cut into.
    pub fn tiles_of_picture(&self, size: [usize; 2]) -> usize {
        match &self.arrange {
            Arrange::Tiles => 1,
            Arrange::AnyResolution { pinpoints, .. } => {
                1 + tiles_of(self, best_pinpoint(pinpoints, size)).iter().product::<usize>()
            }
        }
    }

    /// The grid of a whole tile.
    pub fn full_grid(&self) -> [usize; 2] {
        [self.image_size / self.patch; 2]
    }

    /// Place in the raster of the patch of each row, class row not counted.
    pub fn patch_order(&self, grid: [usize; 2]) -> Vec<usize> {
        let (s, [height, width]) = (self.merge, grid);
        let mut out = Vec::with_capacity(height * width);
        for block in self.block_order([height, width]) {
            let (block_y, block_x) = (block / (width / s), block % (width / s));
            for (y, x) in (0..s).flat_map(|y| (0..s).map(move |x| (y, x))) {
                out.push((block_y * s + y) * width + block_x * s + x);
            }
        }
        out
    }

    /// Row of the position table that each row of the tower adds, class row included.
    pub fn position_ids(&self, grid: [usize; 2]) -> Vec<u32> {
        let PositionTable::Learned { side } = self.positions else { return Vec::new() };
        let class = u32::from(self.has_class);
        let [down, across] = grid.map(|n| buckets(n, side));
        let id = |at: usize| (down[at / grid[1]] * side + across[at % grid[1]]) as u32 + class;
        (0..class).chain(self.patch_order(grid).into_iter().map(id)).collect()
    }

    /// Position of each row of the tower for rotary tables: row and column of its patch.
    pub fn rotary_positions(&self, grid: [usize; 2]) -> Vec<Position> {
        let at = |at: usize| [(at / grid[1]) as f32, (at % grid[1]) as f32, 0.0];
        let class = usize::from(self.has_class);
        std::iter::repeat_n([0.0; 3], class).chain(self.patch_order(grid).into_iter().map(at)).collect()
    }

    /// Cuts planes `[3, height, width]` into the rows of a tile. Pixels right of or below the last whole
    /// patch are dropped, as a convolution without padding does.
    /// A patch of several frames shows the picture in each.
    pub fn tile(&self, pixels: &[f32], size: [usize; 2]) -> Tile {
        self.tile_of_frames(&vec![pixels; self.patch_frames()], size)
    }

    /// The same for as many frames of a video as a patch has, all of one size.
    pub fn tile_of_frames(&self, frames: &[&[f32]], size: [usize; 2]) -> Tile {
        let ([height, width], patch) = (size, self.patch);
        let whole = frames.iter().all(|frame| frame.len() == 3 * height * width);
        assert!(whole, "frames of 3 x {height} x {width} values");
        if self.kind == VisionKind::Convolutions {
            return receptive_fields(frames[0], size);
        }
        let grid = [height / patch, width / patch];
        let mut rows = Vec::with_capacity(grid[0] * grid[1] * self.pixel_cols);
        for at in self.patch_order(grid) {
            let (top, left) = (at / grid[1] * patch, at % grid[1] * patch);
            if self.interleaved {
                for (y, x) in (0..patch).flat_map(|y| (0..patch).map(move |x| (y, x))) {
                    rows.extend((0..3).map(|c| frames[0][(c * height + top + y) * width + left + x]));
                }
                continue;
            }
            for (channel, frame) in (0..3).flat_map(|c| frames.iter().map(move |frame| (c, frame))) {
                for line in (0..patch).map(|y| channel * height + top + y) {
                    rows.extend_from_slice(&frame[line * width + left..][..patch]);
                }
            }
        }
        Tile { grid, rows }
    }

    /// Checks that the tower can take a tile of this grid.
    pub fn check_grid(&self, grid: [usize; 2]) -> Result<(), Diagnostic> {
        let s = self.merge;
        let whole = grid.iter().all(|n| *n > 0 && n.is_multiple_of(s));
        let fits = grid[0] * grid[1] <= self.patch_count && (self.any_grid || grid == self.full_grid());
        if whole && fits {
            return Ok(());
        }
        let full = self.full_grid();
        let expected = match self.any_grid {
            true => format!("a grid of at most {} patches, its sides multiples of {s}", self.patch_count),
            false => format!("{} x {} patches", full[0], full[1]),
        };
        Err(Diagnostic::new(
            "pixel_values",
            expected,
            format!("{} x {} patches", grid[0], grid[1]),
            "prepare the picture with the model's own processor",
        ))
    }
}

/// What each output of a convolution of 3 x 3 pixels with stride 2 sees, zeros around the picture.
fn receptive_fields(pixels: &[f32], [height, width]: [usize; 2]) -> Tile {
    let grid = [height / 2, width / 2];
    let mut rows = Vec::with_capacity(grid[0] * grid[1] * 27);
    for (y, x) in (0..grid[0]).flat_map(|y| (0..grid[1]).map(move |x| (y, x))) {
        for (c, ky, kx) in (0..27).map(|i| (i / 9, i / 3 % 3, i % 3)) {
            let (down, across) = ((2 * y + ky).checked_sub(1), (2 * x + kx).checked_sub(1));
            let at = down.zip(across).filter(|(down, across)| *down < height && *across < width);
            rows.push(at.map_or(0.0, |(down, across)| pixels[(c * height + down) * width + across]));
        }
    }
    Tile { grid, rows }
}

/// Row of a table with `side` rows for each of `n` patches: the fraction of the picture at which a patch
/// begins, in float32 as Idefics3 computes it.
fn buckets(n: usize, side: usize) -> Vec<usize> {
    let step = 1.0 / side as f64;
    let boundaries: Vec<f32> = (0..side.saturating_sub(1)).map(|i| (step + i as f64 * step) as f32).collect();
    let patch = 1.0 / n as f32;
    let bucket = |i: usize| {
        let at = (i as f32 * patch).min(1.0 - 1e-6);
        boundaries.iter().filter(|b| **b <= at).count()
    };
    (0..n).map(bucket).collect()
}

/// The size among `pinpoints` (height, width) that keeps most of a picture, and wastes least.
pub fn best_pinpoint(pinpoints: &[[usize; 2]], size: [usize; 2]) -> [usize; 2] {
    let [height, width] = size.map(|n| n as f64);
    let fit = |p: &[usize; 2]| {
        let scale = (p[1] as f64 / width).min(p[0] as f64 / height);
        let kept = ((width * scale) as usize * (height * scale) as usize).min(size[0] * size[1]);
        (kept, (p[0] * p[1]).saturating_sub(kept))
    };
    let mut best = (pinpoints[0], fit(&pinpoints[0]));
    for p in &pinpoints[1..] {
        let (kept, wasted) = fit(p);
        if kept > best.1 .0 || (kept == best.1 .0 && wasted < best.1 .1) {
            best = (*p, (kept, wasted));
        }
    }
    best.0
}

/// Tiles down and across of a size among the pinpoints.
fn tiles_of(vision: &VisionSpec, pinpoint: [usize; 2]) -> [usize; 2] {
    pinpoint.map(|n| n.div_ceil(vision.image_size))
}

/// LLaVA-NeXT: the whole picture, then the rows of the assembled tiles without the padding, each with a
/// newline behind it. Tiles down and across beside them.
fn any_resolution(
    vision: &VisionSpec,
    pinpoints: &[[usize; 2]],
    most_tiles: Option<usize>,
    size: [usize; 2],
) -> Result<(Vec<VisualRow>, [usize; 2]), Diagnostic> {
    let [tile_height, tile_width] = vision.full_grid();
    let tokens = vision.tokens(vision.full_grid());
    let fault = |expected: String, got: String| {
        Err(Diagnostic::new(
            "image_sizes",
            expected,
            got,
            "give the size of the picture before it was resized",
        ))
    };
    if tokens != tile_height * tile_width {
        return fault(format!("tiles of {} tokens", tile_height * tile_width), format!("{tokens} tokens"));
    }
    if size.contains(&0) {
        return fault("a picture with pixels".into(), format!("{size:?}"));
    }
    let [down, across] = tiles_of(vision, best_pinpoint(pinpoints, size));
    let (height, width) = (down * tile_height, across * tile_width);
    let (padded_y, padded_x) = padding(size, [height, width]);
    if let Some(most) = most_tiles {
        // Beyond, Hugging Face interpolates between visual tokens, which are on the device here.
        let seen = (height - 2 * padded_y) * (width - 2 * padded_x);
        let ratio = (seen as f64 / (most * tile_height * tile_height) as f64).sqrt();
        if ratio > 1.1 {
            return Err(Diagnostic::new(
                "image_sizes",
                format!("a picture of about {most} tiles at most"),
                format!("{} x {} pixels, which become {down} x {across} tiles", size[0], size[1]),
                format!(
                    "scale the picture to {} pixels a side or less",
                    (most as f64).sqrt() as usize * vision.image_size
                ),
            ));
        }
    }
    let mut rows: Vec<VisualRow> = (0..tokens).map(|row| VisualRow::Token { tile: 0, row }).collect();
    for y in padded_y..height - padded_y {
        rows.extend((padded_x..width - padded_x).map(|x| VisualRow::Token {
            tile: 1 + y / tile_height * across + x / tile_width,
            row: y % tile_height * tile_width + x % tile_width,
        }));
        rows.push(VisualRow::Learned(0));
    }
    Ok((rows, [down, across]))
}

/// Token rows above (and below) and columns left (and right) of a picture that was padded to `grid`.
fn padding(size: [usize; 2], grid: [usize; 2]) -> (usize, usize) {
    let ([height, width], [rows, columns]) = (size.map(|n| n as f64), grid.map(|n| n as f64));
    // Seven decimals, then truncated, as Hugging Face does.
    let scaled = |n: f64, scale: f64| ((n * scale * 1e7).round_ties_even() / 1e7) as usize;
    if width / height > columns / rows {
        ((grid[0] - scaled(height, columns / width).min(grid[0])) / 2, 0)
    } else {
        (0, (grid[1] - scaled(width, rows / height).min(grid[1])) / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_patches_follow_each_other() {
        let spec = VisionSpec { merge: 2, ..VisionSpec::default() };
        assert_eq!(spec.patch_order([2, 4]), [0, 1, 4, 5, 2, 3, 6, 7]);
        let plain = VisionSpec { merge: 1, patch: 2, pixel_cols: 12, ..VisionSpec::default() };
        let pixels: Vec<f32> = (0..3 * 5 * 5).map(|v| v as f32).collect();
        let tile = plain.tile(&pixels, [5, 5]);
        assert_eq!((tile.grid, tile.rows.len()), ([2, 2], 4 * 12));
        assert_eq!(&tile.rows[12..24], [2., 3., 7., 8., 27., 28., 32., 33., 52., 53., 57., 58.]);
        let mixed = VisionSpec { interleaved: true, ..plain.clone() };
        assert_eq!(&mixed.tile(&pixels, [5, 5]).rows[12..18], [2., 27., 52., 3., 28., 53.]);
        let conv = VisionSpec { kind: VisionKind::Convolutions, ..plain.clone() };
        let fields = conv.tile(&(0..48).map(|v| v as f32).collect::<Vec<_>>(), [4, 4]);
        assert_eq!((fields.grid, fields.rows.len()), ([2, 2], 4 * 27));
        assert_eq!(&fields.rows[27..36], [0., 0., 0., 1., 2., 3., 5., 6., 7.]);
        let film = VisionSpec { pixel_cols: 24, ..plain };
        assert_eq!(&film.tile(&pixels, [5, 5]).rows[..8], [0., 1., 5., 6., 0., 1., 5., 6.]);
        let later: Vec<f32> = pixels.iter().map(|v| v + 100.0).collect();
        let moved = film.tile_of_frames(&[&pixels, &later], [5, 5]);
        assert_eq!(&moved.rows[..10], [0., 1., 5., 6., 100., 101., 105., 106., 25., 26.]);
    }

    #[test]
    fn positions_of_a_small_tile_are_spread_over_the_table() {
        let positions = PositionTable::Learned { side: 6 };
        let spec = VisionSpec { merge: 1, positions, ..VisionSpec::default() };
        assert_eq!(spec.position_ids([2, 3]), [0, 2, 4, 18, 20, 22]);
        assert_eq!(spec.position_ids([6, 6]), (0..36).collect::<Vec<_>>());
    }

    #[test]
    fn llava_onevision_has_a_limit_and_thumbnails() {
        let pinpoints = (1..=6).flat_map(|y| (1..=6).map(move |x| [384 * y, 384 * x])).collect();
        let arrange = Arrange::AnyResolution { pinpoints, most_tiles: Some(9) };
        let spec = VisionSpec {
            image_size: 384,
            patch: 14,
            patch_count: 729,
            merge: 1,
            arrange,
            ..VisionSpec::default()
        };
        let tile = || Tile { grid: [27, 27], rows: Vec::new() };
        let rows = |tiles: usize, size| {
            let tiles = (0..tiles).map(|_| tile()).collect();
            Picture::arranged(&spec, tiles, size).map(|picture| picture.rows)
        };
        // The thumbnail, then 81 lines of 81 tokens with their ends.
        assert_eq!(rows(10, [1152, 1152]).expect("nine tiles").len(), 729 + 81 * 82);
        let one = rows(1, [1152, 1152]).expect("a thumbnail");
        assert_eq!((one.len(), one[729]), (730, VisualRow::Learned(0)));
        let error = rows(26, [1920, 1920]).expect_err("25 tiles").to_string();
        assert!(error.contains("1152 pixels"), "{error}");
    }

    #[test]
    fn pictures_and_videos_come_as_their_placeholders_do() {
        let shown = |rows: usize, video| Picture {
            tiles: vec![Tile { grid: [1, 1], rows: Vec::new() }],
            rows: vec![VisualRow::Token { tile: 0, row: 0 }; rows],
            video,
            ..Picture::default()
        };
        let ids = [1, 8, 8, 8, 2, 7, 7, 8, 8, 8];
        let (images, videos) = (vec![shown(2, false)], vec![shown(3, true), shown(3, true), shown(1, true)]);
        let order = order_by_placeholders(&ids, Some(7), Some(8), images, videos);
        let kinds: Vec<(bool, usize)> = order.iter().map(|p| (p.video, p.rows.len())).collect();
        // The last has no placeholder.
        assert_eq!(kinds, [(true, 3), (false, 2), (true, 3), (true, 1)]);
    }

    #[test]
    fn pinpoints_of_llava_next() {
        let pinpoints = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]];
        assert_eq!(best_pinpoint(&pinpoints, [390, 394]), [672, 672]);
        assert_eq!(best_pinpoint(&pinpoints, [100, 400]), [336, 672]);
        // 2 x 2 tiles of 24 x 24 tokens for a picture twice as wide as high: a quarter above and below.
        assert_eq!(padding([300, 600], [48, 48]), (12, 0));
    }
}
