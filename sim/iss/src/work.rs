//! Resolved commands: what the dispatcher puts in the queues, with numbers in place of counts and
//! addresses.

use crate::tile::TileShape;
use flightvlm_hw::isa::{names::*, Unit, NM_WINDOW_WORDS};

/// A resolved command for a unit queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    pub pc: u32,
    pub wait: u8,
    pub release: u8,
    pub work: Work,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    Ld(LdWork),
    St(StWork),
    Mm(MmWork),
    Vx(VxWork),
}

impl Work {
    pub fn unit(&self) -> Unit {
        match self {
            Work::Ld(_) => Unit::Ld,
            Work::St(_) => Unit::St,
            Work::Mm(_) => Unit::Mm,
            Work::Vx(_) => Unit::Vx,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct LdWork {
    pub mode: u32,
    pub rows: u32,
    pub len: u32,
    pub dst: u32,
    pub dst_stride: u32,
    pub src: u32,
    pub src_stride: u32,
    pub sidx: u32,
    /// Mode weight: what a tile is; `kb` repeats `len`.
    pub shape: TileShape,
    /// Mode weight: slot of the first tile.
    pub first: u32,
}

impl LdWork {
    /// Units of a weight tile.
    pub fn tile_units(&self) -> u64 {
        self.shape.units().unwrap_or(u64::from(self.src_stride))
    }
    /// First unit of the tile in `slot`, within its slice's channel.
    pub fn tile_unit(&self, slot: u32, slices: u32) -> u64 {
        u64::from(self.src) + u64::from(slot / slices) * u64::from(self.src_stride)
    }
    /// Tiles of the command that go to a slice.
    pub fn tiles_of(&self, slice: u32, slices: u32) -> u32 {
        let distance = slice.wrapping_sub(self.first) % slices;
        (self.rows + slices - 1 - distance) / slices
    }
    /// Slot of the first tile that goes to a slice.
    pub fn first_slot_of(&self, slice: u32, slices: u32) -> u32 {
        self.first + slice.wrapping_sub(self.first) % slices
    }
}

#[derive(Debug, Clone, Copy)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct StWork {
    pub mode: u32,
    pub rows: u32,
    pub len: u32,
    pub src: u32,
    pub src_stride: u32,
    pub dst: u32,
    pub dst_stride: u32,
    pub chunk_stride: u32,
    pub pos: u32,
    pub first: u32,
    pub heads: u32,
    pub head_stride: u32,
    pub head_step: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct MmWork {
    pub rows: u32,
    pub tiles: u32,
    pub kb: u32,
    pub kbg: u32,
    pub act: u32,
    pub act_stride: u32,
    pub out: u32,
    pub out_stride: u32,
    pub sa: u32,
    pub sa_stride: u32,
    pub wscale: bool,
    pub bias: bool,
    pub nm: u32,
    pub first: u32,
}

impl MmWork {
    /// Words of a scale group (the last one may have fewer).
    pub fn group(&self) -> u32 {
        if self.kbg == 0 {
            self.kb
        } else {
            self.kbg.min(self.kb)
        }
    }
    pub fn groups(&self) -> u32 {
        self.kb.div_ceil(self.group().max(1))
    }
    /// SFIFO words of a tile.
    pub fn sfifo_words(&self) -> u32 {
        u32::from(self.bias) + if self.wscale { self.groups() } else { 0 }
    }
    /// ABUF words that one stored word reads.
    pub fn window_words(&self) -> u32 {
        NM_WINDOW_WORDS[self.nm as usize]
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct VxOperand {
    pub kind: u32,
    /// Address, or f32 bits of an immediate.
    pub value: u32,
    pub stride: u32,
    /// How the operand's row index follows from the row: `ROW`, `ROW_MOD`, `ROW_DIV`.
    pub row: u32,
}

impl VxOperand {
    /// Row index of the operand for row `r`.
    pub fn index(&self, r: u32, rmod: u32) -> u32 {
        match (self.row, rmod) {
            (ROW, _) | (ROW_MOD, 0) => r,
            (ROW_MOD, m) => r % m,
            (_, 0) => 0,
            (_, m) => r / m,
        }
    }
    /// Rows of the operand that `rows` rows of the command touch.
    pub fn rows(&self, rows: u32, rmod: u32) -> u32 {
        match (self.row, rmod) {
            (ROW_MOD, m) if m != 0 => rows.min(m),
            _ => self.index(rows - 1, rmod) + 1,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct VxWork {
    pub rows: u32,
    pub len: u32,
    pub a: VxOperand,
    pub b: VxOperand,
    pub c: VxOperand,
    pub op1: u32,
    pub op2: u32,
    pub func: u32,
    pub red: u32,
    pub d_kind: u32,
    pub d: u32,
    pub d_stride: u32,
    pub sred: u32,
    pub causal: bool,
    pub vbase: u32,
    pub rmod: u32,
}
