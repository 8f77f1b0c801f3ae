//! Dispatcher: executes scalar instructions, loops and address generators, and resolves the
//! others into commands (counts and addresses become numbers).

use flightvlm_hw::isa::{self, names::*, Insn, Op, Unit, Word};
use flightvlm_hw::machine::FaultCode;

/// A resolved command for a unit queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    pub pc: u32,
    pub wait: u8,
    pub release: u8,
    pub work: Work,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    Ld(LdWork),
    St(StWork),
    Mm(MmWork),
    Vx(VxWork),
}

impl Work {
    pub fn unit(&self) -> Unit {
        match self {
            Work::Ld(_) => Unit::Ld,
            Work::St(_) => Unit::St,
            Work::Mm(_) => Unit::Mm,
            Work::Vx(_) => Unit::Vx,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct LdWork {
    pub mode: u32,
    pub rows: u32,
    pub len: u32,
    pub dst: u32,
    pub dst_stride: u32,
    pub src: u32,
    pub src_stride: u32,
    pub sidx: u32,
    pub kbg: u32,
    pub wscale: bool,
    pub bias: bool,
}

impl LdWork {
    /// Scale groups of a weight tile.
    pub fn groups(&self) -> u32 {
        if self.kbg == 0 {
            1
        } else {
            self.len.div_ceil(self.kbg)
        }
    }
    /// SFIFO words of a weight tile.
    pub fn sfifo_words(&self) -> u32 {
        u32::from(self.bias) + if self.wscale { self.groups() } else { 0 }
    }
    /// DRAM units of a weight tile.
    pub fn tile_units(&self) -> u64 {
        u64::from(self.sfifo_words()) + u64::from(self.len) * 4
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct StWork {
    pub mode: u32,
    pub rows: u32,
    pub len: u32,
    pub src: u32,
    pub src_stride: u32,
    pub dst: u32,
    pub dst_stride: u32,
    pub chunk_stride: u32,
    pub pos: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct MmWork {
    pub rows: u32,
    pub tiles: u32,
    pub kb: u32,
    pub kbg: u32,
    pub act: u32,
    pub act_stride: u32,
    pub out: u32,
    pub out_stride: u32,
    pub sa: u32,
    pub wscale: bool,
    pub bias: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct VxOperand {
    pub kind: u32,
    /// Address, or f32 bits of an immediate.
    pub value: u32,
    pub stride: u32,
    /// How the operand's row index follows from the row: `ROW`, `ROW_MOD`, `ROW_DIV`.
    pub row: u32,
}

impl VxOperand {
    /// Row index of the operand for row `r`.
    pub fn index(&self, r: u32, rmod: u32) -> u32 {
        match (self.row, rmod) {
            (ROW, _) | (ROW_MOD, 0) => r,
            (ROW_MOD, m) => r % m,
            (_, 0) => 0,
            (_, m) => r / m,
        }
    }
    /// Rows of the operand that `rows` rows of the command touch.
    pub fn rows(&self, rows: u32, rmod: u32) -> u32 {
        match (self.row, rmod) {
            (ROW_MOD, m) if m != 0 => rows.min(m),
            _ => self.index(rows - 1, rmod) + 1,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct VxWork {
    pub rows: u32,
    pub len: u32,
    pub a: VxOperand,
    pub b: VxOperand,
    pub c: VxOperand,
    pub op1: u32,
    pub op2: u32,
    pub func: u32,
    pub red: u32,
    pub d_kind: u32,
    pub d: u32,
    pub d_stride: u32,
    pub sred: u32,
    pub causal: bool,
    pub vbase: u32,
    pub rmod: u32,
}

/// What the dispatcher does next.
pub(crate) enum Step {
    /// A scalar instruction was executed.
    Scalar,
    /// A command must be pushed; call `advance` once it is.
    Push(Command),
    /// Wait for idle, then `advance`.
    Fence,
    /// Wait for idle, then the launch is over.
    Halt,
}

#[derive(Clone, Copy, Default)]
struct Generator {
    base: u32,
    stride: [u32; 4],
    off: [u32; 4],
}

struct LoopFrame {
    first: u32,
    last: u32,
    left: u32,
}

/// Dispatcher state.
pub(crate) struct Front {
    code: Vec<Word>,
    decoded: Vec<Option<Insn>>,
    pub pc: u32,
    pub r: [u32; 32],
    agu: [Generator; 16],
    loops: Vec<LoopFrame>,
}

impl Front {
    pub fn new(code: Vec<Word>, entry: u32, args: &[u32; 16]) -> Front {
        let mut r = [0; 32];
        r[1..16].copy_from_slice(&args[1..]);
        let decoded = vec![None; code.len()];
        Front { code, decoded, pc: entry, r, agu: Default::default(), loops: Vec::new() }
    }

    fn address(&self, agu: u32, off: u32) -> u32 {
        let g = &self.agu[agu as usize];
        g.off.iter().fold(g.base, |a, o| a.wrapping_add(*o)).wrapping_add(off)
    }

    fn count32(&self, field: u32) -> u32 {
        if field & 0x8000 != 0 {
            self.r[(field & 31) as usize]
        } else {
            field
        }
    }

    fn count(&self, field: u32) -> Result<u32, FaultCode> {
        let v = self.count32(field);
        if v < 65536 {
            Ok(v)
        } else {
            Err(FaultCode::Operand)
        }
    }

    fn fetch(&mut self) -> Result<Insn, FaultCode> {
        let i = self.pc as usize;
        let word = self.code.get(i).ok_or(FaultCode::Pc)?;
        match self.decoded[i] {
            Some(insn) => Ok(insn),
            None => {
                let insn = Insn::decode(word).map_err(|_| FaultCode::Illegal)?;
                self.decoded[i] = Some(insn);
                Ok(insn)
            }
        }
    }

    /// Executes or resolves the instruction at pc.
    pub fn step(&mut self) -> Result<Step, FaultCode> {
        let insn = self.fetch()?;
        match insn.op {
            Op::Nop(_) => {}
            Op::Halt(_) => return Ok(Step::Halt),
            Op::Fence(_) => return Ok(Step::Fence),
            Op::Loop(l) => {
                self.enter_loop(&l)?;
                return Ok(Step::Scalar);
            }
            Op::Alu(a) => self.alu(&a),
            Op::Seta(s) => self.seta(&s),
            Op::Ld(_) | Op::St(_) | Op::Mm(_) | Op::Vx(_) => {
                let work = self.resolve(&insn.op)?;
                let Insn { wait, release, .. } = insn;
                return Ok(Step::Push(Command { pc: self.pc, wait, release, work }));
            }
        }
        self.advance();
        Ok(Step::Scalar)
    }

    /// Goes to the next instruction, around the innermost loop where its body ends.
    pub fn advance(&mut self) {
        let level = self.loops.len().wrapping_sub(1);
        match self.loops.last_mut() {
            Some(frame) if frame.last == self.pc => {
                frame.left -= 1;
                if frame.left > 0 {
                    self.pc = frame.first;
                    for g in &mut self.agu {
                        g.off[level] = g.off[level].wrapping_add(g.stride[level]);
                    }
                } else {
                    self.pc += 1;
                    self.loops.pop();
                    for g in &mut self.agu {
                        g.off[level] = 0;
                    }
                }
            }
            _ => self.pc += 1,
        }
    }

    fn enter_loop(&mut self, l: &isa::Loop) -> Result<(), FaultCode> {
        let last = self.pc + l.len;
        let inside = self.loops.last().is_none_or(|outer| last < outer.last);
        if last as usize >= self.code.len() || !inside || self.loops.len() == 4 {
            return Err(FaultCode::Loop);
        }
        let left = self.count32(l.count);
        if left == 0 {
            self.pc = last;
            // The skipped body may end nothing: it lies strictly inside the enclosing body.
            self.pc += 1;
            return Ok(());
        }
        let level = self.loops.len();
        for g in &mut self.agu {
            g.off[level] = 0;
        }
        self.loops.push(LoopFrame { first: self.pc + 1, last, left });
        self.pc += 1;
        Ok(())
    }

    fn alu(&mut self, a: &isa::Alu) {
        let x = self.r[a.rs as usize];
        let y = if a.use_imm != 0 { a.imm } else { self.r[a.rt as usize] };
        let v = match a.func {
            ALU_ADD => x.wrapping_add(y),
            ALU_SUB => x.wrapping_sub(y),
            ALU_MUL => x.wrapping_mul(y),
            ALU_MIN => x.min(y),
            ALU_MAX => x.max(y),
            ALU_SHL => x << (y & 31),
            ALU_SHR => x >> (y & 31),
            ALU_LT => u32::from(x < y),
            _ => u32::from(x == y),
        };
        if a.rd != 0 {
            self.r[a.rd as usize] = v;
        }
    }

    fn seta(&mut self, s: &isa::Seta) {
        let v = self.r[s.rs as usize].wrapping_add(s.imm);
        let g = &mut self.agu[s.agu as usize];
        match s.what {
            SETA_BASE => g.base = v,
            SETA_ADVANCE => g.base = g.base.wrapping_add(v),
            level => g.stride[(level - SETA_STRIDE0) as usize] = v,
        }
    }

    fn operand(&self, kind: u32, value: u32, stride: u32, row: u32) -> VxOperand {
        let value = if kind == K_IMM { value } else { self.address(value >> 28, value & 0x3_ffff) };
        VxOperand { kind, value, stride, row }
    }

    fn resolve(&self, op: &Op) -> Result<Work, FaultCode> {
        Ok(match op {
            Op::Ld(x) => Work::Ld(LdWork {
                mode: x.mode,
                rows: self.count(x.rows)?,
                len: self.count(x.len)?,
                dst: self.address(x.dst_agu, x.dst_off),
                dst_stride: x.dst_stride,
                src: self.address(x.src_agu, x.src_off),
                src_stride: x.src_stride,
                sidx: self.address(x.sidx_agu, x.sidx_off),
                kbg: x.kbg,
                wscale: x.wscale != 0,
                bias: x.bias != 0,
            }),
            Op::St(x) => Work::St(StWork {
                mode: x.mode,
                rows: self.count(x.rows)?,
                len: self.count(x.len)?,
                src: self.address(x.src_agu, x.src_off),
                src_stride: x.src_stride,
                dst: self.address(x.dst_agu, x.dst_off),
                dst_stride: x.dst_stride,
                chunk_stride: x.chunk_stride,
                pos: self.count(x.pos)?,
            }),
            Op::Mm(x) => Work::Mm(MmWork {
                rows: self.count(x.rows)?,
                tiles: self.count(x.tiles)?,
                kb: self.count(x.kb)?,
                kbg: x.kbg,
                act: self.address(x.act_agu, x.act_off),
                act_stride: x.act_stride,
                out: self.address(x.out_agu, x.out_off),
                out_stride: x.out_stride,
                sa: self.address(x.sa_agu, x.sa_off),
                wscale: x.wscale != 0,
                bias: x.bias != 0,
            }),
            Op::Vx(x) => Work::Vx(self.resolve_vx(x)?),
            other => unreachable!("{other:?} is a scalar instruction"),
        })
    }

    fn resolve_vx(&self, x: &isa::Vx) -> Result<VxWork, FaultCode> {
        let (rows, len) = (self.count(x.rows)?, self.count(x.len)?);
        let (vbase, rmod) = if x.causal | x.b_row | x.c_row != 0 {
            (self.count(isa::reg_count(isa::REG_VBASE))?, self.count(isa::reg_count(isa::REG_RMOD))?)
        } else {
            (0, 0)
        };
        let a_kind = if x.a_kind == A_S { K_S } else { K_SPAD };
        let value = self.address(x.a_agu, x.a_off);
        let a = VxOperand { kind: a_kind, value, stride: x.a_stride, row: ROW };
        Ok(VxWork {
            rows,
            len,
            a,
            b: self.operand(x.b_kind, x.b, x.b_stride, x.b_row),
            c: self.operand(x.c_kind, x.c, x.c_stride, x.c_row),
            op1: x.op1,
            op2: x.op2,
            func: x.func,
            red: x.red,
            d_kind: x.d_kind,
            d: self.address(x.d_agu, x.d_off),
            d_stride: x.d_stride,
            sred: self.address(x.sred_agu, x.sred_off),
            causal: x.causal != 0,
            vbase,
            rmod,
        })
    }
}
