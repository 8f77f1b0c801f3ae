//! What a prompt and a step behind it take with fewer layers.

use super::runner::Runner;
use crate::exits::Cost;
use flightvlm_compiler::program::Program;
use flightvlm_hw::machine::MachineError;

/// Costs of a prompt of `rows` rows that is looked at behind each of `layers` in turn, and of the step behind it.
pub fn exit_costs(program: &Program, rows: usize, layers: &[usize]) -> Result<Vec<Cost>, MachineError> {
    let mut run = Runner::new(program)?;
    let (mut out, mut done, mut prompt_cycles) = (Vec::with_capacity(layers.len()), 0, 0);
    for &layers in layers {
        prompt_cycles += run.stage(done..layers, rows)?.iter().map(|counters| counters.cycles).sum::<u64>();
        done = layers;
        out.push(Cost { layers, prompt_cycles, step_cycles: run.step(layers, rows)?.cycles });
    }
    Ok(out)
}
