//! Text form: `mnemonic field=value …`, zero fields left out, `@wait=ld,st @release=mm`.
//!
//! `assemble(disassemble(x)) == x`. Counts print as numbers or `r7`; operands as `a3+12`,
//! or `#1.5` for a float immediate.

use super::table::{Field, FieldKind, Insn, InsnDef, Op, Unit, INSNS};
use std::fmt::Write as _;

/// What is wrong with a line of assembly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct AsmError {
    /// 1-based line number.
    pub line: usize,
    /// What and what was expected.
    pub what: String,
}

fn units(mask: u8) -> String {
    let names: Vec<_> =
        Unit::QUEUES.iter().filter(|u| mask >> **u as u8 & 1 == 1).map(|u| u.name()).collect();
    names.join(",")
}

fn is_immediate(def: &InsnDef, values: &[u32], index: usize) -> bool {
    def.fields[index].kind == FieldKind::Operand && values[index - 1] == super::names::K_IMM
}

fn show(f: &Field, v: u32, immediate: bool) -> String {
    match f.kind {
        FieldKind::Count if v & 0x8000 != 0 => format!("r{}", v & 31),
        FieldKind::Reg => format!("r{v}"),
        FieldKind::Agu => format!("a{v}"),
        FieldKind::Enum(list) => list.get(v as usize).map_or(v.to_string(), |s| s.to_string()),
        FieldKind::Operand if immediate && f32::from_bits(v).is_finite() => {
            format!("#{:?}", f32::from_bits(v))
        }
        FieldKind::Operand if immediate => format!("#bits:{v:#x}"),
        FieldKind::Operand => format!("a{}+{}", v >> 28, v & 0x0fff_ffff),
        _ => v.to_string(),
    }
}

/// One line of text.
pub fn disassemble(insn: &Insn) -> String {
    let def = insn.op.def();
    let values = insn.op.values();
    let mut out = def.mnemonic.to_string();
    for (i, f) in def.fields.iter().enumerate() {
        let named_default = matches!(f.kind, FieldKind::Enum(_)) && i == 0;
        if values[i] != 0 || named_default {
            let _ = write!(out, " {}={}", f.name, show(f, values[i], is_immediate(def, &values, i)));
        }
    }
    if insn.wait != 0 {
        let _ = write!(out, " @wait={}", units(insn.wait));
    }
    if insn.release != 0 {
        let _ = write!(out, " @release={}", units(insn.release));
    }
    out
}

fn number(s: &str) -> Result<u32, String> {
    let parsed = match s.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => s.parse(),
    };
    parsed.map_err(|_| format!("`{s}` is not a number"))
}

fn prefixed(s: &str, prefix: char, limit: u32) -> Result<u32, String> {
    let n = number(s.strip_prefix(prefix).ok_or(format!("`{s}`: expected {prefix}N"))?)?;
    if n < limit {
        Ok(n)
    } else {
        Err(format!("`{s}` is out of range (limit {limit})"))
    }
}

fn parse_value(f: &Field, s: &str) -> Result<u32, String> {
    match f.kind {
        FieldKind::Count if s.starts_with('r') => Ok(0x8000 | prefixed(s, 'r', 32)?),
        FieldKind::Count => {
            number(s).and_then(|n| if n < 0x8000 { Ok(n) } else { Err(format!("count {n} exceeds 32767")) })
        }
        FieldKind::Reg => prefixed(s, 'r', 32),
        FieldKind::Agu => prefixed(s, 'a', 16),
        FieldKind::Enum(list) => list
            .iter()
            .position(|x| *x == s)
            .map(|i| i as u32)
            .ok_or(format!("{}: `{s}` is not one of {list:?}", f.name)),
        FieldKind::Operand => match s.strip_prefix('#') {
            Some(bits) if bits.starts_with("bits:") => number(&bits[5..]),
            Some(x) => x.parse::<f32>().map(f32::to_bits).map_err(|_| format!("`{s}`: not a float")),
            None => {
                let (a, off) = s.split_once('+').ok_or(format!("`{s}`: expected aN+OFF or #F"))?;
                let off = number(off)?;
                if off >= 1 << 28 {
                    return Err(format!("offset {off} is too large"));
                }
                Ok(prefixed(a, 'a', 16)? << 28 | off)
            }
        },
        _ => number(s),
    }
}

fn parse_units(s: &str) -> Result<u8, String> {
    s.split(',').try_fold(0, |mask, name| {
        let u = Unit::QUEUES.iter().find(|u| u.name() == name);
        Ok(mask | 1 << *u.ok_or(format!("`{name}` is no queue"))? as u8)
    })
}

fn parse_line(text: &str) -> Result<Insn, String> {
    let mut words = text.split_whitespace();
    let mnemonic = words.next().unwrap_or("");
    let def =
        INSNS.iter().find(|d| d.mnemonic == mnemonic).ok_or(format!("unknown mnemonic `{mnemonic}`"))?;
    let mut values = vec![0; def.fields.len()];
    let (mut wait, mut release) = (0, 0);
    for word in words {
        let (key, value) = word.split_once('=').ok_or(format!("`{word}`: expected key=value"))?;
        match key {
            "@wait" => wait = parse_units(value)?,
            "@release" => release = parse_units(value)?,
            _ => {
                let i = def.fields.iter().position(|f| f.name == key);
                let i = i.ok_or(format!("{mnemonic} has no field `{key}`"))?;
                let f = &def.fields[i];
                let v = parse_value(f, value)?;
                if f.width < 32 && v >= 1 << f.width {
                    return Err(format!("{key}={value} does not fit {} bits", f.width));
                }
                values[i] = v;
            }
        }
    }
    let op = Op::from_values(def.opcode, &values).expect("invariant: def is in the table");
    Ok(Insn { wait, release, op })
}

/// Assembles a text: one instruction a line, `;` starts a comment, blank lines are skipped.
pub fn assemble(text: &str) -> Result<Vec<Insn>, AsmError> {
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.split(';').next().unwrap_or("").trim();
        if !line.is_empty() {
            out.push(parse_line(line).map_err(|what| AsmError { line: i + 1, what })?);
        }
    }
    Ok(out)
}
