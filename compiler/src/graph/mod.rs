//! The tensor graph of a model: what has to be computed, module by module, in the checkpoint's own names.
//!
//! Invariants, checked by [`Graph::verify`]:
//! - nodes are in topological order, each value is defined once, by one node;
//! - every value is a row-major f32 matrix `[rows, cols]` whose rows are a symbolic extent ([`Rows`]);
//! - weights are declared with their shapes, `Linear` weights as `[out, in]`;
//! - the graph has one vision part at most (rows `Patches` and `Image`, one image at a time) and one text
//!   part (rows `Prompt`), joined by a single [`Op::MergeImageRows`].
//!
//! The graph holds no weight data and knows no device.

mod build;
mod contrast;
mod dot;
mod id;
mod mask;
mod merging;
mod op;
mod picture;
mod positions;
mod print;
mod prune;
mod rope;
mod spec;
mod ty;
mod verify;
mod weight;
mod window;

pub use build::{Graph, Node};
pub use contrast::{unit, Contrast, Pool};
pub use dot::dot;
pub use id::{NodeId, ValueId, WeightId};
pub use mask::{BlockMask, MASK_BLOCK};
pub use op::{ActKind, InputKind, Op};
pub use picture::{best_pinpoint, order_by_placeholders, Picture, Tile, VisualRow};
pub use positions::{Positions, Reached, TokenGrid, VisualPositions};
pub use prune::{Group, Method, Prune, ReadOut};
pub use rope::{plain_frequencies, Frequencies, Position, Rotary};
pub use spec::{
    Arrange, ModelSpec, PositionScheme, PositionTable, TextSpec, VideoSpec, VisionKind, VisionSpec,
};
pub use ty::{ImageExtents, Rows, ValueType};
pub use verify::GraphError;
pub use weight::{Change, WeightDecl};
pub use window::Windows;
