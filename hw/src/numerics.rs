//! Exact arithmetic of the vector unit and the dequantiser.
//!
//! Reference for `hw/rtl/fp` and `hw/rtl/sfu`; `hw/doc/microarchitecture.md` section 2 says the
//! same in prose. Values are f32 in canonical form: no −0, no subnormal, no exponent 1, no Inf,
//! no NaN. Every function takes and returns canonical values.

use std::sync::OnceLock;

/// Largest finite magnitude.
pub const MAX_BITS: u32 = 0x7f7f_ffff;

/// Canonical form of any 32 bits.
#[inline(always)]
pub fn canon_bits(bits: u32) -> u32 {
    let mag = bits & 0x7fff_ffff;
    let saturated = if mag >= 0x7f80_0000 { bits & 0x8000_0000 | MAX_BITS } else { bits };
    if mag < 0x0100_0000 {
        0
    } else {
        saturated
    }
}

/// Canonical form of a float.
#[inline(always)]
pub fn canon(x: f32) -> f32 {
    f32::from_bits(canon_bits(x.to_bits()))
}

/// a + b.
#[inline(always)]
pub fn fadd(a: f32, b: f32) -> f32 {
    canon(a + b)
}
/// a − b.
#[inline(always)]
pub fn fsub(a: f32, b: f32) -> f32 {
    canon(a - b)
}
/// a · b.
#[inline(always)]
pub fn fmul(a: f32, b: f32) -> f32 {
    canon(a * b)
}
/// max(a, b).
#[inline(always)]
pub fn fmax(a: f32, b: f32) -> f32 {
    if b > a {
        b
    } else {
        a
    }
}
/// int32 to float, nearest even.
#[inline(always)]
pub fn i2f(x: i32) -> f32 {
    x as f32
}
/// Float to int8, nearest even, clamped to [−127, 127].
#[inline(always)]
pub fn q8(x: f32) -> i8 {
    x.round_ties_even().clamp(-127.0, 127.0) as i8
}

/// One line segment of the table ROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Value at the left end, 26 bits.
    pub base: u32,
    /// Difference to the right end, signed 20 bits.
    pub slope: i32,
}

/// ROM address of each function's first segment, and how many it has.
pub const ROM: [(&str, usize, usize); 6] = [
    ("exp2", 0, 256),
    ("recip", 256, 256),
    ("rsqrt", 512, 512),
    ("gelu", 1024, 512),
    ("gelu_tanh", 1536, 512),
    ("silu", 2048, 512),
];
/// Entries of the ROM.
pub const ROM_WORDS: usize = 2560;

/// The committed integer table: libm is not a contract, this file is.
const ROM_TEXT: &str = include_str!("../tables/sfu.hex");

fn rom() -> &'static [Segment] {
    static ROM: OnceLock<Vec<Segment>> = OnceLock::new();
    ROM.get_or_init(|| {
        let parse = |line: &str| {
            let v = u64::from_str_radix(line, 16).expect("invariant: sfu.hex holds hex words");
            Segment { base: (v >> 20) as u32, slope: ((v & 0xf_ffff) << 12) as u32 as i32 >> 12 }
        };
        let table: Vec<_> = ROM_TEXT.lines().map(parse).collect();
        assert_eq!(table.len(), ROM_WORDS);
        table
    })
}

/// The committed table, for generators.
pub fn rom_segments() -> &'static [Segment] {
    rom()
}

#[inline(always)]
fn interpolate(rom: &[Segment], index: usize, frac15: u32, lo: i32, hi: i32) -> u32 {
    let s = rom[index];
    let y = s.base as i32 + ((i64::from(s.slope) * i64::from(frac15)) >> 15) as i32;
    y.clamp(lo, hi) as u32
}

const ONE: i32 = 1 << 24;

