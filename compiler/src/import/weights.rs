//! Weights of a graph, bound to the tensors of a checkpoint and converted on demand.

use super::checkpoint::{Checkpoint, TensorRef};
use super::header::Dtype;
use super::rows::{self, Rows};
use crate::diag::{Diagnostic, Diagnostics};
use crate::graph::{Graph, WeightDecl, WeightId};

/// The tensors of a graph's weights, by [`WeightId`]. Holds mapped files, no converted copies.
pub struct WeightStore {
    slots: Vec<Slot>,
    ignored: Vec<String>,
}

struct Slot {
    decl: WeightDecl,
    tensor: Option<TensorRef>,
    /// Vectors that the weight's changes read.
    factors: Vec<TensorRef>,
}

impl WeightStore {
    /// A store that knows shapes only (`--no-weights`).
    pub fn shapes_only(graph: &Graph) -> Self {
        let slots =
            graph.weights.iter().map(|decl| Slot { decl: decl.clone(), tensor: None, factors: Vec::new() });
        Self { slots: slots.collect(), ignored: Vec::new() }
    }

    /// Binds every weight of the graph. Reports all missing tensors in one diagnostic, all unexpected
    /// ones in another, and every shape or element type that does not fit. `harmless` says which
    /// tensors a checkpoint may carry although the graph does not use them.
    pub fn bind(
        graph: &Graph,
        checkpoint: &Checkpoint,
        harmless: &dyn Fn(&str) -> bool,
    ) -> Result<Self, Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        let mut missing = Vec::new();
        let mut slots = Vec::new();
        let mut used = std::collections::BTreeSet::new();
        for decl in &graph.weights {
            let mut find = |name, shape: &[usize]| {
                let tensor = checkpoint.tensors.get(name).cloned();
                match (&tensor, used.insert(name)) {
                    (None, first) => missing.extend(first.then_some(name)),
                    (Some(tensor), _) => check_tensor(name, shape, tensor, &mut diagnostics),
                }
                tensor
            };
            let tensor = find(decl.name.as_str(), &decl.stored_shape());
            let factors = decl.factors().filter_map(|(name, len)| find(name, &[len])).collect();
            slots.push(Slot { decl: decl.clone(), tensor, factors });
        }
        let extra = checkpoint.tensors.keys().filter(|name| !used.contains(name.as_str()));
        let (ignored, unexpected): (Vec<String>, Vec<String>) =
            extra.cloned().partition(|name| harmless(name));
        if !missing.is_empty() {
            diagnostics.push(Diagnostic::new(
                "checkpoint",
                format!("{} tensors that config.json calls for", graph.weights.len()),
                format!("{} missing: {}", missing.len(), missing.join(", ")),
                "check that config.json and the weights are of one model, and that no shard is absent",
            ));
        }
        if !unexpected.is_empty() {
            diagnostics.push(Diagnostic::new(
                "checkpoint",
                "no tensors beyond what config.json calls for",
                format!("{} unexpected: {}", unexpected.len(), unexpected.join(", ")),
                "the weights hold parts that config.json does not describe; check that both are of \
                 one model, or remove these tensors",
            ));
        }
        diagnostics.into_result(Self { slots, ignored })
    }

    /// Tensors that are used, though not by the graph.
    pub(super) fn use_beside(&mut self, used: &dyn Fn(&str) -> bool) {
        self.ignored.retain(|name| !used(name));
    }

    /// True when the weights' values are at hand.
    pub fn has_data(&self) -> bool {
        self.slots.iter().all(|slot| slot.tensor.is_some())
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True for a store without weights.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Tensor name in the checkpoint.
    pub fn name(&self, id: WeightId) -> &str {
        &self.slots[id.index()].decl.name
    }

    /// Shape in which the graph uses the weight.
    pub fn shape(&self, id: WeightId) -> &[usize] {
        &self.slots[id.index()].decl.shape
    }

    /// Element type in the file; `None` without data.
    pub fn dtype(&self, id: WeightId) -> Option<Dtype> {
        self.slots[id.index()].tensor.as_ref().and_then(|tensor| tensor.entry.dtype)
    }

    /// Tensors of the checkpoint that the graph does not need.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The weight's values, row-major, as f32. Fails on NaN and infinity, and without data.
    pub fn load_f32(&self, id: WeightId) -> Result<Vec<f32>, Diagnostic> {
        let (slot, tensor) = self.finite(id)?;
        let factors = slot.factors.iter().map(values).collect::<Vec<_>>();
        Ok(slot.decl.apply(values(tensor), &factors))
    }

    /// The weight's rows, a matrix `[shape[0], rest]`. Fails like [`WeightStore::load_f32`].
    pub fn rows(&self, id: WeightId) -> Result<Rows<'_>, Diagnostic> {
        let (slot, tensor) = self.finite(id)?;
        let cols = slot.decl.shape.iter().skip(1).product();
        if slot.decl.changes.is_empty() {
            return Ok(Rows::stored(cols, float(tensor), tensor.data()));
        }
        Ok(Rows::changed(cols, self.load_f32(id)?))
    }

    /// The tensor of a weight, all of whose values are finite.
    fn finite(&self, id: WeightId) -> Result<(&Slot, &TensorRef), Diagnostic> {
        let slot = &self.slots[id.index()];
        let Some(tensor) = &slot.tensor else {
            return Err(Diagnostic::new(
                &slot.decl.name,
                "weights",
                "a model that was imported from config.json alone",
                "import the checkpoint without --no-weights",
            ));
        };
        let Some(index) = rows::first_not_finite(float(tensor), tensor.data()) else {
            return Ok((slot, tensor));
        };
        Err(Diagnostic::new(
            &slot.decl.name,
            "finite values",
            format!("{} at index {:?}", values(tensor)[index], unravel(index, &tensor.entry.shape)),
            "the checkpoint is damaged or training diverged; get or save the weights again",
        ))
    }
}

