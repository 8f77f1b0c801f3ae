//! Where each operator of the graph runs. Nothing runs on the host but what is written there.

use crate::graph::Op;

/// The unit that computes an operator, or why none does.
pub fn placement(op: &Op) -> &'static str {
    match op {
        Op::Input(_) => "written by the host before a launch",
        Op::Linear { .. } => "matrix unit",
        Op::LearnedRow { .. } => "load unit",
        Op::PrependRow { .. } => "folded into the position table",
        Op::AddPosition { .. } => "load unit (gather) and vector unit",
        Op::LayerNorm { .. } | Op::RmsNorm { .. } => "vector unit",
        Op::Rope { .. } => "vector unit, angles from the host's table",
        Op::Attention { .. } => "matrix unit and vector unit",
        Op::Depthwise { .. } | Op::PoolWindows { .. } => "vector unit",
        Op::Add | Op::AddRow | Op::Mul | Op::Act(_) => "vector unit",
        Op::Excite { .. } => "matrix unit and vector unit",
        Op::Embedding { .. } | Op::MergeImageRows { .. } => "load unit (gather)",
        Op::SelectRows { .. } => "an address: no work",
        Op::Concat { .. } => "store unit",
        Op::Output => "store unit",
    }
}
