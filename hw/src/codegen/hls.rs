//! C++ for the Vitis HLS kernel (`hw/hls/gen`): decoder and legality check, configurations, function
//! table, one top function a configuration with the register map in its pragmas, and the link
//! configuration.

use crate::config::{HwConfig, TILE, UNIT_BYTES};
use crate::csr::CSRS;
use crate::isa::{
    isa_hash, FieldKind, InsnDef, Unit, FIRST_LONG_OPCODE, INSNS, MIXED_BITS, NM_INDEX_UNITS,
    NM_WINDOW_WORDS, REG_RMOD, REG_VBASE,
};
use crate::kernel::link::banks;
use crate::kernel::Kernel;
use crate::numerics::{rom_segments, ROM};
use std::fmt::Write as _;

/// First register of the pointer arguments: above the register map, where software of the RTL looks
/// for nothing. A pointer takes 8 bytes; the tool aligns them to 16.
const POINTER_BASE: u32 = 0x200;
const POINTER_STEP: u32 = 0x10;

/// Memory sizes of the cases that co-simulation runs: those of the random-program generator.
pub const COSIM_MAIN_UNITS: u32 = 4096;
/// As above, of each channel.
pub const COSIM_CHANNEL_UNITS: u32 = 2048;

/// Path (relative to `hw/`) and content of the files.
pub(super) fn files() -> Vec<(String, String)> {
    let mut out = vec![
        ("hls/gen/isa.hpp".into(), isa()),
        ("hls/gen/configs.hpp".into(), configs()),
        ("hls/gen/sfu_rom.inc".into(), rom()),
        ("hls/gen/configs.tcl".into(), scripts()),
    ];
    for c in HwConfig::all() {
        out.push((format!("hls/gen/{}.hpp", top_name(&c)), call(&c)));
        out.push((format!("hls/gen/{}.cpp", top_name(&c)), top(&c)));
        out.push((format!("hls/gen/{}.cfg", top_name(&c)), link(&c)));
    }
    out
}

/// Name of a configuration's top function, and of its kernel.
pub fn top_name(c: &HwConfig) -> String {
    format!("flightvlm_hls_{}", c.name)
}

/// Channels that share an `m_axi` port. Two, so that the 32 channels of `u280` take 16 of the HBM
/// switch's ports and the other masters (main memory, stores) find one.
pub fn channels_per_port(c: &HwConfig) -> u32 {
    c.slices.min(2)
}

fn guard(name: &str, body: &str) -> String {
    format!("// {}\n#ifndef {name}\n#define {name}\n\n{body}\n#endif\n", super::HEADER)
}

fn camel(s: &str) -> String {
    s[..1].to_uppercase() + &s[1..]
}

fn isa() -> String {
    let mut o = String::from(
        "#include \"../../include/flightvlm_isa.h\"\n#include \"../src/insn.hpp\"\n\nnamespace fvlm {\n\n",
    );
    for (name, v) in [
        ("kFirstLongOpcode", FIRST_LONG_OPCODE.into()),
        ("kRegVbase", REG_VBASE),
        ("kRegRmod", REG_RMOD),
        ("kTile", TILE as u32),
        ("kUnitBytes", UNIT_BYTES as u32),
    ] {
        let _ = writeln!(o, "constexpr unsigned {name} = {v};");
    }
    for u in Unit::QUEUES.iter().chain([&Unit::Sys]) {
        let _ = writeln!(o, "constexpr unsigned kUnit{} = {};", camel(u.name()), *u as u8);
    }
    for (name, base, n) in ROM {
        let name: String = name.split('_').map(camel).collect();
        let _ = writeln!(o, "constexpr unsigned kRom{name} = {base}; // {n} entries");
    }
    o.push('\n');
    lookup(&mut o, "nm_window_words", "ABUF words that a stored word selects from", &NM_WINDOW_WORDS);
    lookup(&mut o, "nm_index_units", "memory units of indices in front of a stored word", &NM_INDEX_UNITS);
    lookup(&mut o, "mixed_bits", "weight width by format code of fmt=mixed", &MIXED_BITS);
    for d in INSNS.iter().filter(|d| !d.fields.is_empty()) {
        fields(&mut o, d);
    }
    legality(&mut o);
    o += "} // namespace fvlm\n";
    guard("FLIGHTVLM_HLS_GEN_ISA_HPP", &o)
}

/// A table over a 3-bit field as a function.
fn lookup(o: &mut String, name: &str, doc: &str, values: &[u32]) {
    let _ = writeln!(
        o,
        "// {doc}.\ninline unsigned {name}(unsigned x) {{\n#pragma HLS INLINE\n    switch (x) {{"
    );
    for (i, v) in values.iter().enumerate() {
        let _ = writeln!(o, "    case {i}: return {v};");
    }
    let _ = writeln!(o, "    default: return {};\n    }}\n}}\n", values[values.len() - 1]);
}

