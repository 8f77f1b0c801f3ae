//! Calendar of activate commands: tRRD and tFAW.

use crate::timing::Timing;
use std::collections::VecDeque;

/// ACTs a window of tFAW may hold.
const FAW_ACTS: usize = 4;

pub(crate) struct Activates {
    /// Tick and bank group of recent and coming ACTs, by tick.
    acts: VecDeque<(u64, usize)>,
    rrd_s: u64,
    rrd_l: u64,
    faw: u64,
}

impl Activates {
    pub fn new(timing: &Timing) -> Activates {
        Activates {
            acts: VecDeque::new(),
            rrd_s: timing.t_rrd_s,
            rrd_l: timing.t_rrd_l.max(timing.t_rrd_s),
            faw: timing.t_faw,
        }
    }

    /// ACTs before `tick` will not be asked for again.
    #[inline]
    pub fn advance(&mut self, tick: u64) {
        while self.acts.front().is_some_and(|a| a.0 + self.rrd_l.max(self.faw) <= tick) {
            self.acts.pop_front();
        }
    }

    fn apart(&self, a: usize, b: usize) -> u64 {
        if a == b {
            self.rrd_l
        } else {
            self.rrd_s
        }
    }

    /// First tick from `from` on at which the group may have an ACT.
    pub fn find(&self, from: u64, group: usize) -> u64 {
        let mut tick = from;
        while let Some(later) = self.obstacle(tick, group) {
            tick = later;
        }
        tick
    }

    /// If an ACT at `tick` breaks a rule: the next tick worth trying.
    fn obstacle(&self, tick: u64, group: usize) -> Option<u64> {
        let acts = &self.acts;
        let mut next = acts.len();
        while next > 0 && acts[next - 1].0 > tick {
            next -= 1;
        }
        // tRRD to the ACTs around; further ones can only be of interest within tRRD_L.
        for &(at, g) in acts.range(..next).rev().take_while(|a| a.0 + self.rrd_l > tick) {
            if at + self.apart(g, group) > tick {
                return Some(at + self.apart(g, group));
            }
        }
        for &(at, g) in acts.range(next..).take_while(|a| tick + self.rrd_l > a.0) {
            if tick + self.apart(g, group) > at {
                return Some(at + self.apart(g, group));
            }
        }
        // tFAW: the five ACTs with `before` of them earlier than this one.
        for before in 0..=FAW_ACTS {
            if before > next || next + FAW_ACTS - before > acts.len() {
                continue;
            }
            let first = if before == 0 { tick } else { acts[next - before].0 };
            let last = if before == FAW_ACTS { tick } else { acts[next + FAW_ACTS - before - 1].0 };
            if first + self.faw > last {
                return Some(if before == FAW_ACTS { first + self.faw } else { acts[next].0 + self.rrd_s });
            }
        }
        None
    }

    /// Enters an ACT at a tick that [`Activates::find`] gave.
    pub fn insert(&mut self, tick: u64, group: usize) {
        let mut at = self.acts.len();
        while at > 0 && self.acts[at - 1].0 > tick {
            at -= 1;
        }
        if at == self.acts.len() {
            self.acts.push_back((tick, group));
        } else {
            self.acts.insert(at, (tick, group));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_is_the_first_tick_that_keeps_every_rule() {
        for (rrd_s, rrd_l, faw) in [(4, 6, 15), (4, 6, 27), (1, 1, 40), (4, 4, 0)] {
            let timing = Timing { t_rrd_s: rrd_s, t_rrd_l: rrd_l, t_faw: faw, ..Timing::hbm2_u280() };
            let mut activates = Activates::new(&timing);
            let mut all: Vec<(u64, usize)> = Vec::new();
            let mut random = 7u64;
            for _ in 0..300 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let (from, group) = ((random >> 33) % 2500, (random >> 60) as usize % 4);
                let legal = |tick: u64| {
                    let mut with = all.clone();
                    with.push((tick, group));
                    with.sort_unstable();
                    with.windows(5).all(|w| w[4].0 - w[0].0 >= faw)
                        && all
                            .iter()
                            .all(|&(t, g)| t.abs_diff(tick) >= if g == group { rrd_l } else { rrd_s })
                };
                let expected = (from..).find(|&t| legal(t)).expect("unbounded");
                assert_eq!(activates.find(from, group), expected, "after {all:?}");
                activates.insert(expected, group);
                all.push((expected, group));
            }
        }
    }
}
