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

/// A word of a tile: 16 rows × 16 stored inputs.
struct Word<'a> {
    q: &'a Quantised,
    row: usize,
    first: usize,
}

impl Word<'_> {
    fn range(&self, n: usize) -> std::ops::Range<usize> {
        let at = (self.row + n) * self.q.stored() + self.first;
        at..at + TILE
    }
    /// The levels of row `n`.
    fn levels(&self, n: usize) -> &[i8; TILE] {
        self.q.levels[self.range(n)].first_chunk().expect("invariant: 16 levels")
    }
    /// The positions of row `n`.
    fn positions(&self, n: usize) -> &[u8; TILE] {
        self.q.index[self.range(n)].first_chunk().expect("invariant: 16 positions")
    }
}

/// `width` bits of each of 16 values, the first lowest.
fn fields(values: &[u8; TILE], width: u32) -> u64 {
    values.iter().rev().fold(0, |all, v| all << width | u64::from(*v))
}

/// Appends the indices of a word.
fn indices(w: &Word<'_>, out: &mut Vec<u8>) {
    for n in 0..TILE {
        match w.q.sparsity {
            Sparsity::Dense => return,
            Sparsity::S2of4 => out.extend((fields(w.positions(n), 2) as u32).to_le_bytes()),
            Sparsity::S8of16 => {
                for block in w.positions(n).chunks_exact(8) {
                    out.extend(block.iter().fold(0u16, |mask, p| mask | 1 << p).to_le_bytes());
                }
            }
            Sparsity::S4of16 | Sparsity::S2of16 => out.extend(fields(w.positions(n), 4).to_le_bytes()),
        }
    }
}

/// Appends the levels of a word of 8 or 4 bits, layout k.
fn bytes(w: &Word<'_>, bits: u8, out: &mut Vec<u8>) {
    for n in 0..TILE {
        let levels = w.levels(n);
        if bits == 8 {
            out.extend(levels.map(|x| x as u8));
        } else {
            let (low, high) = levels.split_at(8);
            out.extend(low.iter().zip(high).map(|(l, h)| *l as u8 & 15 | (*h as u8) << 4));
        }
    }
}

/// Appends the bit planes of one or two words.
fn planes(pair: &[Word<'_>], bits: u8, out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + usize::from(bits) * 64, 0);
    let planes = &mut out[from..];
    for (half, w) in pair.iter().enumerate() {
        for n in 0..TILE {
            // 3 and 2 bits are mid-rise: level 2q + 1 of the code q.
            let codes = w.levels(n).map(|x| if bits <= 3 { (x - 1) >> 1 } else { x });
            for i in 0..usize::from(bits) {
                let shift = usize::from(bits) - 1 - i;
                let plane = codes.iter().rev().fold(0u16, |all, c| all << 1 | (*c as u16 >> shift & 1));
                planes[64 * i + 32 * half + 2 * n..][..2].copy_from_slice(&plane.to_le_bytes());
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
