//! Recognises QueCC behind the layers of a tower.

use super::super::{Attention, Compress, Linear, Norm, Normed};
use super::Matcher;
use crate::graph::{InputKind, NodeId, Op, ValueId};

impl Matcher<'_> {
    /// `states`: the tower's rows behind each number of layers.
    pub(super) fn compress(&mut self, states: &[ValueId]) -> Option<(Compress, ValueId)> {
        let concat = self.graph.iter().find(|(_, n)| matches!(n.op, Op::Concat { .. })).map(|(id, _)| id)?;
        let parts = self.node(concat).inputs.clone();
        let numbers = parts.iter().map(|part| self.kept(*part, states)).collect::<Option<Vec<usize>>>()?;
        // A bit for each layer says which are kept.
        if !numbers.is_sorted() || numbers[0] == 0 || *numbers.last()? > 32 {
            return None;
        }
        let multi = self.take(concat)?;
        let question = self.input(InputKind::Question)?;
        let (linear, projected) = self.sole_linear(question)?;
        let (text_norm, row) = self.sole_norm(projected)?;
        let add = self.sole(row, |op| *op == Op::AddRow)?;
        let state = parts.iter().position(|part| *part == self.node(add).inputs[0])?;
        let asked = self.take(add)?;
        let first = self.sole(asked, |op| matches!(op, Op::Linear { .. }))?;
        let (q, queries) = self.normed(first)?;
        let pool = self.sole(queries, |op| matches!(op, Op::PoolWindows { .. }))?;
        let Op::PoolWindows { w, b, side } = self.node(pool).op else { return None };
        let pooled = self.take(pool)?;
        let attention = self.sole(pooled, |op| matches!(op, Op::Linear { .. }))?;
        let attention = self.sole(self.node(attention).output?, |op| matches!(op, Op::Attention { .. }))?;
        let node = self.node(attention);
        let Op::Attention { heads, kv_heads, head_dim, causal, prefix, mask, windows, scale } = node.op
        else {
            return None;
        };
        if windows != Some(side) {
            return None;
        }
        let ids = [self.def(node.inputs[0])?, self.def(node.inputs[1])?, self.def(node.inputs[2])?];
        let [Some(wq), Some(wk), Some(wv)] = ids.map(|id| self.linear_of(id)) else { return None };
        let (path, attended) = (node.path.clone(), node.output?);
        let [k, v] = [1, 2].map(|at| {
            let first = self.users(multi).iter().copied().find(|id| self.leads_to(*id, ids[at]))?;
            self.normed(first).map(|(normed, _)| normed)
        });
        self.covered.extend(ids);
        self.covered.insert(attention);
        let (o, out) = self.sole_linear(attended)?;
        let attention = Attention {
            path,
            q: wq,
            k: wk,
            v: wv,
            o,
            heads,
            kv_heads,
            head_dim,
            scale,
            causal,
            prefix,
            mask,
            windows,
            qk_norm: None,
            rope: None,
        };
        let text = (linear, text_norm);
        let compress =
            Compress { states: numbers, state, text, q, k: k?, v: v?, pool: (w, b), side, attention };
        Some((compress, out))
    }

    /// Which of the tower's states the rows are, without the class row.
    fn kept(&mut self, rows: ValueId, states: &[ValueId]) -> Option<usize> {
        let select = self.def(rows)?;
        let Op::SelectRows { skip: 1, join: 1, pooled: false } = self.node(select).op else { return None };
        self.covered.insert(select);
        states.iter().position(|state| *state == self.node(select).inputs[0])
    }

    fn sole_norm(&mut self, x: ValueId) -> Option<(Norm, ValueId)> {
        let id = self.sole(x, |op| matches!(op, Op::LayerNorm { .. }))?;
        Some((self.norm_of(id)?, self.take(id)?))
    }

    /// From a linear layer on: linear, activation, linear, norm.
    fn normed(&mut self, first: NodeId) -> Option<(Normed, ValueId)> {
        let linear: Linear = self.linear_of(first)?;
        let x = self.take(first)?;
        let act = self.sole(x, |op| matches!(op, Op::Act(_)))?;
        let Op::Act(kind) = self.node(act).op else { return None };
        let x = self.take(act)?;
        let (second, x) = self.sole_linear(x)?;
        let (norm, x) = self.sole_norm(x)?;
        Some((Normed { linears: vec![(linear, Some(kind)), (second, None)], norm }, x))
    }

    /// Does a chain of sole users lead from one node to the other?
    fn leads_to(&self, from: NodeId, to: NodeId) -> bool {
        let mut at = from;
        while at != to {
            let next = self.node(at).output.and_then(|x| self.sole(x, |_| true));
            let Some(next) = next else { return false };
            at = next;
        }
        true
    }
}
