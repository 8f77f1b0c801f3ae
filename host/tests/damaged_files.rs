//! Files with random damage are refused or accepted, but never panic.

use flightvlm::bundle::TextAssets;
use flightvlm::image::{decode, RgbPicture};
use flightvlm::text::Message;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::path::PathBuf;

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

/// Below `limit`, which must be positive.
fn below(random: &mut ChaCha12Rng, limit: usize) -> usize {
    (random.next_u64() % limit as u64) as usize
}

/// Changes, removes or repeats a few bytes.
fn damage(bytes: &[u8], random: &mut ChaCha12Rng) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=below(random, 4) {
        let at = below(random, out.len());
        let end = (at + 1 + below(random, 8)).min(out.len());
        match below(random, 4) {
            0 => out[at] = below(random, 256) as u8,
            1 => out[at] ^= 1 << below(random, 8),
            2 if end - at < out.len() => drop(out.drain(at..end)),
            _ => {
                let copy = out[at..end].to_vec();
                out.splice(at..at, copy);
            }
        }
    }
    out
}

#[test]
fn pictures() {
    let mut random = ChaCha12Rng::seed_from_u64(1);
    let folder = tests().join("golden/processor");
    let pngs = ["rgb-7x33.png", "palette-clear-45x45.png", "grey16-20x20.png"];
    for name in pngs.into_iter().chain(["rotated-48x32.jpg"]) {
        let bytes = std::fs::read(folder.join(name)).expect(name);
        for _ in 0..400 {
            if let Ok(picture) = decode(&damage(&bytes, &mut random)) {
                let RgbPicture { width, height, data } = picture;
                assert_eq!(data.len(), width * height * 3);
            }
        }
    }
}

#[test]
fn small_files_of_a_checkpoint() {
    let mut random = ChaCha12Rng::seed_from_u64(2);
    let whole = TextAssets::from_dir(&tests().join("models/emoji-llava")).expect("model");
    let names: Vec<String> = whole.files().keys().cloned().collect();
    for name in names {
        for _ in 0..300 {
            let mut files = whole.files().clone();
            let hurt = damage(&files[&name], &mut random);
            files.insert(name.clone(), hurt);
            let assets = TextAssets::from_files(files);
            let _ = assets.image_processor();
            let _ = assets.image_tokens();
            let _ = assets.stop_ids();
            if let Ok(template) = assets.template() {
                let _ = template.render(&[Message::user(1, "what is this?")]);
            }
            if let Ok(tokenizer) = assets.tokenizer() {
                let ids = tokenizer.encode("what is this? é", true).unwrap_or_default();
                let _ = tokenizer.decode(&ids);
            }
        }
    }
}
