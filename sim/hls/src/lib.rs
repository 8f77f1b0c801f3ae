//! C simulation of the Vitis HLS kernel in `hw/hls` as a [`Machine`]: the kernel's own source, compiled
//! by the C++ compiler of this computer, one library for each named configuration.
//!
//! * [`HlsMachine`]: construction, launches, backdoor.
//! * `kernel`: the compiled kernels; `memory`: main memory and the channels, as the kernel's ports see
//!   them.
//!
//! Invariants: software reaches the kernel only through its ports and registers; the backdoor only
//! reads. A C program has no clock: counters of cycles stay 0 and [`Machine::keeps_time`] says so.
//! It knows nothing about programs: comparing with the other executors is a test's job.

mod kernel;
mod memory;

use flightvlm_hw::config::HwConfig;
use flightvlm_hw::csr;
use flightvlm_hw::isa::{isa_hash, Unit};
use flightvlm_hw::machine::{
    Bank, Counters, Fault, FaultCode, Launch, Machine, MachineError, OnChip, Report, Retire,
};
use memory::Memory;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Words of the register map.
const REGISTERS: usize = 0x120 / 4;

/// The kernel with its memories.
pub struct HlsMachine {
    config: HwConfig,
    api: kernel::Api,
    state: NonNull<kernel::State>,
    memory: Memory,
    record: bool,
    interrupt: Arc<AtomicBool>,
}

// SAFETY: the state belongs to this machine alone, and the kernel keeps nothing elsewhere.
unsafe impl Send for HlsMachine {}

impl HlsMachine {
    /// A machine with empty memories; checks that kernel and software agree on the ISA.
    pub fn new(config: HwConfig) -> Result<HlsMachine, MachineError> {
        let Some(api) = kernel::named(&config.name) else {
            return Err(MachineError(format!(
                "the HLS kernel is not built for configuration `{}`; it is for {}",
                config.name,
                kernel::NAMES.join(", ")
            )));
        };
        // SAFETY: these functions only read constants.
        let (found, ports) = unsafe { ((api.isa_hash)(), (api.ports)()) };
        let expected = isa_hash(&config);
        if found != expected {
            return Err(MachineError(format!(
                "the HLS kernel was generated for ISA {found:#010x}, not {expected:#010x} (configuration \
                 `{}`): run flightvlm-codegen and rebuild",
                config.name
            )));
        }
        // SAFETY: it allocates; `drop` frees.
        let state = NonNull::new(unsafe { (api.new)() }).expect("invariant: C++ `new` gives no null");
        let memory = Memory::new(config.slices, ports);
        Ok(HlsMachine { config, api, state, memory, record: false, interrupt: Arc::default() })
    }

    /// Bytes of an access.
    fn bytes(&mut self, bank: Bank, address: u64, len: usize) -> Result<&mut [u8], MachineError> {
        let (slices, name) = (self.config.slices, &self.config.name);
        let Some(bytes) = self.memory.bank(bank) else {
            return Err(MachineError(format!(
                "{bank} does not exist: expected a channel below {slices} (configuration `{name}`)"
            )));
        };
        let size = bytes.len() as u64;
        if address.checked_add(len as u64).is_none_or(|end| end > size) {
            return Err(MachineError(format!(
                "{bank}: access of {len} bytes at {address:#x} exceeds the {size} bytes that were reserved"
            )));
        }
        Ok(&mut bytes[address as usize..][..len])
    }
}

impl Drop for HlsMachine {
    fn drop(&mut self) {
        // SAFETY: `new` made it, nothing else frees it.
        unsafe { (self.api.free)(self.state.as_ptr()) }
    }
}

/// What a running launch reports to.
struct Observer<'a> {
    retired: Option<&'a mut [Vec<Retire>; 4]>,
    stop: &'a AtomicBool,
    stopped: bool,
}