fn fields(o: &mut String, d: &InsnDef) {
    let (upper, name) = (d.mnemonic.to_uppercase(), camel(d.mnemonic));
    let _ = writeln!(o, "// Fields of `{}`.\nstruct {name}Fields {{", d.mnemonic);
    for f in d.fields {
        let _ = writeln!(o, "    uint32_t {}; // {}", f.name, f.doc);
    }
    let _ = writeln!(o, "    explicit {name}Fields(const Insn& w) {{\n#pragma HLS INLINE");
    for f in d.fields {
        let macros = format!("FVLM_{upper}_{}", f.name.to_uppercase());
        let _ = writeln!(o, "        {} = bits<{macros}_LSB, {macros}_WIDTH>(w);", f.name);
    }
    o.push_str("    }\n};\n\n");
}

/// `is_illegal(word)`: the same rules as `Insn::decode`.
fn legality(o: &mut String) {
    *o += "// Not a legal instruction: the rules of the decoder in hw/src/isa/codec.rs.\n";
    *o += "inline bool is_illegal(const Insn& w) {\n#pragma HLS INLINE\n";
    *o += "    bool bad = false;\n    const uint32_t masks = bits<8, 4>(w) | bits<12, 4>(w);\n";
    *o += "    switch (bits<0, 8>(w)) {\n";
    for d in INSNS {
        let upper = d.mnemonic.to_uppercase();
        let _ = writeln!(o, "    case FVLM_OP_{upper}: {{");
        if !d.fields.is_empty() {
            let _ = writeln!(o, "        const {}Fields f(w);", camel(d.mnemonic));
        }
        for f in d.fields {
            match f.kind {
                FieldKind::Enum(list) if list.len() < 1 << f.width => {
                    let _ = writeln!(o, "        bad = bad || f.{} > {};", f.name, list.len() - 1);
                }
                FieldKind::Count => {
                    let _ = writeln!(
                        o,
                        "        bad = bad || ((f.{0} & 0x8000) != 0 && (f.{0} & 0x7fe0) != 0);",
                        f.name
                    );
                }
                _ => {}
            }
        }
        if d.bits() < 256 {
            let _ = writeln!(o, "        bad = bad || any_from<{}>(w);", d.bits());
        }
        let own = if d.unit == Unit::Sys { 0xf } else { 1 << d.unit as u8 };
        let _ = writeln!(o, "        bad = bad || (masks & {own:#x}) != 0;");
        for rule in combination(d.mnemonic) {
            let _ = writeln!(o, "        bad = bad || ({rule});");
        }
        *o += "        break;\n    }\n";
    }
    *o += "    default: bad = true;\n    }\n    return bad;\n}\n\n";
}

/// The rules that involve more than one field, in C++.
fn combination(mnemonic: &str) -> &'static [&'static str] {
    match mnemonic {
        "loop" => &["f.len == 0"],
        "seta" => &["f.agu == 0"],
        "ld" => &["f.fmt == FVLM_LD_FMT_MIXED && f.wscale == 0"],
        "vx" => &[
            "f.b_kind != FVLM_VX_B_KIND_IMM && (f.b & 0x0ffc0000u) != 0",
            "f.c_kind != FVLM_VX_C_KIND_IMM && (f.c & 0x0ffc0000u) != 0",
            "f.d_kind == FVLM_VX_D_KIND_S && f.red != FVLM_VX_RED_NONE",
            "f.op1 != FVLM_VX_OP1_PASS && f.b_kind == FVLM_VX_B_KIND_NONE",
            "f.op2 != FVLM_VX_OP2_PASS && f.c_kind == FVLM_VX_C_KIND_NONE",
        ],
        _ => &[],
    }
}

fn configs() -> String {
    let mut o = String::from("#include <cstdint>\n\nnamespace fvlm {\n\n");
    for c in HwConfig::all() {
        let _ = writeln!(o, "// Configuration `{}`.\nstruct {} {{", c.name, camel(&c.name));
        let _ = writeln!(o, "    static constexpr uint32_t isa_hash = {:#010x}u;", isa_hash(&c));
        for (name, v) in [
            ("slices", c.slices),
            ("vx_words", c.vx_words),
            ("spad_words", c.spad_words),
            ("abuf_words", c.abuf_words),
            ("s_words", c.s_words),
            ("wfifo_words", c.wfifo_words),
            ("sfifo_words", c.sfifo_words),
            ("imem_words", c.imem_words),
            ("queue_depth", c.queue_depth),
            ("channels_per_port", channels_per_port(&c)),
            ("ports", c.slices / channels_per_port(&c)),
        ] {
            let _ = writeln!(o, "    static constexpr unsigned {name} = {v};");
        }
        o += "};\n\n";
    }
    o += "} // namespace fvlm\n";
    guard("FLIGHTVLM_HLS_GEN_CONFIGS_HPP", &o)
}

