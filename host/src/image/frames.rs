//! Videos: a folder of pictures in the order of their names, or an animated GIF, of which some frames are shown
//! ([`Sampling`]). For models of single pictures, six frames are tiled into one picture, two columns of three, row by
//! row in time (IG-VLM, arXiv 2403.18406).

use super::decode::decode_file;
use super::gif;
use super::{resize, Backend, Filter, ImageError, RgbPicture, Sampling};
use std::path::{Path, PathBuf};

/// Frames of a grid.
const FRAMES: usize = 6;

/// Pixels of a file's frames that are decoded at most, in all.
const MAX_DECODED_PIXELS: u64 = 4 << 30;

/// The shown frames of a video.
#[derive(Clone, Debug, PartialEq)]
pub struct Video {
    /// In order of time.
    pub frames: Vec<RgbPicture>,
    /// From one of them to the next.
    pub seconds_per_frame: f64,
}

/// Places of the frames of a grid, of `total`.
fn of_grid(total: usize) -> Vec<usize> {
    match total / FRAMES {
        0 => (0..total).collect(),
        step => (0..FRAMES).map(|k| k * step).collect(),
    }
}

/// The grid of a folder's pictures.
pub(super) fn grid_of_folder(folder: &Path) -> Result<RgbPicture, ImageError> {
    let files = files(folder)?;
    Ok(grid(&folder_frames(&files, &of_grid(files.len()))?))
}

/// A folder as a video, of which a second has `per_second` pictures; `None`: its pictures are those to be shown.
pub(super) fn video_of_folder(
    folder: &Path,
    sampling: &Sampling,
    per_second: Option<f64>,
) -> Result<Video, ImageError> {
    let files = files(folder)?;
    let places = sampling.places(files.len(), per_second);
    let seconds_per_frame = sampling.seconds(places.len(), files.len(), per_second);
    Ok(Video { frames: folder_frames(&files, &places)?, seconds_per_frame })
}

/// The files of a folder by name, one at least.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    match files.is_empty() {
        true => Err(ImageError::NoFrames("the folder holds no pictures".into())),
        false => Ok(files),
    }
}

fn folder_frames(files: &[PathBuf], places: &[usize]) -> Result<Vec<RgbPicture>, ImageError> {
    let frame = |at: &usize| {
        let file = || files[*at].file_name().unwrap_or_default().to_string_lossy().into_owned();
        decode_file(&files[*at]).map_err(|fault| ImageError::Frame { file: file(), fault: Box::new(fault) })
    };
    places.iter().map(frame).collect()
}

/// The grid of an animation; a GIF of one frame is that picture.
pub(super) fn grid_of_gif(bytes: &[u8]) -> Result<RgbPicture, ImageError> {
    let outline = gif::outline(bytes)?;
    let places = of_grid(outline.frames);
    check_cost(outline.pixels_up_to(&places))?;
    Ok(grid(&gif::frames(bytes, &places)?))
}

/// Pixels that are decoded for a picture's grid.
pub(super) fn grid_cost(bytes: &[u8]) -> Result<u64, ImageError> {
    let outline = gif::outline(bytes)?;
    Ok(outline.pixels_up_to(&of_grid(outline.frames)))
}

/// An animation as a video; `per_second`: in place of the frames a second that it says.
pub(super) fn video_of_gif(
    bytes: &[u8],
    sampling: &Sampling,
    per_second: Option<f64>,
) -> Result<Video, ImageError> {
    let outline = gif::outline(bytes)?;
    let per_second = per_second.unwrap_or(outline.frames_per_second());
    let places = sampling.places(outline.frames, Some(per_second));
    check_cost(outline.pixels_up_to(&places))?;
    let seconds_per_frame = sampling.seconds(places.len(), outline.frames, Some(per_second));
    Ok(Video { frames: gif::frames(bytes, &places)?, seconds_per_frame })
}

