//! xclbin files (`xclbin.h` of XRT 2.13, format axlf): a reader for any release, a writer for the emulated
//! card's.

mod read;
mod write;

pub use read::{Connection, Cu, MemoryEntry, Xclbin};
pub use write::emulation;

/// First bytes of a file.
pub const MAGIC: &[u8; 8] = b"xclbin2\0";
/// `struct axlf_header` in `struct axlf`.
const HEADER_AT: usize = 304;
/// Section headers behind it.
const SECTIONS_AT: usize = 456;
/// Bytes of a section header.
const SECTION_BYTES: usize = 40;

/// Kinds of sections that matter here (`enum axlf_section_kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Section {
    /// The configuration of the FPGA.
    Bitstream = 0,
    /// XML about platform, kernels, ports, arguments.
    EmbeddedMetadata = 2,
    /// Memories.
    MemTopology = 6,
    /// Which argument reaches which memory.
    Connectivity = 7,
    /// Compute units and their registers.
    IpLayout = 8,
    /// Clocks.
    ClockFreqTopology = 11,
    /// What the builder wants to say: our [`super::Release`].
    UserMetadata = 16,
    /// Memories and groups of memories.
    GroupTopology = 26,
    /// Which argument reaches which of those.
    GroupConnectivity = 27,
}

impl Section {
    fn name(self) -> &'static str {
        match self {
            Section::Bitstream => "BITSTREAM",
            Section::EmbeddedMetadata => "EMBEDDED_METADATA",
            Section::MemTopology => "MEM_TOPOLOGY",
            Section::Connectivity => "CONNECTIVITY",
            Section::IpLayout => "IP_LAYOUT",
            Section::ClockFreqTopology => "CLOCK_FREQ_TOPOLOGY",
            Section::UserMetadata => "USER_METADATA",
            Section::GroupTopology => "GROUP_TOPOLOGY",
            Section::GroupConnectivity => "GROUP_CONNECTIVITY",
        }
    }
}
