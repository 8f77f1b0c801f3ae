//! Hidden states against those of transformers, and programs that can be left early.

use crate::assets::{cosine, device, iss, path, rtl};
use flightvlm::device::{open, Device, Logits};
use flightvlm::embed::embed;
use flightvlm::prompt::Prompt;
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::eval::Inputs;
use flightvlm_compiler::graph::unit;
use safetensors::SafeTensors;

/// Cases of `tests/golden/hidden`, by `scripts/export_hidden_goldens.py`.
const CASES: [&str; 9] = [
    "llama",
    "phi3",
    "gemma",
    "clip-qwen2",
    "siglip-llama",
    "llava-next",
    "internvl",
    "qwen2-vl",
    "paligemma",
];

/// Of these, on the RTL: class row, more rows than a tile that see each other, positions of three axes.
const ON_RTL: [&str; 3] = ["clip-qwen2", "paligemma", "qwen2-vl"];

/// Error of the float reference, of the largest value.
const ERROR_MAX: f32 = 1e-3;
/// Least cosine of a row of 40 columns, of random weights, with INT8 throughout.
const COSINE_MIN: f64 = 0.985;

/// `hidden_states` of a case.
struct Golden {
    layers: usize,
    rows: usize,
    width: usize,
    values: Vec<f32>,
}

impl Golden {
    fn read(name: &str) -> Golden {
        let bytes = std::fs::read(path(&format!("golden/hidden/{name}.safetensors"))).expect("a golden");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let states = file.tensor("hidden_states").expect("a tensor");
        let &[records, rows, width] = states.shape() else { panic!("{name}: {:?}", states.shape()) };
        let values =
            states.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")));
        Golden { layers: records - 1, rows, width, values: values.collect() }
    }

    /// Of a position, behind so many layers; behind all, behind the final norm too.
    fn row(&self, layers: usize, position: usize) -> &[f32] {
        &self.values[(layers * self.rows + position) * self.width..][..self.width]
    }
}

fn source(name: &str) -> Source {
    Source::open(&path(&format!("golden/{name}")), LoadOptions::default()).expect("opens")
}

/// A program that can be left early.
fn leaving(name: &str) -> Source {
    let options = LoadOptions { early_exit: true, ..LoadOptions::default() };
    Source::open(&path(&format!("golden/{name}")), options).expect("opens")
}

fn inputs(source: &Source) -> Inputs {
    let file = source.path().join("inputs.safetensors");
    Inputs::read(&file, source.spec().expect("facts")).expect("inputs")
}

