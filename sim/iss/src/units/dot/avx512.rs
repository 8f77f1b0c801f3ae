//! Every format with AVX-512 VNNI.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes, four to a 32-bit sum. Weights are made unsigned
//! by an offset that the sum of the activations takes back: with value = m·u − c,
//! Σ value·a = m·Σ u·a − c·Σ a. A word's 16 *blocks* of 4 outputs × 4 inputs lie in the 128-bit lanes of
//! four vectors, in an order that depends on the format ([`block`]). One or two rows take them so, each
//! lane with its inputs' activations; more rows take *quads*: quad q holds stored inputs 4q..4q+3 of the
//! 16 outputs, ascending.

use super::Job;
use crate::expand::{extra_unit, index_unit, selectors, value_unit, window_index};
use crate::tile::{Group, ScaleAt, TileShape};
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::isa::names::*;
use std::arch::x86_64::*;

/// Formats: `WIDTH` + bits, layout k; `LAYOUT_N` more: layout n.
mod layout {
    pub const LAYOUT_N: u8 = 16;
    pub const BYTES_N: u8 = LAYOUT_N + 8;
    pub const NIBBLES_N: u8 = LAYOUT_N + 4;
}
use layout::*;

/// Runs `$f::<format>` for a group.
macro_rules! by_format {
    ($g:expr, $shape:expr, $f:ident, [$($rest:tt)*], $args:tt) => {
        match ($g.bits, $shape.layout_n()) {
            (8, false) => $f::<8, $($rest)*>$args,
            (8, true) => $f::<BYTES_N, $($rest)*>$args,
            (4, false) => $f::<4, $($rest)*>$args,
            (4, true) => $f::<NIBBLES_N, $($rest)*>$args,
            (2, _) => $f::<2, $($rest)*>$args,
            (3, _) => $f::<3, $($rest)*>$args,
            (5, _) => $f::<5, $($rest)*>$args,
            _ => $f::<6, $($rest)*>$args,
        }
    };
}

/// Rows from which a tile is put in order first.
const ORDER_ROWS: u32 = 3;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u8; 64]);

/// A tile in the order of the instruction.
#[derive(Default)]
pub(super) struct Ordered {
    /// Four quads a word, outputs ascending.
    quads: Vec<Line>,
    /// The same for each input's place in the window (sparse tiles).
    places: Vec<Line>,
}

/// m and c of value = m·u − c.
fn offset(bits: u32) -> (i32, i32) {
    match bits {
        2 | 3 => (2, (1 << bits) - 1),
        b => (1, 1 << (b - 1)),
    }
}

/// # Safety
/// The CPU has AVX-512 F, BW, DQ, VNNI and VBMI; `bytes` holds all units of the tile's layout.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni,avx512vbmi")]
pub(super) unsafe fn tile(
    job: &Job<'_>,
    shape: &TileShape,
    bytes: &[u8],
    ordered: &mut Ordered,
    mut write: impl FnMut(usize, [u32; 16]),
) {
    // SAFETY: passed on.
    unsafe {
        if shape.nm == NM_DENSE && job.w.rows < ORDER_ROWS {
            match job.w.rows {
                1 => direct::<1>(job, shape, bytes, &mut write),
                _ => direct::<2>(job, shape, bytes, &mut write),
            }
            return;
        }
        order(shape, bytes, ordered);
        let mut r = 0;
        while r < job.w.rows {
            r += match (job.w.rows - r, shape.nm == NM_DENSE) {
                (8.., true) => ordered_rows::<8>(job, shape, bytes, ordered, r, &mut write),
                (4.., true) => ordered_rows::<4>(job, shape, bytes, ordered, r, &mut write),
                (_, true) => ordered_rows::<1>(job, shape, bytes, ordered, r, &mut write),
                (4.., false) => sparse_rows::<4>(job, shape, bytes, ordered, r, &mut write),
                (_, false) => sparse_rows::<1>(job, shape, bytes, ordered, r, &mut write),
            };
        }
    }
}

