//! `Fixed` against the two places that assume it: an AXI memory that moves pins cycle by cycle, and a
//! closed-form read stream.

use flightvlm_mem::{Fixed, MemoryPort, Request};
use proptest::prelude::*;
use std::collections::VecDeque;

/// AXI memory of fixed latency, one cycle at a time: it offers a beat of the oldest burst once the
/// latency is over, and hands out one response a cycle.
#[derive(Default)]
struct Pins {
    now: u64,
    latency: [u64; 2],
    /// Ready cycle, beats left.
    reads: VecDeque<(u64, u64)>,
    /// Ready cycle.
    responses: VecDeque<u64>,
    beats_seen: Vec<u64>,
    responses_seen: Vec<u64>,
}

impl Pins {
    /// One cycle: what is offered and taken, then what is accepted.
    fn cycle(&mut self, read: Option<u64>, write_ends: bool, receiver_ready: bool) {
        if let Some(burst) = self.reads.front_mut().filter(|b| b.0 <= self.now && receiver_ready) {
            self.beats_seen.push(self.now);
            burst.1 -= 1;
            if burst.1 == 0 {
                self.reads.pop_front();
            }
        }
        if self.responses.front().is_some_and(|&at| at <= self.now) {
            self.responses_seen.push(self.now);
            self.responses.pop_front();
        }
        if let Some(beats) = read {
            self.reads.push_back((self.now + self.latency[0], beats));
        }
        if write_ends {
            let at = self.now + self.latency[1];
            self.responses.push_back(self.responses.back().map_or(at, |&before| before.max(at)));
        }
        self.now += 1;
    }
}

/// The same cases in every run, and no file that remembers failures.
fn always_the_same(cases: u32) -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(2026);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(always_the_same(256))]

    /// With a receiver that is at times not ready: it takes what is offered by the rule of `MemoryPort`.
    #[test]
    fn equals_an_axi_memory_of_fixed_latency(
        latencies in (0u64..60, 0u64..60),
        cycles in prop::collection::vec((prop::option::weighted(0.1, 1u64..=16), prop::bool::weighted(0.1), prop::bool::weighted(0.8)), 1..400),
    ) {
        let mut pins = Pins { latency: [latencies.0.max(1), latencies.1.max(1)], ..Pins::default() };
        let mut fixed = Fixed::new(latencies.0, latencies.1);
        let (mut offered, mut responses, mut beats) = (Vec::new(), Vec::new(), Vec::new());
        for (cycle, &(read, write_ends, ready)) in cycles.iter().enumerate() {
            let cycle = cycle as u64;
            pins.cycle(read, write_ends, ready);
            if let Some(count) = read {
                fixed.read(Request { cycle, unit: 0, beats: count }, &mut beats);
                offered.extend_from_slice(&beats);
            }
            if write_ends {
                responses.push(fixed.write(Request { cycle, unit: 0, beats: 1 }));
            }
        }
        while !pins.reads.is_empty() || !pins.responses.is_empty() {
            pins.cycle(None, false, true);
        }
        let ready_at = |cycle: u64| cycles.get(cycle as usize).is_none_or(|c| c.2);
        let mut taken = 0;
        let by_rule: Vec<u64> = offered
            .iter()
            .map(|&offer| {
                let from = if taken == 0 { offer } else { offer.max(taken + 1) };
                taken = (from..).find(|&c| ready_at(c)).expect("ready some day");
                taken
            })
            .collect();
        prop_assert_eq!(&by_rule, &pins.beats_seen);
        // At most one write ends a cycle, so no two responses are ready together.
        prop_assert_eq!(&responses, &pins.responses_seen);
    }

    /// A row of units in bursts that end at 1 KiB borders, eight in flight, one address a cycle: the
    /// recurrence of the simulator's read stream.
    #[test]
    fn equals_the_read_stream_of_the_timing_model(latency in 1u64..120, from in 0u64..64, units in 1u64..600) {
        let mut fixed = Fixed::new(latency, 1);
        let (mut next_request, mut last_beat) = (5, 5);
        let mut in_flight: VecDeque<u64> = VecDeque::new();
        let (mut at, mut left) = (from, units);
        let mut beats = Vec::new();
        while left > 0 {
            if in_flight.len() == 8 {
                next_request = next_request.max(in_flight.pop_front().expect("not empty") + 1);
            }
            let count = 16.min(left).min(64 - at % 64);
            let expected: Vec<u64> = (0..count)
                .map(|i| {
                    last_beat = (last_beat + 1).max(if i == 0 { next_request + latency } else { 0 });
                    last_beat
                })
                .collect();
            fixed.read(Request { cycle: next_request, unit: at, beats: count }, &mut beats);
            prop_assert_eq!(&beats, &expected);
            in_flight.push_back(last_beat);
            next_request += 1;
            at += count;
            left -= count;
        }
    }
}

#[test]
fn a_row_of_n_beats_ends_as_the_manual_says() {
    // timing.md: done - start = 5 + L + n, with the first address at start + 5 and done a cycle after
    // the last beat.
    let mut fixed = Fixed::new(40, 20);
    let mut beats = Vec::new();
    fixed.read(Request { cycle: 5, unit: 0, beats: 16 }, &mut beats);
    fixed.read(Request { cycle: 6, unit: 16, beats: 16 }, &mut beats);
    assert_eq!(beats[15] + 1, 5 + 40 + 32);
    // ST: its last W at w, done at w + Lw + 1.
    assert_eq!(fixed.write(Request { cycle: 100, unit: 0, beats: 4 }), 120);
    fixed.reset();
    fixed.read(Request { cycle: 0, unit: 0, beats: 1 }, &mut beats);
    assert_eq!(beats, [40]);
}