/// Largest difference over the largest value.
fn error(found: &[f32], golden: &[f32]) -> f32 {
    assert_eq!(found.len(), golden.len());
    let peak = golden.iter().fold(0.0f32, |a, x| a.max(x.abs()));
    found.iter().zip(golden).fold(0.0f32, |a, (x, y)| a.max((x - y).abs())) / peak
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// The vector of a prompt is the last row of transformers' last hidden state at length 1 (VLM2Vec).
#[test]
fn the_vector_of_a_prompt_is_the_last_hidden_state_of_transformers() {
    for name in CASES {
        let (source, golden) = (source(name), Golden::read(name));
        let inputs = inputs(&source);
        let prompt = Prompt { ids: inputs.input_ids, images: inputs.images, ..Prompt::default() };
        let wanted = unit(golden.row(golden.layers, golden.rows - 1));
        let float = embed(open("eval", &source).expect("eval").as_mut(), &prompt, 0).expect("a vector");
        let mut simulator = device(&source, "iss", iss(source.program().expect("compiles")));
        let int8 = embed(&mut simulator as &mut dyn Device, &prompt, 0).expect("a vector");
        let (error, cosine) = (error(&float, &wanted), cosine(&int8, &wanted));
        println!("{name}: eval is off by {error:.1e}, cosine of iss {cosine:.5}");
        assert!(error < ERROR_MAX, "{name}: {error}");
        assert!(cosine > COSINE_MIN, "{name}: {cosine}");
        assert!((int8.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

/// All rows of a case behind some layers.
fn states(d: &mut dyn Device, inputs: &Inputs, layers: usize) -> Vec<f32> {
    d.begin().expect("an empty context");
    let handles: Vec<_> = inputs.images.iter().map(|p| d.encode_image(p).expect("encodes")).collect();
    let positions: Vec<usize> = (0..inputs.input_ids.len()).collect();
    d.hidden_states(&inputs.input_ids, &handles, layers, &positions).expect("states")
}

#[test]
fn the_states_of_every_layer_are_those_of_transformers_and_the_hardware_has_the_same_bits() {
    for name in CASES {
        let (source, golden) = (leaving(name), Golden::read(name));
        let (inputs, program) = (inputs(&source), source.program().expect("compiles"));
        let mut float = open("eval", &source).expect("eval");
        let mut int8 = device(&source, "iss", iss(program));
        let mut hardware = ON_RTL.contains(&name).then(|| device(&source, "rtl", rtl(program)));
        for layers in 1..=golden.layers {
            let wanted: Vec<f32> = (0..golden.rows).flat_map(|at| golden.row(layers, at).to_vec()).collect();
            let error = error(&states(float.as_mut(), &inputs, layers), &wanted);
            let rows = states(&mut int8, &inputs, layers);
            let cosine = cosine(&rows, &wanted);
            println!("{name} behind {layers}: eval is off by {error:.1e}, cosine of iss {cosine:.5}");
            assert!(error < ERROR_MAX && cosine > COSINE_MIN, "{name} {layers}: {error} {cosine}");
            if let Some(rtl) = &mut hardware {
                assert_eq!(bits(&states(rtl, &inputs, layers)), bits(&rows), "{name} behind {layers}: rtl");
            }
        }
    }
}

/// The prompt's logits and those of a step, in which the rows run through these layers.
fn in_steps(d: &mut dyn Device, inputs: &Inputs, depths: &[usize]) -> Vec<u32> {
    d.begin().expect("an empty context");
    d.set_depth(depths[0]).expect("a layer");
    let handles: Vec<_> = inputs.images.iter().map(|p| d.encode_image(p).expect("encodes")).collect();
    let mut out = d.prefill(&inputs.input_ids, &handles, Logits::LastToken).expect("prefill");
    for depth in &depths[1..] {
        out = d.deepen(*depth, Logits::LastToken).expect("more layers");
        assert_eq!(d.depth(), *depth);
    }
    let step = d.step(out.greedy_token, Logits::LastToken).expect("a step");
    bits(&[out.logits, step.logits].concat())
}

/// One program for every exit: steps, all at once, and the program without exits agree to the bit.
#[test]
fn a_run_in_steps_is_a_run_at_once() {
    for name in ON_RTL {
        let (plain, source) = (source(name), leaving(name));
        let inputs = inputs(&source);
        let program = source.program().expect("compiles");
        let mut whole = device(&plain, "iss", iss(plain.program().expect("compiles")));
        let wanted = in_steps(&mut whole, &inputs, &[2]);
        for machine in [iss(program), rtl(program)] {
            let mut d = device(&source, "steps", machine);
            let early = in_steps(&mut d, &inputs, &[1]);
            assert_eq!(in_steps(&mut d, &inputs, &[1, 2]), wanted, "{name}: in steps");
            assert_eq!(in_steps(&mut d, &inputs, &[2]), wanted, "{name}: at once");
            assert_ne!(early, wanted, "{name}: one layer fewer");
            // The step behind an early exit has as few layers as the prompt.
            assert_eq!(in_steps(&mut d, &inputs, &[1]), early, "{name}: again");
        }
    }
}

#[test]
fn programs_without_exits_and_layers_that_are_not_there_are_refused() {
    let (plain, source) = (source("llama"), leaving("llama"));
    let mut d = device(&plain, "iss", iss(plain.program().expect("compiles")));
    let said = d.set_depth(1).expect_err("no exits").to_string();
    assert!(said.contains("--early-exit"), "{said}");
    let mut d = device(&source, "iss", iss(source.program().expect("compiles")));
    for layers in [0, 3] {
        let said = d.set_depth(layers).expect_err("no such layer").to_string();
        assert!(said.contains("layers 1 to 2"), "{said}");
    }
    let folder = path("golden/clip");
    let clip =
        Source::open(&folder, LoadOptions { early_exit: true, ..LoadOptions::default() }).expect("opens");
    let said = clip.program().expect_err("it compares").to_string();
    assert!(said.contains("a model that writes text"), "{said}");
}
