//! MM: integer dot products of ABUF rows with weight tiles, dequantised into SPAD.

use crate::memory::{check, Memory};
use crate::tiles::Tiles;
use crate::units::dot::{Job, Scratch};
use crate::work::MmWork;
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::FaultCode;
use rayon::prelude::*;

/// Below this many MACs a command runs on one thread.
const PARALLEL_MACS: u64 = 1 << 18;

pub(crate) fn check_mm(w: &MmWork, c: &HwConfig) -> Result<(), FaultCode> {
    if w.rows == 0 || w.tiles == 0 {
        return Ok(());
    }
    let window = w.window_words();
    if !w.act.is_multiple_of(window) || w.rows > 1 && !w.act_stride.is_multiple_of(window) {
        return Err(FaultCode::Operand);
    }
    if w.kb == 0 || w.kb > c.wfifo_words || w.sfifo_words() > c.sfifo_words {
        return Err(FaultCode::Wfifo);
    }
    let words = u64::from(w.kb) * u64::from(window);
    check(w.act, w.rows, w.act_stride, words, c.abuf_words, FaultCode::Abuf)?;
    check(w.out, w.rows, w.out_stride, u64::from(w.tiles), c.spad_words, FaultCode::Spad)?;
    check(w.sa, w.rows, w.sa_stride, 1, c.s_words, FaultCode::Smem)
}

/// SPAD, written by several threads at different words.
struct Output(*mut [u32; 16]);
// SAFETY: `run` writes each word from one thread only.
unsafe impl Sync for Output {}

impl Output {
    /// # Safety
    /// `word` is in range, and no other thread writes it.
    unsafe fn write(&self, word: usize, lanes: [u32; 16]) {
        // SAFETY: by contract.
        unsafe { *self.0.add(word) = lanes }
    }
}

/// Takes the command's tiles and computes all of them.
pub(crate) fn run(w: &MmWork, m: &mut Memory, tiles: &mut Tiles) {
    let slices = m.channels.len() as u32;
    let mut taken = Vec::with_capacity(w.tiles as usize);
    // Slice by slice: a channel is read front to back.
    for slice in 0..slices {
        let first = slice.wrapping_sub(w.first) % slices;
        for j in (first..w.tiles).step_by(slices as usize) {
            taken.push((j as usize, tiles.take(w, slice, m)));
        }
    }
    let mut spad = std::mem::take(&mut m.spad);
    let job = Job::new(w, m);
    let macs = u64::from(w.tiles) * u64::from(w.rows) * u64::from(w.kb) * 256;
    // Rows whose outputs overlap have an order.
    let apart = w.rows == 1 || w.out_stride >= w.tiles;
    if !apart {
        taken.sort_by_key(|(j, _)| *j);
    }
    let (out, stride) = (w.out as usize, w.out_stride as usize);
    if macs >= PARALLEL_MACS && apart && rayon::current_num_threads() > 1 {
        let output = Output(spad.as_mut_ptr());
        let least = (w.tiles as usize / (4 * rayon::current_num_threads())).max(1);
        taken.par_iter().with_min_len(least).for_each_init(Scratch::default, |scratch, (j, t)| {
            let output = &output;
            job.tile(tiles.source(t, m), scratch, |r, lanes| {
                // SAFETY: `check_mm` bounded the word, and rows and tiles have distinct ones.
                unsafe { output.write(out + r * stride + j, lanes) }
            });
        });
    } else {
        let mut scratch = Scratch::default();
        for (j, t) in &taken {
            job.tile(tiles.source(t, m), &mut scratch, |r, lanes| spad[out + r * stride + j] = lanes);
        }
    }
    m.spad = spad;
    tiles.drop_used();
}
