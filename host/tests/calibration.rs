//! What `compile --calibrate` learns reaches the program, and the program comes closer to the float reference
//! on inputs that calibration has not seen.

use flightvlm::device::{Device, Logits, ProgramDevice};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::eval::{LinearInput, Session, Together};
use flightvlm_compiler::graph::{NodeId, Op};
use flightvlm_compiler::program::Program;
use flightvlm_compiler::quant::{
    calibration_bytes, dequantise, quantise, Calibration, Calibrator, Clipping, Prompts, Scope, Sparsity,
    Spec, Widths,
};
use flightvlm_iss::Iss;
use std::collections::BTreeMap;
use std::path::Path;

fn open(widths: Widths) -> Source {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models/emoji-llava");
    let storage = Spec { widths, sparsity: Sparsity::Dense, group_words: 2 };
    Source::open(&model, LoadOptions { storage, ..LoadOptions::default() }).expect("the demo model opens")
}

/// Prompts of text tokens, different for each `seed`.
fn prompt(seed: u32) -> Vec<u32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        7 + (state >> 8) % 300
    };
    (0..48).map(|_| next()).collect()
}

fn calibration(source: &Source) -> (Calibration, Prompts) {
    let mut run = Calibrator::new(source.model().expect("imports"), Scope::Everything).expect("weights");
    for seed in 0..24 {
        run.add(&prompt(seed), &[]).expect("a prompt");
    }
    run.finish()
}

fn program(source: &Source, calibrated: bool) -> Program {
    let built = source.compile(None).expect("compiles").program.expect("a program");
    let mut calibration = calibrated.then(|| calibration(source));
    if let Some((c, prompts)) = &mut calibration {
        built.fold(c).expect("weights are there");
        assert!(c.folding.report.iter().all(|d| d.error_after <= d.error_before), "{:?}", c.folding.report);
        assert!(c.folding.report.iter().any(|d| d.strength > 0.0), "{:?}", c.folding.report);
        built.follow(c, prompts, false).expect("weights are there");
    }
    built.collect(calibration.as_ref().map(|(c, _)| c)).expect("packs")
}

/// Squared distance of the logits to the float reference over its square.
fn error(source: &Source, program: &Program) -> f64 {
    let machine = Box::new(Iss::new(program.meta.config.clone()));
    let mut d = ProgramDevice::new("iss", program, machine, source.info().expect("facts")).expect("loads");
    let mut float = Session::new(source.model().expect("imports")).expect("weights");
    let (mut off, mut square) = (0.0, 0.0);
    for seed in 1000..1004 {
        let ids = prompt(seed);
        d.begin().expect("an empty context");
        let got = d.prefill(&ids, &[], Logits::AllRows).expect("prefill").logits;
        let exact = float.prefill(&ids, &[]).expect("eval");
        for (x, y) in got.iter().zip(&exact) {
            off += f64::from(x - y).powi(2);
            square += f64::from(*y).powi(2);
        }
    }
    off / square
}

#[test]
fn calibrated_programs_are_nearer_to_the_reference() {
    for (widths, most) in [(Widths::Uniform(8), 0.9), (Widths::Uniform(3), 0.2)] {
        let source = open(widths);
        let (plain, calibrated) = (program(&source, false), program(&source, true));
        assert_eq!(plain.code, calibrated.code, "calibration changes weights, not instructions");
        for region in ["text.layers", "text.head", "text.norms"] {
            assert_ne!(plain.contents[region], calibrated.contents[region], "{widths}: {region}");
        }
        assert_eq!(plain.contents["text.embed"], calibrated.contents["text.embed"]);
        let (before, after) = (error(&source, &plain), error(&source, &calibrated));
        println!("{widths}: {before:.3e} of the logits' square, calibrated {after:.3e}");
        assert!(after < most * before, "{widths}: {after} against {before}");
    }
}

