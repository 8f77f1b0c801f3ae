//! Instruction builder: loops, marks for fault reports, and short forms of the vector unit.

use flightvlm_hw::isa::{self, imm_count, names::*, reg_count, Insn, Op};

/// Token masks by unit.
pub const LD: u8 = 1;
/// ST's bit.
pub const ST: u8 = 2;
/// MM's bit.
pub const MM: u8 = 4;
/// VX's bit.
pub const VX: u8 = 8;

/// A scalar register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reg(pub u32);

/// A count: immediate or register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Immediate.
    Imm(u32),
    /// Register.
    Reg(Reg),
}

impl From<u32> for Count {
    fn from(n: u32) -> Count {
        Count::Imm(n)
    }
}
impl From<Reg> for Count {
    fn from(r: Reg) -> Count {
        Count::Reg(r)
    }
}

impl Count {
    /// The instruction field.
    pub fn field(self) -> u32 {
        match self {
            Count::Imm(n) => imm_count(n),
            Count::Reg(r) => reg_count(r.0),
        }
    }
}

/// An address operand: generator (0 = absolute) and offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Generator.
    pub agu: u32,
    /// Offset.
    pub off: u32,
}

impl At {
    /// `words` further.
    pub const fn plus(self, words: u32) -> At {
        At { agu: self.agu, off: self.off + words }
    }
}

/// Absolute address.
pub const fn abs(off: u32) -> At {
    At { agu: 0, off }
}
/// Address of a generator.
pub const fn agu(agu: u32) -> At {
    At { agu, off: 0 }
}

/// Code under construction.
#[derive(Debug, Default)]
pub struct Asm {
    /// Instructions so far.
    pub insns: Vec<Insn>,
    /// From which instruction on the code belongs to which part of the model.
    pub marks: Vec<(u32, String)>,
    /// Length of `insns` when the last loop was closed.
    loop_end: Option<usize>,
}

impl Asm {
    /// Names the part of the model that the following instructions compute.
    pub fn mark(&mut self, what: impl Into<String>) {
        let at = self.insns.len() as u32;
        self.marks.retain(|(a, _)| *a != at);
        self.marks.push((at, what.into()));
    }

    /// Appends an instruction.
    pub fn emit(&mut self, op: impl Into<Op>) {
        self.sync(op, 0, 0);
    }

    /// Appends an instruction with token masks.
    pub fn sync(&mut self, op: impl Into<Op>, wait: u8, release: u8) {
        self.insns.push(Insn { wait, release, op: op.into() });
    }

    /// A loop; bodies never end on the same instruction (a nop separates them).
    pub fn repeat(&mut self, count: impl Into<Count>, body: impl FnOnce(&mut Asm)) {
        let at = self.insns.len();
        self.emit(isa::Loop { count: count.into().field(), len: 0 });
        body(self);
        if self.loop_end == Some(self.insns.len()) || self.insns.len() == at + 1 {
            self.emit(isa::Nop {});
        }
        let len = (self.insns.len() - at - 1) as u32;
        self.insns[at].op = isa::Loop { count: count_of(&self.insns[at]), len }.into();
        self.loop_end = Some(self.insns.len());
    }

    /// rd = fn(rs, imm).
    pub fn alu_imm(&mut self, func: u32, rd: Reg, rs: Reg, imm: u32) {
        self.emit(isa::Alu { func, rd: rd.0, rs: rs.0, use_imm: 1, rt: 0, imm });
    }
    /// rd = fn(rs, rt).
    pub fn alu(&mut self, func: u32, rd: Reg, rs: Reg, rt: Reg) {
        self.emit(isa::Alu { func, rd: rd.0, rs: rs.0, use_imm: 0, rt: rt.0, imm: 0 });
    }
    /// rd = imm.
    pub fn set(&mut self, rd: Reg, imm: u32) {
        self.alu_imm(ALU_ADD, rd, Reg(0), imm);
    }
    /// rd = rs.
    pub fn copy(&mut self, rd: Reg, rs: Reg) {
        self.alu_imm(ALU_ADD, rd, rs, 0);
    }

    /// Generator base = R[rs] + imm.
    pub fn base(&mut self, agu: u32, rs: Reg, imm: u32) {
        self.emit(isa::Seta { agu, what: SETA_BASE, rs: rs.0, imm });
    }
    /// Generator stride of a loop level = R[rs] + imm.
    pub fn stride(&mut self, agu: u32, level: u32, rs: Reg, imm: u32) {
        self.emit(isa::Seta { agu, what: SETA_STRIDE0 + level, rs: rs.0, imm });
    }

