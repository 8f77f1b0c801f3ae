//! Graph → Plan: follows values from the inputs and recognises the fused blocks. Nodes that no
//! block covers are reported together.

use super::{Attention, Layer, Linear, Mlp, Norm, Plan, Text, Vision};
use crate::diag::{Diagnostic, Diagnostics};
use crate::graph::{ActKind, Graph, InputKind, Node, NodeId, Op, Rotary, Rows, ValueId, WeightId};
use std::collections::HashSet;

mod compress;
mod conv;

/// Finds the fused form, or lists every node that does not fit one.
pub fn fuse(graph: &Graph) -> Result<Plan, Diagnostics> {
    let mut m = Matcher::new(graph);
    let plan = m.plan();
    m.report(plan)
}

struct Matcher<'g> {
    graph: &'g Graph,
    users: Vec<Vec<NodeId>>,
    covered: HashSet<NodeId>,
    problems: Diagnostics,
}

/// Linear layers with an optional activation behind each.
type Chain = Vec<(Linear, Option<ActKind>)>;

impl<'g> Matcher<'g> {
    fn new(graph: &'g Graph) -> Matcher<'g> {
        let mut users = vec![Vec::new(); graph.values.len()];
        for (id, node) in graph.iter() {
            for v in &node.inputs {
                users[v.index()].push(id);
            }
        }
        Matcher { graph, users, covered: HashSet::new(), problems: Diagnostics::new() }
    }

    fn report(mut self, plan: Option<Plan>) -> Result<Plan, Diagnostics> {
        for (id, node) in self.graph.iter() {
            if !self.covered.contains(&id) {
                self.problems.push(Diagnostic::new(
                    format!("{id} {} ({})", node.path, node.op.name()),
                    "a node inside a transformer layer, vision stem, projector or output head",
                    "a node that no fused block covers",
                    "this arrangement of operators is not supported on the accelerator; `--device eval` runs it",
                ));
            }
        }
        match plan {
            Some(plan) if self.problems.is_empty() => {
                check_uniform(&plan, &mut self.problems);
                self.problems.into_result(plan)
            }
            _ => Err(self.problems),
        }
    }

    fn node(&self, id: NodeId) -> &'g Node {
        self.graph.node(id)
    }

    /// Marks a node as covered and gives its output.
    fn take(&mut self, id: NodeId) -> Option<ValueId> {
        self.covered.insert(id);
        self.node(id).output
    }

    fn users(&self, v: ValueId) -> &[NodeId] {
        &self.users[v.index()]
    }

    /// The only user of `v`, if it satisfies `want`.
    fn sole(&self, v: ValueId, want: impl Fn(&Op) -> bool) -> Option<NodeId> {
        match self.users(v) {
            [id] if want(&self.node(*id).op) => Some(*id),
            _ => None,
        }
    }

    fn input(&mut self, kind: InputKind) -> Option<ValueId> {
        let (id, _) = self.graph.iter().find(|(_, n)| n.op == Op::Input(kind))?;
        self.take(id)
    }

    fn linear_of(&self, id: NodeId) -> Option<Linear> {
        let node = self.node(id);
        let Op::Linear { w, b } = node.op else { return None };
        let (cols_in, cols_out) = (self.graph.ty(node.inputs[0]).cols, self.graph.ty(node.output?).cols);
        Some(Linear { path: node.path.clone(), w, b, cols_in, cols_out })
    }

    fn norm_of(&self, id: NodeId) -> Option<Norm> {
        let node = self.node(id);
        let (w, b, eps) = match node.op {
            Op::LayerNorm { w, b, heads: 1, eps } => (w, Some(b), eps),
            Op::RmsNorm { w, eps } => (w, None, eps),
            _ => return None,
        };
        let cols = self.graph.ty(node.inputs[0]).cols;
        Some(Norm { path: node.path.clone(), w, b, eps, cols })
    }

    /// A norm of queries or keys: of whole rows, or a layer norm of each of `heads` heads.
    fn head_norm_of(&self, id: NodeId, heads: usize) -> Option<Norm> {
        let node = self.node(id);
        match node.op {
            Op::LayerNorm { w, b, heads: parts, eps } if parts == heads => {
                let cols = self.graph.ty(node.inputs[0]).cols / heads;
                Some(Norm { path: node.path.clone(), w, b: Some(b), eps, cols })
            }
            Op::RmsNorm { .. } => self.norm_of(id),
            _ => None,
        }
    }

    fn sole_linear(&mut self, v: ValueId) -> Option<(Linear, ValueId)> {
        let id = self.sole(v, |op| matches!(op, Op::Linear { .. }))?;
        Some((self.linear_of(id)?, self.take(id)?))
    }

