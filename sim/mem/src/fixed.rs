//! Memory of fixed latency, for configurations that model no DRAM.

use crate::port::{MemoryPort, Request};

/// Always ready, one beat a cycle, answers in order, any number of requests in flight.
#[derive(Debug, Clone)]
pub struct Fixed {
    read_latency_cycles: u64,
    write_latency_cycles: u64,
    next_beat: u64,
    next_response: u64,
}

impl Fixed {
    /// `read_latency_cycles`: from an address to its first beat. `write_latency_cycles`: from the last
    /// beat of a burst to its response. An answer takes a cycle at least.
    pub fn new(read_latency_cycles: u64, write_latency_cycles: u64) -> Fixed {
        Fixed {
            read_latency_cycles: read_latency_cycles.max(1),
            write_latency_cycles: write_latency_cycles.max(1),
            next_beat: 0,
            next_response: 0,
        }
    }
}

impl MemoryPort for Fixed {
    fn read(&mut self, request: Request, beats: &mut Vec<u64>) {
        let first = self.next_beat.max(request.cycle + self.read_latency_cycles);
        self.next_beat = first + request.beats;
        beats.clear();
        beats.extend(first..self.next_beat);
    }

    fn write(&mut self, request: Request) -> u64 {
        // Responses may share a cycle here; the port hands them out one by one.
        self.next_response = self.next_response.max(request.cycle + self.write_latency_cycles);
        self.next_response
    }

    fn reset(&mut self) {
        (self.next_beat, self.next_response) = (0, 0);
    }
}
