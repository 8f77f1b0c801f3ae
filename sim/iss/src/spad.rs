//! The write port of SPAD: when the matrix unit has it.

use std::collections::VecDeque;
use std::ops::Range;

/// Cycles in which the matrix unit writes, in order; those that are over are forgotten.
#[derive(Default)]
pub(crate) struct MatrixWrites {
    spans: VecDeque<Range<u64>>,
    /// Spans that are forgotten.
    forgotten: u64,
}

impl MatrixWrites {
    /// A row's words of some slices.
    pub fn push(&mut self, span: Range<u64>) {
        self.spans.push_back(span);
    }

    /// Number of the first span that is kept.
    pub fn first(&self) -> u64 {
        self.forgotten
    }

    /// A span by its number.
    pub fn get(&self, number: u64) -> Option<&Range<u64>> {
        self.spans.get(usize::try_from(number.checked_sub(self.forgotten)?).ok()?)
    }

    /// Forgets what is over before a cycle.
    pub fn forget(&mut self, cycle: u64) {
        while self.spans.front().is_some_and(|span| span.end <= cycle) {
            self.spans.pop_front();
            self.forgotten += 1;
        }
    }

    /// The first cycle from one on in which the port is free, as far as it is known.
    pub fn free_from(&self, cycle: u64) -> u64 {
        let at = self.spans.partition_point(|span| span.end <= cycle);
        self.spans.get(at).filter(|span| span.start <= cycle).map_or(cycle, |span| span.end)
    }
}
