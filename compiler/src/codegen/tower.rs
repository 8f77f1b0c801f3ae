//! Dimensions of a tower, its registers and its on-chip regions.

use super::asm::Reg;
use super::Build;
use crate::layout::onchip::{OnChip, Request};
use crate::layout::pack::{Packed, Part, Storage};
use crate::layout::words;
use crate::plan::{Attention, Layer, Linear, Mlp, Norm};
use flightvlm_hw::config::{HwConfig, TILE};

/// Scalar registers by use. R1..R8 are arguments and counters of the entry points.
///
/// Attention works on *blocks* of score rows: in decode one block of all heads (a kv head's query
/// heads are the rows of one matrix command), with several token rows one query head at a time.
pub mod regs {
    use super::Reg;
    /// Heads done (attention with several rows).
    pub const HEAD: Reg = Reg(6);
    /// Scratch.
    pub const TMP: Reg = Reg(9);
    /// Rows of the current tile.
    pub const ROWS: Reg = Reg(10);
    /// Key/value positions that are valid, the tile's own rows included.
    pub const KV_LEN: Reg = Reg(11);
    /// Tiles of 16 positions in that.
    pub const KV_TILES: Reg = Reg(12);
    /// First position of the tile.
    pub const POS: Reg = Reg(13);
    /// Key tiles that hold earlier rows only, and the rest.
    pub const OLD_TILES: Reg = Reg(14);
    /// KV_TILES − OLD_TILES.
    pub const NEW_TILES: Reg = Reg(15);
    /// Rows of a matrix command of attention.
    pub const Q_ROWS: Reg = Reg(16);
    /// ABUF words between them.
    pub const Q_STRIDE: Reg = Reg(17);
    /// Scalars between their scales.
    pub const S_STRIDE: Reg = Reg(18);
    /// SPAD words between their results.
    pub const O_STRIDE: Reg = Reg(19);
    /// Blocks.
    pub const BLOCKS: Reg = Reg(20);
    /// kv heads of a block.
    pub const BLOCK: Reg = Reg(21);
    /// Score rows of a block.
    pub const BLOCK_ROWS: Reg = Reg(22);
    /// Slot of the first key tile / value tile of a kv head.
    pub const FIRST: Reg = Reg(23);
    /// First kv head of the block.
    pub const KV_HEAD: Reg = Reg(24);
    /// 1 until the tile's own keys and values are known to be in the cache.
    pub const UNSTORED: Reg = Reg(25);
    /// rows · (heads + kv heads): where values start behind queries and keys.
    pub const QK_ROWS: Reg = Reg(26);
    /// rows · (heads + 2 · kv heads).
    pub const QKV_ROWS: Reg = Reg(27);
    /// Scratch for loop counts.
    pub const COUNT: Reg = Reg(28);
    /// Rows that later tiles will take.
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
    /// Words of a score row.
    pub scw: u32,
    /// Words of the feed-forward block.
    pub ffw: u32,
    /// Gated feed-forward block.
    pub gated: bool,
    /// Score rows of a block at most.
    pub score_rows: u32,
    /// Pieces that the last linear of the feed-forward block is cut into.
    pub down_parts: u32,
    /// Array slices.
    pub slices: u32,
    /// Bits of keys and values in the cache.
    pub kv_bits: u32,
    /// Words of the norm vectors of a layer.
    pub norm_words: u32,
    /// Rotary embedding.
    pub rope: bool,
}

/// Words of a norm's vectors.
pub fn norm_words(n: &Norm) -> u32 {
    words(n.cols) * if n.b.is_some() { 2 } else { 1 }
}

impl Dims {
    /// Dimensions of a tower of such layers.
    pub fn new(layer: &Layer, positions: u32, tile_rows: u32, down_parts: u32, o: &Build) -> Dims {
        let a = &layer.attention;
        let rope = a.rope.is_some();
        let half_words = if rope { words(a.head_dim / 2) } else { words(a.head_dim) };
        let (ff, gated) = match &layer.mlp {
            Mlp::Gated { up, .. } => (up.cols_out, true),
            Mlp::Plain { up, .. } => (up.cols_out, false),
        };
        let (heads, kv_heads) = (a.heads as u32, a.kv_heads as u32);
        Dims {
            tile_rows,
            positions,
            cols: layer.norm1.cols as u32,
            dw: words(layer.norm1.cols),
            heads,
            kv_heads,
            head_dim: a.head_dim as u32,
            half_words,
            hw: half_words * if rope { 2 } else { 1 },
            scw: positions / TILE as u32,
            ffw: words(ff),
            gated,
            score_rows: tile_rows.max(heads),
            down_parts,
            slices: o.config.slices,
            kv_bits: o.kv_bits,
            norm_words: norm_words(&layer.norm1) + norm_words(&layer.norm2),
            rope,
        }
    }

