//! The one pass over the columns of a tile that chooses positions, scales and levels, and passes each
//! column's error on to the columns behind it.

use super::dense::{add_product, Part};
use super::grid::Grid;
use super::scale;
use super::shape::Shape;
use super::wide::add_scaled;
use super::{Inputs, TILE_ROWS};

/// Columns whose errors reach the rest of the matrix in one product (GPTQ's lazy batches). A multiple of
/// every word and a divisor or multiple of every group, so that a group that begins is up to date.
const BLOCK: usize = 128;

/// A finished tile; see [`super::Quantised`] for the layout.
pub(super) struct Tile {
    pub levels: Vec<i8>,
    pub index: Vec<u8>,
    pub scales: Vec<f32>,
    pub bits: Vec<u8>,
}

/// Compresses the tile `w`, `[rows, padded]`, with `bits` per group.
pub(super) fn run(mut w: Vec<f32>, shape: &Shape, inputs: &Inputs, bits: Vec<u8>) -> Tile {
    let (padded, stored) = (shape.padded, shape.stored());
    let rows = w.len() / padded;
    debug_assert!(rows <= TILE_ROWS && bits.len() == shape.groups);
    let sparse = shape.sparsity.m() > 1;
    let mut tile = Tile {
        levels: vec![0; rows * stored],
        index: vec![0; if sparse { rows * stored } else { 0 }],
        scales: vec![0.0; rows * shape.groups],
        bits,
    };
    if inputs.curvature.is_none() && !sparse {
        for (row, w) in w.chunks_exact(padded).enumerate() {
            round_row(w, shape, inputs, &mut tile.row(row, shape));
        }
        return tile;
    }
    let mut errors = vec![0.0; rows * BLOCK];
    for start in (0..padded).step_by(BLOCK) {
        let end = (start + BLOCK).min(padded);
        for (row, w) in w.chunks_exact_mut(padded).enumerate() {
            let errors = &mut errors[row * BLOCK..][..end - start];
            sweep_row(w, start..end, shape, inputs, &mut tile.row(row, shape), errors);
        }
        if let Some(curvature) = &inputs.curvature {
            let errors = Part::new(&errors, rows, end - start, BLOCK);
            let behind = &curvature.u[(start * padded + end).min(curvature.u.len())..];
            let behind = Part::new(behind, end - start, padded - end, padded);
            add_product(&mut w[end..], padded, -1.0, errors, behind);
        }
    }
    tile
}

/// A row's share of a [`Tile`].
pub(super) struct Row<'a> {
    pub levels: &'a mut [i8],
    pub index: &'a mut [u8],
    pub scales: &'a mut [f32],
    pub bits: &'a [u8],
}

impl Tile {
    pub fn row(&mut self, row: usize, shape: &Shape) -> Row<'_> {
        let stored = shape.stored();
        let index =
            if self.index.is_empty() { &mut [][..] } else { &mut self.index[row * stored..][..stored] };
        Row {
            levels: &mut self.levels[row * stored..][..stored],
            index,
            scales: &mut self.scales[row * shape.groups..][..shape.groups],
            bits: &self.bits,
        }
    }
}

/// Rounding to nearest of a dense row: no column has an error to pass on.
fn round_row(w: &[f32], shape: &Shape, inputs: &Inputs, out: &mut Row<'_>) {
    for group in 0..shape.groups {
        let (range, bits) = (shape.group(group), out.bits[group]);
        let (w, grid) = (&w[range.clone()], Grid::new(bits));
        out.scales[group] = scale::fit(&grid, bits, w, &inputs.cost[range.clone()], inputs.most).scale;
        scale::levels(&grid, out.scales[group], w, &mut out.levels[range]);
    }
}

