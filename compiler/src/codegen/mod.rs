//! Plan → instructions. One entry point for the vision tower and one for the language model;
//! every row count and length is a register, so the same instructions serve every prompt length,
//! image count and cache length up to the compiled maximum.

pub mod asm;
mod attention;
mod choice;
mod compress;
mod conv;
mod early_exit;
mod front;
mod head_norm;
mod layer;
mod merge;
mod pool;
mod prefix;
mod projector;
mod text;
mod tower;
mod vision;
mod wide;
mod windows;

pub use choice::{ChoiceLayout, NOT_SHOWN, SHOWN_REGION};
pub use compress::{CompressLayout, COMPRESS_REGIONS, QUESTION_REGION};
pub use conv::ConvLayout;
pub use front::{video_layout, vision_layout, VisionLayout};
pub use head_norm::head_norm_vectors;
pub use layer::LayerOffsets;
pub use merge::{GroupsLayout, GROUPS_REGION};
pub use prefix::PrefixEntries;
pub use projector::projector_region;
pub use text::{text_layout, TextLayout};
pub use tower::{Chip, Dims, Halves};
pub use vision::{TowerLayout, KEYS_REGION, PICTURE, READ_OUT_REGION, ROWS_REGION, VIDEO};

use crate::diag::Diagnostic;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::pack::Storage;
use crate::layout::LayerStorage;
use crate::plan::{Layer, Plan, Vision};
use asm::Asm;
use flightvlm_hw::config::HwConfig;

/// Argument registers of the text entry point.
pub mod text_args {
    /// First position: rows already in the cache.
    pub const POSITION: usize = 1;
    /// Rows of the prompt (or 1 in decode).
    pub const ROWS: usize = 2;
    /// Which logits leave the chip: one of [`super::logits`]; with early exits, the layers to run stand above, from
    /// bit [`super::LAYERS_SHIFT`] on.
    pub const LOGITS: usize = 3;
    /// With early exits: layers that the rows have been through.
    pub const FIRST_LAYER: usize = 4;
}

/// Bits of [`logits`].
pub const LAYERS_SHIFT: u32 = 2;

/// Values of [`text_args::LOGITS`].
pub mod logits {
    /// None: the token alone.
    pub const NONE: u32 = 0;
    /// Those of the last row.
    pub const LAST: u32 = 1;
    /// Those of every row (rows ≤ one tile).
    pub const ALL: u32 = 2;
    /// Those of the last row, and its hidden state behind the final norm.
    pub const HIDDEN: u32 = 3;
}

/// Argument registers of the vision entry point.
pub mod vision_args {
    /// First row behind the embedding table's own that the visual tokens go to.
    pub const FIRST_TOKEN: usize = 1;
    /// Rows in the tower.
    pub const ROWS: usize = 3;
    /// Visual tokens.
    pub const TOKENS: usize = 8;
    /// In towers with windows in place of that: patches down (upper half) and across.
    pub const GRID: usize = 8;
    /// In towers with windows: segments that its layers go through, all layers together.
    pub const SEGMENTS: usize = 14;

    /// Arguments of a tile with such a grid of patches, whose tokens go to row `first`.
    pub fn of_tile(v: &crate::graph::VisionSpec, grid: [usize; 2], first: usize) -> Vec<(usize, u32)> {
        let rows = grid[0] * grid[1] + usize::from(v.has_class);
        let mut args = vec![(FIRST_TOKEN, first as u32), (ROWS, rows as u32)];
        match v.windows {
            None => args.push((TOKENS, v.tokens(grid) as u32)),
            Some(_) => {
                args.extend([(GRID, (grid[0] << 16 | grid[1]) as u32), (SEGMENTS, v.segments(grid) as u32)])
            }
        }
        args
    }
}

/// Argument registers of the entry point of groups of a tile's rows.
pub mod group_args {
    /// First row behind the embedding table's own that the visual tokens go to.
    pub const FIRST_TOKEN: usize = super::vision_args::FIRST_TOKEN;
    /// Members of the largest group.
    pub const MEMBERS: usize = 3;
    /// Groups, a tile of the projector at most.
    pub const GROUPS: usize = super::vision_args::TOKENS;
    /// Tokens to choose before, with the highest attention; 0: what the groups are is in memory.
    pub const KEEP: usize = 6;
    /// Tokens to choose from: all of the tile.
    pub const TOKENS: usize = 11;
    /// Units in memory in front of the groups' first round.
    pub const FIRST_ROUND: usize = 14;

    /// Units of a round of `rows` groups: a member of each, then what it counts in each.
    pub const fn round_units(rows: usize) -> usize {
        2 * rows / flightvlm_hw::config::TILE
    }

    /// Arguments of a launch for the best tokens from the `first` of them on, up to `rows`: `budget` of `tokens` are
    /// chosen by the first launch. Their visual tokens go to row `to`.
    pub fn of_best(
        first: usize,
        (budget, tokens): (usize, usize),
        rows: usize,
        to: usize,
    ) -> [(usize, u32); 6] {
        [
            (FIRST_TOKEN, to as u32),
            (MEMBERS, 1),
            (GROUPS, rows.min(budget - first) as u32),
            (KEEP, if first == 0 { budget as u32 } else { 0 }),
            (TOKENS, tokens as u32),
            (FIRST_ROUND, (first / rows * round_units(rows)) as u32),
        ]
    }
}

