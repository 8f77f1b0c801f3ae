//! Weight stream of a slice: requests its share of each posted load, expands the units as they
//! come and fills the FIFOs (`hw/doc/timing.md`, weight streams).

use crate::bursts::burst_beats;
use crate::fifo::FifoTimes;
use crate::profile::{BeatWindows, ChannelProfile};
use crate::recipe::{Item, Need, Recipe};
use crate::timing;
use crate::work::LdWork;
use flightvlm_hw::config::HwConfig;
use flightvlm_mem::{MemoryPort, Port, Request};
use std::collections::VecDeque;

/// This slice's share of a load.
struct Share {
    work: LdWork,
    pushed: u64,
    tiles: u32,
    /// First unit of the first tile; units of a tile.
    unit: u64,
    units: u64,
}

impl Share {
    /// Contiguous runs of units: number and length.
    fn runs(&self) -> (u64, u64) {
        let tiles = u64::from(self.tiles);
        if self.units == u64::from(self.work.src_stride) {
            (1, tiles * self.units)
        } else {
            (tiles, self.units)
        }
    }
}

/// Position of the request side.
#[derive(Default)]
struct Requests {
    /// Share (counted from the oldest) that is requested, its runs and units that are.
    share: usize,
    run: u64,
    unit: u64,
    next: u64,
}

/// Position of the expansion.
#[derive(Default)]
struct Expansion {
    /// Tile of the oldest share; its recipe is prepared.
    tile: u32,
    prepared: bool,
    item: usize,
    repeats: u32,
    unit: u32,
    /// Units of the tile that come from memory and are not expanded.
    from_memory: u64,
    /// Expansion of the last unit.
    last: u64,
    last_beat: u64,
}

/// A slice's stream and FIFOs.
pub(crate) struct Stream {
    slice: u32,
    slices: u32,
    pub words: FifoTimes,
    pub scales: FifoTimes,
    shares: VecDeque<Share>,
    requests: Requests,
    expansion: Expansion,
    recipe: Recipe,
    /// Beats that were offered; the first `given` of them are taken.
    offered: Vec<u64>,
    given: usize,
    /// Beats of bursts in flight that are not taken.
    bursts: VecDeque<u64>,
    /// When the last beats of complete bursts were taken, the latest ones.
    complete: VecDeque<u64>,
    /// When the expander took the last shares.
    taken: VecDeque<u64>,
    beats: Vec<u64>,
    pub profile: ChannelProfile,
    pub windows: BeatWindows,
}

impl Stream {
    pub fn new(slice: u32, c: &HwConfig) -> Stream {
        Stream {
            slice,
            slices: c.slices,
            words: FifoTimes::new(c.wfifo_words, timing::FIFO_PLACE_CYCLES.0),
            scales: FifoTimes::new(c.sfifo_words, timing::FIFO_PLACE_CYCLES.1),
            shares: VecDeque::new(),
            requests: Requests::default(),
            expansion: Expansion::default(),
            recipe: Recipe::default(),
            offered: Vec::new(),
            given: 0,
            bursts: VecDeque::new(),
            complete: VecDeque::new(),
            taken: VecDeque::new(),
            beats: Vec::new(),
            profile: ChannelProfile::default(),
            windows: BeatWindows::default(),
        }
    }

    /// Cycle from which the queue has room for this slice's share; `None`: not known yet.
    pub fn room(&self, w: &LdWork) -> Option<u64> {
        let ahead = self.shares.len() + self.taken.len();
        if w.tiles_of(self.slice, self.slices) == 0 || ahead < timing::STREAM_QUEUE {
            return Some(0);
        }
        // The place of the share STREAM_QUEUE before: free when the expander has taken that one.
        // `taken` holds the last ones, the running share (the first of `shares`) included.
        let waiting = self.shares.len().saturating_sub(1);
        let place = self.taken.len().checked_sub(timing::STREAM_QUEUE.checked_sub(waiting)?);
        place.map_or(Some(0), |i| self.taken.get(i).map(|t| t + 1))
    }

    /// Takes this slice's share of a load, pushed at a cycle.
    pub fn push(&mut self, work: LdWork, at: u64) {
        let tiles = work.tiles_of(self.slice, self.slices);
        if tiles == 0 {
            return;
        }
        let unit = work.tile_unit(work.first_slot_of(self.slice, self.slices), self.slices);
        if self.shares.is_empty() {
            self.take(at + 1);
        }
        self.shares.push_back(Share { work, pushed: at, tiles, unit, units: work.tile_units() });
    }

    /// The expander takes the next share.
    fn take(&mut self, at: u64) {
        self.taken.push_back(at.max(self.expansion.last));
        if self.taken.len() > timing::STREAM_QUEUE {
            self.taken.pop_front();
        }
    }

    /// Cycle from which the stream is idle; `None` while it is not.
    pub fn idle_from(&self) -> Option<u64> {
        self.shares.is_empty().then(|| if self.expansion.last == 0 { 0 } else { self.expansion.last + 1 })
    }

    /// Cycle of the next request, if it is known.
    pub fn next_request(&self) -> Option<u64> {
        let share = self.shares.get(self.requests.share)?;
        let (runs, units) = share.runs();
        // Nothing to ask for: the requests of the next share wait for this one's expansion.
        if units == 0 {
            return None;
        }
        debug_assert!(self.requests.run < runs);
        let mut at = self.requests.next.max(share.pushed + timing::STREAM_START_CYCLES);
        if self.bursts.len() >= timing::READ_OUTSTANDING {
            return None;
        }
        let in_flight = self.bursts.len() + self.complete.len();
        if in_flight >= timing::READ_OUTSTANDING {
            at = at.max(self.complete[in_flight - timing::READ_OUTSTANDING] + 1);
        }
        Some(at)
    }

