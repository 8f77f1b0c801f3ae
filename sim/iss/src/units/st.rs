//! ST: rows and scalars to main memory, keys, values and their scales to the channels.

use crate::memory::{check, Memory};
use crate::work::StWork;
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::isa::names::*;
use flightvlm_hw::machine::{Bank, FaultCode};

/// The source is S: one scalar a row.
fn from_s(mode: u32) -> bool {
    matches!(mode, ST_SCALAR | ST_KV_SCALE)
}

/// Goes to the channels.
pub(crate) fn to_channels(mode: u32) -> bool {
    !matches!(mode, ST_ROWS | ST_SCALAR)
}

impl StWork {
    /// Elements of a row that each have a write of their own (or its units, mode rows).
    pub fn chunks(&self) -> u32 {
        if from_s(self.mode) {
            1
        } else {
            self.len
        }
    }
    /// Repetitions.
    pub fn repeats(&self) -> u32 {
        if self.mode == ST_ROWS {
            1
        } else {
            self.heads
        }
    }
    /// Does nothing.
    pub fn is_empty(&self) -> bool {
        self.rows == 0 || self.chunks() == 0 || self.repeats() == 0
    }
    /// Beats that it writes.
    pub fn beats(&self) -> u64 {
        u64::from(self.repeats()) * u64::from(self.rows) * u64::from(self.chunks())
    }

    /// Bank, unit and byte lane of a write (mode rows: of a unit).
    pub fn target(&self, head: u32, row: u32, chunk: u32, slices: u32) -> Write {
        let (dst, step) = (u64::from(self.dst), u64::from(self.dst_stride));
        let chunk_step = u64::from(self.chunk_stride);
        let p = self.pos + row;
        let (block, lane) = (u64::from(p >> 4), (p & 15) as usize);
        let write = |bank, unit, lane| Write { bank, unit, lane };
        match self.mode {
            ST_ROWS => write(Bank::Main, dst + u64::from(row) * step + u64::from(chunk), 0),
            ST_SCALAR => {
                let unit = dst + u64::from(head) * u64::from(self.head_step) + block * step;
                write(Bank::Main, unit, 4 * lane)
            }
            mode => {
                let by_chunk = matches!(mode, ST_KV_V | ST_KV_V4);
                let within = u64::from(if by_chunk { chunk } else { p >> 4 });
                let slot = u64::from(self.first) + u64::from(head) * u64::from(self.head_step) + within;
                let round = slot / u64::from(slices);
                let base = if by_chunk {
                    dst + round * chunk_step + block * step
                } else {
                    dst + round * step + u64::from(chunk) * chunk_step
                };
                let bank = Bank::Channel((slot % u64::from(slices)) as u32);
                match mode {
                    ST_KV_SCALE => write(bank, base, 4 * lane),
                    // Scattered over the unit: see `scatter`.
                    ST_KV_K | ST_KV_V => write(bank, base + lane as u64 / 4, 0),
                    _ => write(bank, base + lane as u64 / 8, 0),
                }
            }
        }
    }

    /// One past the last unit that must exist.
    fn end(&self, slices: u32) -> u64 {
        let (rows, heads, chunks) = (self.rows - 1, u64::from(self.repeats() - 1), u64::from(self.chunks()));
        let (dst, step) = (u64::from(self.dst), u64::from(self.dst_stride));
        let chunk_step = u64::from(self.chunk_stride);
        let last_block = u64::from((self.pos + rows) >> 4);
        let first = u64::from(self.first) + heads * u64::from(self.head_step);
        let round = |slot: u64| slot / u64::from(slices);
        match self.mode {
            ST_ROWS => dst + u64::from(rows) * step + chunks,
            ST_SCALAR => dst + heads * u64::from(self.head_step) + last_block * step + 1,
            ST_KV_SCALE => dst + round(first + last_block) * step + 1,
            ST_KV_K | ST_KV_K4 => {
                let block = if self.mode == ST_KV_K { 4 } else { 2 };
                dst + round(first + last_block) * step + (chunks - 1) * chunk_step + block
            }
            _ => {
                let block = if self.mode == ST_KV_V { 4 } else { 2 };
                dst + round(first + chunks - 1) * chunk_step + last_block * step + block
            }
        }
    }