/// Code of a whole model.
#[derive(Debug)]
pub struct Code {
    /// Instructions with marks.
    pub asm: Asm,
    /// pc of the vision entry point.
    pub vision_entry: Option<u32>,
    /// pcs of the entry points that are launched behind it, for towers in several pieces.
    pub vision_rest: Vec<u32>,
    /// pc of the entry point that makes visual tokens of groups of rows, where the tower's does not make them.
    pub groups_entry: Option<u32>,
    /// pc of the entry point of frames of videos.
    pub video_entry: Option<u32>,
    /// pc of the text entry point.
    pub text_entry: u32,
    /// Entry points of prompts whose rows see each other.
    pub prefix: Option<PrefixEntries>,
}

impl Code {
    /// pcs of all entry points. Each ends in a halt and none jumps into another's instructions.
    pub fn entries(&self) -> Vec<u32> {
        let prefix = self.prefix.iter().flat_map(|p| [p.layers, p.logits]);
        self.vision_entry
            .into_iter()
            .chain(self.vision_rest.iter().copied())
            .chain(self.groups_entry)
            .chain(self.video_entry)
            .chain([self.text_entry])
            .chain(prefix)
            .collect()
    }
}

/// Generates the code for layouts that fit; `vision`: of pictures, and of frames of videos.
pub fn generate(plan: &Plan, vision: [Option<&VisionLayout>; 2], text: &TextLayout) -> Code {
    let mut asm = Asm::default();
    let mut entries = |(v, l): (&Vision, &VisionLayout)| front::emit(&mut asm, v, l);
    let [vision_layout, video_layout] = vision;
    let vision = plan.vision.as_ref().zip(vision_layout).map(&mut entries).unwrap_or_default();
    let video = plan.video.as_ref().zip(video_layout).map(&mut entries).unwrap_or_default();
    let (vision_entry, video_entry) = (vision.first().copied(), video.first().copied());
    let vision_rest = vision.get(1..).unwrap_or_default().to_vec();
    let picture_side = plan.vision.as_ref().zip(vision_layout);
    let groups_entry = picture_side.and_then(|(v, l)| front::emit_groups(&mut asm, v, l));
    let text_entry = asm.insns.len() as u32;
    text::emit(&mut asm, &plan.text, text);
    let prefix = plan.text.layers[0].attention.prefix;
    let prefix = prefix.then(|| prefix::emit(&mut asm, &plan.text, text));
    Code { asm, vision_entry, vision_rest, groups_entry, video_entry, text_entry, prefix }
}

/// What code and layout depend on besides the model.
#[derive(Debug, Clone)]
pub struct Build {
    /// Target.
    pub config: HwConfig,
    /// Storage of the language model's layers.
    pub layers: LayerStorage,
    /// Storage of its output layer.
    pub head: Storage,
    /// Bits of keys and values in the cache: 8 or 4.
    pub kv_bits: u32,
    /// The language model can be left early.
    pub early_exit: bool,
    /// Down projections and the output layer of the language model read 16 bits ([`wide`]).
    pub wide_inputs: bool,
    /// Layers of the vision tower whose attention is read out: 0, 1 (the last) or 2 (and the first).
    pub read_outs: u32,
    /// The projector takes groups of the tower's rows, in a launch of its own ([`merge`]).
    pub grouped: bool,
}

/// Tile heights to try, the highest first.
const TILE_ROWS: [u32; 3] = [64, 32, 16];

/// The highest tile whose regions fit the target.
fn choose_tile(
    what: &str,
    layer: &Layer,
    positions: u32,
    down_parts: u32,
    build: &Build,
    fit: impl Fn(&Dims) -> Result<Chip, String>,
) -> Result<(Dims, Chip), Diagnostic> {
    let config = &build.config;
    let mut over = String::new();
    for rows in TILE_ROWS {
        let dims = Dims::new(layer, positions, rows, down_parts, build);
        // Strides are fields of 12 bits in VX and ST, of 15 in MM.
        let strides = [dims.scw, 2 * dims.ffw, dims.heads * dims.hw, dims.dw];
        let slots = u64::from(dims.kv_heads) * u64::from(dims.k_slots().max(dims.hw));
        if strides.iter().any(|s| *s >= 4096) {
            over = "rows of 4096 words or more, which instructions cannot step over".into();
        } else if slots >= 1 << 16 {
            over = format!("{slots} tiles of the cache, 65535 at most");
        } else {
            match fit(&dims) {
                Ok(chip) => return Ok((dims, chip)),
                Err(why) => over = why,
            }
        }
    }
    Err(Diagnostic::new(
        what,
        format!(
            "a tile of {} rows within {} scratchpad words, {} activation words and {} scalars of target `{}`",
            TILE_ROWS[TILE_ROWS.len() - 1],
            config.spad_words,
            config.abuf_words,
            config.s_words,
            config.name
        ),
        format!("width {} and {positions} positions: {over}", layer.norm1.cols),
        "use a target with larger on-chip memories",
    ))
}

/// Adds a region to the map, or says how far it is beyond the address space.
fn add(
    dram: &mut DramMap,
    space: Space,
    name: &str,
    kind: Kind,
    records: usize,
    units: u64,
) -> Result<u32, Diagnostic> {
    let records = records as u32;
    dram.add(space, name, kind, records, units).ok_or_else(|| {
        Diagnostic::new(
            name,
            "a memory map below 2^32 units of 64 bytes",
            format!("a region of {records} x {units} units behind {}", dram.end(space)),
            "use a smaller model, or lower --max-context",
        )
    })
}
