//! VX: vector operations over rows, 16 lanes a word.

use crate::memory::{check, Memory};
use crate::work::{VxOperand, VxWork};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::names::*;
use flightvlm_hw::machine::FaultCode;
use flightvlm_hw::numerics::{self as n, canon_bits, fadd, fmax, fmul, fsub};

type Lanes = [f32; 16];

pub(crate) fn check_vx(w: &VxWork, c: &HwConfig) -> Result<(), FaultCode> {
    if w.rows == 0 || w.len == 0 {
        return Ok(());
    }
    let words = u64::from(w.len.div_ceil(16));
    let (spad, s) = (c.spad_words, c.s_words);
    for x in [&w.a, &w.b, &w.c] {
        let rows = x.rows(w.rows, w.rmod);
        match x.kind {
            K_SPAD => check(x.value, rows, x.stride, words, spad, FaultCode::Spad)?,
            K_S => check(x.value, rows, x.stride, 1, s, FaultCode::Smem)?,
            _ => {}
        }
    }
    match w.d_kind {
        D_SPAD => check(w.d, w.rows, w.d_stride, words, spad, FaultCode::Spad)?,
        D_ABUF => {
            check(w.d, w.rows, w.d_stride, words, c.abuf_words, FaultCode::Abuf)?;
        }
        D_S if w.len > 16 => return Err(FaultCode::Operand),
        D_S => check(w.d, w.rows, w.d_stride, 1, s, FaultCode::Smem)?,
        _ => {}
    }
    if w.red != R_NONE {
        check(w.sred, w.rows, 1, 1, s, FaultCode::Smem)?;
    }
    Ok(())
}

/// Words that are computed together: each step of the pipeline runs over all of them, so that what
/// it does is decided once a block.
const BLOCK: usize = 32;

#[inline(always)]
fn float(bits: u32) -> f32 {
    f32::from_bits(canon_bits(bits))
}

/// An operand of a block of words: a vector for each, or the same number for all lanes.
enum Operand<'a> {
    Words(&'a [[u32; 16]]),
    Number(f32),
}

#[inline(always)]
fn operand<'a>(m: &'a Memory, x: &VxOperand, row: u32, first: usize, words: usize) -> Operand<'a> {
    let at = x.value as usize + row as usize * x.stride as usize;
    match x.kind {
        K_SPAD => Operand::Words(&m.spad[at + first..][..words]),
        K_S => Operand::Number(float(m.s[at])),
        K_IMM => Operand::Number(float(x.value)),
        _ => Operand::Number(0.0),
    }
}

#[inline(always)]
fn apply(y: &mut [Lanes], x: &Operand<'_>, f: impl Fn(f32, f32) -> f32) {
    match x {
        // One flat loop: nested ones are vectorised the wrong way round.
        Operand::Words(words) => {
            for (y, x) in y.as_flattened_mut().iter_mut().zip(words.as_flattened()) {
                *y = f(*y, float(*x));
            }
        }
        Operand::Number(x) => y.as_flattened_mut().iter_mut().for_each(|y| *y = f(*y, *x)),
    }
}

#[inline(always)]
fn binary(op: u32, y: &mut [Lanes], x: &Operand<'_>) {
    match op {
        OP_ADD => apply(y, x, fadd),
        OP_SUB => apply(y, x, fsub),
        OP_MUL => apply(y, x, fmul),
        OP_MAX => apply(y, x, fmax),
        _ => {}
    }
}

#[inline(always)]
fn function(func: u32, y: &mut [Lanes], wide: bool) {
    #[cfg(target_arch = "x86_64")]
    if wide {
        // SAFETY: `wide` says that the CPU has AVX-512.
        return unsafe { super::sfu::apply(func, y) };
    }
    let _ = wide;
    let y = y.as_flattened_mut().iter_mut();
    match func {
        F_EXP2 => y.for_each(|y| *y = n::exp2(*y)),
        F_RECIP => y.for_each(|y| *y = n::recip(*y)),
        F_RSQRT => y.for_each(|y| *y = n::rsqrt(*y)),
        F_GELU => y.for_each(|y| *y = n::gelu(*y)),
        F_GELU_TANH => y.for_each(|y| *y = n::gelu_tanh(*y)),
        F_SILU => y.for_each(|y| *y = n::silu(*y)),
        _ => {}
    }
}

/// Words of a step at most.
const MAX_STEP_WORDS: usize = 4;

/// Running state of one row's reduction.
struct Reduction {
    kind: u32,
    /// Words a step.
    step_words: usize,
    /// Words so far.
    words: usize,
    /// Sums by step modulo 4 and word of the step.
    partial: [[Lanes; MAX_STEP_WORDS]; 4],
    best: f32,
    best_index: u32,
}

impl Reduction {
    fn new(kind: u32, step_words: usize) -> Reduction {
        let best = if kind == R_ABSMAX { 0.0 } else { -f32::MAX };
        let partial = [[[0.0; 16]; MAX_STEP_WORDS]; 4];
        Reduction { kind, step_words, words: 0, partial, best, best_index: 0 }
    }

