//! A packer written from the format's description, the other way round than the expansion, and
//! random tiles that must come back.

use super::*;
use flightvlm_hw::isa::MIXED_BITS;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn put_bits(unit: &mut [u8], lsb: usize, width: usize, value: u32) {
    for b in 0..width {
        unit[(lsb + b) / 8] |= ((value >> b) as u8 & 1) << ((lsb + b) % 8);
    }
}

/// What a stored input may select, and the index units that say so.
fn pack_selectors(rng: &mut ChaCha8Rng, nm: u32) -> (Selectors, Vec<u8>) {
    let mut s = [0u8; 256];
    let mut units = vec![0u8; 64 * NM_INDEX_UNITS[nm as usize] as usize];
    for n in 0..16 {
        for k in 0..16 {
            s[n * 16 + k] = k as u8;
        }
        match nm {
            NM_2OF4 => {
                for k in 0..16 {
                    let p = rng.random_range(0..4u32);
                    put_bits(&mut units, 4 * (n % 8 * 16 + k) + 2 * (n / 8), 2, p);
                    s[n * 16 + k] = (p as usize + [0, 4, 8, 12][k / 2 % 4]) as u8;
                }
            }
            NM_8OF16 => {
                for block in 0..2 {
                    let mask: u16 = rng.random();
                    put_bits(&mut units, 32 * n + 16 * block, 16, u32::from(mask));
                    let mut k = 8 * block;
                    s[n * 16 + k..][..8].fill(15);
                    for p in 0..16u8 {
                        if mask & 1 << p != 0 && k < 8 * block + 8 {
                            s[n * 16 + k] = p;
                            k += 1;
                        }
                    }
                }
            }
            NM_4OF16 | NM_2OF16 => {
                for k in 0..16 {
                    let p = rng.random_range(0..16u32);
                    put_bits(&mut units, 4 * (n * 16 + k), 4, p);
                    s[n * 16 + k] = p as u8;
                }
            }
            _ => {}
        }
    }
    (s, units)
}

/// Random values that `bits` can hold, as the array sees them.
fn random_values(rng: &mut ChaCha8Rng, bits: u32) -> Values {
    std::array::from_fn(|_| {
        let q = rng.random_range(-(1i32 << (bits - 1))..1 << (bits - 1));
        (if bits <= 3 { 2 * q + 1 } else { q }) as i8
    })
}

/// First bit of a value's two in a unit that has two of each.
fn two_bits(n: usize, k: usize) -> usize {
    8 * (16 * ((n / 4) ^ (k / 4)) + 4 * (n % 4) + k % 4) + 2 * (n / 4)
}

/// The code that is stored for a value.
fn code(v: i8, bits: u32) -> u32 {
    let q = if bits <= 3 { (v - 1) >> 1 } else { v };
    q as u32 & ((1 << bits) - 1)
}

/// The unit of what does not fit the value units of the words that share it.
fn pack_extra(words: &[Values], bits: u32) -> Vec<u8> {
    let mut out = vec![0; 64];
    for (place, word) in words.iter().enumerate() {
        for (e, v) in word.iter().enumerate() {
            let (at, c) = (two_bits(e / 16, e % 16), code(*v, bits));
            match bits {
                6 => {
                    put_bits(&mut out, at, 1, c >> 5);
                    put_bits(&mut out, at + 1, 1, c >> 4);
                }
                _ => put_bits(&mut out, at + place, 1, c >> (bits - 1)),
            }
        }
    }
    out
}

/// Value units of a word.
fn pack_values(word: &Values, bits: u32, layout_n: bool) -> Vec<u8> {
    let units = match bits {
        8 => 4,
        2 | 3 => 1,
        _ => 2,
    };
    let mut out = vec![0; 64 * units];
    for (e, v) in word.iter().enumerate() {
        let (n, k) = (e / 16, e % 16);
        let (r, c) = (n / 4, k / 4);
        let byte = 4 * (n % 4) + k % 4;
        match bits {
            8 => {
                let u = if layout_n { c } else { r };
                put_bits(&mut out, 8 * (64 * u + 16 * (r ^ c) + byte), 8, code(*v, 8));
            }
            2 | 3 => put_bits(&mut out, two_bits(n, k), 2, code(*v, bits)),
            _ => {
                let (u, odd, high) = if layout_n { (c / 2, c % 2, r % 2) } else { (r / 2, r % 2, c % 2) };
                let chunk = 2 * ((r / 2) ^ (c / 2)) + odd;
                put_bits(&mut out, 8 * (64 * u + 16 * chunk + byte) + 4 * high, 4, code(*v, bits));
            }
        }
    }
    out
}

