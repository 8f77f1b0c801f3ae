//! `fvlm_isa_pkg.sv`: opcodes, field positions, enums, registers, configuration, resolved
//! command structs and the legality check.

use crate::config::{HwConfig, MM_FLIGHTS};
use crate::csr::CSRS;
use crate::isa::{
    isa_hash, FieldKind, InsnDef, Unit, FIRST_LONG_OPCODE, INSNS, MIXED_BITS, NM_INDEX_UNITS,
    NM_WINDOW_WORDS, REG_RMOD, REG_VBASE,
};
use crate::machine::FaultCode;
use crate::numerics::ROM;
use std::fmt::Write as _;

pub(super) fn package(config: &HwConfig) -> String {
    let mut o = format!(
        "// {}\n// Instruction set, register map and configuration `{}`.\n",
        super::HEADER,
        config.name
    );
    o += "`default_nettype none\n\n/* verilator lint_off UNUSEDPARAM */\npackage fvlm_isa_pkg;\n";
    let _ = writeln!(o, "  localparam logic [31:0] IsaHash = 32'h{:08x};\n", isa_hash(config));
    configuration(&mut o, config);
    for d in INSNS {
        instruction(&mut o, d);
    }
    let _ = writeln!(o, "  localparam int unsigned RegVbase = {REG_VBASE};\n  localparam int unsigned RegRmod = {REG_RMOD};\n");
    let _ = writeln!(o, "  localparam logic [7:0] FirstLongOpcode = 8'h{FIRST_LONG_OPCODE:02x};");
    lookup(&mut o, "nm_window_words", "ABUF words that a stored word selects from", &NM_WINDOW_WORDS);
    lookup(&mut o, "nm_index_units", "memory units of indices in front of a stored word", &NM_INDEX_UNITS);
    lookup(&mut o, "mixed_bits", "weight width by format code of fmt=mixed", &MIXED_BITS);
    for u in Unit::QUEUES.iter().chain([&Unit::Sys]) {
        let _ = writeln!(o, "  localparam logic [2:0] UNIT_{} = 3'd{};", u.name().to_uppercase(), *u as u8);
    }
    for c in FaultCode::ALL {
        let _ = writeln!(o, "  localparam logic [3:0] FAULT_{} = 4'd{};", c.name(), c as u8);
    }
    o.push('\n');
    for c in CSRS {
        let _ = writeln!(o, "  localparam logic [11:0] CSR_{} = 12'h{:03x};", c.name, c.offset);
    }
    o.push('\n');
    for (name, base, n) in ROM {
        let _ = writeln!(o, "  localparam int unsigned Rom{} = {base};  // {n} entries", camel(name));
    }
    o.push('\n');
    for d in INSNS.iter().filter(|d| d.unit != Unit::Sys) {
        command(&mut o, d);
    }
    legality(&mut o);
    o += "endpackage\n/* verilator lint_on UNUSEDPARAM */\n\n`default_nettype wire\n";
    o
}

fn camel(s: &str) -> String {
    s.split('_').map(|p| p[..1].to_uppercase() + &p[1..]).collect()
}

fn configuration(o: &mut String, c: &HwConfig) {
    for (name, v) in [
        ("Slices", c.slices),
        ("VxWords", c.vx_words),
        ("PairWriteCycles", c.pair_write_cycles()),
        ("MmFlights", MM_FLIGHTS),
        ("SpadWords", c.spad_words),
        ("AbufWords", c.abuf_words),
        ("SWords", c.s_words),
        ("WfifoWords", c.wfifo_words),
        ("SfifoWords", c.sfifo_words),
        ("ImemWords", c.imem_words),
        ("QueueDepth", c.queue_depth),
    ] {
        let _ = writeln!(o, "  localparam int unsigned {name} = {v};");
    }
    o.push('\n');
}

/// A table over a 3-bit field as a function.
fn lookup(o: &mut String, name: &str, doc: &str, values: &[u32]) {
    let _ = writeln!(
        o,
        "  // {doc}.\n  function automatic logic [3:0] {name}(input logic [2:0] x);\n    case (x)"
    );
    for (i, v) in values.iter().enumerate() {
        let _ = writeln!(o, "      3'd{i}: {name} = 4'd{v};");
    }
    let _ =
        writeln!(o, "      default: {name} = 4'd{};\n    endcase\n  endfunction\n", values[values.len() - 1]);
}

fn instruction(o: &mut String, d: &InsnDef) {
    let upper = d.mnemonic.to_uppercase();
    let name = camel(d.mnemonic);
    let _ = writeln!(o, "  localparam logic [7:0] OP_{upper} = 8'h{:02x};", d.opcode);
    for (i, f) in d.fields.iter().enumerate() {
        let field = camel(f.name);
        let _ = writeln!(o, "  localparam int unsigned {name}{field}Lsb = {};  // {}", d.lsb(i), f.doc);
        let _ = writeln!(o, "  localparam int unsigned {name}{field}W = {};", f.width);
        if let FieldKind::Enum(list) = f.kind {
            for (v, e) in list.iter().enumerate() {
                let _ = writeln!(
                    o,
                    "  localparam logic [{}:0] {upper}_{}_{} = {}'d{v};",
                    f.width - 1,
                    f.name.to_uppercase(),
                    e.to_uppercase(),
                    f.width
                );
            }
        }
    }
    o.push('\n');
}

