//! Quantisation costs at most one point of exact match on the held-out questions.

use crate::assets::{demo, device, iss, questions};
use flightvlm::device::{open, Device};
use flightvlm::generate::{generate, Options};
use flightvlm::image::decode_file;
use flightvlm::prompt::{prepare, user_turn};
use flightvlm::sampler::Sampling;
use flightvlm::source::Source;
use std::sync::atomic::AtomicBool;

fn answers(d: &mut dyn Device, source: &Source) -> Vec<String> {
    let info = source.info().expect("facts");
    let options = Options {
        max_new_tokens: 12,
        sampling: Sampling::Greedy,
        stop_ids: info.stop_ids.clone(),
        stop_strings: Vec::new(),
        exits: None,
    };
    let tokenizer = source.assets().tokenizer().expect("a tokenizer");
    let never = AtomicBool::new(false);
    let ask = |q: &crate::assets::Question| {
        let picture = decode_file(&q.image).expect("a picture");
        let turn = user_turn(source.assets(), 1, &q.text).expect("a turn");
        let prompt = prepare(source.assets(), &info, &[turn], &[picture]).expect("a prompt");
        let answer = generate(d, tokenizer, &prompt, &options, &never, &mut |_: &str| Ok(()));
        answer.expect("an answer").text.trim().to_lowercase()
    };
    questions().iter().map(ask).collect()
}

/// Accepted answers of each question.
fn accepted() -> Vec<Vec<String>> {
    let file = crate::assets::path("data/emoji-vqa/questions.jsonl");
    let text = std::fs::read_to_string(file).expect("questions are there");
    let parse = |line: &str| -> Vec<String> {
        let v: serde_json::Value = serde_json::from_str(line).expect("JSON");
        match &v["answer"] {
            serde_json::Value::Array(list) => {
                list.iter().map(|a| a.as_str().expect("text").to_lowercase()).collect()
            }
            one => vec![one.as_str().expect("text").to_lowercase()],
        }
    };
    text.lines().filter(|l| !l.trim().is_empty()).map(parse).collect()
}

#[test]
fn w8a8_loses_at_most_one_point() {
    let source = demo();
    let accepted = accepted();
    assert!(accepted.len() >= 200);
    let score = |answers: &[String]| {
        answers.iter().zip(&accepted).filter(|(a, ok)| ok.contains(a)).count() as f64 / accepted.len() as f64
    };
    let float = answers(open("eval", &source).expect("eval opens").as_mut(), &source);
    let int8 = answers(&mut device(&source, "iss", iss(source.program().expect("compiles"))), &source);
    let agree = float.iter().zip(&int8).filter(|(a, b)| a == b).count();
    let (f, q) = (score(&float), score(&int8));
    println!(
        "exact match on {} questions: eval {:.1} %, iss {:.1} %; same answer {agree}",
        accepted.len(),
        f * 100.0,
        q * 100.0
    );
    assert!(q >= f - 0.01, "W8A8 loses {:.2} points", (f - q) * 100.0);
}