/// 2^x.
pub fn exp2(x: f32) -> f32 {
    if x < -125.0 {
        return 0.0;
    }
    if x >= 127.0 {
        return f32::from_bits(MAX_BITS);
    }
    let t = (x * 65536.0).floor() as i32;
    let (n, f) = (t >> 16, t as u32 & 0xffff);
    let y = interpolate(rom(), (f >> 8) as usize, (f & 0xff) << 7, ONE, 2 * ONE - 1);
    canon(f32::from_bits(((n + 127) as u32) << 23 | (y >> 1) & 0x7f_ffff))
}

/// 1/x; max finite for 0.
pub fn recip(x: f32) -> f32 {
    let bits = x.to_bits();
    if bits << 1 == 0 {
        return f32::from_bits(MAX_BITS);
    }
    let (sign, e, m) = (bits & 0x8000_0000, (bits >> 23 & 0xff) as i32, bits & 0x7f_ffff);
    let y = interpolate(rom(), 256 + (m >> 15) as usize, m & 0x7fff, ONE / 2, ONE);
    let (e, m) = if y == 1 << 24 { (254 - e, 0) } else { (253 - e, y & 0x7f_ffff) };
    if e <= 1 {
        0.0
    } else {
        f32::from_bits(sign | (e as u32) << 23 | m)
    }
}

/// 1/√x; max finite for x ≤ 0.
pub fn rsqrt(x: f32) -> f32 {
    if x <= 0.0 {
        return f32::from_bits(MAX_BITS);
    }
    let bits = x.to_bits();
    let (e, m) = ((bits >> 23) as i32 - 127, bits & 0x7f_ffff);
    let odd = e & 1;
    let k = (e - odd) / 2;
    let index = 512 + odd as usize * 256 + (m >> 15) as usize;
    let y = interpolate(rom(), index, m & 0x7fff, ONE / 2, ONE);
    let (e, m) = if y == 1 << 24 { (127 - k, 0) } else { (126 - k, y & 0x7f_ffff) };
    f32::from_bits((e as u32) << 23 | m)
}

/// relu(x) − g(|x|) with g tabulated over [0, limit).
#[inline(always)]
fn bump(x: f32, rom_base: usize, limit: f32, scale: f32) -> f32 {
    let mag = x.abs();
    let g = if mag >= limit {
        0
    } else {
        let u = (mag * scale) as u32; // truncation = floor: mag ≥ 0
        interpolate(rom(), rom_base + (u >> 14) as usize, (u & 0x3fff) << 1, 0, ONE - 1)
    };
    fsub(fmax(x, 0.0), canon(g as f32 * (1.0 / 16_777_216.0)))
}

/// GELU with erf.
pub fn gelu(x: f32) -> f32 {
    bump(x, 1024, 8.0, 1_048_576.0)
}
/// GELU, tanh form.
pub fn gelu_tanh(x: f32) -> f32 {
    bump(x, 1536, 8.0, 1_048_576.0)
}
/// x · sigmoid(x).
pub fn silu(x: f32) -> f32 {
    bump(x, 2048, 16.0, 524_288.0)
}

/// Computes the table from f64 functions; `sfu.hex` was made by this (`flightvlm-codegen`).
pub fn make_rom() -> Vec<Segment> {
    let mut out = Vec::with_capacity(ROM_WORDS);
    let mut add = |n: usize, f: &dyn Fn(f64) -> f64| {
        for i in 0..n {
            let at = |d: f64| f((i as f64 + d) / n as f64) * 16_777_216.0;
            let (l, mid, r) = (at(0.0), at(0.5), at(1.0));
            let half_sagitta = ((l + r) / 2.0 - mid) / 2.0;
            let base = (l - half_sagitta).round().max(0.0);
            out.push(Segment { base: base as u32, slope: (r - l).round() as i32 });
        }
    };
    add(256, &|f| f.exp2());
    add(256, &|m| 1.0 / (1.0 + m));
    add(512, &|i| {
        let (odd, m) = if i < 0.5 { (1.0, 2.0 * i) } else { (2.0, 2.0 * i - 1.0) };
        1.0 / (odd * (1.0 + m)).sqrt()
    });
    add(512, &|x| 8.0 * x * (1.0 - phi(8.0 * x)));
    add(512, &|x| {
        let z = 8.0 * x;
        let t = (2.0 / std::f64::consts::PI).sqrt() * (z + 0.044715 * z * z * z);
        z * (1.0 - 0.5 * (1.0 + t.tanh()))
    });
    add(512, &|x| 16.0 * x / (1.0 + (16.0 * x).exp()));
    out
}

