//! Which visual tokens of a picture enter the prompt.
//!
//! The tower's attention says which patches matter; the methods differ in how they share the budget out
//! to the tiles. What is kept stays in raster order, learned rows (ends of lines) always stay, and the
//! number of rows depends on the picture's shape alone, so that the prompt can be written before the
//! tower has run.

use super::picture::{Picture, VisualRow};
use super::positions::VisualPositions;
use super::spec::{ModelSpec, PositionScheme, VisionSpec};
use crate::diag::Diagnostic;
use serde::{Deserialize, Serialize};

/// How visual tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// FasterVLM: in every tile the tokens with the highest attention of the last layer.
    Fastervlm,
    /// HiRED: tiles share their budget by the first layer's attention in their quadrant of the thumbnail.
    Hired,
    /// The same with the regions of the released code: bands of the thumbnail's raster.
    HiredBands,
}

impl Method {
    /// All, by name.
    pub const NAMES: [(&'static str, Method); 3] =
        [("fastervlm", Method::Fastervlm), ("hired", Method::Hired), ("hired-bands", Method::HiredBands)];

    /// Layers whose attention it reads: the last, or the first and the last.
    pub fn read_outs(self) -> u32 {
        if self == Method::Fastervlm {
            1
        } else {
            2
        }
    }
}

impl std::str::FromStr for Method {
    type Err = String;
    fn from_str(name: &str) -> Result<Method, String> {
        let found = Method::NAMES.iter().find(|(n, _)| *n == name).map(|(_, method)| *method);
        let names: Vec<&str> = Method::NAMES.iter().map(|(n, _)| *n).collect();
        found.ok_or_else(|| format!("no such method; there are none, {}", names.join(", ")))
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let found = Method::NAMES.iter().find(|(_, method)| method == self);
        f.write_str(found.expect("invariant: every method has a name").0)
    }
}

/// A method and its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Prune {
    /// How.
    pub method: Method,
    /// Visual tokens of a tile that stay, on average where tiles share their budget.
    pub tokens: usize,
}

/// HiRED: share of the budget that the thumbnail may take (the released scripts' value).
const THUMBNAIL_SHARE: f64 = 0.5;

/// What a tile's rows of the tower were attended with, summed over heads: by the class row, or by all
/// rows in towers without one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOut {
    /// In the first layer; empty where the method does not ask.
    pub first: Vec<f32>,
    /// In the last layer that the features come from.
    pub last: Vec<f32>,
}

impl Prune {
    /// Can this model do it?
    pub fn check(&self, model: &ModelSpec) -> Result<(), Diagnostic> {
        let fault = |expected: String, got: String, help: &str| {
            Err(Diagnostic::new("--visual-tokens", expected, got, help))
        };
        if model.vision.is_none() {
            let got = format!("{}, which takes none", model.architecture);
            return fault("a model that takes pictures".into(), got, "leave --visual-tokens out");
        }
        if model.position_scheme == PositionScheme::Multimodal {
            let got = format!("{} with rotary positions of several axes", model.architecture);
            return fault("a model with positions in one axis".into(), got, "leave --visual-tokens out");
        }
        if model.position_scheme == PositionScheme::Visual(VisualPositions::Rows) {
            let got = "--image-positions rows, whose lines would have gaps".into();
            return fault("whole lines".into(), got, "leave one of the two options out");
        }
        if model.vision.as_ref().is_some_and(|v| v.windows.is_some()) {
            let got = format!("{} with window attention", model.architecture);
            return fault(
                "a tower whose rows see the whole picture".into(),
                got,
                "leave --visual-tokens out",
            );
        }
        if model.vision.as_ref().is_some_and(|v| v.layers_used == 0) {
            let got = format!("{}, which has no tower", model.architecture);
            return fault(
                "a tower whose attention says what matters".into(),
                got,
                "leave --visual-tokens out",
            );
        }
        if self.tokens == 0 || self.tokens > model.visual_tokens {
            let expected = format!("1 to {} visual tokens of a tile", model.visual_tokens);
            return fault(expected, self.tokens.to_string(), "choose a number in that range");
        }
        Ok(())
    }
}

impl VisionSpec {
    /// Score of each token: the attention of the rows that are joined to it.
    fn scores(&self, attention: &[f32]) -> Vec<f32> {
        let rows = attention.get(self.skip_rows..).unwrap_or_default();
        rows.chunks_exact(self.merge * self.merge).map(|rows| rows.iter().sum()).collect()
    }
}

