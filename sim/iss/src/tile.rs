//! What a weight tile looks like in its channel: where each group's scales and words lie.
//! Format: `hw/doc/microarchitecture.md` 3.1.

use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::isa::{names::*, MIXED_BITS, NM_INDEX_UNITS};

/// Everything that says how a tile is stored, but for the format codes of `mixed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TileShape {
    /// Stored words.
    pub kb: u32,
    /// Words a scale group, 0 = all.
    pub kbg: u32,
    pub wscale: bool,
    pub bias: bool,
    pub fmt: u32,
    pub nm: u32,
}

/// Where the scales of a group lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScaleAt {
    None,
    /// A unit of f32.
    Floats {
        unit: usize,
    },
    /// A unit of bfloat16 pairs: the upper halves are an even group's, the lower ones an odd group's.
    Halves {
        unit: usize,
        odd: bool,
    },
}

/// A scale group of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    pub first_word: u32,
    pub words: u32,
    pub bits: u32,
    pub scale: ScaleAt,
    /// Unit of the first word (its index units, if any).
    pub unit: usize,
}

impl Group {
    /// Words that share a unit of extra bits; 0: there are none.
    pub fn sharers(&self) -> u32 {
        match self.bits {
            3 | 5 => 2,
            6 => 1,
            _ => 0,
        }
    }
    /// Value units of a word.
    pub fn value_units(&self) -> u32 {
        match self.bits {
            8 => 4,
            2 | 3 => 1,
            _ => 2,
        }
    }
    /// Units of the group's first `words` words.
    #[inline]
    pub fn units_of(&self, words: u32, nm: u32) -> usize {
        let each = NM_INDEX_UNITS[nm as usize] + self.value_units();
        let extra = words.checked_div(self.sharers()).map_or(0, |_| words.div_ceil(self.sharers()));
        (each * words + extra) as usize
    }
}

impl TileShape {
    pub fn group(&self) -> u32 {
        if self.kbg == 0 {
            self.kb
        } else {
            self.kbg.min(self.kb)
        }
    }
    pub fn groups(&self) -> u32 {
        self.kb.div_ceil(self.group().max(1))
    }
    /// SFIFO words of a tile.
    pub fn sfifo_words(&self) -> u32 {
        u32::from(self.bias) + if self.wscale { self.groups() } else { 0 }
    }
    /// Outputs contiguous: one input's values of all outputs lie together.
    pub fn layout_n(&self) -> bool {
        self.fmt == FMT_W8N || self.fmt == FMT_W4N
    }
    /// Units of a tile; `None` for `mixed`, whose tiles are as long as the load's stride.
    pub fn units(&self) -> Option<u64> {
        let values = match self.fmt {
            FMT_W8K | FMT_W8N => 4,
            FMT_W4K | FMT_W4N => 2,
            _ => return None,
        };
        let word = values + NM_INDEX_UNITS[self.nm as usize];
        Some(u64::from(self.sfifo_words()) + u64::from(self.kb) * u64::from(word))
    }

    /// Units of the longest tile of this shape.
    pub fn most_units(&self) -> u64 {
        let word = 4 + NM_INDEX_UNITS[self.nm as usize];
        self.units()
            .unwrap_or(u64::from(self.bias) + u64::from(self.groups()) + u64::from(self.kb) * u64::from(word))
    }

    /// The groups of the tile that `tile` holds (units behind its end read as zero); `mixed` reads
    /// its format codes there, the other formats look at nothing.
    #[inline]
    pub fn groups_of(self, tile: &[u8]) -> Groups<'_> {
        Groups { shape: self, tile, odd: false, first_word: 0, unit: usize::from(self.bias), pair_unit: 0 }
    }
}

/// Iterator over the groups of a tile.
pub(crate) struct Groups<'a> {
    shape: TileShape,
    tile: &'a [u8],
    /// The next group is an odd one.
    odd: bool,
    first_word: u32,
    unit: usize,
    /// Unit of the scales of the last pair of groups.
    pair_unit: usize,
}

impl Iterator for Groups<'_> {
    type Item = Group;

    #[inline(always)]
    fn next(&mut self) -> Option<Group> {
        let (shape, first_word, odd) = (&self.shape, self.first_word, self.odd);
        if first_word >= shape.kb {
            return None;
        }
        let words = shape.group().min(shape.kb - first_word);
        let (mut bits, mut scale) = (8, ScaleAt::None);
        if shape.fmt == FMT_MIXED {
            if !odd {
                self.pair_unit = self.unit;
                self.unit += 1;
            }
            scale = ScaleAt::Halves { unit: self.pair_unit, odd };
            bits = MIXED_BITS[format_code(self.tile, self.pair_unit, odd)];
        } else {
            if shape.fmt == FMT_W4K || shape.fmt == FMT_W4N {
                bits = 4;
            }
            if shape.wscale {
                scale = ScaleAt::Floats { unit: self.unit };
                self.unit += 1;
            }
        }
        let group = Group { first_word, words, bits, scale, unit: self.unit };
        self.unit += group.units_of(words, shape.nm);
        self.first_word += words;
        self.odd = !odd;
        Some(group)
    }
}

/// The sign bits of the group's first three scales.
#[inline]
fn format_code(tile: &[u8], unit: usize, odd: bool) -> usize {
    let at = unit * UNIT_BYTES + if odd { 1 } else { 3 };
    (0..3).map(|i| usize::from(tile.get(at + 4 * i).copied().unwrap_or(0) >> 7) << i).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_each_other_without_gaps() {
        let shape = TileShape { kb: 7, kbg: 3, wscale: true, bias: true, fmt: FMT_W4K, nm: NM_4OF16 };
        let groups: Vec<Group> = shape.groups_of(&[]).collect();
        let units: Vec<_> = groups.iter().map(|g| (g.words, g.unit, g.scale)).collect();
        let floats = |unit| ScaleAt::Floats { unit };
        assert_eq!(units, vec![(3, 2, floats(1)), (3, 15, floats(14)), (1, 28, floats(27))]);
        assert_eq!(shape.units(), Some(32));
    }

    #[test]
    fn mixed_groups_share_scale_units_and_have_their_own_widths() {
        let shape = TileShape { kb: 8, kbg: 3, wscale: true, bias: false, fmt: FMT_MIXED, nm: NM_DENSE };
        // Codes: group 0 = 3 (3 bits), 1 = 2 (2 bits); the rest of the tile is missing: 8 bits.
        let mut tile = vec![0u8; 64];
        (tile[3], tile[7], tile[5]) = (0x80, 0x80, 0x80);
        let groups: Vec<Group> = shape.groups_of(&tile).collect();
        assert_eq!(groups.iter().map(|g| (g.bits, g.unit)).collect::<Vec<_>>(), [(3, 1), (2, 6), (8, 10)]);
        assert_eq!(groups[1].scale, ScaleAt::Halves { unit: 0, odd: true });
        assert_eq!(groups[2].scale, ScaleAt::Halves { unit: 9, odd: false });
    }
}
