//! One sequence through the graph, with its KV cache.

mod together;

pub use together::Together;

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::conv;
use super::inputs::Inputs;
use super::kernels::{self, AttentionShape};
use super::matmul::matmul;
use crate::diag::Diagnostic;
use crate::graph::{
    Graph, Group, InputKind, Method, ModelSpec, Node, NodeId, Op, Picture, Position, ReadOut, Rows,
    TokenGrid, ValueId, VisualRow, WeightId,
};
use crate::import::Model;

/// The interpreter with one sequence's state. Weights are converted once, when it is made.
pub struct Session<'m> {
    graph: &'m Graph,
    spec: &'m ModelSpec,
    /// Shared by sessions that come from one another.
    weights: Vec<Arc<Vec<f32>>>,
    /// The node that reads a value last.
    last_use: Vec<Option<NodeId>>,
    /// Value that carries the visual tokens into the text part, and the learned rows beside them.
    image_value: Option<(ValueId, Option<WeightId>)>,
    /// Value that carries the visual tokens of a frame of a video, where these have a tower of their own.
    video_value: Option<ValueId>,
    caches: HashMap<NodeId, KvCache>,
    position: usize,
    /// Added to a row's place to get its rotary position.
    shift: f32,
    /// The residual stream behind each layer of the language model.
    layer_ends: Vec<ValueId>,
    /// Layers of the language model that run.
    depth: usize,
    /// Rows of the last run behind the last of these.
    behind: Vec<f32>,
    /// Of the picture that is encoded: what its tiles so far have given away, and the groups that were chosen.
    read: Vec<ReadOut>,
    groups: Vec<Vec<Group>>,
}

/// A picture's rows of the prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embedded {
    /// `[placeholders, hidden]`.
    pub rows: Vec<f32>,
    /// What they are.
    pub kept: Vec<VisualRow>,
    /// Where they stand, for models whose positions have several axes.
    pub grid: TokenGrid,
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
#[derive(Default)]
struct Feed<'a> {
    pixels: &'a [f32],
    ids: &'a [u32],
    images: &'a [f32],
    /// `[1, text hidden]`: the question that a picture is encoded for.
    question: &'a [f32],
    /// Of the rows, for rotary embeddings.
    positions: Vec<Position>,
    /// Rows of the position table.
    table_rows: Vec<u32>,
    /// Rows of each window of the picture.
    windows: Vec<usize>,
    /// The picture and the tile of it that is encoded.
    tile: Option<(&'a Picture, usize)>,
}

impl Feed<'_> {
    /// How the picture's visual tokens are chosen.
    fn method(&self) -> Option<Method> {
        self.tile.and_then(|(picture, _)| picture.prune).map(|prune| prune.method)
    }
}

impl<'m> Session<'m> {
    /// Loads all weights. Fails on a model without weights and on values that are not finite.
    pub fn new(model: &'m Model) -> Result<Self, Diagnostic> {
        let weights = (0..model.graph.weights.len())
            .into_par_iter()
            .map(|index| model.weights.load_f32(WeightId::from_index(index)).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::with_weights(&model.graph, &model.spec, weights))
    }

    /// Another sequence, at its start, through the same weights.
    pub fn fork(&self) -> Self {
        Self::with_weights(self.graph, self.spec, self.weights.clone())
    }