/// The element type of a bound tensor.
fn float(tensor: &TensorRef) -> Dtype {
    tensor.entry.dtype.expect("invariant: bind accepts float tensors only")
}

fn values(tensor: &TensorRef) -> Vec<f32> {
    rows::all(float(tensor), tensor.data())
}

fn check_tensor(name: &str, shape: &[usize], tensor: &TensorRef, diagnostics: &mut Diagnostics) {
    let entry = &tensor.entry;
    if !entry.dtype.is_some_and(Dtype::is_float) {
        diagnostics.push(Diagnostic::new(
            name,
            "element type F32, F16 or BF16",
            &entry.dtype_name,
            "save the model unquantised, in float32, float16 or bfloat16",
        ));
    }
    // A convolution weight [out, c, (t,) p, p] is used as [out, c*t*p*p]: same elements, same order.
    let flat: usize = entry.shape.iter().skip(1).product();
    let folded = entry.shape.len() >= 4 && *shape == [entry.shape[0], flat];
    // Leading and trailing dimensions of one row ([1, n, c] tables, a single [c] row, [c, 1, 1] scales) hold the same
    // elements, too.
    let bare = |shape: &[usize]| {
        let used = shape.iter().rposition(|n| *n != 1).map_or(0, |last| last + 1);
        shape[..used].iter().copied().skip_while(|n| *n == 1).collect::<Vec<_>>()
    };
    let same =
        entry.shape == shape || folded || (!entry.shape.is_empty() && bare(&entry.shape) == bare(shape));
    if !same {
        diagnostics.push(Diagnostic::new(
            name,
            format!("shape {shape:?} (from config.json)"),
            format!("shape {:?} (in the file)", entry.shape),
            "check that config.json and the weights are of one model",
        ));
    }
}

/// Values of a float tensor as f32; `None` for other element types.
pub(crate) fn to_f32(tensor: &TensorRef) -> Option<Vec<f32>> {
    tensor.entry.dtype.filter(|dtype| dtype.is_float()).map(|dtype| rows::all(dtype, tensor.data()))
}

fn unravel(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut out = vec![0; shape.len()];
    for (slot, &dim) in out.iter_mut().zip(shape).rev() {
        *slot = index % dim.max(1);
        index /= dim.max(1);
    }
    out
}
