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
    /// HBM2 pseudo-channels for weights and keys/values, DDR4-2400 as main memory.
    Hbm {
        /// Clock of the memory bus (two transfers a cycle), MHz: 900 on Alveo U280.
        memory_mhz: u32,
        /// Time of a refresh, ns: 260 for stacks of four, 350 for stacks of eight.
        refresh_ns: u32,
    },
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
    /// A board that nobody has measured: results are projections and are labelled so.
    #[serde(default)]
    pub projected: bool,
}

/// Outputs per weight tile, stored inputs per word, lanes of a vector word.
pub const TILE: usize = 16;
/// Bytes of a memory unit (one AXI beat).
pub const UNIT_BYTES: usize = 64;
/// Commands that MM holds at most, from their start to their end.
pub const MM_FLIGHTS: u32 = 16;
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
            projected: false,
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
            // The dispatcher runs ahead of loads that wait for the streams.
            queue_depth: 32,
            channel_mib: 256,
            memory: MemoryTiming::Hbm { memory_mhz: 900, refresh_ns: 260 },
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

    /// A configuration from a TOML file's text: all fields of this struct.
    pub fn from_toml(text: &str) -> Result<HwConfig, String> {
        let c: HwConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        let faults = c.faults();
        if faults.is_empty() {
            Ok(c)
        } else {
            Err(faults.join("; "))
        }
    }

    /// Which of the configuration's own rules are broken.
    fn faults(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut rule = |holds: bool, what: &str| {
            if !holds {
                out.push(what.to_string());
            }
        };
        rule(self.slices.is_power_of_two() && self.slices <= 64, "slices is a power of two up to 64");
        rule(matches!(self.vx_words, 1 | 2 | 4), "vx_words is 1, 2 or 4");
        rule(self.vx_words <= 2 * self.slices, "vx_words is at most twice the slices");
        rule(self.pair_write_cycles() <= 16, "2 * slices / vx_words is at most 16");
        for (name, words, least) in [
            ("spad_words", self.spad_words, 1024),
            ("abuf_words", self.abuf_words, 1024),
            ("s_words", self.s_words, 256),
            ("wfifo_words", self.wfifo_words, 64),
            ("sfifo_words", self.sfifo_words, 16),
            ("imem_words", self.imem_words, 256),
            ("queue_depth", self.queue_depth, 2),
        ] {
            let sized = words.is_power_of_two() && (least..=1 << 18).contains(&words);
            rule(sized, &format!("{name} is a power of two from {least} to 262144"));
        }
        rule((50..=1000).contains(&self.clock_mhz), "clock_mhz is from 50 to 1000");
        rule(self.main_mib > 0 && self.main_mib <= 1 << 17, "main_mib is from 1 to 131072");
        rule(self.channel_mib > 0 && self.channel_mib <= 1 << 14, "channel_mib is from 1 to 16384");
        if let MemoryTiming::Hbm { memory_mhz, refresh_ns } = self.memory {
            rule((500..=3200).contains(&memory_mhz), "memory_mhz is from 500 to 3200");
            rule((100..=1000).contains(&refresh_ns), "refresh_ns is from 100 to 1000");
        }
        out
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
            assert_eq!(c.faults(), Vec::<String>::new(), "{}", c.name);
            assert_eq!(HwConfig::from_toml(&toml::to_string(&c).unwrap()), Ok(c.clone()));
            assert_eq!(HwConfig::named(&c.name), Some(c));
        }
        assert_eq!(HwConfig::named("u281"), None);
    }

    #[test]
    fn files_of_other_boards_are_projections() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
        let mut found = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let c = HwConfig::from_toml(&std::fs::read_to_string(&path).unwrap());
            let c = c.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(c.projected && path.file_stem().unwrap() == c.name.as_str());
            found += 1;
        }
        assert_eq!(found, 3);
    }

    #[test]
    fn a_file_with_faults_lists_all_of_them() {
        let c = HwConfig { slices: 3, spad_words: 5, ..HwConfig::sim() };
        let e = HwConfig::from_toml(&toml::to_string(&c).unwrap()).unwrap_err();
        assert!(e.contains("slices") && e.contains("spad_words"), "{e}");
        assert!(HwConfig::from_toml("name = 1").unwrap_err().contains("line 1"));
    }
}
