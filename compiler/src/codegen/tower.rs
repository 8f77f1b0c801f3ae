//! Dimensions of a tower, its registers and its on-chip regions.

use super::asm::Reg;
use super::head_norm::{head_norm_words, head_norms};
use super::Build;
use crate::graph::{BlockMask, MASK_BLOCK};
use crate::layout::onchip::{OnChip, Request};
use crate::layout::pack::{Packed, Part, Storage};
use crate::layout::words;
use crate::plan::{Attention, Layer, Linear, Mlp, Norm};
use flightvlm_hw::config::{HwConfig, TILE};

/// Scalar registers by use. R1..R3 are arguments at the start.
///
/// A *tile* of rows is worked on as two *halves* (one when it is short), so that MM computes one half
/// while VX works on the other. Attention goes through *items*: in prefill a half and some query heads,
/// in decode (one row) all heads at once, a kv head's query heads being the rows of a matrix command.
pub mod regs {
    use super::Reg;
    /// Rows of the tile.
    pub const T_ROWS: Reg = Reg(2);
    /// Half: 0 or 1.
    pub const HALF: Reg = Reg(4);
    /// Halves of the tile.
    pub const HALVES: Reg = Reg(5);
    /// With a mask: tiles of 16 positions behind the sinks that the rows of the tile do not see.
    pub const SKIP: Reg = Reg(1);
    /// Query head.
    pub const HEAD: Reg = Reg(6);
    /// First position of the tile.
    pub const T_POS: Reg = Reg(7);
    /// Scratch.
    pub const TMP: Reg = Reg(9);
    /// Rows of the current half.
    pub const ROWS: Reg = Reg(10);
    /// Key/value positions that are valid, the half's own rows included; in attention those that it sees.
    pub const KV_LEN: Reg = Reg(11);
    /// Tiles of 16 positions in that.
    pub const KV_TILES: Reg = Reg(12);
    /// First position of the half.
    pub const POS: Reg = Reg(13);
    /// Tiles of 16 positions that hold rows in front of the tile only.
    pub const OLD_TILES: Reg = Reg(14);
    /// Those behind them that hold rows of the tile.
    pub const NEW_TILES: Reg = Reg(15);
    /// Rows of a matrix command of attention.
    pub const Q_ROWS: Reg = Reg(16);
    /// Words between them: of queries in ABUF and of results in SPAD.
    pub const Q_STRIDE: Reg = Reg(17);
    /// Scalars between the queries' scales.
    pub const S_STRIDE: Reg = Reg(18);
    /// Rows of the first half.
    pub const HALF_ROWS: Reg = Reg(19);
    /// Items.
    pub const ITEMS: Reg = Reg(20);
    /// Matrix commands of an item: query heads, or in decode kv heads.
    pub const BLOCK: Reg = Reg(21);
    /// Score rows of an item; while scores are multiplied, whether there is such an item.
    pub const BLOCK_ROWS: Reg = Reg(22);
    /// Slot of the first key tile / value tile of a kv head.
    pub const FIRST: Reg = Reg(23);
    /// Item.
    pub const ITEM: Reg = Reg(24);
    /// Parity of the item.
    pub const PARITY: Reg = Reg(25);
    /// log2(HALVES).
    pub const HALVES_LOG2: Reg = Reg(26);
    /// 1 when the tile has one row.
    pub const ONE: Reg = Reg(27);
    /// Scratch for loop counts.
    pub const COUNT: Reg = Reg(28);
    /// Rows that later tiles will take; inside a tile, rows that later halves will take.
    pub const LEFT: Reg = Reg(29);
    /// Causal base (`REG_VBASE`).
    pub const VBASE: Reg = Reg(30);
    /// Row period (`REG_RMOD`).
    pub const RMOD: Reg = Reg(31);
}

/// Sizes of a tower in words of 16, and the tile height.
#[derive(Debug, Clone)]
pub struct Dims {
    /// Rows of a tile at most; a power of two, at least 16.
    pub tile_rows: u32,
    /// Positions that the KV cache is laid out for, a multiple of 16.
    pub positions: u32,
    /// Residual columns.
    pub cols: u32,
    /// Residual words.
    pub dw: u32,
    /// Query heads.
    pub heads: u32,
    /// Key/value heads.
    pub kv_heads: u32,
    /// Columns of a head.
    pub head_dim: u32,
    /// Words of half a head (rotary) or of a head.
    pub half_words: u32,
    /// Words of a head: query, key and value alike.
    pub hw: u32,
    /// Words of a score row: what a row sees at most.
    pub scw: u32,
    /// What rows see of the rows before them.
    pub mask: Option<BlockMask>,
    /// Some layers see windows of so many patches a side ([`super::windows`]).
    pub windows: Option<u32>,
    /// Words of the feed-forward block.
    pub ffw: u32,
    /// Gated feed-forward block.
    pub gated: bool,
    /// Query heads of an item of attention in prefill; divides `heads`, or the heads of a kv head.
    pub block_heads: u32,
    /// Score rows of an item at most.
    pub score_rows: u32,
    /// Pieces that the last linear of the feed-forward block is cut into.
    pub down_parts: u32,
    /// Rows of 8 bits that a row of its inputs is: 2 for wide inputs.
    pub down_rows: u32,
    /// Array slices.
    pub slices: u32,
    /// Bits of keys and values in the cache.
    pub kv_bits: u32,
    /// Words of the norm vectors of a layer.
    pub norm_words: u32,
    /// Rotary embedding.
    pub rope: bool,
    /// Queries and keys have layer norms of each head.
    pub head_stats: bool,
    /// Columns of a head that turn in pairs; the others stay.
    pub turning: u32,
}

