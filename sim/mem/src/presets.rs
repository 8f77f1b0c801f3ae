//! The memories of an Alveo U280.

use crate::channel::ChannelConfig;
use crate::controller::ControllerConfig;
use crate::map::AddressMap;
use crate::master::MasterConfig;
use crate::port::{PortConfig, UNIT_BYTES};
use crate::timing::Timing;

/// Pseudo-channels of the card.
pub const HBM_CHANNELS: u64 = 32;
/// Bytes of a pseudo-channel (UG1393).
pub const HBM_CHANNEL_BYTES: u64 = 256 << 20;

/// How the refreshes of channels that work together lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshPhase {
    /// All channels refresh at the same time.
    Aligned,
    /// Spread over tREFI: channel `i` of `n` is `i / n` of it behind.
    Staggered {
        /// This channel.
        channel: u64,
        /// Channels.
        channels: u64,
    },
}

impl RefreshPhase {
    fn ticks(self, timing: &Timing) -> u64 {
        match self {
            RefreshPhase::Aligned => 0,
            RefreshPhase::Staggered { channel, channels } => channel * timing.t_refi / channels,
        }
    }
}

impl ChannelConfig {
    /// A pseudo-channel of U280's HBM2 behind a port of its own.
    pub fn hbm2_u280(kernel_hz: u64, port_bytes_per_cycle: u64, phase: RefreshPhase) -> ChannelConfig {
        ChannelConfig::hbm2(Timing::hbm2_u280(), kernel_hz, port_bytes_per_cycle, phase)
    }

    /// A pseudo-channel of HBM2 with the given timing behind a port of its own.
    ///
    /// The way through AXI, clock crossings, controller and PHY takes 87.8 ns (79 ticks), so that one
    /// unit takes what Shuhai measured of page hit, closed page and page miss: 106.7, 122.2, 137.8 ns
    /// (recalled, unverified); the model gives 106.7, 124.4, 137.8.
    pub fn hbm2(
        timing: Timing,
        kernel_hz: u64,
        port_bytes_per_cycle: u64,
        phase: RefreshPhase,
    ) -> ChannelConfig {
        // The way is a time, whatever the memory's clock.
        let ticks = |at_900_mhz: u64| at_900_mhz * timing.clock_hz / 900_000_000;
        let (request_ticks, response_ticks) = (ticks(40), ticks(39));
        ChannelConfig {
            controller: ControllerConfig {
                map: AddressMap::hbm2_u280(),
                window_accesses: 64,
                // Calibrated, with the age, on DRAMsim3's streams of 50 % and 10 % writes.
                write_batch_accesses: 64,
                write_age_accesses: 128,
                write_idle_ticks: 32,
                refresh: true,
                refresh_phase_ticks: phase.ticks(&timing),
                timing,
            },
            port: PortConfig { kernel_hz, port_bytes_per_cycle, request_ticks, response_ticks },
        }
    }

    /// One of U280's two DDR4-2400 channels. 57.5 ns (69 ticks) of way, from Shuhai's 73.3, 89.9,
    /// 106.6 ns (recalled, unverified) as for HBM2; the model gives 75.0, 90.0, 103.3.
    pub fn ddr4_2400(kernel_hz: u64, port_bytes_per_cycle: u64, phase: RefreshPhase) -> ChannelConfig {
        let timing = Timing::ddr4_2400();
        ChannelConfig {
            controller: ControllerConfig {
                map: AddressMap::ddr4(),
                window_accesses: 64,
                write_batch_accesses: 64,
                write_age_accesses: 128,
                write_idle_ticks: 32,
                refresh: true,
                refresh_phase_ticks: phase.ticks(&timing),
                timing,
            },
            port: PortConfig { kernel_hz, port_bytes_per_cycle, request_ticks: 34, response_ticks: 35 },
        }
    }
}

impl MasterConfig {
    /// One master on the first `channels` pseudo-channels of its local switch (up to four, no lateral
    /// hop). A hop costs 5 ticks (5.5 ns): 22 cycles of 450 MHz to the farthest channel (Shuhai;
    /// recalled, unverified) over eight switches.
    pub fn hbm2_u280(
        kernel_hz: u64,
        port_bytes_per_cycle: u64,
        channels: u64,
        reorder: bool,
    ) -> MasterConfig {
        let timing = Timing::hbm2_u280();
        MasterConfig {
            channel: ChannelConfig::hbm2_u280(kernel_hz, port_bytes_per_cycle, RefreshPhase::Aligned),
            refresh_stagger_ticks: timing.t_refi / channels.max(1),
            // Four channels share a local switch.
            hops: (0..channels).map(|channel| channel / 4).collect(),
            hop_ticks: 5,
            units_per_channel: HBM_CHANNEL_BYTES / UNIT_BYTES,
            reorder,
        }
    }
}
