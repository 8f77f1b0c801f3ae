//! Exact conversion between memory ticks and kernel-clock cycles.

/// Ratio of two clocks that start together at 0. Whole numbers only, so a schedule is the same on
/// every host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockRatio {
    ticks: u64,
    cycles: u64,
}

impl ClockRatio {
    /// `memory_hz` and `kernel_hz`: frequencies of the two clocks.
    ///
    /// # Panics
    /// If a frequency is 0.
    pub fn new(memory_hz: u64, kernel_hz: u64) -> ClockRatio {
        assert!(memory_hz > 0 && kernel_hz > 0, "clocks of {memory_hz} Hz and {kernel_hz} Hz: expected > 0");
        let divisor = gcd(memory_hz, kernel_hz);
        ClockRatio { ticks: memory_hz / divisor, cycles: kernel_hz / divisor }
    }

    /// First tick that is not before the start of a kernel cycle.
    #[inline]
    pub fn tick_at(&self, cycle: u64) -> u64 {
        if self.cycles == 1 {
            cycle * self.ticks
        } else {
            (cycle * self.ticks).div_ceil(self.cycles)
        }
    }

    /// First kernel cycle that does not start before a tick.
    #[inline]
    pub fn cycle_at(&self, tick: u64) -> u64 {
        (tick * self.cycles).div_ceil(self.ticks)
    }

    /// Cycles that `ticks` take, if that is a whole number.
    pub fn whole_cycles(&self, ticks: u64) -> Option<u64> {
        (ticks * self.cycles).is_multiple_of(self.ticks).then(|| ticks * self.cycles / self.ticks)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion_is_exact_and_never_early() {
        for (memory, kernel) in [(900, 225), (900, 300), (900, 250), (900, 450), (1200, 225), (900, 999)] {
            let ratio = ClockRatio::new(memory * 1_000_000, kernel * 1_000_000);
            for n in (0..5000).chain((1 << 40)..(1 << 40) + 5000) {
                let tick = ratio.tick_at(n);
                // tick / memory >= n / kernel, and the tick before is earlier.
                assert!(tick * kernel >= n * memory);
                assert!(tick == 0 || (tick - 1) * kernel < n * memory);
                let cycle = ratio.cycle_at(n);
                assert!(cycle * memory >= n * kernel);
                assert!(cycle == 0 || (cycle - 1) * memory < n * kernel);
            }
        }
        assert_eq!(ClockRatio::new(900, 225).whole_cycles(4), Some(1));
        assert_eq!(ClockRatio::new(900, 300).whole_cycles(4), None);
    }
}