/// The report's numbers, computed again from the input rows themselves: squared distance of the outputs.
#[test]
fn the_report_says_what_compression_costs() {
    let source = open(Widths::Uniform(4));
    let model = source.model().expect("imports");
    let built = source.compile(None).expect("compiles").program.expect("a program");
    let (mut calibration, _) = calibration(&source);
    built.fold(&mut calibration).expect("weights are there");
    let folder = tempfile::tempdir().expect("a folder");
    let report = built.write_measured(&folder.path().join("m.fvp"), Some(&calibration)).expect("writes");
    let plain = built.write_measured(&folder.path().join("p.fvp"), None).expect("writes");

    // All inputs of the linear layers.
    let mut inputs: BTreeMap<NodeId, Vec<f32>> = BTreeMap::new();
    let mut session = Session::new(model).expect("weights");
    for seed in 0..24 {
        let mut watch = |x: LinearInput<'_>| inputs.entry(x.node).or_default().extend(x.rows);
        session.prefill_watched(&prompt(seed), &[], &mut watch).expect("eval");
    }
    let mut compared = 0;
    for (id, node) in model.graph.iter() {
        let Op::Linear { w, .. } = node.op else { continue };
        let wanted = ["mlp.gate_proj", "mlp.up_proj"].iter().any(|kind| node.path.ends_with(kind));
        if !wanted || !inputs.contains_key(&id) {
            continue;
        }
        let line = report.iter().find(|l| l.path == node.path).expect("a line for every layer");
        let (cols, rows) = (line.inputs.1, line.outputs);
        let weights = model.weights.load_f32(w).expect("weights");
        let ones = vec![1.0; cols.max(rows)];
        let folding = &calibration.folding;
        let columns = folding.columns.get(&w).map_or(&ones[..cols], |s| s.as_slice());
        let outputs = folding.outputs.get(&w).map_or(&ones[..rows], |s| s.as_slice());
        let factor = |i: usize| columns[i % cols] * outputs[i / cols];
        let folded: Vec<f32> = weights.iter().enumerate().map(|(i, w)| w * factor(i)).collect();
        let spec = Spec { widths: Widths::Uniform(4), sparsity: Sparsity::Dense, group_words: 2 };
        let hessian = calibration.hessians[&w].divided(columns);
        let mut stored = dequantise(&quantise(&folded, rows, cols, &spec, Some(&hessian)));
        stored.iter_mut().enumerate().for_each(|(i, x)| *x /= factor(i));
        let rounded = dequantise(&quantise(&weights, rows, cols, &spec, None));
        let square = |m: &dyn Fn(usize) -> f32| -> f64 {
            let products = inputs[&id].chunks_exact(cols).flat_map(|x| {
                (0..rows).map(move |r| {
                    (0..cols).map(|c| f64::from(m(r * cols + c)) * f64::from(x[c])).sum::<f64>().powi(2)
                })
            });
            products.sum()
        };
        let whole = square(&|i| weights[i]);
        for (name, reported, again) in [
            ("chosen", line.error, square(&|i| weights[i] - stored[i]) / whole),
            ("rounded", line.rounded_error, square(&|i| weights[i] - rounded[i]) / whole),
        ] {
            let off = (reported / again - 1.0).abs();
            assert!(off < 2e-3, "{}, {name}: {reported} reported, {again} computed again", node.path);
        }
        assert!(line.error < line.rounded_error, "{line:?}");
        let fold =
            columns.iter().fold(0.0f32, |a, b| a.max(*b)) / columns.iter().fold(f32::MAX, |a, b| a.min(*b));
        assert!((line.fold - f64::from(fold)).abs() < 1e-3 && line.bits == 4.0, "{line:?}");
        compared += 1;
    }
    assert!(compared >= 4, "{compared} layers");
    let nothing = plain.iter().all(|l| l.error == l.rounded_error && l.fold == 1.0);
    assert!(nothing, "without calibration weights are rounded to nearest");
}

/// The search keeps what it compared with unless something is better by the outputs of the block, and what it chose
/// is written.
#[test]
fn clippings_are_chosen_by_what_comes_out_of_their_block() {
    let source = open(Widths::Uniform(2));
    let follow = |search: bool| {
        let built = source.compile(None).expect("compiles").program.expect("a program");
        let (mut calibration, prompts) = calibration(&source);
        built.fold(&mut calibration).expect("weights are there");
        built.follow(&mut calibration, &prompts, search).expect("weights are there");
        let program = built.collect(Some(&calibration)).expect("packs");
        (calibration.clipping, program)
    };
    let ((none, plain), (found, clipped)) = (follow(false), follow(true));
    assert!(none.is_empty() && found.len() >= 2, "{none:?} {found:?}");
    assert!(found.iter().all(|c| c.error_after <= c.error_before && c.most <= 1.0), "{found:?}");
    let better = |c: &&Clipping| c.most < 1.0 && c.error_after < c.error_before;
    assert!(found.iter().filter(better).count() >= 2, "{found:?}");
    assert_ne!(plain.contents["text.layers"], clipped.contents["text.layers"]);
    let (before, after) = (error(&source, &plain), error(&source, &clipped));
    println!("2 bits: {before:.3e} of the logits' square, clippings looked for {after:.3e}");
    assert!(after < 1.02 * before, "on prompts that the search has not seen: {after} against {before}");
}

/// More rows and a larger model take more memory, the model's floats twice at least.
#[test]
fn the_memory_that_calibration_takes_grows_with_its_rows() {
    let source = open(Widths::Uniform(4));
    let model = source.model().expect("imports");
    let floats: u64 = model.graph.weights.iter().map(|w| 4 * w.len() as u64).sum();
    let [none, some, more] = [0, 1000, 2000].map(|rows| calibration_bytes(model, rows));
    assert!(none > 2 * floats && none < 20 * floats, "{none} bytes for {floats} bytes of floats");
    // Exact and compressed residual streams at least.
    let rows = 1000 * 2 * 4 * model.spec.text.hidden as u64;
    assert!(some - none >= rows && more - some == some - none, "{none} {some} {more}");
}

/// Prompts that go through the model side by side see what each sees alone, up to the output layer.
#[test]
fn prompts_side_by_side_see_what_each_sees_alone() {
    let source = open(Widths::Uniform(8));
    let model = source.model().expect("imports");
    let (_, prompts) = calibration(&source);
    let mut alone: Vec<BTreeMap<NodeId, Vec<f32>>> = Vec::new();
    let mut session = Session::new(model).expect("weights");
    for (ids, images) in &prompts {
        let mut seen = BTreeMap::new();
        let mut watch = |x: LinearInput<'_>| drop(seen.insert(x.node, x.rows.to_vec()));
        session.prefill_watched(ids, images, &mut watch).expect("eval");
        alone.push(seen);
    }
    let mut together = Together::new(session, &prompts);
    let layers: Vec<NodeId> = alone[0].keys().copied().collect();
    assert!(layers.len() > 20, "{} linear layers", layers.len());
    for node in layers {
        together.run_to(node);
        let (_, read) = model.graph.iter().nth(node.index()).expect("a node");
        for (index, alone) in alone.iter().enumerate() {
            assert!(together.rows(index, read.inputs[0]) == alone[&node], "{}, prompt {index}", read.path);
        }
    }
}
