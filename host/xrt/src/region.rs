//! One memory of the accelerator on the card: buffers in the banks of its port, one after the other in the
//! address space, since the kernel adds one base address per port.

use crate::buffer::{Buffer, Direction};
use crate::device::Device;
use crate::error::XrtError;
use crate::transfer::Transfers;
use std::ops::Range;
use std::sync::Arc;

/// Bytes after which written data goes to the card without waiting for more.
const PIECE_BYTES: usize = 8 << 20;
/// Buffers start and end on pages.
const PAGE_BYTES: usize = 4096;

/// A bank that a region may use.
#[derive(Debug, Clone)]
pub(crate) struct BankInfo {
    /// Index in the xclbin's memory table.
    pub index: u32,
    pub tag: String,
    pub size_bytes: u64,
}

/// A part of a region with the bytes that are not on the card yet.
struct Part {
    buffer: Arc<Buffer>,
    /// First byte within the region.
    start: u64,
    /// Written, not sent; in order of writing, none of them adjacent.
    dirty: Vec<Range<usize>>,
}

pub(crate) struct Region {
    name: String,
    banks: Vec<BankInfo>,
    parts: Vec<Part>,
    len: u64,
}

impl Region {
    pub fn new(name: String, banks: Vec<BankInfo>) -> Region {
        Region { name, banks, parts: Vec::new(), len: 0 }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// The buffer whose address is the region's.
    pub fn first(&self) -> Option<&Arc<Buffer>> {
        self.parts.first().map(|p| &p.buffer)
    }

    /// Every bank it may use.
    pub fn banks(&self) -> &[BankInfo] {
        &self.banks
    }

    /// Grows to `len` bytes, zero where new. Contents move when the buffers do.
    pub fn resize(&mut self, device: &Device, len: u64, transfers: &Transfers) -> Result<(), XrtError> {
        if len <= self.len {
            return Ok(());
        }
        let room: u64 = self.banks.iter().map(|b| b.size_bytes).sum();
        if len > room {
            let banks: Vec<_> = self.banks.iter().map(|b| b.tag.as_str()).collect();
            return Err(XrtError::Bank(format!(
                "{} needs {len} bytes; its banks {} hold {room}",
                self.name,
                banks.join(", ")
            )));
        }
        let mut contents = vec![0; self.len as usize];
        self.read(0, &mut contents, transfers)?;
        self.parts.clear();
        // Until the new memory is there, there is none.
        self.len = 0;
        let placed = self.place(device, len, transfers).and_then(|()| self.contiguous());
        if let Err(e) = placed {
            transfers.finish()?;
            self.parts.clear();
            return Err(e);
        }
        self.len = len;
        self.write(0, &contents, transfers);
        self.flush(transfers);
        transfers.finish()
    }

    /// Reserves `len` zero bytes over the banks.
    fn place(&mut self, device: &Device, len: u64, transfers: &Transfers) -> Result<(), XrtError> {
        let mut start = 0;
        for bank in &self.banks {
            let bytes = (len - start).min(bank.size_bytes);
            if bytes == 0 {
                break;
            }
            let what = format!("{} in {}", self.name, bank.tag);
            let reserved = (bytes as usize).next_multiple_of(PAGE_BYTES);
            let buffer = Arc::new(Buffer::new(device, reserved, bank.index, what)?);
            buffer.clear(0..reserved);
            transfers.send(buffer.clone(), 0..reserved);
            self.parts.push(Part { buffer, start, dirty: Vec::new() });
            start += bytes;
        }
        Ok(())
    }

    /// The kernel sees one range of addresses.
    fn contiguous(&self) -> Result<(), XrtError> {
        let Some(first) = self.first() else { return Ok(()) };
        let broken = self.parts.iter().find(|p| p.buffer.address() != first.address() + p.start);
        match broken {
            None => Ok(()),
            Some(p) => Err(XrtError::Bank(format!(
                "{} does not lie in one piece: its byte {:#x} is at {:#x}, expected {:#x}; another program holds part of its \
                 banks",
                self.name,
                p.start,
                p.buffer.address(),
                first.address() + p.start
            ))),
        }
    }

    /// The buffers behind a range of the region, each with the range inside of it.
    fn buffers(&mut self, at: u64, len: usize) -> impl Iterator<Item = (&mut Part, Range<usize>)> {
        let end = at + len as u64;
        self.parts.iter_mut().filter_map(move |p| {
            let from = at.max(p.start);
            let to = end.min(p.start + p.buffer.len() as u64);
            if from >= to {
                return None;
            }
            let range = (from - p.start) as usize..(to - p.start) as usize;
            Some((p, range))
        })
    }

    /// Writes; the bytes go to the card by the piece, the rest with `flush`.
    pub fn write(&mut self, at: u64, data: &[u8], transfers: &Transfers) {
        let mut left = data;
        for (part, range) in self.buffers(at, data.len()) {
            let (mine, rest) = left.split_at(range.len());
            left = rest;
            for (i, piece) in mine.chunks(PIECE_BYTES).enumerate() {
                let from = range.start + i * PIECE_BYTES;
                part.buffer.write(from, piece);
                part.mark(from..from + piece.len(), transfers);
            }
        }
    }

    /// Reads what the card has.
    pub fn read(&mut self, at: u64, out: &mut [u8], transfers: &Transfers) -> Result<(), XrtError> {
        self.flush(transfers);
        transfers.finish()?;
        let mut left = out;
        let len = left.len();
        for (part, range) in self.buffers(at, len) {
            part.buffer.sync(Direction::FromDevice, range.clone())?;
            let (mine, rest) = left.split_at_mut(range.len());
            part.buffer.read(range.start, mine);
            left = rest;
        }
        Ok(())
    }

    /// Sends what is left; `Transfers::finish` waits for it.
    pub fn flush(&mut self, transfers: &Transfers) {
        for part in &mut self.parts {
            for range in part.dirty.drain(..) {
                transfers.send(part.buffer.clone(), range);
            }
        }
    }
}

impl Part {
    /// Remembers a written range. Only adjacent ranges merge: the bytes of a gap may be newer on the card.
    fn mark(&mut self, range: Range<usize>, transfers: &Transfers) {
        match self.dirty.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.dirty.push(range),
        }
        if self.dirty.last().is_some_and(|r| r.len() >= PIECE_BYTES) {
            let full = self.dirty.pop().expect("invariant: just seen");
            transfers.send(self.buffer.clone(), full);
        }
    }
}
