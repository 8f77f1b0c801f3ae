//! One program serves every length: at each prompt length its logits equal, bit for bit, those of
//! a program compiled for exactly that length.

use crate::assets::{device, iss, path};
use flightvlm::device::{Device, Logits};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_hw::config::HwConfig;

const LENGTHS: std::ops::RangeInclusive<usize> = 1..=96;

fn open(max_context: usize) -> Source {
    open_for(HwConfig::sim(), max_context)
}

fn open_for(target: HwConfig, max_context: usize) -> Source {
    let options = LoadOptions { max_context: Some(max_context), target, ..LoadOptions::default() };
    Source::open(&path("models/emoji-llava"), options).expect("the demo model opens")
}

fn prompt(source: &Source) -> Vec<u32> {
    let info = source.info().expect("facts");
    let (vocab, image) = (info.vocabulary as u32, info.image.map(|i| i.token_id));
    let ids = (0..*LENGTHS.end() as u32).map(|i| 7 + i * 31 % (vocab - 7));
    ids.map(|id| if Some(id) == image { 6 } else { id }).collect()
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
    let ids = prompt(&one);
    for n in LENGTHS {
        // One position more than the prompt: the decode step behind it.
        let exact = open(n + 1);
        assert_eq!(bits(&one, &ids[..n]), bits(&exact, &ids[..n]), "prompt of {n} tokens");
    }
}

/// How high a tile is, and so where the halves of a prompt are cut, changes no bit.
#[test]
fn small_tiles_equal_large_ones() {
    let context = 64;
    let small = HwConfig { spad_words: 2048, ..HwConfig::sim() };
    let (large, small) = (open(context), open_for(small, context));
    let tile = |s: &Source| s.program().expect("compiles").meta.text.tile_rows;
    assert!(tile(&small) == 16 && tile(&large) > 16, "tiles of {} and {}", tile(&small), tile(&large));
    let ids = prompt(&large);
    for n in 1..=34 {
        assert_eq!(bits(&large, &ids[..n]), bits(&small, &ids[..n]), "prompt of {n} tokens");
    }
}
