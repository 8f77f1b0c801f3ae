//! Dense tiles with AVX2.

use super::{add_group, finish, Job};
use crate::expand::{expand, scales};
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
    // 8-bit values in layout k are used where they lie.
    let expanded = (shape.fmt != FMT_W8K).then(|| expand(shape, bytes));
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

/// |w| as unsigned times sign(w)·a as signed: exact for w = −128, and a pair of products stays
/// below 2^15 because activations are in [−127, 127].
#[target_feature(enable = "avx2")]
unsafe fn dot(values: &[i8], acts: &[[i8; 16]]) -> [i32; 16] {
    assert!(values.len() == acts.len() * 256);
    let ones = _mm256_set1_epi16(1);
    let mut acc = [_mm256_setzero_si256(); 8];
    for (word, a) in values.chunks_exact(256).zip(acts) {
        // SAFETY: 16 bytes are there.
        let a = unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(a.as_ptr().cast())) };
        for (i, acc) in acc.iter_mut().enumerate() {
            // SAFETY: eight times 32 bytes are 256.
            let w = unsafe { _mm256_loadu_si256(word.as_ptr().add(32 * i).cast()) };
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
            *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(pairs, ones));
        }
    }
    let mut out = [0; 16];
    for (i, acc) in acc.iter().enumerate() {
        let mut lanes = [0i32; 8];
        // SAFETY: `lanes` holds 32 bytes.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), *acc) };
        out[2 * i] = lanes[..4].iter().sum();
        out[2 * i + 1] = lanes[4..].iter().sum();
    }
    out
}
