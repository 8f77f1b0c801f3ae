//! What a tile's units are for, in the order in which they come: the expansion's schedule without
//! its data.

use crate::tile::{Group, ScaleAt, TileShape};
use crate::work::LdWork;
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::isa::{names::*, NM_INDEX_UNITS};

/// What must have room before a unit is used, and what arrives after the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    Scales(u32),
    Word,
}

/// Units that belong together, `repeats` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub units: u32,
    pub repeats: u32,
    pub need: Need,
}

/// Items of a tile.
#[derive(Default)]
pub(crate) struct Recipe {
    pub items: Vec<Item>,
    /// Shape that `items` are for, if they are for all its tiles.
    shape: Option<TileShape>,
}

impl Recipe {
    /// For the tile at `unit` of a channel. Without contents, tiles of `mixed` are taken to spread
    /// their words evenly over their units.
    pub fn prepare(&mut self, w: &LdWork, units: u64, channel: &[u8], unit: u64) {
        if self.shape == Some(w.shape) && w.shape.fmt != FMT_MIXED {
            return;
        }
        self.shape = Some(w.shape);
        self.items.clear();
        if w.shape.fmt == FMT_MIXED && channel.is_empty() {
            self.spread(&w.shape, units);
            return;
        }
        let bytes = match w.shape.fmt {
            FMT_MIXED => &channel[unit as usize * UNIT_BYTES..][..units as usize * UNIT_BYTES],
            _ => &[],
        };
        if w.shape.bias {
            self.add(1, Need::Scales(1));
        }
        for g in w.shape.groups_of(bytes) {
            match g.scale {
                ScaleAt::Floats { .. } => self.add(1, Need::Scales(1)),
                ScaleAt::Halves { odd: false, .. } => {
                    let last = g.first_word + g.words == w.shape.kb;
                    self.add(1, Need::Scales(if last { 1 } else { 2 }));
                }
                _ => {}
            }
            self.words(&w.shape, &g);
        }
        let used: u64 = self.items.iter().map(|i| u64::from(i.units) * u64::from(i.repeats)).sum();
        if used < units {
            self.items.push(Item { units: 1, repeats: (units - used) as u32, need: Need::Nothing });
        }
    }

    fn add(&mut self, units: u32, need: Need) {
        self.items.push(Item { units, repeats: 1, need });
    }

    fn words(&mut self, shape: &TileShape, g: &Group) {
        let units = NM_INDEX_UNITS[shape.nm as usize] + g.value_units();
        let mut push = |units, repeats| self.items.push(Item { units, repeats, need: Need::Word });
        match g.sharers() {
            0 => push(units, g.words),
            1 => push(units + 1, g.words),
            // The first word of two comes with the unit that they share.
            n => (0..g.words).for_each(|i| push(units + u32::from(i % n == 0), 1)),
        }
    }

    fn spread(&mut self, shape: &TileShape, units: u64) {
        let groups = shape.groups();
        let fixed = u64::from(shape.bias) + u64::from(groups.div_ceil(2));
        let values = units.saturating_sub(fixed);
        if shape.bias {
            self.add(1, Need::Scales(1));
        }
        let (mut word, kb) = (0u64, u64::from(shape.kb));
        for g in 0..groups {
            if g % 2 == 0 {
                self.add(1, Need::Scales(if g + 1 == groups { 1 } else { 2 }));
            }
            for _ in 0..shape.group().min((kb - word) as u32) {
                let part = (word + 1) * values / kb - word * values / kb;
                self.add(part as u32, Need::Word);
                word += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(shape: TileShape, stride: u32) -> LdWork {
        let (rows, len, zero) = (1, shape.kb, 0);
        LdWork {
            mode: LD_WEIGHT,
            rows,
            len,
            dst: zero,
            dst_stride: zero,
            src: zero,
            src_stride: stride,
            sidx: zero,
            shape,
            first: zero,
        }
    }

    #[test]
    fn items_cover_the_units_of_a_tile_and_all_words_and_scales() {
        for fmt in [FMT_W8K, FMT_W4N, FMT_MIXED] {
            for nm in [NM_DENSE, NM_2OF4, NM_2OF16] {
                for kbg in [0, 1, 3, 4] {
                    let shape = TileShape { kb: 7, kbg, wscale: true, bias: true, fmt, nm };
                    let w = load(shape, 90);
                    let channel = vec![0; 64 * 90];
                    let mut r = Recipe::default();
                    r.prepare(&w, w.tile_units(), &channel, 0);
                    let count = |f: fn(&Item) -> u32| r.items.iter().map(|i| i.repeats * f(i)).sum::<u32>();
                    let scales = count(|i| if let Need::Scales(n) = i.need { n } else { 0 });
                    let words = count(|i| u32::from(i.need == Need::Word));
                    assert_eq!(u64::from(count(|i| i.units)), w.tile_units());
                    assert_eq!((words, scales), (7, shape.sfifo_words()), "{shape:?}");
                    r.spread(&shape, 90);
                }
            }
        }
    }
}
