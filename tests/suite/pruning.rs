//! Pruning and merging of visual tokens: the float reference keeps what the attention maps, keys and features of
//! transformers say, the simulator nearly the same, the hardware exactly what the simulator keeps, and prompts get shorter.

use crate::assets::{cosine, demo_with, device, iss, path, questions, rtl};
use flightvlm::device::{Device, Logits, ProgramDevice};
use flightvlm::image::decode_file;
use flightvlm::prompt::{prepare, user_turn};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::eval::{Inputs, Session};
use flightvlm_compiler::graph::{Group, Method, ModelSpec, Picture, Prune, VisualRow};
use serde::Deserialize;
use std::path::Path;

/// A case of `tests/golden/pruning/kept.json`.
#[derive(Deserialize)]
struct Case {
    model: String,
    inputs: String,
    method: Method,
    tokens: usize,
    /// By picture and tile, in raster order.
    kept: Vec<Vec<Vec<usize>>>,
    /// What each of these is the average of; none where tokens are dropped.
    members: Option<Vec<Vec<Vec<Vec<usize>>>>>,
    /// Logits of the last row of a prompt with the first picture.
    logits: Option<Vec<f32>>,
}

impl Case {
    fn prune(&self) -> Prune {
        Prune { method: self.method, tokens: self.tokens }
    }

    fn source(&self) -> Source {
        Source::open(&path(&self.model), pruned(self.prune())).expect("opens")
    }

    /// Groups of the tiles of a picture.
    fn groups(&self, picture: usize) -> Vec<Vec<Group>> {
        let group = |tile: usize, at: usize, token: usize| {
            let members = self.members.as_ref().map(|members| members[picture][tile][at].clone());
            Group { token, members: members.unwrap_or_else(|| vec![token]) }
        };
        let of_tile = |(tile, tokens): (usize, &Vec<usize>)| {
            tokens.iter().enumerate().map(|(at, token)| group(tile, at, *token)).collect()
        };
        self.kept[picture].iter().enumerate().map(of_tile).collect()
    }

    fn pictures(&self, source: &Source) -> Vec<Picture> {
        let spec = source.spec().expect("facts");
        read(&path(&self.inputs), spec)
            .into_iter()
            .map(|picture| Picture { prune: Some(self.prune()), ..picture })
            .collect()
    }
}

/// The pictures of an inputs file.
fn read(file: &Path, spec: &ModelSpec) -> Vec<Picture> {
    Inputs::read(file, spec).expect("inputs").images
}

fn pruned(prune: Prune) -> LoadOptions {
    LoadOptions { prune: Some(Some(prune)), ..LoadOptions::default() }
}

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let text = std::fs::read_to_string(path("golden/pruning/kept.json")).expect("goldens are there");
    serde_json::from_str::<File>(&text).expect("JSON").cases
}

/// Kept tokens of each tile.
fn by_tile(picture: &Picture, kept: &[VisualRow]) -> Vec<Vec<usize>> {
    let mut out = vec![Vec::new(); picture.tiles.len()];
    for row in kept {
        if let VisualRow::Token { tile, row } = row {
            out[*tile].push(*row);
        }
    }
    out
}

/// Pairs of tokens of a tile that are in one group, and tokens that are in one at all.
fn together(groups: &[Group]) -> Vec<[usize; 2]> {
    let pairs = |group: &Group| {
        let members = group.members.clone();
        group.members.iter().flat_map(|a| members.iter().map(move |b| [*a, *b])).collect::<Vec<_>>()
    };
    groups.iter().flat_map(pairs).collect()
}

