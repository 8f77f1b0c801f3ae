//! Timing of the accelerator's off-chip memories: U280's HBM2 pseudo-channels behind the AXI crossbar,
//! its DDR4-2400 channels, and a memory of fixed latency for configurations that model no DRAM.
//!
//! The model stands inside the instruction-level simulator and behind the AXI ports of the Verilated
//! RTL. Both get the same schedule for the same requests, because a schedule is complete when its
//! request is submitted ([`MemoryPort`]) and depends on the requests before it only.
//!
//! ```
//! use flightvlm_mem::{Channel, ChannelConfig, MemoryPort, RefreshPhase, Request};
//!
//! // 512-bit port at 225 MHz: 14.4 GB/s.
//! let config = ChannelConfig::hbm2_u280(225_000_000, 64, RefreshPhase::Aligned);
//! let mut channel = Channel::new(config);
//! let mut beats = Vec::new();
//! channel.read(Request { cycle: 100, unit: 0, beats: 16 }, &mut beats);
//! // A closed bank: 124.4 ns, 28 cycles; then a beat a cycle.
//! assert_eq!(beats, (128..144).collect::<Vec<u64>>());
//! let response = channel.write(Request { cycle: 150, unit: 4096, beats: 4 });
//! assert_eq!(response, 170);
//! ```
//!
//! * [`Channel`]: a port on a channel of its own. [`Master`]: one port on several channels.
//!   [`Fixed`]: constant latency.
//! * [`Controller`]: banks, refresh, command calendars, in memory ticks; [`Timing`], [`AddressMap`] its
//!   rules.
//! * [`acceptance`]: the model beside published figures (`cargo run --example acceptance`);
//!   [`traffic`]: closed loops that make such traffic.
//!
//! Invariants: whole numbers only, no clock of the host, no randomness; answers in order per port;
//! every command trace keeps the timing rules (`tests/rules` checks with code of its own). It must not
//! know programs, models or simulators. `README.md` has structure, parameters and limits.

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod acceptance;
mod activates;
mod channel;
mod clock;
mod columns;
mod controller;
mod fixed;
mod map;
mod master;
mod port;
mod presets;
mod refresh;
mod target;
mod timing;
mod trace;
pub mod traffic;

pub use channel::{Channel, ChannelConfig};
pub use clock::ClockRatio;
pub use controller::{Controller, ControllerConfig, Run};
pub use fixed::Fixed;
pub use map::{AddressMap, Place};
pub use master::{Master, MasterConfig};
pub use port::{MemoryPort, PortConfig, Request, UNIT_BYTES};
pub use presets::{RefreshPhase, HBM_CHANNELS, HBM_CHANNEL_BYTES};
pub use target::{Port, Ports};
pub use timing::Timing;
pub use trace::{Command, CommandKind};
