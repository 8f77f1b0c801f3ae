//! Machines with known contents, and programs run on them.

use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::{assemble, store_code};
use flightvlm_hw::machine::{Bank, Launch, Machine, OnChip, Report};
use flightvlm_rtlsim::{MemoryTiming, RtlConfig, RtlMachine};

/// Units of main memory and of each channel.
pub const UNITS: u32 = 8192;
/// Data begin here in main memory; the code lies below.
pub const DATA_UNIT: u32 = 512;

pub fn configs() -> Vec<HwConfig> {
    let mut all = vec![HwConfig::sim(), HwConfig::mini()];
    if cfg!(feature = "u280") {
        all.push(HwConfig::u280());
    }
    all
}

pub fn erratic(seed: u64) -> MemoryTiming {
    MemoryTiming::Random { seed, latency_cycles_max: 60 }
}

pub fn machine(hw: &HwConfig, memory: MemoryTiming) -> RtlMachine {
    let mut config = RtlConfig::new(hw.clone());
    config.memory = memory;
    config.cycle_limit = 300_000;
    RtlMachine::new(config).expect("the RTL machine starts")
}

pub struct Random(pub u32);

impl Random {
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
    pub fn below(&mut self, limit: u32) -> u32 {
        (self.next() >> 3) % limit
    }
}

/// Main memory behind the code: floats of moderate size, so that sums neither overflow nor vanish;
/// from unit 4096 on small indices.
fn main_data() -> Vec<u8> {
    let mut random = Random(0x1234_5678);
    let word = |i: u32| {
        let x = random.next();
        if i / 16 + DATA_UNIT < 4096 {
            ((x % 4001) as f32 / 500.0 - 4.0).to_bits()
        } else {
            x % 24
        }
    };
    (0..(UNITS - DATA_UNIT) * 16).map(word).flat_map(u32::to_le_bytes).collect()
}

/// Loads the program and all memories.
pub fn load(m: &mut RtlMachine, text: &str) -> Launch {
    m.resize(UNITS, UNITS).expect("resize");
    let insns = assemble(text).expect("test programs assemble");
    let words: Vec<_> = insns.iter().map(|i| i.encode()).collect();
    let code = store_code(&words);
    m.bank(Bank::Main).expect("a bank").fill(0);
    m.write(Bank::Main, 0, &code).expect("code");
    m.write(Bank::Main, u64::from(DATA_UNIT) * 64, &main_data()).expect("data");
    let mut channel = 0;
    while let Ok(bytes) = m.bank(Bank::Channel(channel)) {
        let mut random = Random(0x9abc_def1 + channel);
        bytes.chunks_exact_mut(4).for_each(|w| w.copy_from_slice(&random.next().to_le_bytes()));
        channel += 1;
    }
    let mut args = [0; 16];
    for (i, a) in args.iter_mut().enumerate() {
        *a = 3 + i as u32;
    }
    Launch {
        code_base_units: 0,
        code_units: code.len().div_ceil(64) as u32,
        code_len: words.len() as u32,
        entry: 0,
        args,
        watchdog_cycles: 3000,
    }
}

pub fn run(m: &mut RtlMachine, text: &str) -> Report {
    let launch = load(m, text);
    m.record(true);
    m.launch(&launch).expect("launch")
}

/// What a program leaves behind.
#[derive(PartialEq)]
pub struct State {
    pub chip: OnChip,
    pub main: Vec<u8>,
    pub channels: Vec<Vec<u8>>,
}

impl State {
    pub fn of(m: &mut RtlMachine, hw: &HwConfig) -> State {
        State {
            chip: m.on_chip().expect("backdoor"),
            main: m.bank(Bank::Main).expect("main").clone(),
            channels: (0..hw.slices).map(|c| m.bank(Bank::Channel(c)).expect("channel").clone()).collect(),
        }
    }

    /// Where the other differs first.
    pub fn difference(&self, other: &State) -> Option<String> {
        fn first<T: PartialEq>(name: &str, a: &[T], b: &[T]) -> Option<String> {
            assert_eq!(a.len(), b.len());
            let at = a.iter().zip(b).position(|(a, b)| a != b)?;
            Some(format!("{name} differs at {at} ({at:#x})"))
        }
        let chip = first("S", &self.chip.s, &other.chip.s)
            .or_else(|| first("SPAD", &self.chip.spad, &other.chip.spad))
            .or_else(|| first("ABUF", &self.chip.abuf, &other.chip.abuf))
            .or_else(|| first("R", &self.chip.r, &other.chip.r))
            .or_else(|| first("main memory", &self.main, &other.main));
        let channels = self.channels.iter().zip(&other.channels).enumerate();
        chip.or_else(|| channels.into_iter().find_map(|(i, (a, b))| first(&format!("channel {i}"), a, b)))
    }
}

/// Runs a program that ends without a fault, under the configuration's memory timing and two erratic
/// ones; the state and the work counters must be the same.
pub fn same(hw: &HwConfig, text: &str) -> (Report, State) {
    let mut first: Option<(Report, State)> = None;
    for timing in [MemoryTiming::Config, erratic(1), erratic(2)] {
        let mut m = machine(hw, timing);
        let report = run(&mut m, text);
        assert_eq!(report.fault, None, "{}, {timing:?}", hw.name);
        let state = State::of(&mut m, hw);
        let Some((expected, before)) = &first else {
            first = Some((report, state));
            continue;
        };
        assert_eq!(before.difference(&state), None, "{}, {timing:?}", hw.name);
        let pcs = |r: &Report| r.retired.clone().map(|v| v.iter().map(|x| x.pc).collect::<Vec<_>>());
        assert_eq!(pcs(&report), pcs(expected), "{}, {timing:?}", hw.name);
        let work = |r: &Report| {
            let c = r.counters;
            let beats = [c.read_beats, c.write_beats, c.channel_read_beats, c.channel_write_beats];
            (c.dispatched, c.retired, beats, c.mac_beats)
        };
        assert_eq!(work(&report), work(expected), "{}, {timing:?}", hw.name);
    }
    first.expect("three runs")
}
