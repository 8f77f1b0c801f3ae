//! Merging of visual tokens: which tokens of a tile are averaged to one.
//!
//! Bipartite matching in rounds, as Turbo and its successor FOLDER do (github.com/anakin-skywalker-Joseph/Folder). Of the
//! tokens in raster order those at even places are sources, those at odd places destinations. A source's best destination
//! is the one with the highest cos(k_i, k_j) - 30 α a_i: redundancy less semantic value (a: attention that the token
//! receives; FOLDER leaves it out). The sources with the best best are merged, each into its destination: vectors become
//! averages weighted by size, attention adds up, and a destination keeps its place in the raster, so that order is never
//! lost. A round takes at most half of the tokens away; rounds follow until the budget is met. Where two are equal, the
//! first in the raster wins.

/// Turbo's α times 30 (the released default, α = 1).
const ATTENTION_FACTOR: f64 = 30.0;

/// What is known of the tokens of a tile, in raster order.
pub(super) struct Candidates<'a> {
    /// A vector of each, all of one length: what is similar may be merged.
    pub vectors: Vec<&'a [f32]>,
    /// Share of the attention that each receives; `None`: that does not count.
    pub attention: Option<Vec<f64>>,
}

/// A token that others may have been merged into.
struct Token {
    /// Where it stands among the candidates.
    place: usize,
    /// Candidates that it is the average of.
    members: Vec<usize>,
    vector: Vec<f64>,
    attention: f64,
}

/// At most `count` (at least 1) groups of candidates in raster order: the candidate whose place a group takes, and all its
/// members in ascending order.
pub(super) fn merge(candidates: &Candidates<'_>, count: usize) -> Vec<(usize, Vec<usize>)> {
    let token = |(place, vector): (usize, &&[f32])| Token {
        place,
        members: vec![place],
        vector: vector.iter().map(|x| f64::from(*x)).collect(),
        attention: candidates.attention.as_ref().map_or(0.0, |attention| attention[place]),
    };
    let mut tokens: Vec<Token> = candidates.vectors.iter().enumerate().map(token).collect();
    while tokens.len() > count.max(1) {
        let most = ((tokens.len() - 1) / 2).max(1);
        let wanted = (tokens.len() - count.max(1)).min(most);
        tokens = round(tokens, wanted);
    }
    let group = |mut token: Token| {
        token.members.sort_unstable();
        (token.place, token.members)
    };
    tokens.into_iter().map(group).collect()
}

/// Merges `wanted` of the sources away.
fn round(tokens: Vec<Token>, wanted: usize) -> Vec<Token> {
    let units: Vec<Vec<f64>> = tokens.iter().map(|token| unit(&token.vector)).collect();
    let best = |source: usize| {
        let cos = |at: usize| -> f64 { units[source].iter().zip(&units[at]).map(|(a, b)| a * b).sum() };
        let scores = (1..tokens.len()).step_by(2).map(|at| (at, cos(at)));
        let first_best = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
        let (destination, cos) = scores.reduce(first_best).expect("invariant: two tokens or more");
        (source, destination, cos - ATTENTION_FACTOR * tokens[source].attention)
    };
    let mut pairs: Vec<(usize, usize, f64)> = (0..tokens.len()).step_by(2).map(best).collect();
    pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
    pairs.truncate(wanted);
    pairs.sort_by_key(|(source, ..)| *source);
    let mut slots: Vec<Option<Token>> = tokens.into_iter().map(Some).collect();
    for (source, destination, _) in pairs {
        let source = slots[source].take().expect("invariant: a source is merged once");
        let into = slots[destination].as_mut().expect("invariant: destinations stay");
        let [n, m] = [into.members.len(), source.members.len()].map(|n| n as f64);
        for (x, y) in into.vector.iter_mut().zip(&source.vector) {
            *x = (n * *x + m * y) / (n + m);
        }
        into.attention += source.attention;
        into.members.extend(source.members);
    }
    slots.into_iter().flatten().collect()
}

/// A vector of length 1 in the same direction; zeros stay zeros.
fn unit(vector: &[f64]) -> Vec<f64> {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    vector.iter().map(|x| if norm > 0.0 { x / norm } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(vectors: &[[f32; 2]], attention: Option<&[f64]>, count: usize) -> Vec<(usize, Vec<usize>)> {
        let vectors = vectors.iter().map(|v| v.as_slice()).collect();
        merge(&Candidates { vectors, attention: attention.map(<[f64]>::to_vec) }, count)
    }

    #[test]
    fn the_most_alike_are_merged_into_places_of_the_raster() {
        // 0 is like 3, 2 is like 1, 4 is like nothing.
        let vectors = [[1.0, 0.0], [0.0, 1.0], [0.1, 2.0], [3.0, 0.1], [-1.0, -1.0]];
        assert_eq!(groups(&vectors, None, 4), [(1, vec![1]), (2, vec![2]), (3, vec![0, 3]), (4, vec![4])]);
        assert_eq!(groups(&vectors, None, 3), [(1, vec![1, 2]), (3, vec![0, 3]), (4, vec![4])]);
        // Then three are left: 1 and 4 are sources, 3 is the destination of one of them.
        assert_eq!(groups(&vectors, None, 2), [(3, vec![0, 1, 2, 3]), (4, vec![4])]);
        assert_eq!(groups(&vectors, None, 1), [(4, vec![0, 1, 2, 3, 4])]);
        assert_eq!(groups(&vectors, None, 9).len(), 5, "fewer than the budget stay as they are");
    }

    #[test]
    fn what_is_attended_to_stays() {
        let vectors = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.1], [1.0, 0.0]];
        assert_eq!(groups(&vectors, None, 3), [(1, vec![0, 1]), (2, vec![2]), (3, vec![3])]);
        let attention = [0.3, 0.1, 0.1, 0.5];
        assert_eq!(groups(&vectors, Some(&attention), 3), [(0, vec![0]), (1, vec![1, 2]), (3, vec![3])]);
    }

    #[test]
    fn vectors_of_zeros_are_like_nothing() {
        let vectors = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.1], [0.0, 0.0]];
        assert_eq!(groups(&vectors, None, 3), [(0, vec![0]), (1, vec![1, 2]), (3, vec![3])]);
    }
}
