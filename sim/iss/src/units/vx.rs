//! VX: vector operations over rows, 16 lanes a word.

use crate::front::{VxOperand, VxWork};
use crate::memory::{check, Memory};
use flightvlm_hw::isa::names::*;
use flightvlm_hw::machine::FaultCode;
use flightvlm_hw::numerics::{self as n, canon_bits, fadd, fmax, fmul, fsub};

type Lanes = [f32; 16];

pub(crate) fn check_vx(w: &VxWork, m: &Memory) -> Result<(), FaultCode> {
    if w.rows == 0 || w.len == 0 {
        return Ok(());
    }
    let words = u64::from(w.len.div_ceil(16));
    let (spad, s) = (m.spad.len() as u64, m.s.len() as u64);
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
            check(w.d, w.rows, w.d_stride, words, m.abuf.len() as u64, FaultCode::Abuf)?;
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

#[inline(always)]
fn load(m: &Memory, x: &VxOperand, row: u32, word: u32) -> Lanes {
    match x.kind {
        K_SPAD => m.spad[(x.value + row * x.stride + word) as usize].map(|b| f32::from_bits(canon_bits(b))),
        K_S => [f32::from_bits(canon_bits(m.s[(x.value + row * x.stride) as usize])); 16],
        K_IMM => [f32::from_bits(canon_bits(x.value)); 16],
        _ => [0.0; 16],
    }
}

#[inline(always)]
fn zip(a: &Lanes, b: &Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    let mut out = [0.0; 16];
    for i in 0..16 {
        out[i] = f(a[i], b[i]);
    }
    out
}

#[inline(always)]
fn binary(op: u32, a: Lanes, b: &Lanes) -> Lanes {
    match op {
        OP_ADD => zip(&a, b, fadd),
        OP_SUB => zip(&a, b, fsub),
        OP_MUL => zip(&a, b, fmul),
        OP_MAX => zip(&a, b, fmax),
        _ => a,
    }
}

#[inline(always)]
fn function(func: u32, x: Lanes) -> Lanes {
    match func {
        F_EXP2 => x.map(n::exp2),
        F_RECIP => x.map(n::recip),
        F_RSQRT => x.map(n::rsqrt),
        F_GELU => x.map(n::gelu),
        F_GELU_TANH => x.map(n::gelu_tanh),
        F_SILU => x.map(n::silu),
        _ => x,
    }
}

/// Running state of one row's reduction.
struct Reduction {
    kind: u32,
    /// Sum partials of the last four words, newest last.
    partial: [Lanes; 4],
    best: f32,
    best_index: u32,
}

impl Reduction {
    fn new(kind: u32) -> Reduction {
        let best = if kind == R_ABSMAX { 0.0 } else { -f32::MAX };
        Reduction { kind, partial: [[0.0; 16]; 4], best, best_index: 0 }
    }

    /// `y` is zero where inactive; lanes `active..` are inactive.
    #[inline(always)]
    fn add(&mut self, y: &Lanes, active: usize, first_element: u32) {
        match self.kind {
            R_SUM | R_SUMSQ => {
                let z = if self.kind == R_SUMSQ { zip(y, y, fmul) } else { *y };
                let next = zip(&z, &self.partial[0], fadd);
                self.partial.rotate_left(1);
                self.partial[3] = next;
            }
            R_ARGMAX => {
                for (i, v) in y[..active].iter().enumerate() {
                    if *v > self.best {
                        (self.best, self.best_index) = (*v, first_element + i as u32);
                    }
                }
            }
            R_MAX => self.best = y[..active].iter().fold(self.best, |m, v| fmax(m, *v)),
            _ => self.best = y[..active].iter().fold(self.best, |m, v| fmax(m, v.abs())),
        }
    }

    fn result(&self) -> u32 {
        match self.kind {
            R_SUM | R_SUMSQ => {
                let [q0, q1, q2, q3] = &self.partial;
                let mut t = zip(&zip(q0, q1, fadd), &zip(q2, q3, fadd), fadd);
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

/// Executes the command.
pub(crate) fn run(w: &VxWork, m: &mut Memory) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2, just checked; the body is ordinary safe code.
        return unsafe { run_avx2(w, m) };
    }
    body(w, m);
}

/// The same code compiled for wider vectors; no fused operations (FMA is not enabled).
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn run_avx2(w: &VxWork, m: &mut Memory) {
    body(w, m);
}

#[inline(always)]
fn body(w: &VxWork, m: &mut Memory) {
    if w.len == 0 {
        return;
    }
    for r in 0..w.rows {
        let offset = if w.rmod != 0 { r % w.rmod } else { r };
        let valid = if w.causal { w.len.min(w.vbase + offset) } else { w.len };
        let mut red = Reduction::new(w.red);
        let (br, cr) = (w.b.index(r, w.rmod), w.c.index(r, w.rmod));
        for word in 0..w.len.div_ceil(16) {
            let x = binary(w.op1, load(m, &w.a, r, word), &load(m, &w.b, br, word));
            let x = binary(w.op2, x, &load(m, &w.c, cr, word));
            let mut y = function(w.func, x);
            let active = valid.saturating_sub(16 * word).min(16) as usize;
            y[active..].fill(0.0);
            let d = (w.d + r * w.d_stride) as usize;
            match w.d_kind {
                D_SPAD => m.spad[d + word as usize] = y.map(f32::to_bits),
                D_ABUF => m.abuf[d + word as usize] = y.map(n::q8),
                D_S => m.s[d] = y[0].to_bits(),
                _ => {}
            }
            if w.red != R_NONE {
                red.add(&y, active, 16 * word);
            }
        }
        if w.red != R_NONE {
            m.s[(w.sred + r) as usize] = red.result();
        }
    }
}