/// What an animation costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoCost {
    /// Frames that are shown.
    pub frames: usize,
    /// Pixels that are decoded for them.
    pub pixels: u64,
}

/// The cost of [`video_of_gif`].
pub(super) fn video_cost(bytes: &[u8], sampling: &Sampling) -> Result<VideoCost, ImageError> {
    let outline = gif::outline(bytes)?;
    let places = sampling.places(outline.frames, Some(outline.frames_per_second()));
    Ok(VideoCost { frames: places.len(), pixels: outline.pixels_up_to(&places) })
}

fn check_cost(pixels: u64) -> Result<(), ImageError> {
    match pixels <= MAX_DECODED_PIXELS {
        true => Ok(()),
        false => Err(ImageError::TooManyFrames { pixels, most: MAX_DECODED_PIXELS }),
    }
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
    use super::super::decode_video_file;
    use super::super::gif::tests::animation;
    use super::*;

    fn grey(value: u8) -> RgbPicture {
        RgbPicture::new(2, 1, vec![value; 6])
    }

    #[test]
    fn six_frames_at_equal_distances_fill_two_columns_in_time_order() {
        assert_eq!(of_grid(20), [0, 3, 6, 9, 12, 15]);
        assert_eq!(of_grid(4), [0, 1, 2, 3]);
        let picture = grid(&(1..=5).map(grey).collect::<Vec<_>>());
        assert_eq!((picture.width, picture.height), (4, 3));
        let firsts: Vec<u8> = picture.data.chunks(6).map(|cell| cell[0]).collect();
        assert_eq!(firsts, [1, 2, 3, 4, 5, 255]);
    }

    #[test]
    fn a_gif_and_a_folder_are_videos() {
        let file = animation(&[0, 255], 100);
        let picture = super::super::decode(&file).expect("a grid");
        // Two frames: one column, two rows.
        assert_eq!((picture.width, picture.height), (3, 4));
        assert_eq!((picture.data[0], picture.data[3 * 2 * 3]), (0, 255));
        let folder = tempfile::tempdir().expect("a folder");
        let none = decode_file(folder.path()).expect_err("no frames").to_string();
        assert!(none.contains("no pictures"), "{none}");
        let four = Sampling::Count(4);
        let none = decode_video_file(folder.path(), &four, None).expect_err("no frames").to_string();
        assert!(none.contains("no pictures"), "{none}");
        for (name, value) in [("a.png", 10u8), ("b.png", 20)] {
            image::RgbImage::from_pixel(4, 2, image::Rgb([value; 3]))
                .save(folder.path().join(name))
                .expect("PNG");
        }
        let shown = decode_video_file(folder.path(), &four, None).expect("frames").frames;
        assert_eq!(shown.iter().map(|f| f.data[0]).collect::<Vec<_>>(), [10, 10, 20, 20]);
        let picture = decode_file(folder.path()).expect("a grid");
        assert_eq!((picture.width, picture.height, picture.data[0]), (4, 4, 10));
    }

    #[test]
    fn the_delays_of_a_gif_say_which_frames_are_shown_and_when() {
        let values: Vec<u8> = (0..20).map(|v| 10 * v).collect();
        let file = animation(&values, 200);
        let sampling = Sampling::Rate { per_second: 2.0, least: 4, most: 768, multiple: 2 };
        let video = video_of_gif(&file, &sampling, None).expect("four seconds");
        let seen: Vec<u8> = video.frames.iter().map(|f| f.data[0]).collect();
        assert_eq!((seen, video.seconds_per_frame), (vec![0, 20, 50, 70, 100, 120, 150, 170], 0.5));
        let faster = video_of_gif(&file, &sampling, Some(10.0)).expect("two seconds");
        assert_eq!((faster.frames.len(), faster.seconds_per_frame), (4, 0.5));
        // Frame 17 is the eighteenth that is decoded.
        let cost = video_cost(&file, &sampling).expect("a cost");
        assert_eq!(cost, VideoCost { frames: 8, pixels: 6 * 18 });
    }
}
