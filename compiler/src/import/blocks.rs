//! The shared building blocks: every supported model is a composition of these.

use super::checkpoint::Checkpoint;
use crate::graph::{ActKind, BlockMask, Change, Graph, Op, ValueId, ValueType, WeightId};

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
    /// The rows of a prompt see each other all the same.
    pub prefix: bool,
    /// What a causal row sees of the rows before it.
    pub mask: Option<BlockMask>,
    /// Rows see those of their window of the picture only, of so many patches a side.
    pub windows: Option<usize>,
}

/// Which norm, and its epsilon.
#[derive(Clone, Copy)]
pub(super) struct NormShape {
    pub rms: bool,
    pub eps: f32,
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

    /// The first spelling of a tensor that the checkpoint holds; the current one if none does.
    pub(super) fn tensor(&self, candidates: &'static [&'static str]) -> &'static str {
        self.spelling(candidates, "")
    }

    pub(super) fn cols(&self, x: ValueId) -> usize {
        self.graph.ty(x).cols
    }

    pub(super) fn weight(&mut self, name: String, shape: &[usize]) -> WeightId {
        self.graph.add_weight(name, shape)
    }

    /// Layer norm or RMS norm.
    pub(super) fn norm(&mut self, path: &str, x: ValueId, norm: NormShape) -> ValueId {
        match norm.rms {
            true => self.rms_norm(path, x, norm.eps, false),
            false => self.layer_norm(path, x, norm.eps),
        }
    }

    /// A linear layer with bias whose results are multiplied by a learned vector, folded into it.
    pub(super) fn scaled_linear(&mut self, path: &str, x: ValueId, out: usize, scale: &str) -> ValueId {
        let input = self.graph.ty(x);
        let by = || vec![Change::RowsTimes(scale.to_string())];
        let w = self.graph.add_changed(format!("{path}.weight"), &[out, input.cols], by());
        let b = Some(self.graph.add_changed(format!("{path}.bias"), &[out], by()));
        self.graph.push(path, Op::Linear { w, b }, &[x], ValueType::new(input.rows, out))
    }

    pub(super) fn linear(&mut self, path: &str, x: ValueId, out: usize, bias: bool) -> ValueId {
        let input = self.graph.ty(x);
        let w = self.weight(format!("{path}.weight"), &[out, input.cols]);
        let b = bias.then(|| self.weight(format!("{path}.bias"), &[out]));
        self.graph.push(path, Op::Linear { w, b }, &[x], ValueType::new(input.rows, out))
    }

    /// Linear layers over `x`, by path and output columns; `fused`: the one tensor in which their weights
    /// lie one behind the other.
    pub(super) fn linears<const N: usize>(
        &mut self,
        fused: Option<String>,
        x: ValueId,
        parts: [(String, usize); N],
        bias: bool,
    ) -> [ValueId; N] {
        let Some(tensor) = fused else {
            return parts.map(|(path, out)| self.linear(&path, x, out, bias));
        };
        let input = self.graph.ty(x);
        let of = parts.iter().map(|(_, out)| out).sum();
        let mut first = 0;
        parts.map(|(path, out)| {
            let rows = vec![Change::Rows { first, of }];
            first += out;
            let name = format!("{tensor}.weight");
            let w = self.graph.add_changed(name, &[out, input.cols], rows.clone());
            let b = bias.then(|| self.graph.add_changed(format!("{tensor}.bias"), &[out], rows));
            self.graph.push(path, Op::Linear { w, b }, &[x], ValueType::new(input.rows, out))
        })
    }

    /// Linear layers of a whole head each, whose weights lie head by head in one tensor.
    pub(super) fn head_linears<const N: usize>(
        &mut self,
        tensor: &str,
        x: ValueId,
        parts: [(String, usize); N],
        head_dim: usize,
        bias: bool,
    ) -> [ValueId; N] {
        let input = self.graph.ty(x);
        let mut part = 0;
        parts.map(|(path, out)| {
            let changes = vec![Change::HeadRows { part, parts: N, rows: head_dim }];
            part += 1;
            let w = self.graph.add_changed(format!("{tensor}.weight"), &[out, input.cols], changes.clone());
            let b = bias.then(|| self.graph.add_changed(format!("{tensor}.bias"), &[out], changes));
            self.graph.push(path, Op::Linear { w, b }, &[x], ValueType::new(input.rows, out))
        })
    }

    /// A node whose output has its first input's type.
    pub(super) fn same(&mut self, path: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        let ty = self.graph.ty(inputs[0]);
        self.graph.push(path, op, inputs, ty)
    }

    pub(super) fn layer_norm(&mut self, path: &str, x: ValueId, eps: f32) -> ValueId {
        self.head_layer_norm(path, x, 1, eps)
    }

    /// Of each of `heads` parts of a row.
    pub(super) fn head_layer_norm(&mut self, path: &str, x: ValueId, heads: usize, eps: f32) -> ValueId {
        let cols = self.cols(x) / heads;
        let w = self.weight(format!("{path}.weight"), &[cols]);
        let b = self.weight(format!("{path}.bias"), &[cols]);
        self.same(path, Op::LayerNorm { w, b, heads, eps }, &[x])
    }

    /// `minus_one`: the weight is stored around zero.
    pub(super) fn rms_norm(&mut self, path: &str, x: ValueId, eps: f32, minus_one: bool) -> ValueId {
        let cols = self.cols(x);
        let changes = if minus_one { vec![Change::PlusOne] } else { Vec::new() };
        let w = self.graph.add_changed(format!("{path}.weight"), &[cols], changes);
        self.same(path, Op::RmsNorm { w, eps }, &[x])
    }

    pub(super) fn attention(
        &mut self,
        path: &str,
        shape: &AttentionShape,
        [q, k, v]: [ValueId; 3],
    ) -> ValueId {
        let &AttentionShape { heads, kv_heads, head_dim, causal, prefix, mask, windows } = shape;
        let scale = (head_dim as f64).powf(-0.5) as f32;
        let op = Op::Attention { heads, kv_heads, head_dim, causal, prefix, mask, windows, scale };
        self.same(path, op, &[q, k, v])
    }

    pub(super) fn act(&mut self, path: &str, kind: ActKind, x: ValueId) -> ValueId {
        self.same(path, Op::Act(kind), &[x])
    }

    pub(super) fn add(&mut self, path: &str, a: ValueId, b: ValueId) -> ValueId {
        self.same(path, Op::Add, &[a, b])
    }
}
