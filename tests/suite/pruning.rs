//! Pruning of visual tokens: the float reference keeps what the attention maps of transformers say, the
//! simulator nearly the same, the hardware exactly what the simulator keeps, and prompts get shorter.

use crate::assets::{demo_with, device, iss, path, questions, rtl};
use flightvlm::device::{Device, Logits, ProgramDevice};
use flightvlm::image::decode_file;
use flightvlm::prompt::{prepare, user_turn};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::eval::{Inputs, Session};
use flightvlm_compiler::graph::{Method, ModelSpec, Picture, Prune, VisualRow};
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
}

impl Case {
    fn prune(&self) -> Prune {
        Prune { method: self.method, tokens: self.tokens }
    }

    fn source(&self) -> Source {
        Source::open(&path(&self.model), pruned(self.prune())).expect("opens")
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

#[test]
fn what_the_attention_of_transformers_says_stays() {
    let (mut same, mut all) = (0, 0);
    for case in cases() {
        let source = case.source();
        let mut session = Session::new(source.model().expect("imports")).expect("eval");
        let program = source.program().expect("compiles");
        let mut d = device(&source, "iss", iss(program));
        let pictures = case.pictures(&source);
        assert_eq!(pictures.len(), case.kept.len(), "{}", case.model);
        for (picture, expected) in pictures.iter().zip(&case.kept) {
            let name = format!("{} {} {}", case.model, case.method, case.tokens);
            let float = session.encode_image(picture).expect("encodes").kept;
            assert_eq!(float.len(), picture.placeholders(), "{name}");
            let float = by_tile(picture, &float);
            // Any-resolution pictures show a tile's tokens line by line: raster order within a tile.
            assert_eq!(&float, expected, "{name}: the float reference");
            let handle = d.encode_image(picture).expect("encodes");
            assert_eq!(handle.rows, picture.placeholders(), "{name}");
            let int8 = by_tile(picture, d.kept(handle));
            println!("{name}: float {float:?}, iss {int8:?}");
            for (float, int8) in float.iter().zip(&int8) {
                same += float.iter().filter(|row| int8.contains(row)).count();
                all += float.len();
            }
        }
    }
    println!("{same} of {all} tokens are the same on iss");
    assert!(all > 100 && same * 100 >= all * 95, "{same} of {all}");
}

/// Logits of the last row and the kept rows of a pruned prompt.
fn answer(mut d: ProgramDevice<'_>, picture: &Picture, image_token: u32) -> (Vec<VisualRow>, Vec<u32>) {
    let handle = d.encode_image(picture).expect("encodes");
    let ids: Vec<u32> = [1].into_iter().chain(vec![image_token; handle.rows]).chain([5, 6]).collect();
    let out = d.prefill(&ids, &[handle], Logits::AllRows).expect("prefill");
    (d.kept(handle).to_vec(), out.logits.iter().map(|x| x.to_bits()).collect())
}

/// A class row with two read-outs, and all rows of a tower without one.
#[test]
fn the_hardware_keeps_what_the_simulator_keeps() {
    for (model, method) in [("clip-qwen2", Method::Hired), ("siglip-llama", Method::Fastervlm)] {
        let prune = Prune { method, tokens: 2 };
        let source = Source::open(&path(&format!("golden/{model}")), pruned(prune)).expect("opens");
        let program = source.program().expect("compiles");
        let spec = source.spec().expect("facts");
        let inputs = path(&format!("golden/{model}/inputs.safetensors"));
        let picture = read(&inputs, spec).remove(0);
        let picture = Picture { prune: Some(prune), ..picture };
        let token = spec.image_token_id.expect("a placeholder");
        let a = answer(device(&source, "iss", iss(program)), &picture, token);
        let b = answer(device(&source, "rtl", rtl(program)), &picture, token);
        assert_eq!(a.0.len(), 2, "{model}");
        assert!(a == b, "{model}: iss keeps {:?}, rtl {:?}", a.0, b.0);
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
}