/// Words of a norm's vectors.
pub fn norm_words(n: &Norm) -> u32 {
    words(n.cols) * if n.b.is_some() { 2 } else { 1 }
}

/// Score rows that an item of attention may have, if heads do not ask for more: enough to make what a
/// vector command costs besides its words small.
const SCORE_ROWS: u32 = 64;
/// Query heads from which on decode makes two items of its attention.
const MANY_HEADS: u32 = 16;

impl Dims {
    /// Rows of a half at most.
    pub fn half_rows(&self) -> u32 {
        self.tile_rows / 2
    }

    /// Dimensions of a tower of such layers.
    pub fn new(layer: &Layer, positions: u32, tile_rows: u32, down_parts: u32, o: &Build) -> Dims {
        let a = &layer.attention;
        let rope = a.rope.is_some();
        let half_words = if rope { words(a.head_dim / 2) } else { words(a.head_dim) };
        let (ff, gated) = match &layer.mlp {
            Mlp::Gated { up, .. } => (up.cols_out, true),
            Mlp::Plain { up, .. } => (up.cols_out, false),
        };
        let hw = half_words * if rope { 2 } else { 1 };
        let (heads, kv_heads) = (a.heads as u32, a.kv_heads as u32);
        let half = tile_rows / 2;
        // The heads of an item have kv heads of their own, or share one.
        let most = if heads == kv_heads { heads } else { heads / kv_heads };
        let fits = |n: &u32| most.is_multiple_of(*n) && n * half <= SCORE_ROWS.max(heads);
        let block_heads = (1..=most).rev().find(fits).unwrap_or(1);
        Dims {
            tile_rows,
            positions,
            cols: layer.norm1.cols as u32,
            dw: words(layer.norm1.cols),
            heads,
            kv_heads,
            head_dim: a.head_dim as u32,
            half_words,
            hw,
            scw: a.mask.map_or(positions, |m| positions.min(m.positions() as u32)) / TILE as u32,
            mask: a.mask,
            windows: a.windows.map(|side| side as u32),
            ffw: words(ff),
            gated,
            block_heads,
            score_rows: (block_heads * half).max(heads),
            down_parts,
            down_rows: if o.wide_inputs { 2 } else { 1 },
            slices: o.config.slices,
            kv_bits: o.kv_bits,
            norm_words: norm_words(&layer.norm1)
                + norm_words(&layer.norm2)
                + head_norms(layer)
                    .zip([heads, kv_heads])
                    .map(|(n, h)| head_norm_words(n, h, hw))
                    .sum::<u32>(),
            rope,
            head_stats: head_norms(layer).any(|n| n.b.is_some()),
            turning: a.rope.as_ref().map_or(0, |r| 2 * r.pairs() as u32),
        }
    }

    /// Rows of `cols` columns without attention: what a projector works on.
    pub fn of_rows(cols: u32, o: &Build) -> Dims {
        Dims {
            tile_rows: TILE as u32,
            positions: 0,
            cols,
            dw: words(cols as usize),
            heads: 0,
            kv_heads: 0,
            head_dim: 0,
            half_words: 0,
            hw: 0,
            scw: 0,
            mask: None,
            windows: None,
            ffw: 0,
            gated: false,
            block_heads: 0,
            score_rows: 0,
            down_parts: 0,
            down_rows: 1,
            slices: o.config.slices,
            kv_bits: o.kv_bits,
            norm_words: 0,
            rope: false,
            head_stats: false,
            turning: 0,
        }
    }

