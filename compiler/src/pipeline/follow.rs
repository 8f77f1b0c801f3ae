//! Layer by layer through the language model: each layer's statistics and targets come from what the compressed
//! layers in front of it make of the calibration's prompts ([`crate::quant::aim`]). What a layer is compressed to
//! here is what will be written.

use super::clip::Search;
use super::Laid;
use crate::codegen::{Build, LayerOffsets};
use crate::diag::Diagnostic;
use crate::eval::{Session, Together};
use crate::graph::{NodeId, Op, Rows, ValueId, WeightId};
use crate::import::Model;
use crate::layout::pack::compress::{Compressor, Source, Values};
use crate::layout::pack::{Packed, Part};
use crate::plan::Plan;
use crate::quant::aim::{aim, Drift, Inverse};
use crate::quant::calibration::linear_layers;
use crate::quant::fold::eight_bits;
use crate::quant::{Calibration, CompressedTile, Folding, Hessian, Prompts};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Where a weight is stored: a packed layer and the part of it, or several that share the weight's inputs.
type Pieces<'p> = Vec<(&'p Packed, &'p Part)>;

/// The language model's layers as they will be written.
struct Layers {
    records: Vec<LayerOffsets>,
    head: Packed,
    /// Weights whose inputs have 16 bits instead of 8.
    wide: Vec<WeightId>,
}

impl Layers {
    fn new(plan: &Plan, laid: &Laid, build: &Build) -> Layers {
        let records: Vec<_> = plan.text.layers.iter().map(|layer| laid.text.record(layer, build)).collect();
        let mut wide = Vec::new();
        if build.wide_inputs {
            wide.push(plan.text.head.w);
            wide.extend(records.iter().flat_map(|r| &r.down).flat_map(|(_, p)| &p.parts).map(|p| p.linear.w));
        }
        Layers { records, head: laid.text.head.clone(), wide }
    }

    fn by_weight(&self) -> BTreeMap<WeightId, Pieces<'_>> {
        let mut out: BTreeMap<WeightId, Pieces<'_>> = BTreeMap::new();
        for packed in self.records.iter().flat_map(LayerOffsets::pieces).map(|(_, p)| p).chain([&self.head]) {
            for part in &packed.parts {
                out.entry(part.linear.w).or_default().push((packed, part));
            }
        }
        out
    }
}

/// Compresses the language model's layers one behind the other; `search`: with clippings that are looked for
/// ([`super::clip`]).
pub(super) fn all(
    plan: &Plan,
    laid: &Laid,
    build: &Build,
    model: &Model,
    (calibration, prompts): (&mut Calibration, &Prompts),
    search: bool,
) -> Result<(), Diagnostic> {
    let layers = Layers::new(plan, laid, build);
    let Calibration { folding, followed, clipping, .. } = calibration;
    let follower = Follower { model, stored: layers.by_weight(), folding };
    let steps = follower.steps(&layers.wide);
    let session = Session::new(model)?;
    let mut drifted = Together::new(session.fork(), prompts);
    let mut exact = Together::new(session, prompts);
    let mut search = search.then(|| Search::new(&follower));
    let mut clips: VecDeque<f32> = VecDeque::new();
    for (at, step) in steps.iter().enumerate() {
        exact.run_to(step.first());
        drifted.run_to(step.first());
        if let Some(search) = search.as_mut().filter(|_| clips.is_empty()) {
            clips.extend(search.block(&steps[at..], &exact, &drifted)?);
        }
        let learnt = follower.learn(step, &exact, &mut drifted);
        let most = clips.pop_front().unwrap_or(1.0);
        follower.compress(step, &learnt, &mut drifted, most, Some(followed))?;
    }
    clipping.extend(search.into_iter().flat_map(|search| search.found));
    Ok(())
}

/// Linear layers that read the same value.
pub(super) struct Step {
    pub(super) value: ValueId,
    layers: Vec<(NodeId, WeightId)>,
    /// The value has 16 bits instead of 8.
    wide: bool,
}

impl Step {
    /// The first node that reads the value.
    pub(super) fn first(&self) -> NodeId {
        self.layers[0].0
    }
}

/// What a step's inputs have shown.
pub(super) struct Learnt {
    sum: Hessian,
    inverse: Inverse,
    /// For [`aim`].
    inputs: Vec<f32>,
    beside: Vec<Option<Drift>>,
}

/// Compressed tiles by [`Packed::piece`].
type Followed = BTreeMap<(WeightId, usize), Arc<Vec<CompressedTile>>>;

pub(super) struct Follower<'a> {
    pub(super) model: &'a Model,
    stored: BTreeMap<WeightId, Pieces<'a>>,
    folding: &'a Folding,
}

