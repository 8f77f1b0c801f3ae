//! Whole matrices through every format.

use super::*;
use proptest::prelude::*;

/// Repeatable values in −1..1 with a bell shape.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        let mut uniform = || {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (uniform() + uniform() + uniform()) / 3.0
    }

    fn vector(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.next()).collect()
    }
}

/// Inputs with a few strong common directions and columns of different size, as activations have.
fn correlated_inputs(rows: usize, cols: usize, noise: &mut Noise) -> Vec<f32> {
    let rank = (cols / 8).max(1);
    let mix = noise.vector(rank * cols);
    let mut x = Vec::with_capacity(rows * cols);
    for _ in 0..rows {
        let factors = noise.vector(rank);
        for col in 0..cols {
            let common: f32 = factors.iter().enumerate().map(|(k, f)| f * mix[k * cols + col]).sum();
            x.push((common + 0.1 * noise.next()) * (1.0 + (col % 7) as f32));
        }
    }
    x
}

fn hessian(x: &[f32], cols: usize) -> Hessian {
    let mut h = Hessian::new(cols);
    h.add_rows(x);
    h
}

/// Mean squared difference of the layer's outputs.
fn output_error(w: &[f32], q: &Quantised, x: &[f32]) -> f64 {
    let (cols, back) = (q.cols, dequantise(q));
    let mut sum = 0.0;
    for (w, back) in w.chunks_exact(cols).zip(back.chunks_exact(cols)) {
        for x in x.chunks_exact(cols) {
            let y: f32 = x.iter().zip(w).zip(back).map(|((x, w), b)| x * (w - b)).sum();
            sum += f64::from(y).powi(2);
        }
    }
    sum
}

fn specs() -> Vec<Spec> {
    let widths = WIDTHS.map(Widths::Uniform).into_iter().chain([Widths::Mixed { average_bits: 3.5 }]);
    widths
        .flat_map(|widths| Sparsity::ALL.map(|sparsity| Spec { widths, sparsity, group_words: 2 }))
        .collect()
}

#[test]
fn feedback_lowers_the_output_error_in_every_format() {
    let (rows, cols, mut noise) = (32, 256, Noise(1));
    let w = noise.vector(rows * cols);
    let x = correlated_inputs(512, cols, &mut noise);
    let h = hessian(&x, cols);
    for spec in specs() {
        let plain = quantise(&w, rows, cols, &spec, None);
        let aware = quantise(&w, rows, cols, &spec, Some(&h));
        let (plain, aware) = (output_error(&w, &plain, &x), output_error(&w, &aware, &x));
        assert!(aware < 0.6 * plain, "{} {}: {aware} against {plain}", spec.widths, spec.sparsity);
    }
}

/// What calibration learns holds for inputs it has not seen.
#[test]
fn feedback_helps_on_other_inputs() {
    let (rows, cols, mut noise) = (32, 256, Noise(2));
    let w = noise.vector(rows * cols);
    let x = correlated_inputs(2048, cols, &mut noise);
    let (seen, unseen) = x.split_at(1536 * cols);
    let h = hessian(seen, cols);
    for bits in [2, 3, 4] {
        let spec = Spec::dense(Widths::Uniform(bits));
        let plain = output_error(&w, &quantise(&w, rows, cols, &spec, None), unseen);
        let aware = output_error(&w, &quantise(&w, rows, cols, &spec, Some(&h)), unseen);
        assert!(aware < 0.7 * plain, "w{bits}: {aware} against {plain}");
    }
}

#[test]
fn descent_behind_the_sweep_lowers_its_error_further() {
    let (cols, mut noise) = (256, Noise(3));
    let w = noise.vector(TILE_ROWS * cols);
    let x = correlated_inputs(512, cols, &mut noise);
    let h = hessian(&x, cols);
    for spec in specs() {
        let Widths::Uniform(bits) = spec.widths else { continue };
        let shape = Shape::new(cols, &spec);
        let inputs = Inputs::new(&[true].repeat(cols), &shape, Some(&h));
        let swept = || sweep::run(w.clone(), &shape, &inputs, vec![bits; shape.groups]);
        let mut refined = swept();
        refine::run(&mut refined, &w, &shape, &inputs.curvature.as_ref().unwrap().h);
        let error = |tile| output_error(&w, &Quantised::assemble(TILE_ROWS, &shape, vec![tile]), &x);
        let (before, after) = (error(swept()), error(refined));
        assert!(after < 0.99 * before, "{} {}: {after} after {before}", spec.widths, spec.sparsity);
    }
}

