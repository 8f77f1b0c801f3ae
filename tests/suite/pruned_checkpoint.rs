//! `--sparsity auto`: a checkpoint that was pruned elsewhere is stored in the pattern of its zeros, kind by kind,
//! and loses nothing by it.

use crate::assets::{cosine, demo, device, iss, path, rtl};
use crate::formats::logits;
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::quant::{Spec, Widths};
use flightvlm_hw::config::HwConfig;
use safetensors::SafeTensors;
use std::path::Path;

/// The demo model with bfloat16 weights set to zero: all but the first `n` of each `m` inputs, where `which` has a
/// tensor's name.
fn prune(to: &Path, which: &dyn Fn(&str) -> Option<(usize, usize)>) {
    let from = path("models/emoji-llava");
    for entry in std::fs::read_dir(&from).expect("the demo model") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copies");
        }
    }
    let file = to.join("model.safetensors");
    let mut bytes = std::fs::read(&file).expect("weights");
    let ranges: Vec<(std::ops::Range<usize>, usize, (usize, usize))> = {
        let start = bytes.as_ptr() as usize;
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        let place = |(name, tensor): (String, safetensors::tensor::TensorView<'_>)| {
            let pattern = which(&name)?;
            let at = tensor.data().as_ptr() as usize - start;
            Some((at..at + tensor.data().len(), tensor.shape()[1], pattern))
        };
        tensors.tensors().into_iter().filter_map(place).collect()
    };
    assert!(!ranges.is_empty());
    for (range, cols, (n, m)) in ranges {
        for row in bytes[range].chunks_mut(2 * cols) {
            row.chunks_mut(2 * m).for_each(|block| block[2 * n..].fill(0));
        }
    }
    std::fs::write(&file, bytes).expect("writes");
}

fn detecting(target: HwConfig, widths: Widths) -> LoadOptions {
    LoadOptions { target, storage: Spec::dense(widths), detect_sparsity: true, ..LoadOptions::default() }
}

#[test]
fn zeros_of_a_checkpoint_are_found_and_left_out() {
    let folder = tempfile::tempdir().expect("folder");
    prune(folder.path(), &|name| {
        let kind = |part: &str| name.starts_with("language_model.model.layers") && name.contains(part);
        match () {
            () if kind("q_proj") => Some((4, 16)),
            // 8 neighbours stay: no 2:4.
            () if kind("o_proj") => Some((8, 16)),
            () if kind("gate_proj") || kind("up_proj") => Some((2, 4)),
            // One layer of several is not enough.
            () if name.contains("layers.1.mlp.down_proj") => Some((2, 4)),
            () => None,
        }
    });
    for target in [HwConfig::sim(), HwConfig::mini()] {
        let source = Source::open(folder.path(), detecting(target, Widths::Uniform(8))).expect("opens");
        let program = source.program().expect("compiles");
        assert_eq!(program.meta.sparsity, "q 4:16, k dense, v dense, o 8:16, up 2:4, down dense");
        let a = logits(&mut device(&source, "iss", iss(program)), &source);
        let b = logits(&mut device(&source, "rtl", rtl(program)), &source);
        assert!(a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| x.to_bits() == y.to_bits()));
        let mut eval = flightvlm::device::open("eval", &source).expect("eval opens");
        let same = cosine(&a, &logits(eval.as_mut(), &source));
        assert!(same > 0.995, "nothing but zeros may be dropped: cosine {same}");
        let dense = Source::open(folder.path(), LoadOptions::default()).expect("opens");
        let bytes = |s: &Source| s.program().expect("compiles").weight_bytes();
        assert!(bytes(&source) < bytes(&dense));
    }
}

#[test]
fn a_dense_checkpoint_stays_dense() {
    let source = Source::open(demo().path(), detecting(HwConfig::sim(), Widths::Uniform(4))).expect("opens");
    assert_eq!(source.program().expect("compiles").meta.sparsity, "dense");
}