/// One or two rows, from the packed tile.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn direct<const R: usize>(
    job: &Job<'_>,
    shape: &TileShape,
    bytes: &[u8],
    write: &mut impl FnMut(usize, [u32; 16]),
) {
    let groups = job.w.groups() as usize;
    let rows: [&[[i8; 16]]; R] = std::array::from_fn(|r| job.row(r as u32));
    let mut p = [_mm512_setzero_ps(); R];
    for (i, g) in shape.groups_of(bytes).enumerate() {
        let acts = rows.map(|row| row[g.first_word as usize..].as_ptr().cast());
        let sums = std::array::from_fn(|r| job.sums[r * groups + i]);
        // SAFETY: passed on; the group's units and activations are in range.
        let sums = unsafe { by_format!(g, shape, direct_sums, [R], (bytes.as_ptr(), &g, acts, sums)) };
        let scale = group_scale(bytes, &g);
        for (p, sum) in p.iter_mut().zip(sums) {
            *p = accumulate(*p, i == 0, sum, scale);
        }
    }
    for (r, p) in p.into_iter().enumerate() {
        write(r, finish(job, shape, bytes, r, p));
    }
}

/// R rows of a dense tile from its ordered copy.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn ordered_rows<const R: usize>(
    job: &Job<'_>,
    shape: &TileShape,
    bytes: &[u8],
    tile: &Ordered,
    first: u32,
    write: &mut impl FnMut(usize, [u32; 16]),
) -> u32 {
    let groups = job.w.groups() as usize;
    let mut p = [_mm512_setzero_ps(); R];
    for (i, g) in shape.groups_of(bytes).enumerate() {
        let start = g.first_word as usize;
        let acts: [*const i8; R] =
            std::array::from_fn(|r| job.row(first + r as u32)[start..].as_ptr().cast());
        let from = tile.quads[4 * start..][..4 * g.words as usize].as_ptr();
        // SAFETY: quads and activations of the group are in range.
        let acc = unsafe { ordered_sums::<R>(from, g.words, acts) };
        let (m, c) = offset(g.bits);
        let scale = group_scale(bytes, &g);
        for r in 0..R {
            let off = _mm512_set1_epi32(c * job.sums[(first as usize + r) * groups + i]);
            let sum = _mm512_sub_epi32(_mm512_mullo_epi32(acc[r], _mm512_set1_epi32(m)), off);
            p[r] = accumulate(p[r], i == 0, sum, scale);
        }
    }
    for (r, p) in p.into_iter().enumerate() {
        let r = first as usize + r;
        write(r, finish(job, shape, bytes, r, p));
    }
    R as u32
}

/// R rows of a sparse tile from its ordered copy: every output has its own activations.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn sparse_rows<const R: usize>(
    job: &Job<'_>,
    shape: &TileShape,
    bytes: &[u8],
    tile: &Ordered,
    first: u32,
    write: &mut impl FnMut(usize, [u32; 16]),
) -> u32 {
    let window = job.w.window_words() as usize;
    let ones = _mm512_set1_epi8(1);
    let mask = if window == 2 { 0xffff_ffff } else { u64::MAX };
    let mut p = [_mm512_setzero_ps(); R];
    for (i, g) in shape.groups_of(bytes).enumerate() {
        let mut acc = [_mm512_setzero_si512(); R];
        let mut selected = [_mm512_setzero_si512(); R];
        for b in g.first_word as usize..(g.first_word + g.words) as usize {
            let quads: &[Line] = &tile.quads[4 * b..][..4];
            let places: &[Line] = &tile.places[4 * b..][..4];
            for r in 0..R {
                let x = job.row(first + r as u32)[b * window..][..window].as_flattened();
                // SAFETY: the window has 32, 64 or 128 bytes; the mask keeps the load inside.
                let (low, high) = unsafe {
                    let low = _mm512_maskz_loadu_epi8(mask, x.as_ptr());
                    (low, if window == 8 { _mm512_loadu_si512(x[64..].as_ptr().cast()) } else { low })
                };
                for q in 0..4 {
                    // SAFETY: a line has 64 bytes.
                    let (w, place) = unsafe {
                        let load = |l: &Line| _mm512_load_si512(l.0.as_ptr().cast());
                        (load(&quads[q]), load(&places[q]))
                    };
                    let a = _mm512_permutex2var_epi8(low, place, high);
                    acc[r] = _mm512_dpbusd_epi32(acc[r], w, a);
                    selected[r] = _mm512_dpbusd_epi32(selected[r], ones, a);
                }
            }
        }
        let (m, c) = offset(g.bits);
        let scale = group_scale(bytes, &g);
        for r in 0..R {
            let off = _mm512_mullo_epi32(selected[r], _mm512_set1_epi32(c));
            let sum = _mm512_sub_epi32(_mm512_mullo_epi32(acc[r], _mm512_set1_epi32(m)), off);
            p[r] = accumulate(p[r], i == 0, sum, scale);
        }
    }
    for (r, p) in p.into_iter().enumerate() {
        let r = first as usize + r;
        write(r, finish(job, shape, bytes, r, p));
    }
    R as u32
}