impl Picture {
    /// Tokens of each tile that the picture shows before pruning.
    fn shown(&self) -> Vec<usize> {
        let mut counts = vec![0; self.tiles.len()];
        for row in &self.rows {
            if let VisualRow::Token { tile, .. } = row {
                counts[*tile] += 1;
            }
        }
        counts
    }

    /// The budget of the tiles behind the thumbnail together, where they share it; and the thumbnail's.
    fn shares(&self, prune: &Prune, shown: &[usize]) -> Option<(usize, usize)> {
        if prune.method == Method::Fastervlm || self.detail == [0, 0] || shown.len() < 2 {
            return None;
        }
        let total = shown.len() * prune.tokens;
        let first = ((total as f64 * THUMBNAIL_SHARE) as usize).min(shown[0]);
        Some((first, (total - first).min(shown[1..].iter().sum())))
    }

    /// Visual tokens of each tile that stay; `None` where that depends on what the picture shows.
    pub fn tile_tokens(&self) -> Option<Vec<usize>> {
        let shown = self.shown();
        let Some(prune) = &self.prune else { return Some(shown) };
        match self.shares(prune, &shown) {
            Some(_) => None,
            None => Some(shown.iter().map(|n| prune.tokens.min(*n)).collect()),
        }
    }

    /// Rows of the prompt that the picture takes.
    pub fn placeholders(&self) -> usize {
        let shown = self.shown();
        let learned = self.rows.len() - shown.iter().sum::<usize>();
        let tokens = match self.prune.as_ref().map(|prune| (prune, self.shares(prune, &shown))) {
            None => shown.iter().sum(),
            Some((_, Some((first, others)))) => first + others,
            Some((prune, None)) => shown.iter().map(|n| prune.tokens.min(*n)).sum(),
        };
        learned + tokens
    }

    /// The rows that stay, in order, by what the tower's attention of each tile says.
    pub fn kept(&self, vision: &VisionSpec, read: &[ReadOut]) -> Vec<VisualRow> {
        let Some(prune) = &self.prune else { return self.rows.clone() };
        let shown = self.shown();
        let budgets = match self.shares(prune, &shown) {
            None => shown.iter().map(|n| prune.tokens.min(*n)).collect(),
            Some((first, others)) => {
                let marks = self.marks(vision, &read[0].first, prune.method);
                let mut budgets = share_out(others, &marks, &shown[1..]);
                budgets.insert(0, first);
                budgets
            }
        };
        let mut stays: Vec<Vec<bool>> = Vec::with_capacity(self.tiles.len());
        for (tile, (budget, read)) in budgets.iter().zip(read).enumerate() {
            let scores = vision.scores(&read.last);
            let candidates = self.rows.iter().filter_map(|row| match row {
                VisualRow::Token { tile: t, row } if *t == tile => Some(*row),
                _ => None,
            });
            let mut stay = vec![false; scores.len()];
            top(&scores, candidates.collect(), *budget).into_iter().for_each(|row| stay[row] = true);
            stays.push(stay);
        }
        let stays = |row: &&VisualRow| match **row {
            VisualRow::Token { tile, row } => stays[tile][row],
            VisualRow::Learned(_) => true,
        };
        self.rows.iter().filter(stays).copied().collect()
    }

    /// HiRED: of the thumbnail's tokens with the highest attention in the first layer, how many lie in
    /// the region of each tile.
    fn marks(&self, vision: &VisionSpec, attention: &[f32], method: Method) -> Vec<usize> {
        let [down, across] = self.detail;
        let scores = vision.scores(attention);
        let [height, width] = self.tiles[0].grid.map(|n| n / vision.merge);
        let marked = (scores.len() as f64 * (1.0 - THUMBNAIL_SHARE)) as usize;
        let mut marks = vec![0; down * across];
        for row in top(&scores, (0..scores.len()).collect(), marked) {
            let region = match method {
                Method::HiredBands => row * marks.len() / scores.len(),
                _ => (row / width * down / height) * across + row % width * across / width,
            };
            marks[region] += 1;
        }
        marks
    }
}

/// The `count` candidates with the highest scores; the first of equals.
fn top(scores: &[f32], mut candidates: Vec<usize>, count: usize) -> Vec<usize> {
    candidates.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    candidates.truncate(count);
    candidates
}

