//! 256-bit words and the codec, both driven by the table.
//!
//! `decode` accepts exactly what the hardware accepts: unknown opcodes, reserved bits, enum fields
//! out of range and mask bits for the own unit are errors (fault ILLEGAL in the machine).

use super::table::{FieldKind, Insn, InsnDef, Op, Unit, INSNS};

/// An encoded instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Word(pub [u64; 4]);

/// Why a word is not an instruction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No such opcode.
    #[error("unknown opcode {0:#04x}")]
    Opcode(u8),
    /// Bits past the fields are set.
    #[error("{0}: reserved bits are set")]
    Reserved(&'static str),
    /// A field holds a value outside its list.
    #[error("{insn}: field {field} = {value} is not one of its {choices} values")]
    Enum {
        /// Mnemonic.
        insn: &'static str,
        /// Field name.
        field: &'static str,
        /// What was found.
        value: u32,
        /// How many values there are.
        choices: usize,
    },
    /// Token masks make no sense.
    #[error("{0}: token masks {1:#x}/{2:#x} name the own unit or belong to no queue")]
    Tokens(&'static str, u8, u8),
    /// A combination of fields that no unit can execute.
    #[error("{0}: {1}")]
    Combination(&'static str, &'static str),
}

impl Word {
    /// Bits `lsb .. lsb + width`, width ≤ 32.
    pub fn get(&self, lsb: u32, width: u32) -> u32 {
        let (i, s) = ((lsb / 64) as usize, lsb % 64);
        let mut v = self.0[i] >> s;
        if s + width > 64 {
            v |= self.0[i + 1] << (64 - s);
        }
        (v & ((1u64 << width) - 1)) as u32
    }
    /// Sets bits `lsb .. lsb + width`; the value must fit.
    pub fn set(&mut self, lsb: u32, width: u32, value: u32) {
        assert!(width == 32 || value < 1 << width, "value {value:#x} does not fit {width} bits");
        let (i, s) = ((lsb / 64) as usize, lsb % 64);
        let mask = (1u64 << width) - 1;
        self.0[i] = self.0[i] & !(mask << s) | u64::from(value) << s;
        if s + width > 64 {
            let r = 64 - s;
            self.0[i + 1] = self.0[i + 1] & !(mask >> r) | u64::from(value) >> r;
        }
    }
    /// Stored in 32 bytes rather than 16.
    pub fn is_long(&self) -> bool {
        self.0[0] as u8 >= super::table::FIRST_LONG_OPCODE
    }
}

/// Code as it lies in memory: 16 bytes for each word of the dispatcher's own instructions (their
/// upper half is dropped), 32 for the others, little-endian.
pub fn store_code(words: &[Word]) -> Vec<u8> {
    let mut out = Vec::with_capacity(words.len() * 32);
    for w in words {
        let halves = if w.is_long() { 4 } else { 2 };
        out.extend(w.0[..halves].iter().flat_map(|x| x.to_le_bytes()));
    }
    out
}

/// Inverse of `store_code`: the first `count` words; fewer when the bytes end before.
pub fn load_code(bytes: &[u8], count: usize) -> Vec<Word> {
    let mut halves = bytes.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().expect("invariant: 8")));
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        let (Some(a), Some(b)) = (halves.next(), halves.next()) else { break };
        let mut w = Word([a, b, 0, 0]);
        if w.is_long() {
            let (Some(c), Some(d)) = (halves.next(), halves.next()) else { break };
            (w.0[2], w.0[3]) = (c, d);
        }
        out.push(w);
    }
    out
}

impl Insn {
    /// Encodes; panics when a field does not fit (the compiler checks extents before).
    pub fn encode(&self) -> Word {
        let def = self.op.def();
        let mut w = Word::default();
        w.set(0, 8, u32::from(def.opcode));
        w.set(8, 4, u32::from(self.wait));
        w.set(12, 4, u32::from(self.release));
        for (i, (f, v)) in def.fields.iter().zip(self.op.values()).enumerate() {
            assert!(f.width == 32 || v < 1 << f.width, "{}.{} = {v} does not fit", def.mnemonic, f.name);
            w.set(def.lsb(i), f.width, v);
        }
        w
    }

