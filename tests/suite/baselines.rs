//! Cycles of the timing model, kept in `baselines/cycles.txt`: a change shows in a diff.

use crate::assets::{demo_with, path};
use flightvlm::source::LoadOptions;
use flightvlm_compiler::codegen::{logits, text_args, vision_args};
use flightvlm_compiler::import::{import, ImportOptions};
use flightvlm_compiler::layout::dram::Space;
use flightvlm_compiler::pipeline::{compile, Options};
use flightvlm_compiler::program::{Program, CODE_REGION};
use flightvlm_compiler::quant::{Sparsity, Widths};
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::machine::{Bank, Machine};
use flightvlm_iss::Iss;
use std::fmt::Write as _;

const FILE: &str = "baselines/cycles.txt";
const UPDATE: &str = "FLIGHTVLM_UPDATE_BASELINES";

/// A program on the timing model without data.
struct Timing<'p> {
    program: &'p Program,
    machine: Iss,
}

impl Timing<'_> {
    fn new(program: &Program) -> Timing<'_> {
        let meta = &program.meta;
        let mut machine = Iss::timing_only(meta.config.clone());
        machine.resize(meta.dram.end(Space::Main), meta.dram.end(Space::Channels)).expect("fits");
        let code = meta.dram.get(CODE_REGION).expect("code has a place");
        machine.write(Bank::Main, u64::from(code.base) * UNIT_BYTES as u64, &program.code).expect("loads");
        Timing { program, machine }
    }

    fn cycles(&mut self, entry: u32, args: &[(usize, u32)]) -> u64 {
        let mut launch = self.program.launch(entry, 1 << 24);
        args.iter().for_each(|(i, v)| launch.args[*i] = *v);
        let report = self.machine.launch(&launch).expect("runs");
        assert_eq!(report.fault, None);
        report.counters.cycles
    }

    /// `rows` tokens behind `position`, no logits wanted.
    fn text(&mut self, position: u32, rows: u32) -> u64 {
        let args =
            [(text_args::POSITION, position), (text_args::ROWS, rows), (text_args::LOGITS, logits::NONE)];
        self.cycles(self.program.meta.text.entry, &args)
    }
}

/// The table as it is now: demo model on the targets that are verilated, models of real size on u280.
fn measured() -> String {
    let mut out = String::new();
    for target in [HwConfig::sim(), HwConfig::mini()] {
        let name = target.name.clone();
        let source = demo_with(LoadOptions { target, ..LoadOptions::default() });
        let program = source.program().expect("the demo model compiles");
        let mut t = Timing::new(program);
        let v = program.meta.vision.as_ref().expect("it has a vision tower");
        let picture = flightvlm::profile::typical_picture(program, None);
        let args = [
            (vision_args::FIRST_TOKEN, 0),
            (vision_args::ROWS, picture.rows),
            (vision_args::TOKENS, picture.tokens),
        ];
        let _ = writeln!(out, "demo {name} vision {}", t.cycles(v.entry, &args));
        let _ = writeln!(out, "demo {name} prefill 47 {}", t.text(0, 47));
        let _ = writeln!(out, "demo {name} decode at 47 {}", t.text(47, 1));
    }
    let options = ImportOptions { no_weights: true, ..ImportOptions::default() };
    for shape in ["llama2-7b", "llava-1.5-7b"] {
        let model = import(&path("data/shapes").join(shape), &options).expect("the shape imports");
        for (widths, sparsity) in [
            (Widths::Uniform(4), Sparsity::Dense),
            (Widths::Uniform(2), Sparsity::Dense),
            (Widths::Uniform(4), Sparsity::S2of4),
        ] {
            let mut o = Options::new(HwConfig::u280(), 2048);
            (o.storage.widths, o.storage.sparsity, o.no_weights) = (widths, sparsity, true);
            let built = compile(&model, &o).expect("compiles").program.expect("is whole");
            let mut t = Timing::new(&built.program);
            let what = format!("{shape} u280 {widths} {sparsity}");
            if widths == Widths::Uniform(4) {
                let _ = writeln!(out, "{what} prefill 32 {}", t.text(0, 32));
            }
            let _ = writeln!(out, "{what} decode at 512 {}", t.text(512, 1));
        }
    }
    out
}

#[test]
fn cycle_baselines() {
    let (now, file) = (measured(), path(FILE));
    if std::env::var_os(UPDATE).is_some() {
        return std::fs::write(&file, now).expect("the baselines can be written");
    }
    let then = std::fs::read_to_string(&file).expect("baselines are in git");
    let changed: Vec<String> = then
        .lines()
        .map(Some)
        .chain(std::iter::repeat(None))
        .zip(now.lines().map(Some).chain(std::iter::repeat(None)))
        .take_while(|(a, b)| a.is_some() || b.is_some())
        .filter(|(a, b)| a != b)
        .map(|(a, b)| format!("  {} -> {}", a.unwrap_or("none"), b.unwrap_or("none")))
        .collect();
    assert!(
        changed.is_empty(),
        "cycles differ from tests/{FILE}:\n{}\nif that is meant: {UPDATE}=1 cargo test --release -p \
         flightvlm-tests --test suite cycle_baselines, and commit the file",
        changed.join("\n")
    );
}
