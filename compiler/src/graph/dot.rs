//! The graph for Graphviz: one node per operator, edges labelled with the value's type.

use super::Graph;
use petgraph::dot::{Config, Dot};
use petgraph::graph::DiGraph;

/// `dot` text.
pub fn dot(graph: &Graph) -> String {
    let mut out = DiGraph::<String, String>::new();
    let mut defined_by = vec![None; graph.values.len()];
    for (id, node) in graph.iter() {
        let here = out.add_node(format!("{id} {}\n{}", node.op.name(), node.path));
        for v in &node.inputs {
            let from = defined_by[v.index()].expect("invariant: nodes are in topological order");
            out.add_edge(from, here, graph.ty(*v).to_string());
        }
        if let Some(v) = node.output {
            defined_by[v.index()] = Some(here);
        }
    }
    let labels = [Config::GraphContentOnly];
    format!(
        "digraph {{\nnode [shape=box]\n{:?}}}\n",
        Dot::with_config(&out.map(|_, n| Text(n.clone()), |_, e| Text(e.clone())), &labels)
    )
}

/// Prints itself where `Dot` asks for `Debug` (it escapes the text).
struct Text(String);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{Graph, InputKind, Op, Rows, ValueType};

    #[test]
    fn every_node_and_edge_is_there() {
        let mut g = Graph::default();
        let ty = ValueType::new(Rows::Prompt, 1);
        let x = g.push("ids", Op::Input(InputKind::TokenIds), &[], ty);
        g.push_output("out", x);
        let text = super::dot(&g);
        assert!(text.starts_with("digraph {") && text.contains("input.token_ids"), "{text}");
        assert!(text.contains("0 -> 1") && text.contains("[prompt, 1]"), "{text}");
    }
}
