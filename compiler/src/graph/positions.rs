//! Positions of the rows of a prompt, for the rotary table.

use super::picture::Picture;
use super::rope::Position;
use super::spec::{ModelSpec, PositionScheme, VisionSpec};

/// Positions of a prompt's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Positions {
    /// One a row.
    pub rows: Vec<Position>,
    /// Position of a later row, less its place in the sequence.
    pub shift: f32,
}

impl VisionSpec {
    /// Visual tokens of a picture down and across; of its first tile, if it has several.
    pub fn token_grid(&self, picture: &Picture) -> [usize; 2] {
        picture.tiles.first().map_or([0; 2], |tile| tile.grid.map(|n| n / self.merge.max(1)))
    }
}

impl ModelSpec {
    /// Positions of the rows of a prompt whose pictures have `grids` of tokens.
    pub fn positions(&self, ids: &[u32], grids: &[[usize; 2]]) -> Positions {
        match self.position_scheme {
            PositionScheme::Sequence => {
                let rows = (0..ids.len()).map(|p| [p as f32; 3]).collect();
                Positions { rows, shift: 0.0 }
            }
            PositionScheme::Multimodal => self.multimodal(ids, grids),
        }
    }

    /// Qwen2-VL: the tokens of a picture share a time and differ in row and column; text goes on behind
    /// the longer side.
    fn multimodal(&self, ids: &[u32], grids: &[[usize; 2]]) -> Positions {
        let (mut rows, mut next, mut grids) = (Vec::with_capacity(ids.len()), 0, grids.iter());
        while let Some(id) = ids.get(rows.len()) {
            let grid = if Some(*id) == self.image_token_id { grids.next() } else { None };
            let Some(&[height, width]) = grid else {
                rows.push([next as f32; 3]);
                next += 1;
                continue;
            };
            let at = |i: usize| [next as f32, (next + i / width) as f32, (next + i % width) as f32];
            rows.extend((0..height * width).map(at));
            next += height.max(width);
        }
        rows.truncate(ids.len());
        let shift = next as f32 - ids.len() as f32;
        Positions { rows, shift }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_on_behind_the_longer_side() {
        let spec = ModelSpec {
            position_scheme: PositionScheme::Multimodal,
            image_token_id: Some(9),
            ..ModelSpec::default()
        };
        let p = spec.positions(&[1, 9, 9, 9, 9, 9, 9, 2], &[[2, 3]]);
        assert_eq!(p.rows[1..4], [[1., 1., 1.], [1., 1., 2.], [1., 1., 3.]]);
        assert_eq!(p.rows[4..7], [[1., 2., 1.], [1., 2., 2.], [1., 2., 3.]]);
        // Three columns, so the text goes on at 1 + 3.
        assert_eq!((p.rows[7], p.shift), ([4.; 3], -3.0));
    }
}
