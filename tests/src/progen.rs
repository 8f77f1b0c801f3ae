//! Random programs whose result does not depend on timing: whenever a command touches memory that
//! a command of another unit still uses, the generator puts a fence or a token between them. One
//! in five ends with a deliberate fault.

use flightvlm_hw::isa::{self, imm_count, names::*, reg_count, Insn, Op, Unit, Word, INSNS};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A program with its memory.
pub struct Case {
    /// Seed that makes it again.
    pub seed: u64,
    /// Instructions.
    pub code: Vec<Word>,
    /// Whole DRAM, code included.
    pub dram: Vec<u8>,
    /// Where the code is.
    pub code_base_units: u32,
    /// R1..R15.
    pub args: [u32; 16],
    /// Watchdog.
    pub watchdog_cycles: u32,
    /// What was made to go wrong.
    pub fault: Option<&'static str>,
}

const DRAM_UNITS: u32 = 4096;
const CODE_UNITS: u32 = 512;
/// Words of each on-chip memory that programs use.
const CHIP_WORDS: u32 = 256;
const MAX_CODE: usize = 400;

/// A range of a memory that a command reads or writes.
#[derive(Clone, Copy)]
struct Touch {
    memory: Memory,
    from: u32,
    to: u32,
    writes: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Memory {
    Dram,
    Spad,
    Abuf,
    S,
}

struct Gen {
    rng: ChaCha8Rng,
    code: Vec<Insn>,
    /// What commands since the last fence touched, by unit.
    open: Vec<(Unit, Touch)>,
    depth: u32,
    next_count: u32,
}

/// Makes the program of a seed.
pub fn case(seed: u64) -> Case {
    let mut g = Gen {
        rng: ChaCha8Rng::seed_from_u64(seed),
        code: Vec::new(),
        open: Vec::new(),
        depth: 0,
        next_count: 0,
    };
    let args = std::array::from_fn(|_| g.rng.random_range(0..20));
    g.prologue();
    let blocks = g.rng.random_range(1..12);
    for _ in 0..blocks {
        g.block();
    }
    let mut watchdog_cycles = 20_000;
    let fault = if g.rng.random_range(0..5) == 0 { Some(g.fault()) } else { None };
    if fault == Some("deadlock") {
        watchdog_cycles = 2_000;
    }
    if fault != Some("end of code") {
        g.emit(isa::Halt {});
    }
    let mut code: Vec<Word> = g.code.iter().map(Insn::encode).collect();
    if fault == Some("illegal word") {
        let at = code.len() - 1;
        code.insert(at, g.illegal());
    }
    let mut dram = vec![0u8; DRAM_UNITS as usize * 64];
    g.rng.fill_bytes(&mut dram);
    // Half the floats in a range where arithmetic does not saturate at once.
    for unit in dram.chunks_exact_mut(4).skip(CODE_UNITS as usize * 16) {
        if g.rng.random_range(0..8) != 0 {
            unit[3] = if unit[3] & 0x80 != 0 { 0xbf } else { 0x3f };
        }
    }
    let code_base_units = 1;
    for (i, w) in code.iter().enumerate() {
        let at = code_base_units as usize * 64 + i * 32;
        dram[at..at + 32].copy_from_slice(&w.to_bytes());
    }
    Case { seed, code, dram, code_base_units, args, watchdog_cycles, fault }
}

impl Gen {
    fn emit(&mut self, op: impl Into<Op>) {
        self.code.push(Insn::from(op));
    }

    fn below(&mut self, n: u32) -> u32 {
        self.rng.random_range(0..n.max(1))
    }

    fn pick(&mut self, list: &[u32]) -> u32 {
        list[self.below(list.len() as u32) as usize]
    }

    /// R16..R23 hold 0..8 as counts; generators 1..4 hold small bases.
    fn prologue(&mut self) {
        for r in 16..24 {
            let imm = self.below(8);
            self.emit(isa::Alu { func: ALU_ADD, rd: r, rs: 0, use_imm: 1, rt: 0, imm });
        }
        for agu in 1..5 {
            let imm = self.below(16);
            self.emit(isa::Seta { agu, what: SETA_BASE, rs: 0, imm });
        }
        // Scalars: gather indices stay small, scales are floats.
        self.emit(isa::Ld {
            mode: LD_SCALARS,
            rows: imm_count(1),
            len: imm_count(8),
            src_off: CODE_UNITS,
            ..isa::Ld::default()
        });
        self.fence();
    }