/// The function table as initialisers `{base, slope}`.
fn rom() -> String {
    let mut o = format!("// {}\n", super::HEADER);
    for s in rom_segments() {
        let _ = writeln!(o, "{{{}, {}}},", s.base, s.slope);
    }
    o
}

/// Registers that a C kernel has: arguments in, results out. Times have no meaning in C.
fn registers() -> Vec<(String, &'static str, u32, bool)> {
    let mut out = Vec::new();
    for c in CSRS {
        let name = c.name.to_lowercase();
        match c.name {
            "AP_CTRL" => {}
            "ARG1" => {
                for i in 0..15 {
                    out.push((format!("arg{}", i + 1), "uint32_t", c.offset + 4 * i, false));
                }
            }
            n if n == "CNT_CYCLES" || n == "CNT_STARVED_MM" => {}
            n if n.starts_with("CNT_BUSY_") || n.starts_with("CNT_WAIT_") => {}
            n if n.starts_with("CNT_") => out.push((name, "uint64_t", c.offset, true)),
            "ISA_HASH" | "STATUS" | "FAULT_PC" => out.push((name, "uint32_t", c.offset, true)),
            _ => out.push((name, "uint32_t", c.offset, false)),
        }
    }
    out
}

/// Pointer arguments, their types and bundles.
fn pointers(c: &HwConfig) -> Vec<(String, &'static str, String)> {
    let ports = c.slices / channels_per_port(c);
    let mut out = vec![("main_in".to_string(), "const fvlm::Unit*", "main".to_string())];
    for p in 0..ports {
        out.push((format!("channel_in{p}"), "const fvlm::Unit*", format!("channel{p}")));
    }
    out.push(("main_out".into(), "uint32_t*", "stores".into()));
    for p in 0..ports {
        out.push((format!("channel_out{p}"), "uint8_t*", "channel_stores".into()));
    }
    out
}

/// Parameters of the top function.
fn parameters(c: &HwConfig) -> Vec<String> {
    let mut args: Vec<String> = pointers(c).iter().map(|(n, t, _)| format!("    {t} {n}")).collect();
    for (n, t, _, output) in registers() {
        args.push(format!("    {t}{} {n}", if output { "*" } else { "" }));
    }
    args
}

/// Prototype, and a call with ports and registers by name for test benches.
fn call(c: &HwConfig) -> String {
    let (name, ports) = (top_name(c), c.slices / channels_per_port(c));
    let mut o = String::from("#include \"../src/kernel.hpp\"\n#include \"configs.hpp\"\n\n");
    let _ = writeln!(o, "extern \"C\" void {name}(\n{});\n", parameters(c).join(",\n"));
    let config = format!("fvlm::{}", camel(&c.name));
    o += "namespace fvlm {\n\n";
    let _ = writeln!(
        o,
        "inline void call_top(const Ports<{config}>& ports, const Arguments& a, Results& r) {{\n    {name}("
    );
    let each = |array: &str| (0..ports).map(|p| format!("ports.{array}[{p}]")).collect::<Vec<_>>();
    let mut values = vec!["ports.main_in".to_string()];
    values.extend(each("channel_in"));
    values.push("ports.main_out".into());
    values.extend(each("channel_out"));
    values.extend(registers().iter().map(|(n, _, _, output)| match n.strip_prefix("arg") {
        Some(i) => format!("a.args[{i}]"),
        None if *output => format!("&r.{n}"),
        None => format!("a.{n}"),
    }));
    let _ = writeln!(o, "        {});\n}}\n\n}} // namespace fvlm", values.join(", "));
    guard(&format!("FLIGHTVLM_HLS_GEN_{}_HPP", c.name.to_uppercase()), &o)
}

