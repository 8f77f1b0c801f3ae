//! Dispatcher: executes scalar instructions, loops and address generators, and resolves the
//! others into commands (counts and addresses become numbers).

use crate::tile::TileShape;
use crate::work::{Command, LdWork, MmWork, StWork, VxOperand, VxWork, Work};
use flightvlm_hw::isa::{self, names::*, Insn, Op, Word};
use flightvlm_hw::machine::FaultCode;

/// What the dispatcher does next.
pub(crate) enum Step {
    /// A scalar instruction was executed; the multiplier takes longer.
    Scalar { multiplies: bool },
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
        let mut multiplies = false;
        match insn.op {
            Op::Nop(_) => {}
            Op::Halt(_) => return Ok(Step::Halt),
            Op::Fence(_) => return Ok(Step::Fence),
            Op::Loop(l) => {
                self.enter_loop(&l)?;
                return Ok(Step::Scalar { multiplies: false });
            }
            Op::Alu(a) => {
                multiplies = a.func == ALU_MUL;
                self.alu(&a);
            }
            Op::Seta(s) => self.seta(&s),
            Op::Ld(_) | Op::St(_) | Op::Mm(_) | Op::Vx(_) => {
                let work = self.resolve(&insn.op)?;
                let Insn { wait, release, .. } = insn;
                return Ok(Step::Push(Command { pc: self.pc, wait, release, work }));
            }
        }
        self.advance();
        Ok(Step::Scalar { multiplies })
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
                shape: TileShape {
                    kb: self.count(x.len)?,
                    kbg: x.kbg,
                    wscale: x.wscale != 0,
                    bias: x.bias != 0,
                    fmt: x.fmt,
                    nm: x.nm,
                },
                first: self.count(x.first)?,
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
                first: self.count(x.first)?,
                heads: self.count(x.heads)?,
                head_stride: x.head_stride,
                head_step: x.head_step,
            }),
            Op::Mm(x) => Work::Mm(MmWork {
                rows: self.count(x.rows)?,
                tiles: self.count(x.tiles)?,
                kb: self.count(x.kb)?,
                kbg: x.kbg,
                act: self.address(x.act_agu, x.act_off),
                act_stride: self.count(x.act_stride)?,
                out: self.address(x.out_agu, x.out_off),
                out_stride: self.count(x.out_stride)?,
                sa: self.address(x.sa_agu, x.sa_off),
                sa_stride: self.count(x.sa_stride)?,
                wscale: x.wscale != 0,
                bias: x.bias != 0,
                nm: x.nm,
                first: self.count(x.first)?,
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
