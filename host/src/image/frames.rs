//! Videos: a folder of pictures in the order of their names, or an animated GIF, of which a few frames at equal
//! distances are shown. For models of single pictures, six frames are tiled into one picture, two columns of
//! three, row by row in time (IG-VLM, arXiv 2403.18406).

use super::decode::{check_size, decode_file, to_rgb};
use super::{resize, Backend, Filter, ImageError, RgbPicture};
use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Frames of a grid.
const FRAMES: usize = 6;

/// Frames of an animation that are decoded at most.
const MAX_FRAMES: usize = 4096;

/// Places of the frames that are shown of `total`.
fn chosen(total: usize) -> Vec<usize> {
    match total / FRAMES {
        0 => (0..total).collect(),
        step => (0..FRAMES).map(|k| k * step).collect(),
    }
}

/// Places of `count` frames of `total`, as `numpy.arange(0, total, total / count)` truncates them (the way of
/// Video-LLaVA's examples).
fn spread(total: usize, count: usize) -> Vec<usize> {
    let step = total as f64 / count as f64;
    (0..count).map(|k| ((k as f64 * step) as usize).min(total - 1)).collect()
}

/// The grid of a folder's pictures.
pub(super) fn of_folder(folder: &Path) -> Result<RgbPicture, ImageError> {
    Ok(grid(&folder_frames(folder, &chosen)?))
}

/// `count` of a folder's pictures.
pub(super) fn of_video_folder(folder: &Path, count: usize) -> Result<Vec<RgbPicture>, ImageError> {
    folder_frames(folder, &|total| spread(total, count))
}

/// `count` frames of an animation.
pub(super) fn of_video_gif(bytes: &[u8], count: usize) -> Result<Vec<RgbPicture>, ImageError> {
    gif_frames(bytes, &|total| spread(total, count))
}

fn folder_frames(folder: &Path, places: &dyn Fn(usize) -> Vec<usize>) -> Result<Vec<RgbPicture>, ImageError> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(ImageError::NoFrames("the folder holds no pictures".into()));
    }
    let frame = |at: usize| {
        let file = || files[at].file_name().unwrap_or_default().to_string_lossy().into_owned();
        decode_file(&files[at]).map_err(|fault| ImageError::Frame { file: file(), fault: Box::new(fault) })
    };
    places(files.len()).into_iter().map(frame).collect()
}

/// The grid of an animation; a GIF of one frame is that picture.
pub(super) fn of_gif(bytes: &[u8]) -> Result<RgbPicture, ImageError> {
    Ok(grid(&gif_frames(bytes, &chosen)?))
}

fn gif_frames(bytes: &[u8], places: &dyn Fn(usize) -> Vec<usize>) -> Result<Vec<RgbPicture>, ImageError> {
    let damaged = |error: image::ImageError| ImageError::Damaged(error.to_string());
    let decoder = GifDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    check_size(decoder.dimensions())?;
    let total = decoder.into_frames().take(MAX_FRAMES).take_while(Result::is_ok).count();
    if total == 0 {
        return Err(ImageError::NoFrames("the GIF has no frame that can be decoded".into()));
    }
    // A second pass keeps a few frames in memory, not all.
    let places = places(total);
    let again = GifDecoder::new(Cursor::new(bytes)).map_err(damaged)?.into_frames();
    let mut frames = Vec::with_capacity(places.len());
    for (at, frame) in again.take(total).enumerate() {
        let frame = frame.map_err(damaged)?;
        let wanted = places.iter().filter(|place| **place == at).count();
        if wanted > 0 {
            let picture = to_rgb(&DynamicImage::ImageRgba8(frame.into_buffer()));
            frames.extend(std::iter::repeat_n(picture, wanted));
        }
    }
    Ok(frames)
}

/// Frames in two columns (one frame alone stays as it is), scaled to the smallest width and height,
/// missing cells white.
fn grid(frames: &[RgbPicture]) -> RgbPicture {
    if let [one] = frames {
        return one.clone();
    }
    let least = |side: fn(&RgbPicture) -> usize| frames.iter().map(side).min().unwrap_or(1);
    let (width, height) = (least(|f| f.width), least(|f| f.height));
    let columns = (frames.len() as f64).sqrt().round() as usize;
    let rows = frames.len().div_ceil(columns);
    let mut out = vec![255; columns * width * rows * height * 3];
    for (at, frame) in frames.iter().enumerate() {
        let cell = resize(frame, width, height, Filter::Bilinear, Backend::Torchvision);
        let (left, top) = (at % columns * width, at / columns * height);
        for (y, line) in cell.data.chunks_exact(width * 3).enumerate() {
            let start = ((top + y) * columns * width + left) * 3;
            out[start..start + line.len()].copy_from_slice(line);
        }
    }
    RgbPicture::new(columns * width, rows * height, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::gif::GifEncoder;
    use image::{Frame, Rgba, RgbaImage};

    fn grey(value: u8) -> RgbPicture {
        RgbPicture::new(2, 1, vec![value; 6])
    }

    #[test]
    fn six_frames_at_equal_distances_fill_two_columns_in_time_order() {
        assert_eq!(chosen(20), [0, 3, 6, 9, 12, 15]);
        assert_eq!(chosen(4), [0, 1, 2, 3]);
        assert_eq!(spread(20, 8), [0, 2, 5, 7, 10, 12, 15, 17]);
        assert_eq!(spread(3, 8), [0, 0, 0, 1, 1, 1, 2, 2]);
        let picture = grid(&(1..=5).map(grey).collect::<Vec<_>>());
        assert_eq!((picture.width, picture.height), (4, 3));
        let firsts: Vec<u8> = picture.data.chunks(6).map(|cell| cell[0]).collect();
        assert_eq!(firsts, [1, 2, 3, 4, 5, 255]);
    }

    #[test]
    fn a_gif_and_a_folder_are_videos() {
        let mut file = Vec::new();
        let mut encoder = GifEncoder::new(&mut file);
        for value in [0u8, 255] {
            let frame = RgbaImage::from_pixel(3, 2, Rgba([value, value, value, 255]));
            encoder.encode_frame(Frame::new(frame)).expect("a frame");
        }
        drop(encoder);
        let picture = super::super::decode(&file).expect("a grid");
        // Two frames: one column, two rows.
        assert_eq!((picture.width, picture.height), (3, 4));
        assert_eq!((picture.data[0], picture.data[3 * 2 * 3]), (0, 255));
        let folder = tempfile::tempdir().expect("a folder");
        let none = decode_file(folder.path()).expect_err("no frames").to_string();
        assert!(none.contains("no pictures"), "{none}");
        for (name, value) in [("a.png", 10u8), ("b.png", 20)] {
            image::RgbImage::from_pixel(4, 2, image::Rgb([value; 3]))
                .save(folder.path().join(name))
                .expect("PNG");
        }
        let shown = of_video_folder(folder.path(), 4).expect("frames");
        assert_eq!(shown.iter().map(|f| f.data[0]).collect::<Vec<_>>(), [10, 10, 20, 20]);
        let picture = decode_file(folder.path()).expect("a grid");
        assert_eq!((picture.width, picture.height, picture.data[0]), (4, 4, 10));
    }
}
