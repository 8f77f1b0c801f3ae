//! The accelerator's RTL as a [`Machine`]: `hw/rtl` compiled by Verilator, one model for each
//! configuration, with memory models on byte vectors and the register protocol a driver would use on
//! a card.
//!
//! * [`RtlMachine`]: construction, launches, backdoors.
//! * `memory`, `axi`: main memory and the channels; their timing comes from [`flightvlm_mem`] or, with
//!   erratic latency and back-pressure, from a seed (`timing`).
//! * `model`, `pins`: the raw models; pins are pointers into them, so a cycle costs two calls.
//!
//! Invariants: software reaches the design only through its AXI ports; backdoors only read. All
//! assertions of `hw/rtl/check` are compiled in, and a broken one turns the launch into an error.
//! It knows nothing about programs: comparing with the instruction-level simulator is a test's job.

mod axi;
mod memory;
mod model;
mod pins;
mod timing;

pub use timing::MemoryTiming;

use flightvlm_hw::config::HwConfig;
use flightvlm_hw::csr;
use flightvlm_hw::isa::{isa_hash, Unit};
use flightvlm_hw::machine::{
    Bank, Counters, Fault, FaultCode, Launch, Machine, MachineError, OnChip, Report, Retire,
};
use memory::Memories;
use model::Model;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Cycles between two looks at assertions and the interrupt flag.
const POLL_CYCLES: u64 = 1024;
/// Cycles a register access or the clearing of memories after reset may take.
const CONTROL_CYCLES: u64 = 100_000;
/// Cycles from the end of the register write that starts a launch to the launch's cycle 0: the start
/// bit is seen, then the clear.
const START_CYCLES: u64 = 2;

/// How to build an [`RtlMachine`].
#[derive(Debug, Clone)]
pub struct RtlConfig {
    /// Hardware configuration; its name picks the model.
    pub hw: HwConfig,
    /// Memory timing.
    pub memory: MemoryTiming,
    /// Byte ranges that answer with an AXI error.
    pub error_ranges: Vec<(Bank, Range<u64>)>,
    /// A launch longer than this is an error.
    pub cycle_limit: u64,
    /// Waveforms.
    pub trace: Option<Trace>,
}

/// Waveforms of a part of a run.
#[derive(Debug, Clone)]
pub struct Trace {
    /// FST file.
    pub path: PathBuf,
    /// Cycles that are written, counted from the end of reset.
    pub cycles: Range<u64>,
}

impl RtlConfig {
    /// Memories as the configuration says.
    pub fn new(hw: HwConfig) -> RtlConfig {
        let memory = MemoryTiming::Config;
        RtlConfig { hw, memory, error_ranges: Vec::new(), cycle_limit: u64::MAX, trace: None }
    }
}

/// The Verilated accelerator with its memories.
pub struct RtlMachine {
    config: RtlConfig,
    model: Model,
    memory: Memories,
    record: bool,
    interrupt: Arc<AtomicBool>,
}

impl RtlMachine {
    /// Builds, resets, and checks that RTL and software agree on the ISA.
    pub fn new(config: RtlConfig) -> Result<RtlMachine, MachineError> {
        let model = Model::new(&config.hw.name)?;
        let mut memory = Memories::new(config.memory, &config.hw);
        memory.set_errors(&config.error_ranges)?;
        let interrupt = Arc::new(AtomicBool::new(false));
        let mut m = RtlMachine { config, model, memory, record: false, interrupt };
        m.reset()?;
        if let Some(Trace { path, cycles }) = &m.config.trace {
            let start = m.model.time;
            let window = start.saturating_add(cycles.start)..start.saturating_add(cycles.end);
            if !m.model.trace(path, window) {
                // Verilator does not say why.
                return Err(MachineError(format!("cannot write waveforms to {}", path.display())));
            }
        }
        let (found, expected) = (m.csr_read(csr::ISA_HASH)?, isa_hash(&m.config.hw));
        if found != expected {
            return Err(MachineError(format!(
                "the RTL was generated for ISA {found:#010x}, not {expected:#010x} (configuration \
                 `{}`): run flightvlm-codegen and rebuild",
                m.config.hw.name
            )));
        }
        Ok(m)
    }

    /// All bytes of a memory.
    pub fn bank(&mut self, bank: Bank) -> Result<&mut Vec<u8>, MachineError> {
        Ok(&mut self.memory.bank(bank)?.bytes)
    }

    /// Cycles simulated so far, register accesses included.
    pub fn cycles_simulated(&self) -> u64 {
        self.model.time
    }

    /// Replaces the ranges that answer with errors.
    pub fn set_error_ranges(&mut self, ranges: &[(Bank, Range<u64>)]) -> Result<(), MachineError> {
        self.memory.set_errors(ranges)
    }

    /// Makes the memory break the AXI protocol once, `cycles` from now: a test uses it to see that
    /// assertions fire.
    #[doc(hidden)]
    pub fn inject_stray_beat(&mut self, cycles: u64) {
        self.memory.inject_stray_beat(cycles);
    }

