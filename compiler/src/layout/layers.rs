//! How the linear layers of a transformer layer are stored. All layers of a tower share it: they are one loop.

use super::pack::Storage;
use crate::quant::Sparsity;
use std::fmt;

/// Storage of each linear layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerStorage {
    /// Queries.
    pub q: Storage,
    /// Keys.
    pub k: Storage,
    /// Values.
    pub v: Storage,
    /// Output projection of attention.
    pub o: Storage,
    /// First linear layer of the feed-forward block, with its gate.
    pub up: Storage,
    /// Second linear layer of the feed-forward block.
    pub down: Storage,
}

impl LayerStorage {
    /// The same for all.
    pub fn uniform(storage: Storage) -> LayerStorage {
        let [q, k, v, o, up, down] = [storage; 6];
        LayerStorage { q, k, v, o, up, down }
    }

    fn patterns(&self) -> [(&'static str, Sparsity); 6] {
        let LayerStorage { q, k, v, o, up, down } = self;
        [("q", q), ("k", k), ("v", v), ("o", o), ("up", up), ("down", down)].map(|(n, s)| (n, s.sparsity))
    }
}

/// The sparsity: one pattern, or one for each linear layer.
impl fmt::Display for LayerStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.patterns();
        if patterns.iter().all(|p| p.1 == patterns[0].1) {
            return write!(f, "{}", patterns[0].1);
        }
        for (i, (name, sparsity)) in patterns.iter().enumerate() {
            write!(f, "{}{name} {sparsity}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
