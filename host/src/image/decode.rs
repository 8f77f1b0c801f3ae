//! File bytes to an upright 8-bit RGB picture.
//!
//! Follows Pillow's `Image.open` and the `convert_to_rgb` of transformers 5.23: transparency is
//! composited over white with Pillow's integer arithmetic, 16-bit colour keeps its high byte, and
//! the EXIF orientation is applied as `transformers.image_utils.load_image` does. PNG results are
//! exact. JPEG is decoded by another library than Pillow's, so single values may differ by a few
//! grey levels.

use super::{frames, ImageError, RgbPicture, Sampling, Video, VideoCost};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// Longest accepted side, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Largest accepted picture, in pixels.
pub const MAX_PIXELS: u64 = 64 << 20;

/// Longest accepted file, in bytes.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// Reads and decodes a picture file, or a video (a folder of pictures, an animated GIF) to a grid of
/// frames.
pub fn decode_file(path: &Path) -> Result<RgbPicture, ImageError> {
    if path.is_dir() {
        return frames::grid_of_folder(path);
    }
    decode(&read(path)?)
}

/// The shown frames of a video: a folder of pictures, or an animated GIF. `per_second`: how many frames a second has,
/// where the video does not say or says it wrongly.
pub fn decode_video_file(
    path: &Path,
    sampling: &Sampling,
    per_second: Option<f64>,
) -> Result<Video, ImageError> {
    if path.is_dir() {
        return frames::video_of_folder(path, sampling, per_second);
    }
    let bytes = read(path)?;
    check_gif(&bytes)?;
    frames::video_of_gif(&bytes, sampling, per_second)
}

/// The shown frames of an animated GIF.
pub fn decode_video(bytes: &[u8], sampling: &Sampling) -> Result<Video, ImageError> {
    check_gif(bytes)?;
    frames::video_of_gif(bytes, sampling, None)
}

/// What [`decode_video`] would decode, by the file's blocks alone.
pub fn video_cost(bytes: &[u8], sampling: &Sampling) -> Result<VideoCost, ImageError> {
    check_gif(bytes)?;
    frames::video_cost(bytes, sampling)
}

fn check_gif(bytes: &[u8]) -> Result<(), ImageError> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Gif) => Ok(()),
        _ => Err(ImageError::NotAVideo { found: describe_start(bytes) }),
    }
}

/// Pixels that [`decode`] would decode, by the file's header alone; 0 where there is none, which the decoder will say
/// better.
pub fn decode_cost(bytes: &[u8]) -> u64 {
    if let Ok(ImageFormat::Gif) = image::guess_format(bytes) {
        return frames::grid_cost(bytes).unwrap_or(0);
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let size = reader.ok().and_then(|reader| reader.into_dimensions().ok());
    size.map_or(0, |(width, height)| u64::from(width) * u64::from(height))
}

/// A file of an accepted length.
fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("it has more than the {MAX_FILE_BYTES} bytes accepted");
        return Err(ImageError::Damaged(message));
    }
    Ok(bytes)
}

/// Decodes a PNG or JPEG, or the frames of a GIF.
///
/// The size in the header is checked against [`MAX_SIDE`] and [`MAX_PIXELS`] before anything of
/// that size is allocated.
pub fn decode(bytes: &[u8]) -> Result<RgbPicture, ImageError> {
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        Ok(ImageFormat::Gif) => return frames::grid_of_gif(bytes),
        _ => return Err(ImageError::NotAnImage { found: describe_start(bytes) }),
    };
    let damaged = |error: image::ImageError| ImageError::Damaged(error.to_string());
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    check_size(decoder.dimensions())?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(to_rgb(&picture))
}

/// Refuses sizes in a header that are too large, or empty.
pub(super) fn check_size((width, height): (u32, u32)) -> Result<(), ImageError> {
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(ImageError::TooLarge { width, height });
    }
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged(format!("its size is {width} x {height} pixels")));
    }
    Ok(())
}

