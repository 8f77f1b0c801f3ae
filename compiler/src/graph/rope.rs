//! Rotary position embeddings as a table that the host computes: the hardware knows no position scheme.

use serde::{Deserialize, Serialize};

/// A row's position: text models use the first axis alone, multimodal ones time, height and width,
/// vision towers height and width.
pub type Position = [f32; 3];

/// Angular frequencies of the turning pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Frequencies {
    /// The same at every length.
    Fixed(Vec<f32>),
    /// `dynamic`: the base grows with the sequence once it is longer than `positions`.
    Dynamic {
        /// Base at short lengths.
        theta: f32,
        /// Columns that turn.
        columns: usize,
        /// Scaling factor.
        factor: f64,
        /// Length from which on the base grows.
        positions: usize,
    },
    /// `longrope`: one set up to `positions`, another one beyond.
    ByLength {
        /// Up to `positions`.
        short: Vec<f32>,
        /// Beyond.
        long: Vec<f32>,
        /// Length of the change.
        positions: usize,
    },
}

/// How the columns of a head turn: column `i` of the first `2 * pairs` pairs with column `i + pairs`
/// (`rotate_half`); the others stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rotary {
    /// Frequencies of the pairs.
    pub frequencies: Frequencies,
    /// Axis of the position that each pair follows; empty: the first.
    pub axes: Vec<u8>,
    /// Factor on cos and sin.
    pub scaling: f32,
}

/// `theta^(-2i / columns)`, in float32 as Hugging Face computes it.
pub fn plain_frequencies(theta: f32, columns: usize) -> Vec<f32> {
    (0..columns / 2).map(|pair| 1.0 / theta.powf((2 * pair) as f32 / columns as f32)).collect()
}

impl Rotary {
    /// Number of turning pairs.
    pub fn pairs(&self) -> usize {
        match &self.frequencies {
            Frequencies::Fixed(f) | Frequencies::ByLength { short: f, .. } => f.len(),
            Frequencies::Dynamic { columns, .. } => columns / 2,
        }
    }

    /// True when the table depends on the length of the sequence.
    pub fn depends_on_length(&self) -> bool {
        !matches!(self.frequencies, Frequencies::Fixed(_))
    }

    /// Frequencies for a sequence of `length` positions.
    pub fn frequencies(&self, length: usize) -> Vec<f32> {
        match &self.frequencies {
            Frequencies::Fixed(f) => f.clone(),
            Frequencies::ByLength { short, long, positions } => {
                if length > *positions { long } else { short }.clone()
            }
            Frequencies::Dynamic { theta, columns, factor, positions } => {
                let stretch = factor * length.max(*positions) as f64 / *positions as f64 - (factor - 1.0);
                let power = *columns as f64 / (*columns as f64 - 2.0);
                plain_frequencies((f64::from(*theta) * stretch.powf(power)) as f32, *columns)
            }
        }
    }

    /// cos and sin of every pair at a position; angles are formed in float32, as in Hugging Face.
    pub fn row<'a>(
        &'a self,
        frequencies: &'a [f32],
        position: Position,
    ) -> impl Iterator<Item = (f32, f32)> + 'a {
        frequencies.iter().enumerate().map(move |(pair, freq)| {
            let axis = self.axes.get(pair).copied().unwrap_or(0);
            let angle = position[usize::from(axis)] * freq;
            (angle.cos() * self.scaling, angle.sin() * self.scaling)
        })
    }

    /// M-RoPE++ for sequences `factor` times as long as those of the training (GIRAFFE, arXiv 2412.12735): the pairs of the
    /// first axis stay, those of the last turn slower by the factor, and between lies a ramp.
    pub fn stretched(&self, factor: f32) -> Rotary {
        let Frequencies::Fixed(plain) = &self.frequencies else { return self.clone() };
        let of_axis = |axis: u8| self.axes.iter().filter(|a| **a == axis).count() as f32;
        let (first, middle) = (of_axis(0), of_axis(1));
        let slow = 1.0 / factor;
        let stretched = plain.iter().enumerate().map(|(pair, frequency)| {
            let behind = (pair + 1) as f32 - first;
            let keep = if behind <= 0.0 { 1.0 } else { (1.0 - behind / middle).max(0.0) };
            frequency * (slow + (1.0 - slow) * keep)
        });
        Rotary { frequencies: Frequencies::Fixed(stretched.collect()), ..self.clone() }
    }

    /// What is wrong with it for heads of `head_dim` columns.
    pub(super) fn faults(&self, head_dim: usize) -> Vec<String> {
        let mut faults = Vec::new();
        let pairs = self.pairs();
        if !head_dim.is_multiple_of(2) || pairs == 0 || 2 * pairs > head_dim {
            faults.push(format!("{pairs} pairs turn in heads of {head_dim} columns"));
        }
        if !self.axes.is_empty() && (self.axes.len() != pairs || self.axes.iter().any(|a| *a > 2)) {
            faults.push(format!("axes {:?} for {pairs} pairs", self.axes));
        }
        if !self.scaling.is_finite() || self.frequencies(1).iter().any(|f| !f.is_finite()) {
            faults.push("rotary constants must be finite".into());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_follow_the_length() {
        let dynamic = Frequencies::Dynamic { theta: 100.0, columns: 4, factor: 2.0, positions: 8 };
        let r = Rotary { frequencies: dynamic, axes: vec![], scaling: 1.0 };
        assert_eq!(r.frequencies(3), plain_frequencies(100.0, 4));
        // (2 * 12 / 8 - 1)^(4/2) = 4
        assert_eq!(r.frequencies(12), plain_frequencies(400.0, 4));
        let long = Frequencies::ByLength { short: vec![1.0], long: vec![0.5], positions: 8 };
        let r = Rotary { frequencies: long, ..r };
        assert_eq!((r.frequencies(8), r.frequencies(9)), (vec![1.0], vec![0.5]));
        assert!(r.depends_on_length());
    }

    /// Sixteen pairs as 4, 6 and 6: two, three and three eighths.
    #[test]
    fn the_middle_axis_of_mrope_is_a_ramp() {
        let axes = [[0; 4].to_vec(), [1; 6].to_vec(), [2; 6].to_vec()].concat();
        let r = Rotary { frequencies: Frequencies::Fixed(vec![1.0; 16]), axes, scaling: 1.0 };
        let f = r.stretched(4.0).frequencies(1);
        assert_eq!((&f[..4], &f[9..]), (&[1.0; 4][..], &[0.25; 7][..]));
        assert_eq!(f[6], 0.25 + 0.75 * 0.5);
        assert!(f[4..10].is_sorted_by(|a, b| a > b));
        assert_eq!(r.stretched(1.0), r);
    }

    #[test]
    fn pairs_follow_their_axes() {
        let frequencies = Frequencies::Fixed(vec![1.0, 1.0]);
        let r = Rotary { frequencies, axes: vec![0, 2], scaling: 2.0 };
        let row: Vec<_> = r.row(&[1.0, 1.0], [0.5, 9.0, 0.25]).collect();
        assert_eq!(row[0], (2.0 * 0.5_f32.cos(), 2.0 * 0.5_f32.sin()));
        assert_eq!(row[1], (2.0 * 0.25_f32.cos(), 2.0 * 0.25_f32.sin()));
    }
}
