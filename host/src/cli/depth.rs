//! Options that leave the language model early.

use super::args::{positive, ModelArgs};
use crate::device::Device;
use crate::exits::{Calibration, Exits};
use crate::serve::Savings;
use crate::source::Source;
use anyhow::{bail, Result};
use serde_json::{json, Value};
use std::path::PathBuf;

/// How many layers rows run through.
#[derive(clap::Args)]
#[command(next_help_heading = "Early exit")]
pub(super) struct DepthArgs {
    /// Run the first K layers of the language model only
    #[arg(long, value_name = "K", value_parser = positive, conflicts_with = "exits")]
    exit_layer: Option<usize>,
    /// Let every question end behind the layers that it needs, by this calibration of `flightvlm exits`
    #[arg(long, value_name = "FILE")]
    exits: Option<PathBuf>,
    /// Cycles of the language model that a question may take on average
    #[arg(long, value_name = "CYCLES", requires = "exits", value_parser = clap::value_parser!(u64).range(1..))]
    exit_budget: Option<u64>,
}

impl DepthArgs {
    /// Opens the model so that it can be left as asked.
    pub(super) fn open(&self, model: &ModelArgs) -> Result<Source> {
        model.open_leaving(self.exit_layer.is_some() || self.exits.is_some())
    }

    /// Where answers may end, if they may.
    pub(super) fn exits(&self, source: &Source) -> Result<Option<Exits>> {
        let Some(calibration) = self.calibration(source)? else { return Ok(None) };
        let Some(budget) = self.exit_budget else {
            bail!("--exits needs --exit-budget CYCLES: what a question may take on average")
        };
        let plan = calibration.plan(budget)?;
        let ends: Vec<String> = plan
            .layers
            .iter()
            .zip(&plan.shares)
            .map(|(layers, share)| format!("{:.0} % behind {layers}", 100.0 * share))
            .collect();
        eprintln!(
            "early exit: {} layers, {:.0} cycles a question (both on the calibration's questions, simulated)",
            ends.join(", "),
            plan.cycles
        );
        Ok(Some(plan.exits(calibration.layers[0])))
    }

    fn calibration(&self, source: &Source) -> Result<Option<Calibration>> {
        let read = |path| Ok(Calibration::read(path, source.program()?.fingerprint())?);
        self.exits.as_deref().map(read).transpose()
    }

    /// What requests to a server leave out.
    pub(super) fn savings(&self, source: &Source) -> Result<Savings> {
        let exits = self.calibration(source)?;
        Ok(Savings { exits, budget: self.exit_budget, layers: self.exit_layer, can_leave: false })
    }

    /// Tells the device of a fixed depth.
    pub(super) fn set(&self, device: &mut dyn Device) -> Result<()> {
        match self.exit_layer {
            None => Ok(()),
            Some(layers) => Ok(device.set_depth(layers)?),
        }
    }
}

/// How many answers ended behind how many layers.
#[derive(Default)]
pub(super) struct Depths(std::collections::BTreeMap<usize, usize>);

impl Depths {
    /// Counts an answer.
    pub(super) fn add(&mut self, layers: usize) {
        *self.0.entry(layers).or_default() += 1;
    }

    /// By layers.
    pub(super) fn to_json(&self) -> Value {
        self.0.iter().map(|(layers, answers)| (layers.to_string(), json!(answers))).collect()
    }
}

/// Layers of a list, `1,2,4`.
pub(super) fn layers(list: &[usize], all: usize) -> Result<Vec<usize>> {
    let list = if list.is_empty() { (1..=all).collect() } else { list.to_vec() };
    if list.len() < 2
        || !list.is_sorted_by(|a, b| a < b)
        || list.first() == Some(&0)
        || list.last() > Some(&all)
    {
        bail!(
            "layers {list:?}: expected two or more, ascending, from 1 to {all}, those of the language model"
        );
    }
    Ok(list)
}
