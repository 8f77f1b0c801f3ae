//! One port on one DRAM channel.

use crate::controller::{Controller, ControllerConfig, Run};
use crate::port::{Answers, MemoryPort, PortConfig, Request, UNIT_BYTES};
use crate::trace::Command;

/// A channel and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Controller and DRAM.
    pub controller: ControllerConfig,
    /// Way between kernel and controller.
    pub port: PortConfig,
}

/// A port of its own on one channel: no other master, no switch.
pub struct Channel {
    config: ChannelConfig,
    controller: Controller,
    answers: Answers,
    runs: Vec<Run>,
}

impl Channel {
    /// # Panics
    /// If the configuration contradicts itself (message says where).
    pub fn new(config: ChannelConfig) -> Channel {
        let t = &config.controller.timing;
        assert!(
            UNIT_BYTES.is_multiple_of(t.access_bytes),
            "column command of {} bytes: expected a divisor of {UNIT_BYTES}",
            t.access_bytes
        );
        Channel {
            answers: Answers::new(&config.port, t.clock_hz, t.peak_bytes_per_second()),
            controller: Controller::new(config.controller.clone()),
            runs: Vec::new(),
            config,
        }
    }

    /// Configuration.
    pub fn config(&self) -> &ChannelConfig {
        &self.config
    }

    /// Keeps every DRAM command from now on.
    pub fn start_trace(&mut self) {
        self.controller.start_trace();
    }

    /// See [`Controller::take_trace`].
    pub fn take_trace(&mut self) -> Vec<Command> {
        self.controller.take_trace()
    }

    /// Accesses of a request: first and count.
    fn accesses(&self, request: &Request) -> (u64, u64) {
        let of_unit = UNIT_BYTES / self.config.controller.timing.access_bytes;
        (request.unit * of_unit, request.beats * of_unit)
    }
}

impl MemoryPort for Channel {
    fn read(&mut self, request: Request, beats: &mut Vec<u64>) {
        let arrival = self.answers.clock.tick_at(request.cycle) + self.config.port.request_ticks;
        let (first, count) = self.accesses(&request);
        self.runs.clear();
        self.controller.read(arrival, first, count, &mut self.runs);
        beats.clear();
        self.answers.beats(&self.runs, self.config.controller.timing.access_bytes, 0, beats);
    }

    fn write(&mut self, request: Request) -> u64 {
        let arrival = self.answers.clock.tick_at(request.cycle) + self.config.port.request_ticks;
        let (first, count) = self.accesses(&request);
        let posted = self.controller.write(arrival, first, count);
        self.answers.response(posted, 0)
    }

    fn reset(&mut self) {
        *self = Channel::new(self.config.clone());
    }
}
