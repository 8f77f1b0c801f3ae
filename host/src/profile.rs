//! What a model would take on a target: the program's launches on the timing model of the
//! instruction-level simulator, without weights and without data.
//!
//! Every number is simulated. Decode steps are simulated at a few positions and interpolated between
//! them: a step's time is affine in the number of key/value tiles, so little is lost.

use flightvlm_compiler::codegen::{logits, text_args, vision_args};
use flightvlm_compiler::graph::{Arrange, Picture, PositionTable, Tile};
use flightvlm_compiler::layout::dram::{Kind, Space};
use flightvlm_compiler::program::{Program, CODE_REGION};
use flightvlm_hw::config::{HwConfig, MemoryTiming, UNIT_BYTES};
use flightvlm_hw::machine::{Counters, Launch, Machine, MachineError};
use flightvlm_iss::Iss;
use serde::Serialize;

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Text tokens of the prompt.
    pub prompt_tokens: usize,
    /// Pictures.
    pub images: usize,
    /// Visual tokens of each picture that enter the prompt; `None`: all.
    pub visual_tokens: Option<usize>,
    /// Tokens to generate.
    pub new_tokens: usize,
}

/// One phase, summed over its launches.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Phase {
    /// Launches simulated.
    pub launches: usize,
    /// Cycles.
    pub cycles: u64,
    /// Milliseconds at the target's clock.
    pub ms: f64,
    /// Bytes from and to the weight channels.
    pub channel_bytes: u64,
    /// Bytes from and to main memory.
    pub main_bytes: u64,
    /// Multiply-accumulates of the array.
    pub macs: u64,
    /// Share of the array's peak.
    pub mac_utilization: f64,
    /// Share of the channels' peak bandwidth.
    pub hbm_utilization: f64,
    /// Unit that is busy longest, with its share of the time.
    pub limit: String,
    /// Cycles in which ld, st, mm, vx executed a command.
    pub busy_cycles: [u64; 4],
    /// Of mm's: waiting for weights.
    pub starved_cycles: u64,
}

/// A decode step at a position.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Positions in the cache before it.
    pub position: usize,
    /// Cycles.
    pub cycles: u64,
}

/// The result. Field names of the contract are in the command's JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// Vision tower and projector, all pictures.
    pub vision: Phase,
    /// The prompt.
    pub prefill: Phase,
    /// All decode steps, interpolated.
    pub decode: Phase,
    /// The steps that were simulated.
    pub steps: Vec<Step>,
    /// Visual tokens of the prompt.
    pub visual_tokens: usize,
    /// Bytes of weights and cache a decode step reads, at the middle of the answer.
    pub hbm_bytes_per_token: u64,
}

/// Most decode steps that are simulated.
const STEPS: usize = 5;

/// Peak bandwidth of all channels, bytes per second.
pub fn channel_peak(c: &HwConfig) -> f64 {
    let port = f64::from(c.clock_mhz) * 1e6 * UNIT_BYTES as f64;
    let channel = match c.memory {
        // Two transfers of 8 bytes a cycle.
        MemoryTiming::Hbm { memory_mhz, .. } => f64::from(memory_mhz) * 1e6 * 16.0,
        MemoryTiming::Fixed { .. } => port,
    };
    channel * f64::from(c.slices)
}

/// Multiply-accumulates of the whole array in a cycle: 16 outputs × 16 inputs × 2 rows a slice.
pub fn peak_macs_per_cycle(c: &HwConfig) -> f64 {
    f64::from(c.slices) * 512.0
}

/// DSP slices of the array: double-pumped, two products each.
pub fn array_dsps(c: &HwConfig) -> u32 {
    c.slices * 128
}

struct Runner<'p> {
    program: &'p Program,
    machine: Iss,
}