fn sweep_row(
    w: &mut [f32],
    columns: std::ops::Range<usize>,
    shape: &Shape,
    inputs: &Inputs,
    out: &mut Row<'_>,
    errors: &mut [f32],
) {
    let m = shape.sparsity.m();
    let end = columns.end;
    let mut slot = shape.stored_at(columns.start);
    let mut mask = 1;
    let (mut grid, mut scale, mut inverse) = (Grid::new(8), 0.0, 0.0);
    for col in columns.clone() {
        if col == columns.start || col % shape.group_cols == 0 {
            let group = col / shape.group_cols;
            if col % shape.group_cols == 0 {
                let (range, bits) = (shape.group(group), out.bits[group]);
                out.scales[group] =
                    group_scale(&w[range.clone()], &inputs.cost[range], shape, bits, inputs.most);
            }
            grid = Grid::new(out.bits[group]);
            scale = out.scales[group];
            inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        }
        if m > 1 && col % m == 0 {
            mask = select(&w[col..col + m], &inputs.cost[col..], shape.sparsity.n());
        }
        let mut value = 0.0;
        if mask >> (col % m) & 1 == 1 {
            let level = grid.nearest(w[col] * inverse);
            value = scale * level;
            out.levels[slot] = level as i8;
            if m > 1 {
                out.index[slot] = (col % m) as u8;
            }
            slot += 1;
        }
        let Some(curvature) = &inputs.curvature else { continue };
        let u = &curvature.u[col * shape.padded..][..end];
        let error = (w[col] - value) / u[col];
        errors[col - columns.start] = error;
        add_scaled(&mut w[col + 1..end], -error, &u[col + 1..]);
    }
}

/// The scale for a group that begins, from the weights that would be stored if no error came.
fn group_scale(w: &[f32], cost: &[f32], shape: &Shape, bits: u8, most: f32) -> f32 {
    let mut kept = Kept::default();
    kept.fill(w, cost, shape);
    scale::fit(&Grid::new(bits), bits, &kept.w, &kept.cost, most).scale
}

/// The stored ones of some whole blocks.
#[derive(Default)]
pub(super) struct Kept {
    pub w: Vec<f32>,
    pub cost: Vec<f32>,
}

impl Kept {
    pub fn fill(&mut self, w: &[f32], cost: &[f32], shape: &Shape) {
        self.w.clear();
        self.cost.clear();
        let (n, m) = (shape.sparsity.n(), shape.sparsity.m());
        if m == 1 {
            self.w.extend_from_slice(w);
            self.cost.extend_from_slice(cost);
            return;
        }
        for (w, cost) in w.chunks_exact(m).zip(cost.chunks_exact(m)) {
            let mask = select(w, cost, n);
            for position in (0..m).filter(|p| mask >> p & 1 == 1) {
                self.w.push(w[position]);
                self.cost.push(cost[position]);
            }
        }
    }
}

/// Bit mask of the `n` weights of a block whose loss would cost most: SparseGPT's `w² / diag(U)²`, and
/// plain magnitude where all inputs are alike. The first wins a tie.
fn select(w: &[f32], cost: &[f32], n: usize) -> u32 {
    let mut mask = 0u32;
    for _ in 0..n {
        let mut best = None;
        for (position, (w, cost)) in w.iter().zip(cost).enumerate() {
            let loss = w * w * cost;
            if mask >> position & 1 == 0 && best.is_none_or(|(_, most)| loss > most) {
                best = Some((position, loss));
            }
        }
        mask |= 1 << best.expect("invariant: n positions at most").0;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::select;

    #[test]
    fn the_dearest_stay() {
        assert_eq!(select(&[0.1, -3.0, 2.0, 0.0], &[1.0; 4], 2), 0b0110);
        assert_eq!(select(&[0.1, -3.0, 2.0, 0.0], &[1e6, 1.0, 1.0, 1.0], 2), 0b0011);
        assert_eq!(select(&[0.0; 4], &[0.0; 4], 2), 0b0011);
        assert_eq!(select(&[f32::NAN; 4], &[1.0; 4], 2).count_ones(), 2);
    }
}
