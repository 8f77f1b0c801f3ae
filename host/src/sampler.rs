//! Choosing the next token.

use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Sampling {
    /// The most likely token, found by the device.
    #[default]
    Greedy,
    /// Drawn from the most likely tokens.
    TopP {
        /// Divides the logits; above 0.
        temperature: f64,
        /// The smallest set of tokens whose probabilities reach this sum is kept; in (0, 1].
        top_p: f64,
        /// Equal seeds draw equal tokens from equal logits.
        seed: u64,
    },
}

/// A sampling rule and its random state.
pub struct Sampler {
    sampling: Sampling,
    random: ChaCha12Rng,
}

impl Sampler {
    /// Starts the random sequence.
    pub fn new(sampling: Sampling) -> Self {
        let seed = match sampling {
            Sampling::Greedy => 0,
            Sampling::TopP { seed, .. } => seed,
        };
        Sampler { sampling, random: ChaCha12Rng::seed_from_u64(seed) }
    }

    /// The next token, given one row of logits and the device's argmax. `None` when no logit is a
    /// number above minus infinity.
    pub fn choose(&mut self, logits: &[f32], greedy: u32) -> Option<u32> {
        let Sampling::TopP { temperature, top_p, .. } = self.sampling else {
            return Some(greedy);
        };
        let largest = logits.iter().copied().filter(|value| !value.is_nan()).reduce(f32::max)?;
        if !largest.is_finite() {
            return None;
        }
        let mut weights: Vec<(u32, f64)> = (0u32..)
            .zip(logits)
            .filter(|(_, logit)| !logit.is_nan())
            .map(|(id, &logit)| (id, (f64::from(logit - largest) / temperature).exp()))
            .collect();
        // Heaviest first; equal weights by id, so that the order is defined.
        weights.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let mut kept = 0.0;
        let mut count = 0;
        while count < weights.len() && (count == 0 || kept < top_p * total) {
            kept += weights[count].1;
            count += 1;
        }
        let mut left = self.uniform() * kept;
        for &(id, weight) in &weights[..count] {
            left -= weight;
            if left < 0.0 {
                return Some(id);
            }
        }
        Some(weights[count - 1].0)
    }

    /// Uniform in [0, 1), 53 bits.
    fn uniform(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(temperature: f64, top_p: f64, seed: u64) -> Vec<u32> {
        let mut sampler = Sampler::new(Sampling::TopP { temperature, top_p, seed });
        let logits = [1.0, 3.0, 2.0, f32::NEG_INFINITY, f32::NAN];
        (0..400).map(|_| sampler.choose(&logits, 0).unwrap()).collect()
    }

    #[test]
    fn frequencies_follow_the_logits() {
        let draws = draws(1.0, 1.0, 7);
        let share = |id| draws.iter().filter(|&&d| d == id).count() as f64 / draws.len() as f64;
        // Softmax of 1, 3, 2: 0.090, 0.665, 0.245.
        assert!((share(1) - 0.665).abs() < 0.08, "{}", share(1));
        assert!((share(2) - 0.245).abs() < 0.08, "{}", share(2));
        assert_eq!(share(3) + share(4), 0.0);
    }

    #[test]
    fn seeds_repeat_and_small_nuclei_are_greedy() {
        assert_eq!(draws(1.0, 0.9, 3), draws(1.0, 0.9, 3));
        assert_ne!(draws(1.0, 1.0, 3), draws(1.0, 1.0, 4));
        assert!(draws(1.0, 0.5, 1).iter().all(|&id| id == 1));
        assert!(draws(0.01, 1.0, 1).iter().all(|&id| id == 1));
    }

    #[test]
    fn no_number_means_no_token() {
        let sampling = Sampling::TopP { temperature: 1.0, top_p: 1.0, seed: 0 };
        assert_eq!(Sampler::new(sampling).choose(&[f32::NAN; 3], 0), None);
        assert_eq!(Sampler::new(Sampling::Greedy).choose(&[f32::NAN; 3], 2), Some(2));
    }
}
