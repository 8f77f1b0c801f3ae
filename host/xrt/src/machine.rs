//! The accelerator on a card as a [`Machine`]: one start of the kernel per launch.

use crate::device::Device;
use crate::error::XrtError;
use crate::kernel::{Ended, Kernel, Run};
use crate::library::{load, Backend, Library};
use crate::region::{BankInfo, Region};
use crate::transfer::Transfers;
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::csr;
use flightvlm_hw::isa::{isa_hash, Unit};
use flightvlm_hw::kernel::xclbin::Xclbin;
use flightvlm_hw::kernel::{check, Kernel as Description, COMPUTE_UNIT, KERNEL, SCALARS};
use flightvlm_hw::machine::{
    Bank, Counters, Fault, FaultCode, Launch, Machine, MachineError, OnChip, Report,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks at the interrupt flag.
const POLL: Duration = Duration::from_millis(50);
/// How long an interrupted launch is waited for; then it is left behind, and the next one waits for its end.
const INTERRUPT_GRACE: Duration = Duration::from_secs(2);

/// Which card and how.
#[derive(Debug, Clone)]
pub struct XrtOptions {
    /// Cards or the emulated card.
    pub backend: Backend,
    /// PCI address; `None` goes by `index`.
    pub bdf: Option<String>,
    /// Which of XRT's cards, where no address is given.
    pub index: u32,
    /// The release.
    pub xclbin: PathBuf,
    /// What the program was compiled for.
    pub config: HwConfig,
    /// A launch that takes longer is hung.
    pub timeout: Duration,
}

/// A card with the accelerator on it.
pub struct XrtMachine {
    // Fields drop in this order: the run before its kernel, buffers before the device.
    run: Run,
    kernel: Kernel,
    transfers: Transfers,
    main: Region,
    channels: Vec<Region>,
    device: Device,
    options: XrtOptions,
    interrupt: Arc<AtomicBool>,
    /// A launch was left behind when it was interrupted or hung.
    outstanding: bool,
}

/// Not a `From`: a second one for `MachineError` would make `?` ambiguous for everyone.
fn machine_error(e: XrtError) -> MachineError {
    MachineError(e.to_string())
}

fn read_xclbin(path: &Path, description: &Description) -> Result<Xclbin, XrtError> {
    let unreadable = |reason: String| XrtError::Unreadable { path: path.into(), reason };
    let bytes = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
    let file = Xclbin::parse(&bytes).map_err(unreadable)?;
    let faults = check::faults(description, &file);
    match faults.is_empty() {
        true => Ok(file),
        false => Err(XrtError::WrongXclbin { path: path.into(), faults }),
    }
}

/// The memory of a port with its banks as the file numbers them.
fn region(description: &Description, file: &Xclbin, port: usize, bank: Bank) -> Result<Region, XrtError> {
    let memories = &description.board.memories[description.ports[port].memories.clone()];
    let banks = memories.iter().map(|m| {
        let missing = || XrtError::Bank(format!("the xclbin has no memory {}", m.tag));
        let index = file.memory_index(&m.tag).ok_or_else(missing)?;
        Ok(BankInfo { index, tag: m.tag.clone(), size_bytes: m.size_bytes })
    });
    Ok(Region::new(bank.to_string(), banks.collect::<Result<_, _>>()?))
}

impl XrtMachine {
    /// Opens the card, checks the release against the configuration, and loads it.
    pub fn open(options: XrtOptions) -> Result<XrtMachine, XrtError> {
        let unfit = |reason: String| XrtError::Bank(reason);
        let description = Description::of(&options.config).map_err(unfit)?;
        let library: &'static Library = load(&options.backend)?;
        let device = Device::open(library, options.bdf.as_deref(), options.index)?;
        let file = read_xclbin(&options.xclbin, &description)?;
        let uuid = device.load_xclbin(&options.xclbin)?;
        let kernel = Kernel::open(&device, &uuid, &format!("{KERNEL}:{{{COMPUTE_UNIT}}}"))?;
        let (expected, found) = (isa_hash(&options.config), kernel.read(csr::ISA_HASH)?);
        if found != expected {
            let fault = format!("the running kernel says hash {found:#010x}, expected {expected:#010x}");
            return Err(XrtError::WrongXclbin { path: options.xclbin.clone(), faults: vec![fault] });
        }
        let main = region(&description, &file, 0, Bank::Main)?;
        let channels = (0..options.config.slices)
            .map(|c| region(&description, &file, c as usize + 1, Bank::Channel(c)))
            .collect::<Result<Vec<_>, _>>()?;
        let (run, transfers) = (kernel.run()?, Transfers::new());
        let interrupt = Arc::default();
        let mut machine = XrtMachine {
            run,
            kernel,
            transfers,
            main,
            channels,
            device,
            options,
            interrupt,
            outstanding: false,
        };
        machine.check_groups(&file)?;
        Ok(machine)
    }

    /// XRT's C interface takes any buffer for any argument: that each port's memories are in the group XRT
    /// has for its argument is checked here.
    fn check_groups(&mut self, file: &Xclbin) -> Result<(), XrtError> {
        let regions = std::iter::once(&self.main).chain(&self.channels);
        for (port, region) in regions.enumerate() {
            let arg = Description::port_arg(port);
            let group = self.kernel.group(arg).and_then(|g| file.groups.get(g as usize).map(|m| (g, m)));
            let Some((index, group)) = group else {
                return Err(XrtError::Bank(format!("XRT knows no memory for argument {arg} (port {port})")));
            };
            for bank in region.banks() {
                let memory = &file.groups[bank.index as usize];
                let end = memory.base + memory.size_bytes;
                let inside = memory.base >= group.base && end <= group.base + group.size_bytes;
                if !inside {
                    return Err(XrtError::Bank(format!(
                        "argument {arg} is wired to {} (group {index}); {} is outside of it",
                        group.tag, bank.tag
                    )));
                }
            }
        }
        Ok(())
    }

    /// The memory that an access is in, with what moves its bytes.
    fn region(&mut self, bank: Bank, at: u64, len: usize) -> Result<(&mut Region, &Transfers), MachineError> {
        let channels = self.channels.len();
        let region = match bank {
            Bank::Main => &mut self.main,
            Bank::Channel(c) => self.channels.get_mut(c as usize).ok_or_else(|| {
                MachineError(format!("{bank} does not exist: expected one below {channels}"))
            })?,
        };
        if at.checked_add(len as u64).is_none_or(|end| end > region.len()) {
            let size = region.len();
            return Err(MachineError(format!(
                "{bank}: access of {len} bytes at {at:#x} exceeds the {size} bytes that were reserved"
            )));
        }
        Ok((region, &self.transfers))
    }

    fn library(&self) -> &'static Library {
        self.device.library()
    }

    fn hung(&self, timeout: Duration) -> XrtError {
        let reset = match (&self.options.backend, &self.options.bdf) {
            (Backend::Emulated(_), _) => "start this program again, which resets the emulated card,".into(),
            (Backend::Card, Some(bdf)) => format!("reset the card with `xbutil reset --device {bdf}`"),
            (Backend::Card, None) => "reset the card with `xbutil reset --device BDF`".into(),
        };
        XrtError::Hung { which: self.device.name().into(), timeout, reset }
    }

    /// Waits for the end of a start; false if it was interrupted and goes on.
    fn wait(&mut self) -> Result<bool, XrtError> {
        let begin = Instant::now();
        let mut interrupted: Option<Instant> = None;
        loop {
            match self.run.wait(POLL.min(self.options.timeout)) {
                Ended::Completed => break,
                Ended::Failed(state) => {
                    let said =
                        self.library().refused().map(|t| format!("; the card: {t}")).unwrap_or_default();
                    let words = format!("the start ended in state {state} of ert_cmd_state{said}");
                    let what = self.device.name().to_string();
                    return Err(XrtError::Call { call: "xrtRunStart", what, words });
                }
                Ended::Running => {}
            }
            if begin.elapsed() >= self.options.timeout {
                return Err(self.hung(self.options.timeout));
            }
            if self.interrupt.load(Ordering::Relaxed) {
                let since = interrupted.get_or_insert_with(Instant::now);
                if since.elapsed() >= INTERRUPT_GRACE {
                    return Ok(false);
                }
            }
        }
        self.outstanding = false;
        Ok(true)
    }

    fn start(&mut self, launch: &Launch) -> Result<(), XrtError> {
        let units = |r: &Region| (r.len() / UNIT_BYTES as u64) as u32;
        let channel_units = self.channels.first().map_or(0, units);
        for (arg, (_, register)) in SCALARS.iter().enumerate() {
            let value = match *register {
                csr::MEM_UNITS => units(&self.main),
                csr::CODE_BASE => launch.code_base_units,
                csr::CODE_LEN => launch.code_len,
                csr::ENTRY => launch.entry,
                csr::WATCHDOG => launch.watchdog_cycles,
                csr::CODE_UNITS => launch.code_units,
                csr::CHANNEL_UNITS => channel_units,
                other => unreachable!("invariant: no other scalar ({other:#x})"),
            };
            self.run.set_u32(arg, value)?;
        }
        for (number, value) in launch.args.iter().enumerate().skip(1) {
            self.run.set_u32(Description::reg_arg(number), *value)?;
        }
        self.main.flush(&self.transfers);
        self.channels.iter_mut().for_each(|c| c.flush(&self.transfers));
        self.transfers.finish()?;
        self.outstanding = true;
        self.run.start()
    }

    fn counter(&self, offset: u32) -> Result<u64, XrtError> {
        Ok(u64::from(self.kernel.read(offset)?) | u64::from(self.kernel.read(offset + 4)?) << 32)
    }

    fn counters(&self) -> Result<Counters, XrtError> {
        let units = |first: u32| -> Result<[u64; 4], XrtError> {
            let mut out = [0; 4];
            for (value, offset) in out.iter_mut().zip((first..).step_by(8)) {
                *value = self.counter(offset)?;
            }
            Ok(out)
        };
        Ok(Counters {
            cycles: self.counter(csr::CNT_CYCLES)?,
            dispatched: self.counter(csr::CNT_DISPATCHED)?,
            retired: units(csr::CNT_RETIRED_LD)?,
            busy_cycles: units(csr::CNT_BUSY_LD)?,
            wait_cycles: units(csr::CNT_WAIT_LD)?,
            read_beats: self.counter(csr::CNT_READ_BEATS)?,
            write_beats: self.counter(csr::CNT_WRITE_BEATS)?,
            channel_read_beats: self.counter(csr::CNT_CHANNEL_READ_BEATS)?,
            channel_write_beats: self.counter(csr::CNT_CHANNEL_WRITE_BEATS)?,
            mac_beats: self.counter(csr::CNT_MAC_BEATS)?,
            starved_cycles: self.counter(csr::CNT_STARVED_MM)?,
        })
    }

    fn fault(&self) -> Result<Option<Fault>, MachineError> {
        let read = |offset| self.kernel.read(offset).map_err(machine_error);
        let status = read(csr::STATUS)?;
        if status & 1 == 0 {
            return Ok(None);
        }
        let unit = match status >> 16 & 7 {
            4 => Unit::Sys,
            u => Unit::QUEUES[u as usize & 3],
        };
        let code = FaultCode::from_code((status >> 8 & 0xf) as u8)
            .ok_or_else(|| MachineError(format!("STATUS {status:#x} names no fault")))?;
        Ok(Some(Fault { code, unit, pc: read(csr::FAULT_PC)? }))
    }
}

