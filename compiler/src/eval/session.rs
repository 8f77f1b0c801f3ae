//! One sequence through the graph, with its KV cache.

use std::collections::HashMap;

use rayon::prelude::*;

use super::inputs::Inputs;
use super::kernels::{self, AttentionShape};
use super::matmul::matmul;
use super::patchify::patchify;
use crate::diag::Diagnostic;
use crate::graph::{Graph, InputKind, ModelSpec, Node, NodeId, Op, Rows, ValueId, WeightId};
use crate::import::Model;

/// The interpreter with one sequence's state. Weights are converted once, when it is made.
pub struct Session<'m> {
    graph: &'m Graph,
    spec: &'m ModelSpec,
    weights: Vec<Vec<f32>>,
    /// The node that reads a value last.
    last_use: Vec<Option<NodeId>>,
    /// Value that carries the visual tokens into the text part.
    image_value: Option<ValueId>,
    caches: HashMap<NodeId, KvCache>,
    position: usize,
}

/// Keys and values of one attention node, `[positions, kv_heads*head_dim]`.
#[derive(Default)]
struct KvCache {
    k: Vec<f32>,
    v: Vec<f32>,
}

/// What a linear layer reads in one run.
pub struct LinearInput<'a> {
    /// The layer.
    pub node: NodeId,
    /// The value that it reads.
    pub value: ValueId,
    /// Its weight.
    pub weight: WeightId,
    /// The input rows, row-major.
    pub rows: &'a [f32],
}

/// Sees the input of every linear layer just before it is computed.
pub type Watch<'w> = dyn FnMut(LinearInput<'_>) + 'w;

/// What a run of one graph part starts from.
struct Feed<'a> {
    pixels: &'a [f32],
    ids: &'a [u32],
    images: &'a [f32],
}

