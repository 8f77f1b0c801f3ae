//! ST: rows, KV-cache tiles and scalars to DRAM.

use crate::front::StWork;
use crate::memory::{check, Memory};
use flightvlm_hw::isa::names::*;
use flightvlm_hw::machine::FaultCode;

/// Units one write of the mode touches past its first: a KV word is four units.
fn span(w: &StWork) -> u64 {
    match w.mode {
        ST_ROWS => u64::from(w.len),
        ST_SCALAR => 1,
        _ => u64::from(w.len - 1) * u64::from(w.chunk_stride) + 4,
    }
}

/// First and past-the-end unit that the command may touch; `None` when it does nothing.
pub(crate) fn touched(w: &StWork) -> Option<(u64, u64)> {
    if w.rows == 0 || w.len == 0 && w.mode != ST_SCALAR {
        return None;
    }
    let last_row = match w.mode {
        ST_ROWS => w.rows - 1,
        _ => (w.pos + w.rows - 1) >> 4,
    };
    let dst = u64::from(w.dst);
    Some((dst, dst + u64::from(last_row) * u64::from(w.dst_stride) + span(w)))
}

pub(crate) fn check_st(w: &StWork, m: &Memory) -> Result<(), FaultCode> {
    let Some((_, end)) = touched(w) else { return Ok(()) };
    let len = u64::from(w.len);
    match w.mode {
        ST_ROWS => {
            check(w.src, w.rows, w.src_stride, len, m.spad.len() as u64, FaultCode::Spad)?;
        }
        ST_SCALAR => check(w.src, w.rows, w.src_stride, 1, m.s.len() as u64, FaultCode::Smem)?,
        _ => check(w.src, w.rows, w.src_stride, len, m.abuf.len() as u64, FaultCode::Abuf)?,
    }
    if end <= m.units() {
        Ok(())
    } else {
        Err(FaultCode::Dram)
    }
}

pub(crate) fn run(w: &StWork, m: &mut Memory) {
    for r in 0..w.rows {
        let src = (w.src + r * w.src_stride) as usize;
        let p = w.pos + r;
        let row = if w.mode == ST_ROWS { r } else { p >> 4 };
        let unit = u64::from(w.dst) + u64::from(row) * u64::from(w.dst_stride);
        let slot = (p & 15) as usize;
        match w.mode {
            ST_ROWS => {
                for i in 0..w.len as usize {
                    let to = (unit as usize + i) * 64;
                    let words = m.spad[src + i];
                    for (b, x) in m.dram[to..to + 64].chunks_exact_mut(4).zip(words) {
                        b.copy_from_slice(&x.to_le_bytes());
                    }
                }
            }
            ST_SCALAR => {
                let to = unit as usize * 64 + 4 * slot;
                m.dram[to..to + 4].copy_from_slice(&m.s[src].to_le_bytes());
            }
            mode => {
                for c in 0..w.len {
                    let word = (unit + u64::from(c) * u64::from(w.chunk_stride)) as usize * 64;
                    for (e, x) in m.abuf[src + c as usize].into_iter().enumerate() {
                        let at = if mode == ST_KV_K { 16 * slot + e } else { 16 * e + slot };
                        m.dram[word + at] = x as u8;
                    }
                }
            }
        }
    }
}
