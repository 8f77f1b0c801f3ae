//! [`Hessian`]s of a model's linear layers, from running the float reference over sample inputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CompressedTile, Folding, Hessian};
use crate::diag::Diagnostic;
use crate::eval::{Embedded, LinearInput, Session};
use crate::graph::{NodeId, Op, Picture, Rows, ValueId, WeightId};
use crate::import::Model;

/// What is known about the inputs of a model's linear layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// By weight. Layers that read the same value (query, key and value; gate and up) share one sum.
    pub hessians: BTreeMap<WeightId, Hessian>,
    /// Some of the input rows, by weight.
    pub samples: BTreeMap<WeightId, Arc<Vec<f32>>>,
    /// Scales that are folded into the weights; none until they are chosen.
    pub folding: Folding,
    /// By weight and first input column, what was compressed when the layers were followed, tile by tile, towards
    /// the targets of [`super::aim`].
    pub(crate) followed: BTreeMap<(WeightId, usize), Arc<Vec<CompressedTile>>>,
    /// Where clippings were looked for.
    pub clipping: Vec<Clipping>,
}

/// What was chosen for the layers that read one value ([`crate::pipeline::Built::follow`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Clipping {
    /// Module path of the first of them.
    pub path: String,
    /// Of the inputs.
    pub entropy: f64,
    /// What the largest level of a group stands for over its largest weight, at most, before least squares for the levels;
    /// 1: no bound.
    pub most: f32,
    /// Squared error of what comes out of the block that the layers are in over its square, without bounds.
    pub error_before: f64,
    /// The same with those of the whole block.
    pub error_after: f64,
}

/// Prompts with the pictures in them, as the language model reads them.
pub type Prompts = Vec<(Vec<u32>, Vec<Embedded>)>;

/// Every so many input rows one is kept: no divisor of usual prompt lengths, so that all positions occur.
const SAMPLE_STEP: usize = 97;
/// Rows kept at most.
const SAMPLES_MAX: usize = 128;

/// What is collected about one value.
struct Seen {
    /// The first linear layer that reads it.
    first: NodeId,
    sum: Option<Hessian>,
    cols: usize,
    rows: usize,
    samples: Vec<f32>,
}

impl Seen {
    fn add(&mut self, rows: &[f32]) {
        let (cols, before) = (self.cols, self.rows);
        self.rows += rows.len() / cols;
        if let Some(sum) = &mut self.sum {
            sum.add_rows(rows);
        }
        let wanted = |(i, _): &(usize, &[f32])| (before + i).is_multiple_of(SAMPLE_STEP);
        for (_, row) in rows.chunks_exact(cols).enumerate().filter(wanted) {
            if self.samples.len() < SAMPLES_MAX * cols {
                self.samples.extend(row);
            }
        }
    }
}

/// Whose inputs are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All linear layers'.
    Everything,
    /// Those of vision towers and projectors: the language model's layers will be followed
    /// ([`crate::pipeline::Built::follow`]), which sums anew.
    Pictures,
}

/// Runs samples and sums what each linear layer reads.
pub struct Calibrator<'m> {
    model: &'m Model,
    session: Session<'m>,
    /// By the value that linear layers read.
    seen: BTreeMap<ValueId, Seen>,
    prompts: Prompts,
}

impl<'m> Calibrator<'m> {
    /// Loads the weights.
    pub fn new(model: &'m Model, scope: Scope) -> Result<Self, Diagnostic> {
        let mut first = BTreeMap::new();
        for (node, value, _) in linear_layers(model) {
            first.entry(value).or_insert(node);
        }
        let session = Session::new(model)?;
        let seen = first.into_iter().map(|(value, first)| {
            let ty = model.graph.ty(value);
            let sum = (scope == Scope::Everything || ty.rows != Rows::Prompt).then(|| Hessian::new(ty.cols));
            (value, Seen { first, sum, cols: ty.cols, rows: 0, samples: Vec::new() })
        });
        Ok(Calibrator { model, session, seen: seen.collect(), prompts: Vec::new() })
    }

    /// Runs one prompt with its pictures.
    pub fn add(&mut self, ids: &[u32], pictures: &[Picture]) -> Result<(), Diagnostic> {
        let language_model_seen = self.language_model_seen();
        let seen = &mut self.seen;
        // A value that several layers read is shown once for each of them; the first one counts.
        let mut watch = |input: LinearInput<'_>| {
            let seen = seen.get_mut(&input.value).expect("invariant: every input has a sum");
            if seen.first == input.node {
                seen.add(input.rows);
            }
        };
        let mut images = Vec::with_capacity(pictures.len());
        for picture in pictures {
            images.push(self.session.encode_image_watched(picture, &mut watch)?);
        }
        self.session.check(ids, &images)?;
        if !language_model_seen {
            self.session.prefill_watched(ids, &images, &mut watch)?;
        }
        self.prompts.push((ids.to_vec(), images));
        Ok(())
    }

    /// True when more prompts would add nothing about the language model's layers.
    fn language_model_seen(&self) -> bool {
        let mut seen =
            self.seen.iter().filter(|(value, _)| self.model.graph.ty(**value).rows == Rows::Prompt);
        seen.all(|(_, seen)| seen.sum.is_none() && seen.samples.len() >= SAMPLES_MAX * seen.cols)
    }

    /// What was collected, by weight, and the prompts that it was collected from.
    pub fn finish(mut self) -> (Calibration, Prompts) {
        let mut out = Calibration::default();
        let mut samples: BTreeMap<ValueId, Arc<Vec<f32>>> = BTreeMap::new();
        for (value, seen) in &mut self.seen {
            samples.insert(*value, Arc::new(std::mem::take(&mut seen.samples)));
        }
        for (_, value, w) in linear_layers(self.model) {
            if let Some(sum) = &self.seen[&value].sum {
                out.hessians.entry(w).and_modify(|h| h.add(sum)).or_insert_with(|| sum.clone());
            }
            out.samples.entry(w).or_insert_with(|| samples[&value].clone());
        }
        (out, self.prompts)
    }
}

/// Node, input value and weight of each linear layer.
pub(crate) fn linear_layers(model: &Model) -> impl Iterator<Item = (NodeId, ValueId, WeightId)> + '_ {
    model.graph.iter().filter_map(|(id, node)| match node.op {
        Op::Linear { w, .. } => Some((id, node.inputs[0], w)),
        _ => None,
    })
}
