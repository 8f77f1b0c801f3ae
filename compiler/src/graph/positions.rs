//! Positions of the rows of a prompt, for the rotary table.

use super::picture::{Picture, VisualRow};
use super::rope::Position;
use super::spec::{Arrange, ModelSpec, PositionScheme};
use crate::diag::Diagnostic;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Positions of visual tokens in a model whose rows have one axis. Text goes on one behind the last visual token,
/// rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VisualPositions {
    /// V2PE (arXiv 2412.09616): a visual token is so many 256ths behind the row before it.
    Step(u32),
    /// MouSi (arXiv 2401.17221): the tokens of a line share a position.
    Rows,
    /// MouSi: all tokens that follow each other share a position.
    One,
}

/// Parts of a position that [`VisualPositions::Step`] counts in.
const PARTS: u32 = 256;

impl fmt::Display for VisualPositions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VisualPositions::Step(stride) => write!(f, "v2pe={stride}"),
            VisualPositions::Rows => f.write_str("rows"),
            VisualPositions::One => f.write_str("one"),
        }
    }
}

impl FromStr for VisualPositions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let stride = |text: &str| text.parse().ok().filter(|n: &u32| n.is_power_of_two() && *n <= PARTS);
        match (text, text.strip_prefix("v2pe=").map(stride)) {
            ("rows", _) => Ok(VisualPositions::Rows),
            ("one", _) => Ok(VisualPositions::One),
            (_, Some(Some(stride))) => Ok(VisualPositions::Step(stride)),
            _ => Err("expected v2pe=STRIDE (a power of two up to 256), rows or one".into()),
        }
    }
}

impl VisualPositions {
    /// Can this model do it?
    pub fn check(self, model: &ModelSpec) -> Result<(), Diagnostic> {
        let fault = |expected: &str, got: String| {
            Err(Diagnostic::new("--image-positions", expected, got, "leave --image-positions out"))
        };
        let Some(vision) = model.vision.as_ref().filter(|_| model.contrast.is_none()) else {
            let got = format!("{}, which shows none in a prompt", model.architecture);
            return fault("a model that takes pictures", got);
        };
        if model.position_scheme != PositionScheme::Sequence {
            let got = format!("{} with rotary positions of several axes", model.architecture);
            return fault("a model with positions in one axis", got);
        }
        if self == VisualPositions::Rows && vision.arrange != Arrange::Tiles {
            let got = format!("{}, whose lines run over several tiles", model.architecture);
            return fault("a model whose tiles stand one behind the other", got);
        }
        Ok(())
    }
}

/// Positions of a prompt's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Positions {
    /// One a row.
    pub rows: Vec<Position>,
    /// Position of a later row, less its place in the sequence.
    pub shift: f32,
    /// How far positions have come behind each row, where they have three axes; else empty.
    pub reached: Vec<Reached>,
}

/// How far positions have come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Position of a text row that follows.
    pub next: f32,
    /// The highest so far.
    pub last: f32,
}

impl Default for Reached {
    fn default() -> Self {
        Reached { next: 0.0, last: -1.0 }
    }
}

/// Visual tokens of a picture or video, one position each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenGrid {
    /// Down and across; of the first tile, if there are several.
    pub size: [usize; 2],
    /// Tiles behind each other in time: 1 for pictures.
    pub times: usize,
    /// Positions from one of these to the next.
    pub step: f32,
    /// Places in the raster of the tokens that stay where they were; `None`: all.
    pub kept: Option<Vec<usize>>,
}

impl ModelSpec {
    /// The grid of a picture's or a video's tokens, of which the rows `kept` stay.
    pub fn token_grid(&self, picture: &Picture, kept: &[VisualRow]) -> TokenGrid {
        let merge = self.tower_of(picture).map_or(1, |vision| vision.merge.max(1));
        let size = picture.tiles.first().map_or([0; 2], |tile| tile.grid.map(|n| n / merge));
        let video = self.video.as_ref().filter(|_| picture.video);
        let times = if video.is_some() { picture.tiles.len() } else { 1 };
        let per_second = video.and_then(|video| video.positions_per_second);
        let place = |row: &VisualRow| match *row {
            VisualRow::Token { tile, row } => Some(tile * size[0] * size[1] + row),
            VisualRow::Learned(_) => None,
        };
        let kept = picture.prune.map(|_| kept.iter().filter_map(place).collect());
        TokenGrid { size, times, step: per_second.map_or(1.0, |n| n * picture.seconds), kept }
    }
}

