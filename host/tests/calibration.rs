//! What `compile --calibrate` learns reaches the program, and the program comes closer to the float reference
//! on inputs that calibration has not seen.

use flightvlm::device::{Device, Logits, ProgramDevice};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::eval::Session;
use flightvlm_compiler::program::Program;
use flightvlm_compiler::quant::{Calibration, Calibrator, Sparsity, Spec, Widths};
use flightvlm_iss::Iss;
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

fn calibration(source: &Source) -> Calibration {
    let mut run = Calibrator::new(source.model().expect("imports"), 1 << 30).expect("little memory");
    for seed in 0..24 {
        run.add(&prompt(seed), &[]).expect("a prompt");
    }
    run.finish()
}

fn program(source: &Source, calibrated: bool) -> Program {
    let built = source.compile(None).expect("compiles").program.expect("a program");
    let mut calibration = calibrated.then(|| calibration(source));
    if let Some(c) = &mut calibration {
        built.fold(c).expect("weights are there");
        assert!(c.folding.report.iter().all(|d| d.error_after <= d.error_before), "{:?}", c.folding.report);
        assert!(c.folding.report.iter().any(|d| d.strength > 0.0), "{:?}", c.folding.report);
    }
    built.collect(calibration.as_ref()).expect("packs")
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
    for (widths, most) in [(Widths::Uniform(8), 0.9), (Widths::Uniform(3), 0.8)] {
        let source = open(widths);
        let (plain, calibrated) = (program(&source, false), program(&source, true));
        assert_eq!(plain.code, calibrated.code, "calibration changes weights, not instructions");
        for region in ["text.layers", "text.head", "text.norms"] {
            assert_ne!(plain.contents[region], calibrated.contents[region], "{widths}: {region}");
        }
        assert_eq!(plain.contents["text.embed"], calibrated.contents["text.embed"]);
        let (before, after) = (error(&source, &plain), error(&source, &calibrated));
        println!("{widths}: {before:.5} of the logits' square, calibrated {after:.5}");
        assert!(after < most * before, "{widths}: {after} against {before}");
    }
}