    /// Does nothing in the LD queue but pass tokens.
    pub fn ld_sync(&mut self, wait: u8, release: u8) {
        self.sync(isa::Ld::default(), wait, release);
    }
    /// The same in the ST queue.
    pub fn st_sync(&mut self, wait: u8, release: u8) {
        self.sync(isa::St::default(), wait, release);
    }
    /// The same in the MM queue.
    pub fn mm_sync(&mut self, wait: u8, release: u8) {
        self.sync(isa::Mm::default(), wait, release);
    }
    /// The same in the VX queue.
    pub fn vx_sync(&mut self, wait: u8, release: u8) {
        self.sync(isa::Vx::default(), wait, release);
    }
}

fn count_of(insn: &Insn) -> u32 {
    match insn.op {
        Op::Loop(l) => l.count,
        _ => unreachable!("invariant: repeat looks at its own loop"),
    }
}

/// An address as the field of a vector operand.
fn operand(at: At) -> u32 {
    at.agu << 28 | at.off
}

/// Builds one vector instruction.
#[derive(Debug, Clone, Copy)]
pub struct Vec1(isa::Vx);

/// Starts a vector instruction over `rows` × `len`.
pub fn vx(rows: impl Into<Count>, len: impl Into<Count>) -> Vec1 {
    Vec1(isa::Vx { rows: rows.into().field(), len: len.into().field(), ..isa::Vx::default() })
}

impl Vec1 {
    /// Operand a from SPAD.
    pub fn a(mut self, at: At, stride: u32) -> Vec1 {
        (self.0.a_kind, self.0.a_agu, self.0.a_off, self.0.a_stride) = (A_SPAD, at.agu, at.off, stride);
        self
    }
    /// Operand a from S, one scalar a row.
    pub fn a_s(self, at: At) -> Vec1 {
        self.a_s_every(at, 1)
    }
    /// Operand a from S, `stride` scalars from row to row.
    pub fn a_s_every(mut self, at: At, stride: u32) -> Vec1 {
        (self.0.a_kind, self.0.a_agu, self.0.a_off, self.0.a_stride) = (A_S, at.agu, at.off, stride);
        self
    }
    fn op(mut self, op: u32, kind: u32, value: u32, stride: u32, row: u32) -> Vec1 {
        let x = &mut self.0;
        if x.op1 == OP_PASS {
            (x.op1, x.b_kind, x.b, x.b_stride, x.b_row) = (op, kind, value, stride, row);
        } else {
            assert_eq!(x.op2, OP_PASS, "a vector instruction has two operations");
            (x.op2, x.c_kind, x.c, x.c_stride, x.c_row) = (op, kind, value, stride, row);
        }
        self
    }
    /// Next operation with an immediate.
    pub fn imm(self, op: u32, x: f32) -> Vec1 {
        self.op(op, K_IMM, x.to_bits(), 0, ROW)
    }
    /// Next operation with one scalar of S per row.
    pub fn s(self, op: u32, at: At) -> Vec1 {
        self.s_every(op, at, 1)
    }
    /// The same, `stride` scalars from row to row.
    pub fn s_every(self, op: u32, at: At, stride: u32) -> Vec1 {
        self.op(op, K_S, operand(at), stride, ROW)
    }
    /// Next operation with SPAD words; `row` says which row of them.
    pub fn spad(self, op: u32, at: At, stride: u32, row: u32) -> Vec1 {
        self.op(op, K_SPAD, operand(at), stride, row)
    }
    /// Table function.
    pub fn func(mut self, func: u32) -> Vec1 {
        self.0.func = func;
        self
    }
    /// Reduction of each row into S.
    pub fn red(mut self, red: u32, at: At) -> Vec1 {
        (self.0.red, self.0.sred_agu, self.0.sred_off) = (red, at.agu, at.off);
        self
    }
    fn to(mut self, kind: u32, at: At, stride: u32) -> Vec1 {
        (self.0.d_kind, self.0.d_agu, self.0.d_off, self.0.d_stride) = (kind, at.agu, at.off, stride);
        self
    }
    /// Result to SPAD.
    pub fn to_spad(self, at: At, stride: u32) -> Vec1 {
        self.to(D_SPAD, at, stride)
    }
    /// Result to ABUF, quantised.
    pub fn to_abuf(self, at: At, stride: u32) -> Vec1 {
        self.to(D_ABUF, at, stride)
    }
    /// Result to S.
    pub fn to_s(self, at: At) -> Vec1 {
        self.to_s_every(at, 1)
    }
    /// Result to S, `stride` scalars from row to row.
    pub fn to_s_every(self, at: At, stride: u32) -> Vec1 {
        self.to(D_S, at, stride)
    }
    /// Causal mask.
    pub fn causal(mut self, on: bool) -> Vec1 {
        self.0.causal = u32::from(on);
        self
    }
    /// Appends it.
    pub fn emit(self, asm: &mut Asm) {
        asm.emit(self.0);
    }
    /// Appends it with token masks.
    pub fn sync(self, asm: &mut Asm, wait: u8, release: u8) {
        asm.sync(self.0, wait, release);
    }
}
