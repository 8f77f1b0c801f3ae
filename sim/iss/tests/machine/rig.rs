//! A machine with known contents, and programs given as text.

use flightvlm_hw::config::{HwConfig, MemoryTiming, UNIT_BYTES};
use flightvlm_hw::isa::{assemble, store_code};
use flightvlm_hw::machine::{Bank, Launch, Machine, Report};
use flightvlm_iss::Iss;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Units of main memory and of each channel; the code has the first ones of main memory.
pub const UNITS: u32 = 8192;
pub const CODE_UNITS: u32 = 512;
/// Latencies of `fixed`.
pub const READ: u64 = 40;
pub const WRITE: u64 = 20;

/// A configuration with memories of fixed latency.
pub fn fixed(mut c: HwConfig) -> HwConfig {
    c.memory = MemoryTiming::Fixed { read_latency_cycles: READ as u32, write_latency_cycles: WRITE as u32 };
    c
}

/// Contents of a bank: random bytes; in main memory behind the code, floats around one.
pub fn contents(bank: Bank) -> Vec<u8> {
    let seed = match bank {
        Bank::Main => 99,
        Bank::Channel(c) => u64::from(c),
    };
    let mut bytes = vec![0; UNITS as usize * UNIT_BYTES];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    if bank == Bank::Main {
        bytes[..CODE_UNITS as usize * UNIT_BYTES].fill(0);
        for float in bytes[CODE_UNITS as usize * UNIT_BYTES..].chunks_exact_mut(4) {
            float[3] = 0x3f | float[3] & 0x80;
        }
    }
    bytes
}

/// Fills the memories.
pub fn fill(m: &mut Iss, c: &HwConfig) {
    m.resize(UNITS, UNITS).expect("memory");
    let banks = (0..c.slices).map(Bank::Channel).chain([Bank::Main]);
    banks.for_each(|b| m.write(b, 0, &contents(b)).expect("written"));
    m.record(true);
}

/// Writes a program and runs it.
pub fn run(m: &mut Iss, text: &str) -> Report {
    let insns = assemble(text).expect("test programs assemble");
    let words: Vec<_> = insns.iter().map(|i| i.encode()).collect();
    let code = store_code(&words);
    m.write(Bank::Main, 0, &code).expect("code");
    let launch = Launch {
        code_base_units: 0,
        code_units: code.len().div_ceil(UNIT_BYTES) as u32,
        code_len: words.len() as u32,
        entry: 0,
        args: [0; 16],
        watchdog_cycles: 3000,
    };
    m.launch(&launch).expect("a launch")
}

/// Bytes of a bank.
pub fn read(m: &mut Iss, bank: Bank) -> Vec<u8> {
    let mut out = vec![0; UNITS as usize * UNIT_BYTES];
    m.read(bank, 0, &mut out).expect("read");
    out
}
