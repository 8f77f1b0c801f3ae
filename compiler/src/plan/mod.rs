//! The fused form of a model: towers of transformer layers, each a fixed sequence of fused
//! operations. [`fuse`] finds it in the graph; code generation walks it.
//!
//! Fusions: norm + quantise, linear + bias, linear + residual add + the next norm's statistic,
//! activation + product + quantise, attention as one sequence. The layers of a tower have one
//! shape, so that the program can loop over them.

mod conv;
mod fuse;
mod placement;
mod print;

pub use conv::{ConvTower, Depthwise, Excite, Group, Map, Pass, Step};
pub use fuse::fuse;
pub use placement::placement;

use crate::graph::{ActKind, BlockMask, Rotary, WeightId};

/// A linear layer: weight `[cols_out, cols_in]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Module path.
    pub path: String,
    /// Weight.
    pub w: WeightId,
    /// Bias.
    pub b: Option<WeightId>,
    /// Input columns.
    pub cols_in: usize,
    /// Output columns.
    pub cols_out: usize,
}

/// A normalisation with its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Module path.
    pub path: String,
    /// Weight.
    pub w: WeightId,
    /// Bias: present for LayerNorm, absent for RMSNorm.
    pub b: Option<WeightId>,
    /// Added to the variance or mean square.
    pub eps: f32,
    /// Columns.
    pub cols: usize,
}

/// Attention with its projections.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Module path.
    pub path: String,
    /// Query projection.
    pub q: Linear,
    /// Key projection.
    pub k: Linear,
    /// Value projection.
    pub v: Linear,
    /// Output projection.
    pub o: Linear,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
    /// Factor on the scores.
    pub scale: f32,
    /// Causal mask.
    pub causal: bool,
    /// The rows of a prompt see each other all the same.
    pub prefix: bool,
    /// What rows see of the rows before them.
    pub mask: Option<BlockMask>,
    /// Rows see those of their window of the picture only, of so many patches a side; layers of a tower may
    /// differ in it.
    pub windows: Option<usize>,
    /// Norms of queries and keys: RMS norms over all heads of a row, or layer norms of each head.
    pub qk_norm: Option<[Norm; 2]>,
    /// Rotary embedding of queries and keys.
    pub rope: Option<Rotary>,
}

/// Feed-forward block.
#[derive(Debug, Clone, PartialEq)]
pub enum Mlp {
    /// down(act(gate(x)) · up(x))
    Gated {
        /// Gate projection.
        gate: Linear,
        /// Up projection.
        up: Linear,
        /// Down projection.
        down: Linear,
        /// Activation.
        act: ActKind,
    },
    /// down(act(up(x)))
    Plain {
        /// First linear.
        up: Linear,
        /// Second linear.
        down: Linear,
        /// Activation.
        act: ActKind,
    },
}

/// A pre-norm transformer layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Norm in front of attention.
    pub norm1: Norm,
    /// Attention.
    pub attention: Attention,
    /// Norm in front of the feed-forward block.
    pub norm2: Norm,
    /// Feed-forward block.
    pub mlp: Mlp,
}

/// Linear layers with an optional activation behind each, and a norm behind all.
#[derive(Debug, Clone, PartialEq)]
pub struct Normed {
    /// The layers.
    pub linears: Vec<(Linear, Option<ActKind>)>,
    /// The norm.
    pub norm: Norm,
}

/// What makes a token of each window of a tower's patches, for a question (QueCC).
#[derive(Debug, Clone, PartialEq)]
pub struct Compress {
    /// Hidden states of the tower that keys and values are made of, ascending: how many layers stand in front.
    pub states: Vec<usize>,
    /// Which of these the question is added to.
    pub state: usize,
    /// What the question goes through before.
    pub text: (Linear, Norm),
    /// From the sum to queries.
    pub q: Normed,
    /// From the states, side by side, to keys.
    pub k: Normed,
    /// From the states, side by side, to values.
    pub v: Normed,
    /// Weights `[columns, patches of a window]` and bias that make one query of a window's.
    pub pool: (WeightId, WeightId),
    /// Patches of a side of a window.
    pub side: usize,
    /// Each query asks its own window.
    pub attention: Attention,
}

/// Vision tower and projector.
#[derive(Debug, Clone, PartialEq)]
pub struct Vision {
    /// Rows inside the tower (patches and class row) of a full tile.
    pub rows: usize,
    /// True when row 0 is the class row.
    pub has_class: bool,
    /// Values of a patch.
    pub pixel_cols: usize,
    /// Patch embedding of a tower; `None`: there is no tower, the projector takes the patches.
    pub patch: Option<Linear>,
    /// A tower of convolutions in front of the projector, in place of a transformer.
    pub conv: Option<ConvTower>,
    /// Class row.
    pub class_row: Option<WeightId>,
    /// Position table `[positions, cols]`, and its rows.
    pub position: Option<(WeightId, usize)>,
    /// Norm in front of the layers (CLIP).
    pub pre_norm: Option<Norm>,
    /// Layers.
    pub layers: Vec<Layer>,
    /// Norm behind the layers, where the feature layer includes it.
    pub post_norm: Option<Norm>,
    /// Attention pooling in place of projector and norm: the learned row that asks, and the layer that
    /// answers, of which the residual in front of attention is not added.
    pub pool: Option<(WeightId, Layer)>,
    /// What stands between the layers and the projector, and takes a question.
    pub compress: Option<Box<Compress>>,
    /// Rows dropped in front of the projector.
    pub skip_rows: usize,
    /// Rows joined to a visual token.
    pub join: usize,
    /// Visual tokens.
    pub tokens: usize,
    /// Norm of the joined rows.
    pub projector_norm: Option<Norm>,
    /// Projector: linear layers with an optional activation behind each.
    pub projector: Vec<(Linear, Option<ActKind>)>,
}

impl Vision {
    /// Patches of a side of the windows that layers see, if some do.
    pub fn windows(&self) -> Option<usize> {
        self.layers.iter().find_map(|layer| layer.attention.windows)
    }

    /// The tower's layers and the one that pools: all have one shape.
    pub fn all_layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().chain(self.pool.iter().map(|(_, layer)| layer))
    }
}

/// Language model.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// Embedding table `[vocab, hidden]`.
    pub embed: WeightId,
    /// Learned rows behind it, and how many.
    pub learned: Option<(WeightId, usize)>,
    /// Rows of the table.
    pub vocab: usize,
    /// Position table `[positions, hidden]` whose rows are added to it, and its rows.
    pub position: Option<(WeightId, usize)>,
    /// Residual width.
    pub hidden: usize,
    /// Layers.
    pub layers: Vec<Layer>,
    /// Final norm.
    pub final_norm: Norm,
    /// Output layer: logits, or the vectors of a text's rows.
    pub head: Linear,
}

/// A fused model.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Vision part.
    pub vision: Option<Vision>,
    /// The tower for frames of videos, with the same projector.
    pub video: Option<Vision>,
    /// Text part.
    pub text: Text,
}
