//! Layer by layer through the language model: each layer's statistics and targets come from what the compressed
//! layers in front of it make of the calibration's prompts ([`crate::quant::aim`]).

use crate::codegen::Build;
use crate::diag::Diagnostic;
use crate::eval::{Session, Together};
use crate::graph::{NodeId, Op, Rows, ValueId, WeightId};
use crate::import::Model;
use crate::layout::pack::{Packed, Storage};
use crate::plan::{Linear, Mlp, Plan};
use crate::quant::aim::{aim, Drift, Inverse};
use crate::quant::calibration::linear_layers;
use crate::quant::fold::eight_bits;
use crate::quant::{dequantise, quantise, Calibration, Hessian, Prompts};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a linear layer is stored and what it reads.
struct Stored<'p> {
    linear: &'p Linear,
    storage: Storage,
    /// Its inputs have 16 bits instead of 8.
    wide: bool,
}

/// Replaces the sums of the language model's layers by those of the compressed model, and adds their targets.
pub(super) fn all(
    plan: &Plan,
    build: &Build,
    model: &Model,
    calibration: &mut Calibration,
    prompts: &Prompts,
) -> Result<(), Diagnostic> {
    let stored = stored(plan, build);
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
    let mut exact = Together::new(Session::new(model)?, prompts);
    let mut drifted = Together::new(Session::new(model)?, prompts);
    for (value, layers) in &readers {
        let first = layers[0].0;
        exact.run_to(first);
        drifted.run_to(first);
        step(model, &stored, *value, layers, (&exact, &mut drifted), calibration)?;
    }
    Ok(())
}

fn step(
    model: &Model,
    stored: &BTreeMap<WeightId, Stored<'_>>,
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
        if !stored[&layers[0].1].wide {
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
    let inverse = Inverse::new(&sum, scales.as_deref().map(Vec::as_slice));
    let inputs = inverse.apply(&inputs);
    for ((_, w), drift) in layers.iter().zip(&beside) {
        let beside = drift.as_ref().map(|drift| inverse.apply(drift));
        let aim = aim(&model.weights.load_f32(*w)?, cols, &inputs, beside.as_deref());
        let compressed = compress(
            &aim,
            &stored[w],
            &sum,
            divisors,
            calibration.folding.outputs.get(w).map(|o| o.as_slice()),
        );
        drifted.set_weight(*w, compressed);
        calibration.hessians.insert(*w, sum.clone());
        calibration.aims.insert(*w, Arc::new(aim));
    }
    Ok(())
}

/// What the machine will compute with, folding undone.
fn compress(
    w: &[f32],
    stored: &Stored<'_>,
    sum: &Hessian,
    columns: &[f32],
    outputs: Option<&[f32]>,
) -> Vec<f32> {
    let cols = columns.len();
    let factor = |i: usize| columns[i % cols] * outputs.map_or(1.0, |o| o[i / cols]);
    let folded: Vec<f32> = w.iter().enumerate().map(|(i, w)| w * factor(i)).collect();
    let spec = Packed::plain(stored.linear, stored.storage).spec;
    let mut out = dequantise(&quantise(&folded, w.len() / cols, cols, &spec, Some(&sum.divided(columns))));
    out.iter_mut().enumerate().for_each(|(i, w)| *w /= factor(i));
    out
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

fn stored<'p>(plan: &'p Plan, build: &Build) -> BTreeMap<WeightId, Stored<'p>> {
    let mut out = BTreeMap::new();
    let mut add = |linear: &'p Linear, storage, wide| {
        out.insert(linear.w, Stored { linear, storage, wide });
    };
    let s = &build.layers;
    for layer in &plan.text.layers {
        let a = &layer.attention;
        for (linear, storage) in [(&a.q, s.q), (&a.k, s.k), (&a.v, s.v), (&a.o, s.o)] {
            add(linear, storage, false);
        }
        match &layer.mlp {
            Mlp::Gated { gate, up, down, .. } => {
                add(gate, s.up, false);
                add(up, s.up, false);
                add(down, s.down, build.wide_inputs);
            }
            Mlp::Plain { up, down, .. } => {
                add(up, s.up, false);
                add(down, s.down, build.wide_inputs);
            }
        }
    }
    add(&plan.text.head, build.head, build.wide_inputs);
    out
}
