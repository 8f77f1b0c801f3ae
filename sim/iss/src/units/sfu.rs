//! The table functions, 16 lanes at a time: `flightvlm_hw::numerics` says what they are, the tests
//! here that these are the same.

use flightvlm_hw::isa::names::*;
use flightvlm_hw::numerics::{MAX_BITS, ROM};
use std::arch::x86_64::*;
use std::sync::OnceLock;

/// The table itself, one segment a line: base in bits 45:20, slope in 19:0.
const ROM_TEXT: &str = include_str!("../../../../hw/tables/sfu.hex");

/// Bases and slopes.
fn rom() -> &'static (Vec<i32>, Vec<i32>) {
    static TABLE: OnceLock<(Vec<i32>, Vec<i32>)> = OnceLock::new();
    TABLE.get_or_init(|| {
        let line = |l: &str| {
            let v = u64::from_str_radix(l, 16).expect("invariant: sfu.hex holds hex words");
            ((v >> 20) as i32, ((v & 0xf_ffff) << 12) as u32 as i32 >> 12)
        };
        ROM_TEXT.lines().map(line).unzip()
    })
}

/// Applies a table function to canonical floats.
///
/// # Safety
/// The CPU has AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn apply(func: u32, y: &mut [[f32; 16]]) {
    let table = rom();
    for y in y {
        // SAFETY: a word has 16 floats; table indices are in range for every input (`segment`).
        unsafe {
            let x = _mm512_loadu_ps(y.as_ptr());
            let z = match func {
                F_EXP2 => exp2(table, x),
                F_RECIP => recip(table, x),
                F_RSQRT => rsqrt(table, x),
                F_GELU => bump(table, x, ROM[3].1, 8.0, 1_048_576.0),
                F_GELU_TANH => bump(table, x, ROM[4].1, 8.0, 1_048_576.0),
                F_SILU => bump(table, x, ROM[5].1, 16.0, 524_288.0),
                _ => x,
            };
            _mm512_storeu_ps(y.as_mut_ptr(), z);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn int(x: i32) -> __m512i {
    _mm512_set1_epi32(x)
}

/// base + (slope · frac15 >> 15), clamped; indices are taken modulo the size of the function's table.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn segment(
    table: &(Vec<i32>, Vec<i32>),
    first: usize,
    size: i32,
    index: __m512i,
    frac15: __m512i,
    limits: (i32, i32),
) -> __m512i {
    let at = _mm512_add_epi32(_mm512_and_si512(index, int(size - 1)), int(first as i32));
    // SAFETY: `first` + `size` is within the table for the functions of `ROM`.
    let (base, slope) = unsafe {
        (_mm512_i32gather_epi32::<4>(at, table.0.as_ptr()), _mm512_i32gather_epi32::<4>(at, table.1.as_ptr()))
    };
    // 20 by 15 bits exceed 32: the slope's low five bits apart.
    let high = _mm512_mullo_epi32(_mm512_srai_epi32::<5>(slope), frac15);
    let low = _mm512_srli_epi32::<5>(_mm512_mullo_epi32(_mm512_and_si512(slope, int(31)), frac15));
    let product = _mm512_srai_epi32::<10>(_mm512_add_epi32(high, low));
    let y = _mm512_add_epi32(base, product);
    _mm512_min_epi32(_mm512_max_epi32(y, int(limits.0)), int(limits.1))
}

/// Bits with exponent field ≤ 1 to zero.
#[inline]
#[target_feature(enable = "avx512f")]
fn flush(bits: __m512i) -> __m512 {
    let mag = _mm512_and_si512(bits, int(0x7fff_ffff));
    let normal = _mm512_cmpge_epu32_mask(mag, int(0x0100_0000));
    _mm512_castsi512_ps(_mm512_maskz_mov_epi32(normal, bits))
}

const ONE: i32 = 1 << 24;

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn exp2(table: &(Vec<i32>, Vec<i32>), x: __m512) -> __m512 {
    let small = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_set1_ps(-125.0));
    let large = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, _mm512_set1_ps(127.0));
    let inside = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-125.0)), _mm512_set1_ps(127.0));
    let scaled = _mm512_mul_ps(inside, _mm512_set1_ps(65536.0));
    let t = _mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(scaled);
    let (n, f) = (_mm512_srai_epi32::<16>(t), _mm512_and_si512(t, int(0xffff)));
    let frac = _mm512_slli_epi32::<7>(_mm512_and_si512(f, int(0xff)));
    // SAFETY: passed on.
    let y = unsafe { segment(table, ROM[0].1, 256, _mm512_srli_epi32::<8>(f), frac, (ONE, 2 * ONE - 1)) };
    let exponent = _mm512_slli_epi32::<23>(_mm512_add_epi32(n, int(127)));
    let mantissa = _mm512_and_si512(_mm512_srli_epi32::<1>(y), int(0x7f_ffff));
    let z = flush(_mm512_or_si512(exponent, mantissa));
    let z = _mm512_mask_mov_ps(z, large, _mm512_castsi512_ps(int(MAX_BITS as i32)));
    _mm512_mask_mov_ps(z, small, _mm512_setzero_ps())
}