    fn plan(&mut self) -> Option<Plan> {
        let has_pixels = self.graph.nodes.iter().any(|n| n.op == Op::Input(InputKind::Pixels));
        let has_frames = self.graph.nodes.iter().any(|n| n.op == Op::Input(InputKind::FramePixels));
        let vision = if has_pixels { Some(self.vision(InputKind::Pixels)?) } else { None };
        let video = if has_frames { Some(self.vision(InputKind::FramePixels)?) } else { None };
        let ids = self.input(InputKind::TokenIds)?;
        let (vision, image_rows) = match vision {
            Some((v, rows)) => (Some(v), Some(rows)),
            None => (None, None),
        };
        let embed_id = self.sole(ids, |op| matches!(op, Op::Embedding { .. }))?;
        let Op::Embedding { w: embed } = self.node(embed_id).op else { return None };
        let mut x = self.take(embed_id)?;
        let mut learned = None;
        let vector = image_rows.and_then(|rows| self.sole(rows, |op| *op == Op::Output));
        if let Some(output) = vector {
            self.take(output);
        } else if let Some(rows) = image_rows {
            let merge = self.sole(x, |op| matches!(op, Op::MergeImageRows { .. }))?;
            let wanted = [x, rows].into_iter().chain(video.as_ref().map(|(_, rows)| *rows));
            if !self.node(merge).inputs.iter().copied().eq(wanted) {
                return None;
            }
            learned = self.node(merge).op.weights().first().map(|w| (*w, self.graph.weight(*w).shape[0]));
            x = self.take(merge)?;
        }
        let mut position = None;
        if let Some(id) = self.sole(x, |op| matches!(op, Op::AddPosition { .. })) {
            let w = self.node(id).op.weights()[0];
            position = Some((w, self.graph.weight(w).shape[0]));
            x = self.take(id)?;
        }
        let mut layers = Vec::new();
        while let Some((layer, out)) = self.layer(x) {
            layers.push(layer);
            x = out;
        }
        let norm_id = self.sole(x, |op| matches!(op, Op::RmsNorm { .. } | Op::LayerNorm { .. }))?;
        let final_norm = self.norm_of(norm_id)?;
        let x = self.take(norm_id)?;
        let (head, x) = self.sole_linear(x)?;
        let out = self.sole(x, |op| *op == Op::Output)?;
        self.take(out);
        let hidden = final_norm.cols;
        let vocab = self.graph.weight(embed).shape[0];
        Some(Plan {
            vision,
            video: video.map(|(v, _)| v),
            text: Text { embed, learned, vocab, position, hidden, layers, final_norm, head },
        })
    }

    fn vision(&mut self, input: InputKind) -> Option<(Vision, ValueId)> {
        let pixels = self.input(input)?;
        if let Some(select) = self.sole(pixels, |op| matches!(op, Op::SelectRows { .. })) {
            return self.patches(pixels, select);
        }
        let (patch, mut x) = self.sole_linear(pixels)?;
        if self.graph.nodes.iter().any(|n| matches!(n.op, Op::Depthwise { .. })) {
            let pixel_cols = patch.cols_in;
            let (tower, x) = self.convolutions(patch, x)?;
            let select = self.sole(x, |op| matches!(op, Op::SelectRows { .. }))?;
            let (v, out) = self.patches(pixels, select)?;
            return Some((Vision { conv: Some(tower), pixel_cols, ..v }, out));
        }
        let (mut class_row, mut position, mut pre_norm) = (None, None, None);
        if let Some(id) = self.sole(x, |op| matches!(op, Op::PrependRow { .. })) {
            class_row = Some(self.node(id).op.weights()[0]);
            x = self.take(id)?;
        }
        if let Some(id) = self.sole(x, |op| matches!(op, Op::AddPosition { .. })) {
            let w = self.node(id).op.weights()[0];
            position = Some((w, self.graph.weight(w).shape[0]));
            x = self.take(id)?;
        }
        if let Some(id) = self.sole(x, |op| matches!(op, Op::LayerNorm { .. })) {
            pre_norm = self.norm_of(id);
            x = self.take(id)?;
        }
        let has_class = class_row.is_some();
        let rows = self.graph.image?.resolve(Rows::Patches { with_class: has_class })?;
        let (mut layers, mut states) = (Vec::new(), vec![x]);
        while let Some((layer, out)) = self.layer(x) {
            layers.push(layer);
            x = out;
            states.push(x);
        }
        let mut post_norm = None;
        let is_norm = |op: &Op| matches!(op, Op::LayerNorm { .. } | Op::RmsNorm { .. });
        if let Some(id) = self.sole(x, is_norm) {
            post_norm = self.norm_of(id);
            x = self.take(id)?;
        }
        let tokens = match input {
            InputKind::FramePixels => Rows::Frame,
            _ => Rows::Image,
        };
        let tokens = self.graph.image?.resolve(tokens)?;
        let v = Vision {
            rows,
            has_class,
            pixel_cols: patch.cols_in,
            patch: Some(patch),
            class_row,
            position,
            pre_norm,
            layers,
            post_norm,
            pool: None,
            compress: None,
            skip_rows: 0,
            join: 1,
            conv: None,
            tokens,
            projector_norm: None,
            projector: Vec::new(),
        };
        if self.graph.nodes.iter().any(|n| matches!(n.op, Op::Concat { .. })) {
            let (compress, x) = self.compress(&states)?;
            let (projector, x) = self.projector(x)?;
            let compress = Some(Box::new(compress));
            return Some((Vision { compress, skip_rows: 1, projector, ..v }, x));
        }
        if let Some(norm) = v.post_norm.clone().filter(|_| self.users(x).len() == 2) {
            let (pool, out) = self.pool(x, norm)?;
            return Some((Vision { post_norm: None, pool: Some(pool), ..v }, out));
        }
        let select = self.sole(x, |op| matches!(op, Op::SelectRows { .. }))?;
        let Op::SelectRows { skip: skip_rows, join, .. } = self.node(select).op else { return None };
        x = self.take(select)?;
        let mut projector_norm = None;
        if let Some(id) = self.sole(x, is_norm) {
            projector_norm = self.norm_of(id);
            x = self.take(id)?;
        }
        let (projector, x) = self.projector(x)?;
        Some((Vision { skip_rows, join, projector_norm, projector, ..v }, x))
    }

