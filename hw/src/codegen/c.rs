//! `flightvlm_isa.h`: constants for C and C++ code.

use crate::config::HwConfig;
use crate::csr::CSRS;
use crate::isa::{isa_hash, FieldKind, INSNS};
use crate::machine::FaultCode;
use std::fmt::Write as _;

pub(super) fn header(config: &HwConfig) -> String {
    let mut o = format!("/* {} */\n#ifndef FLIGHTVLM_ISA_H\n#define FLIGHTVLM_ISA_H\n\n", super::HEADER);
    let _ = writeln!(o, "#define FVLM_ISA_HASH 0x{:08x}u\n", isa_hash(config));
    for d in INSNS {
        let m = d.mnemonic.to_uppercase();
        let _ = writeln!(o, "#define FVLM_OP_{m} 0x{:02x}u", d.opcode);
        for (i, f) in d.fields.iter().enumerate() {
            let n = f.name.to_uppercase();
            let _ = writeln!(
                o,
                "#define FVLM_{m}_{n}_LSB {}u\n#define FVLM_{m}_{n}_WIDTH {}u",
                d.lsb(i),
                f.width
            );
            if let FieldKind::Enum(list) = f.kind {
                for (v, e) in list.iter().enumerate() {
                    let _ = writeln!(o, "#define FVLM_{m}_{n}_{} {v}u", e.to_uppercase());
                }
            }
        }
    }
    o.push('\n');
    for c in CSRS {
        let _ = writeln!(o, "#define FVLM_CSR_{} 0x{:03x}u /* {} */", c.name, c.offset, c.doc);
    }
    o.push('\n');
    for c in FaultCode::ALL {
        let _ = writeln!(o, "#define FVLM_FAULT_{} {}u", c.name(), c as u8);
    }
    o += "\n#endif\n";
    o
}