    fn fence(&mut self) {
        self.emit(isa::Fence {});
        self.open.clear();
    }

    /// An immediate or a register that holds the same.
    fn count(&mut self, n: u32) -> u32 {
        if n < 8 && self.below(2) == 0 {
            // In turn: the counts of one command must not share a register.
            self.next_count = (self.next_count + 1) % 4;
            let rd = 24 + self.next_count;
            self.emit(isa::Alu { func: ALU_ADD, rd, rs: 0, use_imm: 1, rt: 0, imm: n });
            reg_count(rd)
        } else {
            imm_count(n)
        }
    }

    fn block(&mut self) {
        if self.code.len() > MAX_CODE {
            return;
        }
        match self.below(12) {
            0 if self.depth < 4 => self.repeat(),
            1 => self.scalars(),
            2 => self.fence(),
            3 | 4 => self.weights(),
            5 => self.store_cache(),
            6 => self.store_rows(),
            7 | 8 => self.load(),
            _ => self.vector(),
        }
    }

    fn repeat(&mut self) {
        self.fence();
        let at = self.code.len();
        let n = self.below(4);
        self.emit(isa::Loop { count: imm_count(n), len: 1 });
        self.depth += 1;
        for agu in 1..5 {
            let (what, imm) = (SETA_STRIDE0 + self.depth - 1, self.below(4));
            self.emit(isa::Seta { agu, what, rs: 0, imm });
        }
        for _ in 0..1 + self.below(4) {
            self.block();
        }
        self.depth -= 1;
        self.fence(); // what iterations share is ordered; bodies end apart from inner ones
        self.emit(isa::Nop {});
        let len = (self.code.len() - at - 1) as u32;
        self.code[at] = Insn::from(isa::Loop { count: imm_count(n), len });
    }

    fn scalars(&mut self) {
        for _ in 0..1 + self.below(4) {
            let (func, rd) = (self.below(9), 16 + self.below(4));
            let (rs, use_imm, rt) = (self.below(24), self.below(2), self.below(24));
            let imm = self.rng.random::<u32>() >> self.below(32);
            self.emit(isa::Alu { func, rd, rs, use_imm, rt, imm });
        }
    }

    /// Where a command may lie: generator, offset and the range it can reach in all iterations.
    fn place(&mut self, words: u32, limit: u32) -> (u32, u32, u32) {
        // Generators: base < 16, four levels of at most 3 · 3 steps.
        let agu = self.below(5);
        let reach = if agu == 0 { 0 } else { 16 + 4 * 9 };
        let off = self.below(limit.saturating_sub(words + reach));
        (agu, off, reach)
    }

    /// Puts a command in after what it must wait for.
    fn command(&mut self, unit: Unit, op: impl Into<Op>, touches: &[Touch]) {
        let conflict = |(u, o): &(Unit, Touch)| {
            *u != unit
                && touches
                    .iter()
                    .any(|t| t.memory == o.memory && (t.writes || o.writes) && t.from < o.to && o.from < t.to)
        };
        let mut against: Vec<Unit> = self.open.iter().filter(|x| conflict(x)).map(|x| x.0).collect();
        against.sort_unstable();
        against.dedup();
        if !against.is_empty() && self.below(3) == 0 {
            self.fence();
            against.clear();
        }
        let mut wait = 0;
        for p in against {
            let release = 1 << unit as u8;
            let op: Op = match p {
                Unit::Ld => isa::Ld::default().into(),
                Unit::St => isa::St::default().into(),
                Unit::Mm => isa::Mm::default().into(),
                _ => isa::Vx::default().into(),
            };
            self.code.push(Insn { wait: 0, release, op });
            wait |= 1 << p as u8;
        }
        self.code.push(Insn { wait, release: 0, op: op.into() });
        self.open.extend(touches.iter().map(|t| (unit, *t)));
    }

