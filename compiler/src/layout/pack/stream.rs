//! One tile's scales, indices and levels as bytes: `hw/doc/microarchitecture.md` 3.1, format `mixed`.

use super::format_code;
use crate::quant::{Quantised, Sparsity};
use flightvlm_hw::config::TILE;

/// Value units of a word, and words that share a unit of extra bits (0: there are none).
fn units_of(bits: u8) -> (u32, u32) {
    match bits {
        8 => (4, 0),
        4 => (2, 0),
        2 => (1, 0),
        3 => (1, 2),
        5 => (2, 2),
        6 => (2, 1),
        other => unreachable!("invariant: {other} is a width of the stream"),
    }
}

/// Units of a group's levels.
pub(super) fn group_units(words: u32, bits: u8) -> u32 {
    let (each, sharers) = units_of(bits);
    words * each + if sharers == 0 { 0 } else { words.div_ceil(sharers) }
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
    if w.q.sparsity == Sparsity::S2of4 {
        // Outputs n and n + 8 share four bits.
        for n in 0..TILE / 2 {
            let both: [u8; TILE] = std::array::from_fn(|k| w.positions(n)[k] | w.positions(n + 8)[k] << 2);
            out.extend(fields(&both, 4).to_le_bytes());
        }
        return;
    }
    for n in 0..TILE {
        match w.q.sparsity {
            Sparsity::Dense | Sparsity::S2of4 => return,
            Sparsity::S8of16 => {
                for block in w.positions(n).chunks_exact(8) {
                    out.extend(block.iter().fold(0u16, |mask, p| mask | 1 << p).to_le_bytes());
                }
            }
            Sparsity::S4of16 | Sparsity::S2of16 => out.extend(fields(w.positions(n), 4).to_le_bytes()),
        }
    }
}

/// The code of four levels, one a byte: 3 and 2 bits are mid-rise, level 2q + 1 of the code q.
fn codes(levels: &[i8; TILE], bits: u8, c: usize) -> u32 {
    let codes: [u8; 4] = std::array::from_fn(|k| {
        let level = levels[4 * c + k];
        (if bits <= 3 { (level - 1) >> 1 } else { level }) as u8
    });
    u32::from_le_bytes(codes) & 0x0101_0101 * (0xff >> (8 - bits))
}

/// Of values of a byte each, bits `from` .. `from + width` of each.
fn field(bytes: u32, from: u32, width: u32) -> u32 {
    bytes >> from & 0x0101_0101 * ((1 << width) - 1)
}

/// Adds what four inputs of output `n` have in a chunk: block (r, c) takes its byte 4 (n mod 4) + (k mod 4).
fn put(units: &mut [u8], chunk: usize, n: usize, bytes: u32) {
    let at = 16 * chunk + 4 * (n % 4);
    let to = units[at..].first_chunk_mut().expect("invariant: a chunk of its units");
    *to = (u32::from_le_bytes(*to) | bytes).to_le_bytes();
}

/// Room for `units` units behind what is there.
fn room(out: &mut Vec<u8>, units: u32) -> &mut [u8] {
    let from = out.len();
    out.resize(from + 64 * units as usize, 0);
    &mut out[from..]
}

/// Appends two bits of each value as a unit: chunk r ^ c, bits 2r and 2r + 1. `bits`: of four inputs of an output.
fn pairs_of_bits(bits: impl Fn(usize, usize) -> u32, out: &mut Vec<u8>) {
    let unit = room(out, 1);
    for n in 0..TILE {
        let r = n / 4;
        (0..4).for_each(|c| put(unit, r ^ c, n, bits(n, c) << (2 * r)));
    }
}

/// Appends the unit of the bits that do not fit the value units of the words that share it.
fn extra(sharers: &[Word<'_>], bits: u8, out: &mut Vec<u8>) {
    let of = |n: usize, c: usize| {
        let code = |w: &Word<'_>| codes(w.levels(n), bits, c);
        match sharers {
            [w] if bits == 6 => field(code(w), 5, 1) | field(code(w), 4, 1) << 1,
            words => words.iter().rev().fold(0, |all, w| all << 1 | field(code(w), u32::from(bits) - 1, 1)),
        }
    };
    pairs_of_bits(of, out);
}

/// Appends the value units of a word, layout k.
fn values(w: &Word<'_>, bits: u8, out: &mut Vec<u8>) {
    if bits <= 3 {
        return pairs_of_bits(|n, c| field(codes(w.levels(n), bits, c), 0, 2), out);
    }
    let units = room(out, units_of(bits).0);
    for n in 0..TILE {
        let (levels, r) = (w.levels(n), n / 4);
        if bits == 8 {
            (0..4).for_each(|c| put(units, 4 * r + (r ^ c), n, codes(levels, bits, c)));
            continue;
        }
        // Two blocks side by side share the bytes of a chunk.
        for half in 0..2 {
            let low = |c| field(codes(levels, bits, c), 0, 4);
            let chunk = 4 * (r / 2) + 2 * ((r / 2) ^ half) + r % 2;
            put(units, chunk, n, low(2 * half) | low(2 * half + 1) << 4);
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
        let sharers = units_of(bits).1 as usize;
        for (i, w) in group.clone().enumerate() {
            if sharers > 0 && i % sharers == 0 {
                let words: Vec<Word> = (w..(w + sharers).min(group.end)).map(word).collect();
                extra(&words, bits, out);
            }
            indices(&word(w), out);
            values(&word(w), bits, out);
        }
    }
}

/// Appends the unit with the scales and format codes of groups `g` and `g + 1`, in the upper and lower halves
/// of its words.
fn scales(q: &Quantised, tile: usize, g: usize, out: &mut Vec<u8>) {
    for n in 0..TILE {
        let half = |g: usize| {
            if g >= q.groups() {
                return 0;
            }
            let scale = q.scales[(tile * TILE + n) * q.groups() + g].to_bits() >> 16 & 0x7fff;
            let code = format_code(q.bits[tile * q.groups() + g]);
            scale | if n < 3 { (code as u32 >> n & 1) << 15 } else { 0 }
        };
        out.extend((half(g) << 16 | half(g + 1)).to_le_bytes());
    }
}