/// Exponent and mantissa of a table value Y in [2^23, 2^24] below an exponent.
#[inline]
#[target_feature(enable = "avx512f")]
fn compose(y: __m512i, exponent_of_one: __m512i) -> (__m512i, __m512i) {
    let whole = _mm512_cmpeq_epi32_mask(y, int(ONE));
    let exponent = _mm512_mask_sub_epi32(exponent_of_one, !whole, exponent_of_one, int(1));
    (exponent, _mm512_and_si512(y, int(0x7f_ffff)))
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn recip(table: &(Vec<i32>, Vec<i32>), x: __m512) -> __m512 {
    let bits = _mm512_castps_si512(x);
    let zero = _mm512_testn_epi32_mask(bits, int(0x7fff_ffff));
    let sign = _mm512_and_si512(bits, int(i32::MIN));
    let e = _mm512_and_si512(_mm512_srli_epi32::<23>(bits), int(0xff));
    let m = _mm512_and_si512(bits, int(0x7f_ffff));
    let frac = _mm512_and_si512(m, int(0x7fff));
    // SAFETY: passed on.
    let y = unsafe { segment(table, ROM[1].1, 256, _mm512_srli_epi32::<15>(m), frac, (ONE / 2, ONE)) };
    let (e, m) = compose(y, _mm512_sub_epi32(int(254), e));
    let normal = _mm512_cmpgt_epi32_mask(e, int(1));
    let z = _mm512_or_si512(sign, _mm512_or_si512(_mm512_slli_epi32::<23>(e), m));
    let z = _mm512_maskz_mov_epi32(normal, z);
    _mm512_castsi512_ps(_mm512_mask_mov_epi32(z, zero, int(MAX_BITS as i32)))
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn rsqrt(table: &(Vec<i32>, Vec<i32>), x: __m512) -> __m512 {
    let none = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(x, _mm512_setzero_ps());
    let bits = _mm512_castps_si512(x);
    let e = _mm512_sub_epi32(_mm512_srli_epi32::<23>(bits), int(127));
    let m = _mm512_and_si512(bits, int(0x7f_ffff));
    let odd = _mm512_and_si512(e, int(1));
    let k = _mm512_srai_epi32::<1>(_mm512_sub_epi32(e, odd));
    let index = _mm512_add_epi32(_mm512_slli_epi32::<8>(odd), _mm512_srli_epi32::<15>(m));
    let frac = _mm512_and_si512(m, int(0x7fff));
    // SAFETY: passed on.
    let y = unsafe { segment(table, ROM[2].1, 512, index, frac, (ONE / 2, ONE)) };
    let (e, m) = compose(y, _mm512_sub_epi32(int(127), k));
    let z = _mm512_or_si512(_mm512_slli_epi32::<23>(e), m);
    _mm512_castsi512_ps(_mm512_mask_mov_epi32(z, none, int(MAX_BITS as i32)))
}

/// relu(x) − g(|x|).
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn bump(table: &(Vec<i32>, Vec<i32>), x: __m512, first: usize, limit: f32, scale: f32) -> __m512 {
    let mag = _mm512_abs_ps(x);
    let inside = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(mag, _mm512_set1_ps(limit));
    let u = _mm512_maskz_cvttps_epi32(inside, _mm512_mul_ps(mag, _mm512_set1_ps(scale)));
    let frac = _mm512_slli_epi32::<1>(_mm512_and_si512(u, int(0x3fff)));
    // SAFETY: passed on.
    let y = unsafe { segment(table, first, 512, _mm512_srli_epi32::<14>(u), frac, (0, ONE - 1)) };
    let g = _mm512_mul_ps(_mm512_maskz_cvtepi32_ps(inside, y), _mm512_set1_ps(1.0 / 16_777_216.0));
    let g = flush(_mm512_castps_si512(g));
    let relu = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(x, _mm512_setzero_ps()), x);
    flush(_mm512_castps_si512(_mm512_sub_ps(relu, g)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightvlm_hw::numerics::{canon_bits, exp2, gelu, gelu_tanh, recip, rsqrt, silu};

    #[test]
    fn lanes_are_the_reference() {
        if !std::arch::is_x86_feature_detected!("avx512f") {
            return;
        }
        type Function = fn(f32) -> f32;
        let functions: [(u32, Function); 6] = [
            (F_EXP2, exp2),
            (F_RECIP, recip),
            (F_RSQRT, rsqrt),
            (F_GELU, gelu),
            (F_GELU_TANH, gelu_tanh),
            (F_SILU, silu),
        ];
        // All exponents and signs with many mantissas, and the neighbours of every limit.
        let spread = (0..1u32 << 20).map(|i| i.wrapping_mul(0x9e37_79b1));
        let limits = [0.0f32, -125.0, 127.0, 8.0, 16.0, 1.0, 2.0, f32::MAX, -f32::MAX, 126.99999];
        let near = limits.iter().flat_map(|l| (-40..40).map(|d| l.to_bits().wrapping_add_signed(d)));
        // Small numbers densely: where the functions are used.
        let dense = (0..1 << 18).map(|i| (i as f32 / 8192.0 - 16.0).to_bits());
        let inputs: Vec<f32> =
            spread.chain(near).chain(dense).map(|b| f32::from_bits(canon_bits(b))).collect();
        for (func, reference) in functions {
            for chunk in inputs.chunks(16) {
                let mut y = [[1.0f32; 16]];
                y[0][..chunk.len()].copy_from_slice(chunk);
                // SAFETY: the CPU has AVX-512, checked above.
                unsafe { apply(func, &mut y) };
                for (x, y) in chunk.iter().zip(y[0]) {
                    assert_eq!(y.to_bits(), reference(*x).to_bits(), "function {func} of {x:e}");
                }
            }
        }
    }
}