    /// Sends requests before cycle `until` and expands what comes.
    pub fn advance(&mut self, until: u64, port: &mut Port, channel: &[u8]) {
        loop {
            self.expand(channel);
            match self.next_request() {
                Some(at) if at < until => self.request(at, port),
                _ => return,
            }
            // Requests that need no answer before they are sent go together.
            while let Some(at) = self.next_request().filter(|at| *at < until) {
                self.request(at, port);
            }
        }
    }

    fn request(&mut self, cycle: u64, port: &mut Port) {
        let share = &self.shares[self.requests.share];
        let (runs, units) = share.runs();
        let r = &mut self.requests;
        let unit = share.unit + r.run * u64::from(share.work.src_stride) + r.unit;
        let beats = burst_beats(unit, units - r.unit);
        port.read(Request { cycle, unit, beats }, &mut self.beats);
        if self.given == self.offered.len() {
            self.offered.clear();
            self.given = 0;
        }
        self.offered.extend_from_slice(&self.beats);
        self.bursts.push_back(beats);
        self.profile.read_beats += beats;
        r.next = cycle + 1;
        r.unit += beats;
        if r.unit == units {
            (r.run, r.unit) = (r.run + 1, 0);
        }
        if r.run == runs {
            (r.share, r.run) = (r.share + 1, 0);
        }
    }

    /// Expands as far as beats are there and the FIFOs are known to have room.
    pub fn expand(&mut self, channel: &[u8]) {
        while let Some(share) = self.shares.front() {
            if !self.expansion.prepared {
                let slot_tile = u64::from(self.expansion.tile) * u64::from(share.work.src_stride);
                self.recipe.prepare(&share.work, share.units, channel, share.unit + slot_tile);
                let e = &mut self.expansion;
                (e.prepared, e.item, e.repeats, e.unit, e.from_memory) = (true, 0, 0, 0, share.units);
                e.last = e.last.max(share.pushed);
            }
            if !self.expand_tile() {
                return;
            }
            self.expansion.prepared = false;
            self.expansion.tile += 1;
            if self.expansion.tile == self.shares[0].tiles {
                self.shares.pop_front();
                self.expansion.tile = 0;
                match self.requests.share {
                    0 => self.requests.next = self.requests.next.max(self.expansion.last + 1),
                    _ => self.requests.share -= 1,
                }
                if let Some(next) = self.shares.front() {
                    self.take(next.pushed + 1);
                }
            }
        }
    }

    /// Goes on with a tile; true at its end.
    fn expand_tile(&mut self) -> bool {
        while let Some(item) = self.recipe.items.get(self.expansion.item) {
            let room = match item.need {
                Need::Nothing => Some(0),
                Need::Scales(n) => self.scales.room(u64::from(n)),
                Need::Word => self.words.room(1),
            };
            let (item, Some(room)) = (*item, room) else { return false };
            if !self.units(&item, room) {
                return false;
            }
            let e = &mut self.expansion;
            let (words_at, scales_at) = timing::STREAM_SEEN_CYCLES;
            match item.need {
                Need::Nothing => {}
                // The second of two follows a cycle later.
                Need::Scales(n) => (0..n).for_each(|i| self.scales.push(e.last + scales_at + u64::from(i))),
                Need::Word => self.words.push(e.last + words_at),
            }
            e.unit = 0;
            e.repeats += 1;
            if e.repeats == item.repeats {
                (e.item, e.repeats) = (e.item + 1, 0);
            }
        }
        true
    }

    /// Expands the units of an item; false if they are not all there.
    #[inline]
    fn units(&mut self, item: &Item, room: u64) -> bool {
        let e = &mut self.expansion;
        let units = u64::from(item.units);
        let offered = &self.offered[self.given..];
        // Most often all beats are there, one a cycle, and nothing holds them up.
        if e.unit == 0 && units > 0 && units <= e.from_memory && units <= offered.len() as u64 {
            let (first, last) = (offered[0], offered[units as usize - 1]);
            if last - first == units - 1 && first >= e.last && first + 1 >= room {
                self.profile.beat(e.last_beat, first, first, self.shares[0].pushed);
                e.from_memory -= units;
                (e.last_beat, e.last) = (last, last + 1);
                self.given += units as usize;
                self.count(units, last);
                return true;
            }
        }
        while self.expansion.unit < item.units {
            let e = &mut self.expansion;
            e.unit += 1;
            if e.from_memory == 0 {
                e.last = (e.last + 1).max(room);
                continue;
            }
            let Some(offered) = self.offered.get(self.given) else {
                e.unit -= 1;
                return false;
            };
            self.given += 1;
            let beat = (*offered).max(e.last);
            self.profile.beat(e.last_beat, *offered, beat, self.shares[0].pushed);
            e.from_memory -= 1;
            (e.last_beat, e.last) = (beat, (beat + 1).max(room));
            self.count(1, beat);
        }
        true
    }

    /// Books `beats` that were taken one a cycle, the last one at a cycle, to their bursts.
    #[inline]
    fn count(&mut self, mut beats: u64, last: u64) {
        self.windows.add(beats, last);
        while beats > 0 {
            let burst = &mut self.bursts[0];
            let taken = beats.min(*burst);
            *burst -= taken;
            beats -= taken;
            if *burst == 0 {
                self.bursts.pop_front();
                if self.complete.len() == timing::READ_OUTSTANDING {
                    self.complete.pop_front();
                }
                self.complete.push_back(last - beats);
            }
        }
    }
}
