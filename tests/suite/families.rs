//! Every golden checkpoint as a program: the whole network on the simulator stays close to the
//! float reference, and the RTL gives the simulator's bits.

use crate::assets::{cosine, device, iss, path, rtl};
use flightvlm::device::{open, Device, Logits};
use flightvlm::embed::embed;
use flightvlm::prompt::Prompt;
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::eval::{Inputs, Pairs};
use std::path::PathBuf;

/// Families that also run on the RTL, and what each adds.
const ON_RTL: [&str; 28] = [
    "clip-qwen2",           // class row
    "siglip-llama",         // none
    "llama-all-biases",     // biases
    "llama-16-heads",       // decode's attention in two items
    "llama-18-heads",       // the same with heads that share keys and values
    "odd-sizes",            // padding everywhere
    "two-images",           // several pictures
    "phi3-longrope",        // fused projections, heads that turn in part
    "gemma",                // GeGLU, norms stored minus one
    "persimmon-wide",       // layer norms of heads, of which a part turns, squared ReLU
    "fuyu",                 // no tower
    "fastvlm",              // convolutions, squeeze and excitation, a tower in pieces
    "video-llava",          // a second tower
    "llava-next",           // tiles and learned rows
    "idefics3-small-tiles", // free grid, joined patches
    "internvl",             // layer scales, norm in the projector
    "internvl-6b",          // norms of queries and keys, norm behind the tower
    "paligemma",            // prompts whose rows see each other, code in pieces
    "qwen2.5-vl",           // windows of the picture, gated feed-forward block in the tower
    "quecc",                // windows of several layers' rows compressed for the question
    "qwen2-vl",             // rotary tower, positions of three axes
    "qwen2.5-vl-video",     // several times of a video
    "mistral",              // a window of the last positions
    "qwen2-tied",           // biases of queries, keys and values, one table at both ends
    "siglip-qwen2-tied",    // the same behind a SigLIP tower
    "smolvlm",              // as Idefics3
    "smolvlm-factor-4",     // patches joined four by four
    "llava-onevision",      // tiles behind a SigLIP tower
];

/// Models that compare pictures with texts; all run on the RTL, too.
const CONTRASTIVE: usize = 3;

/// Least cosine of the logits: random weights with rows of 30 to 600 columns, INT8 throughout.
const COSINE_MIN: f64 = 0.99;

fn cases() -> Vec<PathBuf> {
    let all = std::fs::read_dir(path("golden")).expect("goldens are there");
    let mut dirs: Vec<PathBuf> = all
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.join("config.json").exists() && p.join("inputs.safetensors").exists())
        .collect();
    dirs.sort();
    dirs
}

/// Vectors of all pictures, then of all texts.
fn vectors(d: &mut dyn Device, pairs: &Pairs) -> Vec<Vec<f32>> {
    let pictures = pairs.images.iter().cloned();
    let pictures = pictures.map(|picture| Prompt { images: vec![picture], ..Prompt::default() });
    let texts = pairs.texts.iter().cloned().map(|ids| Prompt { ids, ..Prompt::default() });
    pictures.chain(texts).map(|prompt| embed(d, &prompt, 0).expect("a vector")).collect()
}

/// A model that compares: its vectors on the simulator are close to the float reference's, and the RTL's
/// are the same.
fn contrastive(name: &str, source: &Source) -> Result<(), String> {
    let dir = source.path();
    let pairs =
        Pairs::read(&dir.join("inputs.safetensors"), source.spec().expect("a model")).expect("inputs");
    let program = source.program().map_err(|e| format!("{name}: {e}"))?;
    let float = vectors(&mut *open("eval", source).expect("eval"), &pairs);
    let int8 = vectors(&mut device(source, "iss", iss(program)), &pairs);
    for (at, (a, b)) in float.iter().zip(&int8).enumerate() {
        let c = cosine(a, b);
        println!("{name}: cosine of vector {at}, eval against iss {c:.5}");
        if c < COSINE_MIN {
            return Err(format!("{name}: cosine {c} of vector {at}"));
        }
    }
    match int8 == vectors(&mut device(source, "rtl", rtl(program)), &pairs) {
        true => Ok(()),
        false => Err(format!("{name}: vectors of iss and rtl differ")),
    }
}

/// A token that every vocabulary has.
const TOKEN_BEHIND: u32 = 5;

/// How far the timing model may be from the RTL.
const CYCLES_APART: f64 = 0.01;

/// Logits of all rows of the prompt and of a token behind it, and cycles.
fn run(d: &mut dyn Device, inputs: &Inputs) -> (Vec<f32>, Option<u64>) {
    d.begin().expect("an empty context");
    let mut handles = Vec::new();
    for picture in &inputs.images {
        handles.push(d.encode_image(picture).expect("encodes"));
    }
    let mut logits = d.prefill(&inputs.input_ids, &handles, Logits::AllRows).expect("prefill").logits;
    logits.extend(d.step(TOKEN_BEHIND, Logits::LastToken).expect("a step").logits);
    (logits, d.stats().total().cycles)
}

#[test]
fn every_family_runs_whole_on_the_machine() {
    let cases = cases();
    assert!(cases.len() >= 15, "{} golden cases", cases.len());
    let (mut on_rtl, mut failures) = (0, Vec::new());
    for dir in cases {
        let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
        let source = Source::open(&dir, LoadOptions::default()).expect("opens");
        let model = source.model().expect("imports");
        if model.spec.contrast.is_some() {
            on_rtl += 1;
            failures.extend(contrastive(&name, &source).err());
            continue;
        }
        let inputs = Inputs::read(&dir.join("inputs.safetensors"), &model.spec).expect("inputs");
        let (float, _) = run(open("eval", &source).expect("eval").as_mut(), &inputs);
        let program = source.program().unwrap_or_else(|e| panic!("{name}: {e}"));
        let (int8, predicted) = run(&mut device(&source, "iss", iss(program)), &inputs);
        let c = cosine(&float, &int8);
        println!("{name}: cosine of logits, eval against iss {c:.5}");
        if c < COSINE_MIN {
            failures.push(format!("{name}: cosine {c}"));
        }
        if ON_RTL.contains(&name.as_str()) {
            on_rtl += 1;
            let (bits, cycles) = run(&mut device(&source, "rtl", rtl(program)), &inputs);
            let first = int8.iter().zip(&bits).position(|(a, b)| a.to_bits() != b.to_bits());
            if first.is_some() {
                failures.push(format!("{name}: logits of iss and rtl differ from {first:?} on"));
            }
            let (predicted, cycles) = (predicted.expect("counted"), cycles.expect("counted"));
            let apart = predicted as f64 / cycles as f64 - 1.0;
            println!("{name}: iss {predicted} cycles, rtl {cycles}, gap {:+.3} %", 100.0 * apart);
            if apart.abs() > CYCLES_APART {
                failures.push(format!("{name}: iss takes {predicted} cycles, rtl {cycles}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(on_rtl, ON_RTL.len() + CONTRASTIVE, "every family in the list exists");
}
