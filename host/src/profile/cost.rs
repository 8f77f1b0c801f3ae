//! What a request will cost, before it runs: launches simulated once, when a server starts, and
//! interpolated for each request.

use super::phase::Phase;
use super::runner::{interpolate, Runner};
use crate::energy::{PowerModel, Spread};
use flightvlm_compiler::program::Program;
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::{Counters, MachineError};

/// Simulated launches between which costs are interpolated. A prompt's cost is convex in its length
/// (attention), so what lies between two of them costs at most what is predicted.
pub struct CostModel {
    config: HwConfig,
    power: PowerModel,
    vision: Option<Counters>,
    /// Rows, cost; ascending.
    prefill: Vec<(usize, Counters)>,
    /// Position, cost; ascending.
    decode: Vec<(usize, Counters)>,
}

/// A prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Device cycles.
    pub cycles: u64,
    /// Seconds on the target.
    pub seconds: f64,
    /// Joules, modelled.
    pub joules: Spread,
}

impl CostModel {
    /// Simulates a handful of launches of the program.
    pub fn new(program: &Program) -> Result<CostModel, MachineError> {
        let meta = &program.meta;
        let context = meta.text.max_context;
        let mut run = Runner::new(program)?;
        let rows = points(&[1, 16, 64, context / 4, context / 2], context);
        let positions = points(&[1, context / 3, 2 * context / 3], context - 1);
        // With all tokens, which costs most.
        let vision = run.vision(None)?;
        let prefill =
            rows.into_iter().map(|n| Ok((n, run.text(0, n)?))).collect::<Result<_, MachineError>>()?;
        let decode =
            positions.into_iter().map(|p| Ok((p, run.text(p, 1)?))).collect::<Result<_, MachineError>>()?;
        let (config, power) = (meta.config.clone(), PowerModel::of(&meta.config));
        Ok(CostModel { config, power, vision, prefill, decode })
    }

    /// Upper bound of a request with `rows` prompt positions, pictures of `tiles` tiles in all included.
    pub fn predict(&self, tiles: usize, rows: usize, new_tokens: usize) -> Cost {
        let mut vision = Phase::default();
        (0..tiles).for_each(|_| vision.add(&self.vision.unwrap_or_default()));
        let mut prefill = Phase::default();
        prefill.add(&at(&self.prefill, rows));
        let mut decode = Phase::default();
        (1..new_tokens).for_each(|step| decode.add(&at(&self.decode, rows + step - 1)));
        let mut cost = Cost::default();
        for phase in [vision, prefill, decode] {
            let activity = phase.activity(&self.config);
            cost.cycles += phase.cycles;
            cost.seconds += activity.seconds;
            cost.joules = cost.joules + self.power.energy_j(&activity);
        }
        cost
    }

    /// Most new tokens for which a request stays within limits; `None`: not even one.
    pub fn affordable(
        &self,
        tiles: usize,
        rows: usize,
        most: usize,
        fits: impl Fn(&Cost) -> bool,
    ) -> Option<usize> {
        let fits = |tokens: usize| fits(&self.predict(tiles, rows, tokens));
        if !fits(1) {
            return None;
        }
        let (mut good, mut bad) = (1, most + 1);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if fits(middle) {
                good = middle;
            } else {
                bad = middle;
            }
        }
        Some(good)
    }
}

/// Distinct sampling points up to and including `last`.
fn points(wanted: &[usize], last: usize) -> Vec<usize> {
    let mut out: Vec<usize> = wanted.iter().map(|&n| n.clamp(1, last)).chain([last]).collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// The cost at a point; outside the samples, that of the nearest.
fn at(samples: &[(usize, Counters)], point: usize) -> Counters {
    let above = samples.partition_point(|(n, _)| *n < point);
    match (above.checked_sub(1).map(|below| &samples[below]), samples.get(above)) {
        (Some((a, low)), Some((b, high))) => interpolate(low, high, (point - a) as f64 / (b - a) as f64),
        (Some((_, nearest)), None) | (None, Some((_, nearest))) => *nearest,
        (None, None) => Counters::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_distinct_and_end_at_the_last() {
        assert_eq!(points(&[1, 16, 64, 8, 16], 32), [1, 8, 16, 32]);
        assert_eq!(points(&[1], 1), [1]);
    }

    #[test]
    fn between_samples_the_cost_is_linear() {
        let counters = |cycles| Counters { cycles, ..Counters::default() };
        let samples = [(1, counters(100)), (11, counters(200))];
        assert_eq!([0, 1, 6, 11, 50].map(|n| at(&samples, n).cycles), [100, 100, 150, 200, 200]);
    }
}
