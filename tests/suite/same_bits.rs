//! Whole questions on the simulator, the RTL and the HLS kernel: tokens and logits, bit for bit.

use crate::assets::{demo, device, hls, iss, questions, rtl};
use flightvlm::device::{Device, Logits};
use flightvlm::image::decode_file;
use flightvlm::prompt::{prepare, user_turn};
use flightvlm::source::Source;
use flightvlm_compiler::program::Program;
use flightvlm_rtlsim::{MemoryTiming, RtlConfig, RtlMachine};
use flightvlm_tests::pair::Pair;
use std::path::Path;

const NEW_TOKENS: usize = 4;

/// Greedy tokens and all logits of a question.
fn answer(d: &mut dyn Device, source: &Source, image: Option<&Path>, text: &str) -> (Vec<u32>, Vec<u32>) {
    let info = source.info().expect("facts");
    let pictures: Vec<_> = image.iter().map(|p| decode_file(p).expect("a picture")).collect();
    let turn = user_turn(source.assets(), pictures.len(), text).expect("a turn");
    let prompt = prepare(source.assets(), &info, &[turn], &pictures).expect("a prompt");
    d.begin().expect("an empty context");
    let handles: Vec<_> = prompt.images.iter().map(|p| d.encode_image(p).expect("encodes")).collect();
    let mut out = d.prefill(&prompt.ids, &handles, Logits::AllRows).expect("prefill");
    let (mut tokens, mut bits) = (Vec::new(), Vec::new());
    for _ in 0..NEW_TOKENS {
        bits.extend(out.logits.iter().map(|x| x.to_bits()));
        tokens.push(out.greedy_token);
        out = d.step(out.greedy_token, Logits::LastToken).expect("a step");
    }
    (tokens, bits)
}

/// Both machines behind one driver: retired commands are compared launch by launch.
#[test]
fn questions_retire_the_same_commands_in_the_same_order() {
    let source = demo();
    let program = source.program().expect("compiles");
    for other in [rtl, hls] {
        let meta = program.meta.clone();
        let code = Program { contents: Default::default(), ..program.clone() };
        let describe = Box::new(move |pc: u32| {
            format!("instruction {pc} `{}` of {}", code.instruction(pc).unwrap_or_default(), meta.part(pc))
        });
        let other = other(program);
        let name = other.name().to_owned();
        let pair = Pair::new(iss(program), other, describe);
        let compared = pair.compared.clone();
        let mut d = device(&source, "pair", Box::new(pair));
        let q = &questions()[0];
        answer(&mut d, &source, Some(&q.image), &q.text);
        let compared = compared.load(std::sync::atomic::Ordering::Relaxed);
        println!("{name}: {compared} retired commands equal in order");
        assert!(compared > 2_000);
        // A C simulation counts no cycles, and says so.
        assert_eq!(d.stats().total().cycles.is_none(), name == "hls");
    }
}

/// The hardware on memory with random latency and back-pressure: other cycles, same bits.
#[test]
fn erratic_memory_changes_no_bit() {
    let source = demo();
    let program = source.program().expect("compiles");
    let q = &questions()[1];
    let mut a = device(&source, "iss", iss(program));
    let expected = answer(&mut a, &source, Some(&q.image), &q.text);
    for seed in [1, 2] {
        let mut config = RtlConfig::new(program.meta.config.clone());
        config.memory = MemoryTiming::Random { seed, latency_cycles_max: 100 };
        let machine = Box::new(RtlMachine::new(config).expect("the RTL starts"));
        let mut b = device(&source, "rtl", machine);
        let got = answer(&mut b, &source, Some(&q.image), &q.text);
        assert!(got == expected, "seed {seed}: tokens {:?} against {:?}", got.0, expected.0);
        let (fixed, erratic) = (a.stats().total().cycles, b.stats().total().cycles);
        println!("seed {seed}: cycles {erratic:?}, on regular memory {fixed:?}; same bits");
        assert!(erratic > fixed);
    }
}

#[test]
fn questions_give_equal_bits_on_iss_rtl_and_hls() {
    let source = demo();
    let program = source.program().expect("compiles");
    let mut a = device(&source, "iss", iss(program));
    let mut others = [device(&source, "rtl", rtl(program)), device(&source, "hls", hls(program))];
    let all = questions();
    let step = all.len() / 3;
    let mut asked: Vec<(Option<&Path>, &str)> =
        (0..3).map(|i| (Some(all[i * step].image.as_path()), all[i * step].text.as_str())).collect();
    asked.push((None, "what is a tomato?"));
    for (image, text) in asked {
        let x = answer(&mut a, &source, image, text);
        for b in &mut others {
            let y = answer(b, &source, image, text);
            assert_eq!(x.0, y.0, "{}: {text}: tokens", b.name());
            let differs = x.1.iter().zip(&y.1).position(|(p, q)| p != q);
            assert_eq!(differs, None, "{}: {text}: first different logit of {}", b.name(), x.1.len());
        }
        println!("{text}: {} logits and {} tokens equal", x.1.len(), x.0.len());
    }
}

/// Short prompts are one half of a tile, longer ones two.
#[test]
fn prompts_of_one_and_two_halves_give_equal_bits() {
    let source = demo();
    let program = source.program().expect("compiles");
    for n in [1u32, 15, 16, 17, 33, 64, 70] {
        let ids: Vec<u32> = (0..n).map(|i| 7 + i * 31 % 700).collect();
        let [a, b, c] = [iss(program), rtl(program), hls(program)].map(|machine| {
            let mut d = device(&source, "machine", machine);
            let out = d.prefill(&ids, &[], Logits::AllRows).expect("prefill").logits;
            out.iter().map(|x| x.to_bits()).collect::<Vec<u32>>()
        });
        for (other, b) in [("rtl", b), ("hls", c)] {
            let first = a.iter().zip(&b).position(|(p, q)| p != q);
            assert_eq!(first, None, "{other}, {n} rows: first different logit of {}", a.len());
        }
    }
}
