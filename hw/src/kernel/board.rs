//! Alveo cards: platform names and the memories that a kernel can be wired to.

use crate::config::HwConfig;

/// Kind of a memory, with the number that `xclbin.h` gives it (`enum MEM_TYPE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// MEM_DDR4.
    Ddr4 = 1,
    /// MEM_HBM.
    Hbm = 6,
}

/// One memory of a card, as an xclbin lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// `HBM[0]`, `DDR[1]`.
    pub tag: String,
    /// Kind.
    pub kind: MemoryKind,
    /// Address on the card.
    pub base: u64,
    /// Size.
    pub size_bytes: u64,
}

/// A card with the Vitis platform that releases are built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// `u280`, `u55c`.
    pub name: &'static str,
    /// Vitis platform (`v++ --platform`).
    pub platform: &'static str,
    /// What the platform name (VBNV) of an xclbin and of a card begins with. Platform and shell versions
    /// have different names, so nothing longer may be compared.
    pub vbnv_prefix: &'static str,
    /// FPGA part.
    pub part: &'static str,
    /// Super logic regions.
    pub slrs: u32,
    /// Memories, HBM pseudo-channels first.
    pub memories: Vec<Memory>,
}

/// Start of DDR bank `i` on the XDMA platforms of the U280.
const U280_DDR_BASE: [u64; 2] = [0x40_0000_0000, 0x50_0000_0000];

impl Board {
    /// Alveo U280: 32 HBM2 pseudo-channels of 256 MiB, two DDR4 banks of 16 GiB (DS963).
    pub fn u280() -> Board {
        let mut memories = hbm(256 << 20);
        memories.extend((0..).zip(U280_DDR_BASE).map(|(i, base)| Memory {
            tag: format!("DDR[{i}]"),
            kind: MemoryKind::Ddr4,
            base,
            size_bytes: 16 << 30,
        }));
        Board {
            name: "u280",
            platform: "xilinx_u280_gen3x16_xdma_1_202211_1",
            vbnv_prefix: "xilinx_u280_gen3x16_xdma",
            part: "xcu280-fsvh2892-2L-e",
            slrs: 3,
            memories,
        }
    }

    /// Alveo U55C: 32 HBM2 pseudo-channels of 512 MiB, no DDR (DS978).
    pub fn u55c() -> Board {
        Board {
            name: "u55c",
            platform: "xilinx_u55c_gen3x16_xdma_3_202210_1",
            vbnv_prefix: "xilinx_u55c_gen3x16_xdma",
            part: "xcu55c-fsvh2892-2L-e",
            slrs: 3,
            memories: hbm(512 << 20),
        }
    }

    /// The card of a configuration.
    pub fn of(config: &HwConfig) -> Result<Board, String> {
        match config.name.as_str() {
            "sim" | "mini" | "u280" => Ok(Board::u280()),
            "u55c" => Ok(Board::u55c()),
            name => Err(format!("there is no card description for configuration `{name}`")),
        }
    }

    /// The HBM pseudo-channels.
    pub fn hbm(&self) -> &[Memory] {
        let count = self.memories.iter().take_while(|m| m.kind == MemoryKind::Hbm).count();
        &self.memories[..count]
    }

    /// Index of the memory that main memory lies in: the first DDR bank, without DDR the last
    /// pseudo-channel, which it then shares with a weight channel.
    pub fn main_memory(&self) -> usize {
        let ddr = self.memories.iter().position(|m| m.kind == MemoryKind::Ddr4);
        ddr.unwrap_or(self.memories.len() - 1)
    }

    /// Index of a memory by tag.
    pub fn memory(&self, tag: &str) -> Option<usize> {
        self.memories.iter().position(|m| m.tag == tag)
    }
}

fn hbm(size_bytes: u64) -> Vec<Memory> {
    let bank =
        |i: u64| Memory { tag: format!("HBM[{i}]"), kind: MemoryKind::Hbm, base: i * size_bytes, size_bytes };
    (0..32).map(bank).collect()
}