impl Follower<'_> {
    /// In the order of the graph.
    fn steps(&self, wide: &[WeightId]) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for (node, value, w) in linear_layers(self.model) {
            if self.model.graph.ty(value).rows != Rows::Prompt || !self.stored.contains_key(&w) {
                continue;
            }
            match steps.iter_mut().find(|step| step.value == value) {
                Some(step) => step.layers.push((node, w)),
                None => steps.push(Step { value, layers: vec![(node, w)], wide: wide.contains(&w) }),
            }
        }
        steps
    }

    pub(super) fn cols(&self, step: &Step) -> usize {
        self.model.graph.ty(step.value).cols
    }

    /// What the step's inputs are divided by.
    fn scales(&self, step: &Step) -> Option<&[f32]> {
        self.folding.columns.get(&step.layers[0].1).map(|s| s.as_slice())
    }

    /// Sums over the step's inputs, which are rounded as the device will round them.
    pub(super) fn learn(&self, step: &Step, exact: &Together<'_>, drifted: &mut Together<'_>) -> Learnt {
        let (cols, value) = (self.cols(step), step.value);
        let ones = vec![1.0; cols];
        let divisors = self.scales(step).unwrap_or(&ones);
        let residuals: Vec<Option<ValueId>> =
            step.layers.iter().map(|(node, _)| residual(self.model, *node)).collect();
        let mut sum = Hessian::new(cols);
        let mut inputs = Drift::new(cols, cols);
        let new_drift = |r: ValueId| Drift::new(self.model.graph.ty(r).cols, cols);
        let mut beside: Vec<Option<Drift>> = residuals.iter().map(|r| r.map(new_drift)).collect();
        for prompt in 0..drifted.len() {
            if !step.wide {
                let x = drifted.rows_mut(prompt, value);
                let mut rounded = eight_bits(x, divisors);
                rounded.iter_mut().enumerate().for_each(|(i, x)| *x *= divisors[i % cols]);
                x.copy_from_slice(&rounded);
            }
            let x = drifted.rows(prompt, value);
            sum.add_rows(x);
            inputs.add(exact.rows(prompt, value), x, x);
            for (residual, drift) in residuals.iter().zip(&mut beside) {
                let Some((residual, drift)) = residual.zip(drift.as_mut()) else { continue };
                drift.add(exact.rows(prompt, residual), drifted.rows(prompt, residual), x);
            }
        }
        let inverse = Inverse::new(&sum, self.scales(step));
        let inputs = inverse.apply(&inputs);
        Learnt { sum, inverse, inputs, beside }
    }

    /// Compresses the step's layers, their groups clipped to `most` of their largest weight or less; they are measured
    /// if they are to be kept.
    pub(super) fn compress(
        &self,
        step: &Step,
        learnt: &Learnt,
        drifted: &mut Together<'_>,
        most: f32,
        mut keep: Option<&mut Followed>,
    ) -> Result<(), Diagnostic> {
        let cols = self.cols(step);
        let mut known: Vec<(&Packed, Compressor<'_>)> = Vec::new();
        for ((_, w), drift) in step.layers.iter().zip(&learnt.beside) {
            let beside = drift.as_ref().map(|drift| learnt.inverse.apply(drift));
            let target = aim(&self.model.weights.load_f32(*w)?, cols, &learnt.inputs, beside.as_deref());
            let mut compressed = target.clone();
            for (packed, part) in &self.stored[w] {
                let compressor = match known.iter().position(|(other, _)| std::ptr::eq(*other, *packed)) {
                    Some(at) => &known[at].1,
                    None => {
                        let sum = Some(&learnt.sum);
                        let made = Compressor::new(packed, sum, self.scales(step), keep.is_some());
                        known.push((packed, made.clipped(most)));
                        &known[known.len() - 1].1
                    }
                };
                let source = Source::new(part, Values::Memory(&target), Some(self.folding));
                let tiles = compressor.part(part, &source);
                packed.restore(part, &source, &tiles, &mut compressed);
                if let Some(followed) = &mut keep {
                    followed.insert(packed.piece(*w), Arc::new(tiles));
                }
            }
            drifted.set_weight(*w, compressed);
        }
        Ok(())
    }

    /// Path of the step's first layer.
    pub(super) fn path(&self, step: &Step) -> String {
        self.stored[&step.layers[0].1][0].1.linear.path.clone()
    }
}

/// The value that the layer's outputs, and nothing else of them, are added to.
fn residual(model: &Model, node: NodeId) -> Option<ValueId> {
    let output = model.graph.iter().nth(node.index())?.1.output?;
    let mut readers = model.graph.iter().filter(|(_, n)| n.inputs.contains(&output));
    let (_, reader) = readers.next()?;
    if !matches!(reader.op, Op::Add) || readers.next().is_some() {
        return None;
    }
    reader.inputs.iter().copied().find(|input| *input != output)
}
