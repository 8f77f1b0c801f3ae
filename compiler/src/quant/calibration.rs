//! [`Hessian`]s of a model's linear layers, from running the float reference over sample inputs.

use std::collections::BTreeMap;

use super::Hessian;
use crate::diag::Diagnostic;
use crate::eval::{LinearInput, Session};
use crate::graph::{NodeId, Op, ValueId, WeightId};
use crate::import::Model;

/// What is known about the inputs of a model's linear layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// By weight. Layers that read the same value (query, key and value; gate and up) share one sum.
    pub hessians: BTreeMap<WeightId, Hessian>,
}

/// Runs samples and sums what each linear layer reads.
pub struct Calibrator<'m> {
    model: &'m Model,
    session: Session<'m>,
    /// For each value that linear layers read: the first of them, and the sum.
    sums: BTreeMap<ValueId, (NodeId, Hessian)>,
}

impl<'m> Calibrator<'m> {
    /// Loads the weights. Fails if the sums would take more than `bytes_max` of memory.
    pub fn new(model: &'m Model, bytes_max: u64) -> Result<Self, Diagnostic> {
        let mut first = BTreeMap::new();
        for (node, value, _) in linear_layers(model) {
            first.entry(value).or_insert(node);
        }
        let cols = |value: ValueId| model.graph.ty(value).cols;
        let bytes: u64 = first.keys().map(|value| Hessian::bytes(cols(*value))).sum();
        if bytes > bytes_max {
            return Err(Diagnostic::new(
                "calibration",
                format!("at most {bytes_max} bytes for the input statistics of all linear layers"),
                format!("{bytes} bytes"),
                "compile without calibration, or use a smaller model",
            ));
        }
        let session = Session::new(model)?;
        let sums = first.into_iter().map(|(value, node)| (value, (node, Hessian::new(cols(value)))));
        Ok(Calibrator { model, session, sums: sums.collect() })
    }

    /// Runs one prompt with its pictures, each patch-major as [`Session::encode_image`] takes it.
    pub fn add(&mut self, ids: &[u32], pictures: &[Vec<f32>]) -> Result<(), Diagnostic> {
        let sums = &mut self.sums;
        // A value that several layers read is shown once for each of them; the first one counts.
        let mut watch = |input: LinearInput<'_>| {
            let (first, sum) = sums.get_mut(&input.value).expect("invariant: every input has a sum");
            if *first == input.node {
                sum.add_rows(input.rows);
            }
        };
        let mut images = Vec::with_capacity(pictures.len());
        for pixels in pictures {
            images.push(self.session.encode_image_watched(pixels, &mut watch)?);
        }
        self.session.prefill_watched(ids, &images, &mut watch)?;
        Ok(())
    }

    /// The sums by weight.
    pub fn finish(self) -> Calibration {
        let mut hessians: BTreeMap<WeightId, Hessian> = BTreeMap::new();
        for (_, value, w) in linear_layers(self.model) {
            let (_, sum) = &self.sums[&value];
            hessians.entry(w).and_modify(|h| h.add(sum)).or_insert_with(|| sum.clone());
        }
        Calibration { hessians }
    }
}

/// Node, input value and weight of each linear layer.
fn linear_layers(model: &Model) -> impl Iterator<Item = (NodeId, ValueId, WeightId)> + '_ {
    model.graph.iter().filter_map(|(id, node)| match node.op {
        Op::Linear { w, .. } => Some((id, node.inputs[0], w)),
        _ => None,
    })
}