impl<'m> Session<'m> {
    /// Loads all weights. Fails on a model without weights and on values that are not finite.
    pub fn new(model: &'m Model) -> Result<Self, Diagnostic> {
        let weights = (0..model.graph.weights.len())
            .into_par_iter()
            .map(|index| model.weights.load_f32(WeightId::from_index(index)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::with_weights(model, weights))
    }

    /// As [`Session::new`], with other values (by [`WeightId`], shapes as declared): what a model
    /// becomes under quantised weights.
    pub fn with_weights(model: &'m Model, weights: Vec<Vec<f32>>) -> Self {
        let graph = &model.graph;
        let fits = graph.weights.iter().map(|decl| decl.len()).eq(weights.iter().map(Vec::len));
        assert!(fits, "one value per element of every weight");
        let mut last_use = vec![None; graph.values.len()];
        let mut image_value = None;
        for (id, node) in graph.iter() {
            for input in &node.inputs {
                last_use[input.index()] = Some(id);
            }
            if matches!(node.op, Op::MergeImageRows { .. }) {
                image_value = Some(node.inputs[1]);
            }
        }
        Self { graph, spec: &model.spec, weights, last_use, image_value, caches: HashMap::new(), position: 0 }
    }

    /// Positions in the KV cache.
    pub fn len(&self) -> usize {
        self.position
    }

    /// True before the first prefill.
    pub fn is_empty(&self) -> bool {
        self.position == 0
    }

    /// One picture, patch-major `[patches, 3*p*p]` (see [`patchify`]), to its visual tokens
    /// `[visual_tokens, hidden]`.
    pub fn encode_image(&mut self, pixels: &[f32]) -> Result<Vec<f32>, Diagnostic> {
        self.encode_image_watched(pixels, &mut |_| ())
    }

    /// As [`Session::encode_image`].
    pub fn encode_image_watched(
        &mut self,
        pixels: &[f32],
        watch: &mut Watch<'_>,
    ) -> Result<Vec<f32>, Diagnostic> {
        let (Some(target), Some(vision)) = (self.image_value, &self.spec.vision) else {
            return Err(Diagnostic::new(
                "pixel_values",
                "no pictures, as the model is text-only",
                "a picture",
                "leave the picture out, or use a vision-language model",
            ));
        };
        let expected = vision.patch_count * 3 * vision.patch * vision.patch;
        if pixels.len() != expected {
            return Err(Diagnostic::new(
                "pixel_values",
                format!("{expected} patch-major values"),
                format!("{} values", pixels.len()),
                "resize the picture to the model's image_size before patchify",
            ));
        }
        Ok(self.run(&Feed { pixels, ids: &[], images: &[] }, Some(target), watch))
    }

    /// Starts a new sequence. `images` are results of [`Session::encode_image`] in the order of their
    /// placeholders. Returns the logits of all rows, `[ids, vocab]`.
    pub fn prefill(&mut self, ids: &[u32], images: &[Vec<f32>]) -> Result<Vec<f32>, Diagnostic> {
        self.prefill_watched(ids, images, &mut |_| ())
    }

    /// As [`Session::prefill`].
    pub fn prefill_watched(
        &mut self,
        ids: &[u32],
        images: &[Vec<f32>],
        watch: &mut Watch<'_>,
    ) -> Result<Vec<f32>, Diagnostic> {
        self.check_prompt(ids, images)?;
        self.caches.clear();
        self.position = 0;
        self.extend(ids, &images.concat(), watch)
    }

    /// Appends one token; returns its row's logits, `[vocab]`.
    pub fn step(&mut self, token: u32) -> Result<Vec<f32>, Diagnostic> {
        if Some(token) == self.spec.image_token_id {
            return Err(Diagnostic::new(
                "step",
                "a text token",
                format!("the image placeholder {token}"),
                "suppress the placeholder when sampling; pictures enter through prefill",
            ));
        }
        self.extend(&[token], &[], &mut |_| ())
    }

    /// The `logits` command: encodes the pictures, runs the prompt, returns `[ids, vocab]`.
    pub fn logits(&mut self, inputs: &Inputs) -> Result<Vec<f32>, Diagnostic> {
        let mut images = Vec::with_capacity(inputs.images.len());
        for pixels in &inputs.images {
            let rows = match &self.spec.vision {
                Some(vision) => patchify(pixels, vision.image_size, vision.patch),
                None => Vec::new(),
            };
            images.push(self.encode_image(&rows)?);
        }
        self.prefill(&inputs.input_ids, &images)
    }

    fn check_prompt(&self, ids: &[u32], images: &[Vec<f32>]) -> Result<(), Diagnostic> {
        if ids.is_empty() {
            return Err(Diagnostic::new("input_ids", "at least one token", "none", "give a prompt"));
        }
        self.spec.check_placeholders(ids, images.len())?;
        let expected = self.spec.visual_tokens * self.spec.text.hidden;
        match images.iter().find(|image| image.len() != expected) {
            None => Ok(()),
            Some(image) => Err(Diagnostic::new(
                "images",
                format!("{expected} values per picture"),
                format!("{} values", image.len()),
                "pass what encode_image returned",
            )),
        }
    }

    fn extend(&mut self, ids: &[u32], images: &[f32], watch: &mut Watch<'_>) -> Result<Vec<f32>, Diagnostic> {
        self.spec.check_ids(ids)?;
        let total = self.position + ids.len();
        if total > self.spec.text.max_position {
            return Err(Diagnostic::new(
                "input_ids",
                format!("at most {} positions", self.spec.text.max_position),
                format!("{total} positions"),
                "shorten the prompt or ask for fewer new tokens",
            ));
        }
        let logits = self.run(&Feed { pixels: &[], ids, images }, None, watch);
        self.position = total;
        Ok(logits)
    }

    /// Interprets the vision part up to `image_target`, or the text part up to the output.
    fn run(&mut self, feed: &Feed<'_>, image_target: Option<ValueId>, watch: &mut Watch<'_>) -> Vec<f32> {
        let graph = self.graph;
        let mut values: Vec<Option<Vec<f32>>> = vec![None; graph.values.len()];
        if let (Some(image), None) = (self.image_value, image_target) {
            values[image.index()] = Some(feed.images.to_vec());
        }
        for (id, node) in graph.iter() {
            let Some(output) = node.output else {
                return values[node.inputs[0].index()].take().expect("invariant: logits are computed");
            };
            let is_text = graph.ty(output).rows == Rows::Prompt;
            if is_text == image_target.is_some() {
                continue;
            }
            let result = self.node(id, node, &mut values, feed, watch);
            if image_target == Some(output) {
                return result;
            }
            values[output.index()] = Some(result);
            for input in &node.inputs {
                if self.last_use[input.index()] == Some(id) {
                    values[input.index()] = None;
                }
            }
        }
        unreachable!("invariant: a verified graph ends in an output node")
    }

    fn node(
        &mut self,
        id: NodeId,
        node: &Node,
        values: &mut [Option<Vec<f32>>],
        feed: &Feed<'_>,
        watch: &mut Watch<'_>,
    ) -> Vec<f32> {
        if let Op::Attention { heads, kv_heads, head_dim, causal, scale } = node.op {
            let shape = AttentionShape { heads, kv_heads, head_dim, causal, scale };
            let [q, k, v] = [0, 1, 2].map(|index| {
                values[node.inputs[index].index()].as_deref().expect("invariant: operands come first")
            });
            if !causal {
                return kernels::attention(&shape, q, k, v);
            }
            let cache = self.caches.entry(id).or_default();
            cache.k.extend_from_slice(k);
            cache.v.extend_from_slice(v);
            return kernels::attention(&shape, q, &cache.k, &cache.v);
        }
        if let Op::Linear { w, b } = &node.op {
            let rows = values[node.inputs[0].index()].as_deref().expect("invariant: operands come first");
            watch(LinearInput { node: id, value: node.inputs[0], weight: *w, rows });
            return self.linear(node, rows, *w, *b);
        }
        let mut x = self.first_operand(id, node, values);
        let second = node.inputs.get(1).and_then(|input| values[input.index()].as_deref());
        let second = second.unwrap_or(&[]);
        let weight = |id: WeightId| self.weights[id.index()].as_slice();
        match &node.op {
            Op::Input(InputKind::Pixels) => return feed.pixels.to_vec(),
            Op::Input(InputKind::TokenIds) => return Vec::new(),
            Op::PrependRow { w } => return [weight(*w), x.as_slice()].concat(),
            Op::AddPosition { w } => add_row(&mut x, weight(*w)),
            Op::LayerNorm { w, b, eps } => kernels::layer_norm(&mut x, weight(*w), weight(*b), *eps),
            Op::RmsNorm { w, eps } => kernels::rms_norm(&mut x, weight(*w), *eps),
            Op::Rope { heads, inv_freq, attention_scaling, .. } => {
                kernels::rope(&mut x, *heads, inv_freq, *attention_scaling, self.position);
            }
            Op::Add => x.iter_mut().zip(second).for_each(|(x, y)| *x += y),
            Op::Mul => x.iter_mut().zip(second).for_each(|(x, y)| *x *= y),
            Op::Act(kind) => kernels::activate(*kind, &mut x),
            Op::Embedding { w } => {
                let cols = self.out_cols(node);
                return embed(weight(*w), cols, feed.ids, self.spec.image_token_id);
            }
            Op::MergeImageRows { placeholder } => {
                let cols = self.out_cols(node);
                merge(&mut x, second, cols, feed.ids, *placeholder);
            }
            Op::SkipRows { count } => {
                x.drain(..count * self.out_cols(node));
            }
            Op::Linear { .. } | Op::Attention { .. } | Op::Output => {
                unreachable!("handled elsewhere")
            }
        }
        x
    }

    /// The first operand, without a copy when this node is its last reader.
    fn first_operand(&self, id: NodeId, node: &Node, values: &mut [Option<Vec<f32>>]) -> Vec<f32> {
        let Some((first, others)) = node.inputs.split_first() else {
            return Vec::new();
        };
        let slot = &mut values[first.index()];
        let is_last = self.last_use[first.index()] == Some(id) && !others.contains(first);
        let value = if is_last { slot.take() } else { slot.clone() };
        value.expect("invariant: operands come first")
    }

    fn linear(&self, node: &Node, x: &[f32], w: WeightId, b: Option<WeightId>) -> Vec<f32> {
        let (inner, cols) = (self.graph.ty(node.inputs[0]).cols, self.out_cols(node));
        let mut out = matmul(x, &self.weights[w.index()], x.len() / inner, inner, cols);
        if let Some(b) = b {
            add_row(&mut out, &self.weights[b.index()]);
        }
        out
    }

    fn out_cols(&self, node: &Node) -> usize {
        node.output.map_or(0, |output| self.graph.ty(output).cols)
    }
}

/// Adds `row`, repeated, to `x`.
fn add_row(x: &mut [f32], row: &[f32]) {
    for chunk in x.chunks_exact_mut(row.len()) {
        chunk.iter_mut().zip(row).for_each(|(x, y)| *x += y);
    }
}

/// Rows of the table; placeholders, which may lie outside the vocabulary, get zeros.
fn embed(table: &[f32], cols: usize, ids: &[u32], placeholder: Option<u32>) -> Vec<f32> {
    let mut out = vec![0.0; ids.len() * cols];
    for (row, &id) in out.chunks_exact_mut(cols).zip(ids) {
        if Some(id) != placeholder {
            row.copy_from_slice(&table[id as usize * cols..][..cols]);
        }
    }
    out
}

fn merge(x: &mut [f32], images: &[f32], cols: usize, ids: &[u32], placeholder: u32) {
    let rows = x.chunks_exact_mut(cols).zip(ids).filter(|(_, id)| **id == placeholder);
    let mut images = images.chunks_exact(cols);
    for (row, _) in rows {
        row.copy_from_slice(images.next().expect("invariant: placeholders were counted"));
    }
    assert!(images.next().is_none(), "every visual token has a placeholder");
}
