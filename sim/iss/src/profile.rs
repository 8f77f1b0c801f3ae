//! Where the cycles go: an account of a launch by unit, by instruction and by channel.

use flightvlm_hw::isa::Unit;

/// Account of one instruction (all its executions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PcProfile {
    /// Executing queue (0 ld, 1 st, 2 mm, 3 vx); meaningless while `commands` is 0.
    pub unit: u8,
    /// Commands completed.
    pub commands: u64,
    /// Cycles from the issue to the completion, as in `Counters::busy_cycles`.
    pub busy_cycles: u64,
    /// Cycles at the head of the idle unit's queue, waiting for tokens.
    pub token_wait_cycles: u64,
    /// Matrix commands: cycles without weights.
    pub starved_cycles: u64,
    /// Loads and stores: busy cycles in which no beat moved (latency, refresh, limits, set-up).
    pub memory_wait_cycles: u64,
    /// Bytes from or to main memory and channels (a weight load: what it asks for).
    pub bytes: u64,
    /// Array beats × rows × slices, 256 stored MACs each.
    pub mac_beats: u64,
    /// Matrix commands: beats that their shape keeps from multiplying.
    pub lost: LostBeats,
}

/// Beats × rows × slices, as in `Counters::mac_beats`, in which a matrix command does not multiply, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LostBeats {
    /// Slices without a tile: the tiles do not fill the round.
    pub no_tile: u64,
    /// A pair of rows that lacks the second one.
    pub one_row: u64,
    /// The sum over the inputs is shorter than what its results take in the dequantiser and SPAD.
    pub results: u64,
}

impl LostBeats {
    pub(crate) fn add(&mut self, other: &LostBeats) {
        self.no_tile += other.no_tile;
        self.one_row += other.one_row;
        self.results += other.results;
    }
}

/// Account of a channel's read side. Cycles with a beat, idle cycles by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelProfile {
    /// Beats requested.
    pub read_beats: u64,
    /// Beats written.
    pub write_beats: u64,
    /// The FIFO was full: the matrix unit is behind.
    pub fifo_full_cycles: u64,
    /// No load was posted: the load unit waited for tokens, the dispatcher or a store.
    pub no_load_cycles: u64,
    /// The memory had not answered: latency, refresh, row changes, bursts in flight at their limit.
    pub memory_cycles: u64,
}

impl ChannelProfile {
    /// A beat was taken: `before` is the beat before it, `pushed` the push of its load.
    pub(crate) fn beat(&mut self, before: u64, offered: u64, taken: u64, pushed: u64) {
        let next = before + 1;
        if taken <= next {
            return;
        }
        let offered = offered.max(next);
        let pushed = pushed.clamp(next, offered);
        self.fifo_full_cycles += taken - offered;
        self.no_load_cycles += pushed - next;
        self.memory_cycles += offered - pushed;
    }
}

/// One execution of an instruction by a unit, in cycles from the start of the launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Instruction index.
    pub pc: u32,
    /// Issue.
    pub start: u64,
    /// Completion.
    pub end: u64,
}

/// Beats that a channel gave, by window of equal length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BeatWindows {
    window_cycles: u64,
    /// Beats of each window.
    pub beats: Vec<u32>,
}

impl BeatWindows {
    pub(crate) fn new(window_cycles: u64) -> BeatWindows {
        BeatWindows { window_cycles, beats: Vec::new() }
    }

    /// `count` beats were taken, one a cycle, the last one at a cycle.
    #[inline]
    pub(crate) fn add(&mut self, count: u64, last: u64) {
        if self.window_cycles == 0 {
            return;
        }
        for cycle in (last + 1).saturating_sub(count)..=last {
            let window = (cycle / self.window_cycles) as usize;
            if window >= self.beats.len() {
                self.beats.resize(window + 1, 0);
            }
            self.beats[window] += 1;
        }
    }
}

/// Account of one launch. Cycles of a unit: `Counters`; what is neither busy nor waiting there is
/// an empty queue (the dispatcher, or nothing to do).
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// By instruction index in the code.
    pub by_pc: Vec<PcProfile>,
    /// By channel.
    pub channels: Vec<ChannelProfile>,
    /// Cycles of a window of `channel_windows`; 0: neither those nor `spans` are kept.
    pub window_cycles: u64,
    /// What each unit did (ld, st, mm, vx), in the order of completion.
    pub spans: [Vec<Span>; 4],
    /// By channel.
    pub channel_windows: Vec<BeatWindows>,
}

impl Profile {
    pub(crate) fn command(&mut self, pc: u32, unit: Unit) -> &mut PcProfile {
        let p = &mut self.by_pc[pc as usize];
        p.unit = unit as u8;
        p
    }
}

#[cfg(test)]
mod tests {
    use super::{BeatWindows, ChannelProfile};

    #[test]
    fn beats_fall_into_their_windows() {
        let mut w = BeatWindows::new(10);
        w.add(3, 10);
        w.add(1, 35);
        assert_eq!(w.beats, [2, 1, 0, 1]);
        let mut none = BeatWindows::default();
        none.add(3, 10);
        assert_eq!(none.beats, []);
    }

    #[test]
    fn a_gap_is_split_by_cause() {
        let mut c = ChannelProfile::default();
        c.beat(10, 11, 11, 0);
        assert_eq!(c, ChannelProfile::default());
        c.beat(10, 30, 35, 20);
        assert_eq!((c.no_load_cycles, c.memory_cycles, c.fifo_full_cycles), (9, 10, 5));
        c.beat(35, 33, 36, 0);
        assert_eq!((c.no_load_cycles, c.memory_cycles, c.fifo_full_cycles), (9, 10, 5));
    }
}