    /// The next words of the row; `y` is zero where inactive, the first `active` elements are not.
    #[inline(always)]
    fn add(&mut self, y: &[Lanes], active: usize) {
        match self.kind {
            R_SUM => self.sum(y, |y| y),
            R_SUMSQ => self.sum(y, |y| fmul(y, y)),
            R_ARGMAX => {
                for (i, v) in y.as_flattened()[..active].iter().enumerate() {
                    if *v > self.best {
                        (self.best, self.best_index) = (*v, (16 * self.words + i) as u32);
                    }
                }
                self.words += y.len();
            }
            R_MAX => self.extremum(&y.as_flattened()[..active], |v| v),
            _ => self.extremum(&y.as_flattened()[..active], f32::abs),
        }
    }

    #[inline(always)]
    fn sum(&mut self, y: &[Lanes], f: impl Fn(f32) -> f32) {
        for y in y {
            let (step, word) = (self.words / self.step_words, self.words % self.step_words);
            let sum = &mut self.partial[step % 4][word];
            let z = y.map(&f);
            for (sum, z) in sum.iter_mut().zip(z) {
                *sum = fadd(z, *sum);
            }
            self.words += 1;
        }
    }

    /// The order does not matter: there is no −0.
    #[inline(always)]
    fn extremum(&mut self, y: &[f32], f: impl Fn(f32) -> f32) {
        let mut lanes = [self.best; 16];
        let chunks = y.chunks_exact(16);
        let rest = chunks.remainder();
        for c in chunks {
            for l in 0..16 {
                lanes[l] = fmax(lanes[l], f(c[l]));
            }
        }
        self.best = lanes.into_iter().chain(rest.iter().map(|v| f(*v))).fold(self.best, fmax);
    }

    fn result(&self) -> u32 {
        match self.kind {
            R_SUM | R_SUMSQ => {
                let steps = self.words.div_ceil(self.step_words);
                let zip = |a: &Lanes, b: &Lanes| -> Lanes { std::array::from_fn(|l| fadd(a[l], b[l])) };
                // q_i is the sum of step `steps` − 4 + i.
                let q = |i: usize, word: usize| &self.partial[(steps + i) % 4][word];
                let word = |j: usize| zip(&zip(q(0, j), q(1, j)), &zip(q(2, j), q(3, j)));
                let mut t = match self.step_words {
                    1 => word(0),
                    2 => zip(&word(0), &word(1)),
                    _ => zip(&zip(&word(0), &word(1)), &zip(&word(2), &word(3))),
                };
                for half in [8, 4, 2, 1] {
                    for l in 0..half {
                        t[l] = fadd(t[l], t[l + half]);
                    }
                }
                t[0].to_bits()
            }
            R_ARGMAX => self.best_index,
            _ => self.best.to_bits(),
        }
    }
}

/// Executes the command; `step_words` is how many words the unit takes a cycle.
pub(crate) fn run(w: &VxWork, m: &mut Memory, step_words: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        // SAFETY: the CPU has these instructions, just checked; the body is ordinary safe code.
        unsafe {
            if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
                return run_avx512(w, m, step_words);
            }
            if has!("avx2") {
                return run_avx2(w, m, step_words);
            }
        }
    }
    body(w, m, step_words, false);
}

/// The same code compiled for wider vectors; nothing in it is fused.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn run_avx2(w: &VxWork, m: &mut Memory, step_words: usize) {
    body(w, m, step_words, false);
}

/// As `run_avx2`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn run_avx512(w: &VxWork, m: &mut Memory, step_words: usize) {
    body(w, m, step_words, true);
}

#[inline(always)]
fn body(w: &VxWork, m: &mut Memory, step_words: usize, wide: bool) {
    if w.len == 0 {
        return;
    }
    let mut block = [[0.0f32; 16]; BLOCK];
    let row_words = w.len.div_ceil(16) as usize;
    for r in 0..w.rows {
        let offset = if w.rmod != 0 { r % w.rmod } else { r };
        let valid = if w.causal { w.len.min(w.vbase + offset) } else { w.len } as usize;
        let mut red = Reduction::new(w.red, step_words);
        let (br, cr) = (w.b.index(r, w.rmod), w.c.index(r, w.rmod));
        let d = w.d as usize + r as usize * w.d_stride as usize;
        for first in (0..row_words).step_by(BLOCK) {
            let words = BLOCK.min(row_words - first);
            let y = &mut block[..words];
            y.as_flattened_mut().fill(0.0);
            apply(y, &operand(m, &w.a, r, first, words), |_, a| a);
            binary(w.op1, y, &operand(m, &w.b, br, first, words));
            binary(w.op2, y, &operand(m, &w.c, cr, first, words));
            function(w.func, y, wide);
            let active = valid.saturating_sub(16 * first).min(16 * words);
            y.as_flattened_mut()[active..].fill(0.0);
            match w.d_kind {
                D_SPAD => {
                    let d = m.spad[d + first..][..words].as_flattened_mut();
                    d.iter_mut().zip(y.as_flattened()).for_each(|(d, y)| *d = y.to_bits());
                }
                D_ABUF => {
                    let d = m.abuf[d + first..][..words].as_flattened_mut();
                    d.iter_mut().zip(y.as_flattened()).for_each(|(d, y)| *d = n::q8(*y));
                }
                D_S => m.s[d] = y[0][0].to_bits(),
                _ => {}
            }
            if w.red != R_NONE {
                red.add(y, active);
            }
        }
        if w.red != R_NONE {
            m.s[(w.sred + r) as usize] = red.result();
        }
    }
}
