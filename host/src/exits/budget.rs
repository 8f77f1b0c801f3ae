//! From a budget to thresholds.

use super::Exits;
use serde::Serialize;

/// Thresholds for a budget, and what they come to on the questions that they were chosen with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Layers behind which a run may end.
    pub layers: Vec<usize>,
    /// The change below which it does; the last one ends in any case.
    pub thresholds: Vec<f32>,
    /// Share of the questions that end there.
    pub shares: Vec<f64>,
    /// Mean cycles of a question.
    pub cycles: f64,
}

/// Shares of exits of which the average costs no more than `budget`: `q_i = z q^i` with the largest q that keeps it.
/// `None` where even the first exit costs more.
fn shares(costs: &[f64], budget: f64) -> Option<Vec<f64>> {
    let of = |log_q: f64| -> Vec<f64> {
        // Relative to the largest, so that no power overflows.
        let most = if log_q > 0.0 { (costs.len() - 1) as f64 } else { 0.0 };
        let powers: Vec<f64> = (0..costs.len()).map(|i| ((i as f64 - most) * log_q).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|p| p / sum).collect()
    };
    let mean = |shares: &[f64]| shares.iter().zip(costs).map(|(share, cost)| share * cost).sum::<f64>();
    if costs.first().is_none_or(|first| *first > budget) {
        return None;
    }
    if costs.last().is_some_and(|last| *last <= budget) {
        return Some((0..costs.len()).map(|i| if i + 1 == costs.len() { 1.0 } else { 0.0 }).collect());
    }
    let (mut low, mut high) = (-60.0, 60.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if mean(&of(middle)) <= budget {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(of(low))
}

impl Plan {
    /// For exits behind `layers` that cost `costs`, and changes seen there, `changes[question][exit]`.
    pub(super) fn new(layers: &[usize], costs: &[f64], changes: &[Vec<f32>], budget: f64) -> Option<Plan> {
        let wanted = shares(costs, budget)?;
        let count = changes.len();
        let mut left: Vec<&Vec<f32>> = changes.iter().collect();
        let (mut thresholds, mut found, mut sum) = (Vec::new(), Vec::new(), 0.0);
        for (exit, share) in wanted.iter().enumerate() {
            sum += share;
            if exit + 1 == wanted.len() {
                thresholds.push(f32::INFINITY);
                found.push(left.len());
                break;
            }
            // As many as must have ended by here, rounded up: what is rounded costs less, not more.
            let must = ((count as f64 * sum - 1e-9).ceil().max(0.0) as usize).min(count);
            let here = must.saturating_sub(count - left.len());
            left.sort_by(|a, b| a[exit].total_cmp(&b[exit]));
            let threshold = match (here.checked_sub(1).map(|last| left[last][exit]), left.get(here)) {
                (None, _) => 0.0,
                (Some(last), None) => last.next_up(),
                (Some(last), Some(next)) => last.midpoint(next[exit]).max(last.next_up()),
            };
            let before = left.len();
            left.retain(|changes| changes[exit] >= threshold);
            thresholds.push(threshold);
            found.push(before - left.len());
        }
        let shares: Vec<f64> = found.iter().map(|n| *n as f64 / count as f64).collect();
        let cycles = shares.iter().zip(costs).map(|(share, cost)| share * cost).sum();
        Some(Plan { layers: layers.to_vec(), thresholds, shares, cycles })
    }

    /// For a run that first looks behind `first` layers.
    pub fn exits(&self, first: usize) -> Exits {
        let layers = [&[first], &self.layers[..]].concat();
        Exits { layers, thresholds: self.thresholds.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_budget_is_used_and_kept() {
        let costs = [10.0, 20.0, 40.0];
        assert_eq!(shares(&costs, 9.9), None);
        assert_eq!(shares(&costs, 40.0), Some(vec![0.0, 0.0, 1.0]));
        for budget in [10.5, 15.0, 25.0, 39.0] {
            let shares = shares(&costs, budget).expect("enough");
            let mean: f64 = shares.iter().zip(costs).map(|(s, c)| s * c).sum();
            assert!((mean - budget).abs() < 1e-6 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let q = [shares[1] / shares[0], shares[2] / shares[1]];
            assert!((q[0] / q[1] - 1.0).abs() < 1e-9, "a geometric row: {shares:?}");
        }
    }

    proptest! {
        /// On the questions that thresholds are chosen with, the budget holds, and runs with them end where the plan says.
        #[test]
        fn thresholds_do_what_the_plan_says(
            changes in prop::collection::vec(prop::collection::vec(0.0f32..1.4, 3), 1..60), budget in 10.0f64..50.0,
        ) {
            let (layers, costs) = ([2, 3, 4], [10.0, 20.0, 40.0]);
            let plan = Plan::new(&layers, &costs, &changes, budget).expect("enough");
            prop_assert!(plan.cycles <= budget + 1e-9);
            let mut ended = [0usize; 3];
            for changes in &changes {
                let at = (0..3).find(|&i| changes[i] < plan.thresholds[i]).expect("the last ends all");
                ended[at] += 1;
            }
            let shares = ended.map(|n| n as f64 / changes.len() as f64);
            prop_assert_eq!(&shares[..], &plan.shares[..]);
        }
    }
}
