//! The `.fvp` file: header, sections, and behind them a JSON description with checksums of all.
//! All integers little-endian. Sections are written as they are made: a model never has to be in
//! memory as a whole.
//!
//! ```text
//! 0   8  magic "FLTVLM\x01\n"
//! 8   4  version
//! 12  4  crc32 of the description
//! 16  8  offset of the description
//! 24  8  bytes of the description
//! 64     sections, each 64-byte aligned
//!        description (JSON: meta, sections {name, offset, bytes, crc32}), to the end of the file
//! ```

use super::{Meta, Program, CODE_REGION};
use crate::layout::dram::Space;
use flightvlm_hw::isa::Insn;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// First bytes of every program file.
pub const MAGIC: [u8; 8] = *b"FLTVLM\x01\n";
/// Version of the format.
pub const VERSION: u32 = 5;
const HEADER_BYTES: usize = 32;
/// Where the first section starts.
const FIRST_SECTION: u64 = 64;

/// Why a file is not a usable program.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Reading or writing failed.
    #[error("{path}: {error}")]
    Io {
        /// File.
        path: String,
        /// The system's message.
        error: std::io::Error,
    },
    /// Not a program at all.
    #[error("{0} is not a FlightVLM program: its first bytes are wrong; make one with `flightvlm compile`")]
    Magic(String),
    /// Another version of the format.
    #[error("{path} has program format {found}, this build reads {VERSION}: compile the model again")]
    Version {
        /// File.
        path: String,
        /// Version in the file.
        found: u32,
    },
    /// Damaged.
    #[error("{path} is damaged: {what}; compile the model again")]
    Damaged {
        /// File.
        path: String,
        /// What does not fit.
        what: String,
    },
    /// Made for other hardware.
    #[error(
        "{path} was compiled for hardware {found:#010x}, this build is {expected:#010x}: \
         compile the model again"
    )]
    Hash {
        /// File.
        path: String,
        /// Hash in the file.
        found: u32,
        /// Hash of this build.
        expected: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Section {
    name: String,
    offset: u64,
    bytes: u64,
    crc32: u32,
}

#[derive(Serialize, Deserialize)]
struct Description {
    meta: Meta,
    sections: Vec<Section>,
}

const CONTENT: &str = "content:";
const ASSET: &str = "asset:";

/// Writes a program; the file appears whole or not at all.
pub fn write(program: &Program, path: &Path) -> Result<(), ProgramError> {
    let mut w = Writer::create(path)?;
    w.section(CODE_REGION, &program.code)?;
    for (name, bytes) in &program.contents {
        w.section(&format!("{CONTENT}{name}"), bytes)?;
    }
    for (name, bytes) in &program.assets {
        w.section(&format!("{ASSET}{name}"), bytes)?;
    }
    w.finish(&program.meta)
}

/// A program file that is being written. Dropped before [`Writer::finish`], it leaves nothing.
pub struct Writer {
    file: Option<std::io::BufWriter<std::fs::File>>,
    path: PathBuf,
    temporary: PathBuf,
    at: u64,
    sections: Vec<Section>,
    checksum: crc32fast::Hasher,
}

impl Writer {
    /// Starts a file.
    pub fn create(path: &Path) -> Result<Writer, ProgramError> {
        let temporary = path.with_extension("fvp.partial");
        let file = std::fs::File::create(&temporary)
            .map_err(|error| ProgramError::Io { path: path.display().to_string(), error })?;
        let mut w = Writer {
            file: Some(std::io::BufWriter::with_capacity(1 << 20, file)),
            path: path.to_owned(),
            temporary,
            at: 0,
            sections: Vec::new(),
            checksum: crc32fast::Hasher::new(),
        };
        w.put(&[0; FIRST_SECTION as usize])?;
        Ok(w)
    }

    fn io(&self, error: std::io::Error) -> ProgramError {
        ProgramError::Io { path: self.path.display().to_string(), error }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ProgramError> {
        let file = self.file.as_mut().expect("invariant: open until finish");
        file.write_all(bytes).map_err(|e| self.io(e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Starts the content of a memory region; [`Writer::append`] adds to it.
    pub fn content(&mut self, name: &str) -> Result<(), ProgramError> {
        self.begin(&format!("{CONTENT}{name}"))
    }

    /// Adds a file that the driver wants.
    pub fn asset(&mut self, name: &str, bytes: &[u8]) -> Result<(), ProgramError> {
        self.section(&format!("{ASSET}{name}"), bytes)
    }

    /// Adds the code.
    pub fn code(&mut self, bytes: &[u8]) -> Result<(), ProgramError> {
        self.section(CODE_REGION, bytes)
    }

    fn begin(&mut self, name: &str) -> Result<(), ProgramError> {
        self.end_section();
        let padding = self.at.next_multiple_of(64) - self.at;
        self.put(&[0; 64][..padding as usize])?;
        self.sections.push(Section { name: name.into(), offset: self.at, bytes: 0, crc32: 0 });
        Ok(())
    }

    /// Appends to the section that was started last.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), ProgramError> {
        self.checksum.update(bytes);
        self.put(bytes)
    }

    fn section(&mut self, name: &str, bytes: &[u8]) -> Result<(), ProgramError> {
        self.begin(name)?;
        self.append(bytes)
    }

    fn end_section(&mut self) {
        if let Some(s) = self.sections.last_mut() {
            if s.bytes == 0 {
                s.bytes = self.at - s.offset;
                s.crc32 = std::mem::take(&mut self.checksum).finalize();
            }
        }
    }

    /// Completes the file and gives it its name.
    pub fn finish(mut self, meta: &Meta) -> Result<(), ProgramError> {
        self.end_section();
        let sections = std::mem::take(&mut self.sections);
        let description = serde_json::to_vec(&Description { meta: meta.clone(), sections })
            .expect("invariant: the description holds no maps with odd keys");
        let offset = self.at;
        self.put(&description)?;
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend(crc32fast::hash(&description).to_le_bytes());
        header.extend(offset.to_le_bytes());
        header.extend((description.len() as u64).to_le_bytes());
        let mut file = self.file.take().expect("invariant: open until finish");
        let written = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&header))
            .and_then(|()| file.flush())
            .and_then(|()| std::fs::rename(&self.temporary, &self.path));
        if written.is_err() {
            let _ = std::fs::remove_file(&self.temporary);
        }
        written.map_err(|e| self.io(e))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Reads a program and checks everything that the file says about itself.
pub fn read(path: &Path) -> Result<Program, ProgramError> {
    let name = path.display().to_string();
    let io = |error| ProgramError::Io { path: name.clone(), error };
    let mut file = std::fs::File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    parse(&mut file, len, &name)
}

/// The same from anything that seeks.
fn parse(file: &mut (impl Read + Seek), len: u64, name: &str) -> Result<Program, ProgramError> {
    let damaged = |what: String| ProgramError::Damaged { path: name.into(), what };
    let io = |error| ProgramError::Io { path: name.into(), error };
    let mut header = Vec::with_capacity(HEADER_BYTES);
    file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(io)?;
    if !header.starts_with(&MAGIC) {
        return Err(ProgramError::Magic(name.into()));
    }
    let bytes = |i: usize| header.get(i..i + 4).and_then(|b| b.first_chunk::<4>());
    let short = || damaged(format!("{} bytes are fewer than its header", header.len()));
    let u32_at = |i: usize| bytes(i).map(|b| u32::from_le_bytes(*b)).ok_or_else(short);
    let found = u32_at(8)?;
    if found != VERSION {
        return Err(ProgramError::Version { path: name.into(), found });
    }
    let u64_at = |i: usize| Ok(u64::from(u32_at(i)?) | u64::from(u32_at(i + 4)?) << 32);
    let mut section = |offset: u64, bytes: u64| -> Result<Option<Vec<u8>>, ProgramError> {
        if offset.checked_add(bytes).is_none_or(|end| end > len) {
            return Ok(None);
        }
        let mut out = vec![0; bytes as usize];
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut out)).map_err(io)?;
        Ok(Some(out))
    };
    let (offset, bytes) = (u64_at(16)?, u64_at(24)?);
    let description = section(offset, bytes)?
        .ok_or_else(|| damaged(format!("a description of {bytes} bytes at {offset} exceeds the file")))?;
    if crc32fast::hash(&description) != u32_at(12)? {
        return Err(damaged("the checksum of its description is wrong".into()));
    }
    let d: Description = serde_json::from_slice(&description).map_err(|e| damaged(e.to_string()))?;
    let expected = flightvlm_hw::isa::isa_hash(&d.meta.config);
    if d.meta.isa_hash != expected {
        return Err(ProgramError::Hash { path: name.into(), found: d.meta.isa_hash, expected });
    }
    let (mut code, mut contents, mut assets) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for s in &d.sections {
        let data = section(s.offset, s.bytes)?
            .ok_or_else(|| damaged(format!("section {} exceeds the file", s.name)))?;
        if crc32fast::hash(&data) != s.crc32 {
            return Err(damaged(format!("the checksum of section {} is wrong", s.name)));
        }
        if s.name == CODE_REGION {
            code = data;
        } else if let Some(n) = s.name.strip_prefix(CONTENT) {
            contents.insert(n.to_string(), data);
        } else if let Some(n) = s.name.strip_prefix(ASSET) {
            assets.insert(n.to_string(), data);
        }
    }
    let program = Program { meta: d.meta, code, contents, assets };
    verify(&program).map_err(damaged)?;
    Ok(program)
}

/// Code decodes, regions do not overlap, contents fit their regions.
pub(crate) fn verify(p: &Program) -> Result<(), String> {
    let mut next = 0;
    for s in &p.meta.segments {
        if s.first != next || s.len == 0 || s.len > p.meta.config.imem_words {
            return Err(format!("a piece of {} instructions from {} on", s.len, s.first));
        }
        next += s.len;
    }
    if next != p.meta.code_len {
        return Err(format!("pieces of {next} instructions in all, the program has {}", p.meta.code_len));
    }
    let words = p.words();
    // A wrong opcode also shifts what follows: it is named first.
    for (pc, word) in words.iter().enumerate() {
        Insn::decode(word).map_err(|e| format!("instruction {pc}: {e}"))?;
    }
    if words.len() < p.meta.code_len as usize {
        return Err(format!("{} instructions do not fit {} bytes of code", p.meta.code_len, p.code.len()));
    }
    for space in [Space::Main, Space::Channels] {
        let mut end = 0u64;
        for r in p.meta.dram.regions.iter().filter(|r| r.space == space) {
            if u64::from(r.base) < end {
                return Err(format!("memory region {} overlaps the one before it", r.name));
            }
            end = u64::from(r.base) + u64::from(r.units);
            if end > u64::from(u32::MAX) {
                return Err(format!("memory region {} ends past the address space", r.name));
            }
        }
    }
    if p.meta.dram.channels != p.meta.config.slices {
        let (found, slices) = (p.meta.dram.channels, p.meta.config.slices);
        return Err(format!("a map of {found} channels for a target with {slices}"));
    }
    for (name, bytes) in &p.contents {
        match p.meta.dram.get(name) {
            Some(r) if bytes.len() as u64 == p.meta.dram.bytes(r) => {}
            // Tables may have room behind them that the device fills.
            Some(r) if r.space == Space::Main && (bytes.len() as u64) < p.meta.dram.bytes(r) => {}
            Some(_) => return Err(format!("{} bytes are not what memory region {name} holds", bytes.len())),
            None => return Err(format!("there is no memory region {name}")),
        }
    }
    match p.meta.dram.get(CODE_REGION) {
        Some(r) if p.code.len() as u64 <= u64::from(r.units) * 64 => Ok(()),
        Some(_) => Err(format!("{} bytes do not fit memory region {CODE_REGION}", p.code.len())),
        None => Err(format!("there is no memory region {CODE_REGION}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn garbage_behind_the_magic_is_an_error(mut tail: Vec<u8>, version in 0u32..3) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(version.to_le_bytes());
            bytes.append(&mut tail);
            let len = bytes.len() as u64;
            prop_assert!(parse(&mut std::io::Cursor::new(bytes), len, "x").is_err());
        }
    }

    #[test]
    fn not_a_program() {
        let zip = &mut std::io::Cursor::new(b"PK\x03\x04");
        assert!(matches!(parse(zip, 4, "x"), Err(ProgramError::Magic(_))));
    }
}
