//! The one printer of graphs. Equal graphs print equal bytes.

use std::fmt::{self, Write as _};

use super::build::{Graph, Node};
use super::op::Op;
use super::weight::{Change, WeightDecl};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {{")?;
        if let Some(image) = self.image {
            writeln!(f, "  image patches={} visual_tokens={}", image.patch_count, image.visual_token_count)?;
        }
        for (index, weight) in self.weights.iter().enumerate() {
            writeln!(f, "  @w{index} = weight {:?} {:?}{}", weight.name, weight.shape, changes(weight))?;
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

/// What is done with the stored tensor, if anything.
fn changes(weight: &WeightDecl) -> String {
    let mut out = String::new();
    for change in &weight.changes {
        let _ = match change {
            Change::Rows { first, of } => write!(out, " rows from {first} of {of}"),
            Change::HeadRows { part, parts, rows } => {
                write!(out, " part {part} of {parts} x {rows} rows of each head")
            }
            Change::Normed { gamma, .. } => write!(out, " normed by {gamma:?}"),
            Change::MinusNormed { mean, .. } => write!(out, " - normed {mean:?}"),
            Change::PlusOne => write!(out, " + 1"),
            Change::Times(x) => write!(out, " * {x}"),
            Change::RowsTimes(name) => write!(out, " * {name:?}"),
        };
    }
    out
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
        Op::LayerNorm { heads, eps, .. } if *heads > 1 => write!(text, " heads={heads} eps={eps:e}"),
        Op::LayerNorm { eps, .. } | Op::RmsNorm { eps, .. } => write!(text, " eps={eps:e}"),
        Op::Rope { heads, head_dim, rotary } => {
            let f = rotary.frequencies(1);
            let ends = [f.first(), f.last()].map(|x| x.copied().unwrap_or(f32::NAN));
            let scaling = rotary.scaling;
            write!(
                text,
                " heads={heads} head_dim={head_dim} pairs={} inv_freq=[{}..{}] scaling={scaling}",
                f.len(),
                ends[0],
                ends[1]
            )
        }
        Op::Attention { heads, kv_heads, head_dim, causal, prefix, mask, windows, scale } => {
            let mask = mask.map_or(String::new(), |m| format!(" {m}"));
            let windows = windows.map_or(String::new(), |side| format!(" windows={side}"));
            write!(
                text,
                " heads={heads} kv_heads={kv_heads} head_dim={head_dim} causal={causal} prefix={prefix}{mask}{windows} scale={scale}"
            )
        }
        Op::PoolWindows { side, .. } => write!(text, " side={side}"),
        Op::Depthwise { kernel, stride, side, .. } => {
            write!(text, " kernel={kernel} stride={stride} side={side}")
        }
        Op::Act(kind) => write!(text, " {}", kind.name()),
        Op::MergeImageRows { placeholder, video: Some(video), .. } => {
            write!(text, " placeholder={placeholder} video={video}")
        }
        Op::MergeImageRows { placeholder, .. } => write!(text, " placeholder={placeholder}"),
        Op::SelectRows { skip, join, pooled } => {
            write!(text, " skip={skip} join={join}{}", if *pooled { " first" } else { "" })
        }
        _ => Ok(()),
    };
    text
}
