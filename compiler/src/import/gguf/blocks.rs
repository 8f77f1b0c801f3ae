//! Block formats of stored values.
//!
//! Source: the format descriptions in llama.cpp's `ggml-common.h`, checked bit for bit against the
//! Python package `gguf` 0.19.

use half::{bf16, f16};

/// Values of a quantised block.
const BLOCK: usize = 32;

/// How values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    F32,
    F16,
    Bf16,
    /// Scale, then 32 nibbles less 8.
    Q4_0,
    /// Scale, offset, 32 nibbles.
    Q4_1,
    /// Scale, 32 high bits, 32 nibbles; less 16.
    Q5_0,
    /// Scale, offset, 32 high bits, 32 nibbles.
    Q5_1,
    /// Scale, 32 signed bytes.
    Q8_0,
}

/// Format, code in the file, bytes of a block, name.
const FORMATS: [(Format, u32, usize, &str); 8] = [
    (Format::F32, 0, 4, "F32"),
    (Format::F16, 1, 2, "F16"),
    (Format::Q4_0, 2, 18, "Q4_0"),
    (Format::Q4_1, 3, 20, "Q4_1"),
    (Format::Q5_0, 6, 22, "Q5_0"),
    (Format::Q5_1, 7, 24, "Q5_1"),
    (Format::Q8_0, 8, 34, "Q8_0"),
    (Format::Bf16, 30, 2, "BF16"),
];

impl Format {
    pub fn from_code(code: u32) -> Option<Self> {
        FORMATS.iter().find(|row| row.1 == code).map(|row| row.0)
    }

    /// The formats that are read, for messages.
    pub fn names() -> String {
        FORMATS.map(|row| row.3).join(", ")
    }

    /// Values of a block.
    pub fn block_len(self) -> usize {
        match self {
            Format::F32 | Format::F16 | Format::Bf16 => 1,
            _ => BLOCK,
        }
    }

    /// Bytes of `len` values, a multiple of the block.
    pub fn bytes(self, len: usize) -> usize {
        let row = FORMATS.iter().find(|row| row.0 == self).expect("invariant: every format has a row");
        len / self.block_len() * row.2
    }

    /// Writes the values of whole blocks as float32, little-endian.
    pub fn decode(self, source: &[u8], target: &mut [u8]) {
        let block_bytes = self.bytes(self.block_len());
        let targets = target.chunks_exact_mut(self.block_len() * 4);
        for (source, target) in source.chunks_exact(block_bytes).zip(targets) {
            let values = self.block(source);
            for (target, value) in target.chunks_exact_mut(4).zip(values) {
                target.copy_from_slice(&value.to_le_bytes());
            }
        }
    }

    /// The values of one block; for plain numbers the first one counts.
    fn block(self, source: &[u8]) -> [f32; BLOCK] {
        let half = |at: usize| f16::from_le_bytes([source[at], source[at + 1]]).to_f32();
        let nibbles =
            |at: usize| -> [u8; BLOCK] { std::array::from_fn(|i| source[at + i % 16] >> (i / 16 * 4) & 15) };
        let five_bits = |at: usize| -> [u8; BLOCK] {
            let low = nibbles(at + 4);
            std::array::from_fn(|i| low[i] | (source[at + i / 8] >> (i % 8) & 1) << 4)
        };
        match self {
            Format::F32 => [f32::from_le_bytes([source[0], source[1], source[2], source[3]]); BLOCK],
            Format::F16 => [half(0); BLOCK],
            Format::Bf16 => [bf16::from_le_bytes([source[0], source[1]]).to_f32(); BLOCK],
            Format::Q4_0 => nibbles(2).map(|q| half(0) * (f32::from(q) - 8.0)),
            Format::Q4_1 => nibbles(4).map(|q| half(0) * f32::from(q) + half(2)),
            Format::Q5_0 => five_bits(2).map(|q| half(0) * (f32::from(q) - 16.0)),
            Format::Q5_1 => five_bits(4).map(|q| half(0) * f32::from(q) + half(2)),
            Format::Q8_0 => std::array::from_fn(|i| half(0) * f32::from(source[2 + i] as i8)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(format: Format, source: &[u8]) -> Vec<f32> {
        let len = source.len() / format.bytes(format.block_len()) * format.block_len();
        let mut target = vec![0; len * 4];
        format.decode(source, &mut target);
        target.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    #[test]
    fn blocks_decode_by_their_definition() {
        let (scale, offset) = (f16::from_f32(0.5).to_le_bytes(), f16::from_f32(-3.0).to_le_bytes());
        // Value i has the low nibble i % 16 and, with 5 bits, the high bit of the odd ones.
        let nibbles: Vec<u8> = (0..16).map(|i| i | (15 - i) << 4).collect();
        let high = 0xAAAA_AAAAu32.to_le_bytes();
        let low = |i: usize| if i < 16 { i as f32 } else { (31 - i) as f32 };
        let five = |i: usize| low(i) + if i % 2 == 1 { 16.0 } else { 0.0 };
        let parts = |list: &[&[u8]]| list.concat();
        type Case<'a> = (Format, Vec<u8>, &'a dyn Fn(usize) -> f32);
        let cases: [Case<'_>; 4] = [
            (Format::Q4_0, parts(&[&scale, &nibbles]), &|i| 0.5 * (low(i) - 8.0)),
            (Format::Q4_1, parts(&[&scale, &offset, &nibbles]), &|i| 0.5 * low(i) - 3.0),
            (Format::Q5_0, parts(&[&scale, &high, &nibbles]), &|i| 0.5 * (five(i) - 16.0)),
            (Format::Q5_1, parts(&[&scale, &offset, &high, &nibbles]), &|i| 0.5 * five(i) - 3.0),
        ];
        for (format, block, expected) in cases {
            let expected: Vec<f32> = (0..32).chain(0..32).map(expected).collect();
            assert_eq!(decode(format, &[block.clone(), block].concat()), expected, "{format:?}");
        }
        let bytes: Vec<u8> = (0..32).map(|i| (i * 8) as u8).collect();
        let expected: Vec<f32> = (0..32).map(|i| 0.5 * f32::from((i * 8) as u8 as i8)).collect();
        assert_eq!(decode(Format::Q8_0, &parts(&[&scale, &bytes])), expected);
        assert_eq!(decode(Format::F16, &parts(&[&scale, &offset])), [0.5, -3.0]);
        assert_eq!(decode(Format::Bf16, &bf16::from_f32(1.5).to_le_bytes()), [1.5]);
        assert_eq!(decode(Format::F32, &0.1f32.to_le_bytes()), [0.1]);
    }
}
