//! Fewer layers than all, more layers for rows that have run, and hidden states.

use super::program::{floats, ProgramDevice};
use super::{DeviceError, ImageHandle, Logits, StepOutput};
use flightvlm_compiler::codegen::{text_args, LAYERS_SHIFT};
use flightvlm_hw::config::UNIT_BYTES;

impl ProgramDevice<'_> {
    /// Arguments of a launch that say which layers run and which logits are wanted.
    pub(super) fn wanted(&self, mode: u32) -> [(usize, u32); 2] {
        let layers = match self.program.meta.text.saved_row {
            None => 0,
            Some(_) => (self.layers.len() as u32) << LAYERS_SHIFT,
        };
        [(text_args::LOGITS, mode | layers), (text_args::FIRST_LAYER, self.layers.start as u32)]
    }

    pub(super) fn check_depth(&self, layers: usize) -> Result<(), DeviceError> {
        self.info.check_depth(layers)?;
        if layers < self.info.layers && self.program.meta.text.saved_row.is_none() {
            let why =
                "this program runs all layers; compile it with --early-exit, or give the checkpoint folder";
            return Err(DeviceError::Input(why.into()));
        }
        Ok(())
    }

    /// Runs the prompt's rows, which have been through some layers, on to `layers`.
    pub(super) fn go_on(&mut self, layers: usize, want: Logits) -> Result<StepOutput, DeviceError> {
        assert!(
            self.used == self.prompt.end && layers > self.layers.end,
            "more layers for a prompt that has run"
        );
        self.check_depth(self.layers.end)?;
        self.info.check_depth(layers)?;
        let saved = self.program.meta.text.saved_row.expect("invariant: checked");
        let rows: Vec<u32> = self.prompt.clone().map(|position| saved + position as u32).collect();
        (self.used, self.layers) = (self.prompt.start, self.layers.end..layers);
        let out = self.run_rows(&rows, want);
        self.layers = 0..layers;
        out
    }

    /// Hidden states of a prompt's rows: behind fewer layers than all as they stand, behind all behind the final norm.
    pub(super) fn states(
        &mut self,
        ids: &[u32],
        images: &[ImageHandle],
        layers: usize,
        positions: &[usize],
    ) -> Result<Vec<f32>, DeviceError> {
        if layers < self.info.layers {
            let before = std::mem::replace(&mut self.layers, 0..layers);
            let ran = self.run_prompt_rows(ids, images, Logits::None);
            self.layers = before;
            ran?;
            return self.saved_rows(positions);
        }
        let mut wanted: Vec<usize> = positions.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let rows = self.table_rows(ids, images);
        self.place_rows(ids, images)?;
        let mut states = Vec::with_capacity(wanted.len());
        if let Some(entries) = self.program.meta.text.prefix {
            self.run_prompt(entries, &rows, Logits::None)?;
            for position in &wanted {
                states.push(self.run_entry(entries.1, *position, 1, Logits::LastHidden)?.0.hidden);
            }
        } else {
            // A piece of the prompt ends with each of them.
            for position in &wanted {
                let piece = &rows[self.used..=*position];
                states.push(self.run_text(piece, Logits::LastHidden)?.0.hidden);
            }
        }
        let of = |position: &usize| wanted.binary_search(position).expect("invariant: all are in the list");
        Ok(positions.iter().flat_map(|position| states[of(position)].iter().copied()).collect())
    }

    /// What the last launch left of these positions.
    fn saved_rows(&mut self, positions: &[usize]) -> Result<Vec<f32>, DeviceError> {
        let (text, columns) = (&self.program.meta.text, self.program.meta.model.text.hidden);
        let (row_bytes, saved) = (text.row_units as usize * UNIT_BYTES, text.saved_row);
        let saved = saved.expect("invariant: checked") as usize;
        let mut out = Vec::with_capacity(positions.len() * columns);
        for position in positions {
            let row = self.get_from("text.embed", ((saved + position) * row_bytes) as u64, row_bytes)?;
            out.extend(floats(&row).take(columns));
        }
        Ok(out)
    }
}
