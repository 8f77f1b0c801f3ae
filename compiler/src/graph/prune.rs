//! Which visual tokens of a picture enter the prompt.
//!
//! The tower's attention says which patches matter; the methods differ in how they share the budget out
//! to the tiles, and some merge tokens instead of dropping them ([`super::merging`]). Both are the same to everybody
//! else: groups of tokens that are averaged before the projector, of one token where the others are dropped. What is kept
//! stays in raster order, learned rows (ends of lines) always stay, and the number of rows depends on the picture's
//! shape alone, so that the prompt can be written before the tower has run.
//!
//! Compiled programs choose the tokens that stay on the machine (`codegen/choice.rs`), to the bit as `top` does here; what
//! tiles share out, and what is merged, is decided here for both.

use super::merging::{merge, Candidates};
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
    /// FOLDER: in every tile tokens are merged with tokens whose features are similar.
    Folder,
    /// Turbo's score: tokens are merged with those whose keys of the last layer are similar, unless they are attended to.
    /// Once, behind the layers; the paper merges some tokens in every layer.
    Turbo,
}

impl Method {
    /// All, by name.
    pub const NAMES: [(&'static str, Method); 5] = [
        ("fastervlm", Method::Fastervlm),
        ("hired", Method::Hired),
        ("hired-bands", Method::HiredBands),
        ("folder", Method::Folder),
        ("turbo", Method::Turbo),
    ];

    /// Layers whose attention it reads: none, the last, or the first and the last.
    pub fn read_outs(self) -> u32 {
        match self {
            Method::Folder => 0,
            Method::Fastervlm | Method::Turbo => 1,
            Method::Hired | Method::HiredBands => 2,
        }
    }

    /// Are tokens merged, or else dropped?
    pub fn merges(self) -> bool {
        matches!(self, Method::Folder | Method::Turbo)
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

/// What a method knows of a tile; parts that it does not ask for are empty. Attention is what each of the tower's rows is
/// attended with, summed over heads: by the class row, or by all rows in towers without one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOut {
    /// Attention in the first layer.
    pub first: Vec<f32>,
    /// Attention in the last layer that the features come from.
    pub last: Vec<f32>,
    /// Turbo: keys of that layer, `[rows, n]`, summed over heads, their columns in any order.
    pub keys: Vec<f32>,
    /// FOLDER: what becomes visual tokens, `[rows, n]`.
    pub features: Vec<f32>,
}

/// Tokens of a tile that become one.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The token whose place it takes.
    pub token: usize,
    /// Tokens that are averaged, in ascending order.
    pub members: Vec<usize>,
}

impl Group {
    /// What each member counts in the average.
    pub fn weight(&self) -> f32 {
        1.0 / self.members.len() as f32
    }

    /// Of one token.
    pub fn of(token: usize) -> Group {
        Group { token, members: vec![token] }
    }
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
            let got = format!("{}, whose visual tokens have none", model.architecture);
            return fault(
                "a tower whose attention says what matters".into(),
                got,
                "leave --visual-tokens out",
            );
        }
        if model.contrast.is_some() {
            let got = format!("{}, whose pictures become one vector", model.architecture);
            return fault("a model whose prompts show pictures".into(), got, "leave --visual-tokens out");
        }
        if model.vision.as_ref().is_some_and(|v| v.question) {
            let got = format!("{}, which compresses pictures for the question", model.architecture);
            return fault(
                "a model whose tower makes the visual tokens".into(),
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

    /// Vector of each token of `tokens`: those of the rows that are joined to it, of all `rows` rows.
    fn vectors<'r>(&self, values: &'r [f32], rows: usize, tokens: &[usize]) -> Vec<&'r [f32]> {
        let width = values.len() / rows.max(1);
        let joined = self.merge * self.merge * width;
        tokens.iter().map(|token| &values[self.skip_rows * width + token * joined..][..joined]).collect()
    }
}

