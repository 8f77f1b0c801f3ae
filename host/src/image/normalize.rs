//! 8-bit pixels to normalised float planes, in the operation order of each backend.

use super::{Backend, PixelValues, ProcessorConfig, RgbPicture};

/// Rescales and normalises as the configuration says; the result is [3, height, width].
///
/// torchvision folds the rescale into mean and deviation, `(x - mean * k) / (std * k)` with
/// `k = 1 / rescale_factor`; Pillow's processor multiplies in double precision, rounds, and then
/// computes `(x - mean) / std`. Each float operation is rounded to float32 as there.
pub(super) fn normalize(picture: &RgbPicture, config: &ProcessorConfig) -> PixelValues {
    let plane = picture.width * picture.height;
    let mut data = vec![0f32; plane * 3];
    for (c, out) in data.chunks_exact_mut(plane.max(1)).enumerate() {
        let table = level_table(config, c);
        for (value, pixel) in out.iter_mut().zip(picture.data.chunks_exact(3)) {
            *value = table[usize::from(pixel[c])];
        }
    }
    PixelValues::new(3, picture.height, picture.width, data)
}

/// The value of each of the 256 levels in channel `c`.
fn level_table(config: &ProcessorConfig, c: usize) -> [f32; 256] {
    let (mean, std) = (config.mean[c] as f32, config.std[c] as f32);
    let scale = config.rescale_factor;
    std::array::from_fn(|level| {
        let pixel = level as f32;
        match (config.backend, config.do_rescale, config.do_normalize) {
            (_, false, false) => pixel,
            (_, false, true) => (pixel - mean) / std,
            (Backend::Torchvision, true, false) => pixel * scale as f32,
            (Backend::Torchvision, true, true) => {
                let levels = (1.0 / scale) as f32;
                (pixel - mean * levels) / (std * levels)
            }
            (Backend::Pillow, true, normalize) => {
                let value = (level as f64 * scale) as f32;
                if normalize {
                    (value - mean) / std
                } else {
                    value
                }
            }
        }
    })
}
