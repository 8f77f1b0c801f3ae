//! Weights as the graph uses them, and how they come out of the checkpoint's tensors.
//!
//! Families store the same mathematics in different ways: fused projections, norm weights minus one,
//! scales behind a layer. A [`WeightDecl`] says so in [`Change`]s, so that neither the operators nor
//! the hardware know of it.

/// What turns a stored tensor into the weight; applied in order, in float32.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Takes rows from `first` on of a tensor with `of` rows (fused projections).
    Rows {
        /// First row.
        first: usize,
        /// Rows in the file.
        of: usize,
    },
    /// Takes one of the `parts` blocks of `rows` rows that each head has (queries, keys and values of a head
    /// stored together).
    HeadRows {
        /// Which.
        part: usize,
        /// Blocks of a head.
        parts: usize,
        /// Rows of a block.
        rows: usize,
    },
    /// Adds one to every value (norm weights stored around zero).
    PlusOne,
    /// Multiplies every value.
    Times(f32),
    /// Multiplies row `i` by `gamma[i] / sqrt(var[i] + eps)` (a batch norm folded into the layer in front of it).
    Normed {
        /// Tensor of the norm's weights.
        gamma: String,
        /// Tensor of its variances.
        var: String,
        /// Added to the variance.
        eps: f32,
    },
    /// Takes `mean[i] gamma[i] / sqrt(var[i] + eps)` off row `i` (the bias of that).
    MinusNormed {
        /// Tensor of the norm's means.
        mean: String,
        /// Tensor of its weights.
        gamma: String,
        /// Tensor of its variances.
        var: String,
        /// Added to the variance.
        eps: f32,
    },
    /// Multiplies row `i` by element `i` of another tensor (a layer scale folded into the layer).
    RowsTimes(String),
}

impl Change {
    /// Tensors that it reads beside the weight's own, an element a row.
    fn vectors(&self) -> Vec<&str> {
        match self {
            Change::RowsTimes(name) => vec![name],
            Change::Normed { gamma, var, .. } => vec![gamma, var],
            Change::MinusNormed { mean, gamma, var, .. } => vec![mean, gamma, var],
            _ => Vec::new(),
        }
    }
}

/// A weight: its tensor in the checkpoint, what is done with it, and the shape the graph uses.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightDecl {
    /// Tensor name in the checkpoint's files.
    pub name: String,
    /// Shape as used by the graph; the file may hold the same elements with more dimensions
    /// (convolution weights).
    pub shape: Vec<usize>,
    /// From the stored tensor to the weight.
    pub changes: Vec<Change>,
}

impl WeightDecl {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True for a weight without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape in the file.
    pub fn stored_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        for change in &self.changes {
            match (change, shape.first_mut()) {
                (Change::Rows { of, .. }, Some(rows)) => *rows = *of,
                (Change::HeadRows { parts, .. }, Some(rows)) => *rows *= parts,
                _ => {}
            }
        }
        shape
    }

    /// First row of the stored tensor that is used.
    pub fn first_row(&self) -> usize {
        let first = |c: &Change| match c {
            Change::Rows { first, .. } => Some(*first),
            Change::HeadRows { part, rows, .. } => Some(part * rows),
            _ => None,
        };
        self.changes.iter().find_map(first).unwrap_or(0)
    }

    /// Names and lengths of the vectors that the changes read.
    pub fn factors(&self) -> impl Iterator<Item = (&str, usize)> {
        let rows = self.shape.first().copied().unwrap_or(0);
        self.changes.iter().flat_map(Change::vectors).map(move |name| (name, rows))
    }

    /// Applies the changes to the stored values; `factors` are the vectors of [`WeightDecl::factors`].
    pub fn apply(&self, mut values: Vec<f32>, factors: &[Vec<f32>]) -> Vec<f32> {
        let rows = self.shape.first().copied().unwrap_or(0).max(1);
        let cols = self.len() / rows;
        let mut factors = factors.iter();
        for change in &self.changes {
            match change {
                Change::Rows { first, .. } => {
                    values.truncate((first + rows) * cols);
                    values.drain(..first * cols);
                }
                Change::HeadRows { part, parts, rows } => {
                    let heads = values.chunks_exact(parts * rows * cols);
                    values =
                        heads.flat_map(|head| &head[part * rows * cols..][..rows * cols]).copied().collect();
                }
                Change::PlusOne => values.iter_mut().for_each(|v| *v += 1.0),
                Change::Normed { eps, .. } => {
                    let (gamma, var) = (next(&mut factors), next(&mut factors));
                    for (row, (g, v)) in values.chunks_exact_mut(cols.max(1)).zip(gamma.iter().zip(var)) {
                        row.iter_mut().for_each(|x| *x *= g / (v + eps).sqrt());
                    }
                }
                Change::MinusNormed { eps, .. } => {
                    let (mean, gamma, var) = (next(&mut factors), next(&mut factors), next(&mut factors));
                    for (i, row) in values.chunks_exact_mut(cols.max(1)).enumerate() {
                        let by = mean[i] * gamma[i] / (var[i] + eps).sqrt();
                        row.iter_mut().for_each(|x| *x -= by);
                    }
                }
                Change::Times(factor) => values.iter_mut().for_each(|v| *v *= factor),
                Change::RowsTimes(_) => {
                    let by = next(&mut factors);
                    for (row, by) in values.chunks_exact_mut(cols.max(1)).zip(by) {
                        row.iter_mut().for_each(|v| *v *= by);
                    }
                }
            }
        }
        values
    }
}

fn next<'f>(factors: &mut impl Iterator<Item = &'f Vec<f32>>) -> &'f Vec<f32> {
    factors.next().expect("invariant: a vector for every name that changes read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_apply_in_order() {
        let changes = vec![
            Change::Rows { first: 1, of: 4 },
            Change::PlusOne,
            Change::RowsTimes("scale".into()),
            Change::Times(0.5),
        ];
        let w = WeightDecl { name: "w".into(), shape: vec![2, 3], changes };
        assert_eq!(w.stored_shape(), [4, 3]);
        assert_eq!(w.factors().collect::<Vec<_>>(), [("scale", 2)]);
        let stored = (0..12).map(|v| v as f32).collect();
        assert_eq!(w.apply(stored, &[vec![2.0, 4.0]]), [4., 5., 6., 14., 16., 18.]);
        let (gamma, var, eps) = ("g".to_string(), "v".to_string(), 0.0);
        let changes = vec![Change::Normed { gamma: gamma.clone(), var: var.clone(), eps }];
        let w = WeightDecl { name: "w".into(), shape: vec![2, 2], changes };
        assert_eq!(w.apply(vec![1., 2., 3., 4.], &[vec![2., 3.], vec![4., 9.]]), [1., 2., 3., 4.]);
        let changes = vec![Change::MinusNormed { mean: "m".into(), gamma, var, eps }];
        let w = WeightDecl { name: "b".into(), shape: vec![1], changes };
        assert_eq!(w.apply(vec![5.], &[vec![3.], vec![2.], vec![4.]]), [2.]);
        let changes = vec![Change::HeadRows { part: 1, parts: 3, rows: 2 }];
        let w = WeightDecl { name: "qkv".into(), shape: vec![4], changes };
        assert_eq!((w.stored_shape(), w.first_row()), (vec![12], 2));
        assert_eq!(w.apply((0..12).map(|v| v as f32).collect(), &[]), [2., 3., 8., 9.]);
    }
}
