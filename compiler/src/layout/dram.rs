//! The DRAM map: named regions in units of 64 bytes.

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

/// A region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Name.
    pub name: String,
    /// First unit.
    pub base: u32,
    /// Units.
    pub units: u32,
    /// Use.
    pub kind: Kind,
}

/// Regions by address, without gaps beyond alignment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DramMap {
    /// In address order.
    pub regions: Vec<Region>,
}

/// Regions start at a 4 KiB boundary, so that bursts are not cut.
const ALIGN_UNITS: u32 = 64;

impl DramMap {
    /// Adds a region behind the last one; gives its first unit. `None` when 2^32 units are not enough.
    pub fn add(&mut self, name: &str, kind: Kind, units: u32) -> Option<u32> {
        let base = self.end().checked_next_multiple_of(ALIGN_UNITS)?;
        base.checked_add(units)?;
        self.regions.push(Region { name: name.into(), base, units, kind });
        Some(base)
    }

    /// First unit past the last region.
    pub fn end(&self) -> u32 {
        self.regions.last().map_or(0, |r| r.base + r.units)
    }

    /// A region by name.
    pub fn get(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|r| r.name == name)
    }
}

impl std::fmt::Display for DramMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:<24} {:>12} {:>14}  kind", "region", "first unit", "bytes")?;
        for r in &self.regions {
            let (bytes, kind) = (u64::from(r.units) * 64, format!("{:?}", r.kind).to_lowercase());
            writeln!(f, "{:<24} {:>12} {:>14}  {kind}", r.name, r.base, bytes)?;
        }
        writeln!(f, "{:<24} {:>12} {:>14}", "total", "", u64::from(self.end()) * 64)
    }
}
