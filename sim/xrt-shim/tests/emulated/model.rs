//! The demo model on the emulated card: the driver's own path, from picture to tokens.

use crate::rig::rig;
use flightvlm::device::{Device, Logits, ProgramDevice};
use flightvlm::image::decode_file;
use flightvlm::prompt::{prepare, user_turn};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::Machine;
use flightvlm_iss::Iss;
use std::path::{Path, PathBuf};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(path)
}

/// Picture and text of a line of the question file.
fn question(line: usize) -> (PathBuf, String) {
    let folder = repository("data/emoji-vqa");
    let text = std::fs::read_to_string(folder.join("questions.jsonl")).expect("questions are there");
    let v: serde_json::Value = serde_json::from_str(text.lines().nth(line).expect("a line")).expect("JSON");
    let get = |key: &str| v[key].as_str().expect("a string").to_owned();
    (folder.join(get("image")), get("question"))
}

/// Greedy tokens and all logits of an answer, and the cycles it took.
fn answer(
    machine: Box<dyn Machine>,
    source: &Source,
    line: usize,
    tokens: usize,
) -> (Vec<u32>, Vec<u32>, u64) {
    let (image, text) = question(line);
    let info = source.info().expect("facts");
    let turn = user_turn(source.assets(), 1, &text).expect("a turn");
    let pictures = [decode_file(&image).expect("a picture")];
    let prompt = prepare(source.assets(), &info, &[turn], &pictures).expect("a prompt");
    let program = source.program().expect("compiles");
    let mut d = ProgramDevice::new("test", program, machine, info).expect("loads");
    d.begin().expect("an empty context");
    let handles: Vec<_> = prompt.images.iter().map(|p| d.encode_image(p).expect("encodes")).collect();
    let mut out = d.prefill(&prompt.ids, &handles, Logits::AllRows).expect("prefill");
    let (mut ids, mut bits) = (Vec::new(), Vec::new());
    for _ in 0..tokens {
        bits.extend(out.logits.iter().map(|x| x.to_bits()));
        ids.push(out.greedy_token);
        out = d.step(out.greedy_token, Logits::LastToken).expect("a step");
    }
    (ids, bits, d.stats().total().cycles.expect("machines count cycles"))
}

fn demo(target: HwConfig) -> Source {
    let options = LoadOptions { target, ..LoadOptions::default() };
    Source::open(&repository("models/emoji-llava"), options).expect("the demo model opens")
}

#[test]
fn a_picture_question_gives_the_same_bits_and_cycles_through_xrt() {
    let Some(rig) = rig("iss") else { return };
    for target in HwConfig::all() {
        let source = demo(target.clone());
        let direct = answer(Box::new(Iss::new(target.clone())), &source, 0, 4);
        let card = answer(Box::new(rig.machine(&target)), &source, 0, 4);
        assert!(direct == card, "{}: {:?} against {:?}", target.name, direct.0, card.0);
        // The card's memory is as the first run left it, and a new context starts from nothing.
        assert!(answer(Box::new(rig.machine(&target)), &source, 0, 4) == card);
    }
}

#[test]
fn a_picture_question_gives_the_same_bits_through_xrt_on_the_rtl() {
    let Some(rig) = rig("rtl") else { return };
    let source = demo(HwConfig::sim());
    let direct = answer(Box::new(Iss::new(HwConfig::sim())), &source, 1, 2);
    let card = answer(Box::new(rig.machine(&HwConfig::sim())), &source, 1, 2);
    assert_eq!(direct.0, card.0);
    assert!(direct.1 == card.1, "logits differ");
    println!("cycles: iss {}, rtl behind XRT {}", direct.2, card.2);
}
