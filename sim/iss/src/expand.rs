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
                out.push(halves(&unit(tile, at)[32 * usize::from(odd)..]));
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

fn halves(bytes: &[u8]) -> [f32; 16] {
    std::array::from_fn(|n| {
        let half = u32::from(u16::from_le_bytes([bytes[2 * n], bytes[2 * n + 1]]));
        f32::from_bits(canon_bits((half & 0x7fff) << 16))
    })
}

/// First unit of the values of word `i` of a group; for bit planes, of its pair.
pub(crate) fn value_unit(nm: u32, g: &Group, i: u32) -> usize {
    let index = NM_INDEX_UNITS[nm as usize];
    if g.planar() {
        let words = 2.min(g.words - i / 2 * 2);
        g.unit + (i / 2 * (2 * index + g.bits) + words * index) as usize
    } else {
        g.unit + (i * (index + g.bits / 2) + index) as usize
    }
}

/// First index unit of word `i` of a group.
pub(crate) fn index_unit(nm: u32, g: &Group, i: u32) -> usize {
    let index = NM_INDEX_UNITS[nm as usize];
    if g.planar() {
        g.unit + (i / 2 * (2 * index + g.bits) + i % 2 * index) as usize
    } else {
        g.unit + (i * (index + g.bits / 2)) as usize
    }
}

fn values(shape: &TileShape, g: &Group, tile: &[u8], i: u32) -> Values {
    let first = value_unit(shape.nm, g, i);
    let byte = |at: usize| unit(tile, first + at / UNIT_BYTES)[at % UNIT_BYTES];
    let nibble = |at: usize, high: bool| ((if high { byte(at) } else { byte(at) << 4 }) as i8) >> 4;
    std::array::from_fn(|e| {
        let (n, k) = (e / 16, e % 16);
        match (g.bits, shape.layout_n()) {
            (8, false) => byte(n * 16 + k) as i8,
            (8, true) => byte(k * 16 + n) as i8,
            (4, false) => nibble(n * 8 + k % 8, k >= 8),
            (4, true) => nibble(k * 8 + n % 8, n >= 8),
            (bits, _) => {
                let bit = (i % 2) as usize * 256 + e;
                let q = (0..bits as usize).fold(0i32, |q, plane| {
                    let b = unit(tile, first + plane)[bit / 8] >> (bit % 8) & 1;
                    // The first plane is the sign.
                    if plane == 0 {
                        -i32::from(b)
                    } else {
                        q << 1 | i32::from(b)
                    }
                });
                (if bits <= 3 { 2 * q + 1 } else { q }) as i8
            }
        }
    })
}

/// Selectors of the word whose index units begin at `at`.
pub(crate) fn selectors(nm: u32, at: usize, tile: &[u8]) -> Selectors {
    let byte = |i: usize| unit(tile, at + i / UNIT_BYTES)[i % UNIT_BYTES];
    std::array::from_fn(|e| {
        let (n, k) = (e / 16, e % 16);
        match nm {
            NM_2OF4 => (4 * (k / 2 % 4)) as u8 + (byte(e / 4) >> (2 * (e % 4)) & 3),
            NM_8OF16 => {
                let (block, rank) = (k / 8, k % 8);
                let at = 4 * n + 2 * block;
                let mask = u16::from_le_bytes([byte(at), byte(at + 1)]);
                (0..16).filter(|p| mask >> p & 1 == 1).nth(rank).unwrap_or(0)
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
