//! What the weight FIFOs hold, as references: tiles stay packed in channel memory until the matrix
//! unit takes them.

use crate::expand::{expand, Expanded};
use crate::memory::Memory;
use crate::tile::TileShape;
use crate::units::dot::Source;
use crate::work::{LdWork, MmWork};
use flightvlm_hw::config::UNIT_BYTES;
use std::collections::VecDeque;

/// A weight load whose tiles are not all used.
struct Load {
    work: LdWork,
    /// By slice: a copy of its tiles, made when a store is about to overwrite them. Empty: none.
    copies: Vec<Vec<u8>>,
}

/// Next word (or scale word) that a slice's FIFO gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cursor {
    /// Number of the load since the launch.
    load: u64,
    /// Tile of the load, counted within the slice.
    tile: u32,
    at: u32,
}

/// FIFO contents of all slices.
pub(crate) struct Tiles {
    loads: VecDeque<Load>,
    /// Number of the oldest load.
    oldest: u64,
    words: Vec<Cursor>,
    scales: Vec<Cursor>,
}

/// Where the matrix unit finds tiles of a slice.
pub(crate) enum Taken {
    /// Tiles of a load, from a slot on.
    Whole { load: u64, slot: u32, tiles: u32 },
    /// Words and scales that do not make up a tile as it was loaded.
    Loose(Box<Expanded>),
}

impl Taken {
    pub fn tiles(&self) -> u32 {
        match self {
            Taken::Whole { tiles, .. } => *tiles,
            Taken::Loose(_) => 1,
        }
    }
}

/// Tiles that were taken, as the dot products read them.
pub(crate) enum Sources<'a> {
    /// First of the bytes of tiles that are `stride` apart.
    Packed {
        shape: &'a TileShape,
        bytes: &'a [u8],
        stride: usize,
        len: usize,
    },
    Expanded(&'a Expanded),
}

impl<'a> Sources<'a> {
    #[inline]
    pub fn tile(&self, i: usize) -> Source<'a> {
        match *self {
            Sources::Packed { shape, bytes, stride, len } => {
                Source::Packed { shape, bytes: &bytes[i * stride..][..len] }
            }
            Sources::Expanded(tile) => Source::Expanded(tile),
        }
    }
}

impl Tiles {
    pub fn new(slices: u32) -> Tiles {
        let cursors = vec![Cursor::default(); slices as usize];
        Tiles { loads: VecDeque::new(), oldest: 0, words: cursors.clone(), scales: cursors }
    }

    /// A load's tiles follow.
    pub fn push(&mut self, work: LdWork) {
        self.loads.push_back(Load { work, copies: Vec::new() });
    }

    fn load(&self, number: u64) -> Option<&Load> {
        self.loads.get((number - self.oldest) as usize)
    }

    /// Moves a cursor behind finished tiles and loads; `per_tile` counts a tile's entries.
    fn settle(&self, mut c: Cursor, slice: u32, per_tile: impl Fn(&LdWork) -> u32) -> Cursor {
        let slices = self.words.len() as u32;
        while let Some(load) = self.load(c.load) {
            let entries = per_tile(&load.work);
            if c.at >= entries && c.tile < load.work.tiles_of(slice, slices) {
                c = Cursor { tile: c.tile + 1, at: 0, ..c };
            } else if c.tile >= load.work.tiles_of(slice, slices) {
                c = Cursor { load: c.load + 1, tile: 0, at: 0 };
            } else {
                break;
            }
        }
        c
    }

    /// Takes what tiles of a matrix command use, one to `most`; their words are there (the caller counted).
    pub fn take(&mut self, w: &MmWork, slice: u32, most: u32, m: &Memory) -> Taken {
        let i = slice as usize;
        let word = self.settle(self.words[i], slice, |l| l.shape.kb);
        let scale = self.settle(self.scales[i], slice, |l| l.shape.sfifo_words());
        if let Some(load) = self.load(word.load) {
            let (s, slices) = (load.work.shape, self.words.len() as u32);
            let alike =
                (s.kb, s.group(), s.bias, s.wscale, s.nm) == (w.kb, w.group(), w.bias, w.wscale, w.nm);
            let scales = s.sfifo_words();
            if alike && word.at == 0 && (scales == 0 || scale == word) {
                let slot = load.work.first_slot_of(slice, slices) + word.tile * slices;
                let tiles = most.min(load.work.tiles_of(slice, slices) - word.tile);
                let last = Cursor { tile: word.tile + tiles - 1, ..word };
                self.words[i] = Cursor { at: s.kb, ..last };
                self.scales[i] = if scales == 0 { scale } else { Cursor { at: scales, ..last } };
                return Taken::Whole { load: word.load, slot, tiles };
            }
        }
        Taken::Loose(Box::new(self.take_loose(w, slice, m)))
    }

