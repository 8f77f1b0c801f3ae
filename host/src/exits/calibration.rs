//! What exits did on questions set aside, as a file.

use super::Plan;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a question costs that ends at an exit, by the cycle model (simulated).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Layers.
    pub layers: usize,
    /// Cycles of the prompt, all looks on the way included.
    pub prompt_cycles: u64,
    /// Cycles of a token behind it.
    pub step_cycles: u64,
}

/// Changes at exits, and costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Fingerprint of the program that it is about.
    pub program: u32,
    /// Target of the program.
    pub target: String,
    /// Layers behind which a run is looked at; it may end behind all but the first.
    pub layers: Vec<usize>,
    /// For each of them.
    pub costs: Vec<Cost>,
    /// Rows of the prompts, on average: what the costs are for.
    pub prompt_rows: usize,
    /// Tokens of an answer of the whole model, the end token included, on average.
    pub answer_tokens: f64,
    /// For every question, the change at each exit.
    pub changes: Vec<Vec<f32>>,
    /// For every question, whether the next token at each exit is that of the whole model.
    pub same_token: Vec<Vec<bool>>,
}

/// Why there are no thresholds.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The file.
    #[error("cannot read {path}: {error}")]
    Io {
        /// Its name.
        path: String,
        /// What went wrong.
        error: std::io::Error,
    },
    /// Its content.
    #[error("{path} is no calibration of early exits: {what}; `flightvlm exits` writes one")]
    Content {
        /// Its name.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// Another program.
    #[error("{path} was made with another program; make it again with this model, target and weight format")]
    Program {
        /// Its name.
        path: String,
    },
    /// Too few cycles.
    #[error("an exit budget of {budget} cycles is too small: the cheapest exit, behind {layers} layers, takes {least:.0}")]
    Budget {
        /// Asked for.
        budget: u64,
        /// The exit.
        layers: usize,
        /// Its cycles.
        least: f64,
    },
}

impl Calibration {
    /// Reads a file and checks it against the program that is to run.
    pub fn read(path: &Path, program: u32) -> Result<Calibration, CalibrationError> {
        let name = || path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| CalibrationError::Io { path: name(), error })?;
        let content = |what: String| CalibrationError::Content { path: name(), what };
        let c: Calibration = serde_json::from_slice(&bytes).map_err(|e| content(e.to_string()))?;
        c.check().map_err(|what| content(what.into()))?;
        match c.program == program {
            true => Ok(c),
            false => Err(CalibrationError::Program { path: name() }),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let exits = self.layers.len().saturating_sub(1);
        let ascending = self.layers.is_sorted_by(|a, b| a < b) && self.layers.first() > Some(&0);
        let costs = self.costs.iter().map(|cost| cost.layers).eq(self.layers.iter().copied());
        let numbers = |row: &Vec<f32>| row.len() == exits && row.iter().all(|x| x.is_finite());
        let answers = self.answer_tokens.is_finite() && self.answer_tokens >= 1.0;
        match () {
            () if exits == 0 || !ascending => Err("layers must ascend, two at least"),
            () if !costs => Err("costs must be those of the layers"),
            () if self.changes.is_empty() || !self.changes.iter().all(numbers) => {
                Err("every question must have a change at each exit")
            }
            () if !answers => Err("answer_tokens must be 1 at least"),
            () => Ok(()),
        }
    }

    /// Cycles of a question that ends at each exit.
    pub fn exit_cycles(&self) -> Vec<f64> {
        let steps = self.answer_tokens - 1.0;
        let cycles = |cost: &Cost| cost.prompt_cycles as f64 + steps * cost.step_cycles as f64;
        self.costs.iter().skip(1).map(cycles).collect()
    }

    /// Thresholds with which a question takes `budget` cycles on average.
    pub fn plan(&self, budget: u64) -> Result<Plan, CalibrationError> {
        let (layers, costs) = (&self.layers[1..], self.exit_cycles());
        let (first, least) = (layers[0], costs[0]);
        Plan::new(layers, &costs, &self.changes, budget as f64).ok_or(CalibrationError::Budget {
            budget,
            layers: first,
            least,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration() -> Calibration {
        let cost = |layers: usize, prompt_cycles| Cost { layers, prompt_cycles, step_cycles: 10 };
        Calibration {
            program: 7,
            target: "sim".into(),
            layers: vec![1, 2, 4],
            costs: vec![cost(1, 100), cost(2, 200), cost(4, 400)],
            prompt_rows: 8,
            answer_tokens: 3.0,
            changes: vec![vec![0.5, 0.1], vec![0.25, 0.2], vec![1.0, 0.3], vec![0.75, 0.0]],
            same_token: vec![vec![true, true]; 4],
        }
    }

    #[test]
    fn a_budget_gives_thresholds() {
        let c = calibration();
        assert_eq!(c.exit_cycles(), [220.0, 420.0]);
        let plan = c.plan(320).expect("enough");
        assert_eq!((plan.shares, plan.thresholds[0], plan.cycles), (vec![0.5, 0.5], 0.625, 320.0));
        let exits = c.plan(320).expect("enough").exits(1);
        assert_eq!(exits.layers, [1, 2, 4]);
        let said = c.plan(219).unwrap_err().to_string();
        assert!(said.contains("behind 2 layers, takes 220"), "{said}");
    }

    #[test]
    fn files_are_checked() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("exits.json");
        let read = |c: &Calibration| {
            std::fs::write(&path, serde_json::to_vec(c).expect("JSON")).expect("write");
            Calibration::read(&path, 7).map_err(|e| e.to_string())
        };
        assert_eq!(read(&calibration()), Ok(calibration()));
        type Change<'c> = &'c dyn Fn(&mut Calibration);
        let wrong: [(Change<'_>, &str); 5] = [
            (&|c| c.program = 8, "another program"),
            (&|c| c.layers = vec![1], "two at least"),
            (&|c| c.costs.truncate(2), "costs"),
            (&|c| c.changes[1].truncate(1), "a change at each exit"),
            (&|c| c.answer_tokens = 0.0, "answer_tokens"),
        ];
        for (change, needle) in wrong {
            let mut c = calibration();
            change(&mut c);
            let said = read(&c).unwrap_err();
            assert!(said.contains(needle), "{said}");
        }
        std::fs::write(&path, "{").expect("write");
        let said = Calibration::read(&path, 7).unwrap_err().to_string();
        assert!(said.contains("no calibration of early exits"), "{said}");
    }
}
