//! `eval` against Hugging Face transformers (float32, CPU), on every folder of `tests/golden`.
//!
//! Bound, from the contract: max abs logit error at most 1e-3 of the logit range, and the same greedy
//! tokens, here found with prefill and step, so that the KV cache is compared with the reference's runs
//! without a cache.

use std::path::{Path, PathBuf};

use flightvlm_compiler::diag::Diagnostic;
use flightvlm_compiler::eval::{Inputs, Pairs, Session};
use flightvlm_compiler::import::{import, ImportOptions, Model, TensorFile};

const RELATIVE_ERROR_MAX: f32 = 1e-3;

const STALE: &str = "if the model was trained again, its goldens are old: run the command in \
                     tests/golden/emoji-llava/provenance.toml";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Raw bytes of a tensor of a golden file.
fn tensor(path: &Path, name: &str) -> Vec<u8> {
    let file = TensorFile::open(path).unwrap_or_else(|e| panic!("{e}"));
    let entry = file.entries.iter().find(|entry| entry.name == name);
    let entry = entry.unwrap_or_else(|| panic!("{} has no {name}", path.display()));
    file.bytes[entry.begin..entry.end].to_vec()
}

fn golden(path: &Path) -> (Vec<f32>, Vec<u32>) {
    let logits = tensor(path, "logits");
    let greedy = tensor(path, "greedy");
    (
        logits.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        greedy.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as u32).collect(),
    )
}

/// Logits of the whole prompt, and the greedy continuation over the KV cache.
fn run(model: &Model, inputs: &Inputs, steps: usize) -> (Vec<f32>, Vec<u32>) {
    let mut session = Session::new(model).unwrap_or_else(|e| panic!("{e}"));
    let images = inputs.images.iter().map(|picture| session.encode_image(picture));
    let images: Vec<_> = images.collect::<Result<_, _>>().unwrap_or_else(|e| panic!("{e}"));
    let logits = session.prefill(&inputs.input_ids, &images).unwrap_or_else(|e| panic!("{e}"));
    let vocab = model.spec.text.vocab;
    let mut row = logits[logits.len() - vocab..].to_vec();
    let mut greedy = Vec::new();
    while greedy.len() < steps {
        let placeholders = (0..).zip(&mut row).filter(|(id, _)| model.spec.is_placeholder(*id));
        placeholders.for_each(|(_, slot)| *slot = f32::NEG_INFINITY);
        let best = (0..vocab).max_by(|a, b| row[*a].total_cmp(&row[*b])).expect("a vocabulary");
        greedy.push(best as u32);
        if greedy.len() < steps {
            row = session.step(best as u32).unwrap_or_else(|e| panic!("{e}"));
        }
    }
    (logits, greedy)
}

/// Compares one case; returns the error relative to the logit range, or what is wrong.
fn compare(model: &Model, inputs: &Path, outputs: &Path) -> Result<f32, String> {
    let inputs = Inputs::read(inputs, &model.spec).map_err(|e| e.to_string())?;
    let (expected, greedy) = golden(outputs);
    let (logits, tokens) = run(model, &inputs, greedy.len());
    if logits.len() != expected.len() {
        return Err(format!("{} logits, expected {}", logits.len(), expected.len()));
    }
    let fold = |f: fn(f32, f32) -> f32, start| expected.iter().copied().fold(start, f);
    let range = fold(f32::max, f32::NEG_INFINITY) - fold(f32::min, f32::INFINITY);
    let errors = logits.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    let error = errors.fold(0.0, |max: f32, e| if e.is_nan() { e } else { max.max(e) }) / range;
    if error.is_nan() || error > RELATIVE_ERROR_MAX {
        return Err(format!("relative error {error:e} is above {RELATIVE_ERROR_MAX:e}"));
    }
    if tokens != greedy {
        return Err(format!("greedy tokens {tokens:?}, expected {greedy:?}"));
    }
    Ok(error)
}

/// Scores of pictures for texts; the error is relative to the factor on the cosine.
fn compare_vectors(model: &Model, dir: &Path) -> Result<f32, String> {
    let contrast = model.spec.contrast.as_ref().expect("a model that compares");
    let pairs = Pairs::read(&dir.join("inputs.safetensors"), &model.spec).map_err(|e| e.to_string())?;
    let bytes = tensor(&dir.join("outputs.safetensors"), "logits_per_image");
    let expected: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let mut session = Session::new(model).map_err(|e| e.to_string())?;
    let pictures = pairs.images.iter().map(|picture| Ok(session.encode_image(picture)?.rows));
    let pictures: Vec<Vec<f32>> = pictures.collect::<Result<_, Diagnostic>>().map_err(|e| e.to_string())?;
    let texts = pairs.texts.iter().map(|ids| {
        let rows = session.prefill(ids, &[])?;
        Ok(rows[rows.len() - contrast.width..].to_vec())
    });
    let texts: Vec<Vec<f32>> = texts.collect::<Result<_, Diagnostic>>().map_err(|e| e.to_string())?;
    let scores = contrast.scores(&pictures, &texts);
    if scores.len() != expected.len() {
        return Err(format!("{} scores, expected {}", scores.len(), expected.len()));
    }
    let error = scores.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / contrast.scale;
    match error <= RELATIVE_ERROR_MAX {
        true => Ok(error),
        false => Err(format!("scores {scores:?}, expected {expected:?}")),
    }
}

fn load(dir: &Path) -> Result<Model, String> {
    import(dir, &ImportOptions::default()).map_err(|e| e.to_string())
}

#[test]
fn tiny_checkpoints_match_transformers() {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root().join("tests/golden"))
        .expect("tests/golden exists")
        .map(|entry| entry.expect("readable folder").path())
        .filter(|path| path.join("config.json").exists())
        .collect();
    folders.sort();
    assert!(folders.len() >= 18, "goldens are missing: {folders:?}");
    let mut failures = Vec::new();
    for dir in folders {
        let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
        let result = load(&dir).and_then(|model| match model.spec.contrast {
            Some(_) => compare_vectors(&model, &dir),
            None => compare(&model, &dir.join("inputs.safetensors"), &dir.join("outputs.safetensors")),
        });
        match result {
            Ok(error) => println!("{name:24} max abs error / range = {error:.2e}"),
            Err(message) => failures.push(format!("{name}: {message}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The demo model, once both it and its goldens are in the tree; the sha256 in `provenance.toml` says for
/// which weights the goldens were made.
#[test]
fn demo_model_matches_transformers() {
    let (model_dir, golden_dir) =
        (root().join("tests/models/emoji-llava"), root().join("tests/golden/emoji-llava"));
    if !model_dir.join("model.safetensors").exists() || !golden_dir.exists() {
        println!("no demo model in the tree yet");
        return;
    }
    let model = load(&model_dir).unwrap_or_else(|e| panic!("{e}"));
    let mut count = 0;
    while golden_dir.join(format!("{count}.inputs.safetensors")).exists() {
        let inputs = golden_dir.join(format!("{count}.inputs.safetensors"));
        let outputs = golden_dir.join(format!("{count}.outputs.safetensors"));
        let error =
            compare(&model, &inputs, &outputs).unwrap_or_else(|e| panic!("question {count}: {e}\n{STALE}"));
        println!("emoji-llava {count}: max abs error / range = {error:.2e}");
        count += 1;
    }
    assert!(count > 0, "the golden folder is empty");
}