    /// Entry by entry, for programs whose matrix commands do not match their loads.
    fn take_loose(&mut self, w: &MmWork, slice: u32, m: &Memory) -> Expanded {
        let i = slice as usize;
        let slices = self.words.len() as u32;
        let mut out = Expanded::default();
        let tile = |this: &Tiles, c: Cursor| {
            let load = this.load(c.load).expect("invariant: the caller counted the words");
            let slot = load.work.first_slot_of(slice, slices) + c.tile * slices;
            expand(&load.work.shape, this.bytes(c.load, slot, 1, m))
        };
        for _ in 0..w.kb {
            let c = self.settle(self.words[i], slice, |l| l.shape.kb);
            let t = tile(self, c);
            out.values.push(t.values[c.at as usize]);
            out.selectors.push(t.selectors[c.at as usize]);
            self.words[i] = Cursor { at: c.at + 1, ..c };
        }
        for _ in 0..w.sfifo_words() {
            let c = self.settle(self.scales[i], slice, |l| l.shape.sfifo_words());
            out.scales.push(tile(self, c).scales[c.at as usize]);
            self.scales[i] = Cursor { at: c.at + 1, ..c };
        }
        out
    }

    /// Bytes of tiles of a slice from a slot on, gaps between them included.
    fn bytes<'a>(&'a self, number: u64, slot: u32, tiles: u32, m: &'a Memory) -> &'a [u8] {
        let slices = self.words.len() as u32;
        let load = self.load(number).expect("invariant: taken tiles stay until `drop_used`");
        let (w, slice) = (&load.work, (slot % slices) as usize);
        let units = u64::from(tiles - 1) * u64::from(w.src_stride) + w.tile_units();
        let at = w.tile_unit(slot, slices);
        let (bytes, at): (&[u8], u64) = match load.copies.get(slice).filter(|c| !c.is_empty()) {
            Some(copy) => (copy, at - w.tile_unit(w.first_slot_of(slice as u32, slices), slices)),
            None => (&m.channels[slice], at),
        };
        &bytes[at as usize * UNIT_BYTES..][..units as usize * UNIT_BYTES]
    }

    /// What the dot products read.
    pub fn sources<'a>(&'a self, taken: &'a Taken, m: &'a Memory) -> Sources<'a> {
        match taken {
            Taken::Loose(tile) => Sources::Expanded(tile),
            Taken::Whole { load, slot, tiles } => {
                let w = &self.load(*load).expect("invariant: it was just taken").work;
                Sources::Packed {
                    shape: &w.shape,
                    bytes: self.bytes(*load, *slot, *tiles, m),
                    stride: w.src_stride as usize * UNIT_BYTES,
                    len: w.tile_units() as usize * UNIT_BYTES,
                }
            }
        }
    }

    /// Forgets loads that no cursor will look at again.
    pub fn drop_used(&mut self) {
        for i in 0..self.words.len() {
            self.words[i] = self.settle(self.words[i], i as u32, |l| l.shape.kb);
            self.scales[i] = self.settle(self.scales[i], i as u32, |l| l.shape.sfifo_words());
        }
        let cursors = self.words.iter().chain(&self.scales);
        let keep = cursors.map(|c| c.load).min().unwrap_or(self.oldest);
        self.loads.drain(..(keep - self.oldest) as usize);
        self.oldest = keep;
    }

    /// Copies tiles that a store is about to overwrite: the FIFOs already hold the old data.
    pub fn preserve(&mut self, touched: std::ops::Range<u64>, m: &Memory) {
        let slices = self.words.len() as u32;
        for load in &mut self.loads {
            for slice in 0..slices {
                let w = &load.work;
                let tiles = w.tiles_of(slice, slices);
                if tiles == 0 || load.copies.get(slice as usize).is_some_and(|c| !c.is_empty()) {
                    continue;
                }
                let first = w.first_slot_of(slice, slices);
                let from = w.tile_unit(first, slices);
                let to = w.tile_unit(first + (tiles - 1) * slices, slices) + w.tile_units();
                if from < touched.end && touched.start < to {
                    load.copies.resize(slices as usize, Vec::new());
                    let bytes = from as usize * UNIT_BYTES..to as usize * UNIT_BYTES;
                    load.copies[slice as usize] = m.channels[slice as usize][bytes].to_vec();
                }
            }
        }
    }
}
