//! One tile's scales, indices and levels as bytes: `hw/doc/microarchitecture.md` 3.1, format `mixed`.

use super::format_code;
use crate::quant::{Quantised, Sparsity};
use flightvlm_hw::config::TILE;

/// Units of a group's levels.
pub(super) fn group_units(words: u32, bits: u8) -> u32 {
    match bits {
        8 => words * 4,
        4 => words * 2,
        b => words.div_ceil(2) * u32::from(b),
    }
}

/// Bits of a 64-byte-aligned run that is filled in any order.
struct Bits<'a>(&'a mut [u8]);

impl Bits<'_> {
    fn or(&mut self, at: usize, value: u32) {
        for i in (0..32).filter(|i| value >> i & 1 == 1) {
            self.0[(at + i) / 8] |= 1 << ((at + i) % 8);
        }
    }
}

/// A word of a tile: 16 rows × 16 stored inputs.
struct Word<'a> {
    q: &'a Quantised,
    row: usize,
    first: usize,
}

impl Word<'_> {
    fn at(&self, n: usize, k: usize) -> usize {
        (self.row + n) * self.q.stored() + self.first + k
    }
    /// The level as its two's complement code of `bits` bits.
    fn code(&self, n: usize, k: usize, bits: u8) -> u32 {
        let level = i32::from(self.q.levels[self.at(n, k)]);
        let code = if bits <= 3 { (level - 1) >> 1 } else { level };
        code as u32 & ((1 << bits) - 1)
    }
    fn position(&self, n: usize, k: usize) -> u32 {
        u32::from(self.q.index[self.at(n, k)])
    }
}

/// Room for `units` zeroed units at the end of `out`.
fn room(out: &mut Vec<u8>, units: u32) -> Bits<'_> {
    let from = out.len();
    out.resize(from + units as usize * 64, 0);
    Bits(&mut out[from..])
}

/// Appends the indices of a word.
fn indices(w: &Word<'_>, out: &mut Vec<u8>) {
    let field = match w.q.sparsity {
        Sparsity::Dense => return,
        Sparsity::S8of16 => {
            let mut bits = room(out, 1);
            for n in 0..TILE {
                (0..TILE).for_each(|k| bits.or(32 * n + 16 * (k / 8), 1 << w.position(n, k)));
            }
            return;
        }
        Sparsity::S2of4 => 2,
        Sparsity::S4of16 | Sparsity::S2of16 => 4,
    };
    let mut bits = room(out, field as u32 / 2);
    for n in 0..TILE {
        (0..TILE).for_each(|k| bits.or(field * (TILE * n + k), w.position(n, k)));
    }
}

/// Appends the levels of a word of 8 or 4 bits, layout k.
fn bytes(w: &Word<'_>, bits: u8, out: &mut Vec<u8>) {
    for n in 0..TILE {
        if bits == 8 {
            out.extend((0..TILE).map(|k| w.code(n, k, 8) as u8));
        } else {
            out.extend((0..8).map(|k| (w.code(n, k, 4) | w.code(n, k + 8, 4) << 4) as u8));
        }
    }
}

/// Appends the bit planes of one or two words.
fn planes(pair: &[Word<'_>], bits: u8, out: &mut Vec<u8>) {
    let mut planes = room(out, u32::from(bits));
    for (half, w) in pair.iter().enumerate() {
        for n in 0..TILE {
            for k in 0..TILE {
                let code = w.code(n, k, bits);
                for i in 0..usize::from(bits) {
                    let bit = code >> (usize::from(bits) - 1 - i) & 1;
                    planes.or(512 * i + 256 * half + TILE * n + k, bit);
                }
            }
        }
    }
}

/// Appends a tile's groups.
pub(super) fn tile(q: &Quantised, tile: usize, out: &mut Vec<u8>) {
    let words = q.stored() / TILE;
    let word = |w: usize| Word { q, row: tile * TILE, first: w * TILE };
    for (g, first) in (0..words).step_by(q.group_words).enumerate() {
        if g % 2 == 0 {
            scales(q, tile, g, out);
        }
        let bits = q.bits[tile * q.groups() + g];
        let group = first..(first + q.group_words).min(words);
        if matches!(bits, 4 | 8) {
            for w in group.map(word) {
                indices(&w, out);
                bytes(&w, bits, out);
            }
        } else {
            for start in group.clone().step_by(2) {
                let pair: Vec<Word> = (start..(start + 2).min(group.end)).map(word).collect();
                pair.iter().for_each(|w| indices(w, out));
                planes(&pair, bits, out);
            }
        }
    }
}

/// Appends the unit with the scales and format codes of groups `g` and `g + 1`.
fn scales(q: &Quantised, tile: usize, g: usize, out: &mut Vec<u8>) {
    for g in [g, g + 1] {
        for n in 0..TILE {
            let there = g < q.groups();
            let scale = if there { q.scales[(tile * TILE + n) * q.groups() + g] } else { 0.0 };
            let code = if there { format_code(q.bits[tile * q.groups() + g]) } else { 0 };
            let half = (scale.to_bits() >> 16) as u16;
            let sign = if n < 3 { (code >> n & 1) as u16 } else { 0 };
            out.extend((half & 0x7fff | sign << 15).to_le_bytes());
        }
    }
}