#[test]
fn more_bits_and_mixed_widths_pay() {
    let (rows, cols, mut noise) = (32, 512, Noise(4));
    let mut w = noise.vector(rows * cols);
    // Groups of unlike size, which is what makes mixing worthwhile.
    w.iter_mut().enumerate().for_each(|(i, w)| *w *= [1.0, 0.1, 0.3, 0.02][i / 32 % 4]);
    let x = correlated_inputs(1024, cols, &mut noise);
    let h = hessian(&x, cols);
    let error = |widths| {
        let spec = Spec { widths, sparsity: Sparsity::Dense, group_words: 2 };
        output_error(&w, &quantise(&w, rows, cols, &spec, Some(&h)), &x)
    };
    let uniform = WIDTHS.map(|bits| error(Widths::Uniform(bits)));
    assert!(uniform.is_sorted_by(|a, b| *a > 1.5 * b), "{uniform:?}");
    let mixed = error(Widths::Mixed { average_bits: 4.0 });
    assert!(mixed < 0.7 * uniform[2], "mixed {mixed} against {} of 4 bits", uniform[2]);
}

/// Matrices that a format represents exactly come back exactly, with and without a Hessian.
#[test]
fn representable_matrices_are_unchanged() {
    let (rows, cols, mut noise) = (19, 256, Noise(5));
    let x = correlated_inputs(300, cols, &mut noise);
    let h = hessian(&x, cols);
    for spec in specs() {
        let Widths::Uniform(bits) = spec.widths else { continue };
        let (grid, n, m) = (Grid::new(bits), spec.sparsity.n(), spec.sparsity.m());
        let at = |row: usize, col: usize| {
            let scale = 0.5f32.powi((row % 5) as i32) * 1.25;
            let stored = (col % m + row) % m < n;
            // Every group holds the largest level; no stored weight is so small that it looks pruned.
            let level = if (col / m + col % m).is_multiple_of(3) {
                grid.max()
            } else {
                grid.nearest(-1.0 - col as f32 % 5.0)
            };
            if stored {
                scale * level
            } else {
                0.0
            }
        };
        let w: Vec<f32> = (0..rows * cols).map(|i| at(i / cols, i % cols)).collect();
        for h in [None, Some(&h)] {
            let q = quantise(&w, rows, cols, &spec, h);
            assert!(dequantise(&q) == w, "{} {} {}", spec.widths, spec.sparsity, h.is_some());
        }
    }
}

#[test]
fn rounding_stays_within_half_a_step_inside_the_range() {
    let (rows, cols, mut noise) = (16, 100, Noise(6));
    let w = noise.vector(rows * cols);
    for bits in WIDTHS {
        let q = quantise(&w, rows, cols, &Spec::dense(Widths::Uniform(bits)), None);
        let grid = Grid::new(bits);
        let half_step = if bits <= 3 { 1.0 } else { 0.5 };
        for (i, (w, back)) in w.iter().zip(dequantise(&q)).enumerate() {
            let scale = q.scales[i / cols];
            let inside = (scale * grid.min()..=scale * grid.max()).contains(w);
            assert!(!inside || (w - back).abs() <= half_step * scale * 1.0001, "w{bits}: {w} became {back}");
        }
    }
}

#[test]
fn sums_equal_their_definition_and_reorder() {
    let (rows, cols, mut noise) = (700, 150, Noise(7));
    let x = noise.vector(rows * cols);
    let h = hessian(&x, cols);
    let mut pieces = hessian(&x[..300 * cols], cols);
    pieces.add(&hessian(&x[300 * cols..], cols));
    assert_eq!((h.rows(), pieces.rows()), (700, 700));
    for (a, b) in [(0, 0), (3, 149), (149, 149), (128, 127), (60, 10)] {
        let sum: f64 = x.chunks_exact(cols).map(|x| f64::from(x[a]) * f64::from(x[b])).sum();
        assert!((h.at(a, b) - sum).abs() < 1e-3 && (pieces.at(b, a) - sum).abs() < 1e-3, "[{a}, {b}]");
    }
    let order = [Some(5), None, Some(149), Some(0)];
    let g = h.select(&order);
    assert_eq!((g.at(0, 2), g.at(3, 0), g.at(1, 1), g.at(1, 2)), (h.at(149, 5), h.at(0, 5), 0.0, 0.0));
}

/// Zero columns inside a matrix (a head padded to whole words) cost the others nothing.
#[test]
fn interleaved_padding_changes_no_level_of_a_live_column() {
    let (rows, mut noise) = (16, Noise(8));
    let w = noise.vector(rows * 16);
    let wide: Vec<f32> = w.chunks_exact(16).flat_map(|row| [row, &[0.0; 16]].concat()).collect();
    let x = correlated_inputs(200, 16, &mut noise);
    let h = hessian(&x, 16);
    let order: Vec<Option<u32>> = (0..32).map(|i| (i < 16).then_some(i)).collect();
    for bits in WIDTHS {
        let spec = Spec { widths: Widths::Uniform(bits), sparsity: Sparsity::Dense, group_words: 2 };
        for h in [None, Some(&h)] {
            let narrow = dequantise(&quantise(&w, rows, 16, &spec, h));
            let selected = h.map(|h| h.select(&order));
            let wide = dequantise(&quantise(&wide, rows, 32, &spec, selected.as_ref()));
            let live: Vec<f32> = wide.chunks_exact(32).flat_map(|row| &row[..16]).copied().collect();
            assert_eq!(live, narrow, "w{bits}");
        }
    }
}