    /// Items of attention in decode: VX works on one while MM multiplies the other, so that the FIFOs do not fill up. With
    /// few heads commands take longer to begin than to run.
    pub fn row_items(&self) -> u32 {
        if self.heads >= MANY_HEADS && self.kv_heads.is_multiple_of(2) {
            2
        } else {
            1
        }
    }
    /// Query heads per kv head.
    pub fn group(&self) -> u32 {
        self.heads / self.kv_heads
    }
    /// Tiles of 16 positions in the cache of a head.
    pub fn kv_tiles(&self) -> u32 {
        self.positions / TILE as u32
    }
    /// Units of a layer's value scales: a word for every tile of a head.
    pub fn v_scale_units(&self) -> u32 {
        self.kv_heads * self.kv_tiles()
    }
    /// Tiles of the positions that every row sees.
    pub fn sink_tiles(&self) -> u32 {
        self.mask.map_or(0, |m| (m.sinks * MASK_BLOCK / TILE) as u32)
    }
    /// Units of a word of keys or values.
    pub fn kv_word_units(&self) -> u32 {
        self.kv_bits / 2
    }
    /// Units of a key tile: its scales and `hw` words.
    pub fn k_tile_units(&self) -> u32 {
        1 + self.kv_word_units() * self.hw
    }
    /// Slots between the key tiles of two kv heads. Odd (with several slices), so that short caches
    /// are spread over the channels too.
    pub fn k_slots(&self) -> u32 {
        let tiles = self.kv_tiles();
        if self.slices > 1 {
            tiles + 1 - tiles % 2
        } else {
            tiles
        }
    }
    /// Units of a layer's key cache in each channel.
    pub fn k_units(&self) -> u64 {
        u64::from((self.kv_heads * self.k_slots()).div_ceil(self.slices)) * u64::from(self.k_tile_units())
    }
    /// Units of a value tile (16 columns, all positions).
    pub fn v_tile_units(&self) -> u32 {
        self.kv_tiles() * self.kv_word_units()
    }
    /// Units of a layer's value cache in each channel; value tile `hw · head + c` has that slot.
    pub fn v_units(&self) -> u64 {
        u64::from((self.kv_heads * self.hw).div_ceil(self.slices)) * u64::from(self.v_tile_units())
    }

    /// SPAD regions of a half. Steps: 1 norm, 2 qkv, 3 rotary and quantise, 4 attention, 5 output
    /// projection, 6 norm, 7 feed-forward up, 8 down, 9 head or projector.
    pub fn spad(&self) -> Vec<Request> {
        let t = self.half_rows();
        let r = |name, words, from, to| Request { name, words, from, to };
        let mut out = vec![
            r("x", t * self.dw, 0, 9),
            r("tmp", t * self.dw, 0, 6),
            r("q", self.heads * t * self.hw, 2, 3),
            r("kv", 2 * self.kv_heads * t * self.hw, 2, 3),
            r("scores", self.score_rows * self.scw, 4, 4),
            r("attended", self.heads * t * self.hw, 4, 5),
            r("ff", t * self.ffw * if self.gated { 2 } else { 1 }, 7, 7),
            r("down", self.down_parts * self.down_rows * t * self.dw, 8, 9),
            r("final", t * self.dw, 9, 9),
        ];
        if self.rope {
            let turned = self.heads * t * self.half_words;
            out.push(r("rope", t * 2 * self.half_words, 0, 9));
            out.push(r("turn1", turned, 3, 3));
            out.push(r("turn2", turned, 3, 3));
        }
        out
    }

    /// SPAD regions that both halves use. LD writes them and runs ahead: they live through all steps.
    pub fn spad_shared(&self) -> Vec<Request> {
        let r = |name, words| Request { name, words, from: 0, to: 9 };
        vec![r("norms", self.norm_words), r("v_scales", self.kv_heads * self.scw)]
    }

    /// ABUF regions of a half.
    pub fn abuf(&self) -> Vec<Request> {
        let t = self.half_rows();
        // Regions are multiples of the widest window of sparse inputs.
        let r = |name, words: u32, from, to| Request { name, words: words.next_multiple_of(8), from, to };
        vec![
            r("x8", t * self.dw, 0, 9),
            r("q8", self.heads * t * self.hw, 3, 4),
            r("kv8", 2 * self.kv_heads * t * self.hw, 3, 3),
            r("p8", self.score_rows * self.scw, 4, 4),
            r("att8", t * self.heads * self.hw, 5, 5),
            r("ff8", self.down_rows * t * self.ffw, 7, 8),
        ]
    }

    /// S regions of a half: row scales and statistics.
    pub fn s(&self) -> Vec<Request> {
        let t = self.half_rows();
        let r = |name, words| Request { name, words, from: 0, to: 9 };
        vec![
            r("stat0", t),
            r("stat1", t),
            r("x_scale", t),
            r("inv", self.heads.max(2 * self.kv_heads) * t),
            r("q_scale", self.heads * t),
            r("kv_scale", 2 * self.kv_heads * t),
            r("row_max", self.score_rows),
            r("row_sum", self.score_rows),
            r("p_scale", self.score_rows),
            r("p_inv", self.score_rows),
            r("head_stat", if self.head_stats { self.heads * t } else { 0 }),
            r("both_scales", if self.down_rows > 1 { 2 * t } else { 0 }),
            r("inv_finer", if self.down_rows > 1 { t } else { 0 }),
        ]
    }

