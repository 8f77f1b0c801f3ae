//! When entries of a FIFO arrive and when its slots become free: the coupling between a weight load
//! and the matrix command that consumes it.

use std::collections::VecDeque;

/// One FIFO's timing: when each entry was pushed and each slot freed.
pub(crate) struct FifoTimes {
    depth: usize,
    pushed: u64,
    popped: u64,
    /// Arrival of each entry that is there, oldest first.
    pub push_at: VecDeque<u64>,
    pop_at: VecDeque<u64>,
}

impl FifoTimes {
    /// An empty FIFO of `depth` entries.
    pub fn new(depth: u32) -> FifoTimes {
        let (push_at, pop_at) = (VecDeque::new(), VecDeque::new());
        FifoTimes { depth: depth as usize, pushed: 0, popped: 0, push_at, pop_at }
    }
    /// Cycle from which the next entry has a slot; `None`: not known yet.
    pub fn slot(&self) -> Option<u64> {
        if ((self.pushed - self.popped) as usize) < self.depth {
            // The slot of entry i was freed by the pop of entry i − depth.
            let age = (self.pushed + self.pop_at.len() as u64).checked_sub(self.popped);
            let index = age.and_then(|a| (a as usize).checked_sub(self.depth));
            Some(index.and_then(|i| self.pop_at.get(i)).map_or(0, |t| t + 1))
        } else {
            None
        }
    }
    /// An entry arrives.
    pub fn push(&mut self, at: u64) {
        self.pushed += 1;
        self.push_at.push_back(at);
    }
    /// The oldest entry leaves.
    pub fn pop(&mut self, at: u64) {
        self.popped += 1;
        self.push_at.pop_front();
        self.pop_at.push_back(at);
        if self.pop_at.len() > self.depth {
            self.pop_at.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FifoTimes;

    #[test]
    fn a_slot_is_free_one_cycle_after_the_pop_that_freed_it() {
        let mut f = FifoTimes::new(2);
        assert_eq!(f.slot(), Some(0));
        f.push(5);
        f.push(6);
        assert_eq!(f.slot(), None, "full, and no pop is known yet");
        f.pop(20);
        assert_eq!(f.slot(), Some(21));
        f.push(22);
        assert_eq!((f.slot(), f.push_at.len()), (None, 2));
        f.pop(30);
        f.pop(31);
        assert_eq!(f.slot(), Some(31), "the slot of the entry before last");
    }
}
