//! LD: rows, gathered rows and scalars. Weight tiles go to the FIFO (`crate::sched`).

use crate::front::LdWork;
use crate::memory::{check, Memory};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::names::*;
use flightvlm_hw::machine::FaultCode;

pub(crate) fn check_ld(w: &LdWork, m: &Memory, c: &HwConfig) -> Result<(), FaultCode> {
    if w.rows == 0 || w.len == 0 && w.mode != LD_WEIGHT {
        return Ok(());
    }
    let (spad, s) = (m.spad.len() as u64, m.s.len() as u64);
    let len = u64::from(w.len);
    match w.mode {
        LD_ROWS => check(w.dst, w.rows, w.dst_stride, len, spad, FaultCode::Spad)?,
        LD_GATHER => {
            check(w.dst, w.rows, w.dst_stride, len, spad, FaultCode::Spad)?;
            return check(w.sidx, w.rows, 1, 1, s, FaultCode::Smem);
        }
        LD_SCALARS => check(w.dst, w.rows, w.dst_stride, 16 * len, s, FaultCode::Smem)?,
        _ => {
            let too_long = w.len > c.wfifo_words || w.sfifo_words() > c.sfifo_words;
            if w.len == 0 || too_long {
                return Err(FaultCode::Wfifo);
            }
            let units = w.tile_units();
            return check(w.src, w.rows, w.src_stride, units, m.units(), FaultCode::Dram);
        }
    }
    check(w.src, w.rows, w.src_stride, len, m.units(), FaultCode::Dram)
}

/// Source unit of row `r`.
pub(crate) fn row_source(w: &LdWork, m: &Memory, r: u32) -> u64 {
    let index = if w.mode == LD_GATHER { m.s[(w.sidx + r) as usize] } else { r };
    // Saturating: anything past 2^32 is out of range anyway.
    u64::from(w.src).saturating_add(u64::from(index) * u64::from(w.src_stride))
}

/// Everything but mode WEIGHT.
pub(crate) fn run(w: &LdWork, m: &mut Memory) -> Result<(), FaultCode> {
    for r in 0..w.rows {
        let from = row_source(w, m, r);
        if w.mode == LD_GATHER && w.len > 0 && from + u64::from(w.len) > m.units() {
            return Err(FaultCode::Dram);
        }
        let to = (w.dst + r * w.dst_stride) as usize;
        for i in 0..w.len as usize {
            let words = m.unit_words(from + i as u64);
            if w.mode == LD_SCALARS {
                m.s[to + 16 * i..][..16].copy_from_slice(&words);
            } else {
                m.spad[to + i] = words;
            }
        }
    }
    Ok(())
}
