//! What holds a phase up: the busiest unit, the parts of the model that keep it, and what the
//! channels wait for.

use flightvlm_compiler::program::Meta;
use flightvlm_hw::machine::Counters;
use flightvlm_iss::profile::{PcProfile, Profile};
use serde::Serialize;
use std::collections::BTreeMap;

/// Names of the units, in the order of their queues.
pub const UNITS: [&str; 4] = ["ld", "st", "mm", "vx"];

/// A part of the model on one unit.
#[derive(Debug, Clone, Serialize)]
pub struct PartTime {
    /// Part, as the program's marks name it.
    pub part: String,
    /// Unit.
    pub unit: &'static str,
    /// Share of the launch's cycles in which the unit worked for it.
    pub share: f64,
}

/// Where the channels' cycles go, shares of the launch.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ChannelTime {
    /// Beats moved.
    pub moving: f64,
    /// The FIFO was full: the matrix unit is behind.
    pub fifo_full: f64,
    /// No load was posted.
    pub no_load: f64,
    /// The memory had not answered.
    pub memory: f64,
}

/// Where the beats of the array go, shares of what it could multiply in the launch.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ArrayTime {
    /// Multiplying.
    pub multiplying: f64,
    /// Slices without a tile of 16 outputs in a command's last round.
    pub no_tile: f64,
    /// The second row of a pair was missing.
    pub one_row: f64,
    /// A sum over few inputs was over before the results in front of it were written.
    pub results: f64,
    /// The weights were not there.
    pub starved: f64,
}

/// The account of one launch.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Bottleneck {
    /// Shares in which ld, st, mm, vx executed commands.
    pub busy: [f64; 4],
    /// Shares in which they waited for another unit's token.
    pub waiting: [f64; 4],
    /// The array of mm.
    pub array: ArrayTime,
    /// Mean of all channels.
    pub channels: ChannelTime,
    /// The longest parts of the matrix and the vector unit.
    pub parts: Vec<PartTime>,
}

/// Parts that are listed.
const PARTS: usize = 6;

impl Bottleneck {
    /// Of a profiled launch.
    pub fn of(meta: &Meta, c: &Counters, p: &Profile) -> Bottleneck {
        let cycles = c.cycles.max(1) as f64;
        let share = |cycles_of: u64| cycles_of as f64 / cycles;
        let mut parts: BTreeMap<(&str, u8), u64> = BTreeMap::new();
        for (pc, of) in (0..).zip(&p.by_pc) {
            if of.commands > 0 && of.unit >= 2 {
                *parts.entry((meta.part(pc), of.unit)).or_default() += of.busy_cycles;
            }
        }
        let mut parts: Vec<PartTime> = parts
            .into_iter()
            .map(|((part, unit), busy)| PartTime {
                part: part.to_owned(),
                unit: UNITS[usize::from(unit)],
                share: share(busy),
            })
            .collect();
        parts.sort_by(|a, b| b.share.total_cmp(&a.share));
        parts.truncate(PARTS);
        let mean = |what: fn(&flightvlm_iss::profile::ChannelProfile) -> u64| {
            share(p.channels.iter().map(what).sum::<u64>()) / p.channels.len().max(1) as f64
        };
        let beats = |of: fn(&PcProfile) -> u64| {
            let all = 2.0 * cycles * p.channels.len().max(1) as f64;
            p.by_pc.iter().map(of).sum::<u64>() as f64 / all
        };
        Bottleneck {
            busy: c.busy_cycles.map(share),
            waiting: c.wait_cycles.map(share),
            array: ArrayTime {
                multiplying: beats(|p| p.mac_beats),
                no_tile: beats(|p| p.lost.no_tile),
                one_row: beats(|p| p.lost.one_row),
                results: beats(|p| p.lost.results),
                starved: share(c.starved_cycles),
            },
            channels: ChannelTime {
                moving: mean(|c| c.read_beats + c.write_beats),
                fifo_full: mean(|c| c.fifo_full_cycles),
                no_load: mean(|c| c.no_load_cycles),
                memory: mean(|c| c.memory_cycles),
            },
            parts,
        }
    }
}
