//! Block-sparse attention: rows see what the float reference lets them see, on every executor with the same
//! bits, however the prompt is cut; what they do not see is neither loaded nor multiplied.

use crate::assets::{cosine, demo_with, device, hls, iss, rtl};
use flightvlm::device::{Device, Logits};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::graph::BlockMask;
use flightvlm_hw::config::HwConfig;

const MASKS: [&str; 3] = ["window=64", "window=128", "window=64,sinks=64"];

fn open(target: HwConfig, mask: Option<BlockMask>) -> Source {
    demo_with(LoadOptions { target, mask, max_context: Some(256), ..LoadOptions::default() })
}

/// Tokens of a prompt without pictures.
fn prompt(source: &Source, n: u32) -> Vec<u32> {
    let info = source.info().expect("facts");
    let (vocab, image) = (info.vocabulary as u32, info.image.map(|i| i.token_id));
    (0..n).map(|i| 7 + i * i % (vocab - 7)).map(|id| if Some(id) == image { 6 } else { id }).collect()
}

/// Logits of the last row of each piece of the prompt, and of two steps.
fn logits(d: &mut dyn Device, pieces: &[&[u32]]) -> Vec<f32> {
    d.begin().expect("an empty context");
    let mut all = Vec::new();
    for ids in pieces {
        all = d.prefill(ids, &[], Logits::LastToken).expect("prefill").logits;
    }
    for token in [7, 11] {
        all.extend(d.step(token, Logits::LastToken).expect("a step").logits);
    }
    all
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn masks() -> impl Iterator<Item = (&'static str, BlockMask)> {
    MASKS.into_iter().map(|text| (text, text.parse().expect("a mask")))
}

#[test]
fn rows_see_what_the_float_reference_lets_them_see() {
    let eval = |mask| {
        let source = open(HwConfig::sim(), mask);
        let ids = prompt(&source, 215);
        let mut d = flightvlm::device::open("eval", &source).expect("eval opens");
        logits(d.as_mut(), &[&ids])
    };
    let full = eval(None);
    for (name, mask) in masks() {
        let float = eval(Some(mask));
        for target in [HwConfig::sim(), HwConfig::mini(), HwConfig::u280()] {
            let source = open(target.clone(), Some(mask));
            let ids = prompt(&source, 215);
            let program = source.program().expect("compiles");
            let mut d = device(&source, "iss", iss(program));
            let whole = logits(&mut d, &[&ids]);
            let (near, far) = (cosine(&float, &whole), cosine(&full, &whole));
            let (lost, unmasked) = (1.0 - near, 1.0 - far);
            println!("{name} on {}: 1 - cosine {lost:.1e} to eval, {unmasked:.1e} without mask", target.name);
            assert!(near > 0.9999 && unmasked > 3.0 * lost, "{name} on {}: {near} {far}", target.name);
            // Pieces that end inside blocks and tiles, and at their ends.
            for cuts in [[3, 70, 131], [64, 65, 192], [127, 160, 214]] {
                let mut pieces = Vec::new();
                let mut from = 0;
                for to in cuts.into_iter().chain([ids.len()]) {
                    pieces.push(&ids[from..to]);
                    from = to;
                }
                let cut = logits(&mut d, &pieces);
                assert_eq!(bits(&whole), bits(&cut), "{name} on {}: cut at {cuts:?}", target.name);
            }
        }
    }
}

#[test]
fn masked_prompts_give_equal_bits_on_iss_rtl_and_hls() {
    for (target, mask) in
        [(HwConfig::sim(), MASKS[2]), (HwConfig::mini(), MASKS[2]), (HwConfig::mini(), MASKS[0])]
    {
        let name = format!("{mask} on {}", target.name);
        let source = open(target, Some(mask.parse().expect("a mask")));
        let (ids, program) = (prompt(&source, 139), source.program().expect("compiles"));
        let expected = logits(&mut device(&source, "iss", iss(program)), &[&ids]);
        for (other, machine) in [("rtl", rtl(program)), ("hls", hls(program))] {
            let got = logits(&mut device(&source, other, machine), &[&ids]);
            assert_eq!(bits(&expected), bits(&got), "{name}, {other}");
        }
    }
}

/// A decode step behind 200 positions moves what one moves whose cache is shorter by what is not seen.
#[test]
fn unseen_blocks_are_not_loaded() {
    let step = |mask: Option<BlockMask>| {
        let source = open(HwConfig::sim(), mask);
        let (ids, program) = (prompt(&source, 200), source.program().expect("compiles"));
        let mut d = device(&source, "iss", iss(program));
        d.prefill(&ids, &[], Logits::None).expect("prefill");
        let before = d.stats().total();
        d.step(7, Logits::None).expect("a step");
        let after = d.stats().total();
        let spec = &program.meta.model.text;
        let units_a_tile = 1 + 8 * 2 * u64::from(program.meta.text.rope_half_words);
        let tiles = (spec.layers * spec.kv_heads) as u64;
        let prefill = (before.channel_bytes.expect("counted"), before.macs.expect("counted"));
        (
            after.channel_bytes.expect("counted") - prefill.0,
            after.macs.expect("counted") - prefill.1,
            tiles * units_a_tile * 64,
            prefill,
        )
    };
    let full = step(None);
    for (name, mask) in masks() {
        let masked = step(Some(mask));
        let tiles = (mask.skipped(200) / 16) as u64;
        println!(
            "{name}: a step moves {} of {} bytes, {} of {} MAC; prefill {:?} of {:?}",
            masked.0, full.0, masked.1, full.1, masked.3, full.3
        );
        assert_eq!(full.0 - masked.0, tiles * full.2, "{name}: bytes of a step");
        assert!(masked.1 < full.1 && masked.3 .0 < full.3 .0 && masked.3 .1 < full.3 .1, "{name}: work");
    }
}
