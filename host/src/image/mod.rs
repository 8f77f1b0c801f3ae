//! Picture files to the tensor a vision tower reads.
//!
//! The path is `decode` (file bytes to upright 8-bit RGB) -> `tiling` -> `resize` -> `crop` -> `normalize`,
//! driven by the JSON that a Hugging Face image processor saves ([`ImageProcessor`]). Every
//! step works on integers until the last one, so the result does not depend on the machine.
//!
//! transformers 5 has two implementations of each processor, which differ by a grey level here
//! and there: one on torchvision (what `AutoProcessor` gives when torchvision is installed) and
//! one on Pillow. [`Backend`] names them; both are reproduced, and torchvision is the default.
//! `tests/golden/processor/provenance.toml` says which versions were compared, and how closely.
//!
//! What this module does not know: models, tokens, devices.

mod config;
mod crop;
mod decode;
mod frames;
mod gif;
mod interpolate;
mod normalize;
mod processor;
mod resize;
mod sampling;
mod tiling;
mod video;

pub use config::{Backend, ProcessorConfig, Size};
pub use decode::{
    decode, decode_cost, decode_file, decode_video, decode_video_file, video_cost, MAX_PIXELS, MAX_SIDE,
};
pub use frames::{Video, VideoCost};
pub use processor::ImageProcessor;
pub use resize::{resize, Filter};
pub use sampling::Sampling;
pub use tiling::{Canvas, Cut, Extent, Origin, Pieces, Scheme, Whole};
pub use video::VideoProcessor;

/// An upright 8-bit RGB picture, rows from top to bottom, three bytes per pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbPicture {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` bytes.
    pub data: Vec<u8>,
}

impl RgbPicture {
    /// Takes ownership of interleaved pixels.
    ///
    /// # Panics
    /// When the length is not `height * width * 3`.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Self {
        assert_eq!(data.len(), width * height * 3, "picture buffer does not fit {width}x{height}");
        RgbPicture { width, height, data }
    }
}

/// One processed picture: `pixel_values` of shape [channels, height, width], row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelValues {
    /// Colour planes (3 for RGB).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `channels * height * width` values.
    pub data: Vec<f32>,
}

impl PixelValues {
    /// Takes ownership of planar values.
    ///
    /// # Panics
    /// When the length is not `channels * height * width`.
    pub fn new(channels: usize, height: usize, width: usize, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), channels * height * width, "pixel buffer does not fit its shape");
        PixelValues { channels, height, width, data }
    }
}

/// What can be wrong with a picture or with the processor's configuration.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be read.
    #[error("cannot be read")]
    Read(#[from] std::io::Error),
    /// Not a video that we read.
    #[error("it is {found}; a video is a folder of pictures or an animated GIF")]
    NotAVideo {
        /// How the file begins.
        found: String,
    },
    /// The first bytes are neither PNG nor JPEG nor GIF.
    #[error("not a PNG, JPEG or GIF image (the file starts with {found}); convert it to PNG or JPEG")]
    NotAnImage {
        /// The first bytes, for the message.
        found: String,
    },
    /// A video without pictures.
    #[error("{0}; give a folder of pictures or an animated GIF")]
    NoFrames(String),
    /// An animation that takes too long to decode.
    #[error(
        "its frames up to the last that is shown have {pixels} pixels, at most {most} are accepted; \
         give fewer or smaller frames"
    )]
    TooManyFrames {
        /// Of all of them.
        pixels: u64,
        /// The limit.
        most: u64,
    },
    /// A frame of a video.
    #[error("frame {file}: {fault}")]
    Frame {
        /// File name inside the folder.
        file: String,
        /// What is wrong with it.
        fault: Box<ImageError>,
    },
    /// The header announces more pixels than we accept.
    #[error(
        "the image is {width} x {height} pixels; at most {MAX_SIDE} a side and {MAX_PIXELS} \
         in all are accepted; scale it down first"
    )]
    TooLarge {
        /// Columns in the header.
        width: u32,
        /// Rows in the header.
        height: u32,
    },
    /// The decoder gave up.
    #[error("the image is damaged: {0}")]
    Damaged(String),
    /// The configuration is not JSON.
    #[error("{file} is not valid JSON: {message}")]
    Json {
        /// File name inside the checkpoint.
        file: String,
        /// The parser's message.
        message: String,
    },
    /// The configuration asks for something we do not do.
    #[error("{file}: {message}")]
    Config {
        /// File name inside the checkpoint.
        file: String,
        /// What was found and what is accepted.
        message: String,
    },
    /// A very long or very flat picture whose resized form would be absurdly large.
    #[error(
        "resizing {width} x {height} pixels gives {new_width} x {new_height}, more than the \
         {MAX_PIXELS} pixels accepted; crop the picture first"
    )]
    Stretched {
        /// Source columns.
        width: usize,
        /// Source rows.
        height: usize,
        /// Columns after the resize.
        new_width: usize,
        /// Rows after the resize.
        new_height: usize,
    },
}
