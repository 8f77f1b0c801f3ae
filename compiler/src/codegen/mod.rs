//! Plan → instructions. One entry point for the vision tower and one for the language model;
//! every row count and length is a register, so the same instructions serve every prompt length,
//! image count and cache length up to the compiled maximum.

pub mod asm;
mod layer;
mod text;
mod tower;
mod vision;

pub use layer::LayerOffsets;
pub use text::{text_layout, TextLayout};
pub use tower::{Chip, Dims};
pub use vision::{vision_layout, VisionLayout};

use crate::diag::Diagnostic;
use crate::plan::{Layer, Plan};
use asm::Asm;
use flightvlm_hw::config::HwConfig;

/// Argument registers of the text entry point.
pub mod text_args {
    /// First position: rows already in the cache.
    pub const POSITION: usize = 1;
    /// Rows of the prompt (or 1 in decode).
    pub const ROWS: usize = 2;
    /// 1: logits of every row (rows ≤ one tile), 0: of the last row.
    pub const ALL_LOGITS: usize = 3;
}

/// Argument registers of the vision entry point.
pub mod vision_args {
    /// Which image slot the visual tokens go to.
    pub const SLOT: usize = 1;
}

/// Code of a whole model.
#[derive(Debug)]
pub struct Code {
    /// Instructions with marks.
    pub asm: Asm,
    /// pc of the vision entry point.
    pub vision_entry: Option<u32>,
    /// pc of the text entry point.
    pub text_entry: u32,
}

/// Generates the code for layouts that fit.
pub fn generate(plan: &Plan, vision: Option<&VisionLayout>, text: &TextLayout) -> Code {
    let mut asm = Asm::default();
    let vision_entry = plan.vision.as_ref().zip(vision).map(|(v, l)| {
        let entry = asm.insns.len() as u32;
        vision::emit(&mut asm, v, l);
        entry
    });
    let text_entry = asm.insns.len() as u32;
    text::emit(&mut asm, &plan.text, text);
    Code { asm, vision_entry, text_entry }
}

/// Tile heights to try, the highest first.
const TILE_ROWS: [u32; 3] = [64, 32, 16];

/// The highest tile whose regions fit the target.
fn choose_tile<T>(
    what: &str,
    layer: &Layer,
    positions: u32,
    config: &HwConfig,
    fit: impl Fn(&Dims) -> Option<T>,
) -> Result<(Dims, T), Diagnostic> {
    for rows in TILE_ROWS {
        let dims = Dims::new(layer, positions, rows);
        let strides = [dims.scw, 2 * dims.ffw, dims.heads * dims.vw, dims.dw];
        if strides.iter().all(|s| *s < 4096) {
            if let Some(chip) = fit(&dims) {
                return Ok((dims, chip));
            }
        }
    }
    Err(Diagnostic::new(
        what,
        format!(
            "a tile of {} rows within {} scratchpad words, {} activation words and {} scalars",
            TILE_ROWS[TILE_ROWS.len() - 1],
            config.spad_words,
            config.abuf_words,
            config.s_words
        ),
        format!("width {} and {positions} positions", layer.norm1.cols),
        "lower --max-context, or use a target with larger on-chip memories",
    ))
}
