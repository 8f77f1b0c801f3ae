//! Named hardware configurations.

use serde::{Deserialize, Serialize};

/// Sizes of one accelerator build. Array geometry (16 outputs × 16 inputs × 2 rows a cycle) and
/// the lane count (16) are part of the ISA; memories and depths may differ between builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HwConfig {
    /// Name, as in `--target`.
    pub name: String,
    /// SPAD words of 16 f32.
    pub spad_words: u32,
    /// ABUF words of 16 int8.
    pub abuf_words: u32,
    /// S scalars.
    pub s_words: u32,
    /// Weight FIFO words of 256 bytes.
    pub wfifo_words: u32,
    /// Scale FIFO words of 64 bytes.
    pub sfifo_words: u32,
    /// Instruction memory, instructions.
    pub imem_words: u32,
    /// Commands each unit queue holds.
    pub queue_depth: u32,
    /// Clock that times are quoted for (the RTL itself has no notion of it).
    pub clock_mhz: u32,
    /// DRAM read latency of the memory model, first beat, cycles.
    pub read_latency_cycles: u32,
    /// DRAM write-response latency of the memory model, cycles.
    pub write_latency_cycles: u32,
}

/// Outputs per weight tile, k per block, lanes of the vector unit.
pub const TILE: usize = 16;
/// Bytes of a DRAM unit (one AXI beat).
pub const UNIT_BYTES: usize = 64;
/// DRAM units of one weight word (16 × 16 int8).
pub const WORD_UNITS: usize = 4;

impl HwConfig {
    /// The small configuration that verilates in seconds.
    pub fn sim() -> HwConfig {
        HwConfig {
            name: "sim".into(),
            spad_words: 8192,
            abuf_words: 16384,
            s_words: 4096,
            wfifo_words: 512,
            sfifo_words: 128,
            imem_words: 1024,
            queue_depth: 8,
            clock_mhz: 225,
            read_latency_cycles: 40,
            write_latency_cycles: 20,
        }
    }

    /// Configuration by name.
    pub fn named(name: &str) -> Option<HwConfig> {
        (name == "sim").then(HwConfig::sim)
    }

    /// Everything that changes what a program may do, as text for the ISA hash.
    pub fn fingerprint(&self) -> String {
        format!(
            "spad{} abuf{} s{} wf{} sf{} imem{} q{}",
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