/// What a person needs to see to recognise a wrong file.
fn describe_start(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing: it is empty".to_owned();
    }
    let head = &bytes[..bytes.len().min(8)];
    if head.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return format!("{:?}", String::from_utf8_lossy(head));
    }
    head.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// Drops the colour type. 16-bit grey clips at 255 and 16-bit colour keeps its high byte.
pub(super) fn to_rgb(picture: &DynamicImage) -> RgbPicture {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut data = Vec::with_capacity(width * height * 3);
    let high = |value: u16| (value >> 8) as u8;
    match picture {
        DynamicImage::ImageRgb8(pixels) => data.extend_from_slice(pixels.as_raw()),
        DynamicImage::ImageLuma8(pixels) => {
            pixels.as_raw().iter().for_each(|&grey| data.extend([grey; 3]));
        }
        DynamicImage::ImageLuma16(pixels) => {
            pixels.as_raw().iter().for_each(|&grey| data.extend([grey.min(255) as u8; 3]));
        }
        DynamicImage::ImageRgb16(pixels) => data.extend(pixels.as_raw().iter().map(|&v| high(v))),
        DynamicImage::ImageLumaA8(pixels) => {
            for pixel in pixels.as_raw().chunks_exact(2) {
                data.extend([over_white(pixel[0], pixel[1]); 3]);
            }
        }
        DynamicImage::ImageLumaA16(pixels) => {
            for pixel in pixels.as_raw().chunks_exact(2) {
                data.extend([over_white(high(pixel[0]), high(pixel[1])); 3]);
            }
        }
        DynamicImage::ImageRgba16(pixels) => {
            for pixel in pixels.as_raw().chunks_exact(4) {
                data.extend(pixel[..3].iter().map(|&v| over_white(high(v), high(pixel[3]))));
            }
        }
        other => {
            for pixel in other.to_rgba8().as_raw().chunks_exact(4) {
                data.extend(pixel[..3].iter().map(|&value| over_white(value, pixel[3])));
            }
        }
    }
    RgbPicture::new(width, height, data)
}

/// One channel of a pixel laid over opaque white, rounded as Pillow's `alpha_composite` does.
fn over_white(value: u8, alpha: u8) -> u8 {
    if alpha == 0 {
        return 255;
    }
    // Coefficients carry 7 extra bits; source and background weights add up to 255 << 7.
    let source = u32::from(alpha) << 7;
    let background = (255 << 7) - source;
    let sum = u32::from(value) * source + 255 * background + (0x80 << 7);
    ((((sum >> 8) + sum) >> 8) >> 7) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG that is only a header: the size check must come before any pixel is looked for.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut header = b"IHDR".to_vec();
        header.extend(width.to_be_bytes());
        header.extend(height.to_be_bytes());
        header.extend([8, 2, 0, 0, 0]);
        let mut png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d".to_vec();
        png.extend(&header);
        png.extend(crc32(&header).to_be_bytes());
        png.extend(b"\x00\x00\x00\x00IDAT");
        png.extend(crc32(b"IDAT").to_be_bytes());
        png
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = !0u32;
        for &byte in bytes {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
            }
        }
        !crc
    }

    #[test]
    fn a_header_bomb_is_refused_by_size() {
        for (width, height) in [(30_000, 30_000), (16_385, 1), (16_000, 16_000)] {
            match decode(&png_header(width, height)) {
                Err(ImageError::TooLarge { width: w, height: h }) => {
                    assert_eq!((w, h), (width, height));
                }
                other => panic!("{width}x{height}: {other:?}"),
            }
        }
    }

    #[test]
    fn other_bytes_are_named() {
        let error = decode(b"hello, picture").unwrap_err().to_string();
        assert!(error.contains("\"hello, p\""), "{error}");
        let error = decode(b"").unwrap_err().to_string();
        assert!(error.contains("empty"), "{error}");
        let error = decode(&png_header(4, 4)).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
    }

    #[test]
    fn opaque_and_clear_pixels_are_exact() {
        for value in 0..=255u8 {
            assert_eq!(over_white(value, 255), value);
            assert_eq!(over_white(value, 0), 255);
        }
    }
}