impl Runner<'_> {
    fn launch(&mut self, entry: u32, args: &[(usize, u32)]) -> Result<Counters, MachineError> {
        let meta = &self.program.meta;
        let code = meta.dram.get(CODE_REGION).expect("invariant: verified when made");
        let mut launch = Launch {
            code_base_units: code.base,
            code_units: (self.program.code.len() / UNIT_BYTES) as u32,
            code_len: meta.code_len,
            entry,
            args: [0; 16],
            watchdog_cycles: 1 << 24,
        };
        for (index, value) in args {
            launch.args[*index] = *value;
        }
        let report = self.machine.launch(&launch)?;
        match report.fault {
            Some(fault) => Err(MachineError(format!("{fault}; it computes {}", meta.part(fault.pc)))),
            None => Ok(report.counters),
        }
    }

    fn text(&mut self, position: usize, rows: usize) -> Result<Counters, MachineError> {
        let args = [
            (text_args::POSITION, position as u32),
            (text_args::ROWS, rows as u32),
            (text_args::LOGITS, logits::NONE),
        ];
        self.launch(self.program.meta.text.entry, &args)
    }
}

/// Runs the workload; the program may be compiled without weights.
pub fn profile(program: &Program, w: &Workload) -> Result<Profile, MachineError> {
    let meta = &program.meta;
    let config = &meta.config;
    let mut machine = Iss::timing_only(config.clone());
    machine.resize(meta.dram.end(Space::Main), meta.dram.end(Space::Channels))?;
    let code = meta.dram.get(CODE_REGION).expect("invariant: verified when made");
    debug_assert_eq!(code.kind, Kind::Content);
    machine.write(
        flightvlm_hw::machine::Bank::Main,
        u64::from(code.base) * UNIT_BYTES as u64,
        &program.code,
    )?;
    let mut run = Runner { program, machine };
    let mut vision = Phase::default();
    let mut visual_tokens = 0;
    if let Some(v) = meta.vision.as_ref().filter(|_| w.images > 0) {
        let p = typical_picture(program);
        let args =
            [(vision_args::FIRST_TOKEN, 0), (vision_args::ROWS, p.rows), (vision_args::TOKENS, p.tokens)];
        let counters = run.launch(v.entry, &args)?;
        for _ in 0..w.images * p.tiles {
            vision.add(&counters);
        }
        vision.launches = 1;
        visual_tokens = w.images * w.visual_tokens.unwrap_or(p.placeholders).min(p.placeholders);
    }
    let rows = w.prompt_tokens + visual_tokens;
    let mut prefill = Phase::default();
    prefill.add(&run.text(0, rows)?);
    let (mut steps, mut decode) = (Vec::new(), Phase::default());
    let count = w.new_tokens.saturating_sub(1);
    let mut middle = 0;
    if count > 0 {
        let samples = count.min(STEPS);
        let at = |i: usize| if samples == 1 { 0 } else { i * (count - 1) / (samples - 1) };
        let mut sampled = Vec::new();
        for i in 0..samples {
            let position = rows + at(i);
            let c = run.text(position, 1)?;
            steps.push(Step { position, cycles: c.cycles });
            sampled.push((at(i), c));
        }
        for step in 0..count {
            let next = sampled.iter().position(|(i, _)| *i >= step).unwrap_or(samples - 1);
            let (b, hi) = &sampled[next];
            let (a, lo) = &sampled[next.saturating_sub(1)];
            let share = if b == a { 0.0 } else { (step - a) as f64 / (b - a) as f64 };
            decode.add(&interpolate(lo, hi, share));
        }
        decode.launches = samples;
        middle = sampled[samples / 2].1.channel_read_beats * UNIT_BYTES as u64;
    }
    for p in [&mut vision, &mut prefill, &mut decode] {
        p.finish(config);
    }
    Ok(Profile { vision, prefill, decode, steps, visual_tokens, hbm_bytes_per_token: middle })
}

/// A picture of the usual size: tiles, their rows in the tower and tokens, and placeholders in all.
#[derive(Debug, Clone, Copy)]
pub struct TypicalPicture {
    /// Runs of the tower.
    pub tiles: usize,
    /// Rows of each.
    pub rows: u32,
    /// Tokens of each.
    pub tokens: u32,
    /// Placeholders of the prompt.
    pub placeholders: usize,
}

