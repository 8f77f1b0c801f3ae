//! Instruction-level simulator: executes programs bit for bit as the RTL does, as fast as the CPU
//! allows, and predicts cycles with a timing model of the same units.
//!
//! Function:
//! * [`front`](front): dispatcher — scalars, loops, address generators; [`work`](work): what it
//!   puts in the queues.
//! * [`units`](units): what each unit does to memory.
//! * [`tile`](tile), [`expand`](expand): packed weight tiles; [`tiles`](tiles): what the FIFOs hold.
//! * [`team`](team): threads for large matrix commands.
//!
//! Timing:
//! * [`sched`](sched): the event loop that interleaves dispatcher, units and streams through tokens.
//! * [`fetch`](fetch), [`transfer`](transfer), [`stream`](stream) ([`recipe`](recipe),
//!   [`fifo`](fifo)), [`matrix`](matrix), [`vector`](vector): the launch, rows and stores, weight
//!   streams, the array, vector commands.
//!   Memories are `flightvlm-mem`'s.
//! * [`profile`]: where the cycles go.
//!
//! [`Iss::timing_only`] leaves the function out: models of any size, no contents.
//! [`Iss::function_only`] leaves the times out.
//!
//! Invariants: knows programs, not models. A command's effects happen in one step at the time it
//! starts, so a program whose tokens do not order its memory accesses may differ from hardware;
//! the compiler never makes one. No tolerance anywhere: equality with the RTL is exact.

mod bursts;
mod expand;
mod fetch;
mod fifo;
mod front;
mod matrix;
mod matrix_unit;
mod memory;
pub mod profile;
mod recipe;
mod sched;
mod spad;
mod stream;
mod team;
mod tile;
mod tiles;
pub mod timing;
mod transfer;
mod units;
mod vector;
mod work;

use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::{Bank, Launch, Machine, MachineError, OnChip, Report};
use flightvlm_mem::Ports;
use memory::Memory;
use profile::Profile;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use team::Team;

/// A simulated accelerator with its memories.
pub struct Iss {
    config: HwConfig,
    memory: Memory,
    ports: Ports,
    team: Team,
    timed: bool,
    scalars: [u32; 32],
    record: bool,
    profile: Option<Profile>,
    interrupt: Arc<AtomicBool>,
}

impl Iss {
    /// A machine of the given configuration with empty memories.
    pub fn new(config: HwConfig) -> Iss {
        Iss::build(config, true, true)
    }

    /// The same machine without data: channels take writes and keep nothing, commands compute
    /// nothing, times and counters are those of the full machine as long as the program's control
    /// flow does not depend on data. Gathers read index 0; words of tiles in format `mixed` are
    /// taken to lie evenly over the tile.
    pub fn timing_only(config: HwConfig) -> Iss {
        Iss::build(config, false, true)
    }

    /// The machine without times, for the fastest answer: all counters of cycles stay 0, the others
    /// and all results are the full machine's. FIFOs hold anything here, so a program that would
    /// fill one for ever does not come to a halt.
    pub fn function_only(config: HwConfig) -> Iss {
        Iss::build(config, true, false)
    }

    fn build(config: HwConfig, data: bool, timed: bool) -> Iss {
        Iss {
            memory: Memory::new(&config, data),
            ports: Ports::new(&config),
            team: Team::new(),
            timed,
            config,
            scalars: [0; 32],
            record: false,
            profile: None,
            interrupt: Arc::default(),
        }
    }

    /// Keep an account of each launch from now on, or not.
    pub fn set_profiling(&mut self, on: bool) {
        self.profile = on.then(Profile::default);
    }

    /// Keep a timeline too: spans of the units, and the channels' beats by windows of so many cycles.
    pub fn set_tracing(&mut self, window_cycles: u64) {
        self.profile = Some(Profile { window_cycles, ..Profile::default() });
    }

    /// Account of the last launch, if it was profiled.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// Bytes of an access, `None` for those that a machine without data does not keep.
    fn bytes(&mut self, bank: Bank, address: u64, len: usize) -> Result<Option<&mut [u8]>, MachineError> {
        let slices = self.config.slices;
        let size = match bank {
            Bank::Main => self.memory.main.len() as u64,
            Bank::Channel(c) if c < slices => self.memory.channel_units * 64,
            Bank::Channel(c) => {
                return Err(MachineError(format!(
                    "{bank} does not exist: expected a channel below {slices} (configuration `{}`), got {c}",
                    self.config.name
                )))
            }
        };
        if address.checked_add(len as u64).is_none_or(|end| end > size) {
            return Err(MachineError(format!(
                "{bank}: access of {len} bytes at {address:#x} exceeds the {size} bytes that were reserved"
            )));
        }
        let data = self.memory.data || bank == Bank::Main;
        let bytes = self.memory.bank(bank).filter(|_| data);
        Ok(bytes.map(|b| &mut b[address as usize..][..len]))
    }
}

impl Machine for Iss {
    fn keeps_time(&self) -> bool {
        self.timed
    }

    fn name(&self) -> &str {
        "iss"
    }
    fn resize(&mut self, main_units: u32, channel_units: u32) -> Result<(), MachineError> {
        self.memory.resize(main_units, channel_units).map_err(|e| {
            let channels = self.config.slices;
            let wanted = format!("{main_units} units and {channels} x {channel_units} units of 64 bytes");
            MachineError(format!("simulated memory of {wanted} cannot be reserved: {e}"))
        })
    }
    fn write(&mut self, bank: Bank, address_bytes: u64, data: &[u8]) -> Result<(), MachineError> {
        if let Some(bytes) = self.bytes(bank, address_bytes, data.len())? {
            bytes.copy_from_slice(data);
        }
        Ok(())
    }
    fn read(&mut self, bank: Bank, address_bytes: u64, out: &mut [u8]) -> Result<(), MachineError> {
        match self.bytes(bank, address_bytes, out.len())? {
            Some(bytes) => out.copy_from_slice(bytes),
            None => out.fill(0),
        }
        Ok(())
    }
    fn launch(&mut self, launch: &Launch) -> Result<Report, MachineError> {
        self.team.claim();
        let parts = sched::Parts {
            config: &self.config,
            memory: &mut self.memory,
            ports: &mut self.ports,
            team: &mut self.team,
            timed: self.timed,
            record: self.record,
            profile: self.profile.as_mut(),
            stop: &self.interrupt,
        };
        let (report, scalars) = sched::run(parts, launch);
        self.team.release();
        self.scalars = scalars;
        Ok(report)
    }
    fn record(&mut self, on: bool) {
        self.record = on;
    }
    fn on_chip(&mut self) -> Option<OnChip> {
        self.memory.data.then(|| OnChip {
            spad: self.memory.spad.as_flattened().to_vec(),
            abuf: self.memory.abuf.as_flattened().to_vec(),
            s: self.memory.s.clone(),
            r: self.scalars.to_vec(),
        })
    }
    fn interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = flag;
    }
}