    fn with_weights(graph: &'m Graph, spec: &'m ModelSpec, weights: Vec<Arc<Vec<f32>>>) -> Self {
        let mut last_use = vec![None; graph.values.len()];
        let (mut image_value, mut video_value) = (None, None);
        for (id, node) in graph.iter() {
            for input in &node.inputs {
                last_use[input.index()] = Some(id);
            }
            match node.op {
                Op::MergeImageRows { learned, .. } => {
                    image_value = Some((node.inputs[1], learned));
                    video_value = node.inputs.get(2).copied();
                }
                Op::Output if graph.ty(node.inputs[0]).rows == Rows::Image => {
                    image_value = Some((node.inputs[0], None));
                }
                _ => {}
            }
        }
        let caches = HashMap::new();
        let layer_ends = graph.layer_ends();
        Self {
            graph,
            spec,
            weights,
            last_use,
            image_value,
            video_value,
            caches,
            position: 0,
            shift: 0.0,
            depth: layer_ends.len(),
            layer_ends,
            behind: Vec::new(),
            read: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Later rows run through the first `layers` layers of the language model only, then through the final norm and
    /// the output layer.
    pub fn set_depth(&mut self, layers: usize) {
        assert!((1..=self.layer_ends.len()).contains(&layers), "a layer of the model");
        self.depth = layers;
    }

    /// Rows of the last run, `[ids, hidden]`, behind the last layer that ran and before the final norm.
    pub fn behind(&self) -> &[f32] {
        &self.behind
    }

    /// Positions in the KV cache.
    pub fn len(&self) -> usize {
        self.position
    }

    /// Columns of the residual stream.
    pub fn hidden(&self) -> usize {
        self.spec.text.hidden
    }

    /// True before the first prefill.
    pub fn is_empty(&self) -> bool {
        self.position == 0
    }

    /// One picture to its rows of the prompt.
    pub fn encode_image(&mut self, picture: &Picture) -> Result<Embedded, Diagnostic> {
        self.encode_image_watched(picture, &mut |_| ())
    }

    /// As [`Session::encode_image`].
    pub fn encode_image_watched(
        &mut self,
        picture: &Picture,
        watch: &mut Watch<'_>,
    ) -> Result<Embedded, Diagnostic> {
        let image = self.image_value.map(|(value, _)| value);
        let target = if picture.video { self.video_value.or(image) } else { image };
        let (Some(target), Some(vision)) = (target, self.spec.tower_of(picture)) else {
            let what = if picture.video { ["videos", "a video"] } else { ["pictures", "a picture"] };
            return Err(Diagnostic::new(
                "pixel_values",
                format!("no {}, as {} takes none", what[0], self.spec.architecture),
                what[1],
                "leave it out, or use a vision-language model that takes it",
            ));
        };
        let question = match vision.question {
            true => self.question(&picture.question, watch)?,
            false => Vec::new(),
        };
        let learned = self.image_value.and_then(|(_, learned)| learned);
        let mut tiles = Vec::with_capacity(picture.tiles.len());
        (self.read, self.groups) = (Vec::new(), Vec::new());
        for (index, tile) in picture.tiles.iter().enumerate() {
            vision.check_grid(tile.grid)?;
            let expected = tile.grid[0] * tile.grid[1] * vision.pixel_cols;
            if tile.rows.len() != expected {
                return Err(Diagnostic::new(
                    "pixel_values",
                    format!("{expected} patch-major values"),
                    format!("{} values", tile.rows.len()),
                    "resize the picture to the model's image_size before cutting it into patches",
                ));
            }
            let feed = Feed {
                pixels: &tile.rows,
                table_rows: vision.position_ids(tile.grid),
                positions: vision.rotary_positions(tile.grid),
                windows: vision.windows.as_ref().map_or(Vec::new(), |w| w.lengths(tile.grid)),
                question: &question,
                tile: Some((picture, index)),
                ..Feed::default()
            };
            self.read.push(ReadOut::default());
            tiles.push(self.run(&feed, Some(target), watch));
        }
        let width = self.spec.visual_width();
        let row = |row: &VisualRow| match *row {
            VisualRow::Token { tile, row } => {
                let at = match picture.prune {
                    None => row,
                    Some(_) => self.groups[tile].iter().take_while(|group| group.token != row).count(),
                };
                &tiles[tile][at * width..][..width]
            }
            VisualRow::Learned(row) => {
                let w = learned.expect("invariant: arrangements name rows that the model has");
                &self.weights[w.index()][row * width..][..width]
            }
        };
        let kept = match picture.prune {
            None => picture.rows.clone(),
            Some(_) => picture.kept(&self.groups),
        };
        let rows: Vec<f32> = kept.iter().flat_map(row).copied().collect();
        let grid = self.spec.token_grid(picture, &kept);
        Ok(Embedded { rows, kept, grid })
    }

    /// Hidden state of a question's last token behind all layers and the final norm. The sequence is lost.
    fn question(&mut self, ids: &[u32], watch: &mut Watch<'_>) -> Result<Vec<f32>, Diagnostic> {
        if ids.is_empty() {
            return Err(Diagnostic::new(
                "question_ids",
                format!("the question, as {} compresses pictures for it", self.spec.architecture),
                "no tokens",
                "save the tokens of the question, [1, T], beside the prompt",
            ));
        }
        let depth = std::mem::replace(&mut self.depth, self.layer_ends.len());
        let mut state = Vec::new();
        let hidden = self.spec.text.hidden;
        let read = self.prefill_watched(ids, &[], &mut |layer| {
            // The last linear layer is the output layer.
            state = layer.rows[layer.rows.len().saturating_sub(hidden)..].to_vec();
            watch(layer);
        });
        self.depth = depth;
        read.map(|_| state)
    }

    /// Groups of tokens of each tile that the visual tokens of the last encoded picture are; none where it is not pruned.
    pub fn groups(&self) -> &[Vec<Group>] {
        &self.groups
    }

    /// Starts a new sequence. `images` are results of [`Session::encode_image`] in the order of their
    /// placeholders. Returns the logits of all rows, `[ids, vocab]`, or their vectors.
    pub fn prefill(&mut self, ids: &[u32], images: &[Embedded]) -> Result<Vec<f32>, Diagnostic> {
        self.prefill_watched(ids, images, &mut |_| ())
    }

    /// As [`Session::prefill`].
    pub fn prefill_watched(
        &mut self,
        ids: &[u32],
        images: &[Embedded],
        watch: &mut Watch<'_>,
    ) -> Result<Vec<f32>, Diagnostic> {
        self.check(ids, images)?;
        self.caches.clear();
        (self.position, self.shift) = (0, 0.0);
        let rows: Vec<f32> = images.iter().flat_map(|i| &i.rows).copied().collect();
        let grids: Vec<TokenGrid> = images.iter().map(|i| i.grid.clone()).collect();
        let positions = self.spec.positions(ids, &grids);
        let logits = self.extend(ids, &rows, positions.rows, watch)?;
        self.shift = positions.shift;
        Ok(logits)
    }

    /// Whether [`Session::prefill`] takes this prompt.
    pub fn check(&self, ids: &[u32], images: &[Embedded]) -> Result<(), Diagnostic> {
        if ids.is_empty() {
            return Err(Diagnostic::new("input_ids", "at least one token", "none", "give a prompt"));
        }
        let hidden = self.spec.text.hidden;
        let counts: Vec<usize> = images.iter().map(|i| i.rows.len() / hidden).collect();
        self.spec.check_placeholders(ids, &counts)?;
        self.spec.check_ids(ids)
    }

    /// Appends one token; returns its row's logits, `[vocab]`.
    pub fn step(&mut self, token: u32) -> Result<Vec<f32>, Diagnostic> {
        self.step_watched(token, &mut |_| ())
    }

    /// As [`Session::step`].
    pub fn step_watched(&mut self, token: u32, watch: &mut Watch<'_>) -> Result<Vec<f32>, Diagnostic> {
        if self.spec.is_placeholder(token) {
            return Err(Diagnostic::new(
                "step",
                "a text token",
                format!("the image placeholder {token}"),
                "suppress the placeholder when sampling; pictures enter through prefill",
            ));
        }
        let position = [self.position as f32 + self.shift; 3];
        self.extend(&[token], &[], vec![position], watch)
    }

    /// The `logits` command: encodes the pictures, runs the prompt, returns `[ids, vocab]`.
    pub fn logits(&mut self, inputs: &Inputs) -> Result<Vec<f32>, Diagnostic> {
        let images = inputs.images.iter().map(|picture| self.encode_image(picture));
        let images = images.collect::<Result<Vec<_>, _>>()?;
        self.prefill(&inputs.input_ids, &images)
    }

    fn extend(
        &mut self,
        ids: &[u32],
        images: &[f32],
        positions: Vec<Position>,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<f32>, Diagnostic> {
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
        let table_rows = (self.position as u32..total as u32).collect();
        let logits = self.run(&Feed { ids, images, positions, table_rows, ..Feed::default() }, None, watch);
        self.position = total;
        Ok(logits)
    }

    /// Interprets the vision part up to `image_target`, or the text part up to the output.
    fn run(&mut self, feed: &Feed<'_>, image_target: Option<ValueId>, watch: &mut Watch<'_>) -> Vec<f32> {
        let graph = self.graph;
        let needed = image_target.map(|target| graph.ancestors(target));
        let mut values: Vec<Option<Vec<f32>>> = vec![None; graph.values.len()];
        if let (Some((image, _)), None) = (self.image_value, image_target) {
            values[image.index()] = Some(feed.images.to_vec());
        }
        let (exit, end) =
            (self.layer_ends.get(self.depth.wrapping_sub(1)).copied(), self.layer_ends.last().copied());
        let mut skipping = false;
        for (id, node) in graph.iter() {
            let Some(output) = node.output else {
                if graph.ty(node.inputs[0]).rows == Rows::Image {
                    continue;
                }
                return values[node.inputs[0].index()].take().expect("invariant: logits are computed");
            };
            let is_text = graph.ty(output).rows == Rows::Prompt;
            if is_text == image_target.is_some() || needed.as_ref().is_some_and(|n| !n[output.index()]) {
                continue;
            }
            if skipping {
                skipping = end != Some(output);
                continue;
            }
            let result = self.node(id, node, &mut values, feed, watch);
            if image_target == Some(output) {
                return result;
            }
            if exit == Some(output) {
                self.behind.clone_from(&result);
                skipping = exit != end;
            }
            let output = if skipping { end.expect("invariant: there is an exit") } else { output };
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
        if let Op::Attention { heads, kv_heads, head_dim, causal, prefix, mask, windows, scale } = node.op {
            let shape = AttentionShape { heads, kv_heads, head_dim, causal, mask, scale };
            let [q, k, v] = [0, 1, 2].map(|index| {
                values[node.inputs[index].index()].as_deref().expect("invariant: operands come first")
            });
            if !causal {
                if let (Some(method), Some(read)) = (feed.method(), self.read.last_mut()) {
                    let class = self.spec.vision.as_ref().is_some_and(|v| v.has_class);
                    let rows = if class { 1 } else { q.len() / (heads * head_dim) };
                    if method.read_outs() > 0 {
                        read.last = kernels::attention_received(&shape, q, k, rows);
                    }
                    if method.read_outs() > 1 && read.first.is_empty() {
                        read.first.clone_from(&read.last);
                    }
                    if method == Method::Turbo {
                        read.keys = kernels::sum_of_heads(k, kv_heads, head_dim);
                    }
                }
                if windows.is_some() && feed.windows.is_empty() {
                    return kernels::pooled_attention(&shape, q, k, v);
                }
                if windows.is_some() {
                    return kernels::segmented_attention(&shape, &feed.windows, q, k, v);
                }
                return kernels::attention(&shape, q, k, v);
            }
            let cache = self.caches.entry(id).or_default();
            let causal = !(prefix && cache.k.is_empty());
            let shape = AttentionShape { causal, ..shape };
            cache.k.extend_from_slice(k);
            cache.v.extend_from_slice(v);
            return kernels::attention(&shape, q, &cache.k, &cache.v);
        }
        if let Op::Concat { .. } = node.op {
            let part = |id: &ValueId| values[id.index()].as_deref().expect("invariant: operands come first");
            let cols: Vec<usize> = node.inputs.iter().map(|id| self.graph.ty(*id).cols).collect();
            let parts: Vec<&[f32]> = node.inputs.iter().map(part).collect();
            let rows = parts[0].len() / cols[0];
            let row = |at: usize| {
                parts
                    .iter()
                    .zip(&cols)
                    .flat_map(move |(part, cols)| part[at * cols..][..*cols].iter().copied())
            };
            return (0..rows).flat_map(row).collect();
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
            Op::Input(InputKind::Pixels | InputKind::FramePixels) => return feed.pixels.to_vec(),
            Op::Input(InputKind::TokenIds) => return Vec::new(),
            Op::Input(InputKind::Question) => return feed.question.to_vec(),
            Op::LearnedRow { w } => return weight(*w).to_vec(),
            Op::PrependRow { w } => return [weight(*w), x.as_slice()].concat(),
            Op::AddPosition { w } => {
                let cols = self.out_cols(node);
                for (row, at) in x.chunks_exact_mut(cols).zip(&feed.table_rows) {
                    add_row(row, &weight(*w)[*at as usize * cols..][..cols]);
                }
            }
            Op::LayerNorm { w, b, eps, .. } => kernels::layer_norm(&mut x, weight(*w), weight(*b), *eps),
            Op::RmsNorm { w, eps } => kernels::rms_norm(&mut x, weight(*w), *eps),
            Op::Rope { heads, rotary, .. } => {
                let length = self.position + feed.positions.len();
                kernels::rope(&mut x, *heads, rotary, &feed.positions, length);
            }
            Op::AddRow => add_row(&mut x, second),
            Op::PoolWindows { w, b, side } => {
                return conv::pool_windows(&x, (weight(*w), weight(*b)), side * side);
            }
            Op::Add => x.iter_mut().zip(second).for_each(|(x, y)| *x += y),
            Op::Mul => x.iter_mut().zip(second).for_each(|(x, y)| *x *= y),
            Op::Depthwise { w, b, kernel, stride, side } => {
                return conv::depthwise(&x, (weight(*w), weight(*b)), (*kernel, *stride, *side));
            }
            Op::Excite { first, second } => {
                conv::excite(&mut x, [first[0], first[1], second[0], second[1]].map(weight));
            }
            Op::Act(kind) => kernels::activate(*kind, &mut x),
            Op::Embedding { w } => {
                let cols = self.out_cols(node);
                return embed(weight(*w), cols, feed.ids, self.spec);
            }
            Op::MergeImageRows { .. } => {
                let cols = self.out_cols(node);
                merge(&mut x, second, cols, feed.ids, self.spec);
            }
            Op::SelectRows { skip, join, pooled } => {
                let cols = self.out_cols(node);
                let rows = x;
                x = rows[skip * cols / join..].to_vec();
                if *pooled {
                    x.truncate(cols);
                }
                if let Some((picture, tile)) = feed.tile.filter(|(picture, _)| picture.prune.is_some()) {
                    x = self.choose(picture, tile, rows, &x, cols);
                }
            }
            Op::Linear { .. } | Op::Attention { .. } | Op::Concat { .. } | Op::Output => {
                unreachable!("handled elsewhere")
            }
        }
        x
    }

    /// Rows that the projector takes of a tile: averages of the groups that are chosen of its `tokens`, `[tokens, cols]`.
    /// `rows`: all rows of the tower.
    fn choose(
        &mut self,
        picture: &Picture,
        tile: usize,
        rows: Vec<f32>,
        tokens: &[f32],
        cols: usize,
    ) -> Vec<f32> {
        let read = self.read.last_mut().expect("invariant: a tile is being encoded");
        read.features = rows;
        let vision = self.spec.tower_of(picture).expect("invariant: its tower runs");
        let groups = picture.groups(vision, tile, &self.read);
        let mut out = vec![0.0; groups.len() * cols];
        for (out, group) in out.chunks_exact_mut(cols).zip(&groups) {
            let weight = group.weight();
            for member in &group.members {
                let row = &tokens[member * cols..][..cols];
                out.iter_mut().zip(row).for_each(|(out, x)| *out += weight * x);
            }
        }
        self.groups.push(groups);
        out
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
fn embed(table: &[f32], cols: usize, ids: &[u32], spec: &ModelSpec) -> Vec<f32> {
    let mut out = vec![0.0; ids.len() * cols];
    for (row, &id) in out.chunks_exact_mut(cols).zip(ids) {
        if !spec.is_placeholder(id) {
            row.copy_from_slice(&table[id as usize * cols..][..cols]);
        }
    }
    out
}

fn merge(x: &mut [f32], images: &[f32], cols: usize, ids: &[u32], spec: &ModelSpec) {
    let rows = x.chunks_exact_mut(cols).zip(ids).filter(|(_, id)| spec.is_placeholder(**id));
    let mut images = images.chunks_exact(cols);
    for (row, _) in rows {
        row.copy_from_slice(images.next().expect("invariant: placeholders were counted"));
    }
    assert!(images.next().is_none(), "every visual token has a placeholder");
}
