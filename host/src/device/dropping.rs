//! Visual tokens that stay where the others are dropped: the device chooses them and makes visual tokens of them. The
//! driver says how many stay, and which tokens the picture shows; it reads which ones stayed, because the prompt's rows
//! are theirs.

use super::program::ProgramDevice;
use super::DeviceError;
use flightvlm_compiler::codegen::{group_args, GROUPS_REGION, NOT_SHOWN, SHOWN_REGION};
use flightvlm_compiler::graph::Group;
use flightvlm_compiler::program::GroupsMeta;
use flightvlm_hw::config::UNIT_BYTES;
use std::time::Instant;

impl ProgramDevice<'_> {
    /// Of the `tokens` tokens of the tile whose tower ran last, makes visual tokens of the `budget` best of `candidates`,
    /// behind the first `self.visual_rows`. Gives them, and the row behind those of each.
    pub(super) fn project_best(
        &mut self,
        g: &GroupsMeta,
        tokens: usize,
        candidates: &[usize],
        budget: usize,
    ) -> Result<(Vec<Group>, Vec<usize>), DeviceError> {
        assert!(budget <= candidates.len() && candidates.len() <= tokens, "tokens of the tile");
        self.put(SHOWN_REGION, 0, &shown(tokens, candidates))?;
        for first in (0..budget).step_by(g.rows) {
            let start = Instant::now();
            let args = group_args::of_best(first, (budget, tokens), g.rows, self.visual_rows);
            let report = self.launch(g.entry, &args)?;
            let phase = self.phase(0, &report, start.elapsed());
            self.stats.vision.add(&phase);
            self.visual_rows += g.rows.min(budget - first);
        }
        let rows = self.visual_rows - budget..self.visual_rows;
        Ok((self.stayed(g, budget)?, rows.collect()))
    }

    /// What the device has chosen.
    fn stayed(&mut self, g: &GroupsMeta, budget: usize) -> Result<Vec<Group>, DeviceError> {
        let round_bytes = group_args::round_units(g.rows) * UNIT_BYTES;
        let bytes = self.get(GROUPS_REGION, budget.div_ceil(g.rows) * round_bytes)?;
        let members = bytes.chunks_exact(round_bytes).flat_map(|round| round[..4 * g.rows].chunks_exact(4));
        let token = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize;
        Ok(members.take(budget).map(|member| Group::of(token(member))).collect())
    }
}

/// The region that says which tokens of a tile the picture shows.
fn shown(tokens: usize, candidates: &[usize]) -> Vec<u8> {
    let mut row = vec![NOT_SHOWN; tokens];
    candidates.iter().for_each(|token| row[*token] = 0.0);
    row.into_iter().flat_map(f32::to_le_bytes).collect()
}
