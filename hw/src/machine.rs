//! What a machine that runs programs looks like to software: the ISS, the Verilated RTL and a
//! card implement [`Machine`]; drivers and tests are written against it.

use crate::isa::Unit;

/// Fault codes (`hw/doc/microarchitecture.md` 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FaultCode {
    /// Not a legal instruction.
    Illegal = 1,
    /// SPAD address out of range.
    Spad = 2,
    /// ABUF address out of range.
    Abuf = 3,
    /// S address out of range.
    Smem = 4,
    /// DRAM address out of range.
    Dram = 5,
    /// AXI error response.
    Axi = 6,
    /// No progress.
    Deadlock = 7,
    /// Loop nesting.
    Loop = 8,
    /// pc ran past the code.
    Pc = 9,
    /// A weight tile does not fit the FIFOs.
    Wfifo = 10,
    /// Token counter overflow.
    Token = 11,
    /// Operand value out of range.
    Operand = 12,
}

impl FaultCode {
    /// All codes.
    pub const ALL: [FaultCode; 12] = [
        FaultCode::Illegal,
        FaultCode::Spad,
        FaultCode::Abuf,
        FaultCode::Smem,
        FaultCode::Dram,
        FaultCode::Axi,
        FaultCode::Deadlock,
        FaultCode::Loop,
        FaultCode::Pc,
        FaultCode::Wfifo,
        FaultCode::Token,
        FaultCode::Operand,
    ];
    /// From the STATUS register.
    pub fn from_code(code: u8) -> Option<FaultCode> {
        FaultCode::ALL.into_iter().find(|c| *c as u8 == code)
    }
    /// Upper-case name as in the generated packages.
    pub fn name(self) -> &'static str {
        [
            "ILLEGAL", "SPAD", "ABUF", "SMEM", "DRAM", "AXI", "DEADLOCK", "LOOP", "PC", "WFIFO", "TOKEN",
            "OPERAND",
        ][self as usize - 1]
    }
    /// What it means, for the person who reads the error.
    pub fn meaning(self) -> &'static str {
        [
            "illegal instruction",
            "vector scratchpad address out of range",
            "activation buffer address out of range",
            "scalar memory address out of range",
            "DRAM address out of range",
            "the memory answered with an AXI error",
            "deadlock: nothing moved for the watchdog time",
            "loops nest wrongly",
            "ran past the end of the code",
            "a weight tile does not fit the weight FIFO",
            "token counter overflow",
            "operand value out of range",
        ][self as usize - 1]
    }
}

/// A fault record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub code: FaultCode,
    /// Where.
    pub unit: Unit,
    /// Instruction index in the code.
    pub pc: u32,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Fault { code, unit, pc } = self;
        write!(f, "{} at instruction {pc} ({}): {}", code.name(), unit.name(), code.meaning())
    }
}

/// Arguments of one launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// First main-memory unit of the code.
    pub code_base_units: u32,
    /// Units of the code ([`crate::isa::store_code`], padded to 64 bytes).
    pub code_units: u32,
    /// Instructions.
    pub code_len: u32,
    /// First pc.
    pub entry: u32,
    /// R1..R15 (index 0 is ignored).
    pub args: [u32; 16],
    /// Cycles without progress until fault DEADLOCK.
    pub watchdog_cycles: u32,
}

/// Counters of one launch, as the CSRs give them. Arrays are by unit: ld, st, mm, vx.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Cycles from start to done.
    pub cycles: u64,
    /// Instructions executed by the dispatcher.
    pub dispatched: u64,
    /// Commands completed.
    pub retired: [u64; 4],
    /// Cycles executing.
    pub busy_cycles: [u64; 4],
    /// Cycles waiting for tokens.
    pub wait_cycles: [u64; 4],
    /// Read beats of main memory, 64 bytes each.
    pub read_beats: u64,
    /// Write beats of main memory.
    pub write_beats: u64,
    /// Read beats of all weight channels.
    pub channel_read_beats: u64,
    /// Write beats of all weight channels.
    pub channel_write_beats: u64,
    /// Array beats x rows in use, all slices (256 stored MACs each).
    pub mac_beats: u64,
    /// Cycles in which MM waited for weights.
    pub starved_cycles: u64,
}

/// One completed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retire {
    /// Instruction index.
    pub pc: u32,
    /// Cycle of completion, counted from the start of the launch.
    pub cycle: u64,
}

/// What a launch did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The first fault, if any.
    pub fault: Option<Fault>,
    /// Counters.
    pub counters: Counters,
    /// Completed commands per unit in order, when recording is on.
    pub retired: [Vec<Retire>; 4],
    /// The launch was given up at `Machine::interrupt`'s request.
    pub interrupted: bool,
}

/// Why a machine could not be made or run.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct MachineError(pub String);

/// On-chip state that comparisons look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnChip {
    /// SPAD as u32 bits, 16 per word.
    pub spad: Vec<u32>,
    /// ABUF bytes, 16 per word.
    pub abuf: Vec<i8>,
    /// S.
    pub s: Vec<u32>,
    /// R0..R31 at the end of the launch.
    pub r: Vec<u32>,
}

/// One of the machine's memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bank {
    /// Main memory: code, tables, token rows, results.
    Main,
    /// The weight and KV channel of a slice.
    Channel(u32),
}

impl std::fmt::Display for Bank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bank::Main => f.write_str("main memory"),
            Bank::Channel(c) => write!(f, "channel {c}"),
        }
    }
}

/// A machine with its memories.
pub trait Machine {
    /// `iss`, `rtl`, …
    fn name(&self) -> &str;
    /// Counters of cycles are the machine's own; without a clock (C simulation) they stay 0.
    fn keeps_time(&self) -> bool {
        true
    }
    /// Makes main memory at least `main_units` × 64 bytes and every channel `channel_units` × 64,
    /// zero-filled where new.
    fn resize(&mut self, main_units: u32, channel_units: u32) -> Result<(), MachineError>;
    /// Writes at a byte address of a memory.
    fn write(&mut self, bank: Bank, address_bytes: u64, data: &[u8]) -> Result<(), MachineError>;
    /// Reads at a byte address of a memory.
    fn read(&mut self, bank: Bank, address_bytes: u64, out: &mut [u8]) -> Result<(), MachineError>;
    /// Runs a launch to its end. A fault is not an error: it is in the report.
    fn launch(&mut self, launch: &Launch) -> Result<Report, MachineError>;
    /// Record `Report::retired` from now on.
    fn record(&mut self, on: bool);
    /// On-chip state (backdoor; not every machine has one).
    fn on_chip(&mut self) -> Option<OnChip>;
    /// A flag that ends a running launch early when set.
    fn interrupt(&mut self, flag: std::sync::Arc<std::sync::atomic::AtomicBool>);
}