    /// No tower: the projector takes the patches as they are.
    fn patches(&mut self, pixels: ValueId, select: NodeId) -> Option<(Vision, ValueId)> {
        let image = self.graph.image?;
        let Op::SelectRows { skip: 0, join: 1, pooled: false } = self.node(select).op else { return None };
        let x = self.take(select)?;
        let (projector, x) = self.projector(x)?;
        let v = Vision {
            rows: image.patch_count,
            has_class: false,
            pixel_cols: self.graph.ty(pixels).cols,
            patch: None,
            class_row: None,
            position: None,
            pre_norm: None,
            layers: Vec::new(),
            post_norm: None,
            pool: None,
            compress: None,
            skip_rows: 0,
            join: 1,
            conv: None,
            tokens: image.visual_token_count,
            projector_norm: None,
            projector,
        };
        Some((v, x))
    }

    /// The linear layers, and the result.
    fn projector(&mut self, mut x: ValueId) -> Option<(Chain, ValueId)> {
        let mut projector = Vec::new();
        while let Some((linear, out)) = self.sole_linear(x) {
            x = out;
            let mut act = None;
            if let Some(id) = self.sole(x, |op| matches!(op, Op::Act(_))) {
                let Op::Act(kind) = self.node(id).op else { return None };
                act = Some(kind);
                x = self.take(id)?;
            }
            projector.push((linear, act));
        }
        Some((projector, x))
    }

    /// Attention pooling over the rows `x`, which come out of `norm1`.
    fn pool(&mut self, x: ValueId, norm1: Norm) -> Option<((WeightId, Layer), ValueId)> {
        let projections = self.users(x).to_vec();
        let attention_id =
            self.sole(self.node(projections[0]).output?, |op| matches!(op, Op::Attention { .. }))?;
        let node = self.node(attention_id);
        let Op::Attention { heads, kv_heads, head_dim, causal, prefix, mask, windows, scale } = node.op
        else {
            return None;
        };
        let ids = [self.def(node.inputs[0])?, self.def(node.inputs[1])?, self.def(node.inputs[2])?];
        let [Some(q), Some(k), Some(v)] = ids.map(|id| self.linear_of(id)) else { return None };
        let probe_id = self.def(self.node(ids[0]).inputs[0])?;
        let Op::LearnedRow { w: probe } = self.node(probe_id).op else { return None };
        if ids[1..].iter().any(|id| self.node(*id).inputs != [x]) {
            return None;
        }
        let out_id = self.sole(node.output?, |op| matches!(op, Op::Linear { .. }))?;
        let o = self.linear_of(out_id)?;
        let path = node.path.clone();
        let (qk_norm, rope) = (None, None);
        let attention = Attention {
            path,
            q,
            k,
            v,
            o,
            heads,
            kv_heads,
            head_dim,
            scale,
            causal,
            prefix,
            mask,
            windows,
            qk_norm,
            rope,
        };
        let (norm_id, add) = self.branch(self.node(out_id).output?)?;
        let norm2 = self.norm_of(norm_id)?;
        let (mlp, out, taken) = self.mlp(self.node(norm_id).output?)?;
        if !self.node(add).inputs.contains(&out) {
            return None;
        }
        self.covered.extend(taken);
        self.covered.extend(ids);
        self.covered.extend([probe_id, attention_id, out_id, norm_id, add]);
        Some(((probe, Layer { norm1, attention, norm2, mlp }), self.node(add).output?))
    }