/// A tile of random contents and what it expands to.
pub(crate) fn random_tile(rng: &mut ChaCha8Rng, shape: &TileShape) -> (Vec<u8>, Expanded) {
    let mut bytes = Vec::new();
    let mut want = Expanded::default();
    let floats = |rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, want: &mut Expanded| {
        let f: [f32; 16] = std::array::from_fn(|_| rng.random_range(0.001f32..2.0));
        bytes.extend(f.iter().flat_map(|x| x.to_le_bytes()));
        want.scales.push(f);
    };
    if shape.bias {
        floats(rng, &mut bytes, &mut want);
    }
    let group = if shape.kbg == 0 { shape.kb } else { shape.kbg };
    let (mut left, mut even, mut codes) = (shape.kb, true, [0u32; 2]);
    while left > 0 {
        let words = left.min(group);
        let mut bits = if shape.fmt == FMT_W4K || shape.fmt == FMT_W4N { 4 } else { 8 };
        if shape.fmt == FMT_MIXED {
            if even {
                codes = [rng.random_range(0..8), rng.random_range(0..8)];
                let mut pairs = [0u32; 16];
                for (half, code) in codes.into_iter().enumerate() {
                    let h: [u32; 16] = std::array::from_fn(|_| rng.random_range(0x3d00..0x4000));
                    for (n, pair) in pairs.iter_mut().enumerate() {
                        let sign = if n < 3 { code >> n & 1 } else { rng.random_range(0..2) };
                        *pair |= (h[n] | sign << 15) << (16 * (1 - half));
                    }
                    if half == 0 || left > words {
                        want.scales.push(std::array::from_fn(|n| f32::from_bits(h[n] << 16)));
                    }
                }
                bytes.extend(pairs.iter().flat_map(|p| p.to_le_bytes()));
            }
            bits = MIXED_BITS[codes[usize::from(!even)] as usize];
        } else if shape.wscale {
            floats(rng, &mut bytes, &mut want);
        }
        let list: Vec<Values> = (0..words).map(|_| random_values(rng, bits)).collect();
        let sharers = match bits {
            3 | 5 => 2,
            6 => 1,
            _ => 0,
        };
        for (i, word) in list.iter().enumerate() {
            if sharers > 0 && i % sharers == 0 {
                bytes.extend(pack_extra(&list[i..list.len().min(i + sharers)], bits));
            }
            let (s, units) = pack_selectors(rng, shape.nm);
            want.selectors.push(s);
            bytes.extend(units);
            bytes.extend(pack_values(word, bits, shape.layout_n()));
            want.values.push(*word);
        }
        left -= words;
        even = !even;
    }
    (bytes, want)
}

/// Shapes of every format and sparsity.
pub(crate) fn random_shape(rng: &mut ChaCha8Rng) -> TileShape {
    let fmt = rng.random_range(0..5);
    TileShape {
        kb: rng.random_range(1..40),
        kbg: [0, 1, 2, 3, 7, 8][rng.random_range(0..6)],
        wscale: fmt == FMT_MIXED || rng.random(),
        bias: rng.random(),
        fmt,
        nm: rng.random_range(0..5),
    }
}

#[test]
fn packed_tiles_come_back() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..400 {
        let shape = random_shape(&mut rng);
        let (bytes, want) = random_tile(&mut rng, &shape);
        if let Some(units) = shape.units() {
            assert_eq!(bytes.len() as u64, units * 64, "{shape:?}");
        }
        let got = expand(&shape, &bytes);
        assert_eq!(got.scales, want.scales, "{shape:?}");
        assert!(got.values == want.values, "values of {shape:?}");
        assert!(got.selectors == want.selectors, "selectors of {shape:?}");
    }
}

#[test]
fn what_a_short_tile_lacks_reads_as_zero() {
    let shape = TileShape { kb: 3, kbg: 1, wscale: true, bias: true, fmt: FMT_MIXED, nm: NM_8OF16 };
    let e = expand(&shape, &[]);
    assert_eq!((e.scales.len(), e.values.len()), (4, 3));
    assert!(e.values.iter().flatten().all(|v| *v == 0) && e.selectors.iter().flatten().all(|s| *s == 15));
    assert!(e.scales.iter().flatten().all(|s| *s == 0.0));
}

#[test]
fn random_bytes_expand_without_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..100 {
        let shape = random_shape(&mut rng);
        let mut bytes = vec![0; 64 * rng.random_range(0..300)];
        rng.fill_bytes(&mut bytes);
        assert_eq!(expand(&shape, &bytes).values.len(), shape.kb as usize);
    }
}
