//! Every format with AVX-512 VNNI.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes, four to a 32-bit sum. Weights are made unsigned
//! by an offset that the sum of the activations takes back: with value = m·u − c,
//! Σ value·a = m·Σ u·a − c·Σ a. A *quad* q holds stored inputs 4q..4q+3 of the 16 outputs, four
//! bytes each, in an order of the outputs that depends on the format and is undone in the sums.

use super::Job;
use crate::expand::{index_unit, selectors, value_unit, window_index};
use crate::tile::{Group, ScaleAt, TileShape};
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::isa::names::*;
use std::arch::x86_64::*;

/// How a quad is made; planar formats are `PLANAR` + bits.
mod layout {
    pub const ORDERED: u8 = 0;
    pub const BYTES_K: u8 = 1;
    pub const BYTES_N: u8 = 2;
    pub const NIBBLES_K: u8 = 3;
    pub const NIBBLES_N: u8 = 4;
    pub const PLANAR: u8 = 10;
}
use layout::*;

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
/// The CPU has AVX-512 F, BW, VNNI and VBMI; `bytes` holds all units of the tile's layout.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi")]
unsafe fn direct<const R: usize>(
    job: &Job<'_>,
    shape: &TileShape,
    bytes: &[u8],
    write: &mut impl FnMut(usize, [u32; 16]),
) {
    let groups = job.w.groups() as usize;
    let mut p = [_mm512_setzero_ps(); R];
    for (i, g) in shape.groups_of(bytes).enumerate() {
        let acts: [*const i8; R] =
            std::array::from_fn(|r| job.row(r as u32)[g.first_word as usize..].as_ptr().cast());
        // SAFETY: passed on; the group's units and activations are in range.
        let acc = unsafe {
            let from = bytes.as_ptr();
            match (g.bits, shape.layout_n()) {
                (8, false) => sums::<BYTES_K, R>(from, &g, acts),
                (8, true) => sums::<BYTES_N, R>(from, &g, acts),
                (4, false) => sums::<NIBBLES_K, R>(from, &g, acts),
                (4, true) => sums::<NIBBLES_N, R>(from, &g, acts),
                (2, _) => sums::<{ PLANAR + 2 }, R>(from, &g, acts),
                (3, _) => sums::<{ PLANAR + 3 }, R>(from, &g, acts),
                (5, _) => sums::<{ PLANAR + 5 }, R>(from, &g, acts),
                _ => sums::<{ PLANAR + 6 }, R>(from, &g, acts),
            }
        };
        let (m, c) = offset(g.bits);
        let scale = group_scale(bytes, &g);
        for r in 0..R {
            let off = _mm512_set1_epi32(c * job.sums[r * groups + i]);
            let sum = _mm512_sub_epi32(_mm512_mullo_epi32(acc[r], _mm512_set1_epi32(m)), off);
            p[r] = accumulate(p[r], i == 0, sum, scale);
        }
    }
    for (r, p) in p.into_iter().enumerate() {
        write(r, finish(job, shape, bytes, r, p));
    }
}

