//! Timing of the accelerator's off-chip memories. (placeholder)

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
pub use timing::Timing;
pub use trace::{Command, CommandKind};
