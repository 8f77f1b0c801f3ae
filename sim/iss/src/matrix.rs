//! Timing of matrix commands: all active slices in lock step, each word when the last of them has it.

use crate::profile::LostBeats;
use crate::spad::MatrixWrites;
use crate::stream::Stream;
use crate::timing;
use crate::work::{Command, MmWork};
use std::ops::Range;

/// A matrix command that is not complete.
pub(crate) struct MatrixRun {
    pub command: Command,
    pub work: MmWork,
    pub start: u64,
    /// Tiles that are done.
    tile: u32,
    /// Next issue cycle.
    at: u64,
    /// Issue cycles of a pair of rows; idle ones in front of each group's words.
    pair_cycles: u64,
    /// Cycles to write a pair of rows of all slices.
    pair_write_cycles: u64,
    least: u64,
    pub starved_cycles: u64,
    pub mac_beats: u64,
    pub lost: LostBeats,
    ready: Vec<u64>,
    scale_ready: Vec<u64>,
    issued: Vec<u64>,
}

impl MatrixRun {
    /// `first`: first issue cycle; `pair_write_cycles`: fewest issue cycles of a pair of rows with one group.
    pub fn new(command: Command, work: MmWork, start: u64, first: u64, pair_write_cycles: u64) -> MatrixRun {
        let least = if work.groups() == 1 { pair_write_cycles } else { timing::MM_PAIR_GROUP_CYCLES };
        let mut run = MatrixRun {
            command,
            work,
            start,
            tile: 0,
            at: first,
            pair_cycles: 0,
            pair_write_cycles,
            least,
            starved_cycles: 0,
            mac_beats: 0,
            lost: LostBeats::default(),
            ready: Vec::new(),
            scale_ready: Vec::new(),
            issued: vec![0; work.kb as usize],
        };
        run.pair_cycles = u64::from(work.kb) + (0..work.groups()).map(|g| run.idle(g)).sum::<u64>();
        run
    }

    fn idle(&self, g: u32) -> u64 {
        let words = self.work.group().min(self.work.kb - g * self.work.group());
        self.least.saturating_sub(u64::from(words))
    }

    /// Issue cycle of the last word if no more words are late.
    pub fn expected_last_issue(&self, slices: u32) -> u64 {
        let w = &self.work;
        let last = u64::from((w.first + w.tiles - 1) / slices);
        let rounds = last + 1 - u64::from((w.first + self.tile) / slices);
        let pairs = u64::from(w.rows.div_ceil(2));
        self.at + rounds * pairs * self.pair_cycles - 1
    }

    /// Issue cycle of the last word, once `is_done`.
    pub fn last_issue(&self) -> u64 {
        self.at - 1
    }

    pub fn is_done(&self) -> bool {
        self.tile == self.work.tiles
    }

    /// Goes on as long as whole rounds have all their words; true if at least one had.
    pub fn advance(&mut self, streams: &mut [Stream], writes: &mut MatrixWrites) -> bool {
        let before = self.tile;
        while !self.is_done() && self.round(streams, writes) {}
        self.tile != before
    }

    /// When the rows of pairs are written whose last words are issued from a cycle on.
    fn write(
        &self,
        issued: u64,
        pairs: Range<u64>,
        active: &Range<usize>,
        slices: usize,
        writes: &mut MatrixWrites,
    ) {
        let row = self.pair_write_cycles / 2;
        let words = slices / row as usize;
        let (low, high) = ((active.start / words) as u64, active.end.div_ceil(words) as u64);
        let first = issued + timing::mm_write_cycles(self.pair_write_cycles);
        for pair in pairs.clone() {
            let even = first + (pair - pairs.start) * self.pair_cycles;
            writes.push(even + low..even + high);
            if 2 * pair + 1 < u64::from(self.work.rows) {
                writes.push(even + row + low..even + row + high);
            }
        }
    }

    fn round(&mut self, streams: &mut [Stream], writes: &mut MatrixWrites) -> bool {
        let (w, slices) = (self.work, streams.len() as u32);
        let slot = w.first + self.tile;
        let tiles = (slices - slot % slices).min(w.tiles - self.tile);
        let active = (slot % slices) as usize..(slot % slices + tiles) as usize;
        let (kb, scales) = (w.kb as usize, w.sfifo_words() as usize);
        if !streams[active.clone()].iter().all(|s| s.words.len() >= kb && s.scales.len() >= scales) {
            return false;
        }
        self.ready.clear();
        self.ready.resize(kb, 0);
        self.scale_ready.clear();
        self.scale_ready.resize(scales, 0);
        for s in &streams[active.clone()] {
            s.words.latest_arrivals(&mut self.ready);
            s.scales.latest_arrivals(&mut self.scale_ready);
        }
        let begin = self.at;
        let group = w.group() as usize;
        for g in 0..w.groups() {
            self.at += self.idle(g);
            // Scales of a group arrive in order, so the last one that is needed decides.
            let scale = usize::from(w.bias) + if w.wscale { g as usize + 1 } else { 0 };
            let not_before = scale.checked_sub(1).map_or(0, |i| self.scale_ready[i] + timing::MM_SEEN_CYCLES);
            let words = g as usize * group..(g as usize * group + group).min(kb);
            for (ready, issued) in self.ready[words.clone()].iter().zip(&mut self.issued[words]) {
                self.at = self.at.max(*ready + timing::MM_SEEN_CYCLES).max(not_before);
                *issued = self.at;
                self.at += 1;
            }
        }
        self.starved_cycles += self.at - begin - self.pair_cycles;
        let pairs = u64::from(w.rows.div_ceil(2));
        self.write(self.at - 1, 0..1, &active, slices as usize, writes);
        if pairs > 1 {
            self.write(self.at - 1 + self.pair_cycles, 1..pairs, &active, slices as usize, writes);
            // The last pair pops the words; nothing is late any more.
            self.at += (pairs - 2) * self.pair_cycles;
            for g in 0..w.groups() {
                self.at += self.idle(g);
                let words = g as usize * group..(g as usize * group + group).min(kb);
                for issued in &mut self.issued[words] {
                    *issued = self.at;
                    self.at += 1;
                }
            }
        }
        let dropped = [self.at - 1 + timing::MM_DROP_CYCLES];
        for s in &mut streams[active] {
            s.words.pop_at(&self.issued);
            (0..scales).for_each(|_| s.scales.pop_at(&dropped));
        }
        self.mac_beats += u64::from(tiles) * u64::from(w.rows) * u64::from(w.kb);
        let beats = |slices: u32, rows: u64| u64::from(slices) * rows * u64::from(w.kb);
        self.lost.no_tile += beats(slices - tiles, 2 * pairs);
        self.lost.one_row += beats(tiles, 2 * pairs - u64::from(w.rows));
        self.lost.results += 2 * u64::from(slices) * pairs * (self.pair_cycles - u64::from(w.kb));
        self.tile += tiles;
        true
    }
}
