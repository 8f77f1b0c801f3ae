//! The reader. Nothing in a file can make it panic or read past the end.

use super::{Section, HEADER_AT, MAGIC, SECTIONS_AT, SECTION_BYTES};

/// A memory or group of memories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryEntry {
    /// `HBM[0]`, or of a group `MBG[0:3]`.
    pub tag: String,
    /// `enum MEM_TYPE`.
    pub kind: u8,
    /// Something is wired to it.
    pub used: bool,
    /// Address.
    pub base: u64,
    /// Size.
    pub size_bytes: u64,
}

/// An argument's wire to a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Argument index.
    pub arg: u32,
    /// Index into IP_LAYOUT.
    pub cu: u32,
    /// Index into the memory table.
    pub memory: u32,
}

/// An entry of IP_LAYOUT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cu {
    /// `kernel:unit`.
    pub name: String,
    /// `enum IP_TYPE`: 1 is a kernel.
    pub kind: u32,
    /// Address of the registers.
    pub base: u64,
    /// `enum IP_CONTROL`: 0 is ap_ctrl_hs.
    pub control: u32,
}

/// An xclbin file, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xclbin {
    /// Identity of the build.
    pub uuid: [u8; 16],
    /// Platform name.
    pub vbnv: String,
    /// Memories.
    pub memories: Vec<MemoryEntry>,
    /// Wires to them.
    pub connections: Vec<Connection>,
    /// Memories and groups; those of `memories` first.
    pub groups: Vec<MemoryEntry>,
    /// Wires to those.
    pub group_connections: Vec<Connection>,
    /// Compute units.
    pub cus: Vec<Cu>,
    /// Clocks, MHz.
    pub clocks_mhz: Vec<u32>,
    /// Text of EMBEDDED_METADATA.
    pub metadata: String,
    /// Text of USER_METADATA.
    pub user_metadata: Option<String>,
}

/// Little-endian fields at offsets.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&self, at: usize, len: usize) -> Result<&'a [u8], String> {
        let end = at.checked_add(len).filter(|end| *end <= self.0.len());
        end.map(|end| &self.0[at..end]).ok_or_else(|| {
            format!("{len} bytes at offset {at} are past the end (the part has {} bytes)", self.0.len())
        })
    }
    fn u16(&self, at: usize) -> Result<u16, String> {
        self.take(at, 2).map(|b| u16::from_le_bytes([b[0], b[1]]))
    }
    fn u32(&self, at: usize) -> Result<u32, String> {
        self.take(at, 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
    fn u64(&self, at: usize) -> Result<u64, String> {
        Ok(u64::from(self.u32(at)?) | u64::from(self.u32(at + 4)?) << 32)
    }
    /// Text that ends with the first zero.
    fn text(&self, at: usize, len: usize) -> Result<String, String> {
        let bytes = self.take(at, len)?;
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(len);
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
    /// An array of records behind its count.
    fn records<T>(
        &self,
        count: usize,
        first: usize,
        bytes: usize,
        read: impl Fn(&Bytes<'a>, usize) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        self.take(first, count.saturating_mul(bytes))?;
        (0..count).map(|i| read(self, first + i * bytes)).collect()
    }
}

impl Xclbin {
    /// Reads a file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Xclbin, String> {
        let file = Bytes(bytes);
        if !bytes.starts_with(MAGIC) {
            return Err("not an xclbin: expected a file that begins with \"xclbin2\"".into());
        }
        let length = file.u64(HEADER_AT)?;
        if length != bytes.len() as u64 {
            return Err(format!("damaged: the header says {length} bytes, the file has {}", bytes.len()));
        }
        let count = file.u32(HEADER_AT + 144)? as usize;
        let sections = file.records(count, SECTIONS_AT, SECTION_BYTES, |b, at| {
            let (offset, size) = (b.u64(at + 24)?, b.u64(at + 32)?);
            let whole = usize::try_from(offset).and_then(|o| usize::try_from(size).map(|s| (o, s)));
            let (offset, size) = whole.map_err(|e| e.to_string())?;
            Ok((b.u32(at)?, b.take(offset, size)?))
        })?;
        let find = |kind: Section| sections.iter().find(|(k, _)| *k == kind as u32).map(|(_, b)| *b);
        let need = |kind: Section| {
            find(kind).ok_or_else(|| format!("section {} is missing", kind.name())).map(Bytes)
        };
        let within = |kind: Section| move |e: String| format!("section {}: {e}", kind.name());

        let memories = memories(&need(Section::MemTopology)?).map_err(within(Section::MemTopology))?;
        let connections =
            connections(&need(Section::Connectivity)?).map_err(within(Section::Connectivity))?;
        let groups = match find(Section::GroupTopology) {
            Some(b) => self::memories(&Bytes(b)).map_err(within(Section::GroupTopology))?,
            None => memories.clone(),
        };
        let group_connections = match find(Section::GroupConnectivity) {
            Some(b) => self::connections(&Bytes(b)).map_err(within(Section::GroupConnectivity))?,
            None => connections.clone(),
        };
        let clocks_mhz = match find(Section::ClockFreqTopology) {
            Some(b) => clocks(&Bytes(b)).map_err(within(Section::ClockFreqTopology))?,
            None => Vec::new(),
        };
        let text = |b: &[u8]| String::from_utf8_lossy(b).trim_end_matches('\0').to_string();
        let mut uuid = [0; 16];
        uuid.copy_from_slice(file.take(HEADER_AT + 112, 16)?);
        Ok(Xclbin {
            uuid,
            vbnv: file.text(HEADER_AT + 48, 64)?,
            memories,
            connections,
            groups,
            group_connections,
            cus: cus(&need(Section::IpLayout)?).map_err(within(Section::IpLayout))?,
            clocks_mhz,
            metadata: text(need(Section::EmbeddedMetadata)?.0),
            user_metadata: find(Section::UserMetadata).map(text),
        })
    }

    /// Index of a memory by tag, as buffers are allocated in it.
    pub fn memory_index(&self, tag: &str) -> Option<u32> {
        self.groups.iter().position(|m| m.tag == tag).map(|i| i as u32)
    }
}

fn memories(b: &Bytes) -> Result<Vec<MemoryEntry>, String> {
    b.records(b.u32(0)? as usize, 8, 40, |b, at| {
        Ok(MemoryEntry {
            kind: b.take(at, 1)?[0],
            used: b.take(at + 1, 1)?[0] != 0,
            size_bytes: b.u64(at + 8)?.saturating_mul(1024),
            base: b.u64(at + 16)?,
            tag: b.text(at + 24, 16)?,
        })
    })
}

fn connections(b: &Bytes) -> Result<Vec<Connection>, String> {
    b.records(b.u32(0)? as usize, 4, 12, |b, at| {
        Ok(Connection { arg: b.u32(at)?, cu: b.u32(at + 4)?, memory: b.u32(at + 8)? })
    })
}

fn cus(b: &Bytes) -> Result<Vec<Cu>, String> {
    b.records(b.u32(0)? as usize, 8, 80, |b, at| {
        let properties = b.u32(at + 4)?;
        Ok(Cu {
            kind: b.u32(at)?,
            control: properties >> 8 & 0xff,
            base: b.u64(at + 8)?,
            name: b.text(at + 16, 64)?,
        })
    })
}

/// `struct clock_freq`: u16 MHz, u8 type, five unused bytes, 128 bytes of name.
fn clocks(b: &Bytes) -> Result<Vec<u32>, String> {
    b.records(b.u16(0)? as usize, 2, 136, |b, at| b.u16(at).map(u32::from))
}
