//! Dot products of activation rows with one weight tile, and the dequantiser.
//!
//! * [`scalar`]: the reference, from expanded tiles.
//! * [`avx2`]: dense tiles, 32 products at a time.
//! * [`avx512`]: every format, straight from the packed tile for one or two rows, else from a copy
//!   in the order of the VNNI instruction, 64 products at a time.
//!
//! All give the same bits; the CPU decides at run time which one is used.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

use crate::expand::{expand, Expanded};
use crate::memory::Memory;
use crate::tile::TileShape;
use crate::work::MmWork;
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::numerics::{canon_bits, fadd, fmul, i2f};

/// Where a tile's words come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// As in channel memory.
    Packed { shape: &'a TileShape, bytes: &'a [u8] },
    /// As in the FIFOs.
    Expanded(&'a Expanded),
}

/// Instructions that the CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The best one here.
    pub fn detect() -> Level {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let base = has!("avx512f") && has!("avx512bw") && has!("avx512dq");
            if base && has!("avx512vnni") && has!("avx512vbmi") {
                return Level::Avx512;
            }
            if has!("avx2") {
                return Level::Avx2;
            }
        }
        Level::Scalar
    }
}

/// Memory that one thread uses again for each tile.
#[derive(Default)]
pub(crate) struct Scratch {
    #[cfg(target_arch = "x86_64")]
    ordered: avx512::Ordered,
}

/// What all tiles of a matrix command share.
pub(crate) struct Job<'a> {
    pub w: &'a MmWork,
    pub abuf: &'a [[i8; 16]],
    /// Canonical, one a row.
    pub row_scales: Vec<f32>,
    /// Sum of a row's activations over each group (dense only): row · groups + group.
    pub sums: Vec<i32>,
    pub level: Level,
}

impl<'a> Job<'a> {
    pub fn new(w: &'a MmWork, m: &'a Memory) -> Job<'a> {
        let scale = |r: u32| f32::from_bits(canon_bits(m.s[(w.sa + r * w.sa_stride) as usize]));
        let mut job = Job {
            w,
            abuf: &m.abuf,
            row_scales: (0..w.rows).map(scale).collect(),
            sums: Vec::new(),
            level: Level::detect(),
        };
        if w.window_words() == 1 {
            let groups = |r| job.row(r).chunks(w.group() as usize);
            let sum = |g: &[[i8; 16]]| g.as_flattened().iter().map(|a| i32::from(*a)).sum();
            job.sums = (0..w.rows).flat_map(|r| groups(r).map(sum)).collect();
        }
        job
    }

    /// Activations of a row.
    #[inline(always)]
    pub fn row(&self, r: u32) -> &'a [[i8; 16]] {
        let words = (self.w.kb * self.w.window_words()) as usize;
        &self.abuf[(self.w.act + r * self.w.act_stride) as usize..][..words]
    }

    /// All rows of a tile.
    pub fn tile(&self, source: Source<'_>, scratch: &mut Scratch, mut write: impl FnMut(usize, [u32; 16])) {
        match source {
            #[cfg(target_arch = "x86_64")]
            Source::Packed { shape, bytes } if self.level == Level::Avx512 && complete(shape, bytes) => {
                // SAFETY: the CPU has these instructions, and the tile holds all units of its layout.
                unsafe { avx512::tile(self, shape, bytes, &mut scratch.ordered, write) }
            }
            #[cfg(target_arch = "x86_64")]
            Source::Packed { shape, bytes } if self.level == Level::Avx2 && self.w.window_words() == 1 => {
                let _ = scratch;
                // SAFETY: the CPU has AVX2.
                unsafe { avx2::tile(self, shape, bytes, write) }
            }
            Source::Packed { shape, bytes } => scalar::tile(self, &expand(shape, bytes), &mut write),
            Source::Expanded(tile) => scalar::tile(self, tile, &mut write),
        }
    }
}

/// Does a tile end where its layout ends, or later?
#[cfg(target_arch = "x86_64")]
#[inline]
fn complete(shape: &TileShape, bytes: &[u8]) -> bool {
    if bytes.len() as u64 >= shape.most_units() * UNIT_BYTES as u64 {
        return true;
    }
    let end = match shape.units() {
        Some(units) => units as usize,
        None => shape.groups_of(bytes).last().map_or(0, |g| g.unit + g.units_of(g.words, shape.nm)),
    };
    end * UNIT_BYTES <= bytes.len()
}

/// Adds a group's integer sums to the row's value.
#[inline(always)]
fn add_group(p: &mut [f32; 16], first: bool, acc: &[i32; 16], scale: Option<&[f32; 16]>) {
    for n in 0..16 {
        let x = i2f(acc[n]);
        let x = scale.map_or(x, |s| fmul(x, s[n]));
        p[n] = if first { x } else { fadd(p[n], x) };
    }
}

/// Row scale and bias.
#[inline(always)]
fn finish(p: &[f32; 16], row_scale: f32, bias: Option<&[f32; 16]>) -> [u32; 16] {
    let mut out = [0; 16];
    for n in 0..16 {
        let y = fmul(p[n], row_scale);
        out[n] = bias.map_or(y, |b| fadd(y, b[n])).to_bits();
    }
    out
}

#[cfg(test)]
mod tests;
