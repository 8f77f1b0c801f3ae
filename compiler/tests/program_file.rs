//! The program file: what is written is read, and damage is an error, never a panic.

mod common;

use common::root;
use flightvlm_compiler::import::{import, ImportOptions};
use flightvlm_compiler::pipeline::{compile, Options};
use flightvlm_compiler::program::{read, write, Program, ProgramError};
use flightvlm_hw::config::HwConfig;
use proptest::prelude::*;
use std::sync::OnceLock;

fn options() -> Options {
    Options::new(HwConfig::sim(), 64)
}

fn program() -> Program {
    let model = import(&root().join("tests/golden/clip-llama"), &ImportOptions::default()).unwrap();
    let built = compile(&model, &options()).unwrap().program.unwrap();
    let mut p = built.collect(None).unwrap();
    p.assets.insert("tokenizer.json".into(), b"{}".to_vec());
    p
}

fn bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.fvp");
        write(&program(), &path).unwrap();
        let collected = std::fs::read(&path).unwrap();
        // Written layer by layer, the file is the same.
        let model = import(&root().join("tests/golden/clip-llama"), &ImportOptions::default()).unwrap();
        let mut built = compile(&model, &options()).unwrap().program.unwrap();
        built.program.assets = program().assets;
        built.write(&path, None).unwrap();
        let streamed = read(&path).unwrap();
        assert!(streamed == program());
        collected
    })
}

fn read_bytes(bytes: &[u8]) -> Result<Program, ProgramError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.fvp");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(read_bytes(bytes()).unwrap(), program());
}

#[test]
fn the_same_checkpoint_compiles_to_the_same_bytes() {
    assert_eq!(program(), program());
}

#[test]
fn another_version_and_other_hardware_are_named() {
    let mut old = bytes().to_vec();
    old[8] = 0;
    assert!(matches!(read_bytes(&old), Err(ProgramError::Version { found: 0, .. })));
    let mut other = program();
    other.meta.isa_hash ^= 1;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.fvp");
    write(&other, &path).unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("was compiled for hardware"), "{message}");
}

#[test]
fn an_illegal_instruction_is_found_when_read() {
    let mut p = program();
    p.code[0] = 0x7f;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.fvp");
    write(&p, &path).unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("instruction 0: unknown opcode 0x7f"), "{message}");
}

#[test]
fn stages_can_be_looked_at_and_stopped_behind() {
    let model = import(&root().join("tests/golden/clip-llama"), &ImportOptions::default()).unwrap();
    for (i, (name, _)) in flightvlm_compiler::pipeline::STAGES.iter().enumerate().take(5) {
        let mut o = options();
        o.stop_after = Some((*name).into());
        let compiled = compile(&model, &o).unwrap();
        assert!(compiled.program.is_none());
        assert_eq!(compiled.stages.len(), i + 1);
        assert!(!compiled.stages[i].1.is_empty());
    }
    // The listing is assembly: it assembles back to the program's code.
    let compiled = compile(&model, &options()).unwrap();
    let listing = &compiled.stages.iter().find(|s| s.0 == "asm").unwrap().1;
    let again = flightvlm_hw::isa::assemble(listing).unwrap();
    let words: Vec<_> = again.iter().map(|i| i.encode()).collect();
    let code = flightvlm_hw::isa::store_code(&words);
    assert_eq!(code, compiled.program.unwrap().program.code[..code.len()]);
}

#[test]
fn code_and_map_do_not_need_weights() {
    let dir = root().join("tests/golden/clip-llama");
    let import_options = ImportOptions { no_weights: true, ..ImportOptions::default() };
    let model = import(&dir, &import_options).unwrap();
    let mut o = options();
    o.no_weights = true;
    let p = compile(&model, &o).unwrap().program.unwrap().collect(None).unwrap();
    assert!(p.contents.is_empty());
    assert_eq!(p.code, program().code);
    assert_eq!(p.meta.dram, program().meta.dram);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damage_is_an_error(at in 0usize..1 << 30, flip in 1u8.., cut in proptest::bool::ANY) {
        let mut b = bytes().to_vec();
        let at = at % b.len();
        if cut {
            b.truncate(at);
        } else {
            b[at] ^= flip;
        }
        match read_bytes(&b) {
            Err(e) => prop_assert!(!e.to_string().is_empty()),
            // Only padding between sections is covered by no checksum.
            Ok(p) => prop_assert!(p == program() && !cut || b.len() + 64 > bytes().len()),
        }
    }
}
