//! The instruction set: one table ([`table`]), everything else derived from it.
//!
//! An instruction is 256 bits inside the machine; in memory the dispatcher's own take 16 bytes, the
//! others 32 ([`store_code`]).
//! Semantics: `hw/doc/microarchitecture.md`.

mod asm;
mod codec;
mod table;

pub use asm::{assemble, disassemble, AsmError};
pub use codec::{load_code, store_code, DecodeError, Word};
pub use table::*;

use crate::config::HwConfig;

/// FNV-1a over the table's text and the configuration: a program, a simulator and a bitstream
/// that disagree on either refuse to work together.
pub fn isa_hash(config: &HwConfig) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    let mut eat = |s: &str| {
        for b in s.bytes() {
            hash = (hash ^ u32::from(b)).wrapping_mul(0x0100_0193);
        }
    };
    for def in INSNS {
        eat(def.mnemonic);
        eat(&format!("{:02x}{:?}", def.opcode, def.unit));
        for (i, f) in def.fields.iter().enumerate() {
            eat(&format!("{}:{}:{}:{:?};", f.name, def.lsb(i), f.width, f.kind));
        }
    }
    for c in crate::csr::CSRS {
        eat(&format!("{}@{:x}", c.name, c.offset));
    }
    eat(&config.fingerprint());
    hash
}