    /// S regions that both halves use.
    pub fn s_shared(&self) -> Vec<Request> {
        let r = |name, words| Request { name, words, from: 0, to: 9 };
        // Ids of a tile of rows that starts anywhere.
        vec![r("ids", self.tile_rows + TILE as u32), r("token", 16)]
    }

    /// Output rows of a projection to heads, in hardware order; every head fills `hw` words.
    pub(super) fn head_rows(&self, heads: u32, values: bool) -> Vec<Option<u32>> {
        let (hd, turning) = (self.head_dim, self.turning);
        let split = self.rope && !values;
        // Columns that stay are shared out to the halves, as pairs that turn by nothing.
        let middle = turning + (hd - turning) / 2;
        let mut out = Vec::new();
        for h in 0..heads {
            let pieces = match split {
                true => vec![[0..turning / 2, turning..middle], [turning / 2..turning, middle..hd]],
                false => vec![[0..hd, hd..hd]],
            };
            for piece in pieces {
                out.extend(piece.into_iter().flatten().map(|i| Some(h * hd + i)));
                out.resize(out.len().next_multiple_of(TILE), None);
            }
            out.resize(((h + 1) * self.hw) as usize * TILE, None);
        }
        out
    }

    /// A part of the packed query/key/value projection.
    pub fn head_part(&self, linear: &Linear, heads: u32, values: bool) -> Part {
        Part { linear: linear.clone(), rows: self.head_rows(heads, values) }
    }

    /// The packed output projection: inputs are value heads, each padded to words.
    pub fn output_projection(&self, a: &Attention, storage: Storage) -> Packed {
        let cols = self.head_rows(self.heads, true);
        let whole = Packed::plain(&a.o, storage);
        Packed::new(whole.parts, cols, storage)
    }
}

/// One memory: regions that both halves use, then a block of regions for each half.
#[derive(Debug, Clone)]
pub struct Halves {
    /// For both, from word 0 on.
    pub shared: OnChip,
    /// In each half's block.
    pub half: OnChip,
    /// First word of the first half's block.
    pub base: u32,
    /// Words between the blocks.
    pub block: u32,
}

impl Halves {
    fn new(shared: &[Request], half: &[Request]) -> Halves {
        let (shared, half) = (OnChip::allocate(shared), OnChip::allocate(half));
        // Windows of sparse inputs start at multiples of 8 words.
        let (base, block) = (shared.words().next_multiple_of(8), half.words().next_multiple_of(8));
        Halves { shared, half, base, block }
    }

    /// Words used.
    pub fn words(&self) -> u32 {
        self.base + 2 * self.block
    }
}

impl std::fmt::Display for Halves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}  two blocks of {} words from {} on, each\n{}",
            self.shared, self.block, self.base, self.half
        )
    }
}

/// What an entry point wants of the on-chip memories.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    /// SPAD, both halves together and each half.
    pub spad: (Vec<Request>, Vec<Request>),
    /// ABUF of each half.
    pub abuf: Vec<Request>,
    /// S, both halves together and each half.
    pub s: (Vec<Request>, Vec<Request>),
}

impl Requests {
    /// What the layers want.
    pub fn of(d: &Dims) -> Requests {
        Requests { spad: (d.spad_shared(), d.spad()), abuf: d.abuf(), s: (d.s_shared(), d.s()) }
    }
}

/// On-chip allocation of one entry point.
#[derive(Debug, Clone)]
pub struct Chip {
    /// Vector scratchpad.
    pub spad: Halves,
    /// Activation buffer.
    pub abuf: Halves,
    /// Scalars.
    pub s: Halves,
}

impl Chip {
    /// Allocates; the error says which memories of the target are too small, and by how much.
    pub fn fit(r: &Requests, c: &HwConfig) -> Result<Chip, String> {
        let chip = Chip {
            spad: Halves::new(&r.spad.0, &r.spad.1),
            abuf: Halves::new(&[], &r.abuf),
            s: Halves::new(&r.s.0, &r.s.1),
        };
        // Reduction results have a field of 14 bits.
        let (reduced, field) = (chip.s.base + chip.s.half.words(), 1 << 14);
        let over: Vec<String> = [
            ("scratchpad words", chip.spad.words(), c.spad_words),
            ("activation words", chip.abuf.words(), c.abuf_words),
            ("scalars", chip.s.words().max(reduced), c.s_words.min(field)),
        ]
        .iter()
        .filter(|(_, needs, has)| needs > has)
        .map(|(what, needs, has)| format!("{needs} {what}, {} too many", needs - has))
        .collect();
        if over.is_empty() {
            Ok(chip)
        } else {
            Err(over.join("; "))
        }
    }
}