    fn load(&mut self) {
        let mode = self.pick(&[LD_ROWS, LD_ROWS, LD_SCALARS, LD_GATHER]);
        let (rows, len) = (self.below(5), self.below(4));
        let (memory, per) = if mode == LD_SCALARS { (Memory::S, 16) } else { (Memory::Spad, 1) };
        let dst_stride = self.pick(&[0, 1, len, len * per, 5]);
        let span = rows * dst_stride + len * per + 1;
        let (dst_agu, dst_off, reach) = self.place(span, CHIP_WORDS);
        let src_stride = self.below(9);
        let (src_agu, src_off) = (self.below(5), CODE_UNITS + self.below(1024));
        let (rows_f, len_f) = (self.count(rows), self.count(len));
        let mut touches = vec![
            Touch { memory, from: dst_off, to: dst_off + span + reach, writes: true },
            Touch { memory: Memory::Dram, from: 0, to: DRAM_UNITS, writes: false },
        ];
        let mut op = isa::Ld {
            mode,
            rows: rows_f,
            len: len_f,
            dst_agu,
            dst_off,
            dst_stride,
            src_agu,
            src_off,
            src_stride,
            ..isa::Ld::default()
        };
        if mode == LD_GATHER {
            // Indices: small integers that VX cannot make, so they are loaded from a table of zeros.
            op.src_stride = 0;
            op.sidx_off = self.below(200);
            touches.push(Touch { memory: Memory::S, from: op.sidx_off, to: op.sidx_off + 8, writes: false });
        }
        self.command(Unit::Ld, op, &touches);
    }

    fn store_rows(&mut self) {
        let (rows, len) = (self.below(5), self.below(20));
        let src_stride = self.below(6);
        let (src_agu, src_off, reach) = self.place(rows * src_stride + len + 1, CHIP_WORDS);
        let dst_stride = len + self.below(3);
        let span = rows * src_stride + len + 1 + reach;
        let (rows_f, len_f) = (self.count(rows), self.count(len));
        let op = isa::St {
            mode: ST_ROWS,
            rows: rows_f,
            len: len_f,
            src_agu,
            src_off,
            src_stride,
            dst_agu: self.below(5),
            dst_off: CODE_UNITS + self.below(2000),
            dst_stride,
            ..isa::St::default()
        };
        let from = Touch { memory: Memory::Spad, from: src_off, to: src_off + span, writes: false };
        let to = Touch { memory: Memory::Dram, from: 0, to: DRAM_UNITS, writes: true };
        self.command(Unit::St, op, &[from, to]);
    }

    fn store_cache(&mut self) {
        let mode = self.pick(&[ST_KV_K, ST_KV_V, ST_SCALAR]);
        let (rows, len, src_stride) = (self.below(6), 1 + self.below(4), self.below(5));
        let memory = if mode == ST_SCALAR { Memory::S } else { Memory::Abuf };
        let span = rows * src_stride + len + 1;
        let (src_agu, src_off, reach) = self.place(span, CHIP_WORDS);
        let (rows_f, pos) = (self.count(rows), self.below(40));
        let op = isa::St {
            mode,
            rows: rows_f,
            len: imm_count(len),
            src_agu,
            src_off,
            src_stride,
            dst_agu: self.below(5),
            dst_off: CODE_UNITS + self.below(2000),
            dst_stride: 4 + self.below(20),
            chunk_stride: self.pick(&[4, 8, 64]),
            pos: imm_count(pos),
        };
        let from = Touch { memory, from: src_off, to: src_off + span + reach, writes: false };
        let to = Touch { memory: Memory::Dram, from: 0, to: DRAM_UNITS, writes: true };
        self.command(Unit::St, op, &[from, to]);
    }