    /// A residual branch start: `x` is used by a norm and by an add.
    fn branch(&self, x: ValueId) -> Option<(NodeId, NodeId)> {
        let is_norm = |id: &NodeId| matches!(self.node(*id).op, Op::RmsNorm { .. } | Op::LayerNorm { .. });
        // Rows may also be kept for what comes behind the layers.
        let kept = |id: &&NodeId| matches!(self.node(**id).op, Op::SelectRows { .. });
        let users: Vec<NodeId> = self.users(x).iter().filter(|id| !kept(id)).copied().collect();
        let [a, b] = &users[..] else { return None };
        let (norm, add) = if is_norm(a) { (*a, *b) } else { (*b, *a) };
        (is_norm(&norm) && self.node(add).op == Op::Add).then_some((norm, add))
    }

    fn layer(&mut self, x: ValueId) -> Option<(Layer, ValueId)> {
        let (norm_id, add1) = self.branch(x)?;
        let norm1 = self.norm_of(norm_id)?;
        let normed = self.node(norm_id).output?;
        let (attention, attended, mut taken) = self.attention(normed)?;
        if !self.node(add1).inputs.contains(&attended) {
            return None;
        }
        taken.extend([norm_id, add1]);
        let x2 = self.node(add1).output?;
        let (norm2_id, add2) = self.branch(x2)?;
        let norm2 = self.norm_of(norm2_id)?;
        let (mlp, out, mlp_taken) = self.mlp(self.node(norm2_id).output?)?;
        if !self.node(add2).inputs.contains(&out) {
            return None;
        }
        taken.extend(mlp_taken);
        taken.extend([norm2_id, add2]);
        self.covered.extend(taken);
        Some((Layer { norm1, attention, norm2, mlp }, self.node(add2).output?))
    }

    /// The node that defines `v`.
    fn def(&self, v: ValueId) -> Option<NodeId> {
        self.graph.iter().find(|(_, n)| n.output == Some(v)).map(|(id, _)| id)
    }

    fn attention(&self, normed: ValueId) -> Option<(Attention, ValueId, Vec<NodeId>)> {
        let mut taken = self.users(normed).to_vec();
        let mut v = self.node(*taken.first()?).output?;
        let attention_id = loop {
            let [id] = self.users(v) else { return None };
            match self.node(*id).op {
                Op::Attention { .. } => break *id,
                Op::Rope { .. } | Op::RmsNorm { .. } | Op::LayerNorm { .. } => v = self.node(*id).output?,
                _ => return None,
            }
        };
        let node = self.node(attention_id);
        let Op::Attention { heads, kv_heads, head_dim, causal, prefix, mask, windows, scale } = node.op
        else {
            return None;
        };
        taken.push(attention_id);
        let (mut ropes, mut norms) = (Vec::new(), Vec::new());
        let mut projections = Vec::new();
        for (input, heads) in node.inputs.iter().zip([heads, kv_heads, kv_heads]) {
            let mut id = self.def(*input)?;
            let mut rope = None;
            if let Op::Rope { rotary, .. } = &self.node(id).op {
                rope = Some(rotary.clone());
                taken.push(id);
                id = self.def(self.node(id).inputs[0])?;
            }
            if let Op::RmsNorm { .. } | Op::LayerNorm { .. } = self.node(id).op {
                norms.push(self.head_norm_of(id, heads)?);
                taken.push(id);
                id = self.def(self.node(id).inputs[0])?;
            }
            if self.node(id).inputs.first() != Some(&normed) {
                return None;
            }
            ropes.push(rope);
            projections.push(self.linear_of(id)?);
        }
        let out_id = self.sole(node.output?, |op| matches!(op, Op::Linear { .. }))?;
        taken.push(out_id);
        let o = self.linear_of(out_id)?;
        let [q, k, v] = <[Linear; 3]>::try_from(projections).ok()?;
        let [rope, rope_k, rope_v] = <[Option<Rotary>; 3]>::try_from(ropes).ok()?;
        let widths = [heads, kv_heads].map(|n| n * head_dim);
        let of_heads = |n: &Norm| n.b.is_some() && n.cols == head_dim;
        let fits = |norms: &[Norm; 2]| {
            norms.iter().all(of_heads)
                || norms.iter().zip(widths).all(|(n, cols)| n.b.is_none() && n.cols == cols)
        };
        let qk_norm = match norms.len() {
            0 => None,
            _ => Some(<[Norm; 2]>::try_from(norms).ok().filter(fits)?),
        };
        if rope != rope_k || rope_v.is_some() {
            return None;
        }
        let path = node.path.clone();
        let a = Attention {
            path,
            q,
            k,
            v,
            o,
            heads,
            kv_heads,
            head_dim,
            scale,
            causal,
            prefix,
            mask,
            windows,
            qk_norm,
            rope,
        };
        Some((a, self.node(out_id).output?, taken))
    }

