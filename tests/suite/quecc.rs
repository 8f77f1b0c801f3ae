//! Pictures that are compressed for a question: another question gives other tokens, and nothing of a picture is kept for
//! the next one.

use crate::assets::{cosine, device, iss, path};
use flightvlm::device::{Device, Logits};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::eval::{Inputs, Session};
use flightvlm_compiler::graph::Picture;

#[test]
fn visual_tokens_follow_the_question() {
    let source = Source::open(&path("golden/quecc"), LoadOptions::default()).expect("opens");
    let spec = source.spec().expect("facts").clone();
    let inputs = Inputs::read(&path("golden/quecc/inputs.safetensors"), &spec).expect("inputs");
    let picture = &inputs.images[0];
    let other = Picture { question: vec![1, 77, 12, 5, 9, 30], ..picture.clone() };
    let mut session = Session::new(source.model().expect("imports")).expect("eval");
    let mut d = device(&source, "iss", iss(source.program().expect("compiles")));
    let mut answer = |picture: &Picture| {
        d.begin().expect("an empty context");
        let handle = d.encode_image(picture).expect("encodes");
        let int8 = d.prefill(&inputs.input_ids, &[handle], Logits::LastToken).expect("prefill").logits;
        let embedded = session.encode_image(picture).expect("encodes");
        let float = session.prefill(&inputs.input_ids, &[embedded]).expect("prefill");
        let last = float[float.len() - int8.len()..].to_vec();
        println!("cosine of the logits {}", cosine(&last, &int8));
        assert!(cosine(&last, &int8) > 0.99);
        (int8, last)
    };
    let (first, second, again) = (answer(picture), answer(&other), answer(picture));
    assert_eq!(first, again, "a picture's tokens depend on nothing else");
    // What the question changes is the same on both, and more than what 8 bits change.
    let change =
        |pair: [&[f32]; 2]| -> Vec<f32> { pair[0].iter().zip(pair[1]).map(|(a, b)| a - b).collect() };
    let same = cosine(&change([&first.0, &second.0]), &change([&first.1, &second.1]));
    println!("cosine of what the question changes {same}");
    assert!(same > 0.9, "{same}");
}

#[test]
fn a_context_with_such_a_picture_is_not_reused() {
    let source = Source::open(&path("golden/quecc"), LoadOptions::default()).expect("opens");
    let spec = source.spec().expect("facts");
    let inputs = Inputs::read(&path("golden/quecc/inputs.safetensors"), spec).expect("inputs");
    let mut d = device(&source, "iss", iss(source.program().expect("compiles")));
    let handle = d.encode_image(&inputs.images[0]).expect("encodes");
    d.prefill(&inputs.input_ids, &[handle], Logits::None).expect("prefill");
    assert_eq!(d.stats().vision.calls, 3, "tower, queries, windows");
    assert_eq!(d.stats().prefill.rows, 5 + 12, "the question runs first");
    let error = d.save(7).expect_err("it belongs to the question").to_string();
    assert!(error.contains("cannot be saved"), "{error}");
    assert_eq!(d.keep(7).expect("keeps nothing"), 0);
    let unasked = Picture { question: Vec::new(), ..inputs.images[0].clone() };
    let error = d.encode_image(&unasked).expect_err("no question").to_string();
    assert!(error.contains("compresses a picture for the question"), "{error}");
}
