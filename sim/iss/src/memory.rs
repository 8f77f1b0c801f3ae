//! DRAM and the on-chip memories.

use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::machine::FaultCode;

/// All state that commands read and write.
pub(crate) struct Memory {
    /// Bytes; length is a multiple of 64.
    pub dram: Vec<u8>,
    /// Words of 16 f32 bits.
    pub spad: Vec<[u32; 16]>,
    /// Words of 16 int8.
    pub abuf: Vec<[i8; 16]>,
    /// Scalars.
    pub s: Vec<u32>,
}

impl Memory {
    pub fn new(c: &HwConfig) -> Memory {
        Memory {
            dram: Vec::new(),
            spad: vec![[0; 16]; c.spad_words as usize],
            abuf: vec![[0; 16]; c.abuf_words as usize],
            s: vec![0; c.s_words as usize],
        }
    }

    /// DRAM size in units.
    pub fn units(&self) -> u64 {
        (self.dram.len() / UNIT_BYTES) as u64
    }

    /// The 64 bytes of a unit.
    pub fn unit(&self, unit: u64) -> &[u8] {
        &self.dram[unit as usize * UNIT_BYTES..][..UNIT_BYTES]
    }

    /// A unit as 16 little-endian words.
    pub fn unit_words(&self, unit: u64) -> [u32; 16] {
        let mut out = [0; 16];
        for (o, b) in out.iter_mut().zip(self.unit(unit).chunks_exact(4)) {
            *o = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
        out
    }
}

/// Does `rows` × `words` with row step `stride` from `base` stay below `limit`? Empty always fits.
pub(crate) fn check(
    base: u32,
    rows: u32,
    stride: u32,
    words: u64,
    limit: u64,
    code: FaultCode,
) -> Result<(), FaultCode> {
    if rows == 0 || words == 0 {
        return Ok(());
    }
    let last = u64::from(base) + u64::from(rows - 1) * u64::from(stride) + words - 1;
    if last < limit {
        Ok(())
    } else {
        Err(code)
    }
}