/// Members of a resolved command: counts and addresses are numbers.
fn command(o: &mut String, d: &InsnDef) {
    let _ = writeln!(
        o,
        "  // Resolved `{}`: registers and address generators are read.\n  typedef struct packed {{",
        d.mnemonic
    );
    let mut skip = false;
    for (i, f) in d.fields.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        let (name, width) = match f.kind {
            FieldKind::Agu => {
                skip = d.fields.get(i + 1).is_some_and(|n| n.kind == FieldKind::Off);
                (f.name.trim_end_matches("agu").to_string() + "addr", 32)
            }
            FieldKind::Operand => (format!("{}_val", f.name), 32),
            _ => (f.name.to_string(), f.width),
        };
        let _ = writeln!(o, "    logic [{}:0] {name};", width - 1);
    }
    if d.mnemonic == "vx" {
        *o += "    logic [15:0] vbase;\n    logic [15:0] rmod;\n";
    }
    let _ = writeln!(o, "    logic [15:0] pc;\n  }} {}_cmd_t;\n", d.mnemonic);
}

/// `examine(word)` and `legal(what that gave)`: the same rules as `Insn::decode`, in two short steps.
fn legality(o: &mut String) {
    // Words are examined between the ends of instructions.
    let mut ends: Vec<u32> = INSNS.iter().map(InsnDef::bits).chain([256]).collect();
    ends.sort_unstable();
    ends.dedup();
    let gaps = ends.len() - 1;
    *o += "  // Which instruction a word is, if it is legal: the rules of the decoder in hw/src/isa/codec.rs, in two steps\n";
    *o += "  // between which a register fits. `examine` gives a bit for each instruction that has the word's opcode, one for\n";
    *o += "  // each whose fields forbid the word, and one for each stretch between ends of instructions that is not zero.\n";
    let _ = writeln!(o, "  localparam int unsigned Insns = {};", INSNS.len());
    for (i, d) in INSNS.iter().enumerate() {
        let _ = writeln!(o, "  localparam int unsigned Insn{} = {i};", camel(d.mnemonic));
    }
    let _ = writeln!(o, "  localparam int unsigned ExamineW = 2 * Insns + {gaps};");
    *o += "  function automatic logic [ExamineW-1:0] examine(input logic [255:0] w);\n    examine = '0;\n";
    for (gap, w) in ends.windows(2).enumerate() {
        let _ = writeln!(o, "    examine[2*Insns+{gap}] = w[{}:{}] != '0;", w[1] - 1, w[0]);
    }
    for d in INSNS {
        let name = camel(d.mnemonic);
        let _ = writeln!(o, "    examine[Insn{name}] = w[7:0] == OP_{};", d.mnemonic.to_uppercase());
        let bit = format!("examine[Insns+Insn{name}] = 1'b1;");
        for (i, f) in d.fields.iter().enumerate() {
            let (lsb, msb) = (d.lsb(i), d.lsb(i) + f.width - 1);
            let rule = match f.kind {
                FieldKind::Enum(list) if list.len() < 1 << f.width => {
                    format!("w[{msb}:{lsb}] > {}'d{}", f.width, list.len() - 1)
                }
                FieldKind::Count => format!("w[{msb}] && w[{}:{}] != '0", lsb + 14, lsb + 5),
                _ => continue,
            };
            let _ = writeln!(o, "    if ({rule}) {bit}  // {}", f.name);
        }
        let own = if d.unit == Unit::Sys { "4'hf".into() } else { format!("4'd{}", 1 << d.unit as u8) };
        let _ = writeln!(o, "    if (((w[11:8] | w[15:12]) & {own}) != 4'd0) {bit}");
        for rule in combination(d.mnemonic) {
            let _ = writeln!(o, "    if ({rule}) {bit}");
        }
    }
    *o += "  endfunction\n";
    *o += "  function automatic logic [Insns-1:0] legal(input logic [ExamineW-1:0] e);\n";
    *o += "    legal = e[Insns-1:0] & ~e[2*Insns-1:Insns];\n";
    for d in INSNS.iter().filter(|d| d.bits() < 256) {
        let gap = ends.iter().position(|&end| end == d.bits()).expect("invariant: it is one of the ends");
        let _ = writeln!(
            o,
            "    if (e[ExamineW-1:2*Insns+{gap}] != '0) legal[Insn{}] = 1'b0;",
            camel(d.mnemonic)
        );
    }
    *o += "  endfunction\n";
}

/// The rules that involve more than one field, in SystemVerilog.
fn combination(mnemonic: &str) -> Vec<String> {
    let slice = |n: &str, lo: u32, hi: u32| format!("w[{n}Lsb+{hi}:{n}Lsb+{lo}]");
    let whole = |n: &str| format!("w[{n}Lsb+:{n}W]");
    match mnemonic {
        "loop" => vec![format!("{} == '0", whole("LoopLen"))],
        "seta" => vec![format!("{} == '0", whole("SetaAgu"))],
        "ld" => vec![format!("{} == LD_FMT_MIXED && {} == '0", whole("LdFmt"), whole("LdWscale"))],
        "vx" => vec![
            format!("{} != VX_B_KIND_IMM && {} != '0", whole("VxBKind"), slice("VxB", 18, 27)),
            format!("{} != VX_C_KIND_IMM && {} != '0", whole("VxCKind"), slice("VxC", 18, 27)),
            format!("{} == VX_D_KIND_S && {} != VX_RED_NONE", whole("VxDKind"), whole("VxRed")),
            format!("{} != VX_OP1_PASS && {} == VX_B_KIND_NONE", whole("VxOp1"), whole("VxBKind")),
            format!("{} != VX_OP2_PASS && {} == VX_C_KIND_NONE", whole("VxOp2"), whole("VxCKind")),
        ],
        _ => vec![],
    }
}
