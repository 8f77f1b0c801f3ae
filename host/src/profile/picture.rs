//! The picture that a profile assumes.

use flightvlm_compiler::graph::{Arrange, Picture, PositionTable, Prune, Tile};
use flightvlm_compiler::program::Program;

/// A picture of the usual size: tiles, their rows in the tower and tokens, and placeholders in all.
#[derive(Debug, Clone, Copy)]
pub struct TypicalPicture {
    /// Runs of the tower.
    pub tiles: usize,
    /// Patches of each, down and across.
    pub grid: [usize; 2],
    /// Rows of each.
    pub rows: u32,
    /// Tokens of each.
    pub tokens: u32,
    /// Placeholders of the prompt.
    pub placeholders: usize,
}

/// What a square picture of the size that the model was made for becomes: one tile, or 2 x 2 and the
/// thumbnail where pictures are cut. Zeros for models without a tower.
pub fn typical_picture(program: &Program, prune: Option<Prune>) -> TypicalPicture {
    let none = TypicalPicture { tiles: 0, grid: [0; 2], rows: 0, tokens: 0, placeholders: 0 };
    let Some(spec) = &program.meta.model.vision else { return none };
    let grid = match spec.positions {
        PositionTable::Learned { .. } | PositionTable::None => spec.full_grid(),
        PositionTable::Rotary => spec.full_grid().map(|n| n / spec.merge * spec.merge),
    };
    let (rows, tokens) = (grid[0] * grid[1] + usize::from(spec.has_class), spec.tokens(grid));
    let size = match &spec.arrange {
        Arrange::Tiles => [spec.image_size; 2],
        Arrange::AnyResolution { .. } => [2 * spec.image_size; 2],
    };
    let tiles = spec.tiles_of_picture(size);
    let picture = Picture::arranged(spec, vec![Tile { grid, rows: Vec::new() }; tiles], size);
    let placeholders = picture.map_or(0, |picture| Picture { prune, ..picture }.placeholders());
    TypicalPicture { tiles, grid, rows: rows as u32, tokens: tokens as u32, placeholders }
}
