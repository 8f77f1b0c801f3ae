//! Expansion of packed weight tiles into what the FIFOs hold: the plain statement of
//! `hw/doc/microarchitecture.md` 3.1. Faster code (`crate::units::dot`) gives the same and is
//! tested against this.

use crate::tile::{Group, ScaleAt, TileShape};
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::isa::{names::*, NM_INDEX_UNITS};
use flightvlm_hw::numerics::canon_bits;

/// Values of a word: output n, stored input k at n·16 + k.
pub(crate) type Values = [i8; 256];
/// Selectors of a word, in the same order.
pub(crate) type Selectors = [u8; 256];

/// A tile as the FIFOs hold it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expanded {
    pub values: Vec<Values>,
    pub selectors: Vec<Selectors>,
    /// Bias (if any), then scales (if any), canonical.
    pub scales: Vec<[f32; 16]>,
}

/// Bytes of a unit; past the end of the tile it is zero.
fn unit(tile: &[u8], at: usize) -> &[u8] {
    const ZERO: [u8; UNIT_BYTES] = [0; UNIT_BYTES];
    tile.get(at * UNIT_BYTES..(at + 1) * UNIT_BYTES).unwrap_or(const { &ZERO })
}

/// Expands a tile of the given shape.
pub(crate) fn expand(shape: &TileShape, tile: &[u8]) -> Expanded {
    let mut out = Expanded { scales: scales(shape, tile), ..Expanded::default() };
    for g in shape.groups_of(tile) {
        for i in 0..g.words {
            out.values.push(values(shape, &g, tile, i));
            out.selectors.push(selectors(shape.nm, index_unit(shape.nm, &g, i), tile));
        }
    }
    out
}

/// SFIFO words of a tile.
pub(crate) fn scales(shape: &TileShape, tile: &[u8]) -> Vec<[f32; 16]> {
    let mut out = Vec::with_capacity(shape.sfifo_words() as usize);
    if shape.bias {
        out.push(floats(unit(tile, 0)));
    }
    for g in shape.groups_of(tile) {
        match g.scale {
            ScaleAt::None => {}
            ScaleAt::Floats { unit: at } => out.push(floats(unit(tile, at))),
            ScaleAt::Halves { unit: at, odd } => {
                out.push(halves(unit(tile, at), odd));
            }
        }
    }
    out
}

fn floats(bytes: &[u8]) -> [f32; 16] {
    std::array::from_fn(|n| {
        let b = &bytes[4 * n..];
        f32::from_bits(canon_bits(u32::from_le_bytes([b[0], b[1], b[2], b[3]])))
    })
}

fn halves(bytes: &[u8], odd: bool) -> [f32; 16] {
    std::array::from_fn(|n| {
        let at = 4 * n + if odd { 0 } else { 2 };
        let half = u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        f32::from_bits(canon_bits((half & 0x7fff) << 16))
    })
}

/// First value unit of word `i` of a group.
pub(crate) fn value_unit(nm: u32, g: &Group, i: u32) -> usize {
    g.unit + g.units_of(i + 1, nm) - g.value_units() as usize
}

/// First index unit of word `i` of a group.
pub(crate) fn index_unit(nm: u32, g: &Group, i: u32) -> usize {
    value_unit(nm, g, i) - NM_INDEX_UNITS[nm as usize] as usize
}

/// Unit with the extra bits of word `i` of a group, if it has any, and which word of those that share it.
pub(crate) fn extra_unit(nm: u32, g: &Group, i: u32) -> Option<(usize, u32)> {
    let place = i.checked_rem(g.sharers())?;
    Some((g.unit + g.units_of(i - place, nm), place))
}

/// Place of a value in the bytes of its word, in the blocks of 4 × 4 that unit formats are made of.
fn block_place(n: usize, k: usize) -> (usize, usize, usize) {
    (n / 4, k / 4, 4 * (n % 4) + k % 4)
}

fn values(shape: &TileShape, g: &Group, tile: &[u8], i: u32) -> Values {
    let first = value_unit(shape.nm, g, i);
    // Two bits of a value in a unit that has two of each.
    let crumb = |u: usize, n: usize, k: usize| {
        let (r, c, at) = block_place(n, k);
        unit(tile, u)[16 * (r ^ c) + at] >> (2 * r) & 3
    };
    let extra = extra_unit(shape.nm, g, i);
    std::array::from_fn(|e| {
        let (n, k) = (e / 16, e % 16);
        let (r, c, at) = block_place(n, k);
        // The block's place in the units' order, then along a unit.
        let (major, minor) = if shape.layout_n() { (c, r) } else { (r, c) };
        let above = extra.map_or(0, |(u, place)| crumb(u, n, k) >> place);
        let nibble = || {
            let chunk = 2 * ((r / 2) ^ (c / 2)) + major % 2;
            unit(tile, first + major / 2)[16 * chunk + at] >> (4 * (minor % 2)) & 15
        };
        let code = match g.bits {
            8 => unit(tile, first + major)[16 * (r ^ c) + at],
            4 => nibble(),
            5 => nibble() | (above & 1) << 4,
            6 => nibble() | (above & 1) << 5 | (above & 2) << 3,
            3 => crumb(first, n, k) | (above & 1) << 2,
            _ => crumb(first, n, k),
        };
        let q = ((code << (8 - g.bits)) as i8) >> (8 - g.bits);
        if g.bits <= 3 {
            2 * q + 1
        } else {
            q
        }
    })
}

/// Selectors of the word whose index units begin at `at`.
pub(crate) fn selectors(nm: u32, at: usize, tile: &[u8]) -> Selectors {
    let byte = |i: usize| unit(tile, at + i / UNIT_BYTES)[i % UNIT_BYTES];
    std::array::from_fn(|e| {
        let (n, k) = (e / 16, e % 16);
        match nm {
            NM_2OF4 => {
                let field = byte(e % 128 / 2) >> (4 * (e % 2) + 2 * (n / 8)) & 3;
                (4 * (k / 2 % 4)) as u8 + field
            }
            NM_8OF16 => {
                let (block, rank) = (k / 8, k % 8);
                let at = 4 * n + 2 * block;
                let mask = u16::from_le_bytes([byte(at), byte(at + 1)]);
                (0..16).filter(|p| mask >> p & 1 == 1).nth(rank).unwrap_or(15)
            }
            NM_4OF16 | NM_2OF16 => byte(e / 2) >> (4 * (e % 2)) & 15,
            _ => k as u8,
        }
    })
}

/// Bytes of the window (of the words that `nm` spans) that stored inputs select.
pub(crate) fn window_index(nm: u32, k: usize, selector: u8) -> usize {
    let block = match nm {
        NM_2OF4 | NM_8OF16 => k / 8,
        NM_4OF16 => k / 4,
        NM_2OF16 => k / 2,
        _ => 0,
    };
    16 * block + usize::from(selector)
}

#[cfg(test)]
pub(crate) mod tests;
