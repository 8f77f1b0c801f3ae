//! The kernel on the card: registers, memory and the simulator that executes a start.
//!
//! A simulator has memories of its own that begin at address 0. While a port's base address stays the same,
//! the bytes behind it live in the simulator (a window); everything else is in the store.

use crate::store::Store;
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::csr;
use flightvlm_hw::isa::isa_hash;
use flightvlm_hw::kernel::{Kernel, LAUNCH_REGS, PORT_BASE, REGISTER_BYTES};
use flightvlm_hw::machine::{Bank, Counters, Launch, Machine, Report};
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// Bytes copied at a time between store and simulator.
const COPY_BYTES: u64 = 1 << 20;

/// Which simulator executes starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Simulator {
    Iss,
    Rtl,
}

/// A range of device memory that is inside the simulator.
#[derive(Clone, PartialEq)]
struct Window {
    bank: Bank,
    range: Range<u64>,
}

pub(crate) struct Engine {
    /// Ends a start early: whoever made it has closed the compute unit.
    stop: Arc<AtomicBool>,
    kernel: Option<Kernel>,
    simulator: Simulator,
    machine: Option<Box<dyn Machine>>,
    windows: Vec<Window>,
    store: Store,
    registers: Vec<u32>,
}

fn build(simulator: Simulator, config: &HwConfig) -> Result<Box<dyn Machine>, String> {
    match simulator {
        Simulator::Iss => Ok(Box::new(flightvlm_iss::Iss::new(config.clone()))),
        #[cfg(feature = "rtl")]
        Simulator::Rtl => {
            let config = flightvlm_rtlsim::RtlConfig::new(config.clone());
            let machine = flightvlm_rtlsim::RtlMachine::new(config).map_err(|e| e.to_string())?;
            Ok(Box::new(machine))
        }
        #[cfg(not(feature = "rtl"))]
        Simulator::Rtl => Err("the emulated card was built without the RTL".into()),
    }
}

impl Engine {
    /// An empty card.
    pub fn new(stop: Arc<AtomicBool>) -> Engine {
        Engine {
            stop,
            kernel: None,
            simulator: Simulator::Iss,
            machine: None,
            windows: Vec::new(),
            store: Store::default(),
            registers: Vec::new(),
        }
    }

    /// Back to an empty card.
    pub fn reset(&mut self) {
        *self = Engine::new(self.stop.clone());
    }

    /// A kernel is put onto the card: registers at reset, memory forgotten.
    pub fn load(&mut self, kernel: Kernel, simulator: Simulator) {
        let mut registers = vec![0; REGISTER_BYTES as usize / 4];
        registers[csr::ISA_HASH as usize / 4] = isa_hash(&kernel.config);
        *self = Engine { kernel: Some(kernel), simulator, registers, ..Engine::new(self.stop.clone()) };
    }

    pub fn register(&self, offset: u32) -> u32 {
        self.registers.get(offset as usize / 4).copied().unwrap_or(0)
    }

    pub fn set_register(&mut self, offset: u32, value: u32) {
        let known = csr::CSRS.iter().find(|c| c.offset == offset);
        if known.is_none_or(|c| c.access == csr::Access::Rw) {
            if let Some(r) = self.registers.get_mut(offset as usize / 4) {
                *r = value;
            }
        }
    }

    /// Splits a range by where its bytes are.
    fn parts(&self, at: u64, len: u64) -> Vec<(Option<Window>, Range<u64>)> {
        let (mut out, end) = (Vec::new(), at + len);
        let mut at = at;
        while at < end {
            let inside = self.windows.iter().find(|w| w.range.contains(&at));
            let next = self.windows.iter().map(|w| w.range.start).filter(|s| *s > at).min();
            let to = inside.map_or(next.unwrap_or(end), |w| w.range.end).min(end);
            out.push((inside.cloned(), at..to));
            at = to;
        }
        out
    }

    pub fn write(&mut self, at: u64, data: &[u8]) {
        for (window, part) in self.parts(at, data.len() as u64) {
            let bytes = &data[(part.start - at) as usize..(part.end - at) as usize];
            match (window, &mut self.machine) {
                (Some(w), Some(m)) => m
                    .write(w.bank, part.start - w.range.start, bytes)
                    .expect("invariant: the simulator has the window's bytes"),
                _ => self.store.write(part.start, bytes),
            }
        }
    }

    pub fn read(&mut self, at: u64, out: &mut [u8]) {
        for (window, part) in self.parts(at, out.len() as u64) {
            let bytes = &mut out[(part.start - at) as usize..(part.end - at) as usize];
            match (window, &mut self.machine) {
                (Some(w), Some(m)) => m
                    .read(w.bank, part.start - w.range.start, bytes)
                    .expect("invariant: the simulator has the window's bytes"),
                _ => self.store.read(part.start, bytes),
            }
        }
    }

    /// A range of memory is given out or returned.
    pub fn poison(&mut self, range: Range<u64>) {
        let overlaps = |w: &Window| w.range.start < range.end && range.start < w.range.end;
        if self.windows.iter().any(overlaps) {
            self.close_windows();
        }
        self.store.poison(range);
    }

