//! The graph itself and how nodes are appended to it.

use super::id::{NodeId, ValueId, WeightId};
use super::op::Op;
use super::ty::{ImageExtents, Rows, ValueType};
use super::weight::{Change, WeightDecl};
use std::collections::HashSet;

/// One operator application.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Hugging Face module path, for example `language_model.model.layers.3.self_attn.q_proj`.
    pub path: String,
    /// What is computed.
    pub op: Op,
    /// Operands, in the order that [`Op`] documents.
    pub inputs: Vec<ValueId>,
    /// The defined value; `None` for [`Op::Output`].
    pub output: Option<ValueId>,
}

/// A model's computation. See the module documentation for the invariants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// In topological order.
    pub nodes: Vec<Node>,
    /// Type of each value, by [`ValueId`].
    pub values: Vec<ValueType>,
    /// By [`WeightId`].
    pub weights: Vec<WeightDecl>,
    /// Extents of one image; `None` for text-only models.
    pub image: Option<ImageExtents>,
}

impl Graph {
    /// Appends a node that defines a value of type `ty`.
    pub fn push(&mut self, path: impl Into<String>, op: Op, inputs: &[ValueId], ty: ValueType) -> ValueId {
        let output = ValueId::from_index(self.values.len());
        self.values.push(ty);
        self.nodes.push(Node { path: path.into(), op, inputs: inputs.to_vec(), output: Some(output) });
        output
    }

    /// Appends the output node.
    pub fn push_output(&mut self, path: impl Into<String>, value: ValueId) {
        self.nodes.push(Node { path: path.into(), op: Op::Output, inputs: vec![value], output: None });
    }

    /// Declares a weight.
    pub fn add_weight(&mut self, name: impl Into<String>, shape: &[usize]) -> WeightId {
        self.add_changed(name, shape, Vec::new())
    }

    /// Declares a weight that is made from its tensor by `changes`.
    pub fn add_changed(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        changes: Vec<Change>,
    ) -> WeightId {
        let id = WeightId::from_index(self.weights.len());
        self.weights.push(WeightDecl { name: name.into(), shape: shape.to_vec(), changes });
        id
    }

    /// By [`ValueId`]: is the value needed for `target`, or is it that?
    pub fn ancestors(&self, target: ValueId) -> Vec<bool> {
        let mut needed = vec![false; self.values.len()];
        needed[target.index()] = true;
        for node in self.nodes.iter().rev() {
            if node.output.is_some_and(|output| needed[output.index()]) {
                node.inputs.iter().for_each(|input| needed[input.index()] = true);
            }
        }
        needed
    }

    /// Type of a value.
    pub fn ty(&self, value: ValueId) -> ValueType {
        self.values[value.index()]
    }

    /// The residual stream behind each layer of the language model: the second sum behind its attention.
    pub fn layer_ends(&self) -> Vec<ValueId> {
        let (mut ends, mut sums) = (Vec::new(), 0);
        for node in self.nodes.iter().filter(|node| node.output.is_some_and(|v| self.is_text(v))) {
            match node.op {
                Op::Attention { .. } => sums = 2,
                Op::Add if sums > 0 => {
                    sums -= 1;
                    ends.extend(node.output.filter(|_| sums == 0));
                }
                _ => {}
            }
        }
        ends
    }

    fn is_text(&self, value: ValueId) -> bool {
        self.ty(value).rows == Rows::Prompt
    }

    /// A node by id.
    pub fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node.index()]
    }

    /// Declaration of a weight.
    pub fn weight(&self, weight: WeightId) -> &WeightDecl {
        &self.weights[weight.index()]
    }

    /// Nodes with their ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId::from_index(index), node))
    }

    /// Number of parameters, a shared tensor counted once.
    pub fn parameter_count(&self) -> u64 {
        let mut seen = HashSet::new();
        let own = self.weights.iter().filter(|w| seen.insert((&w.name, w.first_row())));
        own.map(|w| w.len() as u64).sum()
    }
}
