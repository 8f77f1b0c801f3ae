//! The one printer of graphs. Equal graphs print equal bytes.

use std::fmt::{self, Write as _};

use super::build::{Graph, Node};
use super::op::Op;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {{")?;
        if let Some(image) = self.image {
            writeln!(f, "  image patches={} visual_tokens={}", image.patch_count, image.visual_token_count)?;
        }
        for (index, weight) in self.weights.iter().enumerate() {
            writeln!(f, "  @w{index} = weight {:?} {:?}", weight.name, weight.shape)?;
        }
        for (id, node) in self.iter() {
            write!(f, "  {id}: ")?;
            if let Some(output) = node.output {
                write!(f, "{output} = ")?;
            }
            write!(f, "{}", describe(node))?;
            if let Some(output) = node.output {
                match self.values.get(output.index()) {
                    Some(ty) => write!(f, " -> {ty}")?,
                    None => write!(f, " -> ?")?,
                }
            }
            writeln!(f, "  ; {}", node.path)?;
        }
        writeln!(f, "}}")
    }
}

fn describe(node: &Node) -> String {
    let mut text = node.op.name().to_string();
    for (index, input) in node.inputs.iter().enumerate() {
        let separator = if index == 0 { " " } else { ", " };
        let _ = write!(text, "{separator}{input}");
    }
    for weight in node.op.weights() {
        let _ = write!(text, " {weight}");
    }
    let _ = match &node.op {
        Op::LayerNorm { eps, .. } | Op::RmsNorm { eps, .. } => write!(text, " eps={eps:e}"),
        Op::Rope { heads, head_dim, inv_freq, attention_scaling } => write!(
            text,
            " heads={heads} head_dim={head_dim} inv_freq=[{}..{}] scaling={attention_scaling}",
            inv_freq.first().copied().unwrap_or(f32::NAN),
            inv_freq.last().copied().unwrap_or(f32::NAN),
        ),
        Op::Attention { heads, kv_heads, head_dim, causal, scale } => write!(
            text,
            " heads={heads} kv_heads={kv_heads} head_dim={head_dim} causal={causal} scale={scale}"
        ),
        Op::Act(kind) => write!(text, " {}", kind.name()),
        Op::MergeImageRows { placeholder } => write!(text, " placeholder={placeholder}"),
        Op::SkipRows { count } => write!(text, " count={count}"),
        _ => Ok(()),
    };
    text
}