/// R rows of a dense tile from its ordered copy.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi")]
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
        let from = tile.quads[4 * start..][..4 * g.words as usize].as_ptr().cast();
        // SAFETY: quads and activations of the group are in range.
        let acc = unsafe { sums::<ORDERED, R>(from, &Group { unit: 0, ..g }, acts) };
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
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi")]
unsafe fn order(shape: &TileShape, bytes: &[u8], out: &mut Ordered) {
    out.quads.resize(4 * shape.kb as usize, Line([0; 64]));
    for g in shape.groups_of(bytes) {
        let to = out.quads[4 * g.first_word as usize..][..4 * g.words as usize].as_mut_ptr();
        // SAFETY: passed on.
        unsafe {
            let from = bytes.as_ptr();
            match (g.bits, shape.layout_n()) {
                (8, false) => order_group::<BYTES_K>(shape.nm, from, &g, to),
                (8, true) => order_group::<BYTES_N>(shape.nm, from, &g, to),
                (4, false) => order_group::<NIBBLES_K>(shape.nm, from, &g, to),
                (4, true) => order_group::<NIBBLES_N>(shape.nm, from, &g, to),
                (2, _) => order_group::<{ PLANAR + 2 }>(shape.nm, from, &g, to),
                (3, _) => order_group::<{ PLANAR + 3 }>(shape.nm, from, &g, to),
                (5, _) => order_group::<{ PLANAR + 5 }>(shape.nm, from, &g, to),
                _ => order_group::<{ PLANAR + 6 }>(shape.nm, from, &g, to),
            }
        }
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

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi")]
unsafe fn order_group<const L: u8>(nm: u32, from: *const u8, g: &Group, to: *mut Line) {
    let ascending = output_order::<L>();
    for i in 0..g.words {
        // SAFETY: the caller's `from` and `to` have room for the group.
        unsafe {
            let quads = quads::<L>(from.add(value_unit(nm, g, i) * UNIT_BYTES), i % 2 == 1);
            for (q, x) in quads.into_iter().enumerate() {
                let x = _mm512_permutexvar_epi32(ascending, x);
                _mm512_store_si512(to.add(4 * i as usize + q).cast(), x);
            }
        }
    }
}

/// Σ u·a over a dense group for R rows, outputs ascending.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi")]
unsafe fn sums<const L: u8, const R: usize>(
    from: *const u8,
    g: &Group,
    acts: [*const i8; R],
) -> [__m512i; R] {
    // Few rows: a sum for each quad, so that no instruction waits for the one before.
    let mut acc = [[_mm512_setzero_si512(); 4]; R];
    for i in 0..g.words {
        // SAFETY: the caller's pointers cover the group.
        unsafe {
            let at = if L == ORDERED { 4 * i as usize } else { value_unit(NM_DENSE, g, i) };
            let quads = quads::<L>(from.add(at * UNIT_BYTES), i % 2 == 1);
            if L != ORDERED {
                ahead(from.add(at * UNIT_BYTES));
            }
            for (q, w) in quads.into_iter().enumerate() {
                for (acc, acts) in acc.iter_mut().zip(acts) {
                    let a = acts.add(16 * i as usize + 4 * q).cast::<i32>().read_unaligned();
                    let sum = &mut acc[if R > 2 { 0 } else { q }];
                    *sum = _mm512_dpbusd_epi32(*sum, w, _mm512_set1_epi32(a));
                }
            }
        }
    }
    let ascending = output_order::<L>();
    acc.map(|[a, b, c, d]| {
        let sum = _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
        if L == ORDERED {
            sum
        } else {
            _mm512_permutexvar_epi32(ascending, sum)
        }
    })
}

/// Asks for the units that come later in the stream: the next tiles of the channel.
#[inline]
#[target_feature(enable = "avx512f")]
fn ahead(p: *const u8) {
    const DISTANCE: usize = 4096;
    for line in 0..4 {
        // An address that nothing lies at is ignored.
        _mm_prefetch::<_MM_HINT_T0>(p.wrapping_add(DISTANCE + 64 * line).cast());
    }
}

/// Which lane of a quad holds output n.
#[inline]
#[target_feature(enable = "avx512f")]
fn output_order<const L: u8>() -> __m512i {
    let lane = |n: i32| match L {
        ORDERED | BYTES_N | NIBBLES_N => n,
        // 128-bit lane l, place i: output 2l + i (i < 2), 8 + 2l + i − 2.
        NIBBLES_K => n % 8 / 2 * 4 + n / 8 * 2 + n % 2,
        // 128-bit lane l, place i: output 4i + l.
        _ => n % 4 * 4 + n / 4,
    };
    let lanes: [i32; 16] = std::array::from_fn(|n| lane(n as i32));
    // SAFETY: 64 bytes are there.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

/// The four quads of a word as unsigned bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi")]
unsafe fn quads<const L: u8>(p: *const u8, second: bool) -> [__m512i; 4] {
    // SAFETY: the caller's pointer covers the units of the word or pair.
    let unit = |i: usize| unsafe { _mm512_loadu_si512(p.add(64 * i).cast()) };
    let top = _mm512_set1_epi8(-128);
    match L {
        ORDERED => [unit(0), unit(1), unit(2), unit(3)],
        BYTES_K => transpose([0, 1, 2, 3].map(|i| _mm512_xor_si512(unit(i), top))),
        BYTES_N => {
            // Byte j·16 + n of the unit to byte 4n + j.
            let to: [u8; 64] = const { permutation_n() };
            // SAFETY: 64 bytes are there.
            let to = unsafe { _mm512_loadu_si512(to.as_ptr().cast()) };
            [0, 1, 2, 3].map(|i| _mm512_xor_si512(_mm512_permutexvar_epi8(to, unit(i)), top))
        }
        NIBBLES_K => {
            let [a, b] = [nibbles(unit(0)), nibbles(unit(1))];
            // Even and odd 32-bit parts of both units.
            let even = |x, y| {
                _mm512_castps_si512(_mm512_shuffle_ps::<0b10_00_10_00>(
                    _mm512_castsi512_ps(x),
                    _mm512_castsi512_ps(y),
                ))
            };
            let odd = |x, y| {
                _mm512_castps_si512(_mm512_shuffle_ps::<0b11_01_11_01>(
                    _mm512_castsi512_ps(x),
                    _mm512_castsi512_ps(y),
                ))
            };
            [even(a.0, b.0), odd(a.0, b.0), even(a.1, b.1), odd(a.1, b.1)]
        }
        NIBBLES_N => {
            let to: [[u8; 64]; 2] = const { [permutation_n4(0), permutation_n4(1)] };
            // SAFETY: 64 bytes are there.
            let to = to.map(|t| unsafe { _mm512_loadu_si512(t.as_ptr().cast()) });
            let [a, b] = [nibbles(unit(0)), nibbles(unit(1))];
            let pick = |x: (__m512i, __m512i), t| _mm512_permutex2var_epi8(x.0, t, x.1);
            [pick(a, to[0]), pick(a, to[1]), pick(b, to[0]), pick(b, to[1])]
        }
        _ => {
            let bits = usize::from(L - PLANAR);
            let mut bytes = [_mm512_setzero_si512(); 4];
            for plane in 0..bits {
                let weight = 1i8 << (bits - 1 - plane);
                // SAFETY: half a plane is 32 bytes.
                let mask = |i: usize| unsafe {
                    let at = p.add(64 * plane + if second { 32 } else { 0 } + 8 * i);
                    let m = at.cast::<u64>().read_unaligned();
                    // The sign plane is inverted: two's complement plus the offset.
                    if plane == 0 {
                        !m
                    } else {
                        m
                    }
                };
                for (i, x) in bytes.iter_mut().enumerate() {
                    *x = _mm512_or_si512(*x, _mm512_maskz_set1_epi8(mask(i), weight));
                }
            }
            transpose(bytes)
        }
    }
}

/// Low and high nibbles plus 8.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn nibbles(x: __m512i) -> (__m512i, __m512i) {
    let x = _mm512_xor_si512(x, _mm512_set1_epi8(0x88u8 as i8));
    let low = _mm512_set1_epi8(15);
    (_mm512_and_si512(x, low), _mm512_and_si512(_mm512_srli_epi16::<4>(x), low))
}

/// From lines of four outputs × 16 inputs to quads.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab_low, cd_low),
        _mm512_unpackhi_epi64(ab_low, cd_low),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

const fn permutation_n() -> [u8; 64] {
    let mut out = [0; 64];
    let mut i = 0;
    while i < 64 {
        out[i] = ((i % 4) * 16 + i / 4) as u8;
        i += 1;
    }
    out
}

/// From the low nibbles (0..63) and high nibbles (64..127) of eight inputs: quad `q` of the two.
const fn permutation_n4(q: usize) -> [u8; 64] {
    let mut out = [0; 64];
    let mut i = 0;
    while i < 64 {
        let (n, k) = (i / 4, 4 * q + i % 4);
        out[i] = (n / 8 * 64 + k * 8 + n % 8) as u8;
        i += 1;
    }
    out
}

/// Canonical form of 16 floats.
#[inline]
#[target_feature(enable = "avx512f")]
fn canon(x: __m512) -> __m512 {
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

/// A group's scales.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn group_scale(bytes: &[u8], g: &Group) -> Option<__m512> {
    match g.scale {
        ScaleAt::None => None,
        ScaleAt::Floats { unit } => {
            let unit = &bytes[unit * UNIT_BYTES..][..UNIT_BYTES];
            // SAFETY: 64 bytes are there.
            Some(canon(unsafe { _mm512_loadu_ps(unit.as_ptr().cast()) }))
        }
        ScaleAt::Halves { unit, odd } => {
            let halves = &bytes[unit * UNIT_BYTES + 32 * usize::from(odd)..][..32];
            // SAFETY: 32 bytes are there.
            let x = _mm512_cvtepu16_epi32(unsafe { _mm256_loadu_si256(halves.as_ptr().cast()) });
            let x = _mm512_and_si512(x, _mm512_set1_epi32(0x7fff));
            Some(canon(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(x))))
        }
    }
}

/// Adds a group's integer sums to the row's value.
#[inline]
#[target_feature(enable = "avx512f")]
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
#[target_feature(enable = "avx512f,avx512bw")]
fn finish(job: &Job<'_>, shape: &TileShape, bytes: &[u8], r: usize, p: __m512) -> [u32; 16] {
    let mut y = canon(_mm512_mul_ps(p, _mm512_set1_ps(job.row_scales[r])));
    if shape.bias {
        // SAFETY: the first unit of the tile is the bias.
        let bias = canon(unsafe { _mm512_loadu_ps(bytes[..UNIT_BYTES].as_ptr().cast()) });
        y = canon(_mm512_add_ps(y, bias));
    }
    let mut out = [0; 16];
    // SAFETY: `out` has 64 bytes.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr().cast(), y) };
    out
}