/// Puts a tile in order.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn order(shape: &TileShape, bytes: &[u8], out: &mut Ordered) {
    out.quads.resize(4 * shape.kb as usize, Line([0; 64]));
    for g in shape.groups_of(bytes) {
        let to = out.quads[4 * g.first_word as usize..][..4 * g.words as usize].as_mut_ptr();
        // SAFETY: passed on.
        unsafe { by_format!(g, shape, order_group, [], (shape.nm, bytes.as_ptr(), &g, to)) };
    }
    if shape.nm == NM_DENSE {
        return;
    }
    out.places.clear();
    for g in shape.groups_of(bytes) {
        for i in 0..g.words {
            let s = selectors(shape.nm, index_unit(shape.nm, &g, i), bytes);
            for q in 0..4 {
                out.places.push(Line(std::array::from_fn(|e| {
                    let (n, k) = (e / 4, 4 * q + e % 4);
                    window_index(shape.nm, k, s[n * 16 + k]) as u8
                })));
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn order_group<const F: u8>(nm: u32, from: *const u8, g: &Group, to: *mut Line) {
    for i in 0..g.words {
        // SAFETY: the caller's `from` and `to` have room for the group.
        unsafe {
            let vectors = vectors::<F>(from, nm, g, i);
            let to = to.add(4 * i as usize).cast::<__m128i>();
            for (v, x) in vectors.into_iter().enumerate() {
                let place = |lane| {
                    let (r, c) = block(F, v, lane);
                    to.add(4 * c + r)
                };
                _mm_store_si128(place(0), _mm512_castsi512_si128(x));
                _mm_store_si128(place(1), _mm512_extracti32x4_epi32::<1>(x));
                _mm_store_si128(place(2), _mm512_extracti32x4_epi32::<2>(x));
                _mm_store_si128(place(3), _mm512_extracti32x4_epi32::<3>(x));
            }
        }
    }
}

/// Σ u·a over a dense group for R rows, from quads.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn ordered_sums<const R: usize>(from: *const Line, words: u32, acts: [*const i8; R]) -> [__m512i; R] {
    // Few rows: a sum for each quad, so that no instruction waits for the one before.
    let mut acc = [[_mm512_setzero_si512(); 4]; R];
    for i in 0..words as usize {
        for q in 0..4 {
            // SAFETY: the caller's pointers cover the group.
            unsafe {
                let w = _mm512_load_si512(from.add(4 * i + q).cast());
                for (acc, acts) in acc.iter_mut().zip(acts) {
                    let a = acts.add(16 * i + 4 * q).cast::<i32>().read_unaligned();
                    let sum = &mut acc[if R > 2 { 0 } else { q }];
                    *sum = _mm512_dpbusd_epi32(*sum, w, _mm512_set1_epi32(a));
                }
            }
        }
    }
    acc.map(|[a, b, c, d]| _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d)))
}

