//! Off-chip and on-chip memories.

use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::machine::{Bank, FaultCode};
use memmap2::MmapMut;

/// All state that commands read and write.
pub(crate) struct Memory {
    /// Main memory; length is a multiple of 64.
    pub main: Bytes,
    /// Channels, one a slice. Empty when there are no data (`data` false).
    pub channels: Vec<Bytes>,
    /// Size of each channel in units.
    pub channel_units: u64,
    /// Commands move data. Without, only main memory (code) has contents.
    pub data: bool,
    /// Words of 16 f32 bits.
    pub spad: Vec<[u32; 16]>,
    /// Words of 16 int8.
    pub abuf: Vec<[i8; 16]>,
    /// Scalars.
    pub s: Vec<u32>,
}

impl Memory {
    pub fn new(c: &HwConfig, data: bool) -> Memory {
        let words = |n: u32| if data { n as usize } else { 0 };
        Memory {
            main: Bytes::default(),
            channels: (0..c.slices).map(|_| Bytes::default()).collect(),
            channel_units: 0,
            data,
            spad: vec![[0; 16]; words(c.spad_words)],
            abuf: vec![[0; 16]; words(c.abuf_words)],
            s: vec![0; words(c.s_words)],
        }
    }

    /// Main memory size in units.
    pub fn main_units(&self) -> u64 {
        (self.main.len() / UNIT_BYTES) as u64
    }

    /// Grows memories to at least these sizes.
    pub fn resize(&mut self, main_units: u32, channel_units: u32) -> std::io::Result<()> {
        self.main.grow(main_units)?;
        if u64::from(channel_units) > self.channel_units {
            self.channel_units = u64::from(channel_units);
            if self.data {
                self.channels.iter_mut().try_for_each(|c| c.grow(channel_units))?;
            }
        }
        Ok(())
    }

    /// Bytes of a bank, for the host.
    pub fn bank(&mut self, bank: Bank) -> Option<&mut [u8]> {
        match bank {
            Bank::Main => Some(&mut self.main),
            Bank::Channel(c) => self.channels.get_mut(c as usize).map(|b| &mut **b),
        }
    }

    /// A unit of main memory as 16 little-endian words.
    pub fn unit_words(&self, unit: u64) -> [u32; 16] {
        let mut out = [0; 16];
        let bytes = &self.main[unit as usize * UNIT_BYTES..][..UNIT_BYTES];
        for (o, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
            *o = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
        out
    }
}

/// Bytes of an off-chip memory: zero and without cost until touched, in large pages where the system
/// has them (weights are read front to back, faster than small pages can be looked up).
#[derive(Default)]
pub(crate) struct Bytes(Option<MmapMut>);

impl Bytes {
    /// Grows to `units`.
    fn grow(&mut self, units: u32) -> std::io::Result<()> {
        let len = units as usize * UNIT_BYTES;
        if len > self.len() {
            let mut larger = MmapMut::map_anon(len)?;
            #[cfg(target_os = "linux")]
            let _ = larger.advise(memmap2::Advice::HugePage); // a wish: slower without
            larger[..self.len()].copy_from_slice(self);
            self.0 = Some(larger);
        }
        Ok(())
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl std::ops::DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

/// Does `rows` × `words` with row step `stride` from `base` stay below `limit`? Empty always fits.
pub(crate) fn check(
    base: u32,
    rows: u32,
    stride: u32,
    words: u64,
    limit: u32,
    code: FaultCode,
) -> Result<(), FaultCode> {
    if rows == 0 || words == 0 {
        return Ok(());
    }
    let last = u64::from(base) + u64::from(rows - 1) * u64::from(stride) + words - 1;
    if last < u64::from(limit) {
        Ok(())
    } else {
        Err(code)
    }
}
