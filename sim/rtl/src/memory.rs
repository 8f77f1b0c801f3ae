//! Main memory and the channels behind the model's AXI ports. Channels at rest cost nothing.

use crate::axi::AxiMemory;
use crate::pins::Pins;
use crate::timing::{ports, MemoryTiming, Xorshift};
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::machine::{Bank, MachineError};
use std::ops::Range;

pub(crate) struct Memories {
    main: AxiMemory,
    channels: Vec<AxiMemory>,
    /// Channels (bit i) that `drive` must look at.
    busy: u32,
    time: u64,
    /// `time` of the launch's cycle 0.
    launch_begin: u64,
}

impl Memories {
    pub fn new(timing: MemoryTiming, hw: &HwConfig) -> Memories {
        let (main, channels) = ports(timing, hw);
        let mut index = 0;
        let mut memory = |port| {
            index += 1;
            let refusals = match timing {
                MemoryTiming::Random { seed, .. } => Some(Xorshift::new(seed.wrapping_mul(31) + index)),
                MemoryTiming::Fixed { .. } | MemoryTiming::Config => None,
            };
            AxiMemory::new(port, refusals)
        };
        let main = memory(main);
        let channels: Vec<_> = channels.into_iter().map(memory).collect();
        Memories { main, channels, busy: 0, time: 0, launch_begin: 0 }
    }

    /// Forgets everything in flight and makes all ports ready (the machine was reset).
    pub fn reset(&mut self, pins: &Pins) {
        let all = (0..self.channels.len()).map(|i| pins.channels.port(i));
        for port in all.chain([pins.main.port(0)]) {
            port.set_rvalid(false);
            port.set_bvalid(false);
            port.set_arready(true);
            port.set_awready(true);
            port.set_wready(true);
        }
        self.main.reset();
        self.channels.iter_mut().for_each(AxiMemory::reset);
        self.look_for_busy();
    }

    /// A launch whose cycle 0 is `in_cycles` from now.
    pub fn begin(&mut self, in_cycles: u64) {
        self.launch_begin = self.time + in_cycles;
        self.main.begin();
        self.channels.iter_mut().for_each(AxiMemory::begin);
    }

    fn look_for_busy(&mut self) {
        self.busy = self.channels.iter().enumerate().map(|(i, c)| u32::from(c.busy()) << i).sum();
    }

    #[inline]
    fn cycle(&self) -> u64 {
        self.time.saturating_sub(self.launch_begin)
    }

    /// Sets the memories' outputs for this cycle.
    #[inline]
    pub fn drive(&mut self, pins: &Pins) {
        let cycle = self.cycle();
        self.main.drive(pins.main.port(0), cycle, self.time);
        let mut left = self.busy;
        while left != 0 {
            let i = left.trailing_zeros() as usize;
            left &= left - 1;
            self.channels[i].drive(pins.channels.port(i), cycle, self.time);
        }
    }

    /// Takes this cycle's transfers; call once, between settling and the edge.
    #[inline]
    pub fn sample(&mut self, pins: &Pins) {
        let cycle = self.cycle();
        self.main.sample(pins.main.port(0), cycle);
        let mut left = self.busy | pins.channels.asking(self.channels.len());
        while left != 0 {
            let i = left.trailing_zeros() as usize;
            left &= left - 1;
            let channel = &mut self.channels[i];
            channel.sample(pins.channels.port(i), cycle);
            // One more look when it comes to rest: its outputs must go low.
            self.busy |= 1 << i;
            if !channel.busy() && !pins.channels.port(i).rvalid() && !pins.channels.port(i).bvalid() {
                self.busy &= !(1 << i);
            }
        }
        self.time += 1;
    }

    pub fn bank(&mut self, bank: Bank) -> Result<&mut AxiMemory, MachineError> {
        let channels = self.channels.len();
        match bank {
            Bank::Main => Ok(&mut self.main),
            Bank::Channel(i) => self.channels.get_mut(i as usize).ok_or_else(|| {
                MachineError(format!("channel {i}: the configuration has channels 0 to {}", channels - 1))
            }),
        }
    }

    /// Units of main memory and of each channel.
    pub fn units(&self) -> (u32, u32) {
        let units = |m: &AxiMemory| (m.bytes.len() / UNIT_BYTES) as u32;
        (units(&self.main), units(&self.channels[0]))
    }

    pub fn resize(&mut self, main_units: u32, channel_units: u32) {
        let grow = |m: &mut AxiMemory, units: u32| {
            let bytes = units as usize * UNIT_BYTES;
            if m.bytes.len() < bytes {
                m.bytes.resize(bytes, 0);
            }
        };
        grow(&mut self.main, main_units);
        self.channels.iter_mut().for_each(|m| grow(m, channel_units));
    }

    /// The bytes `address .. address + len` of a memory.
    pub fn bytes(&mut self, bank: Bank, address: u64, len: usize) -> Result<&mut [u8], MachineError> {
        let memory = &mut self.bank(bank)?.bytes;
        let (from, size) = (address as usize, memory.len());
        memory.get_mut(from..from.saturating_add(len)).ok_or_else(|| {
            MachineError(format!("{bank}: access of {len} bytes at {address:#x}, but it has {size} bytes"))
        })
    }

    /// Replaces the ranges that answer with errors.
    pub fn set_errors(&mut self, ranges: &[(Bank, Range<u64>)]) -> Result<(), MachineError> {
        self.main.errors.clear();
        self.channels.iter_mut().for_each(|c| c.errors.clear());
        for (bank, range) in ranges {
            self.bank(*bank)?.errors.push(range.clone());
        }
        Ok(())
    }

    pub fn inject_stray_beat(&mut self, cycles: u64) {
        self.main.stray_beat_at = Some(self.time + cycles);
    }
}
