//! Towers of convolutions: from the receptive fields of the picture, pass after pass.

use super::super::conv::{grouped, ConvTower, Depthwise, Excite, Map, Pass, Step};
use super::super::{Attention, Linear, Norm};
use super::Matcher;
use crate::graph::{ActKind, NodeId, Op, ValueId};

/// Copies of a map of a shape: the current one, and where passes between put theirs.
const CURRENT: usize = 0;
const BETWEEN: usize = 1;
const INSIDE: usize = 2;

impl Matcher<'_> {
    /// The tower behind the value of its first linear layer, and the value of its last map.
    pub(super) fn convolutions(&mut self, first: Linear, x: ValueId) -> Option<(ConvTower, ValueId)> {
        let (act, mut x) = self.activation(x)?;
        let side = self.graph.image?.patch_count.isqrt();
        let mut map = Map { side, channels: first.cols_out, groups: 1, copy: CURRENT };
        let mut blocks =
            vec![vec![Pass { from: None, to: map, step: Step::Chain(vec![(first, act)], None) }]];
        loop {
            let mut block = Vec::new();
            // Attention in place of a block's first convolution.
            if let Some((attend, out)) = self.attend(x) {
                block.push(Pass { from: Some(map), to: map, step: Step::Attend(Box::new(attend)) });
                x = out;
            } else if let Some(id) = self.sole(x, |op| matches!(op, Op::Depthwise { .. })) {
                let to = Map { copy: BETWEEN, ..self.map_behind(id, map)? };
                let (conv, out) = self.depthwise(id)?;
                block.push(Pass { from: Some(map), to, step: Step::Depthwise(conv) });
                (x, map) = (out, to);
            }
            if let Some((passes, out, to)) = self.feed_forward(x, map) {
                block.extend(passes);
                (x, map) = (out, to);
            } else if let Some(id) = self.sole(x, |op| matches!(op, Op::Linear { .. })) {
                // The projector has no pixels of its own to work on: its rows are image rows.
                let linear = self.linear_of(id)?;
                let out = self.take(id)?;
                let (act, out) = self.activation(out)?;
                let to = Map { channels: linear.cols_out, groups: 1, copy: CURRENT, ..map };
                block.push(Pass { from: Some(map), to, step: Step::Chain(vec![(linear, act)], None) });
                (x, map) = (out, to);
            } else if let Some(id) = self.sole(x, |op| matches!(op, Op::Excite { .. })) {
                let (excite, out) = self.excite(id)?;
                block.push(Pass { from: Some(map), to: map, step: Step::Excite(excite) });
                x = out;
            }
            if block.is_empty() {
                break;
            }
            blocks.push(block);
        }
        self.sole(x, |op| matches!(op, Op::SelectRows { .. }))?;
        Some((ConvTower { groups: grouped(blocks), last: map }, x))
    }

    fn activation(&mut self, x: ValueId) -> Option<(Option<ActKind>, ValueId)> {
        let Some(id) = self.sole(x, |op| matches!(op, Op::Act(_))) else { return Some((None, x)) };
        let Op::Act(kind) = self.node(id).op else { return None };
        Some((Some(kind), self.take(id)?))
    }

    /// The map that a depthwise convolution makes of `map`.
    fn map_behind(&self, id: NodeId, map: Map) -> Option<Map> {
        let node = self.node(id);
        let Op::Depthwise { stride, side, .. } = node.op else { return None };
        let channels = self.graph.ty(node.output?).cols;
        // The channels of its input must lie in order.
        (map.groups == 1 && map.side == side).then_some(())?;
        let groups = channels / map.channels;
        Some(Map { side: (side - 1) / stride + 1, channels, groups, copy: CURRENT })
    }

    fn depthwise(&mut self, id: NodeId) -> Option<(Depthwise, ValueId)> {
        let node = self.node(id);
        let Op::Depthwise { w, b, kernel, stride, .. } = node.op else { return None };
        let out = self.take(id)?;
        let (act, out) = self.activation(out)?;
        Some((Depthwise { path: node.path.clone(), w, b, kernel, stride, act }, out))
    }

    /// `x` plus two linear layers over a depthwise convolution of it.
    fn feed_forward(&mut self, x: ValueId, map: Map) -> Option<(Vec<Pass>, ValueId, Map)> {
        let is_conv = |id: &NodeId| matches!(self.node(*id).op, Op::Depthwise { .. });
        let [a, b] = *self.users(x) else { return None };
        let (conv_id, add_id) = if is_conv(&a) { (a, b) } else { (b, a) };
        if !is_conv(&conv_id) || self.node(add_id).op != Op::Add {
            return None;
        }
        let inside = Map { copy: INSIDE, ..self.map_behind(conv_id, map)? };
        let (conv, h) = self.depthwise(conv_id)?;
        let (first, h) = self.sole_linear(h)?;
        let (act, h) = self.activation(h)?;
        let (second, h) = self.sole_linear(h)?;
        if !self.node(add_id).inputs.contains(&h) || second.cols_out != map.channels {
            return None;
        }
        let out = self.take(add_id)?;
        let to = Map { copy: CURRENT, ..map };
        let chain = Step::Chain(vec![(first, act), (second, None)], Some(map));
        let passes = vec![
            Pass { from: Some(map), to: inside, step: Step::Depthwise(conv) },
            Pass { from: Some(inside), to, step: chain },
        ];
        Some((passes, out, to))
    }

    /// `x` plus attention over a norm of it.
    fn attend(&mut self, x: ValueId) -> Option<((Norm, Attention), ValueId)> {
        let (norm_id, add) = self.branch(x)?;
        let norm = self.norm_of(norm_id)?;
        let (attention, attended, mut taken) = self.attention(self.node(norm_id).output?)?;
        if !self.node(add).inputs.contains(&attended) {
            return None;
        }
        taken.extend([norm_id, add]);
        self.covered.extend(taken);
        Some(((norm, attention), self.node(add).output?))
    }

    fn excite(&mut self, id: NodeId) -> Option<(Excite, ValueId)> {
        let node = self.node(id);
        let Op::Excite { first, second } = node.op else { return None };
        let linear = |name: &str, [w, b]: [_; 2]| {
            let shape = &self.graph.weight(w).shape;
            let path = format!("{}.{name}", node.path);
            Linear { path, w, b: Some(b), cols_in: shape[1], cols_out: shape[0] }
        };
        let linears = [linear("fc1", first), linear("fc2", second)];
        let out = self.take(id)?;
        let (act, out) = self.activation(out)?;
        Some((Excite { path: node.path.clone(), linears, act }, out))
    }
}
