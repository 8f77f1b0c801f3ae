//! Position schemes of visual tokens, all through the rotary table that the host writes, against transformers.

use crate::assets::{cosine, device, iss, path, rtl};
use flightvlm::device::{open, Device, Logits};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::eval::Inputs;
use safetensors::SafeTensors;

/// Cases of `scripts/export_position_goldens.py`: name, checkpoint, scheme; whether the RTL runs it, too.
const CASES: [(&str, &str, &str, bool); 6] = [
    ("v2pe-64", "clip-llama", "v2pe=64", true),
    ("v2pe-16-two-images", "two-images", "v2pe=16", false),
    ("rows", "siglip-llama", "rows", true),
    ("one", "internvl", "one", false),
    ("v2pe-1-paligemma", "paligemma", "v2pe=1", false),
    ("mrope-stretch-4", "qwen2-vl", "stretch=4", true),
];

/// Error of the float reference, of the range of the logits.
const ERROR_MAX: f32 = 1e-3;
const COSINE_MIN: f64 = 0.99;

fn options(scheme: &str) -> LoadOptions {
    match scheme.strip_prefix("stretch=") {
        Some(factor) => LoadOptions { mrope_stretch: factor.parse().ok(), ..LoadOptions::default() },
        None => {
            LoadOptions { image_positions: Some(scheme.parse().expect("a scheme")), ..LoadOptions::default() }
        }
    }
}

/// Logits of the prompt, and of `steps` greedy tokens behind it, with those tokens.
fn run(d: &mut dyn Device, inputs: &Inputs, steps: usize) -> (Vec<f32>, Vec<u32>) {
    d.begin().expect("an empty context");
    let handles: Vec<_> = inputs.images.iter().map(|p| d.encode_image(p).expect("encodes")).collect();
    let mut out = d.prefill(&inputs.input_ids, &handles, Logits::AllRows).expect("prefill");
    let (prompt, mut tokens) = (out.logits.clone(), Vec::new());
    let placeholder = d.model().image.as_ref().map_or(usize::MAX, |image| image.token_id as usize);
    while tokens.len() < steps {
        let vocabulary = d.model().vocabulary;
        let last = &out.logits[out.logits.len() - vocabulary..];
        let best =
            (0..vocabulary).filter(|id| *id != placeholder).max_by(|a, b| last[*a].total_cmp(&last[*b]));
        tokens.push(best.expect("a vocabulary") as u32);
        out = d.step(tokens[tokens.len() - 1], Logits::LastToken).expect("a step");
    }
    (prompt, tokens)
}

#[test]
fn visual_tokens_stand_where_transformers_puts_them() {
    for (name, case, scheme, on_rtl) in CASES {
        let file = std::fs::read(path(&format!("golden/positions/{name}.safetensors"))).expect("a golden");
        let file = SafeTensors::deserialize(&file).expect("safetensors");
        let golden = |key: &str| file.tensor(key).expect(key).data().to_vec();
        let wanted: Vec<f32> = golden("logits")
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")))
            .collect();
        let greedy: Vec<u32> = golden("greedy")
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")) as u32)
            .collect();
        let source = Source::open(&path(&format!("golden/{case}")), options(scheme)).expect("opens");
        let inputs = source.path().join("inputs.safetensors");
        let inputs = Inputs::read(&inputs, source.spec().expect("facts")).expect("inputs");
        let (float, tokens) = run(open("eval", &source).expect("eval").as_mut(), &inputs, greedy.len());
        let spread = |f: fn(f32, f32) -> f32| wanted.iter().copied().reduce(f).expect("logits");
        let range = spread(f32::max) - spread(f32::min);
        let error = float.iter().zip(&wanted).fold(0.0f32, |a, (x, y)| a.max((x - y).abs())) / range;
        let program = source.program().expect("compiles");
        let mut simulator = device(&source, "iss", iss(program));
        let int8 = run(&mut simulator, &inputs, 2);
        let cosine = cosine(&int8.0, &wanted);
        println!("{name}: eval is off by {error:.1e}, cosine of iss {cosine:.5}");
        assert!(error < ERROR_MAX && cosine > COSINE_MIN, "{name}: {error} {cosine}");
        assert_eq!(tokens, greedy, "{name}: the continuation");
        if on_rtl {
            let bits = run(&mut device(&source, "rtl", rtl(program)), &inputs, 2);
            assert!(bits == int8, "{name}: iss and rtl differ");
        }
    }
}

#[test]
fn schemes_that_do_not_fit_a_model_are_refused() {
    for (case, scheme, needle) in [
        ("llama", "one", "a model that takes pictures"),
        ("clip", "one", "a model that takes pictures"),
        ("qwen2-vl", "v2pe=64", "positions in one axis"),
        ("llava-next", "rows", "one behind the other"),
        ("llama", "stretch=2", "three axes"),
    ] {
        let source = Source::open(&path(&format!("golden/{case}")), options(scheme)).expect("opens");
        let said = source.model().err().expect("refused").to_string();
        assert!(said.contains(needle), "{case} {scheme}: {said}");
    }
}
