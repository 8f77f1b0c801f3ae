//! `--sparsity auto`: a pruned checkpoint is stored in the pattern of its own zeros, which loses nothing.

use crate::codegen::{text_layout, Build};
use crate::diag::Diagnostics;
use crate::import::WeightStore;
use crate::layout::dram::DramMap;
use crate::layout::pack::{Packed, Storage};
use crate::layout::LayerStorage;
use crate::plan::Plan;
use crate::quant::{Sparsity, Spec};
use flightvlm_hw::config::TILE;

/// Those worth storing, fewest multiplications first; of two with as many, the one with smaller windows.
const PATTERNS: [Sparsity; 4] = [Sparsity::S2of16, Sparsity::S4of16, Sparsity::S2of4, Sparsity::S8of16];

/// For each linear layer of the language model the sparsest pattern that all layers' weights follow, among those
/// that cost no more bits than dense and that the target runs. `build` stores everything dense.
pub(super) fn detect(plan: &Plan, build: &Build, weights: &WeightStore) -> Result<LayerStorage, Diagnostics> {
    let text = &plan.text;
    // Which inputs are stored next to each other does not depend on the context.
    let laid = text_layout(text, 0, TILE, build, &mut DramMap::new(build.config.slices))?;
    let mut kinds: [(Storage, Vec<Sparsity>); 6] = [build.layers.q; 6].map(|dense| {
        let worth = |s: &Sparsity| Spec { sparsity: *s, ..dense.spec() }.check_storage().is_ok();
        (dense, PATTERNS.into_iter().filter(worth).collect())
    });
    for layer in &text.layers {
        let o = laid.record(layer, build);
        let down: Vec<&Packed> = o.down.iter().map(|d| &d.1).collect();
        let pieces = [vec![&o.q.1], vec![&o.k.1], vec![&o.v.1], vec![&o.o.1], vec![&o.up.1], down];
        for ((dense, patterns), pieces) in kinds.iter_mut().zip(pieces) {
            for piece in pieces {
                patterns.retain(|s| {
                    piece.stored(Storage { sparsity: *s, ..*dense }).check(&build.config).is_ok()
                });
                piece.keep_patterns(weights, patterns)?;
            }
        }
    }
    let found = kinds.map(|(dense, patterns)| Storage {
        sparsity: patterns.first().copied().unwrap_or(Sparsity::Dense),
        ..dense
    });
    let [q, k, v, o, up, down] = found;
    Ok(LayerStorage { q, k, v, o, up, down })
}
