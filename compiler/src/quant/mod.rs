//! Weight compression: integer levels of 2 to 8 bits, N:M sparsity, bfloat16 scales.
//!
//! A weight matrix `[rows, cols]` becomes, per row and *scale group*, `weight = level · scale`. A
//! group is `group_words` words of 16 stored (non-zero) inputs, which is `16 · group_words · M / N`
//! dense inputs; the width of its levels is chosen per group and tile of 16 output rows ([`Spec`]).
//!
//! [`quantise`] rounds to nearest under the best clipping when it knows nothing about the inputs.
//! With the [`Hessian`] `XᵀX` of the layer's inputs it feeds the error of each column forward into
//! the columns behind it, which is GPTQ (Frantar et al., arXiv:2210.17323) for the levels and
//! SparseGPT (Frantar and Alistarh, arXiv:2301.00774) for the positions; both happen in one sweep.
//! Coordinate descent on the same objective follows (`refine`). The targets of a layer behind compressed ones are
//! those of [`aim`].
//!
//! Invariants: the result does not depend on the number of threads; every scale is a bfloat16 value
//! and not negative; exactly N of M positions are stored; all tiles of a layer have the same size.

pub(crate) mod aim;
mod budget;
pub(crate) mod calibration;
mod cholesky;
mod dense;
pub mod fold;
mod grid;
mod hessian;
pub(crate) mod keys;
mod memory;
mod quantised;
mod refine;
pub(crate) mod report;
mod scale;
mod shape;
mod spec;
mod sweep;
mod wide;

#[cfg(test)]
mod tests;

pub use calibration::{Calibration, Calibrator, Clipping, Prompts, Scope};
pub use fold::Folding;
pub use grid::Grid;
pub use hessian::Hessian;
pub use memory::calibration_bytes;
pub use quantised::{dequantise, Quantised};
pub(crate) use report::CompressedTile;
pub use report::LayerReport;
pub use spec::{Sparsity, Spec, Widths, WIDTHS};

use rayon::prelude::*;
use shape::Shape;

/// Output rows of a tile: they share the width of each group.
pub const TILE_ROWS: usize = 16;

/// Compresses the tiles of one layer.
pub struct Quantiser {
    shape: Shape,
    widths: Widths,
    inputs: Inputs,
    tile_word_bits: usize,
}

/// What is known about the inputs, in the form that the algorithms need.
struct Inputs {
    /// Damped `XᵀX` over the padded columns and its factor; `None`: all inputs alike.
    curvature: Option<Curvature>,
    /// What a squared error in a column costs once the columns behind it have made up for it; 0 for
    /// padding.
    cost: Vec<f32>,
    /// What the largest level stands for, over the largest weight of a group, is at most this before descent.
    most: f32,
}

struct Curvature {
    /// `[padded, padded]`, symmetric.
    h: Vec<f32>,
    /// `[padded, padded]`, upper triangular `U` with `H⁻¹ = UᵀU`.
    u: Vec<f32>,
}

/// `Σ bits · words` over the groups of a tile of a layer with `cols` inputs; the same for all its tiles.
pub fn tile_word_bits(cols: usize, spec: &Spec) -> usize {
    budget::tile_word_bits(&Shape::new(cols, spec), spec.widths)
}

/// Compresses `w`, row-major `[rows, cols]`, finite. `hessian` has `cols` columns.
///
/// The inputs are padded with zero columns to whole words, see [`Quantised::padded_cols`].
pub fn quantise(w: &[f32], rows: usize, cols: usize, spec: &Spec, hessian: Option<&Hessian>) -> Quantised {
    assert_eq!(w.len(), rows * cols, "a matrix of {rows} x {cols}");
    assert!(rows > 0 && cols > 0, "a matrix with elements");
    assert!(hessian.is_none_or(|h| h.cols() == cols), "one input per column");
    let mut live = vec![false; cols];
    for row in w.chunks_exact(cols) {
        live.iter_mut().zip(row).for_each(|(live, w)| *live |= *w != 0.0);
    }
    if let Some(hessian) = hessian {
        (0..cols).for_each(|c| live[c] |= hessian.at(c, c) > 0.0);
    }
    let quantiser = Quantiser::new(&live, spec, hessian);
    let tiles: Vec<sweep::Tile> = w.par_chunks(TILE_ROWS * cols).map(|rows| quantiser.sweep(rows)).collect();
    Quantised::assemble(rows, &quantiser.shape, tiles)
}

impl Quantiser {
    /// For a layer whose inputs are those of `hessian`, or all alike; `live` is false for padding.
    pub fn new(live: &[bool], spec: &Spec, hessian: Option<&Hessian>) -> Self {
        let shape = Shape::new(live.len(), spec);
        let inputs = Inputs::new(live, &shape, hessian);
        let tile_word_bits = budget::tile_word_bits(&shape, spec.widths);
        Quantiser { shape, widths: spec.widths, inputs, tile_word_bits }
    }

    /// The same with every group clipped to `most` of its largest weight or less.
    pub fn clipped(mut self, most: f32) -> Self {
        self.inputs.most = most;
        self
    }

    /// Compresses a tile, `[TILE_ROWS or fewer, columns]`.
    pub fn tile(&self, w: &[f32]) -> Quantised {
        Quantised::assemble(w.len() / self.shape.cols, &self.shape, vec![self.sweep(w)])
    }

    fn sweep(&self, w: &[f32]) -> sweep::Tile {
        let (shape, inputs) = (&self.shape, &self.inputs);
        let padded = shape.pad(w);
        let bits = budget::allocate(&padded, shape, &inputs.cost, self.widths, self.tile_word_bits);
        let Some(curvature) = &inputs.curvature else {
            return sweep::run(padded, shape, inputs, bits);
        };
        let mut tile = sweep::run(padded.clone(), shape, inputs, bits);
        refine::run(&mut tile, &padded, shape, &curvature.h);
        tile
    }
}

impl Inputs {
    fn new(live: &[bool], shape: &Shape, hessian: Option<&Hessian>) -> Self {
        let padded = shape.padded;
        let live = |c: usize| live.get(c).is_some_and(|live| *live);
        let Some(hessian) = hessian else {
            let cost = (0..padded).map(|c| f32::from(u8::from(live(c)))).collect();
            return Inputs { curvature: None, cost, most: 1.0 };
        };
        let (mut h, u) = cholesky::damped_factor(&hessian.expand(padded), padded);
        // Padding has no say in coordinate descent, damping or not.
        (0..padded).filter(|c| !live(*c)).for_each(|c| h[c * padded + c] = 0.0);
        let cost = (0..padded).map(|c| if live(c) { u[c * padded + c].powi(-2) } else { 0.0 }).collect();
        Inputs { curvature: Some(Curvature { h, u }), cost, most: 1.0 }
    }
}
