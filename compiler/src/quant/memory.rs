//! How much memory calibration takes.

use super::calibration::linear_layers;
use super::Hessian;
use crate::graph::{Rows, ValueId, WeightId};
use crate::import::Model;
use std::collections::BTreeSet;

/// Matrices of float64, inputs by inputs, that one layer needs while it is compressed: the sum, the drift, the damped
/// sum, its factor and what both are computed in.
const MATRICES: u64 = 5;

/// About the most bytes that summing, following ([`crate::pipeline::Built::follow`]) and compressing take with `rows`
/// rows of prompts, without what the files take.
pub fn calibration_bytes(model: &Model, rows: usize) -> u64 {
    let graph = &model.graph;
    let all: u64 = graph.weights.iter().map(|w| w.len() as u64).sum();
    let (mut linear, mut sums, mut widest) = (0, 0, 0);
    let (mut weights, mut values) = (BTreeSet::<WeightId>::new(), BTreeSet::<ValueId>::new());
    for (_, value, w) in linear_layers(model) {
        let ty = graph.ty(value);
        if weights.insert(w) {
            linear += graph.weights[w.index()].len() as u64;
        }
        if ty.rows == Rows::Prompt {
            widest = widest.max(ty.cols as u64);
        } else if values.insert(value) {
            sums += Hessian::bytes(ty.cols);
        }
    }
    // Exact floats, compressed ones beside them, and levels with their scales.
    let floats = 4 * all + 4 * linear + linear * 5 / 4;
    floats + sums + MATRICES * 8 * widest * widest + 2 * 4 * live_columns(model) * rows as u64
}

/// Columns of all values of a prompt that are alive together, at most.
fn live_columns(model: &Model) -> u64 {
    let graph = &model.graph;
    let mut last = vec![0; graph.values.len()];
    for (at, (_, node)) in graph.iter().enumerate() {
        node.inputs.iter().for_each(|input| last[input.index()] = at);
    }
    let cols = |value: ValueId| match graph.ty(value) {
        ty if ty.rows == Rows::Prompt => ty.cols as u64,
        _ => 0,
    };
    // The output layer's rows are never made.
    let head = linear_layers(model).filter(|(_, value, _)| graph.ty(*value).rows == Rows::Prompt).last();
    let end = head.map_or(graph.iter().count(), |(node, ..)| node.index());
    let (mut now, mut most) = (0, 0);
    for (at, (_, node)) in graph.iter().enumerate().take(end) {
        now += node.output.map_or(0, cols);
        most = most.max(now);
        let read: BTreeSet<ValueId> = node.inputs.iter().copied().collect();
        now -= read.into_iter().filter(|input| last[input.index()] == at).map(cols).sum::<u64>();
    }
    most
}
