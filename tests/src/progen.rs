//! Random programs whose result does not depend on timing: whenever a command touches memory that
//! a command of another unit still uses, the generator puts a fence or a token between them. One
//! in five ends with a deliberate fault. A store to the channels behind a weight load has a fence
//! before it: such loads are posted, tokens order nothing behind them.

use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::isa::{
    self, imm_count, names::*, reg_count, store_code, Insn, Op, Unit, Word, INSNS, NM_INDEX_UNITS,
    NM_WINDOW_WORDS,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A program with its memory.
pub struct Case {
    /// Seed that makes it again.
    pub seed: u64,
    /// Instructions.
    pub code: Vec<Word>,
    /// Whole main memory, code included.
    pub main: Vec<u8>,
    /// Every channel.
    pub channels: Vec<Vec<u8>>,
    /// Where the code is.
    pub code_base_units: u32,
    /// Units of the code.
    pub code_units: u32,
    /// R1..R15.
    pub args: [u32; 16],
    /// Watchdog.
    pub watchdog_cycles: u32,
    /// What was made to go wrong.
    pub fault: Option<&'static str>,
}

const MAIN_UNITS: u32 = 4096;
const CODE_UNITS: u32 = 512;
const CHANNEL_UNITS: u32 = 2048;
/// Words of SPAD and S that operands lie in; results of VX lie above.
const CHIP_WORDS: u32 = 256;
/// Words of ABUF that programs use.
const ABUF_WORDS: u32 = 1024;
/// Registers that hold counts, in turn: the counts of one command must not share one.
const COUNT_REGS: [u32; 12] = [4, 5, 6, 7, 8, 9, 10, 11, 24, 25, 26, 27];
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
    Main,
    Channels,
    Spad,
    Abuf,
    S,
}

/// A weight load and what its matrix command must say too.
struct Weights {
    tiles: u32,
    kb: u32,
    kbg: u32,
    wscale: u32,
    bias: u32,
    nm: u32,
    first: u32,
}

struct Gen {
    slices: u32,
    rng: ChaCha8Rng,
    code: Vec<Insn>,
    /// What commands since the last fence touched, by unit.
    open: Vec<(Unit, Touch)>,
    depth: u32,
    next_count: usize,
}

