//! What a device's cache holds, as one number per position, so that conversations can be compared
//! without their pictures.

use crate::prompt::Prompt;
use flightvlm_compiler::graph::Picture;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Layers of the language model that rows have been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// All.
    #[default]
    All,
    /// So many.
    First(usize),
    /// It shows when they run.
    Open,
}

/// One key per position of the context. A text position's key is its token; an image position's comes
/// from the picture's pixels and the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    depth: Depth,
    keys: Vec<u64>,
    /// For each position: is it the first of a picture, or text, so that a prompt can be cut before it?
    starts: Vec<bool>,
}

impl Conversation {
    /// Of a prompt whose visual tokens, of pictures and videos, `is_visual` tells.
    pub fn of(prompt: &Prompt, is_visual: impl Fn(u32) -> bool) -> Conversation {
        let mut out = Conversation::default();
        let mut pictures = prompt.images.iter().map(|p| (fingerprint(p), p.placeholders()));
        // The picture that is being read, its row and their number: text may stand between its tiles.
        let (mut picture, mut row, mut rows) = (0, 0, 0);
        for &id in &prompt.ids {
            if is_visual(id) {
                if row == rows {
                    let next = pictures.next().unwrap_or_default();
                    (picture, row, rows) = (next.0, 0, next.1.max(1));
                }
                // Above the range of tokens.
                out.keys.push((picture ^ (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1 << 63);
                out.starts.push(row == 0);
                row += 1;
            } else {
                out.keys.push(u64::from(id));
                out.starts.push(row == rows);
            }
        }
        out
    }

    /// Adds generated tokens.
    pub fn extend(&mut self, tokens: &[u32]) {
        self.keys.extend(tokens.iter().map(|&token| u64::from(token)));
        self.starts.resize(self.keys.len(), true);
    }

    /// Keys with their starts, as [`Conversation::keys`] and [`Conversation::starts`] gave them; one each.
    pub fn from_parts(keys: Vec<u64>, starts: Vec<bool>) -> Option<Conversation> {
        (keys.len() == starts.len()).then_some(Conversation { keys, starts, depth: Depth::All })
    }

    /// The same through other layers.
    pub fn through(self, depth: Depth) -> Conversation {
        Conversation { depth, ..self }
    }

    /// One number per position.
    pub fn keys(&self) -> &[u64] {
        &self.keys
    }

    /// Whether a prompt can be cut in front of a position.
    pub fn starts(&self) -> &[bool] {
        &self.starts
    }

    /// What a cache holds behind this prompt and its answer: all tokens but the last, which was not run;
    /// nothing where the prompt was interrupted.
    pub fn answered(mut self, tokens: &[u32]) -> Conversation {
        match tokens.split_last() {
            Some((_, run)) => self.extend(run),
            None => self.truncate(0),
        }
        self
    }

    /// Positions.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Forgets everything from a position on.
    pub fn truncate(&mut self, positions: usize) {
        self.keys.truncate(positions);
        self.starts.truncate(positions);
    }

    /// How many of this prompt's first positions a cache that holds `held` can spare: whole pictures
    /// only, and never the last position, whose logits are wanted. Rows that have been through other layers are not the
    /// same.
    pub fn known_in(&self, held: &Conversation) -> usize {
        if self.depth == Depth::Open || self.depth != held.depth {
            return 0;
        }
        let common = self.keys.iter().zip(&held.keys).take_while(|(a, b)| a == b).count();
        let common = common.min(self.len().saturating_sub(1));
        (0..=common).rev().find(|&at| self.starts.get(at) == Some(&true)).unwrap_or(0)
    }
}

/// A hash of what the model sees of a picture.
fn fingerprint(picture: &Picture) -> u64 {
    let mut hasher = DefaultHasher::new();
    for tile in &picture.tiles {
        (tile.grid, tile.rows.len()).hash(&mut hasher);
        tile.rows.iter().for_each(|value| value.to_bits().hash(&mut hasher));
    }
    (picture.prune, &picture.question).hash(&mut hasher);
    // The same frames of a video at other times have other positions.
    (picture.video, picture.seconds.to_bits()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightvlm_compiler::graph::{Tile, VisualRow};

    const IMAGE: u32 = 9;

    fn prompt(ids: &[u32], pictures: &[f32]) -> Conversation {
        let image_tokens = ids.iter().filter(|&&id| id == IMAGE).count();
        let rows = image_tokens.checked_div(pictures.len()).unwrap_or(0);
        let images = pictures.iter().map(|&value| Picture {
            tiles: vec![Tile { grid: [1, 1], rows: vec![value] }],
            rows: (0..rows).map(|row| VisualRow::Token { tile: 0, row }).collect(),
            ..Picture::default()
        });
        let images = images.collect();
        Conversation::of(&Prompt { ids: ids.to_vec(), image_tokens, images }, |id| id == IMAGE)
    }

    #[test]
    fn a_follow_up_shares_everything_before_the_new_question() {
        let mut held = prompt(&[1, IMAGE, IMAGE, 5], &[0.5]);
        held.extend(&[6, 7]);
        let next = prompt(&[1, IMAGE, IMAGE, 5, 6, 7, 8, 4], &[0.5]);
        assert_eq!(next.known_in(&held), 6);
        assert_eq!(held.known_in(&held), 5, "the last position is run again");
    }

    #[test]
    fn another_picture_shares_only_what_is_before_it() {
        let held = prompt(&[1, 2, IMAGE, IMAGE, 5], &[0.5]);
        assert_eq!(prompt(&[1, 2, IMAGE, IMAGE, 5], &[0.25]).known_in(&held), 2);
        // The second picture differs: the first is kept whole.
        let two = prompt(&[IMAGE, IMAGE, IMAGE, IMAGE, 5], &[0.5, 0.75]);
        assert_eq!(prompt(&[IMAGE, IMAGE, IMAGE, IMAGE, 5], &[0.5, 0.25]).known_in(&two), 2);
    }

    #[test]
    fn the_same_frames_at_other_times_are_another_video() {
        let film = |seconds| Picture {
            tiles: vec![Tile { grid: [1, 1], rows: vec![0.5] }; 2],
            rows: vec![VisualRow::Token { tile: 0, row: 0 }; 2],
            video: true,
            seconds,
            ..Picture::default()
        };
        let of = |seconds| {
            let prompt =
                Prompt { ids: vec![1, IMAGE, IMAGE, 5], image_tokens: 2, images: vec![film(seconds)] };
            Conversation::of(&prompt, |id| id == IMAGE)
        };
        assert_eq!((of(0.5).known_in(&of(0.5)), of(0.5).known_in(&of(1.0))), (3, 1));
    }

    #[test]
    fn rows_of_other_layers_are_not_known() {
        let of = |depth| prompt(&[3, 4, 5], &[]).through(depth);
        assert_eq!(of(Depth::First(2)).known_in(&of(Depth::First(2))), 2);
        assert_eq!(of(Depth::First(2)).known_in(&of(Depth::All)), 0);
        assert_eq!(of(Depth::All).known_in(&of(Depth::First(2))), 0);
        assert_eq!(of(Depth::Open).known_in(&of(Depth::Open)), 0);
    }

    #[test]
    fn a_prompt_is_not_cut_between_the_tiles_of_a_picture() {
        let held = prompt(&[1, IMAGE, 7, IMAGE, 5], &[0.5]);
        assert_eq!(prompt(&[1, IMAGE, 7, 8, IMAGE, 5], &[0.5]).known_in(&held), 1);
        assert_eq!(prompt(&[1, IMAGE, 7, IMAGE, 6], &[0.5]).known_in(&held), 4);
    }

    #[test]
    fn a_prompt_that_ends_in_a_picture_is_cut_before_it() {
        let held = prompt(&[1, IMAGE, IMAGE], &[0.5]);
        assert_eq!(held.known_in(&held), 1);
        assert_eq!(prompt(&[3], &[]).known_in(&Conversation::default()), 0);
        assert_eq!(prompt(&[3, 4], &[]).known_in(&prompt(&[4, 4], &[])), 0);
    }
}
