//! The `.fvp` file: magic, version, a JSON description with its checksum, then sections, each with
//! its checksum. All integers little-endian.
//!
//! ```text
//! 0   8  magic "FLTVLM\x01\n"
//! 8   4  version
//! 12  4  crc32 of the description
//! 16  8  bytes of the description
//! 24     description (JSON: meta, sections {name, offset, bytes, crc32})
//!        sections, each 64-byte aligned, offsets from the start of the file
//! ```

use super::{Meta, Program, CODE_REGION};
use flightvlm_hw::isa::{Insn, Word};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// First bytes of every program file.
pub const MAGIC: [u8; 8] = *b"FLTVLM\x01\n";
/// Version of the format.
pub const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;

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
    let io = |error| ProgramError::Io { path: path.display().to_string(), error };
    let mut parts: Vec<(String, &[u8])> = vec![(CODE_REGION.into(), &program.code)];
    parts.extend(program.contents.iter().map(|(n, b)| (format!("{CONTENT}{n}"), &b[..])));
    parts.extend(program.assets.iter().map(|(n, b)| (format!("{ASSET}{n}"), &b[..])));
    // Offsets depend on the description's length, which depends on the offsets: give it room.
    let describe = |start: u64| {
        let mut at = start;
        let sections = parts
            .iter()
            .map(|(name, bytes)| {
                let s = Section {
                    name: name.clone(),
                    offset: at,
                    bytes: bytes.len() as u64,
                    crc32: crc32fast::hash(bytes),
                };
                at = (at + s.bytes).next_multiple_of(64);
                s
            })
            .collect();
        serde_json::to_vec(&Description { meta: program.meta.clone(), sections })
            .expect("invariant: the description holds no maps with odd keys")
    };
    let room = describe(u64::from(u32::MAX)).len().next_multiple_of(64) + 64;
    let start = (HEADER_BYTES + room).next_multiple_of(64);
    let mut description = describe(start as u64);
    assert!(description.len() <= room);
    description.resize(start - HEADER_BYTES, b' ');
    let temporary = path.with_extension("fvp.partial");
    let result = (|| {
        let mut f = std::io::BufWriter::new(std::fs::File::create(&temporary)?);
        f.write_all(&MAGIC)?;
        f.write_all(&VERSION.to_le_bytes())?;
        f.write_all(&crc32fast::hash(&description).to_le_bytes())?;
        f.write_all(&(description.len() as u64).to_le_bytes())?;
        f.write_all(&description)?;
        for (_, bytes) in &parts {
            f.write_all(bytes)?;
            f.write_all(&[0; 64][..bytes.len().next_multiple_of(64) - bytes.len()])?;
        }
        f.flush()?;
        std::fs::rename(&temporary, path)
    })();
    result.map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        io(e)
    })
}

/// Reads a program and checks everything that the file says about itself.
pub fn read(path: &Path) -> Result<Program, ProgramError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| ProgramError::Io { path: name.clone(), error })?;
    parse(&bytes, &name)
}

/// The same from memory.
fn parse(bytes: &[u8], name: &str) -> Result<Program, ProgramError> {
    let damaged = |what: String| ProgramError::Damaged { path: name.into(), what };
    if !bytes.starts_with(&MAGIC) {
        return Err(ProgramError::Magic(name.into()));
    }
    let header: &[u8; HEADER_BYTES] = bytes
        .first_chunk()
        .ok_or_else(|| damaged(format!("{} bytes are fewer than its header", bytes.len())))?;
    let u32_at = |i: usize| u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
    let found = u32_at(8);
    if found != VERSION {
        return Err(ProgramError::Version { path: name.into(), found });
    }
    let len = u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32;
    let description = usize::try_from(len)
        .ok()
        .and_then(|len| bytes.get(HEADER_BYTES..HEADER_BYTES.checked_add(len)?))
        .ok_or_else(|| damaged(format!("a description of {len} bytes exceeds the file")))?;
    if crc32fast::hash(description) != u32_at(12) {
        return Err(damaged("the checksum of its description is wrong".into()));
    }
    let d: Description = serde_json::from_slice(description).map_err(|e| damaged(e.to_string()))?;
    let expected = flightvlm_hw::isa::isa_hash(&d.meta.config);
    if d.meta.isa_hash != expected {
        return Err(ProgramError::Hash { path: name.into(), found: d.meta.isa_hash, expected });
    }
    let (mut code, mut contents, mut assets) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for s in &d.sections {
        let range = s
            .offset
            .checked_add(s.bytes)
            .and_then(|end| bytes.get(usize::try_from(s.offset).ok()?..usize::try_from(end).ok()?));
        let data = range.ok_or_else(|| damaged(format!("section {} exceeds the file", s.name)))?;
        if crc32fast::hash(data) != s.crc32 {
            return Err(damaged(format!("the checksum of section {} is wrong", s.name)));
        }
        if s.name == CODE_REGION {
            code = data.to_vec();
        } else if let Some(n) = s.name.strip_prefix(CONTENT) {
            contents.insert(n.to_string(), data.to_vec());
        } else if let Some(n) = s.name.strip_prefix(ASSET) {
            assets.insert(n.to_string(), data.to_vec());
        }
    }
    let program = Program { meta: d.meta, code, contents, assets };
    verify(&program).map_err(damaged)?;
    Ok(program)
}

/// Code decodes, regions do not overlap, contents fit their regions.
pub(crate) fn verify(p: &Program) -> Result<(), String> {
    let needed = p.meta.code_len as usize * flightvlm_hw::isa::INSN_BYTES;
    if p.code.len() < needed {
        return Err(format!("{} instructions do not fit {} bytes of code", p.meta.code_len, p.code.len()));
    }
    for (pc, b) in p.code[..needed].chunks_exact(32).enumerate() {
        let word = Word::from_bytes(b.try_into().expect("invariant: chunks of 32"));
        Insn::decode(&word).map_err(|e| format!("instruction {pc}: {e}"))?;
    }
    let mut end = 0u64;
    for r in &p.meta.dram.regions {
        if u64::from(r.base) < end {
            return Err(format!("DRAM region {} overlaps the one before it", r.name));
        }
        end = u64::from(r.base) + u64::from(r.units);
        if end > u64::from(u32::MAX) {
            return Err(format!("DRAM region {} ends past the address space", r.name));
        }
    }
    let fits = |name: &str, len: usize| match p.meta.dram.get(name) {
        Some(r) if len as u64 <= u64::from(r.units) * 64 => Ok(()),
        Some(_) => Err(format!("{len} bytes do not fit DRAM region {name}")),
        None => Err(format!("there is no DRAM region {name}")),
    };
    fits(CODE_REGION, p.code.len())?;
    for (name, bytes) in &p.contents {
        fits(name, bytes.len())?;
    }
    Ok(())
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
            prop_assert!(parse(&bytes, "x").is_err());
        }
    }

    #[test]
    fn not_a_program() {
        assert!(matches!(parse(b"PK\x03\x04", "x"), Err(ProgramError::Magic(_))));
    }
}