unsafe extern "C" fn on_retired(caller: *mut c_void, unit: u32, pc: u32) {
    // SAFETY: `launch` passed an `Observer` that outlives the call.
    let observer = unsafe { &mut *caller.cast::<Observer<'_>>() };
    if let Some(retired) = &mut observer.retired {
        retired[unit as usize & 3].push(Retire { pc, cycle: 0 });
    }
}

unsafe extern "C" fn on_stop(caller: *mut c_void) -> bool {
    // SAFETY: as above.
    let observer = unsafe { &mut *caller.cast::<Observer<'_>>() };
    observer.stopped |= observer.stop.load(Ordering::Relaxed);
    observer.stopped
}

fn fault(registers: &[u32; REGISTERS]) -> Option<Fault> {
    let status = registers[csr::STATUS as usize / 4];
    let code = FaultCode::from_code((status >> 8 & 0xf) as u8).filter(|_| status & 1 == 1)?;
    let unit = match status >> 16 & 7 {
        4 => Unit::Sys,
        u => Unit::QUEUES[u as usize & 3],
    };
    Some(Fault { code, unit, pc: registers[csr::FAULT_PC as usize / 4] })
}

fn counters(registers: &[u32; REGISTERS]) -> Counters {
    let at = |offset: u32| {
        let i = offset as usize / 4;
        u64::from(registers[i]) | u64::from(registers[i + 1]) << 32
    };
    Counters {
        dispatched: at(csr::CNT_DISPATCHED),
        retired: std::array::from_fn(|u| at(csr::CNT_RETIRED_LD + 8 * u as u32)),
        read_beats: at(csr::CNT_READ_BEATS),
        write_beats: at(csr::CNT_WRITE_BEATS),
        channel_read_beats: at(csr::CNT_CHANNEL_READ_BEATS),
        channel_write_beats: at(csr::CNT_CHANNEL_WRITE_BEATS),
        mac_beats: at(csr::CNT_MAC_BEATS),
        ..Counters::default()
    }
}

impl Machine for HlsMachine {
    fn name(&self) -> &str {
        "hls"
    }

    fn keeps_time(&self) -> bool {
        false
    }

    fn resize(&mut self, main_units: u32, channel_units: u32) -> Result<(), MachineError> {
        self.memory.resize(main_units, channel_units).map_err(|e| {
            let channels = self.config.slices;
            let wanted = format!("{main_units} units and {channels} x {channel_units} units of 64 bytes");
            MachineError(format!("simulated memory of {wanted} cannot be reserved: {e}"))
        })
    }

    fn write(&mut self, bank: Bank, address_bytes: u64, data: &[u8]) -> Result<(), MachineError> {
        self.bytes(bank, address_bytes, data.len())?.copy_from_slice(data);
        Ok(())
    }

    fn read(&mut self, bank: Bank, address_bytes: u64, out: &mut [u8]) -> Result<(), MachineError> {
        out.copy_from_slice(self.bytes(bank, address_bytes, out.len())?);
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<Report, MachineError> {
        let mut registers = [0; REGISTERS];
        for (offset, value) in [
            (csr::MEM_UNITS, self.memory.main_units),
            (csr::CHANNEL_UNITS, self.memory.channel_units),
            (csr::CODE_UNITS, launch.code_units),
            (csr::CODE_BASE, launch.code_base_units),
            (csr::CODE_LEN, launch.code_len),
            (csr::ENTRY, launch.entry),
            (csr::WATCHDOG, launch.watchdog_cycles),
        ] {
            registers[offset as usize / 4] = value;
        }
        registers[csr::ARG1 as usize / 4..][..15].copy_from_slice(&launch.args[1..]);
        let mut report = Report::default();
        let retired = self.record.then_some(&mut report.retired);
        let mut observer = Observer { retired, stop: &self.interrupt, stopped: false };
        let main = self.memory.main();
        let ports = self.memory.ports();
        let inputs: Vec<*const u8> = ports.iter().map(|p| p.cast_const()).collect();
        // SAFETY: the pointers are the machine's own memories, page-aligned and of the sizes that the
        // registers say; the kernel checks every address against those. The observer outlives the call.
        unsafe {
            (self.api.launch)(
                self.state.as_ptr(),
                main.cast_const(),
                main.cast(),
                inputs.as_ptr(),
                ports.as_ptr(),
                registers.as_mut_ptr(),
                std::ptr::from_mut(&mut observer).cast(),
                on_retired,
                on_stop,
            );
        }
        report.interrupted = observer.stopped;
        report.fault = fault(&registers);
        report.counters = counters(&registers);
        Ok(report)
    }

    fn record(&mut self, on: bool) {
        self.record = on;
    }

    fn on_chip(&mut self) -> Option<OnChip> {
        let c = &self.config;
        let mut out = OnChip {
            spad: vec![0; c.spad_words as usize * 16],
            abuf: vec![0; c.abuf_words as usize * 16],
            s: vec![0; c.s_words as usize],
            r: vec![0; 32],
        };
        let (spad, abuf) = (out.spad.as_mut_ptr(), out.abuf.as_mut_ptr());
        // SAFETY: the buffers are as long as the configuration's memories; the hash says that the kernel
        // has the same configuration.
        unsafe {
            (self.api.on_chip)(self.state.as_ptr(), spad, abuf, out.s.as_mut_ptr(), out.r.as_mut_ptr())
        };
        Some(out)
    }

    fn interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = flag;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_configurations_are_refused() {
        let message = |c: HwConfig| HlsMachine::new(c).err().expect("refused").to_string();
        let unknown = message(HwConfig { name: "u55c".into(), ..HwConfig::u280() });
        assert!(unknown.contains("`u55c`") && unknown.contains("sim, mini, u280"), "{unknown}");
        let hash = message(HwConfig { wfifo_words: 256, ..HwConfig::sim() });
        assert!(hash.contains("generated for ISA 0x") && hash.contains("`sim`"), "{hash}");
    }

    #[test]
    fn every_configuration_starts_with_memories_of_zeros() {
        for c in HwConfig::all() {
            let mut m = HlsMachine::new(c.clone()).unwrap();
            m.resize(2, 1).unwrap();
            let chip = m.on_chip().unwrap();
            assert_eq!(chip.spad.len(), 16 * c.spad_words as usize);
            assert!(chip.spad.iter().all(|x| *x == 0) && chip.abuf.iter().all(|x| *x == 0));
            let e = m.write(Bank::Channel(c.slices), 0, &[1]).unwrap_err().to_string();
            assert!(e.contains("does not exist"), "{e}");
            let e = m.read(Bank::Main, 127, &mut [0; 2]).unwrap_err().to_string();
            assert!(e.contains("exceeds the 128 bytes"), "{e}");
        }
    }
}
