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
                    put_bits(&mut units, 2 * (n * 16 + k), 2, p);
                    s[n * 16 + k] = (p as usize + [0, 4, 8, 12][k / 2 % 4]) as u8;
                }
            }
            NM_8OF16 => {
                for block in 0..2 {
                    let mask: u16 = rng.random();
                    put_bits(&mut units, 32 * n + 16 * block, 16, u32::from(mask));
                    let mut k = 8 * block;
                    s[n * 16 + k..][..8].fill(0);
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

/// Value units of one word (8, 4 bits) or of a pair.
fn pack_values(words: &[Values], bits: u32, layout_n: bool) -> Vec<u8> {
    if bits == 8 {
        let mut out = vec![0; 256];
        for (e, v) in words[0].iter().enumerate() {
            out[if layout_n { e % 16 * 16 + e / 16 } else { e }] = *v as u8;
        }
        return out;
    }
    let mut out = vec![0; if bits == 4 { 128 } else { 64 * bits as usize }];
    for (which, word) in words.iter().enumerate() {
        for (e, v) in word.iter().enumerate() {
            let (n, k) = (e / 16, e % 16);
            if bits == 4 {
                let (byte, high) = if layout_n { (k * 8 + n % 8, n / 8) } else { (n * 8 + k % 8, k / 8) };
                put_bits(&mut out, byte * 8 + 4 * high, 4, *v as u32 & 15);
            } else {
                let code = if bits <= 3 { (*v >> 1) as u32 } else { *v as u32 };
                for plane in 0..bits as usize {
                    let b = code >> (bits as usize - 1 - plane) & 1;
                    put_bits(&mut out, plane * 512 + which * 256 + e, 1, b);
                }
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
                for (half, code) in codes.into_iter().enumerate() {
                    let h: [u16; 16] = std::array::from_fn(|_| rng.random_range(0x3d00..0x4000));
                    let signs =
                        (0..16).map(|i| if i < 3 { (code >> i & 1) as u16 } else { rng.random_range(0..2) });
                    bytes.extend(h.iter().zip(signs).flat_map(|(x, s)| (x | s << 15).to_le_bytes()));
                    if half == 0 || left > words {
                        want.scales.push(std::array::from_fn(|n| f32::from_bits(u32::from(h[n]) << 16)));
                    }
                }
            }
            bits = MIXED_BITS[codes[usize::from(!even)] as usize];
        } else if shape.wscale {
            floats(rng, &mut bytes, &mut want);
        }
        let step = if matches!(bits, 4 | 8) { 1 } else { 2 };
        let list: Vec<Values> = (0..words).map(|_| random_values(rng, bits)).collect();
        for item in list.chunks(step) {
            for _ in item {
                let (s, units) = pack_selectors(rng, shape.nm);
                want.selectors.push(s);
                bytes.extend(units);
            }
            bytes.extend(pack_values(item, bits, shape.layout_n()));
            want.values.extend_from_slice(item);
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
    assert!(e.values.iter().flatten().all(|v| *v == 0) && e.selectors.iter().flatten().all(|s| *s == 0));
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
