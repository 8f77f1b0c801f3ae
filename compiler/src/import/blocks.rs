//! The shared building blocks: every supported model is a composition of these.

use super::checkpoint::Checkpoint;
use crate::graph::{ActKind, Graph, Op, ValueId, ValueType, WeightId};

/// A graph under construction, and the checkpoint that settles how parts are spelled.
pub(super) struct Blocks<'a> {
    pub graph: Graph,
    checkpoint: Option<&'a Checkpoint>,
}

/// Shape of one attention block.
pub(super) struct AttentionShape {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub causal: bool,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(checkpoint: Option<&'a Checkpoint>) -> Self {
        Self { graph: Graph::default(), checkpoint }
    }

    /// The first spelling under which the checkpoint holds `anchor`; the current one if none does.
    pub(super) fn spelling(&self, candidates: &'static [&'static str], anchor: &str) -> &'static str {
        let holds = |prefix: &&&str| {
            self.checkpoint.is_some_and(|c| c.tensors.contains_key(&format!("{prefix}{anchor}")))
        };
        candidates.iter().find(holds).or(candidates.first()).copied().unwrap_or("")
    }

    pub(super) fn cols(&self, x: ValueId) -> usize {
        self.graph.ty(x).cols
    }

    pub(super) fn weight(&mut self, name: String, shape: &[usize]) -> WeightId {
        self.graph.add_weight(name, shape)
    }

    pub(super) fn linear(&mut self, path: &str, x: ValueId, out: usize, bias: bool) -> ValueId {
        let input = self.graph.ty(x);
        let w = self.weight(format!("{path}.weight"), &[out, input.cols]);
        let b = bias.then(|| self.weight(format!("{path}.bias"), &[out]));
        self.graph.push(path, Op::Linear { w, b }, &[x], ValueType::new(input.rows, out))
    }

    /// A node whose output has its first input's type.
    pub(super) fn same(&mut self, path: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        let ty = self.graph.ty(inputs[0]);
        self.graph.push(path, op, inputs, ty)
    }

    pub(super) fn layer_norm(&mut self, path: &str, x: ValueId, eps: f32) -> ValueId {
        let cols = self.cols(x);
        let w = self.weight(format!("{path}.weight"), &[cols]);
        let b = self.weight(format!("{path}.bias"), &[cols]);
        self.same(path, Op::LayerNorm { w, b, eps }, &[x])
    }

    pub(super) fn rms_norm(&mut self, path: &str, x: ValueId, eps: f32) -> ValueId {
        let cols = self.cols(x);
        let w = self.weight(format!("{path}.weight"), &[cols]);
        self.same(path, Op::RmsNorm { w, eps }, &[x])
    }

    pub(super) fn attention(
        &mut self,
        path: &str,
        shape: &AttentionShape,
        [q, k, v]: [ValueId; 3],
    ) -> ValueId {
        let &AttentionShape { heads, kv_heads, head_dim, causal } = shape;
        let scale = (head_dim as f64).powf(-0.5) as f32;
        let op = Op::Attention { heads, kv_heads, head_dim, causal, scale };
        self.same(path, op, &[q, k, v])
    }

    pub(super) fn act(&mut self, path: &str, kind: ActKind, x: ValueId) -> ValueId {
        self.same(path, Op::Act(kind), &[x])
    }

    pub(super) fn add(&mut self, path: &str, a: ValueId, b: ValueId) -> ValueId {
        self.same(path, Op::Add, &[a, b])
    }
}
