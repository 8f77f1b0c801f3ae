//! The demo model in every weight format, sparsity, cache width and on every verilated target: the
//! hardware and the HLS kernel give the simulator's bits, and what is lost against the float reference is bounded.

use crate::assets::{cosine, demo_with, device, hls, iss, questions, rtl};
use flightvlm::device::{Device, Logits};
use flightvlm::image::decode_file;
use flightvlm::prompt::{prepare, user_turn};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::quant::{Sparsity, Spec, Widths};
use flightvlm_hw::config::HwConfig;

/// Logits of the prompt's rows and of two decode steps.
pub fn logits(d: &mut dyn Device, source: &Source) -> Vec<f32> {
    let q = &questions()[3];
    let info = source.info().expect("facts");
    let picture = decode_file(&q.image).expect("a picture");
    let turn = user_turn(source.assets(), 1, &q.text).expect("a turn");
    let prompt = prepare(source.assets(), &info, &[turn], &[picture]).expect("a prompt");
    d.begin().expect("an empty context");
    let handle = d.encode_image(&prompt.images[0]).expect("encodes");
    let mut out = d.prefill(&prompt.ids, &[handle], Logits::AllRows).expect("prefill");
    let mut all = std::mem::take(&mut out.logits);
    for token in [7, 11] {
        all.extend(d.step(token, Logits::LastToken).expect("a step").logits);
    }
    all
}

#[test]
fn every_format_gives_equal_bits_on_every_target() {
    use Sparsity::{Dense, S2of4, S4of16, S8of16};
    let mixed = |average_bits| Widths::Mixed { average_bits };
    let float = {
        let source = demo_with(LoadOptions::default());
        let mut eval = flightvlm::device::open("eval", &source).expect("eval opens");
        logits(eval.as_mut(), &source)
    };
    // 2:16 is left to random programs: its window of 128 inputs does not divide this model's layers.
    // Least cosine to the float logits: uncompensated rounding, so low widths lose a lot.
    let cases = [
        (HwConfig::sim(), Widths::Uniform(8), Dense, 8, false, 0.995),
        (HwConfig::sim(), Widths::Uniform(8), Dense, 8, true, 0.995),
        (HwConfig::sim(), Widths::Uniform(4), Dense, 4, false, 0.90),
        (HwConfig::sim(), mixed(3.5), Dense, 8, false, 0.85),
        (HwConfig::sim(), Widths::Uniform(6), S2of4, 8, false, 0.5),
        (HwConfig::sim(), Widths::Uniform(4), S8of16, 8, false, 0.5),
        (HwConfig::sim(), Widths::Uniform(8), S4of16, 8, false, 0.0),
        (HwConfig::mini(), Widths::Uniform(8), Dense, 8, false, 0.995),
        (HwConfig::mini(), Widths::Uniform(5), S2of4, 4, true, 0.5),
        (HwConfig::mini(), Widths::Uniform(5), Dense, 4, false, 0.95),
        (HwConfig::mini(), Widths::Uniform(3), S8of16, 8, false, 0.0),
        (HwConfig::mini(), Widths::Uniform(2), Dense, 4, false, 0.0),
        (HwConfig::mini(), mixed(4.5), S2of4, 8, false, 0.5),
    ];
    let mut narrow = None;
    for (target, widths, sparsity, kv_bits, wide_inputs, least) in cases {
        let storage = Spec { widths, sparsity, group_words: 8 };
        let wide = if wide_inputs { " wide" } else { "" };
        let name = format!("{} {widths} {sparsity} kv{kv_bits}{wide}", target.name);
        let options = LoadOptions { target, storage, kv_bits, wide_inputs, ..LoadOptions::default() };
        let source = demo_with(options);
        let program = source.program().unwrap_or_else(|e| panic!("{name}: {e}"));
        let a = logits(&mut device(&source, "iss", iss(program)), &source);
        for (other, machine) in [("rtl", rtl(program)), ("hls", hls(program))] {
            let b = logits(&mut device(&source, other, machine), &source);
            let first = a.iter().zip(&b).position(|(x, y)| x.to_bits() != y.to_bits());
            assert_eq!((first, a.len()), (None, b.len()), "{name} on {other}: first different logit");
        }
        let c = cosine(&float, &a);
        println!("{name}: {} logits equal, cosine to eval {c:.4}", a.len());
        assert!(c >= least, "{name}: cosine {c}");
        // The second case is the first one with wide inputs.
        match (narrow, wide_inputs) {
            (None, _) => narrow = Some(c),
            (Some(narrow), true) if widths == Widths::Uniform(8) => {
                assert!(c > narrow, "{name}: {narrow} without")
            }
            _ => {}
        }
    }
}
