//! Carrying out a cut.

use super::super::{resize, Backend, Filter, RgbPicture};
use super::{Canvas, Cut, Extent, Origin};

/// The tiles of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Pieces {
    /// Row by row, with the whole picture where the cut says.
    pub tiles: Vec<RgbPicture>,
    /// What the whole picture's tile is still to be made of.
    pub canvas: Option<RgbPicture>,
}

impl Cut {
    /// The tiles.
    pub fn apply(&self, picture: &RgbPicture, filter: Filter, backend: Backend) -> Pieces {
        let scale = |p: &RgbPicture, [w, h]: Extent| match self.lying {
            true => turned(&resize(&turned(p), h, w, filter, backend)),
            false => resize(p, w, h, filter, backend),
        };
        let mut scaled = picture.clone();
        for size in &self.scaled {
            scaled = scale(&scaled, *size);
        }
        let whole = self.whole.and_then(|w| match w.from {
            Origin::Picture => Some((w.first, scale(picture, w.size))),
            Origin::Scaled => Some((w.first, scale(&scaled, w.size))),
            Origin::Canvas => None,
        });
        let canvas = self.canvas.map_or_else(|| scaled.clone(), |canvas| place(&scaled, &canvas));
        let [columns, rows] = self.grid;
        let size = [canvas.width / columns.max(1), canvas.height / rows.max(1)];
        let mut tiles: Vec<RgbPicture> = (0..rows * columns)
            .map(|at| piece(&canvas, [at % columns * size[0], at / columns * size[1]], size))
            .collect();
        if let Some((first, whole)) = whole {
            tiles.insert(if first { 0 } else { tiles.len() }, whole);
        }
        let of_canvas = self.whole.is_some_and(|whole| whole.from == Origin::Canvas);
        Pieces { tiles, canvas: of_canvas.then_some(canvas) }
    }
}

/// Rows become columns.
fn turned(picture: &RgbPicture) -> RgbPicture {
    let (width, height) = (picture.width, picture.height);
    let pixel = |x: usize, y: usize| &picture.data[(y * width + x) * 3..][..3];
    let data = (0..width).flat_map(|x| (0..height).flat_map(move |y| pixel(x, y))).copied().collect();
    RgbPicture::new(height, width, data)
}

/// The picture on a canvas.
fn place(picture: &RgbPicture, canvas: &Canvas) -> RgbPicture {
    let [width, height] = canvas.size;
    let mut data = canvas.fill.repeat(width * height);
    for (y, row) in picture.data.chunks_exact(picture.width * 3).enumerate() {
        let start = ((canvas.at[1] + y) * width + canvas.at[0]) * 3;
        data[start..start + row.len()].copy_from_slice(row);
    }
    RgbPicture::new(width, height, data)
}

fn piece(canvas: &RgbPicture, [left, top]: Extent, [width, height]: Extent) -> RgbPicture {
    let rows = (top..top + height).flat_map(|y| {
        let start = (y * canvas.width + left) * 3;
        &canvas.data[start..start + width * 3]
    });
    RgbPicture::new(width, height, rows.copied().collect())
}

#[cfg(test)]
mod tests {
    use super::super::Whole;
    use super::*;

    #[test]
    fn tiles_are_cut_row_by_row_from_the_canvas() {
        let picture = RgbPicture::new(4, 1, (0..12).collect());
        let canvas = Canvas { size: [4, 2], at: [0, 1], fill: [9, 9, 9] };
        let whole = Some(Whole { size: [4, 1], first: true, from: Origin::Picture });
        let cut = Cut { canvas: Some(canvas), grid: [2, 2], whole, ..Cut::none() };
        let tiles = cut.apply(&picture, Filter::Bilinear, Backend::Torchvision).tiles;
        assert_eq!(cut.tile_sizes([4, 1]), [[4, 1], [2, 1], [2, 1], [2, 1], [2, 1]]);
        assert_eq!(tiles[0], picture);
        assert_eq!(tiles[1].data, [9; 6]);
        assert_eq!(tiles[4].data, [6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn lying_on_the_side_columns_are_rows() {
        let picture = RgbPicture::new(2, 1, vec![1, 2, 3, 4, 5, 6]);
        assert_eq!(turned(&picture), RgbPicture::new(1, 2, vec![1, 2, 3, 4, 5, 6]));
        let wide = RgbPicture::new(3, 2, (0..18).collect());
        assert_eq!(turned(&turned(&wide)), wide);
    }
}
