//! When entries of a FIFO arrive and when its places become free: the coupling between a weight
//! stream and the matrix commands that consume it.

/// One FIFO's timing: when each entry was pushed and each place freed.
pub(crate) struct FifoTimes {
    /// Depth − 1; the depth is a power of two or rounded up to one in the rings only.
    mask: usize,
    depth: u64,
    /// From a pop until its place can be used.
    place_cycles: u64,
    pushed: u64,
    popped: u64,
    /// Cycle in which each entry can be seen first.
    push_at: Box<[u64]>,
    pop_at: Box<[u64]>,
}

impl FifoTimes {
    /// An empty FIFO of `depth` entries; a place is free `place_cycles` after the pop.
    pub fn new(depth: u32, place_cycles: u64) -> FifoTimes {
        let ring = (depth as usize).next_power_of_two();
        let times = || vec![0; ring].into_boxed_slice();
        FifoTimes {
            mask: ring - 1,
            depth: u64::from(depth),
            place_cycles,
            pushed: 0,
            popped: 0,
            push_at: times(),
            pop_at: times(),
        }
    }

    /// Cycle from which `n` more entries have room; `None`: not known yet.
    #[inline]
    pub fn room(&self, n: u64) -> Option<u64> {
        // The place of entry i was freed by the pop of entry i − depth.
        let freed = (self.pushed + n).saturating_sub(self.depth);
        if freed == 0 {
            Some(0)
        } else if freed <= self.popped {
            Some(self.pop_at[(freed as usize - 1) & self.mask] + self.place_cycles)
        } else {
            None
        }
    }

    /// An entry arrives.
    #[inline]
    pub fn push(&mut self, at: u64) {
        self.push_at[self.pushed as usize & self.mask] = at;
        self.pushed += 1;
    }

    /// Entries that are there.
    pub fn len(&self) -> usize {
        (self.pushed - self.popped) as usize
    }

    /// `latest[i] = max(latest[i], arrival of entry i)`.
    pub fn latest_arrivals(&self, latest: &mut [u64]) {
        let start = self.popped as usize & self.mask;
        let until_wrap = latest.len().min(self.push_at.len() - start);
        let (a, b) = latest.split_at_mut(until_wrap);
        for (l, t) in a.iter_mut().zip(&self.push_at[start..]).chain(b.iter_mut().zip(&self.push_at[..])) {
            *l = (*l).max(*t);
        }
    }

    /// The oldest entries leave, one at each of these cycles.
    pub fn pop_at(&mut self, times: &[u64]) {
        for t in times {
            self.pop_at[self.popped as usize & self.mask] = *t;
            self.popped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FifoTimes;

    #[test]
    fn a_place_is_free_one_cycle_after_the_pop_that_freed_it() {
        let mut f = FifoTimes::new(2, 1);
        assert_eq!(f.room(2), Some(0));
        f.push(5);
        assert_eq!((f.room(1), f.room(2)), (Some(0), None));
        f.push(6);
        assert_eq!(f.room(1), None, "full, and no pop is known yet");
        f.pop_at(&[20]);
        assert_eq!((f.room(1), f.room(2)), (Some(21), None));
        f.push(22);
        assert_eq!((f.room(1), f.len()), (None, 2));
        f.pop_at(&[30, 31]);
        assert_eq!((f.room(1), f.room(2)), (Some(31), Some(32)));
    }

    #[test]
    fn arrivals_are_read_around_the_end_of_the_ring() {
        let mut f = FifoTimes::new(4, 2);
        (1..=4).for_each(|t| f.push(t));
        f.pop_at(&[9, 9, 9]);
        f.push(12);
        let mut latest = [0, 13];
        f.latest_arrivals(&mut latest);
        assert_eq!(latest, [4, 13]);
    }
}