impl ModelSpec {
    /// Positions of the rows of a prompt whose pictures and videos have `grids` of tokens.
    pub fn positions(&self, ids: &[u32], grids: &[TokenGrid]) -> Positions {
        self.positions_behind(0, Reached::default(), ids, grids)
    }

    /// Positions of rows behind `place` others, which have come as far as `reached`; only where positions have three axes.
    pub fn positions_behind(
        &self,
        place: usize,
        reached: Reached,
        ids: &[u32],
        grids: &[TokenGrid],
    ) -> Positions {
        assert!(place == 0 || self.position_scheme == PositionScheme::Multimodal, "rows are read whole");
        match self.position_scheme {
            PositionScheme::Sequence => {
                let rows = (0..ids.len()).map(|p| [p as f32; 3]).collect();
                Positions { rows, shift: 0.0, reached: Vec::new() }
            }
            PositionScheme::Multimodal => self.multimodal(place, reached, ids, grids),
            PositionScheme::Visual(how) => self.visual(how, ids, grids),
        }
    }

    /// `grids`: of the pictures' tiles, as wide as their lines.
    fn visual(&self, how: VisualPositions, ids: &[u32], grids: &[TokenGrid]) -> Positions {
        let is_visual = |at: usize| Some(ids[at]) == self.image_token_id;
        let width = grids.first().map_or(1, |grid| grid.size[1].max(1));
        let (mut rows, mut last, mut column) = (Vec::with_capacity(ids.len()), 0.0f32, 0);
        for at in 0..ids.len() {
            let first = at == 0 || !is_visual(at - 1);
            column = if first { 0 } else { column + 1 };
            if at > 0 {
                last = match how {
                    _ if !is_visual(at) => last.ceil() + 1.0,
                    VisualPositions::Step(stride) => last + stride as f32 / PARTS as f32,
                    VisualPositions::Rows => last + f32::from(column % width == 0),
                    VisualPositions::One => last + f32::from(first),
                };
            }
            rows.push([last; 3]);
        }
        let shift = last.ceil() + 1.0 - ids.len() as f32;
        Positions { rows, shift, reached: Vec::new() }
    }

