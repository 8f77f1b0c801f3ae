//! Random damage to a tiny checkpoint: the importer answers with a model or a message, and never panics.

mod common;

use common::Folder;
use flightvlm_compiler::eval::Session;
use proptest::prelude::*;

const FILES: [&str; 2] = ["config.json", "model.safetensors"];

/// One change to a file.
#[derive(Clone, Debug)]
enum Damage {
    Flip {
        at: prop::sample::Index,
        mask: u8,
    },
    Truncate(prop::sample::Index),
    Insert {
        at: prop::sample::Index,
        bytes: Vec<u8>,
    },
    /// Replaces one digit, which changes sizes, shapes and offsets but leaves JSON valid.
    Digit {
        at: prop::sample::Index,
        digit: u8,
    },
}

fn damage() -> impl Strategy<Value = Damage> {
    use prop::sample::Index;
    prop_oneof![
        1 => (any::<Index>(), 1u8..).prop_map(|(at, mask)| Damage::Flip { at, mask }),
        1 => any::<Index>().prop_map(Damage::Truncate),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Damage::Insert { at, bytes }),
        4 => (any::<Index>(), b'0'..=b'9').prop_map(|(at, digit)| Damage::Digit { at, digit }),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    // The header, where damage matters most, and the start of the data.
    let window = bytes.len().min(8192);
    match damage {
        Damage::Flip { at, mask } => bytes[at.index(window)] ^= mask,
        Damage::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Insert { at, bytes: extra } => {
            let at = at.index(window);
            bytes.splice(at..at, extra.iter().copied());
        }
        Damage::Digit { at, digit } => {
            let digits: Vec<usize> = (0..window).filter(|i| bytes[*i].is_ascii_digit()).collect();
            if !digits.is_empty() {
                bytes[digits[at.index(digits.len())]] = *digit;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_checkpoints_never_panic(
        file in 0..FILES.len(),
        changes in prop::collection::vec(damage(), 1..4),
    ) {
        let folder = Folder::copy_of("qwen2-tied");
        let mut bytes = folder.read(FILES[file]);
        for change in &changes {
            apply(&mut bytes, change);
        }
        folder.write(FILES[file], &bytes);
        match folder.import() {
            Ok(model) => drop(Session::new(&model).map(|mut session| session.prefill(&[1, 2], &[]))),
            Err(faults) => prop_assert!(!faults.to_string().is_empty()),
        }
    }
}