    /// Units of every channel that the command may touch.
    pub fn channel_range(&self, slices: u32) -> std::ops::Range<u64> {
        if self.is_empty() || !to_channels(self.mode) {
            return 0..0;
        }
        u64::from(self.dst)..self.end(slices)
    }
}

/// One write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Write {
    pub bank: Bank,
    pub unit: u64,
    /// First byte within the unit, if the write is one piece.
    pub lane: usize,
}

pub(crate) fn check_st(w: &StWork, m: &Memory, c: &HwConfig) -> Result<(), FaultCode> {
    if w.is_empty() {
        return Ok(());
    }
    let (limit, code) = match w.mode {
        ST_ROWS => (c.spad_words, FaultCode::Spad),
        ST_SCALAR | ST_KV_SCALE => (c.s_words, FaultCode::Smem),
        _ => (c.abuf_words, FaultCode::Abuf),
    };
    let heads = u64::from(w.repeats() - 1) * u64::from(w.head_stride);
    check(w.src, w.rows, w.src_stride, heads + u64::from(w.chunks()), limit, code)?;
    let units = if to_channels(w.mode) { m.channel_units } else { m.main_units() };
    if w.end(c.slices) <= units {
        Ok(())
    } else {
        Err(FaultCode::Dram)
    }
}

/// 8 bits to 4: the nearest of steps of 2048/113.
fn to_four_bits(x: i8) -> u8 {
    ((113 * i32::from(x) + 1024) >> 11) as u8 & 15
}

/// Byte of its unit, and upper nibble or not, in which element `e` of position `p` lies: the position is an
/// output (keys) or a stored input (values) of the tile, the element the other.
fn scatter(mode: u32, p: usize, e: usize) -> (usize, bool) {
    let (blocks, lanes) = ((p / 4, e / 4), (p % 4, e % 4));
    let byte = if matches!(mode, ST_KV_K | ST_KV_K4) { 4 * lanes.0 + lanes.1 } else { 4 * lanes.1 + lanes.0 };
    match mode {
        ST_KV_K | ST_KV_V => (16 * (blocks.0 ^ blocks.1) + byte, false),
        _ => {
            let chunk = 2 * ((blocks.0 / 2) ^ (blocks.1 / 2)) + blocks.0 % 2;
            (16 * chunk + byte, blocks.1 % 2 == 1)
        }
    }
}

pub(crate) fn run(w: &StWork, m: &mut Memory) {
    let slices = m.channels.len() as u32;
    for h in 0..w.repeats() {
        for r in 0..w.rows {
            let src = (w.src + h * w.head_stride + r * w.src_stride) as usize;
            for c in 0..w.chunks() {
                let t = w.target(h, r, c, slices);
                let mut unit = [0u8; UNIT_BYTES];
                let at = t.unit as usize * UNIT_BYTES;
                let bank = m.bank(t.bank).expect("invariant: a slot modulo slices is a channel");
                unit.copy_from_slice(&bank[at..][..UNIT_BYTES]);
                match w.mode {
                    ST_ROWS => {
                        for (b, x) in unit.chunks_exact_mut(4).zip(m.spad[src + c as usize]) {
                            b.copy_from_slice(&x.to_le_bytes());
                        }
                    }
                    ST_SCALAR | ST_KV_SCALE => unit[t.lane..][..4].copy_from_slice(&m.s[src].to_le_bytes()),
                    mode => {
                        let p = (w.pos + r) as usize % 16;
                        for (e, x) in m.abuf[src + c as usize].into_iter().enumerate() {
                            let (byte, high) = scatter(mode, p, e);
                            let b = &mut unit[byte];
                            *b = match (mode, high) {
                                (ST_KV_K | ST_KV_V, _) => x as u8,
                                (_, false) => *b & 0xf0 | to_four_bits(x),
                                (_, true) => *b & 0x0f | to_four_bits(x) << 4,
                            };
                        }
                    }
                }
                let bank = m.bank(t.bank).expect("invariant: a slot modulo slices is a channel");
                bank[at..][..UNIT_BYTES].copy_from_slice(&unit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::to_four_bits;

    #[test]
    fn four_bits_are_symmetric_and_span_seven_steps() {
        let n4 = |x: i8| (to_four_bits(x) << 4) as i8 >> 4;
        assert_eq!((n4(127), n4(-127), n4(0), n4(9), n4(-9), n4(10)), (7, -7, 0, 0, 0, 1));
    }
}
