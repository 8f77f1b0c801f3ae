//! Value types: f32 matrices with a symbolic number of rows.

use std::fmt;

/// The symbolic row extent of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rows {
    /// Rows inside the vision tower for one tile: its patches, plus the class row if present.
    Patches {
        /// True when a class row precedes the patches.
        with_class: bool,
    },
    /// The visual tokens of one tile, as the language model sees them.
    Image,
    /// Those of one frame of a video.
    Frame,
    /// The rows of the text part in one call: the whole prompt, a chunk of it, or one new token.
    Prompt,
    /// A fixed number of rows.
    Const(usize),
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rows::Patches { with_class: true } => write!(f, "patches+1"),
            Rows::Patches { with_class: false } => write!(f, "patches"),
            Rows::Image => write!(f, "image"),
            Rows::Frame => write!(f, "frame"),
            Rows::Prompt => write!(f, "prompt"),
            Rows::Const(count) => write!(f, "{count}"),
        }
    }
}

/// Type of a value: `[rows, cols]`, f32, row-major. Token ids are `[prompt, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ValueType {
    /// Symbolic row extent.
    pub rows: Rows,
    /// Number of columns.
    pub cols: usize,
}

impl ValueType {
    /// `[rows, cols]`.
    pub fn new(rows: Rows, cols: usize) -> Self {
        Self { rows, cols }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.rows, self.cols)
    }
}

/// What the image-dependent extents are for a tile of full size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageExtents {
    /// Patches of one image, class row not counted.
    pub patch_count: usize,
    /// Visual tokens of one image.
    pub visual_token_count: usize,
    /// Visual tokens of one frame of a video; 0 without a tower for videos.
    pub frame_token_count: usize,
}

impl ImageExtents {
    /// The number of rows of an image-side extent; `None` for [`Rows::Prompt`].
    pub fn resolve(&self, rows: Rows) -> Option<usize> {
        match rows {
            Rows::Patches { with_class } => Some(self.patch_count + usize::from(with_class)),
            Rows::Image => Some(self.visual_token_count),
            Rows::Frame => Some(self.frame_token_count),
            Rows::Prompt => None,
            Rows::Const(count) => Some(count),
        }
    }
}