    /// Decodes and checks legality.
    pub fn decode(word: &Word) -> Result<Insn, DecodeError> {
        let opcode = word.get(0, 8) as u8;
        let def = INSNS.iter().find(|d| d.opcode == opcode).ok_or(DecodeError::Opcode(opcode))?;
        let mut values = Vec::with_capacity(def.fields.len());
        for (i, f) in def.fields.iter().enumerate() {
            let v = word.get(def.lsb(i), f.width);
            if let FieldKind::Enum(list) = f.kind {
                if v as usize >= list.len() {
                    let (insn, field) = (def.mnemonic, f.name);
                    return Err(DecodeError::Enum { insn, field, value: v, choices: list.len() });
                }
            }
            if f.kind == FieldKind::Count && v & 0x8000 != 0 && v & 0x7fe0 != 0 {
                return Err(DecodeError::Reserved(def.mnemonic));
            }
            values.push(v);
        }
        let mut bit = def.bits();
        while bit < 256 {
            let n = (256 - bit).min(32);
            if word.get(bit, n) != 0 {
                return Err(DecodeError::Reserved(def.mnemonic));
            }
            bit += n;
        }
        let (wait, release) = (word.get(8, 4) as u8, word.get(12, 4) as u8);
        let own = if def.unit == Unit::Sys { 0xf } else { 1 << def.unit as u8 };
        if (wait | release) & own != 0 {
            return Err(DecodeError::Tokens(def.mnemonic, wait, release));
        }
        let op = Op::from_values(opcode, &values).expect("invariant: opcode is in the table");
        check_combination(def, &op)?;
        Ok(Insn { wait, release, op })
    }
}

/// Rules that involve more than one field.
fn check_combination(def: &InsnDef, op: &Op) -> Result<(), DecodeError> {
    use super::table::names::*;
    let bad = |why| Err(DecodeError::Combination(def.mnemonic, why));
    match op {
        Op::Loop(l) if l.len == 0 => bad("a loop body has at least one instruction"),
        Op::Seta(s) if s.agu == 0 => bad("address generator 0 is constant zero"),
        Op::Ld(l) if l.fmt == FMT_MIXED && l.wscale == 0 => bad("format mixed needs scales"),
        Op::Vx(v) => {
            for (k, x) in [(v.b_kind, v.b), (v.c_kind, v.c)] {
                if k != K_IMM && x & 0x0ffc_0000 != 0 {
                    return bad("operand address has reserved bits set");
                }
            }
            if v.d_kind == D_S && v.red != R_NONE {
                return bad("destination S excludes a reduction");
            }
            if v.op1 != OP_PASS && v.b_kind == K_NONE || v.op2 != OP_PASS && v.c_kind == K_NONE {
                return bad("an operation lacks its operand");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{names::*, *};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table_is_consistent() {
        for (i, d) in INSNS.iter().enumerate() {
            let room = if d.opcode >= FIRST_LONG_OPCODE { 256 } else { 128 };
            assert!(d.bits() <= room, "{} uses {} bits", d.mnemonic, d.bits());
            assert_eq!(d.opcode < FIRST_LONG_OPCODE, d.unit == Unit::Sys);
            assert!(!d.doc.trim().is_empty());
            for e in &INSNS[..i] {
                assert!(e.opcode < d.opcode && e.mnemonic != d.mnemonic);
            }
            for (j, f) in d.fields.iter().enumerate() {
                assert!(!f.doc.is_empty() && (1..=32).contains(&f.width));
                assert!(d.fields[..j].iter().all(|g| g.name != f.name));
                if let FieldKind::Enum(l) = f.kind {
                    assert!(l.len() <= 1 << f.width, "{}.{}", d.mnemonic, f.name);
                }
            }
        }
        assert_eq!(names::D_S, 3);
        assert_eq!(R_ARGMAX, 5);
    }

    fn any_insn() -> impl Strategy<Value = Word> {
        (0..INSNS.len(), prop::collection::vec(any::<u32>(), 32)).prop_map(|(i, vals)| {
            let d = &INSNS[i];
            let mut w = Word::default();
            w.set(0, 8, u32::from(d.opcode));
            for (j, f) in d.fields.iter().enumerate() {
                let mask = ((1u64 << f.width) - 1) as u32;
                let v = match f.kind {
                    FieldKind::Enum(l) => vals[j] % l.len() as u32,
                    FieldKind::Count if vals[j] & 0x8000 != 0 => vals[j] & 0x801f,
                    _ => vals[j] & mask,
                };
                w.set(d.lsb(j), f.width, v);
            }
            w
        })
    }

    proptest! {
        #[test]
        fn decode_encode_is_identity(w in any_insn()) {
            if let Ok(insn) = Insn::decode(&w) {
                prop_assert_eq!(insn.encode(), w);
                let long = Word([1, 2, 3, 4 << 8 | 0x10]);
                let long = Word([long.0[3], 2, 3, 4]);
                prop_assert_eq!(load_code(&store_code(&[w, long, w]), 3), vec![w, long, w]);
                prop_assert_eq!(load_code(&store_code(&[w]), 2), vec![w]);
                let text = crate::isa::disassemble(&insn);
                prop_assert_eq!(crate::isa::assemble(&text).unwrap(), vec![insn]);
            }
        }
        #[test]
        fn random_words_never_panic(a: [u64; 4]) {
            let _ = Insn::decode(&Word(a));
        }
    }
}