#[test]
fn what_transformers_says_stays() {
    let (mut same, mut all, mut apart, mut compared) = (0, 0, 0.0f32, 0);
    for case in cases() {
        let source = case.source();
        let mut session = Session::new(source.model().expect("imports")).expect("eval");
        let program = source.program().expect("compiles");
        let mut d = device(&source, "iss", iss(program));
        let pictures = case.pictures(&source);
        assert_eq!(pictures.len(), case.kept.len(), "{}", case.model);
        for (index, picture) in pictures.iter().enumerate() {
            let name = format!("{} {} {}", case.model, case.method, case.tokens);
            let expected = case.groups(index);
            let float = session.encode_image(picture).expect("encodes");
            assert_eq!(float.kept.len(), picture.placeholders(), "{name}");
            // Any-resolution pictures show a tile's tokens line by line: raster order within a tile.
            assert_eq!(by_tile(picture, &float.kept), case.kept[index], "{name}: the float reference");
            assert_eq!(session.groups(), expected, "{name}: the float reference");
            let handle = d.encode_image(picture).expect("encodes");
            assert_eq!(handle.rows, picture.placeholders(), "{name}");
            println!("{name}: float {expected:?}, iss {:?}", d.groups(handle));
            for (float, int8) in expected.iter().zip(d.groups(handle)) {
                let (float, int8) = (together(float), together(int8));
                same += float.iter().filter(|pair| int8.contains(pair)).count();
                all += float.len().max(int8.len());
            }
            if let (Some(logits), 0) = (&case.logits, index) {
                let ids = prompt(handle.rows, source.spec().expect("facts"));
                if d.groups(handle) == expected {
                    let device = d.prefill(&ids, &[handle], Logits::LastToken).expect("prefill").logits;
                    let cosine = cosine(&device, logits);
                    println!("{name}: cosine of the logits of iss {cosine}");
                    assert!(cosine > 0.99, "{name}: {cosine}");
                    compared += 1;
                }
                let out = session.prefill(&ids, &[float]).expect("prefill");
                let last = &out[out.len() - logits.len()..];
                let error = last.iter().zip(logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                let range = |x: &[f32]| {
                    x.iter().copied().fold(f32::NEG_INFINITY, f32::max)
                        - x.iter().copied().fold(f32::INFINITY, f32::min)
                };
                apart = apart.max(error / range(logits));
            }
        }
    }
    println!("{same} of {all} pairs are the same on iss; logits of eval within {apart:e} of their range");
    assert!(compared > 10, "{compared} cases");
    assert!(all > 100 && same * 100 >= all * 95, "{same} of {all}");
    assert!(apart > 0.0 && apart < 1e-4, "{apart}");
}

/// A prompt around so many placeholders.
fn prompt(placeholders: usize, spec: &ModelSpec) -> Vec<u32> {
    let token = spec.image_token_id.expect("a placeholder");
    [1].into_iter().chain(vec![token; placeholders]).chain([5, 6]).collect()
}

/// Groups and logits of a pruned prompt.
fn answer(mut d: ProgramDevice<'_>, picture: &Picture, spec: &ModelSpec) -> (Vec<Vec<Group>>, Vec<u32>) {
    let handle = d.encode_image(picture).expect("encodes");
    let out = d.prefill(&prompt(handle.rows, spec), &[handle], Logits::AllRows).expect("prefill");
    (d.groups(handle).to_vec(), out.logits.iter().map(|x| x.to_bits()).collect())
}

/// A class row with two read-outs, all rows of a tower without one, joined patches, features and keys, one tile and several.
#[test]
fn the_hardware_keeps_what_the_simulator_keeps() {
    for (model, method, tokens) in [
        ("clip-qwen2", Method::Hired, 2),
        ("siglip-llama", Method::Fastervlm, 2),
        ("internvl", Method::Fastervlm, 2),
        ("llava-next", Method::Hired, 2),
        ("qwen2-vl", Method::Fastervlm, 3),
        ("siglip-llama", Method::Folder, 3),
        ("clip-qwen2", Method::Turbo, 2),
        ("llava-next", Method::Turbo, 2),
        ("internvl", Method::Folder, 2),
        ("qwen2-vl", Method::Turbo, 4),
        ("emoji-llava", Method::Folder, 9),
    ] {
        let prune = Prune { method, tokens };
        let (folder, inputs) = match model {
            "emoji-llava" => (format!("models/{model}"), "0.inputs"),
            _ => (format!("golden/{model}"), "inputs"),
        };
        let source = Source::open(&path(&folder), pruned(prune)).expect("opens");
        let program = source.program().expect("compiles");
        let spec = source.spec().expect("facts");
        let inputs = path(&format!("golden/{model}/{inputs}.safetensors"));
        let picture = read(&inputs, spec).remove(0);
        let picture = Picture { prune: Some(prune), ..picture };
        let a = answer(device(&source, "iss", iss(program)), &picture, spec);
        let b = answer(device(&source, "rtl", rtl(program)), &picture, spec);
        assert!(a.0.iter().flatten().count() >= tokens, "{model}");
        assert!(!method.merges() || a.0.iter().flatten().any(|g| g.members.len() > 1), "{model}: {:?}", a.0);
        assert!(a == b, "{model} {method}: iss keeps {:?}, rtl {:?}", a.0, b.0);
    }
}

#[test]
fn prompts_get_shorter_and_other_launches_stay() {
    let q = &questions()[0];
    let stats = |prune: Option<Prune>| {
        let source = demo_with(LoadOptions { prune: Some(prune), ..LoadOptions::default() });
        let mut d = device(&source, "iss", iss(source.program().expect("compiles")));
        let pictures = [decode_file(&q.image).expect("a picture")];
        let turn = user_turn(source.assets(), 1, &q.text).expect("a turn");
        let prompt = prepare(source.assets(), d.model(), &[turn], &pictures).expect("a prompt");
        let handle = d.encode_image(&prompt.images[0]).expect("encodes");
        d.prefill(&prompt.ids, &[handle], Logits::None).expect("prefill");
        (prompt.image_tokens, d.stats())
    };
    let (full, few) = (stats(None), stats(Some(Prune { method: Method::Fastervlm, tokens: 4 })));
    assert_eq!((full.0, few.0), (36, 4));
    assert_eq!(full.1.prefill.rows - few.1.prefill.rows, 32);
    let cycles = |s: &flightvlm::device::RunStats| (s.vision.cycles.unwrap(), s.prefill.cycles.unwrap());
    let ((vision, prefill), (read_out, shorter)) = (cycles(&full.1), cycles(&few.1));
    println!("vision {vision} -> {read_out} cycles, prefill {prefill} -> {shorter}");
    assert!(shorter * 10 < prefill * 7, "prefill {prefill} -> {shorter}");
    // One query row more in one of the tower's layers.
    assert!(read_out < vision + vision / 20, "vision {vision} -> {read_out}");
}

#[test]
fn a_program_without_the_read_out_says_so() {
    let fastervlm = Prune { method: Method::Fastervlm, tokens: 4 };
    let source = demo_with(pruned(fastervlm));
    let mut d = device(&source, "iss", iss(source.program().expect("compiles")));
    let grid = [6, 6];
    let rows = vec![0.0; 36 * 3 * 16 * 16];
    let tile = flightvlm_compiler::graph::Tile { grid, rows };
    let vision = source.spec().expect("facts").vision.clone().expect("a tower");
    let prune = Some(Prune { method: Method::Hired, tokens: 4 });
    let picture = Picture { prune, ..Picture::of_tiles(&vision, vec![tile]) };
    let error = d.encode_image(&picture).expect_err("one read-out is missing").to_string();
    assert!(error.contains("--prune hired"), "{error}");
    // One that merges by features reads no attention at all.
    let source = demo_with(pruned(Prune { method: Method::Folder, tokens: 4 }));
    let mut d = device(&source, "iss", iss(source.program().expect("compiles")));
    let picture = Picture { prune: Some(fastervlm), ..picture };
    let error = d.encode_image(&picture).expect_err("no read-out").to_string();
    assert!(error.contains("compiled with --prune fastervlm") && error.contains("--prune folder"), "{error}");
    let rows = d.encode_image(&Picture { prune: None, ..picture }).expect("all tokens").rows;
    assert_eq!(rows, 36);
}
