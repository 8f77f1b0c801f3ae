//! Models that compare pictures with texts (CLIP, SigLIP): both become vectors of one width.

use serde::{Deserialize, Serialize};

use super::spec::ModelSpec;

/// Which token's row is a text's vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pool {
    /// The first one with this id: the end of the text.
    FirstOf(u32),
    /// The first one with the text's highest id (old configurations).
    HighestId,
    /// The last one; texts are filled up to a length.
    Last {
        /// Tokens of every text.
        length: usize,
        /// What fills it up.
        padding: u32,
    },
}

/// How vectors of pictures and texts are compared: `scale * cosine + bias`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// Values of a vector.
    pub width: usize,
    /// Factor on the cosine.
    pub scale: f32,
    /// Added to it.
    pub bias: f32,
    /// The row of a text that is its vector.
    pub pool: Pool,
    /// A score is about its text alone (sigmoid), else about all texts together (softmax).
    pub each: bool,
}

impl Contrast {
    /// A tokenizer's tokens up to the one whose row is the text's vector, filled up where the model wants a fixed
    /// length; `None` where there is no such token.
    pub fn ended(&self, mut ids: Vec<u32>) -> Option<Vec<u32>> {
        if let Pool::Last { length, padding } = self.pool {
            ids.resize(ids.len().max(length), padding);
        }
        let used = self.used(&ids)?.len();
        ids.truncate(used);
        Some(ids)
    }

    /// The tokens of a text up to the one whose row is its vector; `None` where there is no such token.
    pub fn used<'t>(&self, ids: &'t [u32]) -> Option<&'t [u32]> {
        let last = match self.pool {
            Pool::Last { .. } => ids.len().checked_sub(1)?,
            Pool::FirstOf(end) => ids.iter().position(|id| *id == end)?,
            Pool::HighestId => {
                let highest = ids.iter().max()?;
                ids.iter().position(|id| id == highest)?
            }
        };
        Some(&ids[..=last])
    }

    /// Probabilities of the labels of a picture from their scores.
    pub fn probabilities(&self, scores: &[f32]) -> Vec<f32> {
        if self.each {
            return scores.iter().map(|s| 1.0 / (1.0 + (-s).exp())).collect();
        }
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = scores.iter().map(|s| (s - top).exp()).collect();
        let sum: f32 = powers.iter().sum();
        powers.iter().map(|p| p / sum).collect()
    }

    /// Scores of each picture for each text, `[pictures, texts]`; the vectors need not have length 1.
    pub fn scores(&self, pictures: &[Vec<f32>], texts: &[Vec<f32>]) -> Vec<f32> {
        let (pictures, texts) = (pictures.iter().map(|v| unit(v)), texts.iter().map(|v| unit(v)));
        let texts: Vec<Vec<f32>> = texts.collect();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let row =
            |p: Vec<f32>| texts.iter().map(move |t| self.scale * dot(&p, t) + self.bias).collect::<Vec<_>>();
        pictures.flat_map(row).collect()
    }
}

/// The vector scaled to length 1; zeros stay zeros.
pub fn unit(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
    vector.iter().map(|x| (f64::from(*x) * factor) as f32).collect()
}

impl ModelSpec {
    /// Columns of the text part's result: the vocabulary, or the width of the vectors.
    pub fn outputs(&self) -> usize {
        self.contrast.as_ref().map_or(self.text.vocab, |contrast| contrast.width)
    }

    /// Columns of the vision part's result.
    pub fn visual_width(&self) -> usize {
        self.contrast.as_ref().map_or(self.text.hidden, |contrast| contrast.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_end_token() {
        let contrast = |pool| Contrast { width: 2, scale: 10.0, bias: -1.0, pool, each: false };
        let first = contrast(Pool::FirstOf(9));
        assert_eq!(first.used(&[1, 5, 9, 9]), Some(&[1, 5, 9][..]));
        assert_eq!(first.used(&[1, 5]), None);
        assert_eq!(contrast(Pool::HighestId).used(&[1, 7, 5]), Some(&[1, 7][..]));
        let last = contrast(Pool::Last { length: 4, padding: 3 });
        assert_eq!(last.ended(vec![1, 2]), Some(vec![1, 2, 3, 3]));
        assert_eq!(first.ended(vec![1, 9, 5]), Some(vec![1, 9]));
        assert_eq!(last.used(&[1, 2, 3, 3]), Some(&[1, 2, 3, 3][..]));
        assert_eq!(first.probabilities(&[1000.0, 1000.0]), [0.5, 0.5]);
        assert_eq!(Contrast { each: true, ..first.clone() }.probabilities(&[0.0, 0.0, 0.0]), [0.5; 3]);
        let scores = first.scores(&[vec![3.0, 4.0]], &[vec![10.0, 0.0], vec![0.0, 0.0]]);
        assert_eq!(scores, [5.0, -1.0]);
    }
}
