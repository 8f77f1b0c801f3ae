//! From a picture to the rows of the patch embedding.

/// Rearranges one picture `[3, size, size]` into patch-major rows `[(size/patch)^2, 3*patch*patch]`.
///
/// Patches run row by row; a row is in the order (channel, y, x), which is the flatten order of the Hugging
/// Face convolution weight `[out, 3, patch, patch]`. Pixels beyond the last whole patch are dropped, as a
/// convolution without padding does.
pub fn patchify(pixels: &[f32], size: usize, patch: usize) -> Vec<f32> {
    assert_eq!(pixels.len(), 3 * size * size, "a picture of 3 x {size} x {size} values");
    assert!(patch > 0, "a patch has at least one pixel");
    let grid = size / patch;
    let mut rows = Vec::with_capacity(grid * grid * 3 * patch * patch);
    for patch_y in 0..grid {
        for patch_x in 0..grid {
            for channel in 0..3 {
                for y in 0..patch {
                    let start = (channel * size + patch_y * patch + y) * size + patch_x * patch;
                    rows.extend_from_slice(&pixels[start..start + patch]);
                }
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::patchify;

    #[test]
    fn rows_are_patches_in_channel_y_x_order() {
        let pixels: Vec<f32> = (0..3 * 5 * 5).map(|v| v as f32).collect();
        let rows = patchify(&pixels, 5, 2);
        assert_eq!(rows.len(), 4 * 12);
        assert_eq!(&rows[12..24], [2., 3., 7., 8., 27., 28., 32., 33., 52., 53., 57., 58.]);
    }
}
