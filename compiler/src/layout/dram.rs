//! The memory map: named regions in units of 64 bytes, in main memory or in all weight channels.

use serde::{Deserialize, Serialize};

/// What a region is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Written once when a program is loaded, from the program file.
    Content,
    /// Written by the host before a launch.
    Input,
    /// Written by the device, read by the host.
    Output,
    /// Written and read by the device.
    State,
}

/// Where a region lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Space {
    /// Main memory.
    Main,
    /// The same addresses in every channel.
    Channels,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Name.
    pub name: String,
    /// Memory.
    pub space: Space,
    /// First unit.
    pub base: u32,
    /// Units (in each channel).
    pub units: u32,
    /// Use.
    pub kind: Kind,
    /// Equal records that the region consists of. In a file, a channel region's content is record
    /// by record, inside a record channel by channel.
    pub records: u32,
}

impl Region {
    /// Units of a record (in each channel).
    pub fn record_units(&self) -> u32 {
        self.units / self.records.max(1)
    }
}

/// Regions by address within their memory, without gaps beyond alignment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DramMap {
    /// Channels.
    pub channels: u32,
    /// In address order within each memory.
    pub regions: Vec<Region>,
}

/// Regions start at a 4 KiB boundary, so that bursts are not cut.
const ALIGN_UNITS: u32 = 64;

impl DramMap {
    /// An empty map for a target with this many channels.
    pub fn new(channels: u32) -> DramMap {
        DramMap { channels, regions: Vec::new() }
    }

    /// Adds a region of `records` × `units` behind the last one of its memory; gives its first unit.
    /// `None` when 2^32 units are not enough.
    pub fn add(&mut self, space: Space, name: &str, kind: Kind, records: u32, units: u64) -> Option<u32> {
        let units = u32::try_from(units.checked_mul(u64::from(records))?).ok()?;
        let base = self.end(space).checked_next_multiple_of(ALIGN_UNITS)?;
        base.checked_add(units)?;
        self.regions.push(Region { name: name.into(), space, base, units, kind, records });
        Some(base)
    }

    /// First unit past the last region of a memory.
    pub fn end(&self, space: Space) -> u32 {
        self.regions.iter().filter(|r| r.space == space).map(|r| r.base + r.units).max().unwrap_or(0)
    }

    /// A region by name.
    pub fn get(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|r| r.name == name)
    }

    /// Bytes of a region over all channels.
    pub fn bytes(&self, r: &Region) -> u64 {
        let copies = if r.space == Space::Channels { u64::from(self.channels) } else { 1 };
        u64::from(r.units) * 64 * copies
    }
}

impl std::fmt::Display for DramMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:<24} {:<9} {:>12} {:>14}  kind", "region", "memory", "first unit", "bytes")?;
        for space in [Space::Main, Space::Channels] {
            let memory = match space {
                Space::Main => "main".to_string(),
                Space::Channels => format!("{} ch.", self.channels),
            };
            let mut total = 0;
            for r in self.regions.iter().filter(|r| r.space == space) {
                let (bytes, kind) = (self.bytes(r), format!("{:?}", r.kind).to_lowercase());
                total += bytes;
                writeln!(f, "{:<24} {memory:<9} {:>12} {bytes:>14}  {kind}", r.name, r.base)?;
            }
            writeln!(f, "{:<24} {memory:<9} {:>12} {total:>14}", "total", "")?;
        }
        Ok(())
    }
}