    /// Everything back into the store.
    fn close_windows(&mut self) {
        let Some(mut machine) = self.machine.take() else { return };
        for w in std::mem::take(&mut self.windows) {
            for_pieces(&w.range, |at, len| {
                let mut bytes = vec![0; len];
                let from = at - w.range.start;
                machine.read(w.bank, from, &mut bytes).expect("invariant: inside the window");
                self.store.write(at, &bytes);
            });
        }
    }

    fn open_windows(&mut self, windows: Vec<Window>, config: &HwConfig) -> Result<(), String> {
        if self.machine.is_some() && self.windows == windows {
            return Ok(());
        }
        self.close_windows();
        let mut machine = build(self.simulator, config)?;
        machine.interrupt(self.stop.clone());
        let units = (self.register(csr::MEM_UNITS), self.register(csr::CHANNEL_UNITS));
        machine.resize(units.0, units.1).map_err(|e| e.to_string())?;
        for w in &windows {
            for_pieces(&w.range, |at, len| {
                let mut bytes = vec![0; len];
                self.store.read(at, &mut bytes);
                machine.write(w.bank, at - w.range.start, &bytes).expect("invariant: just resized");
            });
        }
        (self.machine, self.windows) = (Some(machine), windows);
        Ok(())
    }

    /// The memory that each port may touch in a start with these registers.
    pub fn ports(&self) -> Vec<Range<u64>> {
        let ports = self.kernel.as_ref().map_or(0, |k| k.ports.len() as u32);
        let range = |p: u32| {
            let at = PORT_BASE + 8 * p;
            let base = u64::from(self.register(at)) | u64::from(self.register(at + 4)) << 32;
            let units = if p == 0 { csr::MEM_UNITS } else { csr::CHANNEL_UNITS };
            base..base.saturating_add(u64::from(self.register(units)) * UNIT_BYTES as u64)
        };
        (0..ports).map(range).collect()
    }

    /// Executes a start. An error is one of the card (memory, simulator), not a fault of the program.
    pub fn start(&mut self) -> Result<(), String> {
        let kernel = self.kernel.clone().ok_or("no xclbin is loaded")?;
        let banks = std::iter::once(Bank::Main).chain((0..).map(Bank::Channel));
        let windows: Vec<_> =
            self.ports().into_iter().zip(banks).map(|(range, bank)| Window { bank, range }).collect();
        self.open_windows(windows, &kernel.config)?;
        let mut launch = Launch {
            code_base_units: self.register(csr::CODE_BASE),
            code_units: self.register(csr::CODE_UNITS),
            code_len: self.register(csr::CODE_LEN),
            entry: self.register(csr::ENTRY),
            args: [0; 16],
            watchdog_cycles: self.register(csr::WATCHDOG),
        };
        for i in 0..LAUNCH_REGS {
            launch.args[i as usize + 1] = self.register(csr::ARG1 + 4 * i);
        }
        let machine = self.machine.as_mut().expect("invariant: windows are open");
        let report = machine.launch(&launch).map_err(|e| e.to_string())?;
        if report.interrupted {
            return Err("the compute unit was closed during a start".into());
        }
        self.show(&report);
        Ok(())
    }

    /// Registers after a launch.
    fn show(&mut self, report: &Report) {
        let status = report.fault.map_or(0, |f| 1 | (f.code as u32) << 8 | (f.unit as u32) << 16);
        let mut put = |offset: u32, value: u32| self.registers[offset as usize / 4] = value;
        put(csr::STATUS, status);
        put(csr::FAULT_PC, report.fault.map_or(0, |f| f.pc));
        for (offset, value) in counters(&report.counters) {
            put(offset, value as u32);
            put(offset + 4, (value >> 32) as u32);
        }
    }
}

fn counters(c: &Counters) -> impl Iterator<Item = (u32, u64)> {
    let units = |first: u32, values: [u64; 4]| (first..).step_by(8).zip(values);
    let single = [
        (csr::CNT_CYCLES, c.cycles),
        (csr::CNT_DISPATCHED, c.dispatched),
        (csr::CNT_READ_BEATS, c.read_beats),
        (csr::CNT_WRITE_BEATS, c.write_beats),
        (csr::CNT_MAC_BEATS, c.mac_beats),
        (csr::CNT_STARVED_MM, c.starved_cycles),
        (csr::CNT_CHANNEL_READ_BEATS, c.channel_read_beats),
        (csr::CNT_CHANNEL_WRITE_BEATS, c.channel_write_beats),
    ];
    let busy = units(csr::CNT_BUSY_LD, c.busy_cycles);
    let wait = units(csr::CNT_WAIT_LD, c.wait_cycles);
    single.into_iter().chain(units(csr::CNT_RETIRED_LD, c.retired)).chain(busy).chain(wait)
}

fn for_pieces(range: &Range<u64>, mut f: impl FnMut(u64, usize)) {
    let mut at = range.start;
    while at < range.end {
        let len = (range.end - at).min(COPY_BYTES);
        f(at, len as usize);
        at += len;
    }
}
