//! `--device eval`: the float32 graph reference, in this process.
//!
//! It computes what the checkpoint says, without quantisation; it has no clock and no memory
//! traffic, so those statistics stay unknown.

use super::{
    check_prompt, check_step, Device, DeviceError, ImageHandle, Logits, ModelInfo, PhaseStats, RunStats,
    StepOutput,
};
use flightvlm_compiler::diag::Diagnostic;
use flightvlm_compiler::eval::{Embedded, LinearInput, Session};
use flightvlm_compiler::graph::Picture;
use flightvlm_compiler::import::Model;
use std::time::{Duration, Instant};

/// The evaluator over a borrowed model.
pub struct EvalDevice<'m> {
    session: Session<'m>,
    info: ModelInfo,
    images: Vec<Embedded>,
    used: usize,
    depth: usize,
    /// Of the prompt that came last.
    prompt: (Vec<u32>, Vec<ImageHandle>),
    stats: RunStats,
}

impl<'m> EvalDevice<'m> {
    /// Converts the weights to float32.
    pub fn new(model: &'m Model, info: ModelInfo) -> Result<Self, DeviceError> {
        let session = Session::new(model).map_err(|error| DeviceError::Load(error.to_string()))?;
        let (stats, depth, prompt) = (RunStats::default(), info.layers, Default::default());
        Ok(EvalDevice { session, info, images: Vec::new(), used: 0, depth, prompt, stats })
    }

    /// Logits of all rows of a prompt, and what the output layer reads: the hidden states behind the final norm.
    fn run(&mut self, ids: &[u32], images: &[ImageHandle]) -> Result<(Vec<f32>, Vec<f32>), DeviceError> {
        check_prompt(&self.info, ids, images)?;
        let rows: Vec<Embedded> = images.iter().map(|handle| self.images[handle.index].clone()).collect();
        let mut hidden = Vec::new();
        let mut keep = |layer: LinearInput<'_>| hidden = layer.rows.to_vec();
        self.session.set_depth(self.depth);
        let logits = self.session.prefill_watched(ids, &rows, &mut keep).map_err(input)?;
        self.used = ids.len();
        self.prompt = (ids.to_vec(), images.to_vec());
        Ok((logits, hidden))
    }

    /// The last row of what is there.
    fn last(rows: &[f32], width: usize) -> &[f32] {
        &rows[rows.len() - width..]
    }
}

fn input(error: Diagnostic) -> DeviceError {
    DeviceError::Input(error.to_string())
}

fn phase(rows: usize, wall: Duration) -> PhaseStats {
    PhaseStats { calls: 1, rows: rows as u64, wall, ..PhaseStats::default() }
}

/// Index of the largest value, the lowest on ties.
fn argmax(row: &[f32]) -> u32 {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] || row[best].is_nan() {
            best = index;
        }
    }
    best as u32
}

impl Device for EvalDevice<'_> {
    fn name(&self) -> &str {
        "eval"
    }

    fn model(&self) -> &ModelInfo {
        &self.info
    }

    fn begin(&mut self) -> Result<(), DeviceError> {
        self.images.clear();
        self.used = 0;
        self.stats = RunStats::default();
        Ok(())
    }

    fn encode_image(&mut self, picture: &Picture) -> Result<ImageHandle, DeviceError> {
        let start = Instant::now();
        if self.info.image.is_none() {
            return Err(DeviceError::Input("the model takes no images".into()));
        }
        let embedded = self.session.encode_image(picture).map_err(input)?;
        let patches = picture.tiles.iter().map(|tile| tile.grid[0] * tile.grid[1]).sum();
        self.stats.vision.add(&phase(patches, start.elapsed()));
        self.images.push(embedded);
        Ok(ImageHandle { index: self.images.len() - 1, rows: picture.placeholders() })
    }

    fn embed_image(&mut self, picture: &Picture) -> Result<Vec<f32>, DeviceError> {
        Ok(self.session.encode_image(picture).map_err(input)?.rows)
    }

    fn prefill(
        &mut self,
        ids: &[u32],
        images: &[ImageHandle],
        want: Logits,
    ) -> Result<StepOutput, DeviceError> {
        let start = Instant::now();
        let (mut logits, rows) = self.run(ids, images)?;
        self.stats.prefill.add(&phase(ids.len(), start.elapsed()));
        let last = logits.len() - self.info.outputs;
        let greedy_token = argmax(&logits[last..]);
        let width = if want == Logits::LastHidden { self.session.hidden() } else { 0 };
        let hidden = Self::last(&rows, width).to_vec();
        match want {
            Logits::None => logits.clear(),
            Logits::LastToken | Logits::LastHidden => drop(logits.drain(..last)),
            Logits::AllRows => {}
        }
        Ok(StepOutput { greedy_token, logits, hidden })
    }

    fn step(&mut self, token: u32, want: Logits) -> Result<StepOutput, DeviceError> {
        let start = Instant::now();
        check_step(&self.info, token, self.used)?;
        let mut hidden = Vec::new();
        let mut keep = |layer: LinearInput<'_>| hidden = layer.rows.to_vec();
        let mut logits = self.session.step_watched(token, &mut keep).map_err(input)?;
        self.used += 1;
        self.stats.decode.add(&phase(1, start.elapsed()));
        let greedy_token = argmax(&logits);
        if want == Logits::None {
            logits.clear();
        }
        if want != Logits::LastHidden {
            hidden.clear();
        }
        Ok(StepOutput { greedy_token, logits, hidden })
    }

    fn set_depth(&mut self, layers: usize) -> Result<(), DeviceError> {
        self.info.check_depth(layers)?;
        self.depth = layers;
        Ok(())
    }

    fn depth(&self) -> usize {
        self.depth
    }

    fn deepen(&mut self, layers: usize, want: Logits) -> Result<StepOutput, DeviceError> {
        self.set_depth(layers)?;
        let (ids, images) = self.prompt.clone();
        // Rows that have run count once.
        let before = self.stats.prefill;
        let out = self.prefill(&ids, &images, want);
        self.stats.prefill.rows = before.rows;
        out
    }

    fn hidden_states(
        &mut self,
        ids: &[u32],
        images: &[ImageHandle],
        layers: usize,
        positions: &[usize],
    ) -> Result<Vec<f32>, DeviceError> {
        self.info.check_depth(layers)?;
        let before = std::mem::replace(&mut self.depth, layers);
        let ran = self.run(ids, images);
        self.depth = before;
        let (_, normed) = ran?;
        let rows = if layers < self.info.layers { self.session.behind() } else { &normed };
        let width = self.session.hidden();
        Ok(positions.iter().flat_map(|p| rows[p * width..][..width].iter().copied()).collect())
    }

    fn stats(&self) -> RunStats {
        self.stats
    }
}
