//! THE instruction table.
//!
//! Each entry: struct name, opcode, mnemonic, unit, fields in order from bit 16 upward (bits 7:0
//! opcode, 11:8 wait mask, 15:12 release mask). Bits past the last field are reserved, zero.

/// Who executes an instruction. The number is the unit's index in token masks and fault records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// Loads: DRAM to on-chip memories.
    Ld = 0,
    /// Stores: on-chip memories to DRAM.
    St = 1,
    /// Matrix unit.
    Mm = 2,
    /// Vector unit.
    Vx = 3,
    /// Dispatcher (scalar, loops, address generators).
    Sys = 4,
}

impl Unit {
    /// The four queues, in index order.
    pub const QUEUES: [Unit; 4] = [Unit::Ld, Unit::St, Unit::Mm, Unit::Vx];
    /// Lower-case name as reports print it.
    pub fn name(self) -> &'static str {
        ["ld", "st", "mm", "vx", "sys"][self as usize]
    }
}

/// How a field is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Unsigned number.
    Uint,
    /// Count operand: immediate (15 bits) or, with bit 15 set, scalar register (bits 4:0).
    Count,
    /// Address-generator index.
    Agu,
    /// Unsigned offset that is added to the address generator of the field before it.
    Off,
    /// Scalar register index.
    Reg,
    /// 32-bit immediate.
    Imm,
    /// One of the named values; others are illegal.
    Enum(&'static [&'static str]),
    /// One bit.
    Flag,
    /// Vector operand: by the kind field before it, an address {agu 31:28, zero 27:18, off 17:0}
    /// or an f32 immediate.
    Operand,
}

/// One field of an instruction.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Name, as in assembly text and in the RTL package.
    pub name: &'static str,
    /// Width in bits, 1..=32.
    pub width: u32,
    /// Interpretation.
    pub kind: FieldKind,
    /// One line for the manual.
    pub doc: &'static str,
}

/// One instruction.
#[derive(Debug, Clone, Copy)]
pub struct InsnDef {
    /// Mnemonic.
    pub mnemonic: &'static str,
    /// Bits 7:0.
    pub opcode: u8,
    /// Executing unit.
    pub unit: Unit,
    /// Fields from bit 16 upward.
    pub fields: &'static [Field],
    /// What it does, for the manual.
    pub doc: &'static str,
}

/// First bit of the first field.
pub const FIRST_FIELD_LSB: u32 = 16;
/// Opcodes from here on are stored in 32 bytes, lower ones (the dispatcher's own) in 16.
pub const FIRST_LONG_OPCODE: u8 = 0x10;

/// ABUF words that one stored word of 16 inputs spans: the window that the input multiplexer of
/// the array selects from, by `nm` value.
pub const NM_WINDOW_WORDS: [u32; 5] = [1, 2, 2, 4, 8];
/// DRAM units of indices in front of each stored word, by `nm` value.
pub const NM_INDEX_UNITS: [u32; 5] = [0, 1, 1, 2, 2];
/// Weight widths by format code of `fmt=mixed` (codes 6 and 7 read as 8 bits).
pub const MIXED_BITS: [u32; 8] = [8, 4, 2, 3, 5, 6, 8, 8];

impl InsnDef {
    /// Least significant bit of field `index`.
    pub fn lsb(&self, index: usize) -> u32 {
        FIRST_FIELD_LSB + self.fields[..index].iter().map(|f| f.width).sum::<u32>()
    }
    /// Bits used, header included.
    pub fn bits(&self) -> u32 {
        self.lsb(self.fields.len())
    }
}

/// Builds a count operand that reads scalar register `r`.
pub const fn reg_count(r: u32) -> u32 {
    assert!(r < 32);
    0x8000 | r
}
/// Builds an immediate count operand.
pub const fn imm_count(n: u32) -> u32 {
    assert!(n < 0x8000);
    n
}

/// Scalar register that holds the causal mask's base (`vbase`), read by `vx causal=1`.
pub const REG_VBASE: u32 = 30;
/// Scalar register that holds the causal mask's row period (`rmod`, 0 = none).
pub const REG_RMOD: u32 = 31;

