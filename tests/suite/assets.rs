//! Where the demo model and its questions are, and devices over them.

use flightvlm::device::{Device, ProgramDevice};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::program::Program;
use flightvlm_hls::HlsMachine;
use flightvlm_hw::machine::Machine;
use flightvlm_iss::Iss;
use flightvlm_rtlsim::{RtlConfig, RtlMachine};
use std::path::PathBuf;

/// A path under `tests/`.
pub fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The demo model.
pub fn demo() -> Source {
    Source::open(&path("models/emoji-llava"), LoadOptions::default()).expect("the demo model opens")
}

/// The demo model with other options.
pub fn demo_with(options: LoadOptions) -> Source {
    Source::open(&path("models/emoji-llava"), options).expect("the demo model opens")
}

/// A line of the question file.
pub struct Question {
    /// Picture.
    pub image: PathBuf,
    /// Text.
    pub text: String,
}

/// The demo questions.
pub fn questions() -> Vec<Question> {
    let folder = path("data/emoji-vqa");
    let text = std::fs::read_to_string(folder.join("questions.jsonl")).expect("questions are there");
    let parse = |line: &str| {
        let v: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        let get = |key: &str| v[key].as_str().expect("a string").to_owned();
        Question { image: folder.join(get("image")), text: get("question") }
    };
    text.lines().filter(|l| !l.trim().is_empty()).map(parse).collect()
}

/// The simulator.
pub fn iss(p: &Program) -> Box<dyn Machine> {
    Box::new(Iss::new(p.meta.config.clone()))
}

/// The hardware in Verilator.
pub fn rtl(p: &Program) -> Box<dyn Machine> {
    let config = RtlConfig::new(p.meta.config.clone());
    Box::new(RtlMachine::new(config).expect("the RTL starts"))
}

/// The C simulation of the HLS kernel.
pub fn hls(p: &Program) -> Box<dyn Machine> {
    Box::new(HlsMachine::new(p.meta.config.clone()).expect("the kernel starts"))
}

/// A device over a machine.
pub fn device<'s>(source: &'s Source, name: &'static str, machine: Box<dyn Machine>) -> ProgramDevice<'s> {
    let program = source.program().expect("the model compiles");
    let mut d = ProgramDevice::new(name, program, machine, source.info().expect("facts")).expect("it loads");
    d.begin().expect("an empty context");
    d
}

/// Cosine of two vectors.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