impl Machine for XrtMachine {
    fn name(&self) -> &str {
        "xrt"
    }

    fn resize(&mut self, main_units: u32, channel_units: u32) -> Result<(), MachineError> {
        let bytes = |units: u32| u64::from(units) * UNIT_BYTES as u64;
        // Pointers to buffers that go away must not stay in the run.
        self.main.resize(&self.device, bytes(main_units), &self.transfers).map_err(machine_error)?;
        for channel in &mut self.channels {
            channel.resize(&self.device, bytes(channel_units), &self.transfers).map_err(machine_error)?;
        }
        for (port, region) in std::iter::once(&self.main).chain(&self.channels).enumerate() {
            if let Some(buffer) = region.first() {
                self.run.set_buffer(Description::port_arg(port), buffer.clone()).map_err(machine_error)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, bank: Bank, address_bytes: u64, data: &[u8]) -> Result<(), MachineError> {
        let (region, transfers) = self.region(bank, address_bytes, data.len())?;
        region.write(address_bytes, data, transfers);
        Ok(())
    }

    fn read(&mut self, bank: Bank, address_bytes: u64, out: &mut [u8]) -> Result<(), MachineError> {
        let (region, transfers) = self.region(bank, address_bytes, out.len())?;
        region.read(address_bytes, out, transfers).map_err(machine_error)
    }

    fn launch(&mut self, launch: &Launch) -> Result<Report, MachineError> {
        if self.outstanding && !self.wait().map_err(machine_error)? {
            return Ok(Report { interrupted: true, ..Report::default() });
        }
        self.start(launch).map_err(machine_error)?;
        if !self.wait().map_err(machine_error)? {
            return Ok(Report { interrupted: true, ..Report::default() });
        }
        let (fault, counters) = (self.fault()?, self.counters().map_err(machine_error)?);
        Ok(Report { fault, counters, ..Report::default() })
    }

    /// A card does not record what it retires.
    fn record(&mut self, _on: bool) {}

    fn on_chip(&mut self) -> Option<OnChip> {
        None
    }

    fn interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.interrupt = flag;
    }
}
