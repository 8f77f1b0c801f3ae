//! Structural check of a graph. It reports every violation, not the first.
//!
//! Checked: ids in range, definition before use and only once, operand counts, value shapes, weight
//! shapes, one output, finite constants. Not checked: that the graph computes what the checkpoint means.

use std::fmt;

use super::build::{Graph, Node};
use super::id::{NodeId, ValueId, WeightId};
use super::op::{InputKind, Op};
use super::ty::{Rows, ValueType};

/// One violation, with the entity and the module it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError {
    /// The offending node; `None` for faults of the whole graph.
    pub node: Option<NodeId>,
    /// Module path of that node.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "{node} ({}): {}", self.path, self.message),
            None => write!(f, "graph: {}", self.message),
        }
    }
}

impl Graph {
    /// All violations of the graph's invariants; empty for a good graph.
    pub fn verify(&self) -> Vec<GraphError> {
        let mut verifier =
            Verifier { graph: self, defined: vec![false; self.values.len()], errors: Vec::new() };
        for (id, node) in self.iter() {
            verifier.node(id, node);
        }
        verifier.whole();
        verifier.errors
    }
}

struct Verifier<'a> {
    graph: &'a Graph,
    defined: Vec<bool>,
    errors: Vec<GraphError>,
}

impl Verifier<'_> {
    fn node(&mut self, id: NodeId, node: &Node) {
        let mut faults = Vec::new();
        if let Some(inputs) = self.operands(node, &mut faults) {
            self.shapes(node, &inputs, &mut faults);
        }
        match (node.output, &node.op) {
            (None, Op::Output) => {}
            (Some(_), Op::Output) => faults.push("an output node defines no value".into()),
            (None, _) => faults.push("the node defines no value".into()),
            (Some(value), _) => match self.defined.get_mut(value.index()) {
                None => faults.push(format!("defines {value}, which has no type")),
                Some(true) => faults.push(format!("{value} is defined a second time")),
                Some(slot) => *slot = true,
            },
        }
        self.errors.extend(faults.into_iter().map(|message| GraphError {
            node: Some(id),
            path: node.path.clone(),
            message,
        }));
    }

    /// Operand types, or `None` when they can't be trusted.
    fn operands(&self, node: &Node, faults: &mut Vec<String>) -> Option<Vec<ValueType>> {
        let before = faults.len();
        if node.inputs.len() != node.op.input_count() {
            faults.push(format!(
                "{} takes {} inputs, got {}",
                node.op.name(),
                node.op.input_count(),
                node.inputs.len()
            ));
        }
        for &input in &node.inputs {
            match self.defined.get(input.index()) {
                None => faults.push(format!("{input} does not exist")),
                Some(false) => faults.push(format!("{input} is used before its definition")),
                Some(true) => {}
            }
        }
        for weight in node.op.weights() {
            if weight.index() >= self.graph.weights.len() {
                faults.push(format!("{weight} does not exist"));
            }
        }
        if node.output.is_some_and(|v| v.index() >= self.graph.values.len()) {
            return None;
        }
        (faults.len() == before).then(|| node.inputs.iter().map(|v: &ValueId| self.graph.ty(*v)).collect())
    }

    fn shapes(&self, node: &Node, inputs: &[ValueType], faults: &mut Vec<String>) {
        let Some(output) = node.output.map(|v| self.graph.ty(v)) else {
            return;
        };
        let first = inputs.first().copied().unwrap_or(output);
        let mut expect = |what: &str, expected: ValueType, got: ValueType| {
            if expected != got {
                faults.push(format!("{what}: expected {expected}, got {got}"));
            }
        };
        match &node.op {
            Op::Input(InputKind::Pixels | InputKind::FramePixels) => {
                let rows = Rows::Patches { with_class: false };
                expect("pixels", ValueType::new(rows, output.cols), output);
            }
            Op::Input(InputKind::TokenIds) => {
                expect("token ids", ValueType::new(Rows::Prompt, 1), output);
            }
            Op::Input(InputKind::Question) => {
                expect("question", ValueType::new(Rows::Const(1), output.cols), output);
            }
            Op::Linear { w, b } => {
                expect("output", ValueType::new(first.rows, output.cols), output);
                self.weight(*w, &[output.cols, first.cols], faults);
                if let Some(b) = b {
                    self.weight(*b, &[output.cols], faults);
                }
            }
            Op::LearnedRow { w } => {
                expect("output", ValueType::new(Rows::Image, output.cols), output);
                self.weight(*w, &[output.cols], faults);
            }
            Op::PrependRow { w } => {
                let bare = Rows::Patches { with_class: false };
                let full = Rows::Patches { with_class: true };
                expect("input", ValueType::new(bare, first.cols), first);
                expect("output", ValueType::new(full, first.cols), output);
                self.weight(*w, &[first.cols], faults);
            }
            Op::AddPosition { w } => {
                expect("output", first, output);
                let positions = self.graph.weight(*w).shape.first().copied().unwrap_or(0);
                self.weight(*w, &[positions, first.cols], faults);
            }
            Op::LayerNorm { w, b, heads, eps } => {
                expect("output", first, output);
                let cols = first.cols / (*heads).max(1);
                expect("input", ValueType::new(first.rows, cols * heads), first);
                self.weight(*w, &[cols], faults);
                self.weight(*b, &[cols], faults);
                epsilon(*eps, faults);
            }
            Op::RmsNorm { w, eps } => {
                expect("output", first, output);
                self.weight(*w, &[first.cols], faults);
                epsilon(*eps, faults);
            }
            Op::Rope { heads, head_dim, rotary } => {
                expect("input", ValueType::new(first.rows, heads * head_dim), first);
                expect("output", first, output);
                faults.extend(rotary.faults(*head_dim));
            }
            Op::Attention { heads, kv_heads, head_dim, scale, causal, windows, .. } => {
                let query = ValueType::new(first.rows, heads * head_dim);
                let rows = if *causal { first.rows } else { inputs[1].rows };
                let key = ValueType::new(rows, kv_heads * head_dim);
                expect("query", query, inputs[0]);
                expect("key", key, inputs[1]);
                expect("value", key, inputs[2]);
                expect("output", query, output);
                if *kv_heads == 0 || heads % kv_heads != 0 {
                    faults.push(format!("{kv_heads} key heads do not divide {heads} heads"));
                }
                let of_patches = inputs[1].rows == Rows::Patches { with_class: false }
                    && (first.rows == inputs[1].rows || first.rows == Rows::Image);
                if windows.is_some() && (*causal || !of_patches) {
                    faults.push("windows are of the patches of a tower".into());
                }
                if !scale.is_finite() {
                    faults.push("the attention scale must be finite".into());
                }
            }
            Op::Depthwise { w, b, kernel, stride, side } => {
                let out = (side.max(&1) - 1) / (*stride).max(1) + 1;
                expect("output", ValueType::new(Rows::Const(out * out), output.cols), output);
                let rows = self.graph.image.and_then(|image| image.resolve(first.rows));
                if rows != Some(side * side) || kernel % 2 == 0 || first.cols == 0 {
                    faults.push(format!("a map of {side} x {side} pixels, got {first}, kernel {kernel}"));
                } else if !output.cols.is_multiple_of(first.cols) {
                    faults.push(format!("{} channels of {}", output.cols, first.cols));
                }
                self.weight(*w, &[output.cols, kernel * kernel], faults);
                self.weight(*b, &[output.cols], faults);
            }
            Op::Excite { first: [w1, b1], second: [w2, b2] } => {
                expect("output", first, output);
                let inner = self.graph.weight(*b1).shape.first().copied().unwrap_or(0);
                self.weight(*w1, &[inner, first.cols], faults);
                self.weight(*w2, &[first.cols, inner], faults);
                self.weight(*b2, &[first.cols], faults);
            }
            Op::Concat { .. } => {
                for input in inputs {
                    expect("input", ValueType::new(first.rows, input.cols), *input);
                }
                let cols = inputs.iter().map(|input| input.cols).sum();
                expect("output", ValueType::new(first.rows, cols), output);
            }
            Op::AddRow => {
                expect("row", ValueType::new(Rows::Const(1), first.cols), inputs[1]);
                expect("output", first, output);
            }
            Op::PoolWindows { w, b, side } => {
                expect("output", ValueType::new(Rows::Image, first.cols), output);
                let resolve = |rows| self.graph.image.and_then(|image| image.resolve(rows));
                let (from, to) = (resolve(first.rows), resolve(Rows::Image));
                if from != to.map(|to| to * side * side) {
                    faults.push(format!("{first} ({from:?} rows) in {to:?} windows of {side} x {side}"));
                }
                self.weight(*w, &[first.cols, side * side], faults);
                self.weight(*b, &[first.cols], faults);
            }
            Op::Add | Op::Mul => {
                expect("second input", first, inputs[1]);
                expect("output", first, output);
            }
            Op::Act(_) => expect("output", first, output),
            Op::Embedding { w } => {
                expect("ids", ValueType::new(Rows::Prompt, 1), first);
                expect("output", ValueType::new(Rows::Prompt, output.cols), output);
                let vocab = self.graph.weight(*w).shape.first().copied().unwrap_or(0);
                self.weight(*w, &[vocab, output.cols], faults);
            }
            Op::MergeImageRows { learned, .. } => {
                expect("text", ValueType::new(Rows::Prompt, first.cols), first);
                expect("image", ValueType::new(Rows::Image, first.cols), inputs[1]);
                expect("output", first, output);
                if let Some(frame) = inputs.get(2) {
                    expect("frames", ValueType::new(Rows::Frame, first.cols), *frame);
                }
                if let Some(w) = learned {
                    let rows = self.graph.weight(*w).shape.first().copied().unwrap_or(0);
                    self.weight(*w, &[rows, first.cols], faults);
                }
            }
            Op::SelectRows { skip, join, pooled } => {
                let rows = match output.rows {
                    Rows::Frame | Rows::Patches { with_class: false } => output.rows,
                    _ => Rows::Image,
                };
                expect("output", ValueType::new(rows, join * first.cols), output);
                let resolve = |rows| self.graph.image.and_then(|image| image.resolve(rows));
                match (first.rows, resolve(first.rows), resolve(rows)) {
                    (Rows::Patches { .. } | Rows::Const(_), Some(from), Some(to)) if from == join * to + skip => {}
                    (Rows::Patches { .. }, Some(from), Some(1)) if *pooled && from > *skip => {}
                    (rows, from, to) => faults.push(format!(
                        "{rows} ({from:?}) minus {skip} rows, {join} joined, must be the visual tokens ({to:?})"
                    )),
                }
            }
            Op::Output => {}
        }
    }

    fn weight(&self, id: WeightId, expected: &[usize], faults: &mut Vec<String>) {
        let decl = self.graph.weight(id);
        if decl.shape != expected {
            faults.push(format!("{id} ({}): expected shape {expected:?}, got {:?}", decl.name, decl.shape));
        }
    }

    fn whole(&mut self) {
        let count = |f: &dyn Fn(&Op) -> bool| self.graph.nodes.iter().filter(|n| f(&n.op)).count();
        let mut faults = Vec::new();
        let of_images = |node: &&Node| {
            let rows = |v: &ValueId| self.graph.values.get(v.index()).map(|ty| ty.rows);
            node.op == Op::Output && node.inputs.first().and_then(rows) == Some(Rows::Image)
        };
        let vectors = self.graph.nodes.iter().filter(of_images).count();
        let outputs = count(&|op| matches!(op, Op::Output)) - vectors;
        if outputs != 1 {
            faults.push(format!("expected 1 output node, got {outputs}"));
        }
        let merges = count(&|op| matches!(op, Op::MergeImageRows { .. })) + vectors;
        let wanted = usize::from(self.graph.image.is_some());
        if merges != wanted {
            faults.push(format!("expected {wanted} merge_image_rows, got {merges}"));
        }
        for (index, defined) in self.defined.iter().enumerate() {
            if !defined {
                faults.push(format!("{} has no defining node", ValueId::from_index(index)));
            }
        }
        self.errors.extend(faults.into_iter().map(|message| GraphError {
            node: None,
            path: String::new(),
            message,
        }));
    }
}

fn epsilon(eps: f32, faults: &mut Vec<String>) {
    if !(eps.is_finite() && eps >= 0.0) {
        faults.push(format!("epsilon must be finite and not negative, got {eps}"));
    }
}
