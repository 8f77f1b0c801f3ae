//! Launches as files, for the test bench of the HLS kernel (`hw/hls/tb/replay.cpp`): memories before and
//! after, registers, fault and counters.

use crate::progen::case;
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::isa::isa_hash;
use flightvlm_hw::machine::{Bank, Launch, Machine, MachineError, OnChip, Report};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// `FVLC`.
const MAGIC: u32 = 0x434c_5646;

/// A machine that writes every launch of another one to a file.
pub struct Recorder {
    machine: Box<dyn Machine>,
    config: HwConfig,
    folder: PathBuf,
    main_units: u32,
    channel_units: u32,
    /// Files so far.
    pub files: Vec<PathBuf>,
}

impl Recorder {
    /// Records into a folder.
    pub fn new(machine: Box<dyn Machine>, config: HwConfig, folder: PathBuf) -> Recorder {
        Recorder { machine, config, folder, main_units: 0, channel_units: 0, files: Vec::new() }
    }

    /// All memories, channels behind main memory.
    fn memories(&mut self) -> Result<Vec<u8>, MachineError> {
        let bytes = |units: u32| units as usize * UNIT_BYTES;
        let mut out =
            vec![0; bytes(self.main_units) + self.config.slices as usize * bytes(self.channel_units)];
        let (main, channels) = out.split_at_mut(bytes(self.main_units));
        self.machine.read(Bank::Main, 0, main)?;
        if self.channel_units > 0 {
            for (c, channel) in (0..).zip(channels.chunks_exact_mut(bytes(self.channel_units))) {
                self.machine.read(Bank::Channel(c), 0, channel)?;
            }
        }
        Ok(out)
    }
}

/// Random programs on a machine, as files; gives them and how many ended with a fault.
pub fn record_programs(
    machine: Box<dyn Machine>,
    config: &HwConfig,
    seeds: std::ops::RangeInclusive<u64>,
    folder: PathBuf,
) -> (Vec<PathBuf>, usize) {
    let mut recorder = Recorder::new(machine, config.clone(), folder);
    let run = |seed| crate::compare::run(&mut recorder, &case(seed, config)).report.fault.is_some();
    let faults = seeds.map(run).filter(|fault| *fault).count();
    (recorder.files, faults)
}

fn status(report: &Report) -> [u32; 2] {
    report.fault.map_or([0; 2], |f| [1 | u32::from(f.code as u8) << 8 | (f.unit as u32) << 16, f.pc])
}

impl Machine for Recorder {
    fn name(&self) -> &str {
        self.machine.name()
    }
    fn keeps_time(&self) -> bool {
        self.machine.keeps_time()
    }
    fn resize(&mut self, main_units: u32, channel_units: u32) -> Result<(), MachineError> {
        self.main_units = self.main_units.max(main_units);
        self.channel_units = self.channel_units.max(channel_units);
        self.machine.resize(main_units, channel_units)
    }
    fn write(&mut self, bank: Bank, address_bytes: u64, data: &[u8]) -> Result<(), MachineError> {
        self.machine.write(bank, address_bytes, data)
    }
    fn read(&mut self, bank: Bank, address_bytes: u64, out: &mut [u8]) -> Result<(), MachineError> {
        self.machine.read(bank, address_bytes, out)
    }
    fn launch(&mut self, launch: &Launch) -> Result<Report, MachineError> {
        let before = self.memories()?;
        let report = self.machine.launch(launch)?;
        let after = self.memories()?;
        let mut words = vec![MAGIC, isa_hash(&self.config), self.main_units, self.channel_units];
        words.extend([launch.code_base_units, launch.code_len, launch.entry, launch.watchdog_cycles]);
        words.push(launch.code_units);
        words.extend(launch.args);
        words.extend(status(&report));
        let c = &report.counters;
        let counters = [c.dispatched].into_iter().chain(c.retired).chain([
            c.read_beats,
            c.write_beats,
            c.channel_read_beats,
            c.channel_write_beats,
            c.mac_beats,
        ]);
        let mut out: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        out.extend(counters.flat_map(u64::to_le_bytes));
        let main = self.main_units as usize * UNIT_BYTES;
        for part in [&before[..main], &after[..main], &before[main..], &after[main..]] {
            out.extend(part);
        }
        let path = self.folder.join(format!("{:05}.case", self.files.len()));
        std::fs::write(&path, out).map_err(|e| MachineError(format!("{}: {e}", path.display())))?;
        self.files.push(path);
        Ok(report)
    }
    fn record(&mut self, on: bool) {
        self.machine.record(on);
    }
    fn on_chip(&mut self) -> Option<OnChip> {
        self.machine.on_chip()
    }
    fn interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.machine.interrupt(flag);
    }
}
