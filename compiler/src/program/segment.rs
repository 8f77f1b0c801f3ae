//! Code in pieces that are launched on their own: where the instruction memory does not hold the whole
//! program, every entry point is a piece, and a launch reads that piece only.

use super::{Program, CODE_REGION};
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::isa::{load_code, store_code, Word};
use flightvlm_hw::machine::Launch;
use serde::{Deserialize, Serialize};

/// A piece of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// pc of its first instruction, counted in the whole program.
    pub first: u32,
    /// Instructions.
    pub len: u32,
    /// First unit, counted from the start of the code's region.
    pub offset_units: u32,
    /// Units.
    pub units: u32,
}

/// Code as it lies in memory: whole if it fits `imem_words` instructions, else cut at the `entries`. The
/// error is the length of a piece that is too long.
pub(crate) fn store(
    words: &[Word],
    entries: &[u32],
    imem_words: u32,
) -> Result<(Vec<u8>, Vec<Segment>), u32> {
    let total = words.len() as u32;
    let mut cuts: Vec<u32> = if total <= imem_words { vec![0] } else { entries.to_vec() };
    cuts.sort_unstable();
    let ends = cuts.iter().skip(1).copied().chain([total]);
    let (mut bytes, mut segments) = (Vec::new(), Vec::new());
    for (first, end) in cuts.iter().copied().zip(ends) {
        let len = end - first;
        if len > imem_words {
            return Err(len);
        }
        let offset_units = (bytes.len() / UNIT_BYTES) as u32;
        bytes.extend(store_code(&words[first as usize..end as usize]));
        bytes.resize(bytes.len().next_multiple_of(UNIT_BYTES), 0);
        let units = (bytes.len() / UNIT_BYTES) as u32 - offset_units;
        segments.push(Segment { first, len, offset_units, units });
    }
    Ok((bytes, segments))
}

impl Program {
    /// The piece that the instruction at `pc` is in.
    pub fn segment(&self, pc: u32) -> Segment {
        let of = |s: &&Segment| (s.first..s.first + s.len).contains(&pc);
        *self.meta.segments.iter().find(of).expect("invariant: the pieces cover the program")
    }

    /// A launch at an entry point, its arguments zero.
    pub fn launch(&self, entry: u32, watchdog_cycles: u32) -> Launch {
        let s = self.segment(entry);
        let region = self.meta.dram.get(CODE_REGION).expect("invariant: verified when made");
        Launch {
            code_base_units: region.base + s.offset_units,
            code_units: s.units,
            code_len: s.len,
            entry: entry - s.first,
            args: [0; 16],
            watchdog_cycles,
        }
    }

    /// All instructions; fewer where a piece's bytes end too early.
    pub fn words(&self) -> Vec<Word> {
        let piece = |s: &Segment| {
            let start = s.offset_units as usize * UNIT_BYTES;
            let end = start + s.units as usize * UNIT_BYTES;
            load_code(self.code.get(start..end).unwrap_or_default(), s.len as usize)
        };
        self.meta.segments.iter().flat_map(piece).collect()
    }
}
