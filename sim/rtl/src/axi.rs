//! AXI4 memory model of one port on a plain byte vector. It moves the pins: `drive` before the clock
//! edge sets what the memory offers, `sample` (after the model settled) takes what both sides
//! agreed on. When it answers is the affair of [`flightvlm_mem`].

use crate::pins::{Port, BEAT};
use crate::timing::{Port as Timing, Xorshift};
use flightvlm_mem::Request;
use std::collections::VecDeque;
use std::ops::Range;

const OKAY: u8 = 0;
const SLVERR: u8 = 2;
const DECERR: u8 = 3;

/// A burst in flight.
struct Transfer {
    address: u64,
    beats_left: u64,
    /// First unit and length, for the write's timing.
    unit: u64,
    beats: u64,
}

impl Transfer {
    fn new(address: u64, len: u8) -> Transfer {
        let beats = u64::from(len) + 1;
        Transfer { address, beats_left: beats, unit: address / BEAT as u64, beats }
    }
}

pub(crate) struct AxiMemory {
    pub bytes: Vec<u8>,
    /// Byte ranges that answer with an error.
    pub errors: Vec<Range<u64>>,
    /// Test hook: offer a beat that nobody asked for, at this cycle.
    pub stray_beat_at: Option<u64>,
    timing: Timing,
    /// Refusals and gaps, if the timing is erratic.
    refusals: Option<Xorshift>,
    reads: VecDeque<Transfer>,
    /// Cycles of the beats of `reads`, in order.
    beats: VecDeque<u64>,
    schedule: Vec<u64>,
    writes: VecDeque<Transfer>,
    /// Data that came before their address.
    early: VecDeque<([u8; BEAT], u64)>,
    write_error: u8,
    responses: VecDeque<(u64, u8)>,
    offering_read: bool,
    offering_response: bool,
}

impl AxiMemory {
    pub fn new(timing: Timing, refusals: Option<Xorshift>) -> AxiMemory {
        AxiMemory {
            bytes: Vec::new(),
            errors: Vec::new(),
            stray_beat_at: None,
            timing,
            refusals,
            reads: VecDeque::new(),
            beats: VecDeque::new(),
            schedule: Vec::new(),
            writes: VecDeque::new(),
            early: VecDeque::new(),
            write_error: OKAY,
            responses: VecDeque::new(),
            offering_read: false,
            offering_response: false,
        }
    }

    /// Forgets everything in flight (the machine was reset).
    pub fn reset(&mut self) {
        self.reads.clear();
        self.beats.clear();
        self.writes.clear();
        self.early.clear();
        self.responses.clear();
        self.write_error = OKAY;
        (self.offering_read, self.offering_response) = (false, false);
    }

    /// A launch begins: the timing's cycles start again.
    pub fn begin(&mut self) {
        self.timing.reset();
    }

    /// Something may move on this port although the other side asks for nothing.
    #[inline]
    pub fn busy(&self) -> bool {
        !self.reads.is_empty()
            || !self.responses.is_empty()
            || self.refusals.is_some()
            || self.offering_read
            || self.offering_response
            || self.stray_beat_at.is_some()
    }

    fn willing(&mut self) -> bool {
        match &mut self.refusals {
            None => true,
            Some(random) => random.below(4) != 0,
        }
    }

    fn response(&self, address: u64) -> u8 {
        if address + BEAT as u64 > self.bytes.len() as u64 {
            DECERR
        } else if self.errors.iter().any(|r| r.start < address + BEAT as u64 && address < r.end) {
            SLVERR
        } else {
            OKAY
        }
    }

    /// Sets the memory's outputs. `cycle` counts from the launch, `time` from construction.
    #[inline]
    pub fn drive(&mut self, port: Port<'_>, cycle: u64, time: u64) {
        if !self.offering_read {
            let ready = self.beats.front().is_some_and(|at| *at <= cycle);
            if self.stray_beat_at == Some(time) {
                port.set_rlast(true);
                port.set_rvalid(true);
                self.stray_beat_at = None;
            } else if ready && self.willing() {
                let read = &self.reads[0];
                let response = self.response(read.address);
                if response != DECERR {
                    let at = read.address as usize;
                    port.set_rdata(self.bytes[at..at + BEAT].try_into().expect("invariant: a beat"));
                }
                port.set_rresp(response);
                port.set_rlast(read.beats_left == 1);
                port.set_rvalid(true);
                self.offering_read = true;
            } else {
                port.set_rvalid(false);
            }
        }
        if !self.offering_response {
            let ready = self.responses.front().is_some_and(|r| r.0 <= cycle);
            port.set_bvalid(ready);
            if ready {
                port.set_bresp(self.responses[0].1);
                self.offering_response = true;
            }
        }
        if self.refusals.is_some() {
            port.set_arready(self.willing());
            port.set_awready(self.willing());
            port.set_wready(self.willing());
        }
    }

    /// Takes this cycle's transfers; call once, between settling and the edge.
    #[inline]
    pub fn sample(&mut self, port: Port<'_>, cycle: u64) {
        if self.offering_read && port.rready() {
            self.offering_read = false;
            self.beats.pop_front();
            let read = &mut self.reads[0];
            read.address += BEAT as u64;
            read.beats_left -= 1;
            if read.beats_left == 0 {
                self.reads.pop_front();
            }
        }
        if self.offering_response && port.bready() {
            self.offering_response = false;
            self.responses.pop_front();
        }
        if port.arvalid() && port.arready() {
            let read = Transfer::new(port.araddr(), port.arlen());
            let request = Request { cycle, unit: read.unit, beats: read.beats };
            self.timing.read(request, &mut self.schedule);
            self.beats.extend(&self.schedule);
            self.reads.push_back(read);
        }
        if port.awvalid() && port.awready() {
            self.writes.push_back(Transfer::new(port.awaddr(), port.awlen()));
        }
        if port.wvalid() && port.wready() {
            self.early.push_back((port.wdata(), port.wstrb()));
        }
        while !self.writes.is_empty() {
            let Some((data, strobes)) = self.early.pop_front() else { break };
            self.write_beat(&data, strobes, cycle);
        }
    }

    fn write_beat(&mut self, data: &[u8; BEAT], strobes: u64, cycle: u64) {
        let address = self.writes[0].address;
        match self.response(address) {
            OKAY => {
                let to = &mut self.bytes[address as usize..][..BEAT];
                if strobes == u64::MAX {
                    to.copy_from_slice(data);
                } else {
                    for i in (0..BEAT).filter(|i| strobes >> i & 1 == 1) {
                        to[i] = data[i];
                    }
                }
            }
            error => self.write_error = error,
        }
        let write = &mut self.writes[0];
        write.address += BEAT as u64;
        write.beats_left -= 1;
        if write.beats_left == 0 {
            let at = self.timing.write(Request { cycle, unit: write.unit, beats: write.beats });
            self.responses.push_back((at, self.write_error));
            self.write_error = OKAY;
            self.writes.pop_front();
        }
    }
}
