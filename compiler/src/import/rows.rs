//! Stored floats as float32: all of a tensor, or a row at a time, so that a large matrix need not be in memory twice.

use half::f16;
use rayon::prelude::*;

use super::header::Dtype;

/// Bytes that a thread looks at together.
const CHUNK_BYTES: usize = 1 << 18;

/// A weight `[rows, cols]`, whose rows are converted when they are asked for.
pub struct Rows<'a> {
    cols: usize,
    values: Values<'a>,
}

enum Values<'a> {
    /// Little-endian, as in the file.
    Stored(Dtype, &'a [u8]),
    /// The graph uses other values than the file holds.
    Changed(Vec<f32>),
}

impl<'a> Rows<'a> {
    /// `bytes` are floats of `dtype`, a multiple of `cols` of them.
    pub(super) fn stored(cols: usize, dtype: Dtype, bytes: &'a [u8]) -> Self {
        Rows { cols, values: Values::Stored(dtype, bytes) }
    }

    pub(super) fn changed(cols: usize, values: Vec<f32>) -> Self {
        Rows { cols, values: Values::Changed(values) }
    }

    /// Copies row `row` to `out`, of `cols` elements.
    pub fn copy(&self, row: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.cols, "a row");
        let elements = row * self.cols..(row + 1) * self.cols;
        match &self.values {
            Values::Changed(values) => out.copy_from_slice(&values[elements]),
            Values::Stored(dtype, bytes) => {
                let size = dtype.size() as usize;
                convert(*dtype, &bytes[elements.start * size..elements.end * size], out);
            }
        }
    }
}

/// All elements.
pub(super) fn all(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    let size = dtype.size() as usize;
    let mut out = vec![0.0; bytes.len() / size];
    let chunks = bytes.par_chunks(CHUNK_BYTES).zip(out.par_chunks_mut(CHUNK_BYTES / size));
    chunks.for_each(|(bytes, out)| convert(dtype, bytes, out));
    out
}

/// Where the first NaN or infinity is.
pub(super) fn first_not_finite(dtype: Dtype, bytes: &[u8]) -> Option<usize> {
    let per_chunk = CHUNK_BYTES / dtype.size() as usize;
    let in_chunk = |(i, chunk): (usize, &[u8])| Some(i * per_chunk + not_finite(dtype, chunk)?);
    bytes.par_chunks(CHUNK_BYTES).enumerate().find_map_first(in_chunk)
}

fn not_finite(dtype: Dtype, bytes: &[u8]) -> Option<usize> {
    /// The first pass has no way out, so it vectorises.
    fn find<T: Copy>(values: &[T], bad: impl Fn(T) -> bool) -> Option<usize> {
        let any = values.iter().fold(false, |any, v| any | bad(*v));
        values.iter().position(|v| any && bad(*v))
    }
    // All bits of the exponent are ones.
    match dtype {
        Dtype::F32 => find(bytes.as_chunks::<4>().0, |b| u32::from_le_bytes(b) & 0x7f80_0000 == 0x7f80_0000),
        Dtype::F16 => find(bytes.as_chunks::<2>().0, |b| u16::from_le_bytes(b) & 0x7c00 == 0x7c00),
        Dtype::Bf16 => find(bytes.as_chunks::<2>().0, |b| u16::from_le_bytes(b) & 0x7f80 == 0x7f80),
        Dtype::I64 | Dtype::I32 => unreachable!("invariant: floats"),
    }
}

fn convert(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F32 => each(out, bytes.as_chunks::<4>().0, f32::from_le_bytes),
        Dtype::F16 => each(out, bytes.as_chunks::<2>().0, |b| f16::from_le_bytes(b).to_f32()),
        // The upper half of a float32.
        Dtype::Bf16 => {
            each(out, bytes.as_chunks::<2>().0, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))
        }
        Dtype::I64 | Dtype::I32 => unreachable!("invariant: floats"),
    }
}

fn each<T: Copy>(out: &mut [f32], stored: &[T], f: impl Fn(T) -> f32) {
    assert_eq!(out.len(), stored.len());
    out.iter_mut().zip(stored).for_each(|(out, stored)| *out = f(*stored));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_parts_of_the_whole() {
        let values: Vec<f32> = (0..12).map(|i| i as f32 * 0.25 - 1.0).collect();
        let as_bytes = |dtype| -> Vec<u8> {
            match dtype {
                Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                Dtype::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
                _ => values.iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect(),
            }
        };
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let bytes = as_bytes(dtype);
            assert_eq!(all(dtype, &bytes), values);
            for rows in [Rows::stored(4, dtype, &bytes), Rows::changed(4, values.clone())] {
                let mut row = [0.0; 4];
                rows.copy(1, &mut row);
                assert_eq!(row, values[4..8]);
            }
            assert_eq!(first_not_finite(dtype, &bytes), None);
        }
    }

    #[test]
    fn the_first_bad_value_is_found_in_any_chunk() {
        let mut values = vec![f32::MAX; 3 * CHUNK_BYTES / 4];
        for (at, bad) in
            [(CHUNK_BYTES, f32::NAN), (CHUNK_BYTES / 2 + 7, f32::NEG_INFINITY), (5, f32::INFINITY)]
        {
            // Behind `at` others may be.
            values[at % (3 * CHUNK_BYTES / 4)] = bad;
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let first = values.iter().position(|v| !v.is_finite());
            assert_eq!(first_not_finite(Dtype::F32, &bytes), first);
        }
        let half = [f16::MAX, f16::INFINITY, f16::NAN].map(|v| v.to_le_bytes()).concat();
        assert_eq!(first_not_finite(Dtype::F16, &half), Some(1));
    }
}