/// Σ value·a over a dense group for R rows, from the packed words. `sums`: Σ a of each row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn direct_sums<const F: u8, const R: usize>(
    from: *const u8,
    g: &Group,
    acts: [*const i8; R],
    sums: [i32; R],
) -> [__m512i; R] {
    let mut acc = [[_mm512_setzero_si512(); 4]; R];
    // Which four activations each lane of a vector takes.
    let takes: [__m512i; 4] = std::array::from_fn(|v| {
        let at: [i32; 16] = std::array::from_fn(|i| block(F, v, i / 4).1 as i32);
        // SAFETY: 64 bytes are there.
        unsafe { _mm512_loadu_si512(at.as_ptr().cast()) }
    });
    for i in 0..g.words {
        // SAFETY: the caller's pointers cover the group.
        unsafe {
            let vectors = vectors::<F>(from, NM_DENSE, g, i);
            ahead(from.add(value_unit(NM_DENSE, g, i) * UNIT_BYTES));
            for (acc, acts) in acc.iter_mut().zip(acts) {
                let a = _mm512_castsi128_si512(_mm_loadu_si128(acts.add(16 * i as usize).cast()));
                for v in 0..4 {
                    let a = _mm512_permutexvar_epi32(takes[v], a);
                    acc[v] = _mm512_dpbusd_epi32(acc[v], vectors[v], a);
                }
            }
        }
    }
    let (m, c) = offset((F % LAYOUT_N).into());
    std::array::from_fn(|r| {
        let sum = by_output::<F>(acc[r]);
        let sum = if m == 2 { _mm512_slli_epi32::<1>(sum) } else { sum };
        _mm512_sub_epi32(sum, _mm512_set1_epi32(c * sums[r]))
    })
}

