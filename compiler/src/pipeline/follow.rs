//! Layer by layer through the language model: each layer's statistics and targets come from what the compressed
//! layers in front of it make of the calibration's prompts ([`crate::quant::aim`]). What a layer is compressed to
//! here is what will be written.

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
use crate::quant::{Calibration, Hessian, Prompts};
use std::collections::BTreeMap;
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

/// Compresses the language model's layers one behind the other.
pub(super) fn all(
    plan: &Plan,
    laid: &Laid,
    build: &Build,
    model: &Model,
    calibration: &mut Calibration,
    prompts: &Prompts,
) -> Result<(), Diagnostic> {
    let layers = Layers::new(plan, laid, build);
    let stored = layers.by_weight();
    // Linear layers by the value that they read, in the order of the graph.
    let mut readers: Vec<(ValueId, Vec<(NodeId, WeightId)>)> = Vec::new();
    for (node, value, w) in linear_layers(model) {
        if model.graph.ty(value).rows != Rows::Prompt || !stored.contains_key(&w) {
            continue;
        }
        match readers.iter_mut().find(|(known, _)| *known == value) {
            Some((_, all)) => all.push((node, w)),
            None => readers.push((value, vec![(node, w)])),
        }
    }
    let session = Session::new(model)?;
    let mut drifted = Together::new(session.fork(), prompts);
    let mut exact = Together::new(session, prompts);
    for (value, readers) in &readers {
        let first = readers[0].0;
        exact.run_to(first);
        drifted.run_to(first);
        let wide = layers.wide.contains(&readers[0].1);
        step(model, &stored, wide, *value, readers, (&exact, &mut drifted), calibration)?;
    }
    Ok(())
}

fn step(
    model: &Model,
    stored: &BTreeMap<WeightId, Pieces<'_>>,
    wide: bool,
    value: ValueId,
    layers: &[(NodeId, WeightId)],
    (exact, drifted): (&Together<'_>, &mut Together<'_>),
    calibration: &mut Calibration,
) -> Result<(), Diagnostic> {
    let cols = model.graph.ty(value).cols;
    let scales = calibration.folding.columns.get(&layers[0].1).cloned();
    let ones = vec![1.0; cols];
    let divisors = scales.as_deref().map_or(&ones, |s| s);
    let residuals: Vec<Option<ValueId>> = layers.iter().map(|(node, _)| residual(model, *node)).collect();
    let mut sum = Hessian::new(cols);
    let mut inputs = Drift::new(cols, cols);
    let mut beside: Vec<Option<Drift>> =
        residuals.iter().map(|r| r.map(|r| Drift::new(model.graph.ty(r).cols, cols))).collect();
    for prompt in 0..drifted.len() {
        if !wide {
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
    let columns = scales.as_deref().map(Vec::as_slice);
    let inverse = Inverse::new(&sum, columns);
    let inputs = inverse.apply(&inputs);
    let mut known: Vec<(&Packed, Compressor<'_>)> = Vec::new();
    for ((_, w), drift) in layers.iter().zip(&beside) {
        let beside = drift.as_ref().map(|drift| inverse.apply(drift));
        let target = aim(&model.weights.load_f32(*w)?, cols, &inputs, beside.as_deref());
        let mut compressed = target.clone();
        for (packed, part) in &stored[w] {
            let compressor = match known.iter().position(|(other, _)| std::ptr::eq(*other, *packed)) {
                Some(at) => &known[at].1,
                None => {
                    known.push((packed, Compressor::new(packed, Some(&sum), columns, true)));
                    &known[known.len() - 1].1
                }
            };
            let source = Source::new(part, Values::Memory(&target), Some(&calibration.folding));
            let tiles = compressor.part(part, &source);
            packed.restore(part, &source, &tiles, &mut compressed);
            calibration.followed.insert(packed.piece(*w), Arc::new(tiles));
        }
        drifted.set_weight(*w, compressed);
    }
    Ok(())
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