/// What a square picture of the size that the model was made for becomes: one tile, or 2 x 2 and the
/// thumbnail where pictures are cut. Zeros for models without a tower.
pub fn typical_picture(program: &Program) -> TypicalPicture {
    let none = TypicalPicture { tiles: 0, rows: 0, tokens: 0, placeholders: 0 };
    let Some(spec) = &program.meta.model.vision else { return none };
    let grid = match spec.positions {
        PositionTable::Learned { .. } => spec.full_grid(),
        PositionTable::Rotary => spec.full_grid().map(|n| n / spec.merge * spec.merge),
    };
    let (rows, tokens) = (grid[0] * grid[1] + usize::from(spec.has_class), spec.tokens(grid));
    let (tiles, placeholders) = match &spec.arrange {
        Arrange::Tiles => (1, tokens),
        Arrange::AnyResolution { .. } => {
            let size = [2 * spec.image_size; 2];
            let tiles = vec![Tile { grid, rows: Vec::new() }; spec.tiles_of_picture(size)];
            let rows = Picture::arranged(spec, tiles, size).map_or(0, |p| p.rows.len());
            (spec.tiles_of_picture(size), rows)
        }
    };
    TypicalPicture { tiles, rows: rows as u32, tokens: tokens as u32, placeholders }
}

/// Counters between two steps.
fn interpolate(a: &Counters, b: &Counters, share: f64) -> Counters {
    let mix = |x: u64, y: u64| (x as f64 + (y as f64 - x as f64) * share).round() as u64;
    Counters {
        cycles: mix(a.cycles, b.cycles),
        dispatched: mix(a.dispatched, b.dispatched),
        retired: std::array::from_fn(|u| mix(a.retired[u], b.retired[u])),
        busy_cycles: std::array::from_fn(|u| mix(a.busy_cycles[u], b.busy_cycles[u])),
        wait_cycles: std::array::from_fn(|u| mix(a.wait_cycles[u], b.wait_cycles[u])),
        read_beats: mix(a.read_beats, b.read_beats),
        write_beats: mix(a.write_beats, b.write_beats),
        channel_read_beats: mix(a.channel_read_beats, b.channel_read_beats),
        channel_write_beats: mix(a.channel_write_beats, b.channel_write_beats),
        mac_beats: mix(a.mac_beats, b.mac_beats),
        starved_cycles: mix(a.starved_cycles, b.starved_cycles),
    }
}

impl Phase {
    fn add(&mut self, c: &Counters) {
        self.launches += 1;
        self.cycles += c.cycles;
        self.channel_bytes += (c.channel_read_beats + c.channel_write_beats) * UNIT_BYTES as u64;
        self.main_bytes += (c.read_beats + c.write_beats) * UNIT_BYTES as u64;
        self.macs += c.mac_beats * 256;
        self.busy_cycles.iter_mut().zip(c.busy_cycles).for_each(|(b, c)| *b += c);
        self.starved_cycles += c.starved_cycles;
    }

    fn finish(&mut self, config: &HwConfig) {
        let cycles = self.cycles.max(1) as f64;
        let seconds = cycles / (f64::from(config.clock_mhz) * 1e6);
        self.ms = self.cycles as f64 / f64::from(config.clock_mhz) / 1e3;
        self.mac_utilization = self.macs as f64 / (cycles * peak_macs_per_cycle(config));
        self.hbm_utilization = self.channel_bytes as f64 / seconds / channel_peak(config);
        let [_, st, mm, vx] = self.busy_cycles;
        let shares = [
            ("memory channels", self.hbm_utilization),
            ("matrix unit", mm.saturating_sub(self.starved_cycles) as f64 / cycles),
            ("vector unit", vx as f64 / cycles),
            ("stores", st as f64 / cycles),
        ];
        let longest = shares.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("invariant: four shares");
        self.limit = format!("{} ({:.0} % of the time)", longest.0, 100.0 * longest.1);
    }
}
