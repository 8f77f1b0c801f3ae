//! Every path against the reference.

use super::*;
use crate::expand::tests::{random_shape, random_tile};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::names::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn levels() -> Vec<Level> {
    #[cfg(target_arch = "x86_64")]
    {
        let all = [Level::Scalar, Level::Avx2, Level::Avx512];
        all.into_iter().filter(|l| *l <= Level::detect()).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    vec![Level::Scalar]
}

fn results(w: &MmWork, m: &Memory, source: Source<'_>, level: Level) -> Vec<[u32; 16]> {
    let mut job = Job::new(w, m);
    job.level = level;
    let mut out = vec![[0xdead; 16]; w.rows as usize];
    job.tile(source, &mut Scratch::default(), |r, lanes| out[r] = lanes);
    out
}

/// A matrix command that fits a tile's shape.
fn work(shape: &TileShape, rows: u32) -> MmWork {
    let window = flightvlm_hw::isa::NM_WINDOW_WORDS[shape.nm as usize];
    MmWork {
        rows,
        tiles: 1,
        kb: shape.kb,
        kbg: shape.kbg,
        act: 0,
        act_stride: shape.kb * window,
        out: 0,
        out_stride: 1,
        sa: 3,
        sa_stride: 2,
        wscale: shape.wscale,
        bias: shape.bias,
        nm: shape.nm,
        first: 0,
    }
}

fn memory(rng: &mut ChaCha8Rng) -> Memory {
    let mut m = Memory::new(&HwConfig::sim(), true);
    let extreme = rng.random_range(0..4) == 0;
    for x in m.abuf.as_flattened_mut() {
        *x = if extreme { [-127, 127][rng.random_range(0..2)] } else { rng.random_range(-127..=127) };
    }
    m.s.iter_mut().for_each(|x| *x = rng.random_range(0.001f32..1.0).to_bits());
    m
}

#[test]
fn every_level_gives_the_bits_of_the_reference() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..300 {
        let shape = random_shape(&mut rng);
        let (mut bytes, expanded) = random_tile(&mut rng, &shape);
        let m = memory(&mut rng);
        let w = work(&shape, rng.random_range(1..14));
        let want = results(&w, &m, Source::Expanded(&expanded), Level::Scalar);
        for level in levels() {
            let got = results(&w, &m, Source::Packed { shape: &shape, bytes: &bytes }, level);
            assert!(got == want, "{level:?}: {shape:?}, {} rows", w.rows);
        }
        // Any bytes, any length: scales that are no numbers, widths of chance, missing units.
        rng.fill_bytes(&mut bytes);
        let units = bytes.len() / 64;
        let shorter = if shape.fmt == FMT_MIXED { rng.random_range(0..=units) } else { units };
        let bytes = &bytes[..64 * shorter];
        let any = expand(&shape, bytes);
        let want = results(&w, &m, Source::Expanded(&any), Level::Scalar);
        for level in levels() {
            let got = results(&w, &m, Source::Packed { shape: &shape, bytes }, level);
            assert!(got == want, "{level:?}, random bytes: {shape:?}, {} rows", w.rows);
        }
    }
}
