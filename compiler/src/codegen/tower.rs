//! Dimensions of a tower, its registers and its on-chip regions.

use super::asm::Reg;
use crate::layout::onchip::{OnChip, Request};
use crate::layout::pack::{Packed, Part};
use crate::layout::words;
use crate::plan::{Attention, Layer, Linear, Mlp, Norm};
use flightvlm_hw::config::{HwConfig, TILE};

/// Scalar registers by use. R1..R8 are arguments and counters of the entry points.
pub mod regs {
    use super::Reg;
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
    /// heads · rows · head words: where keys start behind the queries.
    pub const K_OFFSET: Reg = Reg(15);
    /// rows · head words.
    pub const ROWS_HW: Reg = Reg(16);
    /// rows · value words.
    pub const ROWS_VW: Reg = Reg(17);
    /// rows · heads per kv head.
    pub const GROUP_ROWS: Reg = Reg(18);
    /// … · head words.
    pub const GROUP_HW: Reg = Reg(19);
    /// … · value words.
    pub const GROUP_VW: Reg = Reg(20);
    /// … · score words.
    pub const GROUP_SCW: Reg = Reg(21);
    /// rows · (heads + kv heads).
    pub const QK_ROWS: Reg = Reg(22);
    /// rows · kv heads.
    pub const V_ROWS: Reg = Reg(23);
    /// kv heads per block of attention.
    pub const BLOCK: Reg = Reg(24);
    /// Blocks.
    pub const BLOCKS: Reg = Reg(25);
    /// Score rows of a block.
    pub const BLOCK_ROWS: Reg = Reg(26);
    /// rows · heads.
    pub const H_ROWS: Reg = Reg(27);
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
    /// Words of a query/key head.
    pub hw: u32,
    /// Words of a value head.
    pub vw: u32,
    /// Words of a score row.
    pub scw: u32,
    /// Words of the feed-forward block.
    pub ffw: u32,
    /// Gated feed-forward block.
    pub gated: bool,
    /// Score rows that fit at once.
    pub score_rows: u32,
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
    pub fn new(layer: &Layer, positions: u32, tile_rows: u32) -> Dims {
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
            vw: words(a.head_dim),
            scw: positions / TILE as u32,
            ffw: words(ff),
            gated,
            score_rows: (heads / kv_heads * tile_rows).max(heads),
            norm_words: norm_words(&layer.norm1) + norm_words(&layer.norm2),
            rope,
        }
    }

    /// Heads per kv head.
    pub fn group(&self) -> u32 {
        self.heads / self.kv_heads
    }

    /// DRAM units of one head's key cache: per 16 positions a scale unit and `hw` words.
    pub fn k_units(&self) -> u32 {
        self.scw * self.k_tile_units()
    }
    /// Units of 16 positions in it.
    pub fn k_tile_units(&self) -> u32 {
        1 + 4 * self.hw
    }
    /// DRAM units of one head's value cache: per 16 columns a run of words over positions.
    pub fn v_units(&self) -> u32 {
        self.vw * self.scw * 4
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
            r("tmp", t * self.dw, 0, 9),
            r("qk", (self.heads + self.kv_heads) * t * self.hw, 2, 3),
            r("v", self.kv_heads * t * self.vw, 2, 3),
            r("scores", self.score_rows * self.scw, 4, 4),
            r("v_scales", self.kv_heads * self.scw, 0, 9),
            r("heads_out", self.heads * t * self.vw, 4, 5),
            r("attended", self.heads * t * self.vw, 5, 5),
            r("ff", t * self.ffw * if self.gated { 2 } else { 1 }, 7, 8),
        ];
        if self.rope {
            let turned = (self.heads + self.kv_heads) * t * self.half_words;
            out.push(r("rope", t * 2 * self.half_words, 0, 9));
            out.push(r("turn1", turned, 3, 3));
            out.push(r("turn2", turned, 3, 3));
        }
        out
    }

    /// ABUF regions.
    pub fn abuf(&self) -> Vec<Request> {
        let t = self.tile_rows;
        let r = |name, words, from, to| Request { name, words, from, to };
        vec![
            r("x8", t * self.dw, 0, 9),
            r("qk8", (self.heads + self.kv_heads) * t * self.hw, 3, 4),
            r("v8", self.kv_heads * t * self.vw, 3, 4),
            r("p8", self.score_rows * self.scw, 4, 4),
            r("att8", t * self.heads * self.vw, 5, 5),
            r("ff8", t * self.ffw, 8, 8),
        ]
    }

    /// S regions: row scales and statistics.
    pub fn s(&self) -> Vec<Request> {
        let t = self.tile_rows;
        let r = |name, words| Request { name, words, from: 0, to: 9 };
        let qk = (self.heads + self.kv_heads) * t;
        vec![
            r("stat0", t),
            r("stat1", t),
            r("x_scale", t),
            r("inv", qk.max(self.score_rows)),
            r("qk_scale", qk),
            r("v_scale", self.kv_heads * t),
            r("row_max", self.score_rows),
            r("row_sum", self.score_rows),
            r("p_scale", self.score_rows),
            r("ids", t),
            r("token", 16),
        ]
    }

    /// Output rows of a projection to heads, in hardware order.
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
        }
        out
    }

    /// A part of the packed query/key/value projection.
    pub fn head_part(&self, linear: &Linear, heads: u32, values: bool) -> Part {
        Part { linear: linear.clone(), rows: self.head_rows(heads, values) }
    }

    /// The packed output projection: inputs are value heads, each padded to words.
    pub fn output_projection(&self, a: &Attention) -> Packed {
        let cols = self.head_rows(self.heads, true);
        let whole = Packed::plain(&a.o);
        Packed::new(whole.parts, cols)
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
