//! Values between the pixels of normalised planes, as `torch.nn.functional.interpolate` with `mode="bicubic"` computes
//! them: Keys' cubic with a = -0.75, four taps a side whatever the scale, edges repeated, in float32.

use super::{Extent, PixelValues};

/// Parameter of the cubic.
const A: f32 = -0.75;

/// Where an output reads: four positions and their weights.
struct Taps {
    at: [usize; 4],
    weights: [f32; 4],
}

/// Taps of `to` outputs over `from` inputs.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f32 / to as f32;
    let tap = |i: usize| {
        let place = scale * (i as f32 + 0.5) - 0.5;
        let first = place.floor();
        let t = place - first;
        let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
        let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
        let position = |k: i64| (first as i64 + k).clamp(0, from as i64 - 1) as usize;
        Taps {
            at: [-1, 0, 1, 2].map(position),
            weights: [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)],
        }
    };
    (0..to).map(tap).collect()
}

/// The planes at another `size` (width, height).
pub(super) fn interpolate(values: &PixelValues, size: Extent) -> PixelValues {
    let [width, height] = size;
    let (across, down) = (taps(values.width, width), taps(values.height, height));
    let mut data = Vec::with_capacity(values.channels * width * height);
    for plane in values.data.chunks_exact(values.width * values.height) {
        for y in &down {
            for x in &across {
                let line = |row: usize| -> f32 {
                    let row = &plane[row * values.width..];
                    sum(x.at.map(|at| row[at]), x.weights)
                };
                data.push(sum(y.at.map(line), y.weights));
            }
        }
    }
    PixelValues::new(values.channels, height, width, data)
}

/// Fused, as torch's kernels are compiled.
fn sum(values: [f32; 4], weights: [f32; 4]) -> f32 {
    (1..4).fold(values[0] * weights[0], |sum, k| values[k].mul_add(weights[k], sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_planes_stay_flat_and_the_same_size_changes_nothing() {
        let ramp = PixelValues::new(1, 4, 5, (0..20).map(|v| v as f32).collect());
        assert_eq!(interpolate(&ramp, [5, 4]), ramp);
        let flat = PixelValues::new(2, 3, 7, vec![0.25; 42]);
        assert!(interpolate(&flat, [11, 2]).data.iter().all(|v| (v - 0.25).abs() < 1e-6));
    }
}
