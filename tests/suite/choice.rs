//! Which visual tokens stay, chosen on the machine: over scores that nobody's attention gives, the same as the reference's
//! choice, whatever ties there are, with and without a class row, of joined patches, and of pictures that do not show all.

use crate::assets::{iss, path};
use flightvlm::source::{LoadOptions, Source};
use flightvlm_compiler::codegen::{group_args, GROUPS_REGION, NOT_SHOWN, READ_OUT_REGION, SHOWN_REGION};
use flightvlm_compiler::graph::{Method, Picture, Prune, ReadOut, Tile, VisionSpec};
use flightvlm_compiler::layout::dram::Space;
use flightvlm_compiler::program::{Program, CODE_REGION};
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::machine::{Bank, Machine};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A model whose tiles have `side` pixels, without weights.
fn source(model: &str, side: usize, target: HwConfig) -> Source {
    let text = std::fs::read_to_string(path(&format!("golden/{model}/config.json"))).expect("a config");
    let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let size = &mut config["vision_config"]["image_size"];
    *size = if size.is_array() { serde_json::json!([side, side]) } else { serde_json::json!(side) };
    config["text_config"]["max_position_embeddings"] = serde_json::json!(1024);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    let prune = Some(Some(Prune { method: Method::Fastervlm, tokens: 1 }));
    let options = LoadOptions { no_weights: true, prune, target, ..LoadOptions::default() };
    let source = Source::open(folder.path(), options).expect("opens");
    source.program().expect("compiles");
    source
}

/// Scores of some kind: of any size, few different ones, all the same, many zeros, or next to each other.
fn scores(rng: &mut ChaCha8Rng, rows: usize) -> Vec<f32> {
    let kind = rng.random_range(0..6);
    let mut score = || match kind {
        // Zero, or of exponents that the hardware knows.
        0 => f32::from_bits(rng.random_range(2u32 << 23..147 << 23)),
        1 => rng.random_range(0..3) as f32 / 8.0,
        2 => 0.25,
        3 => [0.0, 0.0, 0.0, rng.random_range(0.0..1.0)][rng.random_range(0..4)],
        4 => f32::from_bits((2 << 23) + rng.random_range(0..4)),
        _ => rng.random_range(0.0..1.0),
    };
    (0..rows).map(|_| score()).collect()
}

/// A program's code and regions on a machine.
struct Rig<'p> {
    p: &'p Program,
    machine: Box<dyn Machine>,
}