impl VisionSpec {
    /// What merging compares.
    fn candidates<'r>(
        &self,
        method: Method,
        read: &'r ReadOut,
        rows: usize,
        tokens: &[usize],
    ) -> Candidates<'r> {
        if method == Method::Folder {
            return Candidates { vectors: self.vectors(&read.features, rows, tokens), attention: None };
        }
        // What one row and head gives away is 1 in all.
        let asked = (self.heads * if self.has_class { 1 } else { rows }) as f64;
        let scores = self.scores(&read.last);
        let attention = tokens.iter().map(|token| f64::from(scores[*token]) / asked).collect();
        Candidates { vectors: self.vectors(&read.keys, rows, tokens), attention: Some(attention) }
    }
}

impl Picture {
    /// Tokens of each tile that the picture shows before pruning, in order.
    fn shown(&self) -> Vec<Vec<usize>> {
        let mut tokens = vec![Vec::new(); self.tiles.len()];
        for row in &self.rows {
            if let VisualRow::Token { tile, row } = row {
                tokens[*tile].push(*row);
            }
        }
        tokens
    }

    /// How many those are.
    fn counts(&self) -> Vec<usize> {
        self.shown().iter().map(Vec::len).collect()
    }

    /// The budget of the tiles behind the thumbnail together, where they share it; and the thumbnail's.
    fn shares(&self, prune: &Prune, shown: &[usize]) -> Option<(usize, usize)> {
        let sharing = matches!(prune.method, Method::Hired | Method::HiredBands);
        if !sharing || self.detail == [0, 0] || shown.len() < 2 {
            return None;
        }
        let total = shown.len() * prune.tokens;
        let first = ((total as f64 * THUMBNAIL_SHARE) as usize).min(shown[0]);
        Some((first, (total - first).min(shown[1..].iter().sum())))
    }

    /// Visual tokens of each tile that stay; `None` where that depends on what the picture shows.
    pub fn tile_tokens(&self) -> Option<Vec<usize>> {
        let shown = self.counts();
        let Some(prune) = &self.prune else { return Some(shown) };
        match self.shares(prune, &shown) {
            Some(_) => None,
            None => Some(shown.iter().map(|n| prune.tokens.min(*n)).collect()),
        }
    }

    /// Rows of the prompt that the picture takes.
    pub fn placeholders(&self) -> usize {
        let shown = self.counts();
        let learned = self.rows.len() - shown.iter().sum::<usize>();
        let tokens = match self.prune.as_ref().map(|prune| (prune, self.shares(prune, &shown))) {
            None => shown.iter().sum(),
            Some((_, Some((first, others)))) => first + others,
            Some((prune, None)) => shown.iter().map(|n| prune.tokens.min(*n)).sum(),
        };
        learned + tokens
    }

    /// Tokens of a tile that the picture shows before pruning, in raster order.
    pub fn candidates(&self, tile: usize) -> Vec<usize> {
        std::mem::take(&mut self.shown()[tile])
    }

    /// Do the tiles share their tokens by the thumbnail's attention in the first layer?
    pub fn shares_tokens(&self) -> bool {
        self.prune.as_ref().is_some_and(|prune| self.shares(prune, &self.counts()).is_some())
    }

    /// Visual tokens of a tile that stay. `first`: the thumbnail's attention in the first layer, where tiles share by it.
    pub fn budget(&self, vision: &VisionSpec, tile: usize, first: &[f32]) -> usize {
        let counts = self.counts();
        let Some(prune) = &self.prune else { return counts[tile] };
        match self.shares(prune, &counts) {
            None => prune.tokens.min(counts[tile]),
            Some((thumbnail, _)) if tile == 0 => thumbnail,
            Some((_, others)) => {
                let marks = self.marks(vision, first, prune.method);
                share_out(others, &marks, &counts[1..])[tile - 1]
            }
        }
    }