/// Makes the program of a seed for a configuration.
pub fn case(seed: u64, config: &HwConfig) -> Case {
    let mut g = Gen {
        slices: config.slices,
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
    let mut main = vec![0u8; MAIN_UNITS as usize * UNIT_BYTES];
    g.fill(&mut main);
    let mut channels = vec![vec![0u8; CHANNEL_UNITS as usize * UNIT_BYTES]; config.slices as usize];
    channels.iter_mut().for_each(|c| g.fill(c));
    let code_base_units = 1;
    let bytes = store_code(&code);
    main[code_base_units as usize * UNIT_BYTES..][..bytes.len()].copy_from_slice(&bytes);
    // Units behind the code are read and ignored.
    let code_units = bytes.len().div_ceil(UNIT_BYTES) as u32 + g.below(3);
    assert!(code_units < CODE_UNITS, "seed {seed}: the code takes {code_units} units");
    Case { seed, code, main, channels, code_base_units, code_units, args, watchdog_cycles, fault }
}

impl Gen {
    /// Random bytes, most of them such that arithmetic on the floats does not saturate at once.
    fn fill(&mut self, memory: &mut [u8]) {
        self.rng.fill_bytes(memory);
        if self.below(4) == 0 {
            return;
        }
        for float in memory.chunks_exact_mut(4) {
            if self.rng.random_range(0..8) != 0 {
                float[3] = if float[3] & 0x80 != 0 { 0xbf } else { 0x3f };
            }
        }
    }

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
        if self.below(2) == 0 {
            self.next_count = (self.next_count + 1) % COUNT_REGS.len();
            let rd = COUNT_REGS[self.next_count];
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
            5 => self.store_elements(),
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
        let channels = |t: &Touch| t.memory == Memory::Channels;
        let posted = self.open.iter().any(|(u, t)| *u == Unit::Ld && channels(t));
        let unordered = unit == Unit::St && touches.iter().any(channels) && posted;
        if unordered || !against.is_empty() && self.below(3) == 0 {
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
            Touch { memory: Memory::Main, from: 0, to: MAIN_UNITS, writes: false },
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
        let to = Touch { memory: Memory::Main, from: 0, to: MAIN_UNITS, writes: true };
        self.command(Unit::St, op, &[from, to]);
    }

    /// Scalars, keys, values and their scales.
    fn store_elements(&mut self) {
        let mode = 1 + self.below(6);
        let (rows, len, heads) = (self.below(6), 1 + self.below(4), self.below(4));
        let (src_stride, head_stride) = (self.below(5), self.below(9));
        let memory = if matches!(mode, ST_SCALAR | ST_KV_SCALE) { Memory::S } else { Memory::Abuf };
        let span = rows * src_stride + heads * head_stride + len + 1;
        let (src_agu, src_off, reach) = self.place(span, CHIP_WORDS);
        let pos = self.below(40);
        let first = self.below(2 * self.slices + 1);
        let to = if mode == ST_SCALAR { Memory::Main } else { Memory::Channels };
        let (base, end) = if to == Memory::Main { (CODE_UNITS, MAIN_UNITS) } else { (0, CHANNEL_UNITS) };
        let op = isa::St {
            mode,
            rows: self.count(rows),
            len: self.count(len),
            src_agu,
            src_off,
            src_stride,
            dst_agu: self.below(5),
            dst_off: base + self.below(1000),
            dst_stride: 4 + self.below(20),
            chunk_stride: self.pick(&[4, 8, 32]),
            pos: self.count(pos),
            first: self.count(first),
            heads: self.count(heads),
            head_stride,
            head_step: self.below(6),
        };
        let from = Touch { memory, from: src_off, to: src_off + span + reach, writes: false };
        let to = Touch { memory: to, from: 0, to: end, writes: true };
        self.command(Unit::St, op, &[from, to]);
    }

    /// Weight loads with the matrix commands that consume them.
    fn weights(&mut self) {
        let list: Vec<Weights> = (0..1 + self.below(2)).map(|_| self.weight_load()).collect();
        for w in &list {
            self.matrix(w);
        }
    }

    fn weight_load(&mut self) -> Weights {
        let (fmt, nm) = (self.below(5), self.pick(&[0, 0, 1, 2, 3, 4]));
        let most = 2 * self.slices.min(8) + 2;
        let w = Weights {
            tiles: 1 + self.below(most),
            kb: 1 + self.below(12),
            kbg: self.pick(&[0, 0, 1, 2, 3, 8]),
            wscale: if fmt == FMT_MIXED { 1 } else { self.below(2) },
            bias: self.below(2),
            nm,
            first: self.below(3 * self.slices),
        };
        let groups = if w.kbg == 0 { 1 } else { w.kb.div_ceil(w.kbg) };
        let word_units = [4, 4, 2, 2, 3][fmt as usize] + NM_INDEX_UNITS[nm as usize];
        let units = w.bias + w.wscale * groups + word_units * w.kb;
        // Tiles of format mixed may end early; others may lie without gaps, apart or overlap.
        let src_stride = match fmt {
            FMT_MIXED => self.below(units + 8),
            _ => self.pick(&[units, units, units + 1, units + 5, units / 2, 0]),
        };
        let op = isa::Ld {
            mode: LD_WEIGHT,
            rows: self.count(w.tiles),
            len: self.count(w.kb),
            src_agu: self.below(5),
            src_off: self.below(700),
            src_stride,
            kbg: w.kbg,
            wscale: w.wscale,
            bias: w.bias,
            fmt,
            nm,
            first: self.count(w.first),
            ..isa::Ld::default()
        };
        let from = Touch { memory: Memory::Channels, from: 0, to: CHANNEL_UNITS, writes: false };
        self.command(Unit::Ld, op, &[from]);
        w
    }

    fn matrix(&mut self, w: &Weights) {
        let (rows, window) = (1 + self.below(6), NM_WINDOW_WORDS[w.nm as usize]);
        let words = w.kb * window;
        let act_stride = self.pick(&[words, words + window, 0]);
        let act_span = rows * act_stride + words;
        let (mut act_agu, mut act_off, mut act_reach) = self.place(act_span, ABUF_WORDS);
        if window > 1 {
            // Generators hold anything; windows are aligned.
            (act_agu, act_off, act_reach) = (0, act_off / window * window, 0);
        }
        let out_stride = w.tiles + self.below(3);
        let out_span = rows * out_stride + w.tiles;
        let (out_agu, out_off, out_reach) = self.place(out_span, CHIP_WORDS);
        let sa_stride = self.below(4);
        let sa_span = rows * sa_stride + 1;
        let (sa_agu, sa_off, sa_reach) = self.place(sa_span, CHIP_WORDS);
        let op = isa::Mm {
            rows: self.count(rows),
            tiles: self.count(w.tiles),
            kb: self.count(w.kb),
            kbg: w.kbg,
            act_agu,
            act_off,
            act_stride: self.count(act_stride),
            out_agu,
            out_off,
            out_stride: self.count(out_stride),
            sa_agu,
            sa_off,
            sa_stride: self.count(sa_stride),
            wscale: w.wscale,
            bias: w.bias,
            nm: w.nm,
            first: self.count(w.first),
        };
        let t = |memory, from, span, writes| Touch { memory, from, to: from + span, writes };
        self.command(
            Unit::Mm,
            op,
            &[
                t(Memory::Abuf, act_off, act_span + act_reach, false),
                t(Memory::Spad, out_off, out_span + out_reach, true),
                t(Memory::S, sa_off, sa_span + sa_reach, false),
            ],
        );
    }

    fn vector(&mut self) {
        let (rows, len) = (self.below(7), self.pick(&[0, 1, 5, 16, 17, 40, 64, 100, 130, 300, 700]));
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
            op.d_off = if op.d_kind == D_ABUF { self.below(ABUF_WORDS) } else { base + self.below(150) };
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
        match self.below(18) {
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
                self.emit(isa::Vx { rows: one, len: one, a_kind: A_S, a_off: far, ..isa::Vx::default() });
                "vx s"
            }
            3 => {
                self.emit(isa::Ld { rows: one, len: one, src_off: MAIN_UNITS, ..isa::Ld::default() });
                "ld dram"
            }
            4 => {
                let len = imm_count(2);
                self.emit(isa::St { rows: one, len, dst_off: MAIN_UNITS - 1, ..isa::St::default() });
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
            12 | 13 => {
                let nm = 1 + self.below(4);
                let window = NM_WINDOW_WORDS[nm as usize];
                let (mut act_off, mut act_stride) = (window - 1, imm_count(0));
                if self.below(2) == 0 {
                    (act_off, act_stride) = (0, imm_count(window + 1));
                }
                // Also out of range: the window is checked first.
                let kb = self.pick(&[imm_count(1), imm_count(600)]);
                let rows = imm_count(2);
                self.emit(isa::Mm { rows, tiles: one, kb, act_off, act_stride, nm, ..isa::Mm::default() });
                "mm window"
            }
            14 => {
                // The last round's tile ends one unit past the channel.
                let (slot, tiles) = (self.below(4 * self.slices), 1 + self.below(2 * self.slices));
                let (units, src_stride) = (8, 9 + self.below(9));
                let rounds = (slot + tiles - 1) / self.slices;
                self.emit(isa::Ld {
                    mode: LD_WEIGHT,
                    rows: imm_count(tiles),
                    len: imm_count(2),
                    src_off: CHANNEL_UNITS - rounds * src_stride - units + 1,
                    src_stride,
                    first: imm_count(slot),
                    ..isa::Ld::default()
                });
                "ld channel"
            }
            15 | 16 => {
                let mode = self.pick(&[ST_KV_K, ST_KV_V, ST_KV_SCALE, ST_KV_K4, ST_KV_V4]);
                let block = [1, 4, 4, 1, 1, 2, 2][mode as usize];
                self.emit(isa::St {
                    mode,
                    rows: one,
                    len: one,
                    heads: one,
                    first: imm_count(2 * self.slices),
                    dst_off: CHANNEL_UNITS - 20 - block + 1,
                    dst_stride: 10,
                    chunk_stride: 10,
                    ..isa::St::default()
                });
                "st channel"
            }
            _ => "illegal word",
        }
    }

    /// A word that no decoder accepts.
    fn illegal(&mut self) -> Word {
        let mut w = Word::default();
        match self.below(4) {
            0 => w.set(0, 8, 0x7f),
            1 => {
                let op = isa::Ld { mode: LD_WEIGHT, fmt: FMT_MIXED, ..isa::Ld::default() };
                w = Insn::from(op).encode(); // format mixed without scales
            }
            2 => {
                w.set(0, 8, u32::from(INSNS[0].opcode));
                w.set(100, 8, 1 + self.below(200));
            }
            _ => {
                w.set(0, 8, 0x13);
                w.set(8, 4, 8); // VX waits for itself
            }
        }
        w
    }
}
