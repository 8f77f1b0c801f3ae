//! Centre crop, with black padding where the picture is smaller than the crop.

use super::{Backend, RgbPicture};

/// Cuts `width` x `height` pixels out of the middle.
///
/// Odd differences: both backends put the extra row or column of a *cut* below and to the right;
/// for padding, Pillow's processor puts the extra one above and to the left, torchvision's below
/// and to the right.
pub(super) fn center_crop(picture: &RgbPicture, width: usize, height: usize, backend: Backend) -> RgbPicture {
    let mut data = vec![0u8; width * height * 3];
    let (from_x, to_x, columns) = place(picture.width, width, backend);
    let (from_y, to_y, rows) = place(picture.height, height, backend);
    for row in 0..rows {
        let from = ((from_y + row) * picture.width + from_x) * 3;
        let to = ((to_y + row) * width + to_x) * 3;
        data[to..to + columns * 3].copy_from_slice(&picture.data[from..from + columns * 3]);
    }
    RgbPicture::new(width, height, data)
}

/// For one axis: where to read, where to write, and how much.
fn place(have: usize, want: usize, backend: Backend) -> (usize, usize, usize) {
    if have >= want {
        return ((have - want) / 2, 0, want);
    }
    let missing = want - have;
    let before = match backend {
        Backend::Pillow => missing.div_ceil(2),
        Backend::Torchvision => missing / 2,
    };
    (0, before, have)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_differences_follow_the_backend() {
        assert_eq!(place(7, 4, Backend::Pillow), (1, 0, 4));
        assert_eq!(place(7, 4, Backend::Torchvision), (1, 0, 4));
        assert_eq!(place(5, 8, Backend::Pillow), (0, 2, 5));
        assert_eq!(place(5, 8, Backend::Torchvision), (0, 1, 5));
    }
}
