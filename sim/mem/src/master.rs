//! One AXI master on several channels, through the crossbar.

use crate::channel::ChannelConfig;
use crate::controller::{Controller, Run};
use crate::port::{Answers, MemoryPort, Request, UNIT_BYTES};

/// Crossbar between a master and its channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterConfig {
    /// Channel and port; refresh phases are staggered over the channels by `refresh_stagger_ticks`.
    pub channel: ChannelConfig,
    /// Ticks by which the refreshes of a channel lie after those of the channel before.
    pub refresh_stagger_ticks: u64,
    /// Switch hops to each channel; as many channels as entries.
    pub hops: Vec<u64>,
    /// Memory ticks of a hop, there and back together.
    pub hop_ticks: u64,
    /// Units of a channel; the first follow in the first channel, and so on.
    pub units_per_channel: u64,
    /// A reordering aid (AMD's RAMA) between master and switch: it spreads requests over AXI ids and
    /// puts the answers back in order, so that they may be under way to several channels.
    pub reorder: bool,
}

/// Without the reordering aid a request to another channel waits until all answers of the last
/// channel are back: the switch keeps an id's answers in order by not mixing destinations.
pub struct Master {
    config: MasterConfig,
    controllers: Vec<Controller>,
    answers: Answers,
    runs: Vec<Run>,
    /// Channel, and cycle of the last answer, of reads and of writes.
    destination: [Option<usize>; 2],
    last_answer: [u64; 2],
    /// Addresses leave in order: none before these ticks (reads, writes).
    address_from: [u64; 2],
}

impl Master {
    /// # Panics
    /// If there is no channel or the configuration contradicts itself.
    pub fn new(config: MasterConfig) -> Master {
        assert!(!config.hops.is_empty(), "a master of no channels: expected at least one entry in `hops`");
        let t = &config.channel.controller.timing;
        let controllers = (0..config.hops.len() as u64).map(|i| {
            let mut controller = config.channel.controller.clone();
            controller.refresh_phase_ticks += i * config.refresh_stagger_ticks;
            Controller::new(controller)
        });
        Master {
            controllers: controllers.collect(),
            answers: Answers::new(&config.channel.port, t.clock_hz, t.peak_bytes_per_second()),
            runs: Vec::new(),
            destination: [None; 2],
            last_answer: [0; 2],
            address_from: [0; 2],
            config,
        }
    }

    /// Channel, first access and accesses of a request. Addresses beyond the last channel wrap: such
    /// a request ends in an error response, and that needs a time too.
    fn locate(&self, request: &Request) -> (usize, u64, u64) {
        let channel = request.unit / self.config.units_per_channel % self.controllers.len() as u64;
        let of_unit = UNIT_BYTES / self.config.channel.controller.timing.access_bytes;
        let unit = request.unit % self.config.units_per_channel;
        (channel as usize, unit * of_unit, request.beats * of_unit)
    }

    /// Tick at which an address leaves for its channel.
    fn send(&mut self, cycle: u64, channel: usize, kind: usize) -> u64 {
        let mut tick = self.answers.clock.tick_at(cycle).max(self.address_from[kind]);
        let moved = self.destination[kind].is_some_and(|before| before != channel);
        if moved && !self.config.reorder {
            tick = tick.max(self.answers.clock.tick_at(self.last_answer[kind]));
        }
        self.destination[kind] = Some(channel);
        self.address_from[kind] = tick;
        tick + self.config.channel.port.request_ticks
    }
}

/// Indices of the per-direction fields.
const READ: usize = 0;
const WRITE: usize = 1;

impl MemoryPort for Master {
    fn read(&mut self, request: Request, beats: &mut Vec<u64>) {
        let (channel, first, count) = self.locate(&request);
        let arrival = self.send(request.cycle, channel, READ);
        self.runs.clear();
        self.controllers[channel].read(arrival, first, count, &mut self.runs);
        let late = self.config.hops[channel] * self.config.hop_ticks;
        let access_bytes = self.config.channel.controller.timing.access_bytes;
        beats.clear();
        self.answers.beats(&self.runs, access_bytes, late, beats);
        self.last_answer[READ] = beats.last().copied().unwrap_or(self.last_answer[READ]);
    }

    fn write(&mut self, request: Request) -> u64 {
        let (channel, first, count) = self.locate(&request);
        let arrival = self.send(request.cycle, channel, WRITE);
        let posted = self.controllers[channel].write(arrival, first, count);
        let late = self.config.hops[channel] * self.config.hop_ticks;
        self.last_answer[WRITE] = self.answers.response(posted, late);
        self.last_answer[WRITE]
    }

    fn reset(&mut self) {
        *self = Master::new(self.config.clone());
    }
}
