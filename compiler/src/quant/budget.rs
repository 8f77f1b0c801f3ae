//! Which width each group of a tile gets.
//!
//! All tiles of a layer must have one size. The size is the largest sum of `bits · words` over the
//! groups that some choice of widths reaches within the average; then, for each tile, dynamic
//! programming over its groups finds the choice of exactly that size whose rounding costs least.

use super::grid::Grid;
use super::scale;
use super::shape::Shape;
use super::spec::{Widths, WIDTHS};
use super::sweep::Kept;

/// Averages such as 3.3 have no exact binary form; a budget missed by less than this is met.
const TOLERANCE: f64 = 1e-3;

/// `Σ bits · words` over the groups of each tile.
pub(super) fn tile_word_bits(shape: &Shape, widths: Widths) -> usize {
    let words: Vec<usize> = (0..shape.groups).map(|group| shape.words(group)).collect();
    let total: usize = words.iter().sum();
    let average = match widths {
        Widths::Uniform(bits) => return total * usize::from(bits),
        Widths::Mixed { average_bits } => f64::from(average_bits),
    };
    let budget = (average * total as f64 + TOLERANCE) as usize;
    let mut reached = vec![false; budget + 1];
    reached[0] = true;
    for words in words {
        let mut next = vec![false; budget + 1];
        for size in WIDTHS.map(|bits| usize::from(bits) * words) {
            (size..=budget).for_each(|sum| next[sum] |= reached[sum - size]);
        }
        reached = next;
    }
    reached.iter().rposition(|reached| *reached).expect("an average of at least 2 bits")
}

/// Widths for the tile `w`, `[rows, padded]`, whose sizes add up to `total`.
pub(super) fn allocate(w: &[f32], shape: &Shape, cost: &[f32], widths: Widths, total: usize) -> Vec<u8> {
    if let Widths::Uniform(bits) = widths {
        return vec![bits; shape.groups];
    }
    let errors: Vec<[f64; WIDTHS.len()]> =
        (0..shape.groups).map(|group| group_errors(w, shape, cost, group)).collect();
    let words: Vec<usize> = (0..shape.groups).map(|group| shape.words(group)).collect();
    choose(&errors, &words, total).iter().map(|width| WIDTHS[*width]).collect()
}

/// What rounding a group of the tile would cost at each width, if no error were passed on.
fn group_errors(w: &[f32], shape: &Shape, cost: &[f32], group: usize) -> [f64; WIDTHS.len()] {
    let range = shape.group(group);
    let mut kept = Kept::default();
    let mut sums = [0.0; WIDTHS.len()];
    for row in w.chunks_exact(shape.padded) {
        kept.fill(&row[range.clone()], &cost[range.clone()], shape);
        for (sum, bits) in sums.iter_mut().zip(WIDTHS) {
            *sum += f64::from(scale::fit(&Grid::new(bits), bits, &kept.w, &kept.cost, 1.0).error);
        }
    }
    sums
}

/// The choice with the least sum of errors among those of size `total`; index into [`WIDTHS`] per group.
fn choose(errors: &[[f64; WIDTHS.len()]], words: &[usize], total: usize) -> Vec<usize> {
    let mut least = vec![f64::INFINITY; total + 1];
    least[0] = 0.0;
    let mut steps = Vec::with_capacity(errors.len());
    for (errors, words) in errors.iter().zip(words) {
        let mut next = vec![f64::INFINITY; total + 1];
        let mut step = vec![0u8; total + 1];
        for (width, error) in errors.iter().enumerate() {
            let size = usize::from(WIDTHS[width]) * words;
            for sum in size..=total {
                let error = least[sum - size] + error;
                if error < next[sum] {
                    (next[sum], step[sum]) = (error, width as u8);
                }
            }
        }
        least = next;
        steps.push(step);
    }
    let mut rest = total;
    let mut chosen: Vec<usize> = steps
        .iter()
        .zip(words)
        .rev()
        .map(|(step, words)| {
            let width = usize::from(step[rest]);
            rest -= usize::from(WIDTHS[width]) * words;
            width
        })
        .collect();
    debug_assert_eq!(rest, 0);
    chosen.reverse();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::{Sparsity, Spec};

    fn total(cols: usize, average_bits: f32) -> usize {
        let widths = Widths::Mixed { average_bits };
        let spec = Spec { widths, sparsity: Sparsity::Dense, group_words: 2 };
        tile_word_bits(&Shape::new(cols, &spec), widths)
    }

    #[test]
    fn sizes_come_as_near_as_widths_allow() {
        assert_eq!(total(10 * 32, 3.5), 70);
        assert_eq!(total(10 * 32, 3.3), 66);
        assert_eq!(total(2 * 32, 7.5), 28, "no two widths add up to 15");
        assert_eq!(total(32 + 16, 3.5), 10, "2 words of 4 or 3 bits and a word of 2 or 4");
        assert_eq!(total(32, 2.0), 4);
    }

    /// Against all choices.
    #[test]
    fn the_choice_is_the_best_of_its_size() {
        let error = |group: usize, width: usize| ((group * 31 + width * 17) % 23 + 1) as f64;
        let errors: Vec<[f64; 6]> = (0..4).map(|g| std::array::from_fn(|w| error(g, w))).collect();
        let words = [2, 2, 2, 1];
        for total in [14, 20, 27, 30, 41] {
            let sum = |choice: &[usize]| -> (usize, f64) {
                let sizes = choice.iter().zip(words).map(|(w, words)| usize::from(WIDTHS[*w]) * words);
                (sizes.sum(), choice.iter().enumerate().map(|(g, w)| errors[g][*w]).sum())
            };
            let all = (0..6usize.pow(4)).map(|code| [code % 6, code / 6 % 6, code / 36 % 6, code / 216]);
            let best =
                all.map(|c| sum(&c)).filter(|s| s.0 == total).map(|s| s.1).fold(f64::INFINITY, f64::min);
            assert_eq!(sum(&choose(&errors, &words, total)), (total, best));
        }
    }
}
