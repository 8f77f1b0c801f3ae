//! Carrying out a cut.

use super::super::{resize, Backend, Filter, RgbPicture};
use super::{Canvas, Cut, Extent};

impl Cut {
    /// The tiles, row by row, with the whole picture where the cut says.
    pub fn apply(&self, picture: &RgbPicture, filter: Filter, backend: Backend) -> Vec<RgbPicture> {
        let scale = |p: &RgbPicture, [w, h]: Extent| resize(p, w, h, filter, backend);
        let mut scaled = picture.clone();
        for size in &self.scaled {
            scaled = scale(&scaled, *size);
        }
        let whole = self.whole.map(|w| (w.first, scale(if w.of_scaled { &scaled } else { picture }, w.size)));
        let canvas = self.canvas.map_or_else(|| scaled.clone(), |canvas| place(&scaled, &canvas));
        let [columns, rows] = self.grid;
        let size = [canvas.width / columns.max(1), canvas.height / rows.max(1)];
        let mut tiles: Vec<RgbPicture> = (0..rows * columns)
            .map(|at| piece(&canvas, [at % columns * size[0], at / columns * size[1]], size))
            .collect();
        if let Some((first, whole)) = whole {
            tiles.insert(if first { 0 } else { tiles.len() }, whole);
        }
        tiles
    }
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
        let whole = Some(Whole { size: [4, 1], first: true, of_scaled: false });
        let cut = Cut { scaled: vec![], canvas: Some(canvas), grid: [2, 2], whole };
        let tiles = cut.apply(&picture, Filter::Bilinear, Backend::Torchvision);
        assert_eq!(cut.tile_sizes([4, 1]), [[4, 1], [2, 1], [2, 1], [2, 1], [2, 1]]);
        assert_eq!(tiles[0], picture);
        assert_eq!(tiles[1].data, [9; 6]);
        assert_eq!(tiles[4].data, [6, 7, 8, 9, 10, 11]);
    }
}
