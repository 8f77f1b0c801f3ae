//! How a picture is cut into tiles: one mechanism, and a table of schemes.
//!
//! A [`Scheme`] looks at a picture's size alone and gives a [`Cut`]: to what sizes the picture is
//! scaled, on what canvas it stands, how the canvas is divided, and whether the whole picture is a
//! tile of its own. [`Cut::apply`] does it. What a tile is (resized, cropped, normalised) afterwards
//! is the processor's business; what it is in the prompt is `crate::text::picture`'s.

mod apply;
mod grids;
mod schemes;

pub use apply::Pieces;
pub use schemes::Scheme;

/// Width and height in pixels, or columns and rows of tiles.
pub type Extent = [usize; 2];

/// A place for the scaled picture, filled with one colour around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// Size of the canvas.
    pub size: Extent,
    /// Left and upper edge of the picture.
    pub at: Extent,
    /// Colour around it.
    pub fill: [u8; 3],
}

/// The whole picture as one more tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Its size.
    pub size: Extent,
    /// In front of the other tiles, or behind them.
    pub first: bool,
    /// What it is made of.
    pub from: Origin,
}

/// What the tile of a whole picture is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The picture.
    Picture,
    /// The scaled picture.
    Scaled,
    /// The canvas, once it is normalised: values between its pixels, without a filter against aliases.
    Canvas,
}

/// What is done with a picture of a certain size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Sizes to which the picture is scaled, one after the other.
    pub scaled: Vec<Extent>,
    /// Meanwhile it lies on its side: rows are columns.
    pub lying: bool,
    /// Where it stands; `None`: it is its own canvas.
    pub canvas: Option<Canvas>,
    /// Tiles of the canvas: columns and rows. No tile at all where a side is 0.
    pub grid: Extent,
    /// The whole picture beside the tiles.
    pub whole: Option<Whole>,
}

impl Cut {
    /// The picture as it is.
    pub fn none() -> Cut {
        Cut { scaled: Vec::new(), lying: false, canvas: None, grid: [1, 1], whole: None }
    }

    /// Number of tiles, the whole picture included.
    pub fn tiles(&self) -> usize {
        self.grid[0] * self.grid[1] + usize::from(self.whole.is_some())
    }

    /// Size of each tile, in order, of a picture of `size`.
    pub fn tile_sizes(&self, size: Extent) -> Vec<Extent> {
        let canvas = self.canvas.map(|c| c.size).or(self.scaled.last().copied()).unwrap_or(size);
        let count = self.grid[0] * self.grid[1];
        let tile = [0, 1].map(|axis| canvas[axis] / self.grid[axis].max(1));
        let mut sizes = vec![tile; count];
        if let Some(whole) = self.whole {
            sizes.insert(if whole.first { 0 } else { count }, whole.size);
        }
        sizes
    }
}