    /// A weight load with the matrix command that consumes it.
    fn weights(&mut self) {
        let (tiles, kb, rows) = (1 + self.below(4), 1 + self.below(12), self.below(7));
        let rows = rows.max(1);
        let kbg = self.pick(&[0, 0, 1, 2, 3, 8]);
        let (wscale, bias) = (self.below(2), self.below(2));
        let (tiles_f, kb_f) = (self.count(tiles), imm_count(kb));
        let groups = if kbg == 0 { 1 } else { kb.div_ceil(kbg) };
        let units = bias + wscale * groups + 4 * kb;
        let op = isa::Ld {
            mode: LD_WEIGHT,
            rows: tiles_f,
            len: kb_f,
            src_agu: self.below(5),
            src_off: CODE_UNITS + self.below(2000),
            src_stride: units + self.below(3),
            kbg,
            wscale,
            bias,
            ..isa::Ld::default()
        };
        let from = Touch { memory: Memory::Dram, from: 0, to: DRAM_UNITS, writes: false };
        self.command(Unit::Ld, op, &[from]);
        let act_stride = self.pick(&[kb, kb + 1, 0]);
        let act_span = rows * act_stride + kb;
        let (act_agu, act_off, act_reach) = self.place(act_span, CHIP_WORDS);
        let out_stride = tiles + self.below(3);
        let out_span = rows * out_stride + tiles;
        let (out_agu, out_off, out_reach) = self.place(out_span, CHIP_WORDS);
        let (sa_agu, sa_off, sa_reach) = self.place(rows, CHIP_WORDS);
        let rows_f = self.count(rows);
        let op = isa::Mm {
            rows: rows_f,
            tiles: imm_count(tiles),
            kb: kb_f,
            kbg,
            act_agu,
            act_off,
            act_stride,
            out_agu,
            out_off,
            out_stride,
            sa_agu,
            sa_off,
            wscale,
            bias,
        };
        let t = |memory, from, span, writes| Touch { memory, from, to: from + span, writes };
        self.command(
            Unit::Mm,
            op,
            &[
                t(Memory::Abuf, act_off, act_span + act_reach, false),
                t(Memory::Spad, out_off, out_span + out_reach, true),
                t(Memory::S, sa_off, rows + sa_reach, false),
            ],
        );
    }

    fn vector(&mut self) {
        let (rows, len) = (self.below(7), self.pick(&[0, 1, 5, 16, 17, 40, 64, 100]));
        let words = len.div_ceil(16);
        let mut touches = Vec::new();
        let mut op = isa::Vx::default();
        let causal_or_rows = self.below(3) == 0;
        if causal_or_rows {
            for (rd, imm) in [(isa::REG_VBASE, self.below(20)), (isa::REG_RMOD, self.below(4))] {
                self.emit(isa::Alu { func: ALU_ADD, rd, rs: 0, use_imm: 1, rt: 0, imm });
            }
            (op.causal, op.b_row, op.c_row) = (self.below(2), self.below(3), self.below(3));
        }
        (op.rows, op.len) = (self.count(rows), self.count(len));
        let source = |g: &mut Gen, kind_s: bool, touches: &mut Vec<Touch>| {
            let stride = g.below(6);
            let (memory, span) =
                if kind_s { (Memory::S, rows * stride + 1) } else { (Memory::Spad, rows * stride + words) };
            let (agu, off, reach) = g.place(span, CHIP_WORDS);
            touches.push(Touch { memory, from: off, to: off + span + reach, writes: false });
            (agu, off, stride)
        };
        op.a_kind = u32::from(self.below(4) == 0);
        (op.a_agu, op.a_off, op.a_stride) = source(self, op.a_kind == A_S, &mut touches);
        for second in [false, true] {
            let kind = self.below(4);
            let (mut value, mut stride) = (0, 0);
            if kind == K_IMM {
                value = self.pick(&[
                    0x3f80_0000,
                    0xbf00_0000,
                    0x4000_0000,
                    0x7fc0_0000,
                    0x0000_0001,
                    0x3eaa_aaab,
                ]);
            } else if kind != K_NONE {
                let (agu, off, s) = source(self, kind == K_S, &mut touches);
                (value, stride) = (agu << 28 | off, s);
            }
            let func = if kind == K_NONE { OP_PASS } else { self.below(5) };
            if second {
                (op.c_kind, op.c, op.c_stride, op.op2) = (kind, value, stride, func);
            } else {
                (op.b_kind, op.b, op.b_stride, op.op1) = (kind, value, stride, func);
            }
        }
        op.func = self.pick(&[0, 0, 0, 1, 2, 3, 4, 5, 6]);
        op.d_kind = self.below(4);
        op.red = if op.d_kind == D_S { R_NONE } else { self.below(6) };
        if op.d_kind == D_S && len > 16 {
            op.d_kind = D_NONE;
        }
        // The destination lies apart from the sources, or exactly on a (in place).
        let in_place =
            op.d_kind == D_SPAD && op.a_kind == A_SPAD && self.below(2) == 0 && op.a_stride >= words;
        op.d_stride = words + self.below(2);
        let span = rows * op.d_stride.max(op.a_stride) + words + 1;
        let base = CHIP_WORDS + 64;
        let memory = [Memory::Spad, Memory::Spad, Memory::Abuf, Memory::S][op.d_kind as usize];
        if in_place && touches.len() == 1 {
            (op.d_agu, op.d_off, op.d_stride) = (op.a_agu, op.a_off, op.a_stride);
            touches.push(Touch { memory, from: op.d_off, to: op.d_off + span + 60, writes: true });
        } else if op.d_kind != D_NONE {
            // Outputs above the inputs in S and SPAD; ABUF has no vector inputs.
            let low = if op.d_kind == D_ABUF { 0 } else { base };
            op.d_off = low + self.below(150);
            touches.push(Touch { memory, from: op.d_off, to: op.d_off + span, writes: true });
        }
        if op.red != R_NONE {
            op.sred_off = base + 512 + self.below(100);
            touches.push(Touch {
                memory: Memory::S,
                from: op.sred_off,
                to: op.sred_off + rows,
                writes: true,
            });
        }
        self.command(Unit::Vx, op, &touches);
    }

