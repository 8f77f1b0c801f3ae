//! Animated GIFs: how many frames, how long, and single frames of them.
//!
//! The blocks of the file (GIF89a specification) are walked first, without decoding anything, so that the cost of
//! decoding is known before it is paid.

use super::decode::{check_size, to_rgb};
use super::{ImageError, RgbPicture};
use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder};
use std::io::Cursor;

/// Frames of an animation at most.
const MAX_FRAMES: usize = 4096;

/// What a frame without a delay is shown for, as browsers do, hundredths of a second.
const DEFAULT_DELAY_CS: u64 = 10;

/// What an animation's blocks say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outline {
    /// Width and height of the canvas, pixels.
    pub size: [usize; 2],
    /// Whole frames.
    pub frames: usize,
    /// Of all of them, hundredths of a second.
    pub duration_cs: u64,
}

impl Outline {
    /// Pixels that are decoded for frames at `places`, which ascend.
    pub fn pixels_up_to(&self, places: &[usize]) -> u64 {
        (self.size[0] * self.size[1]) as u64 * places.last().map_or(0, |last| *last as u64 + 1)
    }

    /// On average.
    pub fn frames_per_second(&self) -> f64 {
        self.frames as f64 * 100.0 / self.duration_cs as f64
    }
}

/// Walks the blocks. A file that ends too early has the frames that are whole.
pub(super) fn outline(bytes: &[u8]) -> Result<Outline, ImageError> {
    let damaged = || ImageError::Damaged("the GIF's header is cut off".into());
    let header = bytes.get(..13).ok_or_else(damaged)?;
    let side = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let size = [side(6), side(8)];
    check_size((size[0] as u32, size[1] as u32))?;
    let mut rest = Blocks(&bytes[13..]);
    let mut out = Outline { size, frames: 0, duration_cs: 0 };
    let mut delay = 0;
    let mut walk = || -> Option<()> {
        rest.skip(color_table(header[10]))?;
        loop {
            match rest.byte()? {
                0x21 => {
                    let label = rest.byte()?;
                    let first = rest.0.get(..5);
                    // Graphic control: four bytes, of which the middle ones are hundredths of a second.
                    if let (0xf9, Some([4, _, low, high, _])) = (label, first) {
                        delay = u64::from(u16::from_le_bytes([*low, *high]));
                    }
                    rest.skip_sub_blocks()?;
                }
                0x2c => {
                    let flags = *rest.0.get(8)?;
                    rest.skip(9 + color_table(flags) + 1)?;
                    rest.skip_sub_blocks()?;
                    out.frames += 1;
                    out.duration_cs += if delay > 0 { delay } else { DEFAULT_DELAY_CS };
                    delay = 0;
                }
                // The trailer, or what is none of the format's blocks.
                _ => return Some(()),
            }
        }
    };
    walk();
    match out.frames {
        0 => Err(ImageError::NoFrames("the GIF has no frame that can be decoded".into())),
        1..=MAX_FRAMES => Ok(out),
        n => Err(ImageError::NoFrames(format!("the GIF has {n} frames, at most {MAX_FRAMES} are accepted"))),
    }
}

/// Bytes of the table that a block's flags announce.
fn color_table(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        return 0;
    }
    3 << ((flags & 7) + 1)
}

/// What is left of a file.
struct Blocks<'b>(&'b [u8]);

impl Blocks<'_> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.0.first()?;
        self.skip(1)?;
        Some(byte)
    }

    fn skip_sub_blocks(&mut self) -> Option<()> {
        loop {
            match self.byte()? {
                0 => return Some(()),
                length => self.skip(usize::from(length))?,
            }
        }
    }
}

/// The frames at `places`, which ascend and may repeat; no more is decoded than up to the last of them.
pub(super) fn frames(bytes: &[u8], places: &[usize]) -> Result<Vec<RgbPicture>, ImageError> {
    let damaged = |error: image::ImageError| ImageError::Damaged(error.to_string());
    let decoder = GifDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    check_size(decoder.dimensions())?;
    let mut out = Vec::with_capacity(places.len());
    let last = places.last().map_or(0, |last| last + 1);
    for (at, frame) in decoder.into_frames().take(last).enumerate() {
        let frame = frame.map_err(damaged)?;
        let wanted = places.iter().filter(|place| **place == at).count();
        if wanted > 0 {
            let picture = to_rgb(&DynamicImage::ImageRgba8(frame.into_buffer()));
            out.extend(std::iter::repeat_n(picture, wanted));
        }
    }
    match out.len() == places.len() {
        true => Ok(out),
        false => Err(ImageError::Damaged("the GIF has fewer frames than its blocks say".into())),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, Rgba, RgbaImage};

    /// Grey frames of 3 x 2 pixels that are shown for `delay_ms` each.
    pub fn animation(values: &[u8], delay_ms: u32) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = GifEncoder::new(&mut file);
        for value in values {
            let frame = RgbaImage::from_pixel(3, 2, Rgba([*value, *value, *value, 255]));
            let delay = Delay::from_numer_denom_ms(delay_ms, 1);
            encoder.encode_frame(Frame::from_parts(frame, 0, 0, delay)).expect("a frame");
        }
        drop(encoder);
        file
    }

    #[test]
    fn the_blocks_say_how_many_frames_and_how_long() {
        let file = animation(&[0, 128, 255], 500);
        let seen = outline(&file).expect("an outline");
        assert_eq!(seen, Outline { size: [3, 2], frames: 3, duration_cs: 150 });
        assert_eq!((seen.pixels_up_to(&[0, 1]), seen.frames_per_second()), (12, 2.0));
        let still = outline(&animation(&[1, 2], 0)).expect("an outline");
        assert_eq!((still.frames, still.duration_cs), (2, 20));
        let picked = frames(&file, &[1, 1, 2]).expect("frames");
        assert_eq!(picked.iter().map(|f| f.data[0]).collect::<Vec<_>>(), [128, 128, 255]);
    }

    #[test]
    fn files_that_are_cut_off_have_whole_frames_or_a_message() {
        let file = animation(&[0, 128, 255], 500);
        let mut most = 0;
        for length in 0..file.len() {
            match outline(&file[..length]) {
                Ok(seen) => {
                    assert!((most..=3).contains(&seen.frames), "{length} bytes");
                    most = seen.frames;
                }
                Err(error) => assert!(most == 0, "{length} bytes: {error}"),
            }
        }
        assert_eq!(most, 3);
        assert!(frames(&file[..file.len() / 2], &[2]).is_err());
    }
}
