//! MM: integer dot products of ABUF rows with weight tiles, dequantised into SPAD.

use crate::front::MmWork;
use crate::memory::{check, Memory};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::FaultCode;
use flightvlm_hw::numerics::{canon_bits, fadd, fmul, i2f};
use rayon::prelude::*;

/// Below this many MACs a command runs on one thread.
const PARALLEL_MACS: u64 = 1 << 19;

pub(crate) fn check_mm(w: &MmWork, m: &Memory, c: &HwConfig) -> Result<(), FaultCode> {
    if w.rows == 0 || w.tiles == 0 {
        return Ok(());
    }
    let groups = if w.kbg == 0 { 1 } else { w.kb.div_ceil(w.kbg) };
    let scales = u32::from(w.bias) + if w.wscale { groups } else { 0 };
    if w.kb == 0 || w.kb > c.wfifo_words || scales > c.sfifo_words {
        return Err(FaultCode::Wfifo);
    }
    let kb = u64::from(w.kb);
    check(w.act, w.rows, w.act_stride, kb, m.abuf.len() as u64, FaultCode::Abuf)?;
    let tiles = u64::from(w.tiles);
    check(w.out, w.rows, w.out_stride, tiles, m.spad.len() as u64, FaultCode::Spad)?;
    check(w.sa, w.rows, 1, 1, m.s.len() as u64, FaultCode::Smem)
}

/// One weight tile as it stands in the stream.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
    /// kb words of 256 bytes, in order.
    pub words: &'a [&'a [u8]],
    /// Bias (if any), then scales (if any).
    pub scales: &'a [[f32; 16]],
}

/// Canonical floats of a scale unit.
pub(crate) fn scale_unit(bytes: &[u8]) -> [f32; 16] {
    let mut out = [0.0; 16];
    for (o, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
        *o = f32::from_bits(canon_bits(u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    }
    out
}

/// Computes all tiles; `tile(j)` gives the words and scale units of tile j.
pub(crate) fn run<'a, F>(w: &MmWork, m: &mut Memory, tile: F)
where
    F: Fn(u32) -> (Vec<&'a [u8]>, Vec<[f32; 16]>) + Sync,
{
    let macs = u64::from(w.tiles) * u64::from(w.rows) * u64::from(w.kb) * 256;
    let one = |j: u32| {
        let (words, scales) = tile(j);
        one_tile(w, m, Tile { words: &words, scales: &scales })
    };
    let columns: Vec<Vec<[u32; 16]>> = if macs >= PARALLEL_MACS {
        (0..w.tiles).into_par_iter().map(one).collect()
    } else {
        (0..w.tiles).map(one).collect()
    };
    for (j, column) in columns.into_iter().enumerate() {
        for (r, lanes) in column.into_iter().enumerate() {
            m.spad[w.out as usize + r * w.out_stride as usize + j] = lanes;
        }
    }
}

/// All rows of one tile.
fn one_tile(w: &MmWork, m: &Memory, tile: Tile<'_>) -> Vec<[u32; 16]> {
    let group = if w.kbg == 0 { w.kb as usize } else { w.kbg as usize };
    let scales = &tile.scales[usize::from(w.bias)..];
    let row = |r: u32| {
        let act = &m.abuf[(w.act + r * w.act_stride) as usize..][..w.kb as usize];
        let mut p = [0.0f32; 16];
        for (g, (words, acts)) in tile.words.chunks(group).zip(act.chunks(group)).enumerate() {
            let acc = dot(words, acts);
            for n in 0..16 {
                let x = i2f(acc[n]);
                let x = if w.wscale { fmul(x, scales[g][n]) } else { x };
                p[n] = if g == 0 { x } else { fadd(p[n], x) };
            }
        }
        let sa = f32::from_bits(canon_bits(m.s[(w.sa + r) as usize]));
        let mut out = [0; 16];
        for n in 0..16 {
            let y = fmul(p[n], sa);
            out[n] = if w.bias { fadd(y, tile.scales[0][n]) } else { y }.to_bits();
        }
        out
    };
    (0..w.rows).map(row).collect()
}

/// Σ over words and k of act[k] · word[n·16 + k], for the 16 outputs.
fn dot(words: &[&[u8]], acts: &[[i8; 16]]) -> [i32; 16] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 is there, and every word is 256 bytes (asserted inside).
        return unsafe { dot_avx2(words, acts) };
    }
    let mut acc = [0i32; 16];
    for (w, a) in words.iter().zip(acts) {
        for (n, row) in w.chunks_exact(16).enumerate() {
            acc[n] += row.iter().zip(a).map(|(w, a)| i32::from(*w as i8) * i32::from(*a)).sum::<i32>();
        }
    }
    acc
}

/// |w| as unsigned times sign(w)·a as signed: exact for w = −128, and a pair of products stays
/// below 2^15 because activations are in [−127, 127].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn dot_avx2(words: &[&[u8]], acts: &[[i8; 16]]) -> [i32; 16] {
    use std::arch::x86_64::*;
    let ones = _mm256_set1_epi16(1);
    let mut acc = [_mm256_setzero_si256(); 8];
    for (w, a) in words.iter().zip(acts) {
        assert!(w.len() == 256);
        let a = _mm256_broadcastsi128_si256(_mm_loadu_si128(a.as_ptr().cast()));
        for (i, acc) in acc.iter_mut().enumerate() {
            let w = _mm256_loadu_si256(w.as_ptr().add(32 * i).cast());
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
            *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(pairs, ones));
        }
    }
    let mut out = [0; 16];
    for (i, acc) in acc.iter().enumerate() {
        let mut lanes = [0i32; 8];
        _mm256_storeu_si256(lanes.as_mut_ptr().cast(), *acc);
        out[2 * i] = lanes[..4].iter().sum();
        out[2 * i + 1] = lanes[4..].iter().sum();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_dot_equals_scalar_dot_at_the_extremes() {
        let patterns: [u8; 5] = [0x80, 0x7f, 0x81, 0, 0xff];
        let word: Vec<u8> = (0..256).map(|i| patterns[i % 5]).collect();
        for a in [-127i8, 127, -1, 3] {
            let acts = [[a; 16]; 3];
            let words = [&word[..], &word[..], &word[..]];
            let want: Vec<i32> = word
                .chunks_exact(16)
                .map(|r| 3 * r.iter().map(|w| i32::from(*w as i8) * i32::from(a)).sum::<i32>())
                .collect();
            assert_eq!(dot(&words, &acts).to_vec(), want);
        }
    }
}
