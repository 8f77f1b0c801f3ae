//! Calendar of column commands: which slots of the command and data bus are taken.
//!
//! A slot is two ticks (a controller runs at half the memory clock). One bit a slot says that a
//! column command starts there, once for all bank groups and once for each.

/// Ticks of a slot.
pub(crate) const SLOT_TICKS: u64 = 2;
const GROUPS_MAX: usize = 4;
/// Column of a ring entry that holds the slots of all groups; the groups follow.
const ANY: usize = 0;

pub(crate) struct Columns {
    ring: Vec<[u64; 1 + GROUPS_MAX]>,
    /// Words below are forgotten, words from `first + ring.len()` on not yet there.
    first: u64,
    /// One past the last taken slot.
    end: u64,
    /// Slots between commands of different groups (tCCD_S) and of one group (tCCD_L).
    apart: u64,
    apart_in_group: u64,
}

impl Columns {
    /// `span_slots`: how far a command may lie after the oldest slot of interest.
    pub fn new(t_ccd_s: u64, t_ccd_l: u64, span_slots: u64) -> Columns {
        let words = (span_slots / 64 + 4).next_power_of_two();
        let (apart, apart_in_group) = (t_ccd_s.div_ceil(SLOT_TICKS), t_ccd_l.div_ceil(SLOT_TICKS));
        assert!(
            (1..=64).contains(&apart) && (apart..=64).contains(&apart_in_group),
            "tCCD_S {t_ccd_s} and tCCD_L {t_ccd_l}: expected 1 <= tCCD_S <= tCCD_L <= 128 ticks"
        );
        Columns { ring: vec![[0; 1 + GROUPS_MAX]; words as usize], first: 0, end: 0, apart, apart_in_group }
    }

    /// Slots before `slot` will not be asked for again. One word of history stays for tCCD.
    #[inline]
    pub fn advance(&mut self, slot: u64) {
        let keep = (slot / 64).saturating_sub(1);
        if keep > self.first {
            self.forget(keep);
        }
    }

    fn forget(&mut self, keep: u64) {
        let words = self.ring.len() as u64;
        for word in self.first..keep.min(self.first + words) {
            self.ring[(word & (words - 1)) as usize] = [0; 1 + GROUPS_MAX];
        }
        self.first = keep;
    }

    #[inline]
    fn word(&self, word: u64, column: usize) -> u64 {
        let words = self.ring.len() as u64;
        if word < self.first || word >= self.first + words {
            return 0;
        }
        self.ring[(word & (words - 1)) as usize][column]
    }

    /// Slots of a word that lie less than `apart` from a taken one of the column.
    fn too_close(&self, word: u64, column: usize, apart: u64) -> u64 {
        let here = self.word(word, column);
        if apart == 1 {
            return here;
        }
        let before = if word == 0 { 0 } else { self.word(word - 1, column) };
        let after = self.word(word + 1, column);
        (1..apart).fold(here, |close, distance| {
            close | here << distance | before >> (64 - distance) | here >> distance | after << (64 - distance)
        })
    }

    /// First slot from `from` on in which the group may have a column command.
    #[inline]
    pub fn find(&self, from: u64, group: usize) -> u64 {
        if from + 1 >= self.end + self.apart_in_group {
            return from;
        }
        let mut mask = u64::MAX << (from % 64);
        let mut word = from / 64;
        loop {
            let taken =
                self.too_close(word, ANY, self.apart) | self.too_close(word, 1 + group, self.apart_in_group);
            let free = !taken & mask;
            if free != 0 {
                return word * 64 + u64::from(free.trailing_zeros());
            }
            mask = u64::MAX;
            word += 1;
        }
    }

    /// Takes a slot.
    #[inline]
    pub fn insert(&mut self, slot: u64, group: usize) {
        let index = self.index(slot / 64);
        let bit = 1 << (slot % 64);
        self.ring[index][ANY] |= bit;
        self.ring[index][1 + group] |= bit;
        self.end = self.end.max(slot + 1);
    }

    /// Takes `count` slots, `stride` (a power of two up to 64) apart.
    pub fn insert_run(&mut self, start: u64, count: u64, stride: u64, group: usize) {
        if count == 0 {
            return;
        }
        let last = start + (count - 1) * stride;
        let pattern = (if stride == 64 { 1 } else { u64::MAX / ((1 << stride) - 1) }) << (start % stride);
        for word in start / 64..=last / 64 {
            let mut bits = pattern;
            if word == start / 64 {
                bits &= u64::MAX << (start % 64);
            }
            if word == last / 64 {
                bits &= u64::MAX >> (63 - last % 64);
            }
            let index = self.index(word);
            self.ring[index][ANY] |= bits;
            self.ring[index][1 + group] |= bits;
        }
        self.end = self.end.max(last + 1);
    }

    #[inline]
    fn index(&self, word: u64) -> usize {
        let words = self.ring.len() as u64;
        assert!(
            word >= self.first && word < self.first + words,
            "invariant: the reorder window bounds how far a command lies ahead"
        );
        (word & (words - 1)) as usize
    }

    /// One past the last taken slot.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Slots between commands of different groups.
    pub fn apart(&self) -> u64 {
        self.apart
    }

    /// Slots between commands of one group.
    pub fn apart_in_group(&self) -> u64 {
        self.apart_in_group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills slots greedily and compares with a plain list.
    #[test]
    fn find_is_the_first_slot_far_enough_from_all_taken_ones() {
        for (ccd_s, ccd_l) in [(2, 4), (4, 6), (2, 2), (8, 12)] {
            let mut columns = Columns::new(ccd_s, ccd_l, 4096);
            let (apart, in_group) = (ccd_s / 2, ccd_l / 2);
            let mut taken: Vec<(u64, usize)> = Vec::new();
            let mut random = 1u64;
            for _ in 0..600 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let (from, group) = ((random >> 33) % 1500, (random >> 60) as usize % 4);
                let fits = |slot: u64| {
                    taken.iter().all(|&(s, g)| s.abs_diff(slot) >= if g == group { in_group } else { apart })
                };
                let expected = (from..).find(|&s| fits(s)).expect("unbounded");
                assert_eq!(columns.find(from, group), expected);
                columns.insert(expected, group);
                taken.push((expected, group));
            }
        }
    }

    #[test]
    fn a_run_takes_the_same_slots_as_single_commands() {
        for (start, count, stride) in [(0, 5, 2), (63, 40, 2), (61, 33, 4), (5, 200, 1), (7, 9, 64)] {
            let mut run = Columns::new(2, 4, 1024);
            let mut single = Columns::new(2, 4, 1024);
            run.insert_run(start, count, stride, 2);
            (0..count).for_each(|i| single.insert(start + i * stride, 2));
            assert_eq!(run.ring, single.ring);
            assert_eq!(run.end, single.end);
        }
    }

    #[test]
    fn what_lies_behind_is_forgotten_except_the_last_word() {
        let mut columns = Columns::new(2, 4, 256);
        let span = columns.ring.len() as u64 * 64;
        columns.insert(3, 0);
        columns.insert(100, 0);
        columns.advance(128);
        assert_eq!(columns.find(99, 0), 102);
        columns.advance(1 << 40);
        assert!(columns.ring.iter().all(|w| w == &[0; 5]));
        columns.insert((1 << 40) + span - 200, 1);
    }
}
