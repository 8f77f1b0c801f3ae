//! Instruction-level simulator: executes programs bit for bit as the RTL does, as fast as the CPU
//! allows, and predicts cycles with a timing model of the same units.
//!
//! * [`front`](front): dispatcher — scalars, loops, address generators, resolution of operands.
//! * [`units`](units): what each unit does to memory (function) and how long it takes (timing).
//! * [`fifo`](fifo): timing of the weight FIFO.
//! * [`sched`](sched): the event loop that interleaves dispatcher and units through tokens.
//!
//! Invariants: knows programs, not models. A command's effects happen in one step at the time it
//! starts, so a program whose tokens do not order its memory accesses may differ from hardware;
//! the compiler never makes one. No tolerance anywhere: equality with the RTL is exact.

mod fifo;
mod front;
mod memory;
mod sched;
pub mod timing;
mod units;

use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::machine::{Launch, Machine, MachineError, OnChip, Report};
use memory::Memory;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// A simulated accelerator with its DRAM.
pub struct Iss {
    config: HwConfig,
    memory: Memory,
    scalars: [u32; 32],
    record: bool,
    interrupt: Arc<AtomicBool>,
}

impl Iss {
    /// A machine of the given configuration with empty DRAM.
    pub fn new(config: HwConfig) -> Iss {
        let memory = Memory::new(&config);
        Iss { config, memory, scalars: [0; 32], record: false, interrupt: Arc::default() }
    }

    fn range(&self, address: u64, len: usize) -> Result<std::ops::Range<usize>, MachineError> {
        let start = usize::try_from(address).unwrap_or(usize::MAX);
        match start.checked_add(len) {
            Some(end) if end <= self.memory.dram.len() => Ok(start..end),
            _ => Err(MachineError(format!(
                "DRAM access of {len} bytes at {address:#x} exceeds the {} bytes that were reserved",
                self.memory.dram.len()
            ))),
        }
    }
}

impl Machine for Iss {
    fn name(&self) -> &str {
        "iss"
    }
    fn resize_dram(&mut self, units: u32) -> Result<(), MachineError> {
        let bytes = units as usize * UNIT_BYTES;
        if bytes > self.memory.dram.len() {
            self.memory.dram.resize(bytes, 0);
        }
        Ok(())
    }
    fn write(&mut self, address_bytes: u64, data: &[u8]) -> Result<(), MachineError> {
        let r = self.range(address_bytes, data.len())?;
        self.memory.dram[r].copy_from_slice(data);
        Ok(())
    }
    fn read(&mut self, address_bytes: u64, out: &mut [u8]) -> Result<(), MachineError> {
        let r = self.range(address_bytes, out.len())?;
        out.copy_from_slice(&self.memory.dram[r]);
        Ok(())
    }
    fn launch(&mut self, launch: &Launch) -> Result<Report, MachineError> {
        let (report, scalars) =
            sched::run(&self.config, &mut self.memory, launch, self.record, &self.interrupt);
        self.scalars = scalars;
        Ok(report)
    }
    fn record(&mut self, on: bool) {
        self.record = on;
    }
    fn on_chip(&mut self) -> Option<OnChip> {
        Some(OnChip {
            spad: self.memory.spad.iter().flatten().copied().collect(),
            abuf: self.memory.abuf.iter().flatten().copied().collect(),
            s: self.memory.s.clone(),
            r: self.scalars.to_vec(),
        })
    }
    fn interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = flag;
    }
}
