//! Early exits as in DeeR-VLA (arXiv 2411.02359): a prompt's rows run through more layers until what the model would
//! say no longer changes.
//!
//! The layers behind which one looks are a list: the first entry is looked at only, the last is the whole model, and
//! behind each but the first the run may end. The change at an exit is the distance (L2) of the probabilities of
//! the next token from those at the entry before. A run ends at the first exit whose change is below its
//! threshold; the answer's tokens then run through as many layers as the prompt, so that every row of the cache has all
//! the layers that are asked of it. [`Calibration`] has what was seen on questions set aside and turns a budget
//! of cycles into thresholds.

mod budget;
mod calibration;

pub use budget::Plan;
pub use calibration::{Calibration, CalibrationError, Cost};

use crate::device::{Device, DeviceError, ImageHandle, Logits, StepOutput};

/// Where a run may end, and when it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Exits {
    /// Layers behind which the run is looked at, ascending.
    pub layers: Vec<usize>,
    /// Of each but the first: a smaller change ends the run. The last one ends in any case.
    pub thresholds: Vec<f32>,
}

impl Exits {
    /// Runs a prompt until it may end; its depth is the device's from then on.
    pub fn prefill(
        &self,
        device: &mut dyn Device,
        ids: &[u32],
        images: &[ImageHandle],
        want: Logits,
    ) -> Result<StepOutput, DeviceError> {
        let mut out = None;
        observe(device, ids, images, &self.layers, want, &mut |device, output, change| {
            let exit = self.layers.iter().position(|layers| *layers == device.depth());
            let threshold = exit.and_then(|at| self.thresholds.get(at.checked_sub(1)?));
            out = Some(output);
            !change.zip(threshold).is_some_and(|(change, threshold)| change < *threshold)
        })?;
        Ok(out.expect("invariant: a run looks at one exit at least"))
    }
}

/// What an exit is shown: the device, its output, the change since the exit before; says whether to go on.
type Look<'l> = dyn FnMut(&dyn Device, StepOutput, Option<f32>) -> bool + 'l;

/// Runs a prompt behind each of `layers` in turn, as long as `look` says.
pub fn observe(
    device: &mut dyn Device,
    ids: &[u32],
    images: &[ImageHandle],
    layers: &[usize],
    want: Logits,
    look: &mut Look<'_>,
) -> Result<(), DeviceError> {
    let want = if want == Logits::LastHidden { want } else { Logits::LastToken };
    let mut before: Option<Vec<f32>> = None;
    for layers in layers {
        let output = match before {
            None => {
                device.set_depth(*layers)?;
                device.prefill(ids, images, want)?
            }
            Some(_) => device.deepen(*layers, want)?,
        };
        let now = probabilities(&output.logits);
        let change = before.as_ref().map(|before| distance(before, &now));
        before = Some(now);
        if !look(device, output, change) {
            break;
        }
    }
    Ok(())
}

/// Of the next token.
fn probabilities(logits: &[f32]) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|x| (x - top).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_distances_of_probabilities() {
        let certain = probabilities(&[1000.0, 0.0]);
        assert_eq!(certain, [1.0, 0.0]);
        assert_eq!(distance(&certain, &probabilities(&[0.0, 1000.0])), 2f32.sqrt());
        assert_eq!(distance(&certain, &certain), 0.0);
    }
}