/// Normal cumulative distribution for z ≥ 0: Simpson's rule, error below 1e-12.
fn phi(z: f64) -> f64 {
    let n = 2000;
    let h = z / n as f64;
    let pdf = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let sum: f64 = (0..=n)
        .map(|i| pdf(i as f64 * h) * if i == 0 || i == n { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 })
        .sum();
    0.5 + sum * h / 3.0
}

/// The ROM as hex lines, `{base[25:0], slope[19:0]}`.
pub fn rom_hex() -> String {
    let word = |s: &Segment| u64::from(s.base) << 20 | u64::from(s.slope as u32 & 0xf_ffff);
    make_rom().iter().map(|s| format!("{:012x}\n", word(s))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(lo: f64, hi: f64, f: fn(f32) -> f32, exact: impl Fn(f64) -> f64, relative: bool) -> f64 {
        let n = 200_000;
        (0..=n).fold(0.0, |worst: f64, i| {
            let x = canon((lo + (hi - lo) * i as f64 / n as f64) as f32);
            let want = exact(f64::from(x));
            let err = (f64::from(f(x)) - want).abs() / if relative { want.abs() } else { 1.0 };
            worst.max(err)
        })
    }

    #[test]
    fn function_errors_are_as_documented() {
        let s = |z: f64| z / (1.0 + (-z).exp());
        let g = |z: f64| if z >= 0.0 { z * phi(z) } else { z * (1.0 - phi(-z)) };
        let errors = [
            ("exp2", sweep(-20.0, 20.0, exp2, f64::exp2, true), 1.3e-5),
            ("recip", sweep(0.01, 100.0, recip, |x| 1.0 / x, true), 2.5e-6),
            ("rsqrt", sweep(0.01, 100.0, rsqrt, |x| 1.0 / x.sqrt(), true), 2.5e-6),
            ("silu", sweep(-20.0, 20.0, silu, s, false), 4e-5),
        ];
        for (name, err, bound) in errors {
            println!("{name}: max error {err:.2e}");
            assert!(err < bound, "{name}: {err:e}");
        }
        let worst = (-400..400)
            .map(|i| f64::from(i) / 40.0 + 0.0131)
            .fold(0.0f64, |w, z| w.max((f64::from(gelu(z as f32)) - g(f64::from(z as f32))).abs()));
        assert!(worst < 2e-5, "gelu {worst:e}");
    }

    #[test]
    fn corners() {
        assert_eq!(canon_bits(0x8000_0000), 0);
        assert_eq!(canon_bits(0x00ff_ffff), 0);
        assert_eq!(canon_bits(0x7fc0_0000), MAX_BITS);
        assert_eq!(canon_bits(0xff80_0000), 0xff7f_ffff);
        assert_eq!(fadd(f32::MAX, f32::MAX), f32::MAX);
        assert_eq!(exp2(-126.0), 0.0);
        assert_eq!(exp2(127.0), f32::MAX);
        assert_eq!(recip(0.0), f32::MAX);
        assert_eq!(recip(f32::MAX), 0.0);
        assert_eq!(rsqrt(-1.0), f32::MAX);
        assert_eq!((q8(0.5), q8(1.5), q8(-2.5), q8(1e9), q8(-200.0)), (0, 2, -2, 127, -127));
    }

    #[test]
    fn committed_table_is_what_this_code_makes() {
        let now = make_rom();
        let off = rom().iter().zip(&now).map(|(a, b)| {
            (i64::from(a.base) - i64::from(b.base)).abs().max(i64::from(a.slope - b.slope).abs())
        });
        assert!(off.max().unwrap() <= 1, "another libm may differ by one, not more");
    }
}