#[test]
fn threads_change_nothing() {
    let (rows, cols, mut noise) = (100, 300, Noise(9));
    let w = noise.vector(rows * cols);
    let x = correlated_inputs(400, cols, &mut noise);
    let widths = Widths::Mixed { average_bits: 3.3 };
    let spec = Spec { widths, sparsity: Sparsity::S2of4, group_words: 2 };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| quantise(&w, rows, cols, &spec, Some(&hessian(&x, cols))))
    };
    let alone = run(1);
    assert!(alone == run(2) && alone == run(7));
}

#[test]
fn names_are_read_back_and_wrong_ones_explained() {
    for sparsity in Sparsity::ALL {
        assert_eq!(sparsity.to_string().parse(), Ok(sparsity));
    }
    for text in ["w2", "w3", "w4", "w5", "w6", "w8", "mixed=3.5"] {
        assert_eq!(text.parse::<Widths>().expect(text).to_string(), text);
    }
    assert!("1:4".parse::<Sparsity>().unwrap_err().contains("dense, 2:4, 8:16, 4:16, 2:16"));
    for text in ["w7", "w1", "4", "mixed=1.9", "mixed=9", "mixed=nan", "mixed="] {
        assert!(text.parse::<Widths>().unwrap_err().contains("w2, w3, w4, w5, w6, w8"), "{text}");
    }
}

#[test]
fn sparse_storage_must_pay_for_its_index() {
    for sparsity in Sparsity::ALL {
        for bits in WIDTHS {
            assert!(sparsity.check_storage(bits).is_ok(), "{sparsity} w{bits}");
        }
    }
    assert_eq!(Sparsity::S2of4.block_bits(2), 8);
    assert_eq!(Sparsity::S8of16.block_bits(4), 48);
    assert_eq!(Sparsity::S2of16.block_bits(8), 24);
    let error = Sparsity::S8of16.check_storage(1).unwrap_err().to_string();
    assert!(error.contains("16 x 1 = 16 bits") && error.contains("8 x (1 level + 2 index) = 24"), "{error}");
}

fn any_spec() -> impl Strategy<Value = Spec> {
    let widths = prop_oneof![
        prop::sample::select(WIDTHS.to_vec()).prop_map(Widths::Uniform),
        (2.0f32..=8.0).prop_map(|average_bits| Widths::Mixed { average_bits }),
    ];
    let sparsity = prop::sample::select(Sparsity::ALL.to_vec());
    let group_words = prop::sample::select(vec![2, 4, 8]);
    (widths, sparsity, group_words).prop_map(|(widths, sparsity, group_words)| Spec {
        widths,
        sparsity,
        group_words,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    /// Odd sizes, weights of any size, few or no input rows: what comes out is legal, all tiles have
    /// one size within the budget, and pruned weights come back as zero.
    #[test]
    fn every_result_is_legal(
        spec in any_spec(),
        rows in 1usize..40,
        cols in 1usize..300,
        input_rows in 0usize..40,
        magnitude in -20i32..20,
        zeros in 0usize..5,
        seed in any::<u64>(),
    ) {
        let mut noise = Noise(seed);
        let mut w = noise.vector(rows * cols);
        w.iter_mut().for_each(|w| *w *= 2f32.powi(magnitude));
        w.iter_mut().enumerate().filter(|(i, _)| i / 16 % 5 < zeros).for_each(|(_, w)| *w = 0.0);
        let h = (input_rows > 0).then(|| hessian(&noise.vector(input_rows * cols), cols));
        let q = quantise(&w, rows, cols, &spec, h.as_ref());
        prop_assert_eq!(q.check(), Ok(()));
        prop_assert_eq!(q.padded_cols() % spec.sparsity.word_cols(), 0);
        let shape = Shape::new(cols, &spec);
        let total = tile_word_bits(cols, &spec);
        for bits in q.bits.chunks_exact(q.groups()) {
            let size = |(group, bits): (usize, &u8)| usize::from(*bits) * shape.words(group);
            prop_assert_eq!(bits.iter().enumerate().map(size).sum::<usize>(), total);
        }
        match spec.widths {
            Widths::Uniform(bits) => prop_assert_eq!(q.average_bits(), f64::from(bits)),
            Widths::Mixed { average_bits } => prop_assert!(q.average_bits() <= f64::from(average_bits) + 1e-3),
        }
        let back = dequantise(&q);
        prop_assert!(back.len() == w.len() && back.iter().all(|x| x.is_finite()));
        let (n, m) = (spec.sparsity.n(), spec.sparsity.m());
        for row in back.chunks_exact(cols) {
            for block in row.chunks(m) {
                prop_assert!(block.iter().filter(|x| **x != 0.0).count() <= n);
            }
        }
    }
}
