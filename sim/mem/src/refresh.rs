//! All-bank refresh at fixed times.

/// REF at `phase + k * interval` for k = 1, 2, …; none if the interval is 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refresh {
    phase: u64,
    interval: u64,
    /// tRFC.
    busy: u64,
}

impl Refresh {
    pub fn new(phase: u64, interval: u64, busy: u64) -> Refresh {
        assert!(interval == 0 || busy < interval, "tRFC {busy} and tREFI {interval}: expected tRFC < tREFI");
        Refresh { phase, interval, busy }
    }

    /// First REF whose tRFC is not over at `tick`; far away if there is none.
    #[inline]
    pub fn not_over_at(&self, tick: u64) -> u64 {
        if self.interval == 0 {
            return u64::MAX / 2;
        }
        let over = tick.saturating_sub(self.phase + self.busy) / self.interval;
        // `over` refreshes are over, or none: the first comes one interval after the phase.
        self.phase + (over + 1) * self.interval
    }

    /// Tick at which the REF at `refresh` is over.
    #[inline]
    pub fn over(&self, refresh: u64) -> u64 {
        refresh + self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_refresh_under_way_or_next() {
        let refresh = Refresh::new(10, 100, 20);
        for (tick, expected) in [(0, 110), (109, 110), (110, 110), (129, 110), (130, 210), (230, 310)] {
            assert_eq!(refresh.not_over_at(tick), expected, "at {tick}");
        }
        assert!(Refresh::new(0, 0, 0).not_over_at(1 << 50) > 1 << 60);
    }
}