macro_rules! kind {
    (uint) => { FieldKind::Uint };
    (count) => { FieldKind::Count };
    (agu) => { FieldKind::Agu };
    (off) => { FieldKind::Off };
    (reg) => { FieldKind::Reg };
    (imm) => { FieldKind::Imm };
    (flag) => { FieldKind::Flag };
    (operand) => { FieldKind::Operand };
    ([$($v:literal)*]) => { FieldKind::Enum(&[$($v),*]) };
}

macro_rules! insns {
    ($( $(#[doc = $doc:literal])* $name:ident = $opcode:literal $mnemonic:literal $unit:ident
        { $( $f:ident $w:literal $k:tt $fdoc:literal ),* $(,)? } )*) => {
        /// Every instruction, in opcode order.
        pub const INSNS: &[InsnDef] = &[$( InsnDef {
            mnemonic: $mnemonic, opcode: $opcode, unit: Unit::$unit,
            fields: &[$( Field { name: stringify!($f), width: $w, kind: kind!($k), doc: $fdoc } ),*],
            doc: concat!($($doc, "\n"),*),
        } ),*];
        $(
            $(#[doc = $doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
            pub struct $name { $( #[doc = $fdoc] pub $f: u32, )* }
        )*
        /// A decoded instruction without its token masks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Op { $( #[doc = $mnemonic] $name($name), )* }
        impl Op {
            /// Table entry.
            pub fn def(&self) -> &'static InsnDef {
                let opcode: u8 = match self { $( Op::$name(_) => $opcode, )* };
                INSNS.iter().find(|d| d.opcode == opcode).expect("invariant: every Op is in the table")
            }
            /// Field values in table order.
            pub fn values(&self) -> Vec<u32> {
                match self { $( Op::$name(_x) => vec![$( _x.$f ),*], )* }
            }
            /// Inverse of `values`; `None` for an unknown opcode.
            pub fn from_values(opcode: u8, values: &[u32]) -> Option<Op> {
                let mut _it = values.iter().copied();
                match opcode {
                    $( $opcode => Some(Op::$name($name { $( $f: _it.next()?, )* })), )*
                    _ => None,
                }
            }
        }
        $( impl From<$name> for Op { fn from(x: $name) -> Op { Op::$name(x) } } )*
    };
}

insns! {
    /// Does nothing.
    Nop = 0x01 "nop" Sys {}
    /// Waits until all queues are empty and all units idle, then ends the launch.
    Halt = 0x02 "halt" Sys {}
    /// Waits until all queues are empty and all units idle.
    Fence = 0x03 "fence" Sys {}
    /// Repeats the next `len` instructions `count` times (0 skips them). Four levels nest.
    Loop = 0x04 "loop" Sys {
        count 16 count "iterations",
        len 12 uint "instructions in the body, at least 1",
    }
    /// Scalar arithmetic, 32-bit wrapping: rd = fn(R[rs], use_imm ? imm : R[rt]).
    Alu = 0x05 "alu" Sys {
        func 4 ["add" "sub" "mul" "min" "max" "shl" "shr" "lt" "eq"]
            "operation; min, max, lt unsigned; shifts by the low 5 bits; lt, eq give 0 or 1",
        rd 5 reg "destination; R0 ignores writes",
        rs 5 reg "first operand",
        use_imm 1 flag "second operand is imm",
        rt 5 reg "second operand",
        imm 32 imm "immediate",
    }
    /// Sets a part of address generator `agu` to R[rs] + imm.
    Seta = 0x06 "seta" Sys {
        agu 4 agu "address generator, not 0",
        what 3 ["base" "stride0" "stride1" "stride2" "stride3" "advance"]
            "base, stride of a loop level, or advance (base += value)",
        rs 5 reg "register part of the value",
        imm 32 imm "immediate part of the value",
    }
    /// Loads: rows and scalars from main memory, weight tiles from the channels.
    Ld = 0x10 "ld" Ld {
        mode 3 ["rows" "gather" "scalars" "weight"] "what is loaded where",
        rows 16 count "rows; n-tiles in mode weight",
        len 16 count "64-byte units a row; words (16 outputs x 16 stored inputs) a tile in mode weight",
        dst_agu 4 agu "destination address generator",
        dst_off 18 off "destination offset (SPAD word or S index)",
        dst_stride 12 uint "destination step per row",
        src_agu 4 agu "source address generator (64-byte units; mode weight: within each channel)",
        src_off 28 off "source offset",
        src_stride 32 uint "source step per row (mode weight: per round of slices), 64-byte units",
        sidx_agu 4 agu "gather: address generator of the first index in S",
        sidx_off 18 off "gather: offset of the first index in S",
        kbg 8 uint "weight: words per scale group, 0 = all",
        wscale 1 flag "weight: each group has a scale",
        bias 1 flag "weight: a bias unit precedes each tile",
        fmt 3 ["w8k" "w8n" "w4k" "w4n" "mixed"] "weight: how words are stored",
        nm 3 ["dense" "s2of4" "s8of16" "s4of16" "s2of16"] "weight: N:M sparsity",
        first 16 count "weight: slot of the first tile; slot modulo slices is the slice",
    }
    /// Stores: rows and scalars to main memory, keys and values to the channels.
    St = 0x11 "st" St {
        mode 3 ["rows" "kv_k" "kv_v" "scalar" "kv_scale" "kv_k4" "kv_v4"] "what is stored how",
        rows 16 count "rows",
        len 16 count "64-byte units (rows) or 16-element chunks (kv_*) a row",
        src_agu 4 agu "source address generator",
        src_off 18 off "source offset (SPAD word, ABUF word or S index)",
        src_stride 12 uint "source step per row",
        dst_agu 4 agu "destination address generator (64-byte units; kv_*: within each channel)",
        dst_off 28 off "destination offset",
        dst_stride 32 uint "destination step per row (rows), per 16 positions (scalar, kv_v*) or per round (kv_k*, kv_scale)",
        chunk_stride 24 uint "destination step per chunk (kv_k*) or per round (kv_v*)",
        pos 16 count "position of the first row (all but rows)",
        first 16 count "kv_*: slot of block 0 (kv_k*, kv_scale) or of chunk 0 (kv_v*)",
        heads 16 count "repetitions (all but rows)",
        head_stride 12 uint "source step per repetition",
        head_step 16 uint "destination step per repetition: slots (kv_*) or units (scalar)",
    }
    /// Matrix multiplication: rows of ABUF times weight tiles from the FIFO, dequantised to SPAD.
    Mm = 0x12 "mm" Mm {
        rows 16 count "activation rows",
        tiles 16 count "tiles of 16 outputs",
        kb 16 count "words a tile: 16 outputs x 16 stored inputs each",
        kbg 8 uint "words per scale group, 0 = all",
        act_agu 4 agu "activations: address generator",
        act_off 18 off "activations: ABUF word",
        act_stride 16 count "activations: words per row",
        out_agu 4 agu "output: address generator",
        out_off 18 off "output: SPAD word",
        out_stride 16 count "output: words per row",
        sa_agu 4 agu "row scales: address generator",
        sa_off 18 off "row scales: first index in S",
        sa_stride 16 count "row scales: step per row",
        wscale 1 flag "weight scales are in the FIFO",
        bias 1 flag "a bias is in the FIFO",
        nm 3 ["dense" "s2of4" "s8of16" "s4of16" "s2of16"] "N:M sparsity of the tiles",
        first 16 count "slot of the first tile, as in the load",
    }
    /// Vector operation over rows: y = func(op2(op1(a, b), c)), stored and/or reduced.
    Vx = 0x13 "vx" Vx {
        rows 16 count "rows",
        len 16 count "elements a row",
        a_kind 1 ["spad" "s"] "kind of operand a",
        a_agu 4 agu "operand a: address generator",
        a_off 18 off "operand a: SPAD word or S index",
        a_stride 12 uint "operand a: step per row",
        b_kind 2 ["none" "spad" "s" "imm"] "kind of operand b",
        b 32 operand "operand b",
        b_stride 12 uint "operand b: step per row",
        c_kind 2 ["none" "spad" "s" "imm"] "kind of operand c",
        c 32 operand "operand c",
        c_stride 12 uint "operand c: step per row",
        op1 3 ["pass" "add" "sub" "mul" "max"] "first operation",
        op2 3 ["pass" "add" "sub" "mul" "max"] "second operation",
        func 4 ["none" "exp2" "recip" "rsqrt" "gelu" "gelu_tanh" "silu"] "table function",
        red 3 ["none" "sum" "sumsq" "max" "absmax" "argmax"] "reduction of each row into S",
        d_kind 2 ["none" "spad" "abuf" "s"] "destination; abuf quantises to int8",
        d_agu 4 agu "destination: address generator",
        d_off 18 off "destination: word or S index",
        d_stride 12 uint "destination: step per row",
        sred_agu 4 agu "reduction result: address generator",
        sred_off 14 off "reduction result: first index in S",
        causal 1 flag "row r uses only its first vbase + (r mod rmod) elements (R30, R31)",
        b_row 2 ["row" "mod" "div"] "row index of operand b: r, r mod rmod, r div rmod",
        c_row 2 ["row" "mod" "div"] "row index of operand c",
    }
}

/// Positions in the enum lists above, for code that builds or interprets instructions.
pub mod names {
    #![allow(missing_docs, reason = "the names repeat the table's enum lists")]
    pub const LD_ROWS: u32 = 0;
    pub const LD_GATHER: u32 = 1;
    pub const LD_SCALARS: u32 = 2;
    pub const LD_WEIGHT: u32 = 3;
    pub const ST_ROWS: u32 = 0;
    pub const ST_KV_K: u32 = 1;
    pub const ST_KV_V: u32 = 2;
    pub const ST_SCALAR: u32 = 3;
    pub const ST_KV_SCALE: u32 = 4;
    pub const ST_KV_K4: u32 = 5;
    pub const ST_KV_V4: u32 = 6;
    pub const FMT_W8K: u32 = 0;
    pub const FMT_W8N: u32 = 1;
    pub const FMT_W4K: u32 = 2;
    pub const FMT_W4N: u32 = 3;
    pub const FMT_MIXED: u32 = 4;
    pub const NM_DENSE: u32 = 0;
    pub const NM_2OF4: u32 = 1;
    pub const NM_8OF16: u32 = 2;
    pub const NM_4OF16: u32 = 3;
    pub const NM_2OF16: u32 = 4;
    pub const ALU_ADD: u32 = 0;
    pub const ALU_SUB: u32 = 1;
    pub const ALU_MUL: u32 = 2;
    pub const ALU_MIN: u32 = 3;
    pub const ALU_MAX: u32 = 4;
    pub const ALU_SHL: u32 = 5;
    pub const ALU_SHR: u32 = 6;
    pub const ALU_LT: u32 = 7;
    pub const ALU_EQ: u32 = 8;
    pub const SETA_BASE: u32 = 0;
    pub const SETA_STRIDE0: u32 = 1;
    pub const SETA_ADVANCE: u32 = 5;
    pub const A_SPAD: u32 = 0;
    pub const A_S: u32 = 1;
    pub const K_NONE: u32 = 0;
    pub const K_SPAD: u32 = 1;
    pub const K_S: u32 = 2;
    pub const K_IMM: u32 = 3;
    pub const OP_PASS: u32 = 0;
    pub const OP_ADD: u32 = 1;
    pub const OP_SUB: u32 = 2;
    pub const OP_MUL: u32 = 3;
    pub const OP_MAX: u32 = 4;
    pub const F_NONE: u32 = 0;
    pub const F_EXP2: u32 = 1;
    pub const F_RECIP: u32 = 2;
    pub const F_RSQRT: u32 = 3;
    pub const F_GELU: u32 = 4;
    pub const F_GELU_TANH: u32 = 5;
    pub const F_SILU: u32 = 6;
    pub const R_NONE: u32 = 0;
    pub const R_SUM: u32 = 1;
    pub const R_SUMSQ: u32 = 2;
    pub const R_MAX: u32 = 3;
    pub const R_ABSMAX: u32 = 4;
    pub const R_ARGMAX: u32 = 5;
    pub const ROW: u32 = 0;
    pub const ROW_MOD: u32 = 1;
    pub const ROW_DIV: u32 = 2;
    pub const D_NONE: u32 = 0;
    pub const D_SPAD: u32 = 1;
    pub const D_ABUF: u32 = 2;
    pub const D_S: u32 = 3;
}

/// An instruction with its token masks (bit i = unit i).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Units whose token this instruction consumes before it starts.
    pub wait: u8,
    /// Units that get a token when this instruction completes.
    pub release: u8,
    /// Operation and fields.
    pub op: Op,
}

impl<T: Into<Op>> From<T> for Insn {
    fn from(op: T) -> Insn {
        Insn { wait: 0, release: 0, op: op.into() }
    }
}