    fn mlp(&self, normed: ValueId) -> Option<(Mlp, ValueId, Vec<NodeId>)> {
        let mut taken = self.users(normed).to_vec();
        let act_of = |v: ValueId| -> Option<(NodeId, ActKind)> {
            let id = self.sole(v, |op| matches!(op, Op::Act(_)))?;
            let Op::Act(kind) = self.node(id).op else { return None };
            Some((id, kind))
        };
        match *self.users(normed) {
            [up_id] => {
                let up = self.linear_of(up_id)?;
                let (act_id, act) = act_of(self.node(up_id).output?)?;
                let down_id = self.sole(self.node(act_id).output?, |op| matches!(op, Op::Linear { .. }))?;
                taken.extend([act_id, down_id]);
                let down = self.linear_of(down_id)?;
                Some((Mlp::Plain { up, down, act }, self.node(down_id).output?, taken))
            }
            [a, b] => {
                let (gate_id, up_id) = if act_of(self.node(a).output?).is_some() { (a, b) } else { (b, a) };
                let (act_id, act) = act_of(self.node(gate_id).output?)?;
                let mul_id = self.sole(self.node(act_id).output?, |op| *op == Op::Mul)?;
                let up_out = self.node(up_id).output?;
                if self.sole(up_out, |op| *op == Op::Mul) != Some(mul_id) {
                    return None;
                }
                let down_id = self.sole(self.node(mul_id).output?, |op| matches!(op, Op::Linear { .. }))?;
                taken.extend([act_id, mul_id, down_id]);
                let (gate, up) = (self.linear_of(gate_id)?, self.linear_of(up_id)?);
                let down = self.linear_of(down_id)?;
                Some((Mlp::Gated { gate, up, down, act }, self.node(down_id).output?, taken))
            }
            _ => None,
        }
    }
}

/// A layer without names and weight ids: what must be equal for the layers to be a loop.
fn shape(l: &Layer) -> String {
    let linear = |x: &Linear| format!("{}x{}{}", x.cols_out, x.cols_in, x.b.is_some());
    let norm = |n: &Norm| format!("{}{}{}", n.cols, n.b.is_some(), n.eps);
    let a = &l.attention;
    let mlp = match &l.mlp {
        Mlp::Gated { gate, up, down, act } => {
            format!("{}{}{}{act:?}", linear(gate), linear(up), linear(down))
        }
        Mlp::Plain { up, down, act } => format!("{}{}{act:?}", linear(up), linear(down)),
    };
    format!(
        "{}{}{}{}{}{} {} {} {} {} {:?} {:?} {:?} {mlp}",
        norm(&l.norm1),
        norm(&l.norm2),
        linear(&a.q),
        linear(&a.k),
        linear(&a.v),
        linear(&a.o),
        a.heads,
        a.kv_heads,
        a.head_dim,
        a.scale,
        (a.causal, a.prefix, a.mask),
        a.qk_norm.as_ref().map(|norms| norms.each_ref().map(norm)),
        a.rope
    )
}

fn check_uniform(plan: &Plan, problems: &mut Diagnostics) {
    let [tower, frames] =
        [&plan.vision, &plan.video].map(|v| v.as_ref().map(|v| v.all_layers().collect::<Vec<_>>()));
    for layers in [tower, frames, Some(plan.text.layers.iter().collect())].into_iter().flatten() {
        let Some(first) = layers.first().map(|l| shape(l)) else { continue };
        for l in &layers[1..] {
            if shape(l) != first {
                problems.push(Diagnostic::new(
                    &l.attention.path,
                    "layers of one shape, so that the program can loop over them",
                    "a layer that differs from the first of its tower",
                    "mixed layer shapes are not supported on the accelerator; `--device eval` runs them",
                ));
            }
        }
    }
}
