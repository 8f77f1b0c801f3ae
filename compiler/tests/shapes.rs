//! Models of real size, from their `config.json` alone.

mod common;

use common::root;
use flightvlm_compiler::graph::{Method, Prune};
use flightvlm_compiler::import::{import, ImportOptions, Model};
use flightvlm_compiler::layout::dram::Space;
use flightvlm_compiler::pipeline::{compile, Options};
use flightvlm_compiler::quant::{Sparsity, Widths};
use flightvlm_hw::config::HwConfig;

fn stats(
    shape: &str,
    config: HwConfig,
    widths: Widths,
    sparsity: Sparsity,
) -> Result<(usize, u64, u64), String> {
    let options = ImportOptions { no_weights: true, ..ImportOptions::default() };
    let model = import(&root().join("tests/data/shapes").join(shape), &options).unwrap();
    let mut o = Options::new(config, 2048);
    (o.storage.widths, o.storage.sparsity, o.no_weights) = (widths, sparsity, true);
    let built = compile(&model, &o).map_err(|d| d.to_string())?.program.unwrap();
    let p = &built.program;
    let channel = u64::from(p.meta.dram.end(Space::Channels)) * 64;
    Ok((p.code_bytes(), p.weight_bytes(), channel))
}

/// LLaMA2-7B with some sizes changed.
fn llama_of(sizes: &[(&str, usize)]) -> Model {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(root().join("tests/data/shapes/llama2-7b/config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (key, value) in sizes {
        config[*key] = (*value).into();
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    import(folder.path(), &ImportOptions { no_weights: true, ..ImportOptions::default() }).unwrap()
}

#[test]
fn one_program_of_16_kib_serves_llava_7b_at_every_length() {
    for (widths, sparsity) in [
        (Widths::Uniform(4), Sparsity::Dense),
        (Widths::Uniform(2), Sparsity::Dense),
        (Widths::Mixed { average_bits: 3.5 }, Sparsity::Dense),
        (Widths::Uniform(4), Sparsity::S2of4),
        (Widths::Uniform(4), Sparsity::S8of16),
    ] {
        let (code_bytes, _, channel_bytes) =
            stats("llava-1.5-7b", HwConfig::u280(), widths, sparsity).unwrap();
        assert!(code_bytes <= 16 << 10, "{widths} {sparsity}: {code_bytes} bytes of code");
        assert!(channel_bytes <= 256 << 20);
    }
}

/// What options add to the 16,208 bytes; each stays small, and is a figure of the README.
#[test]
fn options_make_the_program_of_llava_7b_a_little_longer() {
    let options = ImportOptions { no_weights: true, ..ImportOptions::default() };
    let shape = root().join("tests/data/shapes/llava-1.5-7b");
    let model = import(&shape, &options).unwrap();
    let mask = Some("window=512,sinks=64".parse().unwrap());
    let masked = import(&shape, &ImportOptions { mask, ..options }).unwrap();
    let plain = Options { no_weights: true, ..Options::new(HwConfig::u280(), 2048) };
    let prune = Some(Prune { method: Method::Fastervlm, tokens: 58 });
    for (model, options, bytes) in [
        (&model, plain.clone(), 16_208),
        (&model, Options { kv_bits: 4, ..plain.clone() }, 16_208),
        (&model, Options { wide_inputs: true, ..plain.clone() }, 16_960),
        (&masked, plain.clone(), 16_912),
        (&model, Options { prune, ..plain.clone() }, 20_368),
    ] {
        let program = compile(model, &options).unwrap().program.unwrap().program;
        assert_eq!(program.code_bytes(), bytes, "{options:?}");
    }
}

/// The map says how long the channels' bursts are and how evenly they are filled.
#[test]
fn the_weights_of_a_7b_model_lie_in_long_bursts_in_all_channels_alike() {
    let options = ImportOptions { no_weights: true, ..ImportOptions::default() };
    let model = import(&root().join("tests/data/shapes/llava-1.5-7b"), &options).unwrap();
    let mut o = Options { no_weights: true, ..Options::new(HwConfig::u280(), 2048) };
    o.storage.widths = Widths::Uniform(4);
    let compiled = compile(&model, &o).unwrap();
    let (_, map) = compiled.stages.iter().find(|(name, _)| *name == "map").unwrap();
    let number =
        |line: &str, nth: usize| -> f64 { line.split_whitespace().rev().nth(nth).unwrap().parse().unwrap() };
    let layers: Vec<&str> = map.lines().filter(|line| line.starts_with("language_model.")).collect();
    assert_eq!(layers.len(), 8, "{map}");
    for line in layers {
        assert!(number(line, 0) >= 15.9 && number(line, 1) >= 262_144.0, "{line}");
    }
    let even = "a layer of the language model: 3261440 to 3261440 bytes a channel, 100.0 %";
    assert!(map.contains(even) && map.contains("the output layer: 3110912 to 3161088"), "{map}");
    assert!(compiled.program.unwrap().program.meta.onchip.contains(even));
}

/// LLaVA-NeXT (tiles, learned row ends) and SmolVLM (joined patches, 12,288 columns into the projector).
#[test]
fn models_that_cut_pictures_have_programs() {
    for shape in ["llava-next-7b", "smolvlm-256m"] {
        let w4 = (Widths::Uniform(4), Sparsity::Dense);
        let (code_bytes, weight_bytes, _) = stats(shape, HwConfig::u280(), w4.0, w4.1).unwrap();
        assert!(code_bytes <= 18 << 10, "{shape}: {code_bytes} bytes of code");
        assert!(weight_bytes > 100 << 20, "{shape}: {weight_bytes} bytes of weights");
    }
}

/// FastVLM-0.5B: 44 blocks of convolutions and attention at 1024 x 1024 pixels. Its tower is launched in pieces.
#[test]
fn a_tower_of_convolutions_of_real_size_has_a_program() {
    let w4 = (Widths::Uniform(4), Sparsity::Dense);
    let (code_bytes, weight_bytes, _) = stats("fastvlm-0.5b", HwConfig::u280(), w4.0, w4.1).unwrap();
    assert!(code_bytes <= 64 << 10, "{code_bytes} bytes of code");
    assert!(weight_bytes > 100 << 20, "{weight_bytes} bytes of weights");
    let e = stats("fastvlm-0.5b", HwConfig::sim(), w4.0, w4.1).unwrap_err();
    assert!(e.contains("3 lines of 512 pixels of 96 channels"), "{e}");
}

#[test]
fn what_does_not_fit_says_by_how_much_and_what_would() {
    let half = HwConfig { channel_mib: 128, ..HwConfig::u280() };
    let e = stats("llama2-7b", half.clone(), Widths::Uniform(8), Sparsity::Dense).unwrap_err();
    assert!(e.contains("too many") && e.contains("--weights mixed=4.3"), "{e}");
    // What it proposes fits.
    stats("llama2-7b", half, Widths::Mixed { average_bits: 4.3 }, Sparsity::Dense).unwrap();
}

/// Every memory that is too small is named at once, and nothing is proposed that does not help.
#[test]
fn a_model_of_70b_does_not_fit_on_chip_and_not_in_hbm() {
    let model = llama_of(&[
        ("hidden_size", 8192),
        ("intermediate_size", 28_672),
        ("num_hidden_layers", 80),
        ("num_attention_heads", 64),
        ("num_key_value_heads", 8),
    ]);
    let mut options = Options { no_weights: true, ..Options::new(HwConfig::u280(), 1024) };
    options.storage.widths = Widths::Uniform(4);
    let e = compile(&model, &options).err().expect("refused").to_string();
    assert!(e.contains("scratchpad words, 2176 too many"), "{e}");
    assert!(e.contains("each weight channel") && e.contains("846356480 too many"), "{e}");
    assert!(!e.contains("--max-context") && !e.contains("--weights"), "{e}");
}

/// A context that is too long for the scratchpad: the message says which one is not.
#[test]
fn a_context_that_fits_is_proposed() {
    let small = HwConfig { spad_words: 32_768, ..HwConfig::u280() };
    let options = ImportOptions { no_weights: true, ..ImportOptions::default() };
    let model = import(&root().join("tests/data/shapes/llama2-7b"), &options).unwrap();
    let at = |context| compile(&model, &Options { no_weights: true, ..Options::new(small.clone(), context) });
    let e = at(4096).err().expect("refused").to_string();
    let proposed = e.split("--max-context ").nth(1).expect("a proposal").split(' ').next().unwrap();
    let proposed: usize = proposed.parse().unwrap();
    at(proposed).unwrap();
    assert!(at(proposed + 16).is_err(), "{e}");
}

/// The U55C has no DDR: main memory and the channels share 16 GiB.
#[test]
fn memories_that_share_the_hbm_are_added_up() {
    let mut card = HwConfig::from_toml(include_str!("../../hw/targets/u55c.toml")).unwrap();
    stats("llava-1.5-7b", card.clone(), Widths::Uniform(8), Sparsity::Dense).unwrap();
    card.main_mib = 4096;
    let model = llama_of(&[("num_hidden_layers", 76)]);
    let e = compile(&model, &Options { no_weights: true, ..Options::new(card, 2048) });
    let e = e.err().expect("refused").to_string();
    assert!(e.contains("main memory and 32 channels together") && e.contains("at most 17179869184"), "{e}");
}

#[test]
fn a_sparsity_whose_window_does_not_divide_a_layer_is_refused() {
    let options = ImportOptions { no_weights: true, ..ImportOptions::default() };
    let model = import(&root().join("tests/golden/clip-llama"), &options).unwrap();
    let mut o = Options::new(HwConfig::sim(), 64);
    o.storage.sparsity = Sparsity::S2of16;
    let e = compile(&model, &o).err().expect("refused").to_string();
    assert!(e.contains("whole windows of 128") && e.contains("k_proj"), "{e}");
}

/// QueCC at 7B: one visual token, from 576 patches and four layers' rows.
#[test]
fn a_picture_of_one_token_of_real_size_has_a_program() {
    let w4 = (Widths::Uniform(4), Sparsity::Dense);
    let (code_bytes, weight_bytes, _) = stats("quecc-7b", HwConfig::u280(), w4.0, w4.1).unwrap();
    assert!(code_bytes <= 32 << 10, "{code_bytes} bytes of code");
    assert!(weight_bytes > 3 << 30, "{weight_bytes} bytes of weights");
}