/// Adds up the blocks of a word's vectors that belong to the same outputs; outputs ascending.
#[inline]
#[target_feature(enable = "avx512f")]
fn by_output<const F: u8>(acc: [__m512i; 4]) -> __m512i {
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    const LOW: i32 = 0b01_00_01_00;
    const HIGH: i32 = 0b11_10_11_10;
    // Lanes: the sums of a's two pairs of neighbours, then of b's.
    let neighbours =
        |a, b| _mm512_add_epi32(_mm512_shuffle_i32x4::<EVEN>(a, b), _mm512_shuffle_i32x4::<ODD>(a, b));
    let [a, b, c, d] = acc;
    match F {
        // Outputs 4v.. in all lanes of vector v.
        8 | 2 | 3 => neighbours(neighbours(a, b), neighbours(c, d)),
        // Outputs 4·(v ^ lane).. .
        BYTES_N => {
            let ab = _mm512_add_epi32(a, _mm512_shuffle_i32x4::<0b10_11_00_01>(b, b));
            let cd = _mm512_add_epi32(c, _mm512_shuffle_i32x4::<0b10_11_00_01>(d, d));
            _mm512_add_epi32(ab, _mm512_shuffle_i32x4::<0b01_00_11_10>(cd, cd))
        }
        // Vector 2·unit + nibble, lane (upper, lower): outputs 4·(2·(unit ^ upper) + nibble).. .
        NIBBLES_N => {
            let low = _mm512_add_epi32(a, _mm512_shuffle_i32x4::<0b01_00_11_10>(c, c));
            let high = _mm512_add_epi32(b, _mm512_shuffle_i32x4::<0b01_00_11_10>(d, d));
            let both = neighbours(low, high);
            _mm512_shuffle_i32x4::<0b11_01_10_00>(both, both)
        }
        // Outputs 4·(2·unit + lower).. .
        _ => {
            let (low, high) = (_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
            _mm512_add_epi32(_mm512_shuffle_i32x4::<LOW>(low, high), _mm512_shuffle_i32x4::<HIGH>(low, high))
        }
    }
}

/// Asks for the units that come later in the stream: the next tiles of the channel.
#[inline]
#[target_feature(enable = "avx512f")]
fn ahead(p: *const u8) {
    const DISTANCE: usize = 8192;
    for line in 0..4 {
        // An address that nothing lies at is ignored.
        _mm_prefetch::<_MM_HINT_T0>(p.wrapping_add(DISTANCE + 64 * line).cast());
    }
}

/// Which block (outputs 4r.., inputs 4c..) a lane of a word's vector v holds.
const fn block(format: u8, v: usize, lane: usize) -> (usize, usize) {
    // Nibbles: vector 2·unit + nibble.
    let (unit, nibble, upper, lower) = (v / 2, v % 2, lane / 2, lane % 2);
    match format {
        8 | 2 | 3 => (v, v ^ lane),
        BYTES_N => (v ^ lane, v),
        NIBBLES_N => (2 * (unit ^ upper) + nibble, 2 * unit + lower),
        _ => (2 * unit + lower, 2 * (unit ^ upper) + nibble),
    }
}

/// A word's blocks as unsigned bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni,avx512vbmi")]
unsafe fn vectors<const F: u8>(tile: *const u8, nm: u32, g: &Group, i: u32) -> [__m512i; 4] {
    // SAFETY: the caller's pointer covers the units of the group.
    let unit = |u: usize| unsafe { _mm512_loadu_si512(tile.add(UNIT_BYTES * u).cast()) };
    let first = value_unit(nm, g, i);
    let (bytes, bits) = (|b: u8| _mm512_set1_epi8(b as i8), F % LAYOUT_N);
    // The sign bit is inverted, which is the offset.
    let above = extra_unit(nm, g, i).map(|(u, place)| (unit(u), place));
    match bits {
        8 => [0, 1, 2, 3].map(|u| _mm512_xor_si512(unit(first + u), bytes(0x80))),
        2 | 3 => {
            let x = unit(first);
            [0, 1, 2, 3].map(|r| {
                let crumb = |x, by: u32, mask| {
                    _mm512_and_si512(_mm512_srl_epi32(x, _mm_cvtsi32_si128(by as i32)), bytes(mask))
                };
                let low = crumb(x, 2 * r, 3);
                match above {
                    Some((above, place)) => {
                        let sign = _mm512_slli_epi32::<2>(crumb(above, 2 * r + place, 1));
                        _mm512_xor_si512(_mm512_or_si512(low, sign), bytes(4))
                    }
                    None => _mm512_xor_si512(low, bytes(2)),
                }
            })
        }
        _ => [0, 1, 2, 3].map(|v| {
            let x = unit(first + v / 2);
            let x = if v % 2 == 0 { x } else { _mm512_srli_epi16::<4>(x) };
            let low = _mm512_and_si512(x, bytes(15));
            let Some((above, place)) = above else {
                return _mm512_xor_si512(low, bytes(8));
            };
            // The chunk of a block is the upper bit of the lane and r ^ c.
            let above = if v % 2 == 0 { above } else { _mm512_shuffle_i64x2::<0b10_11_00_01>(above, above) };
            let by: [i32; 16] = std::array::from_fn(|i| 2 * block(F, v, i / 4).0 as i32);
            // SAFETY: 64 bytes are there.
            let by = unsafe { _mm512_loadu_si512(by.as_ptr().cast()) };
            let crumb = _mm512_srlv_epi32(above, by);
            let bit =
                |by: u32| _mm512_and_si512(_mm512_srl_epi32(crumb, _mm_cvtsi32_si128(by as i32)), bytes(1));
            if bits == 5 {
                let sign = _mm512_slli_epi32::<4>(bit(place));
                _mm512_xor_si512(_mm512_or_si512(low, sign), bytes(16))
            } else {
                let (sign, next) = (_mm512_slli_epi32::<5>(bit(0)), _mm512_slli_epi32::<4>(bit(1)));
                _mm512_xor_si512(_mm512_or_si512(_mm512_or_si512(low, next), sign), bytes(32))
            }
        }),
    }
}

/// Canonical form of 16 floats that may be anything.
#[inline]
#[target_feature(enable = "avx512f")]
fn canon_any(x: __m512) -> __m512 {
    let bits = _mm512_castps_si512(x);
    let mag = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fff_ffff));
    let large = _mm512_cmpge_epu32_mask(mag, _mm512_set1_epi32(0x7f80_0000));
    let normal = _mm512_cmpge_epu32_mask(mag, _mm512_set1_epi32(0x0100_0000));
    // Largest finite number with the sign of x.
    let sign = _mm512_andnot_si512(_mm512_set1_epi32(0x7fff_ffff), bits);
    let limit = _mm512_or_si512(sign, _mm512_set1_epi32(0x7f7f_ffff));
    let bits = _mm512_mask_mov_epi32(bits, large, limit);
    _mm512_castsi512_ps(_mm512_maskz_mov_epi32(normal, bits))
}

