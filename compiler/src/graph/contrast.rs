//! Models that compare pictures with texts (CLIP): both become vectors of one width.

use serde::{Deserialize, Serialize};

use super::spec::ModelSpec;

/// Which token's row is a text's vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pool {
    /// The first one with this id: the end of the text.
    FirstOf(u32),
    /// The first one with the text's highest id (old configurations).
    HighestId,
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
}

impl Contrast {
    /// The tokens of a text up to the one whose row is its vector; `None` where there is no such token.
    pub fn used<'t>(&self, ids: &'t [u32]) -> Option<&'t [u32]> {
        let last = match self.pool {
            Pool::FirstOf(end) => ids.iter().position(|id| *id == end)?,
            Pool::HighestId => {
                let highest = ids.iter().max()?;
                ids.iter().position(|id| id == highest)?
            }
        };
        Some(&ids[..=last])
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
        let contrast = |pool| Contrast { width: 2, scale: 10.0, bias: -1.0, pool };
        let first = contrast(Pool::FirstOf(9));
        assert_eq!(first.used(&[1, 5, 9, 9]), Some(&[1, 5, 9][..]));
        assert_eq!(first.used(&[1, 5]), None);
        assert_eq!(contrast(Pool::HighestId).used(&[1, 7, 5]), Some(&[1, 7][..]));
        let scores = first.scores(&[vec![3.0, 4.0]], &[vec![10.0, 0.0], vec![0.0, 0.0]]);
        assert_eq!(scores, [5.0, -1.0]);
    }
}