    /// Something that must fault, after everything before it has ended.
    fn fault(&mut self) -> &'static str {
        self.fence();
        let far = 0x3_ffff;
        let one = imm_count(1);
        match self.below(13) {
            0 => {
                self.emit(isa::Vx { rows: one, len: one, a_off: far, ..isa::Vx::default() });
                "vx spad"
            }
            1 => {
                let d = isa::Vx { rows: one, len: one, d_kind: D_ABUF, d_off: far, ..isa::Vx::default() };
                self.emit(d);
                "vx abuf"
            }
            2 => {
                self.emit(isa::Vx { rows: one, len: one, a_kind: A_S, a_off: 9999, ..isa::Vx::default() });
                "vx s"
            }
            3 => {
                self.emit(isa::Ld { rows: one, len: one, src_off: DRAM_UNITS, ..isa::Ld::default() });
                "ld dram"
            }
            4 => {
                let len = imm_count(2);
                self.emit(isa::St { rows: one, len, dst_off: DRAM_UNITS - 1, ..isa::St::default() });
                "st dram"
            }
            5 => {
                let op = isa::Mm { rows: one, tiles: one, kb: imm_count(600), ..isa::Mm::default() };
                self.emit(op);
                "mm fifo"
            }
            6 => {
                let op = isa::Ld { mode: LD_WEIGHT, rows: one, len: imm_count(600), ..isa::Ld::default() };
                self.emit(op);
                "ld fifo"
            }
            7 => {
                let wait = 1 << self.below(2);
                self.code.push(Insn { wait, release: 0, op: isa::Vx::default().into() });
                self.fence();
                "deadlock"
            }
            8 => {
                for _ in 0..64 {
                    self.code.push(Insn { wait: 0, release: 4, op: isa::Vx::default().into() });
                }
                self.fence();
                "tokens"
            }
            9 => {
                self.emit(isa::Loop { count: one, len: 4000 });
                "loop"
            }
            10 => {
                self.emit(isa::Alu { func: ALU_ADD, rd: 29, rs: 0, use_imm: 1, rt: 0, imm: 70_000 });
                self.emit(isa::Vx { rows: reg_count(29), ..isa::Vx::default() });
                "operand"
            }
            11 => "end of code",
            _ => "illegal word",
        }
    }

    /// A word that no decoder accepts.
    fn illegal(&mut self) -> Word {
        let mut w = Word::default();
        match self.below(3) {
            0 => w.set(0, 8, 0x7f),
            1 => {
                w.set(0, 8, u32::from(INSNS[0].opcode));
                w.set(200, 8, 1 + self.below(200));
            }
            _ => {
                w.set(0, 8, 0x13);
                w.set(8, 4, 8); // VX waits for itself
            }
        }
        w
    }
}
