//! When the memories answer. Data never depend on it.

use flightvlm_hw::config::{self, HwConfig};
use flightvlm_mem::{MemoryPort, Ports, Request};

/// When the memories answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryTiming {
    /// As the hardware configuration says; always ready.
    Config,
    /// Always ready; fixed latencies; one beat a cycle.
    Fixed {
        /// Cycles from the address to the first beat.
        read_latency_cycles: u32,
        /// Cycles from the last write beat to the response.
        write_latency_cycles: u32,
    },
    /// Latencies, gaps and refusals drawn from a seed.
    Random {
        /// Seed; the same seed gives the same cycles.
        seed: u64,
        /// Longest latency.
        latency_cycles_max: u32,
    },
}

pub(crate) type Port = Box<dyn MemoryPort + Send>;

/// Ports of the main memory and of each channel.
pub(crate) fn ports(timing: MemoryTiming, hw: &HwConfig) -> (Port, Vec<Port>) {
    let mut hw = hw.clone();
    match timing {
        MemoryTiming::Config => {}
        MemoryTiming::Fixed { read_latency_cycles, write_latency_cycles } => {
            hw.memory = config::MemoryTiming::Fixed { read_latency_cycles, write_latency_cycles };
        }
        MemoryTiming::Random { seed, latency_cycles_max } => {
            let port = |index: u64| -> Port {
                Box::new(Random {
                    random: Xorshift::new(seed.wrapping_add(index << 32)),
                    latency_cycles_max: u64::from(latency_cycles_max.max(1)),
                    last_response: 0,
                })
            };
            return (port(0), (1..=u64::from(hw.slices)).map(port).collect());
        }
    }
    let ports = Ports::new(&hw);
    (Box::new(ports.main), ports.channels.into_iter().map(|p| Box::new(p) as Port).collect())
}

struct Random {
    random: Xorshift,
    latency_cycles_max: u64,
    last_response: u64,
}

impl MemoryPort for Random {
    fn read(&mut self, request: Request, beats: &mut Vec<u64>) {
        let ready = request.cycle + 1 + self.random.below(self.latency_cycles_max);
        beats.clear();
        beats.extend((0..request.beats).map(|_| ready));
    }
    fn write(&mut self, request: Request) -> u64 {
        let at = request.cycle + 1 + self.random.below(self.latency_cycles_max);
        self.last_response = self.last_response.max(at);
        self.last_response
    }
    fn reset(&mut self) {
        self.last_response = 0;
    }
}

/// A small generator: the same seed gives the same cycles everywhere.
pub(crate) struct Xorshift(u64);

impl Xorshift {
    pub fn new(seed: u64) -> Xorshift {
        Xorshift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % limit
    }
}