    /// Reset; on-chip memories are zero afterwards. Waits for their clearing.
    pub fn reset(&mut self) -> Result<(), MachineError> {
        let p = &self.model.pins;
        // SAFETY: pins point into the live model.
        unsafe {
            *p.rst_n = 0;
            for pin in [p.s_awvalid, p.s_wvalid, p.s_arvalid, p.s_rready] {
                *pin = 0;
            }
            *p.s_bready = 1;
        }
        self.memory.reset(&self.model.pins);
        for _ in 0..4 {
            self.model.settle();
            self.model.edge();
        }
        // SAFETY: as above.
        unsafe { *self.model.pins.rst_n = 1 };
        let hw = &self.config.hw;
        let rows = (hw.spad_words / hw.vx_words).max(hw.abuf_words / 8).max(hw.s_words);
        for _ in 0..rows + 4 {
            self.cycle();
        }
        self.check_assertions()
    }

    /// One clock cycle.
    #[inline]
    fn cycle(&mut self) {
        self.memory.drive(&self.model.pins);
        self.model.settle();
        self.memory.sample(&self.model.pins);
        self.model.edge();
    }

    fn check_assertions(&mut self) -> Result<(), MachineError> {
        match self.model.take_stop() {
            None => Ok(()),
            Some(at) => {
                Err(MachineError(format!("assertion failed at {at} (seen before cycle {})", self.model.time)))
            }
        }
    }

    /// Writes a register.
    pub fn csr_write(&mut self, offset: u32, value: u32) -> Result<(), MachineError> {
        let p = &self.model.pins;
        // SAFETY: pins point into the live model.
        unsafe {
            *p.s_awaddr = offset as u16;
            *p.s_wdata = value;
            *p.s_wstrb = 0xf;
            *p.s_awvalid = 1;
            *p.s_wvalid = 1;
        }
        for _ in 0..CONTROL_CYCLES {
            self.memory.drive(&self.model.pins);
            self.model.settle();
            // SAFETY: as above.
            let taken = unsafe { *self.model.pins.s_awready & *self.model.pins.s_wready != 0 };
            self.memory.sample(&self.model.pins);
            self.model.edge();
            if taken {
                // SAFETY: as above.
                unsafe {
                    *self.model.pins.s_awvalid = 0;
                    *self.model.pins.s_wvalid = 0;
                }
                return Ok(());
            }
        }
        Err(MachineError(format!("register {offset:#x} does not accept a write")))
    }

    /// Reads a register.
    pub fn csr_read(&mut self, offset: u32) -> Result<u32, MachineError> {
        let p = &self.model.pins;
        // SAFETY: pins point into the live model.
        unsafe {
            *p.s_araddr = offset as u16;
            *p.s_arvalid = 1;
            *p.s_rready = 1;
        }
        for _ in 0..CONTROL_CYCLES {
            self.memory.drive(&self.model.pins);
            self.model.settle();
            let p = &self.model.pins;
            // SAFETY: as above.
            let (taken, valid, data) =
                unsafe { (*p.s_arready != 0 && *p.s_arvalid != 0, *p.s_rvalid != 0, *p.s_rdata) };
            self.memory.sample(&self.model.pins);
            self.model.edge();
            // SAFETY: as above.
            unsafe {
                if taken {
                    *self.model.pins.s_arvalid = 0;
                }
                if valid {
                    *self.model.pins.s_rready = 0;
                    return Ok(data);
                }
            }
        }
        Err(MachineError(format!("register {offset:#x} does not answer")))
    }

    fn counter(&mut self, offset: u32) -> Result<u64, MachineError> {
        Ok(u64::from(self.csr_read(offset)?) | u64::from(self.csr_read(offset + 4)?) << 32)
    }

    fn counters(&mut self) -> Result<Counters, MachineError> {
        let mut c = Counters {
            cycles: self.counter(csr::CNT_CYCLES)?,
            dispatched: self.counter(csr::CNT_DISPATCHED)?,
            read_beats: self.counter(csr::CNT_READ_BEATS)?,
            write_beats: self.counter(csr::CNT_WRITE_BEATS)?,
            channel_read_beats: self.counter(csr::CNT_CHANNEL_READ_BEATS)?,
            channel_write_beats: self.counter(csr::CNT_CHANNEL_WRITE_BEATS)?,
            mac_beats: self.counter(csr::CNT_MAC_BEATS)?,
            starved_cycles: self.counter(csr::CNT_STARVED_MM)?,
            ..Counters::default()
        };
        for u in 0..4 {
            c.retired[u as usize] = self.counter(csr::CNT_RETIRED_LD + 8 * u)?;
            c.busy_cycles[u as usize] = self.counter(csr::CNT_BUSY_LD + 8 * u)?;
            c.wait_cycles[u as usize] = self.counter(csr::CNT_WAIT_LD + 8 * u)?;
        }
        Ok(c)
    }

