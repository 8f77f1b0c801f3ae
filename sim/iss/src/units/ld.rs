//! LD: rows, gathered rows and scalars. Weight tiles go to the FIFOs (`crate::tiles`).

use crate::memory::{check, Memory};
use crate::work::LdWork;
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::names::*;
use flightvlm_hw::machine::FaultCode;

pub(crate) fn check_ld(w: &LdWork, m: &Memory, c: &HwConfig) -> Result<(), FaultCode> {
    if w.rows == 0 || w.len == 0 && w.mode != LD_WEIGHT {
        return Ok(());
    }
    let len = u64::from(w.len);
    match w.mode {
        LD_ROWS => check(w.dst, w.rows, w.dst_stride, len, c.spad_words, FaultCode::Spad)?,
        LD_GATHER => {
            check(w.dst, w.rows, w.dst_stride, len, c.spad_words, FaultCode::Spad)?;
            return check(w.sidx, w.rows, 1, 1, c.s_words, FaultCode::Smem);
        }
        LD_SCALARS => check(w.dst, w.rows, w.dst_stride, 16 * len, c.s_words, FaultCode::Smem)?,
        _ => {
            if w.len == 0 || w.len > c.wfifo_words || w.shape.sfifo_words() > c.sfifo_words {
                return Err(FaultCode::Wfifo);
            }
            let end = w.tile_unit(w.first + w.rows - 1, c.slices) + w.tile_units();
            return if end <= m.channel_units { Ok(()) } else { Err(FaultCode::Dram) };
        }
    }
    let end = u64::from(w.src) + u64::from(w.rows - 1) * u64::from(w.src_stride) + len;
    if end <= m.main_units() {
        Ok(())
    } else {
        Err(FaultCode::Dram)
    }
}

/// Source unit of row `r`; `None` for a gathered row that is out of range.
pub(crate) fn row_source(w: &LdWork, m: &Memory, r: u32) -> Option<u64> {
    let index = match w.mode {
        LD_GATHER if m.data => m.s[(w.sidx + r) as usize],
        LD_GATHER => 0,
        _ => r,
    };
    // Saturating: anything past 2^32 is out of range anyway.
    let from = u64::from(w.src).saturating_add(u64::from(index) * u64::from(w.src_stride));
    (from.saturating_add(u64::from(w.len)) <= m.main_units()).then_some(from)
}

/// Everything but mode WEIGHT.
pub(crate) fn run(w: &LdWork, m: &mut Memory) -> Result<(), FaultCode> {
    for r in 0..w.rows {
        let from = row_source(w, m, r).ok_or(FaultCode::Dram)?;
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
