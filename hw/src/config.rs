//! Named hardware configurations.

use serde::{Deserialize, Serialize};

/// How the off-chip memories behave in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum MemoryTiming {
    /// Every request is answered after a fixed time, then one beat a cycle.
    Fixed {
        /// From an accepted read address to its first beat, cycles.
        read_latency_cycles: u32,
        /// From a burst's last beat to its write response, cycles.
        write_latency_cycles: u32,
    },
    /// HBM2 pseudo-channels for weights and keys/values, DDR4-2400 as main memory (Alveo U280).
    U280,
}

/// One accelerator build. The array of a slice (16 outputs × 16 stored inputs × 2 rows a cycle) and
/// the vector word (16 lanes) are part of the ISA; everything here may differ between builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HwConfig {
    /// Name, as in `--target`.
    pub name: String,
    /// Array slices, each with its weight FIFO and its memory channel; a power of two.
    pub slices: u32,
    /// Vector words of 16 lanes that VX processes a cycle; a power of two, at most `slices` × 2.
    pub vx_words: u32,
    /// SPAD words of 16 f32.
    pub spad_words: u32,
    /// ABUF words of 16 int8.
    pub abuf_words: u32,
    /// S scalars.
    pub s_words: u32,
    /// Weight FIFO words of each slice (16 × 16 int8 with indices).
    pub wfifo_words: u32,
    /// Scale FIFO words of each slice (16 f32).
    pub sfifo_words: u32,
    /// Instruction memory, instructions.
    pub imem_words: u32,
    /// Commands each unit queue holds.
    pub queue_depth: u32,
    /// Main memory, MiB.
    pub main_mib: u32,
    /// Each channel, MiB.
    pub channel_mib: u32,
    /// Clock that times are quoted for (the RTL itself has no notion of it).
    pub clock_mhz: u32,
    /// Timing of the memories.
    pub memory: MemoryTiming,
}

/// Outputs per weight tile, stored inputs per word, lanes of a vector word.
pub const TILE: usize = 16;
/// Bytes of a memory unit (one AXI beat).
pub const UNIT_BYTES: usize = 64;
/// Units of one 8-bit weight word (16 × 16 int8).
pub const WORD_UNITS: usize = 4;

impl HwConfig {
    /// The small configuration that verilates in seconds.
    pub fn sim() -> HwConfig {
        HwConfig {
            name: "sim".into(),
            slices: 1,
            vx_words: 1,
            spad_words: 8192,
            abuf_words: 16384,
            s_words: 4096,
            wfifo_words: 512,
            sfifo_words: 128,
            imem_words: 1024,
            queue_depth: 8,
            main_mib: 1024,
            channel_mib: 1024,
            clock_mhz: 225,
            memory: MemoryTiming::Fixed { read_latency_cycles: 40, write_latency_cycles: 20 },
        }
    }

    /// The U280 scaled down to four slices: the same structure, small enough to verilate.
    pub fn mini() -> HwConfig {
        HwConfig {
            name: "mini".into(),
            slices: 4,
            vx_words: 2,
            spad_words: 16384,
            abuf_words: 32768,
            s_words: 8192,
            channel_mib: 256,
            memory: MemoryTiming::U280,
            ..HwConfig::sim()
        }
    }

    /// Alveo U280: a slice per HBM2 pseudo-channel.
    pub fn u280() -> HwConfig {
        HwConfig {
            name: "u280".into(),
            slices: 32,
            vx_words: 4,
            spad_words: 65536,
            abuf_words: 65536,
            s_words: 16384,
            main_mib: 32768,
            ..HwConfig::mini()
        }
    }

    /// Every named configuration.
    pub fn all() -> [HwConfig; 3] {
        [HwConfig::sim(), HwConfig::mini(), HwConfig::u280()]
    }

    /// Configuration by name.
    pub fn named(name: &str) -> Option<HwConfig> {
        HwConfig::all().into_iter().find(|c| c.name == name)
    }

    /// Fewest cycles between two pairs of rows of the matrix unit: the time SPAD's write port needs
    /// for both rows of all slices.
    pub fn pair_write_cycles(&self) -> u32 {
        (2 * self.slices / self.vx_words).max(2)
    }

    /// Everything that changes what a program may do or gives, as text for the ISA hash.
    pub fn fingerprint(&self) -> String {
        format!(
            "sl{} vx{} spad{} abuf{} s{} wf{} sf{} imem{} q{}",
            self.slices,
            self.vx_words,
            self.spad_words,
            self.abuf_words,
            self.s_words,
            self.wfifo_words,
            self.sfifo_words,
            self.imem_words,
            self.queue_depth
        )
    }
}

#[cfg(test)]
mod tests {
    use super::HwConfig;

    #[test]
    fn named_configurations_keep_their_own_rules() {
        for c in HwConfig::all() {
            assert!(c.slices.is_power_of_two() && c.vx_words.is_power_of_two(), "{}", c.name);
            assert!(c.vx_words <= 2 * c.slices && c.wfifo_words.is_power_of_two(), "{}", c.name);
            assert_eq!(HwConfig::named(&c.name), Some(c));
        }
        assert_eq!(HwConfig::named("u281"), None);
    }
}
