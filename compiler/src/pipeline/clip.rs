//! Clippings of weights, looked for block by block: Q-VLM (Wang et al., arXiv:2410.08119).
//!
//! How strongly the groups of a layer may be cut is judged by what comes out of the layers behind it, not by the
//! layer's own error: the layers of a block are compressed with every combination of candidates, each in front of the
//! next, and the combination stays whose outputs are nearest to the exact ones. As in the authors' released code, a
//! layer is worth the search where the entropy of its inputs is at least the mean of those so far (here: of those with
//! as many columns); neighbours that are form a block. Descent behind the sweep may still widen a scale.

use super::follow::{Follower, Step};
use crate::diag::Diagnostic;
use crate::eval::Together;
use crate::quant::Clipping;
use std::collections::BTreeMap;

/// Largest level over the largest weight of a group, at most; the first stands for no bound.
const CANDIDATES: [f32; 3] = [1.0, 0.85, 0.7];
/// Steps of a block, at most: their combinations multiply.
const DEPTH: usize = 2;
/// Prompts that are tried.
const PROMPTS: usize = 8;

/// Goes through the model with [`Follower`].
pub(super) struct Search<'f> {
    follower: &'f Follower<'f>,
    /// Sum and number of the entropies so far, by columns.
    entropies: BTreeMap<usize, (f64, f64)>,
    pub(super) found: Vec<Clipping>,
}

/// The best combination for a block, its error, and the error without bounds.
struct Best {
    clips: Vec<f32>,
    error: f64,
    plain: f64,
}

impl<'f> Search<'f> {
    pub(super) fn new(follower: &'f Follower<'f>) -> Self {
        Search { follower, entropies: BTreeMap::new(), found: Vec::new() }
    }

    /// The bounds of the first of `steps`, which both runs have reached, and of those that were decided with it.
    pub(super) fn block(
        &mut self,
        steps: &[Step],
        exact: &Together<'_>,
        drifted: &Together<'_>,
    ) -> Result<Vec<f32>, Diagnostic> {
        let mut exacts = vec![exact.fork(PROMPTS)];
        let mut entropies = Vec::new();
        let mut length = 0;
        // The output layer has none behind it to judge by.
        while length < DEPTH && length + 1 < steps.len() {
            let here = &exacts[length];
            let (entropy, wanted) = self.wanted(&steps[length], here);
            entropies.push(entropy);
            if !wanted {
                break;
            }
            length += 1;
            let mut next = here.fork(PROMPTS);
            next.run_to(steps[length].first());
            exacts.push(next);
        }
        let mut clips = vec![1.0; entropies.len().max(1)];
        if length > 0 {
            let best = self.best(&steps[..=length], &exacts, drifted.fork(PROMPTS))?;
            for ((step, most), entropy) in steps.iter().zip(&best.clips).zip(entropies) {
                self.found.push(Clipping {
                    path: self.follower.path(step),
                    entropy,
                    most: *most,
                    error_before: best.plain,
                    error_after: best.error,
                });
            }
            clips[..length].copy_from_slice(&best.clips);
        }
        Ok(clips)
    }

    /// Entropy of the step's inputs, and whether it is worth the search.
    fn wanted(&mut self, step: &Step, exact: &Together<'_>) -> (f64, bool) {
        let cols = self.follower.cols(step);
        let entropies = (0..exact.len()).map(|prompt| entropy(exact.rows(prompt, step.value), cols));
        let here = entropies.sum::<f64>() / exact.len() as f64;
        let (sum, count) = self.entropies.entry(cols).or_default();
        *sum += here;
        *count += 1.0;
        (here, here >= *sum / *count)
    }

    /// Tries the combinations for all of `steps` but the last, whose inputs are what counts.
    fn best(
        &self,
        steps: &[Step],
        exacts: &[Together<'_>],
        mut drifted: Together<'_>,
    ) -> Result<Best, Diagnostic> {
        let [step, next, ..] = steps else {
            let error = distance(steps[0].value, &exacts[0], &drifted);
            return Ok(Best { clips: Vec::new(), error, plain: error });
        };
        let learnt = self.follower.learn(step, &exacts[0], &mut drifted);
        let mut best: Option<Best> = None;
        for most in CANDIDATES {
            let mut branch = drifted.fork(PROMPTS);
            self.follower.compress(step, &learnt, &mut branch, most, None)?;
            branch.run_to(next.first());
            let behind = self.best(&steps[1..], &exacts[1..], branch)?;
            let plain = best.as_ref().map_or(behind.plain, |best| best.plain);
            if best.as_ref().is_none_or(|best| behind.error < best.error) {
                let clips = [vec![most], behind.clips].concat();
                best = Some(Best { clips, error: behind.error, plain });
            }
        }
        Ok(best.expect("invariant: there are candidates"))
    }
}

/// Mean over the rows of `−Σ a ln a`, a: the sizes of a row's values over its length.
fn entropy(x: &[f32], cols: usize) -> f64 {
    let row = |x: &[f32]| -> f64 {
        let length = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(1e-30);
        let sizes = x.iter().map(|x| f64::from(x.abs()) / length);
        -sizes.map(|a| a * (a + 1e-7).ln()).sum::<f64>()
    };
    x.chunks_exact(cols).map(row).sum::<f64>() / (x.len() / cols) as f64
}

/// Squared distance of the rows of a value over their square.
fn distance(value: crate::graph::ValueId, exact: &Together<'_>, drifted: &Together<'_>) -> f64 {
    let (mut off, mut square) = (0.0, 1e-30);
    for prompt in 0..exact.len() {
        for (a, b) in exact.rows(prompt, value).iter().zip(drifted.rows(prompt, value)) {
            off += f64::from(a - b).powi(2);
            square += f64::from(*a).powi(2);
        }
    }
    off / square
}
