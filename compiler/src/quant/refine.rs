//! Coordinate descent behind the sweep: with positions fixed, each level and each scale moves to the
//! value that lowers `e H eᵀ` of its row most, the error of all columns being known (Behdin et al.,
//! QuantEase, arXiv:2309.01885, for the levels).

use super::dense::{add_product, Part};
use super::grid::Grid;
use super::scale::to_bf16;
use super::shape::Shape;
use super::sweep::{Row, Tile};
use super::wide::add_scaled;

/// Passes over the columns.
const PASSES: usize = 2;

/// Improves `tile`, the compressed form of `w`, `[rows, padded]`; `h` is `[padded, padded]`.
pub(super) fn run(tile: &mut Tile, w: &[f32], shape: &Shape, h: &[f32]) {
    let padded = shape.padded;
    let rows = w.len() / padded;
    let mut errors = w.to_vec();
    for (row, errors) in errors.chunks_exact_mut(padded).enumerate() {
        let row = tile.row(row, shape);
        for slot in 0..row.levels.len() {
            let col = column(&row, slot, shape);
            errors[col] -= row.scales[col / shape.group_cols] * f32::from(row.levels[slot]);
        }
    }
    let mut slopes = vec![0.0; rows * padded];
    let all = Part::new(h, padded, padded, padded);
    add_product(&mut slopes, padded, 1.0, Part::new(&errors, rows, padded, padded), all);
    for (index, slopes) in slopes.chunks_exact_mut(padded).enumerate() {
        let mut row = tile.row(index, shape);
        for _ in 0..PASSES {
            for group in 0..shape.groups {
                levels(&mut row, slopes, group, shape, h);
                scale(&mut row, slopes, group, shape, h);
            }
        }
    }
}

/// Dense column of a stored value.
fn column(row: &Row<'_>, slot: usize, shape: &Shape) -> usize {
    let (n, m) = (shape.sparsity.n(), shape.sparsity.m());
    slot / n * m + row.index.get(slot).map_or(0, |position| usize::from(*position))
}

fn slots(group: usize, shape: &Shape) -> std::ops::Range<usize> {
    let range = shape.group(group);
    shape.stored_at(range.start)..shape.stored_at(range.end)
}

/// `slopes` is `e H` of the row; moving a level by `d` changes `e` by `−scale · d` there.
fn levels(row: &mut Row<'_>, slopes: &mut [f32], group: usize, shape: &Shape, h: &[f32]) {
    let scale = row.scales[group];
    if scale == 0.0 {
        return;
    }
    let grid = Grid::new(row.bits[group]);
    for slot in slots(group, shape) {
        let col = column(row, slot, shape);
        let h = &h[col * shape.padded..][..shape.padded];
        if h[col] == 0.0 {
            continue;
        }
        let level = f32::from(row.levels[slot]);
        let best = grid.nearest(level + slopes[col] / (h[col] * scale));
        if best != level {
            let change = scale * (best - level);
            row.levels[slot] = best as i8;
            add_scaled(slopes, -change, h);
        }
    }
}

/// Moves the scale to the least-squares value for the group's levels, if that still helps once it
/// is a bfloat16 value.
fn scale(row: &mut Row<'_>, slopes: &mut [f32], group: usize, shape: &Shape, h: &[f32]) {
    let padded = shape.padded;
    let mut pull = 0.0f32;
    let mut product = vec![0.0f32; padded];
    for slot in slots(group, shape) {
        let (col, level) = (column(row, slot, shape), f32::from(row.levels[slot]));
        pull += level * slopes[col];
        add_scaled(&mut product, level, &h[col * padded..]);
    }
    let level_product = |slot: usize| f32::from(row.levels[slot]) * product[column(row, slot, shape)];
    let curvature: f32 = slots(group, shape).map(level_product).sum();
    let old = row.scales[group];
    let new = to_bf16(old + pull / curvature);
    let change = new - old;
    // A group without inputs has no curvature, and `new` is NaN.
    if old > 0.0 && new > 0.0 && new.is_finite() && change * (2.0 * pull - change * curvature) > 0.0 {
        row.scales[group] = new;
        add_scaled(slopes, -change, &product);
    }
}
