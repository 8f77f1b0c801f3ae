//! MM: integer dot products of ABUF rows with weight tiles, dequantised into SPAD.

use crate::memory::{check, Memory};
use crate::team::Team;
use crate::tiles::{Sources, Taken, Tiles};
use crate::units::dot::{Job, Scratch};
use crate::work::MmWork;
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::FaultCode;
use std::ops::Range;

/// Below this many MACs a command runs on one thread.
const PARALLEL_MACS: u64 = 1 << 18;
/// The threads' shares are made of so many parts: the one that is first takes more.
const TASKS_PER_THREAD: usize = 4;

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

/// Tiles of one slice that follow each other, and where they stand among the command's tiles.
struct Piece {
    /// Tiles of the command in the pieces before.
    before: usize,
    /// Output of the first tile; those of the next ones are `slices` further on.
    output: usize,
    taken: Taken,
}

/// A command with its tiles.
struct Product<'a> {
    job: Job<'a>,
    pieces: &'a [Piece],
    /// Of each piece.
    sources: Vec<Sources<'a>>,
    slices: usize,
}

impl Product<'_> {
    /// Computes some tiles, counted in the order of the pieces.
    #[inline]
    fn part(&self, range: Range<usize>, mut write: impl FnMut(usize, [u32; 16])) {
        let (w, mut scratch) = (self.job.w, Scratch::default());
        let mut p = self.pieces.partition_point(|p| p.before <= range.start) - 1;
        for i in range {
            if i - self.pieces[p].before == self.pieces[p].taken.tiles() as usize {
                p += 1;
            }
            let i = i - self.pieces[p].before;
            let first = w.out as usize + self.pieces[p].output + i * self.slices;
            let write = |r: usize, lanes| write(first + r * w.out_stride as usize, lanes);
            self.job.tile(self.sources[p].tile(i), &mut scratch, write);
        }
    }
}

/// Do rows and tiles write different words? Otherwise they have an order.
fn apart(w: &MmWork) -> bool {
    w.rows == 1 || w.out_stride >= w.tiles
}

/// Takes the command's tiles and computes all of them.
pub(crate) fn run(w: &MmWork, m: &mut Memory, tiles: &mut Tiles, team: &mut Team) {
    let pieces = take(w, m, tiles);
    let mut spad = std::mem::take(&mut m.spad);
    let sources = pieces.iter().map(|p| tiles.sources(&p.taken, m)).collect();
    let product = Product { job: Job::new(w, m), pieces: &pieces, sources, slices: m.channels.len() };
    let all = w.tiles as usize;
    let macs = u64::from(w.tiles) * u64::from(w.rows) * u64::from(w.kb) * 256;
    if macs >= PARALLEL_MACS && apart(w) && team.size() > 1 {
        let each = all.div_ceil(TASKS_PER_THREAD * team.size());
        let output = Output(spad.as_mut_ptr());
        team.run(all.div_ceil(each), &|task| {
            let output = &output;
            product.part(task * each..all.min((task + 1) * each), |word, lanes| {
                // SAFETY: `check_mm` bounded the word, and rows and tiles have distinct ones.
                unsafe { output.write(word, lanes) }
            });
        });
    } else {
        product.part(0..all, |word, lanes| spad[word] = lanes);
    }
    drop(product);
    m.spad = spad;
    tiles.drop_used();
}

/// In an order that reads each channel front to back, or that of the outputs where they overlap.
fn take(w: &MmWork, m: &Memory, tiles: &mut Tiles) -> Vec<Piece> {
    let slices = m.channels.len() as u32;
    let apart = apart(w);
    let mut pieces: Vec<Piece> = Vec::new();
    for slice in 0..slices {
        let mut output = slice.wrapping_sub(w.first) % slices;
        while output < w.tiles {
            let most = if apart { (w.tiles - output).div_ceil(slices) } else { 1 };
            let taken = tiles.take(w, slice, most, m);
            let next = output + taken.tiles() * slices;
            pieces.push(Piece { before: 0, output: output as usize, taken });
            output = next;
        }
    }
    if !apart {
        pieces.sort_by_key(|p| p.output);
    }
    let mut before = 0;
    for p in &mut pieces {
        p.before = before;
        before += p.taken.tiles() as usize;
    }
    pieces
}