/// Canonical form of 16 sums or products of canonical floats: none of them is a NaN.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn canon(x: __m512) -> __m512 {
    /// The number with the smaller magnitude, with the first one's sign.
    const LEAST: i32 = 0b0010;
    // Twice the bits: the sign is gone.
    let bits = _mm512_castps_si512(x);
    let normal = _mm512_cmpge_epu32_mask(_mm512_add_epi32(bits, bits), _mm512_set1_epi32(0x0200_0000));
    _mm512_maskz_range_ps::<LEAST>(normal, x, _mm512_set1_ps(f32::MAX))
}

/// A group's scales.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn group_scale(bytes: &[u8], g: &Group) -> Option<__m512> {
    match g.scale {
        ScaleAt::None => None,
        ScaleAt::Floats { unit } => {
            let unit = &bytes[unit * UNIT_BYTES..][..UNIT_BYTES];
            // SAFETY: 64 bytes are there.
            Some(canon_any(unsafe { _mm512_loadu_ps(unit.as_ptr().cast()) }))
        }
        ScaleAt::Halves { unit, odd } => {
            let unit = &bytes[unit * UNIT_BYTES..][..UNIT_BYTES];
            // SAFETY: 64 bytes are there.
            let pairs = unsafe { _mm512_loadu_si512(unit.as_ptr().cast()) };
            let upper = if odd { _mm512_slli_epi32::<16>(pairs) } else { pairs };
            let bits = _mm512_and_si512(upper, _mm512_set1_epi32(0x7fff_0000));
            let normal = _mm512_cmpge_epu32_mask(bits, _mm512_set1_epi32(0x0100_0000));
            let bits = _mm512_maskz_min_epu32(normal, bits, _mm512_set1_epi32(0x7f7f_ffff));
            Some(_mm512_castsi512_ps(bits))
        }
    }
}

/// Adds a group's integer sums to the row's value.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn accumulate(p: __m512, first: bool, sum: __m512i, scale: Option<__m512>) -> __m512 {
    let x = _mm512_cvtepi32_ps(sum);
    let x = scale.map_or(x, |s| canon(_mm512_mul_ps(x, s)));
    if first {
        x
    } else {
        canon(_mm512_add_ps(p, x))
    }
}

/// Row scale and bias.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
fn finish(job: &Job<'_>, shape: &TileShape, bytes: &[u8], r: usize, p: __m512) -> [u32; 16] {
    let mut y = canon(_mm512_mul_ps(p, _mm512_set1_ps(job.row_scales[r])));
    if shape.bias {
        // SAFETY: the first unit of the tile is the bias.
        let bias = canon_any(unsafe { _mm512_loadu_ps(bytes[..UNIT_BYTES].as_ptr().cast()) });
        y = canon(_mm512_add_ps(y, bias));
    }
    let mut out = [0; 16];
    // SAFETY: `out` has 64 bytes.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr().cast(), y) };
    out
}
