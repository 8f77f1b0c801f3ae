//! Dense tiles with AVX2.

use super::{add_group, finish, Job};
use crate::expand::{expand, scales, Values};
use crate::tile::TileShape;
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::isa::names::FMT_W8K;
use std::arch::x86_64::*;

/// # Safety
/// The CPU has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn tile(
    job: &Job<'_>,
    shape: &TileShape,
    bytes: &[u8],
    mut write: impl FnMut(usize, [u32; 16]),
) {
    let w = job.w;
    let group = w.group() as usize;
    // 8-bit values in layout k are used where they lie, others are brought to their order.
    let expanded = (shape.fmt != FMT_W8K).then(|| {
        let mut e = expand(shape, bytes);
        e.values.iter_mut().for_each(|v| *v = in_blocks(v));
        e
    });
    let all_scales = match &expanded {
        Some(e) => e.scales.clone(),
        None => scales(shape, bytes),
    };
    let (bias, scales) = all_scales.split_at(usize::from(w.bias));
    let starts: Vec<usize> = shape.groups_of(bytes).map(|g| g.unit * UNIT_BYTES).collect();
    for r in 0..w.rows {
        let acts = job.row(r);
        let mut p = [0.0; 16];
        for (g, acts) in acts.chunks(group).enumerate() {
            let values: &[i8] = match &expanded {
                Some(e) => e.values[g * group..][..acts.len()].as_flattened(),
                None => {
                    let bytes = &bytes[starts[g]..][..acts.len() * 256];
                    // SAFETY: u8 and i8 have the same layout.
                    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
                }
            };
            // SAFETY: this function's own requirement.
            let acc = unsafe { dot(values, acts) };
            add_group(&mut p, g == 0, &acc, w.wscale.then(|| &scales[g]));
        }
        write(r as usize, finish(&p, job.row_scales[r as usize], bias.first()));
    }
}

/// Values in the order of 8 bits, layout k.
fn in_blocks(values: &Values) -> Values {
    let mut out = [0; 256];
    for (e, v) in values.iter().enumerate() {
        let (n, k) = (e / 16, e % 16);
        out[64 * (n / 4) + 16 * ((n / 4) ^ (k / 4)) + 4 * (n % 4) + k % 4] = *v;
    }
    out
}

/// |w| as unsigned times sign(w)·a as signed: exact for w = −128, and a pair of products stays
/// below 2^15 because activations are in [−127, 127].
#[target_feature(enable = "avx2")]
unsafe fn dot(values: &[i8], acts: &[[i8; 16]]) -> [i32; 16] {
    assert!(values.len() == acts.len() * 256);
    let ones = _mm256_set1_epi16(1);
    let mut acc = [_mm256_setzero_si256(); 4];
    // Lane l of half h of unit u takes inputs 4c.. with c = u ^ 2h ^ l.
    let takes: [__m256i; 4] = std::array::from_fn(|c| {
        let at: [i32; 8] = std::array::from_fn(|i| (c ^ (i / 4)) as i32);
        // SAFETY: 32 bytes are there.
        unsafe { _mm256_loadu_si256(at.as_ptr().cast()) }
    });
    for (word, a) in values.chunks_exact(256).zip(acts) {
        // SAFETY: 16 bytes are there.
        let a = unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(a.as_ptr().cast())) };
        let acts = takes.map(|t| _mm256_permutevar8x32_epi32(a, t));
        for (u, acc) in acc.iter_mut().enumerate() {
            for h in 0..2 {
                // SAFETY: eight times 32 bytes are 256.
                let w = unsafe { _mm256_loadu_si256(word.as_ptr().add(64 * u + 32 * h).cast()) };
                let a = acts[u ^ (2 * h)];
                let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
                *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    let mut out = [0; 16];
    for (out, acc) in out.chunks_exact_mut(4).zip(acc) {
        let sum = _mm_add_epi32(_mm256_castsi256_si128(acc), _mm256_extracti128_si256::<1>(acc));
        // SAFETY: `out` holds 16 bytes.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sum) };
    }
    out
}