    /// Qwen2-VL: visual tokens of one time differ in row and column, those of a video also in time; text goes on behind
    /// the longer side, and an answer behind the last position of all (`get_rope_index`).
    fn multimodal(&self, place: usize, behind: Reached, ids: &[u32], grids: &[TokenGrid]) -> Positions {
        let mut rows: Vec<Position> = Vec::with_capacity(ids.len());
        let mut reached: Vec<Reached> = Vec::with_capacity(ids.len());
        let (Reached { mut next, mut last }, mut grids) = (behind, grids.iter());
        while let Some(id) = ids.get(rows.len()) {
            let grid = if self.is_placeholder(*id) { grids.next() } else { None };
            if let Some(TokenGrid { size: [height, width], times, step, kept }) = grid {
                let whole: Vec<Position> = (0..times * height * width)
                    .map(|place| {
                        let (time, i) = (place / (height * width), place % (height * width));
                        let [y, x] = [i / width, i % width].map(|n| next + n as f32);
                        [next + (time as f32 * step).trunc(), y, x]
                    })
                    .collect();
                // Tokens that are left out leave their positions free, and what follows stays where it was.
                last = whole.iter().flatten().fold(last, |last, p| last.max(*p));
                match kept {
                    None => rows.extend(whole),
                    Some(kept) => rows.extend(kept.iter().map(|place| whole[*place])),
                }
                next += (*height).max(*width) as f32;
            } else {
                rows.push([next; 3]);
                next += 1.0;
            }
            let new = &rows[reached.len()..];
            last = new.iter().flatten().fold(last, |last, p| last.max(*p));
            reached.resize(rows.len(), Reached { next, last });
        }
        rows.truncate(ids.len());
        reached.truncate(ids.len());
        let last = reached.last().map_or(behind.last, |reached| reached.last);
        Positions { shift: last + 1.0 - (place + ids.len()) as f32, rows, reached }
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::{VideoSpec, VisionSpec};
    use super::*;

    /// The vector of the authors' code: three of text, 256 of a picture at stride 64, text.
    #[test]
    fn visual_tokens_of_v2pe_are_fractions_apart() {
        let spec = |how| ModelSpec {
            position_scheme: PositionScheme::Visual(how),
            image_token_id: Some(9),
            ..ModelSpec::default()
        };
        let ids: Vec<u32> = [1, 2, 3].into_iter().chain([9; 256]).chain([4, 5]).collect();
        let still = |size| TokenGrid { size, times: 1, step: 1.0, kept: None };
        let p = spec(VisualPositions::Step(64)).positions(&ids, &[still([16, 16])]);
        let at: Vec<f32> = p.rows.iter().map(|row| row[0]).collect();
        assert_eq!((at[2], at[3], at[4], at[258], at[259], at[260]), (2.0, 2.25, 2.5, 66.0, 67.0, 68.0));
        assert_eq!(p.shift, 69.0 - 261.0);
        let few = [1, 9, 9, 9, 9, 2, 9, 9, 3];
        let grids = [still([2, 2]), still([1, 2])];
        let of = |how| spec(how).positions(&few, &grids).rows.iter().map(|r| r[0]).collect::<Vec<_>>();
        assert_eq!(of(VisualPositions::Rows), [0., 1., 1., 2., 2., 3., 4., 4., 5.]);
        assert_eq!(of(VisualPositions::One), [0., 1., 1., 1., 1., 2., 3., 3., 4.]);
        assert_eq!(of(VisualPositions::Step(128)), [0., 0.5, 1., 1.5, 2., 3., 3.5, 4., 5.]);
    }

    #[test]
    fn schemes_have_names() {
        for name in ["v2pe=1", "v2pe=256", "rows", "one"] {
            assert_eq!(name.parse::<VisualPositions>().map(|p| p.to_string()), Ok(name.to_string()));
        }
        for wrong in ["v2pe=3", "v2pe=512", "v2pe=0", "v2pe", "row", ""] {
            assert!(wrong.parse::<VisualPositions>().unwrap_err().contains("expected v2pe"), "{wrong}");
        }
    }

    #[test]
    fn text_goes_on_behind_the_longer_side() {
        let spec = ModelSpec {
            position_scheme: PositionScheme::Multimodal,
            image_token_id: Some(9),
            ..ModelSpec::default()
        };
        let still = TokenGrid { size: [2, 3], times: 1, step: 1.0, kept: None };
        let p = spec.positions(&[1, 9, 9, 9, 9, 9, 9, 2], std::slice::from_ref(&still));
        assert_eq!(p.rows[1..4], [[1., 1., 1.], [1., 1., 2.], [1., 1., 3.]]);
        assert_eq!(p.rows[4..7], [[1., 2., 1.], [1., 2., 2.], [1., 2., 3.]]);
        // Three columns, so the text goes on at 1 + 3.
        assert_eq!((p.rows[7], p.shift), ([4.; 3], -3.0));
        // Two of the six stay, at their places, and the text where it was.
        let few = TokenGrid { kept: Some(vec![1, 5]), ..still };
        let p = spec.positions(&[1, 9, 9, 2, 3], &[few]);
        assert_eq!(p.rows, [[0.; 3], [1., 1., 2.], [1., 2., 3.], [4.; 3], [5.; 3]]);
        assert_eq!((p.shift, p.reached[1].next), (1.0, 4.0));
    }

    #[test]
    fn the_tiles_of_a_video_follow_each_other_in_time() {
        let video = VideoSpec { token_id: 8, vision: VisionSpec::default(), positions_per_second: Some(2.0) };
        let spec = ModelSpec {
            position_scheme: PositionScheme::Multimodal,
            image_token_id: Some(9),
            video: Some(video),
            ..ModelSpec::default()
        };
        // Tiles 2.25 positions apart: the third is 4 positions behind the first.
        let grid = TokenGrid { size: [1, 2], times: 3, step: 2.25, kept: None };
        let p = spec.positions(&[1, 8, 8, 8, 8, 8, 8, 2], &[grid]);
        let times: Vec<f32> = p.rows.iter().map(|row| row[0]).collect();
        assert_eq!(times, [0., 1., 1., 3., 3., 5., 5., 3.]);
        assert_eq!(p.rows[3..5], [[3., 1., 1.], [3., 1., 2.]]);
        // The text is at 1 + 2, the answer behind the video's last time.
        assert_eq!(p.shift, 6.0 - 8.0);
    }
}