impl<'p> Rig<'p> {
    fn new(p: &'p Program) -> Rig<'p> {
        let mut machine = iss(p);
        machine.resize(p.meta.dram.end(Space::Main), p.meta.dram.end(Space::Channels)).expect("room");
        let mut rig = Rig { p, machine };
        rig.write(CODE_REGION, &p.code);
        rig
    }

    fn at(&self, region: &str) -> u64 {
        u64::from(self.p.meta.dram.get(region).expect("there").base) * UNIT_BYTES as u64
    }

    fn write(&mut self, region: &str, bytes: &[u8]) {
        let at = self.at(region);
        self.machine.write(Bank::Main, at, bytes).expect("fits");
    }

    fn write_floats(&mut self, region: &str, row: &[f32]) {
        self.write(region, &row.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
    }

    /// Numbers of the list that the launches for `budget` of `tokens` read, with what each counts.
    fn choose(&mut self, budget: usize, tokens: usize) -> Vec<(usize, f32)> {
        let g = self.p.meta.vision.as_ref().and_then(|v| v.groups.clone()).expect("groups");
        let round_bytes = group_args::round_units(g.rows) * UNIT_BYTES;
        let mut out = Vec::new();
        for first in (0..budget).step_by(g.rows) {
            let mut launch = self.p.launch(g.entry, 65_536);
            for (index, value) in group_args::of_best(first, (budget, tokens), g.rows, 0) {
                launch.args[index] = value;
            }
            let report = self.machine.launch(&launch).expect("runs");
            assert_eq!(report.fault, None);
            let mut bytes = vec![0; round_bytes];
            let at = self.at(GROUPS_REGION) + (first / g.rows * round_bytes) as u64;
            self.machine.read(Bank::Main, at, &mut bytes).expect("read");
            let word = |at: usize| u32::from_le_bytes(bytes[4 * at..][..4].try_into().expect("four bytes"));
            let rows = 0..g.rows.min(budget - first);
            out.extend(rows.map(|at| (word(at) as usize, f32::from_bits(word(g.rows + at)))));
        }
        out
    }
}

/// Compares one choice; gives how many scores equal the lowest one that stays.
fn compare(rig: &mut Rig<'_>, spec: &VisionSpec, rng: &mut ChaCha8Rng) -> usize {
    let grid = spec.full_grid();
    let rows = grid[0] * grid[1] + usize::from(spec.has_class);
    let mut last = scores(rng, rows);
    if spec.skip_rows > 0 {
        last[0] = 1e6; // the class row itself is no token
    }
    let tile = Tile { grid, rows: Vec::new() };
    let mut picture = Picture::of_tiles(spec, vec![tile]);
    let tokens = picture.rows.len();
    if rng.random_bool(0.5) {
        let hidden = rng.random_range(0..picture.rows.len());
        for _ in 0..hidden {
            picture.rows.remove(rng.random_range(0..picture.rows.len()));
        }
    }
    let candidates = picture.candidates(0);
    let budget = match rng.random_range(0..8) {
        0 => candidates.len(),
        1 => 1,
        _ => rng.random_range(1..=candidates.len()),
    };
    picture.prune = Some(Prune { method: Method::Fastervlm, tokens: budget });
    let mut shown = vec![NOT_SHOWN; tokens];
    candidates.iter().for_each(|token| shown[*token] = 0.0);
    rig.write_floats(READ_OUT_REGION, &last);
    rig.write_floats(SHOWN_REGION, &shown);
    let chosen = rig.choose(budget, tokens);
    let read = ReadOut { last: last.clone(), ..ReadOut::default() };
    let expected: Vec<usize> =
        picture.groups(spec, 0, &[read]).into_iter().map(|group| group.token).collect();
    assert_eq!(expected.len(), budget);
    assert_eq!(
        chosen.iter().map(|(token, _)| *token).collect::<Vec<_>>(),
        expected,
        "{budget} of {candidates:?} by {last:?}"
    );
    assert!(chosen.iter().all(|(_, weight)| *weight == 1.0));
    let mut distinct: Vec<u32> = last.iter().map(|x| x.to_bits()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    rows - distinct.len()
}

/// Tiles of 529 tokens (parts and launches of several), 169 behind a class row, 5 with the class row among them, and 100
/// and 49 of joined patches, the former behind a class row.
#[test]
fn the_machine_chooses_what_the_reference_does() {
    for (model, side, target, tokens, cases) in [
        ("siglip-llama", 138, HwConfig::mini(), 529, 200),
        ("clip-qwen2", 104, HwConfig::sim(), 169, 200),
        ("clip-llama-full", 16, HwConfig::u280(), 5, 200),
        ("internvl", 120, HwConfig::sim(), 100, 200),
        ("smolvlm", 126, HwConfig::mini(), 49, 200),
    ] {
        let source = source(model, side, target);
        let spec = source.spec().expect("facts").vision.clone().expect("a tower");
        assert_eq!(spec.tokens(spec.full_grid()), tokens, "{model}");
        let mut rig = Rig::new(source.program().expect("compiles"));
        let mut rng = ChaCha8Rng::seed_from_u64(tokens as u64);
        let ties: usize = (0..cases).map(|_| compare(&mut rig, &spec, &mut rng)).sum();
        assert!(ties > cases * tokens / 10, "{model}: {ties} ties in {cases} cases");
    }
}