    fn fault(&mut self) -> Result<Option<Fault>, MachineError> {
        let status = self.csr_read(csr::STATUS)?;
        if status & 1 == 0 {
            return Ok(None);
        }
        let pc = self.csr_read(csr::FAULT_PC)?;
        let code = FaultCode::from_code((status >> 8 & 0xf) as u8);
        let unit = match status >> 16 & 7 {
            4 => Unit::Sys,
            u => Unit::QUEUES[u as usize & 3],
        };
        match code {
            Some(code) => Ok(Some(Fault { code, unit, pc })),
            None => Err(MachineError(format!("STATUS {status:#x} names no fault"))),
        }
    }

    /// Runs the clock until the launch is over; true if it was interrupted.
    fn run(&mut self, report: &mut Report) -> Result<bool, MachineError> {
        let begin = self.model.time;
        self.memory.begin(START_CYCLES);
        loop {
            self.memory.drive(&self.model.pins);
            self.model.settle();
            let p = &self.model.pins;
            // SAFETY: pins point into the live model.
            let (active, retire) = unsafe { (*p.active, *p.retire_valid) };
            if retire != 0 && self.record {
                // SAFETY: as above.
                let pcs = unsafe { *p.retire_pc };
                // The first cycle after the clear is cycle 0.
                let cycle = (self.model.time - begin).saturating_sub(START_CYCLES);
                for u in 0..4 {
                    if retire >> u & 1 == 1 {
                        let pc = (pcs >> (16 * u) & 0xffff) as u32;
                        report.retired[u].push(Retire { pc, cycle });
                    }
                }
            }
            self.memory.sample(&self.model.pins);
            self.model.edge();
            let elapsed = self.model.time - begin;
            if active == 0 && elapsed > START_CYCLES {
                return Ok(false);
            }
            if elapsed.is_multiple_of(POLL_CYCLES) {
                self.check_assertions()?;
                if self.interrupt.load(Ordering::Relaxed) {
                    return Ok(true);
                }
                if elapsed > self.config.cycle_limit {
                    self.reset()?;
                    let limit = self.config.cycle_limit;
                    return Err(MachineError(format!("no end after {limit} cycles")));
                }
            }
        }
    }
}

impl Machine for RtlMachine {
    fn name(&self) -> &str {
        "rtl"
    }

    fn resize(&mut self, main_units: u32, channel_units: u32) -> Result<(), MachineError> {
        self.memory.resize(main_units, channel_units);
        Ok(())
    }

    fn write(&mut self, bank: Bank, address_bytes: u64, data: &[u8]) -> Result<(), MachineError> {
        self.memory.bytes(bank, address_bytes, data.len())?.copy_from_slice(data);
        Ok(())
    }

    fn read(&mut self, bank: Bank, address_bytes: u64, out: &mut [u8]) -> Result<(), MachineError> {
        out.copy_from_slice(self.memory.bytes(bank, address_bytes, out.len())?);
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<Report, MachineError> {
        let (main_units, channel_units) = self.memory.units();
        self.csr_write(csr::MEM_UNITS, main_units)?;
        self.csr_write(csr::CHANNEL_UNITS, channel_units)?;
        self.csr_write(csr::CODE_UNITS, launch.code_units)?;
        self.csr_write(csr::CODE_BASE, launch.code_base_units)?;
        self.csr_write(csr::CODE_LEN, launch.code_len)?;
        self.csr_write(csr::ENTRY, launch.entry)?;
        self.csr_write(csr::WATCHDOG, launch.watchdog_cycles)?;
        for (i, arg) in launch.args.iter().enumerate().skip(1) {
            self.csr_write(csr::ARG1 + 4 * (i as u32 - 1), *arg)?;
        }
        self.csr_write(csr::AP_CTRL, 1)?;
        let mut report = Report::default();
        report.interrupted = self.run(&mut report)?;
        self.check_assertions()?;
        if report.interrupted {
            report.counters = self.counters()?;
            self.reset()?;
            return Ok(report);
        }
        let control = self.csr_read(csr::AP_CTRL)?;
        if control & 0x7 != 0x6 {
            return Err(MachineError(format!("AP_CTRL is {control:#x} after a launch, not done and idle")));
        }
        report.fault = self.fault()?;
        report.counters = self.counters()?;
        Ok(report)
    }

    fn record(&mut self, on: bool) {
        self.record = on;
    }

    fn on_chip(&mut self) -> Option<OnChip> {
        let (hw, p) = (&self.config.hw, &self.model.pins);
        let abuf = self.model.copy(&p.abuf, hw.abuf_words as usize, 4);
        Some(OnChip {
            spad: self.model.copy(&p.spad[..hw.vx_words as usize], hw.spad_words as usize, 16),
            abuf: abuf.iter().flat_map(|w| w.to_le_bytes()).map(|b| b as i8).collect(),
            s: self.model.copy(&[p.s], hw.s_words as usize, 1),
            r: self.model.copy(&[p.r], 32, 1),
        })
    }

    fn interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = flag;
    }
}
