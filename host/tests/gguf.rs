//! A GGUF file as llama.cpp's converter writes it from a golden checkpoint: the same bits come out of the
//! simulator as from the checkpoint, directly and through `flightvlm import`.

use flightvlm::device::{Device, Logits, ProgramDevice};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_iss::Iss;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use std::process::Command;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

fn text(out: &mut Vec<u8>, value: &str) {
    out.extend((value.len() as u64).to_le_bytes());
    out.extend(value.as_bytes());
}

fn number(out: &mut Vec<u8>, key: &str, value: u32) {
    const UINT32: u32 = 4;
    text(out, key);
    out.extend(UINT32.to_le_bytes());
    out.extend(value.to_le_bytes());
}

fn float(out: &mut Vec<u8>, key: &str, value: f32) {
    const FLOAT32: u32 = 6;
    text(out, key);
    out.extend(FLOAT32.to_le_bytes());
    out.extend(value.to_le_bytes());
}

/// The name inside a GGUF file.
fn gguf_name(name: &str) -> String {
    let mut name = name.replace("model.layers.", "blk.");
    for (from, to) in [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ] {
        name = name.replace(from, to);
    }
    name
}

/// Rows of the two halves of each head, interleaved.
fn interleaved(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let (row_bytes, half) = (bytes.len() / rows, rows / heads / 2);
    let from = |row: usize| row / (2 * half) * 2 * half + row % 2 * half + row % (2 * half) / 2;
    (0..rows).flat_map(|row| &bytes[from(row) * row_bytes..][..row_bytes]).copied().collect()
}

/// The golden `llama` (head columns 10, 4 query and 2 key heads) as one file.
fn write_gguf(path: &Path) {
    let file = std::fs::read(golden("llama").join("model.safetensors")).expect("the golden");
    let tensors = SafeTensors::deserialize(&file).expect("safetensors");
    let (mut keys, mut count) = (Vec::new(), 0u64);
    text(&mut keys, "general.architecture");
    keys.extend(8u32.to_le_bytes());
    text(&mut keys, "llama");
    count += 1;
    for (key, value) in [
        ("embedding_length", 40),
        ("feed_forward_length", 56),
        ("block_count", 2),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("attention.key_length", 10),
        ("rope.dimension_count", 10),
        ("context_length", 128),
        ("vocab_size", 128),
    ] {
        number(&mut keys, &format!("llama.{key}"), value);
        count += 1;
    }
    float(&mut keys, "llama.attention.layer_norm_rms_epsilon", 1e-6);
    float(&mut keys, "llama.rope.freq_base", 10_000.0);
    count += 2;
    let (mut described, mut data) = (Vec::new(), Vec::new());
    for (name, view) in tensors.iter() {
        let shape = view.shape();
        let bytes = match name {
            n if n.ends_with("q_proj.weight") => interleaved(view.data(), shape[0], 4),
            n if n.ends_with("k_proj.weight") => interleaved(view.data(), shape[0], 2),
            _ => view.data().to_vec(),
        };
        text(&mut described, &gguf_name(name));
        described.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|extent| described.extend((*extent as u64).to_le_bytes()));
        described.extend(0u32.to_le_bytes());
        described.extend((data.len() as u64).to_le_bytes());
        data.extend(bytes);
        data.resize(data.len().next_multiple_of(32), 0);
    }
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(keys);
    out.extend(described);
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    std::fs::write(path, out).expect("a file");
}

/// Logits of a prompt on the simulator, and the greedy token.
fn run(model: &Path) -> (Vec<u32>, u32) {
    let source = Source::open(model, LoadOptions::default()).expect("opens");
    let program = source.program().expect("compiles");
    let machine = Box::new(Iss::new(program.meta.config.clone()));
    let mut d = ProgramDevice::new("iss", program, machine, source.info().expect("facts")).expect("loads");
    d.begin().expect("an empty context");
    let ids: Vec<u32> = (0..21).map(|i| 3 + i * 37 % 120).collect();
    let out = d.prefill(&ids, &[], Logits::AllRows).expect("prefill");
    assert!(out.logits.iter().all(|x| x.is_finite()));
    (out.logits.iter().map(|x| x.to_bits()).collect(), out.greedy_token)
}

#[test]
fn a_gguf_file_gives_the_bits_of_its_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("llama.gguf");
    write_gguf(&file);
    let expected = run(&golden("llama"));
    assert!(run(&file) == expected, "the file itself");
    let imported = folder.path().join("imported");
    let output = Command::new(env!("CARGO_BIN_EXE_flightvlm"))
        .args([Path::new("import"), &file, Path::new("-o"), &imported])
        .output()
        .expect("start");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(run(&imported) == expected, "the folder made by import");
}