    /// Query heads per kv head.
    pub fn group(&self) -> u32 {
        self.heads / self.kv_heads
    }
    /// Query and key heads of a row.
    pub fn qk_heads(&self) -> u32 {
        self.heads + self.kv_heads
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
        if self.slices > 1 {
            self.scw + 1 - self.scw % 2
        } else {
            self.scw
        }
    }
    /// Units of a layer's key cache in each channel.
    pub fn k_units(&self) -> u64 {
        u64::from((self.kv_heads * self.k_slots()).div_ceil(self.slices)) * u64::from(self.k_tile_units())
    }
    /// Units of a value tile (16 columns, all positions).
    pub fn v_tile_units(&self) -> u32 {
        self.scw * self.kv_word_units()
    }
    /// Units of a layer's value cache in each channel; value tile `hw · head + c` has that slot.
    pub fn v_units(&self) -> u64 {
        u64::from((self.kv_heads * self.hw).div_ceil(self.slices)) * u64::from(self.v_tile_units())
    }

    /// SPAD regions of the layers. Steps: 1 norm, 2 qkv, 3 rotary and quantise, 4 attention,
    /// 5 output projection, 6 norm, 7 feed-forward up, 8 down, 9 head or projector.
    /// Regions that LD writes live through all steps: LD runs ahead of the others.
    pub fn spad(&self) -> Vec<Request> {
        let t = self.tile_rows;
        let r = |name, words, from, to| Request { name, words, from, to };
        let mut out = vec![
            r("x", t * self.dw, 0, 9),
            r("norms", self.norm_words, 0, 9),
            r("tmp", t * self.dw, 0, 6),
            r("qkv", (self.qk_heads() + self.kv_heads) * t * self.hw, 2, 3),
            r("scores", self.score_rows * self.scw, 4, 4),
            r("v_scales", self.kv_heads * self.scw, 0, 9),
            r("attended", self.heads * t * self.hw, 4, 5),
            r("ff", t * self.ffw * if self.gated { 2 } else { 1 }, 7, 7),
            r("down", self.down_parts * t * self.dw, 8, 8),
            r("final", t * self.dw, 9, 9),
        ];
        if self.rope {
            let turned = self.qk_heads() * t * self.half_words;
            out.push(r("rope", t * 2 * self.half_words, 0, 9));
            out.push(r("turn1", turned, 3, 3));
            out.push(r("turn2", turned, 3, 3));
        }
        out
    }

    /// ABUF regions.
    pub fn abuf(&self) -> Vec<Request> {
        let t = self.tile_rows;
        // Regions are multiples of the widest window of sparse inputs.
        let r = |name, words: u32, from, to| Request { name, words: words.next_multiple_of(8), from, to };
        vec![
            r("x8", t * self.dw, 0, 9),
            r("qkv8", (self.qk_heads() + self.kv_heads) * t * self.hw, 3, 4),
            r("p8", self.score_rows * self.scw, 4, 4),
            r("att8", t * self.heads * self.hw, 5, 5),
            r("ff8", t * self.ffw, 7, 8),
        ]
    }

    /// S regions: row scales and statistics.
    pub fn s(&self) -> Vec<Request> {
        let t = self.tile_rows;
        let r = |name, words| Request { name, words, from: 0, to: 9 };
        let qkv = (self.qk_heads() + self.kv_heads) * t;
        vec![
            r("stat0", t),
            r("stat1", t),
            r("x_scale", t),
            r("inv", qkv.max(self.score_rows)),
            r("qkv_scale", qkv),
            r("row_max", self.score_rows),
            r("row_sum", self.score_rows),
            r("p_scale", self.score_rows),
            r("ids", t),
            r("token", 16),
        ]
    }

    /// Output rows of a projection to heads, in hardware order; every head fills `hw` words.
    fn head_rows(&self, heads: u32, values: bool) -> Vec<Option<u32>> {
        let (hd, half) = (self.head_dim, self.head_dim / 2);
        let split = self.rope && !values;
        let mut out = Vec::new();
        for h in 0..heads {
            let pieces = if split { vec![(0, half), (half, hd)] } else { vec![(0, hd)] };
            for (from, to) in pieces {
                out.extend((from..to).map(|i| Some(h * hd + i)));
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

/// On-chip allocation of one entry point.
#[derive(Debug, Clone)]
pub struct Chip {
    /// Vector scratchpad.
    pub spad: OnChip,
    /// Activation buffer.
    pub abuf: OnChip,
    /// Scalars.
    pub s: OnChip,
}

impl Chip {
    /// Allocates; `None` when a memory of the target is too small.
    pub fn fit(spad: &[Request], abuf: &[Request], s: &[Request], c: &HwConfig) -> Option<Chip> {
        let chip =
            Chip { spad: OnChip::allocate(spad), abuf: OnChip::allocate(abuf), s: OnChip::allocate(s) };
        let fits = chip.spad.words() <= c.spad_words
            && chip.abuf.words() <= c.abuf_words
            && chip.s.words() <= c.s_words;
        fits.then_some(chip)
    }
}