    /// What the visual tokens of tile `tile` are made of, in order. `read`: what is known of the tiles up to this one.
    pub fn groups(&self, vision: &VisionSpec, tile: usize, read: &[ReadOut]) -> Vec<Group> {
        let tokens = self.candidates(tile);
        let Some(prune) = &self.prune else { return tokens.into_iter().map(Group::of).collect() };
        let budget = self.budget(vision, tile, &read[0].first);
        let (grid, read) = (self.tiles[tile].grid, &read[tile]);
        if prune.method.merges() {
            let rows = grid[0] * grid[1] + usize::from(vision.has_class);
            let candidates = vision.candidates(prune.method, read, rows, &tokens);
            let group = |(place, members): (usize, Vec<usize>)| Group {
                token: tokens[place],
                members: members.into_iter().map(|member| tokens[member]).collect(),
            };
            return merge(&candidates, budget).into_iter().map(group).collect();
        }
        let scores = vision.scores(&read.last);
        let mut stays = vec![false; scores.len()];
        top(&scores, tokens.clone(), budget).into_iter().for_each(|token| stays[token] = true);
        tokens.into_iter().filter(|token| stays[*token]).map(Group::of).collect()
    }

    /// The rows that stay, in order, with these groups of each tile.
    pub fn kept(&self, groups: &[Vec<Group>]) -> Vec<VisualRow> {
        let stays = |row: &&VisualRow| match **row {
            VisualRow::Token { tile, row } => groups[tile].iter().any(|group| group.token == row),
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

    /// The rows that stay, tile after tile.
    fn kept(picture: &Picture, vision: &VisionSpec, read: &[ReadOut]) -> Vec<VisualRow> {
        let groups = |tile| picture.groups(vision, tile, &read[..=tile]);
        picture.kept(&(0..picture.tiles.len()).map(groups).collect::<Vec<_>>())
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
        let read = ReadOut { last: attention(&[9, 3]), ..ReadOut::default() };
        let kept = kept(&picture, &vision, &vec![read; 5]);
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
        let read =
            |first: &[f32]| ReadOut { first: first.to_vec(), last: attention(&[]), ..ReadOut::default() };
        let count = |method| {
            let (vision, picture) = cut(method, 3);
            let kept = kept(&picture, &vision, &vec![read(&first); 5]);
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

    /// Tiles of any resolution: what is merged keeps a place in its line, and ends of lines stay.
    #[test]
    fn merged_tokens_keep_their_lines() {
        let (vision, picture) = cut(Method::Folder, 2);
        // Features: the upper two lines of a tile point one way, the others another; the class row is none of them.
        let features = (0..17).flat_map(|row| if row <= 8 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
        let read = vec![ReadOut { features, ..ReadOut::default() }; 5];
        for tile in 0..5 {
            let groups = picture.groups(&vision, tile, &read[..=tile]);
            let members: Vec<Vec<usize>> = groups.iter().map(|group| group.members.clone()).collect();
            assert_eq!(members, [(0..8).collect::<Vec<_>>(), (8..16).collect()], "tile {tile}");
            assert!(groups.iter().all(|group| group.members.contains(&group.token)));
        }
        let kept = kept(&picture, &vision, &read);
        assert_eq!(kept.len(), picture.placeholders());
        assert_eq!(kept.iter().filter(|row| matches!(row, VisualRow::Learned(_))).count(), 8);
        let at = |row: &VisualRow| picture.rows.iter().position(|r| r == row);
        let places: Vec<_> = kept.iter().filter(|r| matches!(r, VisualRow::Token { .. })).map(at).collect();
        assert!(places.is_sorted());
    }

    #[test]
    fn shares_use_the_budget_up() {
        assert_eq!(share_out(10, &[1, 1, 1], &[9, 9, 9]), [4, 3, 3]);
        assert_eq!(share_out(10, &[8, 0, 0], &[4, 4, 4]), [4, 3, 3]);
        assert_eq!(share_out(3, &[0, 0], &[2, 2]), [2, 1]);
    }
}
