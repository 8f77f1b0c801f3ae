//! AXI4 memory model on a plain byte vector. It moves the pins: `drive` before the clock edge sets
//! what the memory offers, `sample` (after the model settled) takes what both sides agreed on.

use crate::model::Pins;
use std::collections::VecDeque;
use std::ops::Range;

/// Bytes of a beat.
const BEAT: usize = 64;
const OKAY: u8 = 0;
const SLVERR: u8 = 2;
const DECERR: u8 = 3;

/// When the memory answers. Data never depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryTiming {
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

struct Burst {
    address: u64,
    beats_left: u32,
    ready_at: u64,
}

pub(crate) struct AxiMemory {
    pub dram: Vec<u8>,
    pub timing: MemoryTiming,
    /// Byte ranges that answer with an error.
    pub errors: Vec<Range<u64>>,
    /// Test hook: offer a beat that nobody asked for, at this cycle.
    pub stray_beat_at: Option<u64>,
    now: u64,
    random: u64,
    reads: VecDeque<Burst>,
    writes: VecDeque<Burst>,
    write_error: u8,
    responses: VecDeque<(u64, u8)>,
    offering_read: bool,
    offering_response: bool,
}

impl AxiMemory {
    pub fn new(timing: MemoryTiming, errors: Vec<Range<u64>>) -> AxiMemory {
        let seed = match timing {
            MemoryTiming::Random { seed, .. } => seed,
            MemoryTiming::Fixed { .. } => 0,
        };
        AxiMemory {
            dram: Vec::new(),
            timing,
            errors,
            stray_beat_at: None,
            now: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            write_error: OKAY,
            responses: VecDeque::new(),
            offering_read: false,
            offering_response: false,
        }
    }

    /// Forgets everything in flight (the machine was reset).
    pub fn reset(&mut self) {
        self.reads.clear();
        self.writes.clear();
        self.responses.clear();
        self.write_error = OKAY;
        (self.offering_read, self.offering_response) = (false, false);
    }

    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// A coin that is always true in fixed timing.
    fn willing(&mut self) -> bool {
        match self.timing {
            MemoryTiming::Fixed { .. } => true,
            MemoryTiming::Random { .. } => self.next_random() >> 40 & 3 != 0,
        }
    }

    fn latency(&mut self, write: bool) -> u64 {
        match self.timing {
            MemoryTiming::Fixed { read_latency_cycles, write_latency_cycles } => {
                u64::from(if write { write_latency_cycles } else { read_latency_cycles }.max(1))
            }
            MemoryTiming::Random { latency_cycles_max, .. } => {
                1 + (self.next_random() >> 20) % u64::from(latency_cycles_max.max(1))
            }
        }
    }

    fn response(&self, address: u64) -> u8 {
        if address + BEAT as u64 > self.dram.len() as u64 {
            DECERR
        } else if self.errors.iter().any(|r| r.start < address + BEAT as u64 && address < r.end) {
            SLVERR
        } else {
            OKAY
        }
    }

    /// Sets the memory's outputs for this cycle.
    #[inline]
    pub fn drive(&mut self, p: &Pins) {
        // SAFETY: `Pins` points into the live model; rdata has 16 words.
        unsafe {
            if !self.offering_read {
                let ready = self.reads.front().is_some_and(|b| b.ready_at <= self.now);
                let stray = self.stray_beat_at == Some(self.now);
                if stray {
                    *p.rlast = 1;
                    *p.rvalid = 1;
                } else if ready && self.willing() {
                    let b = &self.reads[0];
                    let resp = self.response(b.address);
                    if resp != DECERR {
                        let bytes = &self.dram[b.address as usize..][..BEAT];
                        std::ptr::copy_nonoverlapping(bytes.as_ptr(), p.rdata.cast(), BEAT);
                    }
                    *p.rresp = resp;
                    *p.rlast = u8::from(b.beats_left == 1);
                    *p.rvalid = 1;
                    self.offering_read = true;
                } else {
                    *p.rvalid = 0;
                }
            }
            if !self.offering_response {
                let ready = self.responses.front().is_some_and(|r| r.0 <= self.now);
                *p.bvalid = u8::from(ready);
                if ready {
                    *p.bresp = self.responses[0].1;
                    self.offering_response = true;
                }
            }
            if matches!(self.timing, MemoryTiming::Random { .. }) || self.now == 0 {
                *p.arready = u8::from(self.willing());
                *p.awready = u8::from(self.willing());
                *p.wready = u8::from(self.willing());
            }
        }
    }

    /// Takes this cycle's transfers; call once, between settling and the edge.
    #[inline]
    pub fn sample(&mut self, p: &Pins) {
        // SAFETY: as in `drive`; wdata has 16 words.
        unsafe {
            if self.offering_read && *p.rready != 0 {
                self.offering_read = false;
                let b = &mut self.reads[0];
                b.address += BEAT as u64;
                b.beats_left -= 1;
                if b.beats_left == 0 {
                    self.reads.pop_front();
                }
            }
            if self.offering_response && *p.bready != 0 {
                self.offering_response = false;
                self.responses.pop_front();
            }
            if *p.arvalid != 0 && *p.arready != 0 {
                let ready_at = self.now + self.latency(false);
                let (address, beats_left) = (*p.araddr, u32::from(*p.arlen) + 1);
                self.reads.push_back(Burst { address, beats_left, ready_at });
            }
            if *p.wvalid != 0 && *p.wready != 0 {
                self.write_beat(p.wdata, *p.wstrb);
            }
            if *p.awvalid != 0 && *p.awready != 0 {
                let (address, beats_left) = (*p.awaddr, u32::from(*p.awlen) + 1);
                self.writes.push_back(Burst { address, beats_left, ready_at: 0 });
            }
        }
        self.now += 1;
    }

    /// # Safety
    /// `data` points to 64 bytes.
    unsafe fn write_beat(&mut self, data: *const u32, strobes: u64) {
        let b = self.writes.front_mut().expect("invariant: the RTL sends W after its AW");
        let address = b.address;
        b.address += BEAT as u64;
        b.beats_left -= 1;
        let last = b.beats_left == 0;
        let resp = self.response(address);
        if resp == OKAY {
            let to = &mut self.dram[address as usize..][..BEAT];
            let from = std::slice::from_raw_parts(data.cast::<u8>(), BEAT);
            if strobes == u64::MAX {
                to.copy_from_slice(from);
            } else {
                for i in 0..BEAT {
                    if strobes >> i & 1 == 1 {
                        to[i] = from[i];
                    }
                }
            }
        } else {
            self.write_error = resp;
        }
        if last {
            self.writes.pop_front();
            let mut at = self.now + self.latency(true);
            if let Some(before) = self.responses.back() {
                at = at.max(before.0);
            }
            self.responses.push_back((at, self.write_error));
            self.write_error = OKAY;
        }
    }
}
