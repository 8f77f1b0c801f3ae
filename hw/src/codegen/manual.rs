//! `isa.md` and `registers.md`.

use crate::csr::{Access, CSRS};
use crate::isa::{FieldKind, FIRST_FIELD_LSB, INSNS};
use std::fmt::Write as _;

pub(super) fn isa() -> String {
    let mut o = format!("<!-- {} -->\n# Instruction set\n\n", super::HEADER);
    let _ = writeln!(
        o,
        "256-bit instructions, little-endian. Bits 7:0 opcode, 11:8 wait mask, 15:12 release mask \
         (bit 0 ld, 1 st, 2 mm, 3 vx), fields from bit {FIRST_FIELD_LSB}; the rest is reserved, zero. \
         Exact semantics: [microarchitecture.md](microarchitecture.md).\n"
    );
    for d in INSNS {
        let _ = writeln!(
            o,
            "## `{}` ({:#04x}, unit {})\n\n{}",
            d.mnemonic,
            d.opcode,
            d.unit.name(),
            d.doc.trim()
        );
        if d.fields.is_empty() {
            o.push('\n');
            continue;
        }
        o += "\n| bits | field | kind | meaning |\n|---|---|---|---|\n";
        for (i, f) in d.fields.iter().enumerate() {
            let kind = match f.kind {
                FieldKind::Enum(list) => list.join(", "),
                k => format!("{k:?}").to_lowercase(),
            };
            let _ = writeln!(
                o,
                "| {}:{} | `{}` | {kind} | {} |",
                d.lsb(i) + f.width - 1,
                d.lsb(i),
                f.name,
                f.doc
            );
        }
        let _ = writeln!(o, "\n{} of 256 bits used.\n", d.bits());
    }
    o
}

pub(super) fn registers() -> String {
    let mut o = format!("<!-- {} -->\n# Registers (AXI4-Lite, 32 bit)\n\n| offset | name | access | meaning |\n|---|---|---|---|\n", super::HEADER);
    for c in CSRS {
        let access = if c.access == Access::Ro { "ro" } else { "rw" };
        let _ = writeln!(o, "| {:#05x} | `{}` | {access} | {} |", c.offset, c.name, c.doc);
    }
    o
}
