//! Plain code: the reference for the others.

use super::{add_group, finish, Job};
use crate::expand::{window_index, Expanded};

pub(super) fn tile(job: &Job<'_>, tile: &Expanded, write: &mut impl FnMut(usize, [u32; 16])) {
    let w = job.w;
    let (group, window) = (w.group() as usize, 16 * w.window_words() as usize);
    let (bias, scales) = tile.scales.split_at(usize::from(w.bias));
    for r in 0..w.rows {
        let acts = job.row(r).as_flattened();
        let mut p = [0.0; 16];
        for first in (0..w.kb as usize).step_by(group) {
            let mut acc = [0i32; 16];
            for b in first..(first + group).min(w.kb as usize) {
                let x = &acts[b * window..][..window];
                for (e, v) in tile.values[b].iter().enumerate() {
                    // Selectors past the window (of a tile loaded with another sparsity) wrap.
                    let at = window_index(w.nm, e % 16, tile.selectors[b][e]) % window;
                    acc[e / 16] += i32::from(*v) * i32::from(x[at]);
                }
            }
            let scale = w.wscale.then(|| &scales[first / group]);
            add_group(&mut p, first == 0, &acc, scale);
        }
        write(r as usize, finish(&p, job.row_scales[r as usize], bias.first()));
    }
}
