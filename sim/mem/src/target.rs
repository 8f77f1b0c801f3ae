//! The memories of a hardware configuration.

use crate::channel::{Channel, ChannelConfig};
use crate::fixed::Fixed;
use crate::port::{MemoryPort, Request, UNIT_BYTES};
use crate::presets::RefreshPhase;
use crate::timing::Timing;
use flightvlm_hw::config::{HwConfig, MemoryTiming};

/// A port of either model.
pub enum Port {
    /// Fixed latencies.
    Fixed(Fixed),
    /// Banks, rows and refresh.
    Channel(Box<Channel>),
}

impl MemoryPort for Port {
    fn read(&mut self, request: Request, beats: &mut Vec<u64>) {
        match self {
            Port::Fixed(p) => p.read(request, beats),
            Port::Channel(p) => p.read(request, beats),
        }
    }
    fn write(&mut self, request: Request) -> u64 {
        match self {
            Port::Fixed(p) => p.write(request),
            Port::Channel(p) => p.write(request),
        }
    }
    fn reset(&mut self) {
        match self {
            Port::Fixed(p) => p.reset(),
            Port::Channel(p) => p.reset(),
        }
    }
}

/// All ports of a machine.
pub struct Ports {
    /// Main memory.
    pub main: Port,
    /// The weight channel of each slice.
    pub channels: Vec<Port>,
}

impl Ports {
    /// The memories that `config.memory` names, behind ports of one unit a kernel cycle. Refreshes of
    /// the channels are spread evenly: their controllers know nothing of each other.
    pub fn new(config: &HwConfig) -> Ports {
        let kernel_hz = u64::from(config.clock_mhz) * 1_000_000;
        let channels = u64::from(config.slices);
        match config.memory {
            MemoryTiming::Fixed { read_latency_cycles, write_latency_cycles } => {
                let port =
                    || Port::Fixed(Fixed::new(read_latency_cycles.into(), write_latency_cycles.into()));
                Ports { main: port(), channels: (0..channels).map(|_| port()).collect() }
            }
            MemoryTiming::Hbm { memory_mhz, refresh_ns } => {
                let timing = Timing::hbm2(u64::from(memory_mhz) * 1_000_000, u64::from(refresh_ns) * 1_000);
                let channel = |channel| {
                    let phase = RefreshPhase::Staggered { channel, channels };
                    let config = ChannelConfig::hbm2(timing.clone(), kernel_hz, UNIT_BYTES, phase);
                    Port::Channel(Box::new(Channel::new(config)))
                };
                let main = ChannelConfig::ddr4_2400(kernel_hz, UNIT_BYTES, RefreshPhase::Aligned);
                Ports {
                    main: Port::Channel(Box::new(Channel::new(main))),
                    channels: (0..channels).map(channel).collect(),
                }
            }
        }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.main.reset();
        self.channels.iter_mut().for_each(MemoryPort::reset);
    }
}