/// Shares `total` out by weight, no part above its limit. What rounding and limits leave goes to the
/// largest fractions first. `total` is at most the sum of the limits.
fn share_out(total: usize, weights: &[usize], limits: &[usize]) -> Vec<usize> {
    let sum = weights.iter().sum::<usize>().max(1);
    let mut parts: Vec<usize> = weights.iter().zip(limits).map(|(w, l)| (total * w / sum).min(*l)).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(total * weights[*i] % sum), *i));
    let mut left = total - parts.iter().sum::<usize>();
    while left > 0 {
        for i in &order {
            if left > 0 && parts[*i] < limits[*i] {
                (parts[*i], left) = (parts[*i] + 1, left - 1);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::picture::Tile;
    use super::*;

    /// Five tiles of 4 x 4 tokens: a thumbnail and 2 x 2 tiles, a newline behind each row of those.
    fn cut(method: Method, tokens: usize) -> (VisionSpec, Picture) {
        let vision = VisionSpec { merge: 1, has_class: true, skip_rows: 1, ..VisionSpec::default() };
        let tiles = vec![Tile { grid: [4, 4], rows: Vec::new() }; 5];
        let mut rows: Vec<VisualRow> = (0..16).map(|row| VisualRow::Token { tile: 0, row }).collect();
        for y in 0..8 {
            let token = |x: usize| VisualRow::Token { tile: 1 + y / 4 * 2 + x / 4, row: y % 4 * 4 + x % 4 };
            rows.extend((0..8).map(token));
            rows.push(VisualRow::Learned(0));
        }
        let prune = Some(Prune { method, tokens });
        (vision, Picture { tiles, rows, prune, detail: [2, 2], ..Picture::default() })
    }

    /// Attention of a class row and 16 tokens, the highest at `at`.
    fn attention(at: &[usize]) -> Vec<f32> {
        let mut out = vec![0.0; 17];
        out[0] = 9.0; // the class row itself is no token
        at.iter().enumerate().for_each(|(i, at)| out[1 + at] = 8.0 - i as f32 / 16.0);
        out
    }

    #[test]
    fn every_tile_keeps_its_best_in_raster_order() {
        let (vision, picture) = cut(Method::Fastervlm, 2);
        let read = ReadOut { first: Vec::new(), last: attention(&[9, 3]) };
        let kept = picture.kept(&vision, &vec![read; 5]);
        assert_eq!(kept.len(), picture.placeholders());
        assert_eq!(kept[..2], [3, 9].map(|row| VisualRow::Token { tile: 0, row }));
        let newlines = kept.iter().filter(|row| matches!(row, VisualRow::Learned(0))).count();
        assert_eq!((newlines, kept.len()), (8, 5 * 2 + 8), "ends of lines stay");
        assert_eq!(picture.tile_tokens(), Some(vec![2; 5]));
    }

    #[test]
    fn tiles_share_by_the_marks_in_their_quadrant() {
        // Marked (half of 16): the upper left quadrant of the thumbnail and the upper right.
        let first = attention(&[0, 1, 4, 5, 2, 3, 6, 7]);
        let read = |first: &[f32]| ReadOut { first: first.to_vec(), last: attention(&[]) };
        let count = |method| {
            let (vision, picture) = cut(method, 3);
            let kept = picture.kept(&vision, &vec![read(&first); 5]);
            assert_eq!(kept.len(), picture.placeholders());
            assert_eq!(picture.tile_tokens(), None);
            let of = |tile| {
                kept.iter().filter(move |r| matches!(r, VisualRow::Token { tile: t, .. } if *t == tile))
            };
            [0, 1, 2, 3, 4].map(|tile| of(tile).count())
        };
        // 15 in all: int(7.5) for the thumbnail, 8 for the two tiles whose quadrants have marks.
        assert_eq!(count(Method::Hired), [7, 4, 4, 0, 0]);
        // In bands of four tokens the marks are those of the first two rows: regions 0 and 1.
        assert_eq!(count(Method::HiredBands), [7, 4, 4, 0, 0]);
        let left = attention(&[0, 1, 4, 5, 8, 9, 12, 13]);
        let (vision, picture) = cut(Method::Hired, 3);
        assert_eq!(picture.marks(&vision, &left, Method::Hired), [4, 0, 4, 0]);
        assert_eq!(picture.marks(&vision, &left, Method::HiredBands), [2, 2, 2, 2]);
    }

    #[test]
    fn shares_use_the_budget_up() {
        assert_eq!(share_out(10, &[1, 1, 1], &[9, 9, 9]), [4, 3, 3]);
        assert_eq!(share_out(10, &[8, 0, 0], &[4, 4, 4]), [4, 3, 3]);
        assert_eq!(share_out(3, &[0, 0], &[2, 2]), [2, 1]);
    }
}
