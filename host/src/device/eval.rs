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
    stats: RunStats,
}

impl<'m> EvalDevice<'m> {
    /// Converts the weights to float32.
    pub fn new(model: &'m Model, info: ModelInfo) -> Result<Self, DeviceError> {
        let session = Session::new(model).map_err(|error| DeviceError::Load(error.to_string()))?;
        let stats = RunStats::default();
        Ok(EvalDevice { session, info, images: Vec::new(), used: 0, stats })
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
        check_prompt(&self.info, ids, images)?;
        let rows: Vec<Embedded> = images.iter().map(|handle| self.images[handle.index].clone()).collect();
        // The last linear layer is the output layer: it reads the hidden state.
        let (width, wants) = (self.session.hidden(), want == Logits::LastHidden);
        let mut hidden = Vec::new();
        let mut keep = |layer: LinearInput<'_>| {
            if wants && layer.rows.len() >= width {
                hidden = layer.rows[layer.rows.len() - width..].to_vec();
            }
        };
        let mut logits = self.session.prefill_watched(ids, &rows, &mut keep).map_err(input)?;
        self.used = ids.len();
        self.stats.prefill.add(&phase(ids.len(), start.elapsed()));
        let last = logits.len() - self.info.outputs;
        let greedy_token = argmax(&logits[last..]);
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
        let mut logits = self.session.step(token).map_err(input)?;
        self.used += 1;
        self.stats.decode.add(&phase(1, start.elapsed()));
        let greedy_token = argmax(&logits);
        if want == Logits::None {
            logits.clear();
        }
        Ok(StepOutput { greedy_token, logits, hidden: Vec::new() })
    }

    fn stats(&self) -> RunStats {
        self.stats
    }
}