fn top(c: &HwConfig) -> String {
    let (name, ports) = (top_name(c), c.slices / channels_per_port(c));
    let (registers, pointers) = (registers(), pointers(c));
    let mut o = format!(
        "// {}\n// Top function of configuration `{}`.\n#include \"{name}.hpp\"\n\n",
        super::HEADER,
        c.name
    );
    let args = parameters(c);
    let _ = writeln!(o, "extern \"C\" void {name}(\n{}) {{", args.join(",\n"));
    o += "// Reads are bursts of 16 beats (1 KiB, the RTL's), 16 in flight to cover the memory's latency; one\n\
          // bundle a port. Stores are rare words and, to the channels, bytes: one narrow bundle with strobes for all\n\
          // of each. The depths are those of the cases that co-simulation runs.\n";
    for (i, (n, kind, bundle)) in pointers.iter().enumerate() {
        let offset = POINTER_BASE + POINTER_STEP * i as u32;
        let units =
            if n.starts_with("main") { COSIM_MAIN_UNITS } else { COSIM_CHANNEL_UNITS * channels_per_port(c) };
        let writes = |depth| format!("num_write_outstanding=16 max_write_burst_length=16 depth={depth}");
        let burst = match *kind {
            "uint32_t*" => writes(16 * units),
            "uint8_t*" => writes(64 * units),
            _ => format!("num_read_outstanding=16 max_read_burst_length=16 depth={units}"),
        };
        let _ = writeln!(
            o,
            "#pragma HLS INTERFACE mode=m_axi port={n} offset=slave bundle={bundle} latency=64 {burst}\n\
             #pragma HLS INTERFACE mode=s_axilite port={n} bundle=control offset={offset:#05x}"
        );
    }
    o += "// Registers lie where the register map has them, without valid bits between them.\n";
    for (n, _, offset, output) in &registers {
        if *output {
            let _ = writeln!(o, "#pragma HLS INTERFACE mode=ap_none port={n} register");
        }
        let _ =
            writeln!(o, "#pragma HLS INTERFACE mode=s_axilite port={n} bundle=control offset={offset:#05x}");
    }
    o += "#pragma HLS INTERFACE mode=s_axilite port=return bundle=control\n";
    let config = format!("fvlm::{}", camel(&c.name));
    let list = |prefix: &str| (0..ports).map(|p| format!("{prefix}{p}")).collect::<Vec<_>>().join(", ");
    let _ = writeln!(o, "    // Memories on the chip keep their contents from launch to launch; zero after configuration.\n    static fvlm::State<{config}> state;");
    let _ = writeln!(
        o,
        "    const fvlm::Ports<{config}> ports = {{main_in, main_out, {{{}}}, {{{}}}}};",
        list("channel_in"),
        list("channel_out")
    );
    o += "#pragma HLS ARRAY_PARTITION variable=ports.channel_in complete\n#pragma HLS ARRAY_PARTITION variable=ports.channel_out complete\n";
    o += "    fvlm::Arguments a;\n";
    for (n, _, _, output) in registers.iter().filter(|r| !r.3) {
        debug_assert!(!output);
        match n.strip_prefix("arg") {
            Some(i) => _ = writeln!(o, "    a.args[{i}] = {n};"),
            None => _ = writeln!(o, "    a.{n} = {n};"),
        }
    }
    let _ = writeln!(
        o,
        "    fvlm::Results r;\n    fvlm::NoObserver nobody;\n    fvlm::launch(state, ports, a, r, nobody);"
    );
    for (n, ..) in registers.iter().filter(|r| r.3) {
        let _ = writeln!(o, "    *{n} = r.{n};");
    }
    o += "}\n";
    o
}

/// What the build script must know of the configurations.
fn scripts() -> String {
    let mut o = format!("# {}\nset configs [dict create]\n", super::HEADER);
    for c in HwConfig::all() {
        let period_ns = 1000.0 / f64::from(c.clock_mhz);
        let _ = writeln!(
            o,
            "dict set configs {} {{top {} class {} part {} period_ns {period_ns:.3}}}",
            c.name,
            top_name(&c),
            camel(&c.name),
            kernel(&c).board.part
        );
    }
    o
}

/// Where the ports go: to the memories that the RTL's kernel description gives them.
fn link(c: &HwConfig) -> String {
    let (name, per_port) = (top_name(c), channels_per_port(c) as usize);
    let kernel = kernel(c);
    let mut o = format!("# {}\n# v++ --link --config: where the kernel's ports go.\n", super::HEADER);
    let _ = writeln!(o, "platform={}\nkernel_frequency={}\n", kernel.board.platform, c.clock_mhz);
    let _ = writeln!(o, "[connectivity]\nnk={name}:1:{name}_1");
    let (main, channels) = kernel.ports.split_at(1);
    let mut port = |suffix: &str, memories: std::ops::Range<usize>| {
        for direction in ["in", "out"] {
            let (argument, suffix) = suffix.split_once('*').expect("invariant: `channel_*0`");
            let banks = banks(&kernel, memories.clone());
            let _ = writeln!(o, "sp={name}_1.{argument}{direction}{suffix}:{banks}");
        }
    };
    port("main_*", main[0].memories.clone());
    for (p, group) in channels.chunks(per_port).enumerate() {
        port(&format!("channel_*{p}"), group[0].memories.start..group[group.len() - 1].memories.end);
    }
    o
}

fn kernel(c: &HwConfig) -> Kernel {
    Kernel::of(c).expect("invariant: every named configuration has a card")
}
