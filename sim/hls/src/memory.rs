//! Off-chip memories: one range of bytes for main memory, one for each port's channels.

use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::machine::Bank;
use memmap2::MmapMut;

/// Zero and without cost until touched.
#[derive(Default)]
struct Bytes(Option<MmapMut>);

impl Bytes {
    fn slice(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

/// All memories. A port's channels lie behind each other, each `channel_units` long.
pub(crate) struct Memory {
    main: Bytes,
    ports: Vec<Bytes>,
    per_port: u32,
    slices: u32,
    pub main_units: u32,
    pub channel_units: u32,
}

impl Memory {
    pub fn new(slices: u32, ports: u32) -> Memory {
        Memory {
            main: Bytes::default(),
            ports: (0..ports).map(|_| Bytes::default()).collect(),
            per_port: slices / ports,
            slices,
            main_units: 0,
            channel_units: 0,
        }
    }

    /// Grows memories to at least these sizes.
    pub fn resize(&mut self, main_units: u32, channel_units: u32) -> std::io::Result<()> {
        if main_units > self.main_units {
            self.main = grown(&mut self.main, 1, self.main_units, main_units)?;
            self.main_units = main_units;
        }
        if channel_units > self.channel_units {
            for port in &mut self.ports {
                *port = grown(port, self.per_port, self.channel_units, channel_units)?;
            }
            self.channel_units = channel_units;
        }
        Ok(())
    }

    /// All bytes of a bank; `None` if there is no such bank.
    pub fn bank(&mut self, bank: Bank) -> Option<&mut [u8]> {
        match bank {
            Bank::Main => Some(self.main.slice()),
            Bank::Channel(c) if c < self.slices => {
                let len = self.channel_units as usize * UNIT_BYTES;
                let first = (c % self.per_port) as usize * len;
                Some(&mut self.ports[(c / self.per_port) as usize].slice()[first..][..len])
            }
            Bank::Channel(_) => None,
        }
    }

    /// Start of main memory.
    pub fn main(&mut self) -> *mut u8 {
        self.main.slice().as_mut_ptr()
    }

    /// Start of each port's memory.
    pub fn ports(&mut self) -> Vec<*mut u8> {
        self.ports.iter_mut().map(|p| p.slice().as_mut_ptr()).collect()
    }
}

/// `pieces` pieces of `old` units each, moved apart to `new` units each.
fn grown(bytes: &mut Bytes, pieces: u32, old: u32, new: u32) -> std::io::Result<Bytes> {
    let size = |units: u32| units as usize * UNIT_BYTES;
    let mut larger = MmapMut::map_anon(pieces as usize * size(new))?;
    if old > 0 {
        let from = bytes.slice().chunks_exact(size(old));
        for (to, from) in larger.chunks_exact_mut(size(new)).zip(from) {
            to[..from.len()].copy_from_slice(from);
        }
    }
    Ok(Bytes(Some(larger)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_keep_their_contents_when_memories_grow() {
        let mut m = Memory::new(4, 2);
        m.resize(1, 2).unwrap();
        for c in 0..4 {
            m.bank(Bank::Channel(c)).unwrap().fill(c as u8 + 1);
        }
        m.resize(3, 5).unwrap();
        assert_eq!(m.bank(Bank::Main).unwrap().len(), 3 * 64);
        for c in 0..4 {
            let bytes = m.bank(Bank::Channel(c)).unwrap();
            assert!(bytes[..128].iter().all(|b| *b == c as u8 + 1) && bytes[128..].iter().all(|b| *b == 0));
        }
        assert!(m.bank(Bank::Channel(4)).is_none());
    }
}
