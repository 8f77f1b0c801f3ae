//! One program serves every length: at each prompt length its logits equal, bit for bit, those of
//! a program compiled for exactly that length.

use crate::assets::{device, iss, path};
use flightvlm::device::{Device, Logits};
use flightvlm::source::{LoadOptions, Source};

const LENGTHS: std::ops::RangeInclusive<usize> = 1..=96;

fn open(max_context: usize) -> Source {
    let options = LoadOptions { max_context: Some(max_context), ..LoadOptions::default() };
    Source::open(&path("models/emoji-llava"), options).expect("the demo model opens")
}

fn bits(source: &Source, ids: &[u32]) -> Vec<u32> {
    let program = source.program().expect("compiles");
    let mut d = device(source, "iss", iss(program));
    let mut out = d.prefill(ids, &[], Logits::LastToken).expect("prefill").logits;
    out.extend(d.step(5, Logits::LastToken).expect("a step").logits);
    out.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn every_length_equals_a_program_of_that_length() {
    let one = open(256);
    let vocab = one.info().expect("facts").vocabulary as u32;
    let image = one.info().expect("facts").image.map(|i| i.token_id);
    let ids: Vec<u32> = (0..*LENGTHS.end() as u32)
        .map(|i| 7 + i * 31 % (vocab - 7))
        .map(|id| if Some(id) == image { 6 } else { id })
        .collect();
    for n in LENGTHS {
        // One position more than the prompt: the decode step behind it.
        let exact = open(n + 1);
        assert_eq!(bits(&one, &ids[..n]), bits(&exact, &ids[..n]), "prompt of {n} tokens");
    }
}
