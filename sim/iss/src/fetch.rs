//! Launch: reading the code and its expansion into instruction memory.

use crate::bursts::{burst_beats, Reader};
use crate::memory::Memory;
use crate::timing;
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::isa::{load_code, Word};
use flightvlm_hw::machine::{FaultCode, Launch};
use flightvlm_mem::Port;

/// Quarters of a unit: an instruction takes one or two.
const QUARTERS: usize = 4;

/// Code and the cycle of the first instruction (0 without a port: no timing).
pub(crate) fn fetch(
    m: &Memory,
    port: Option<&mut Port>,
    launch: &Launch,
    config: &HwConfig,
) -> Result<(Vec<Word>, u64), FaultCode> {
    let (first, units) = (u64::from(launch.code_base_units), u64::from(launch.code_units));
    if launch.code_len > config.imem_words || launch.code_len > 0 && units == 0 {
        return Err(FaultCode::Pc);
    }
    if first + units > m.main_units() {
        return Err(FaultCode::Dram);
    }
    let bytes = &m.main[first as usize * UNIT_BYTES..][..units as usize * UNIT_BYTES];
    let code = load_code(bytes, launch.code_len as usize);
    if code.len() < launch.code_len as usize {
        return Err(FaultCode::Pc);
    }
    let at = port.map_or(0, |port| cycles(&code, port, first, units));
    Ok((code, at))
}

/// An instruction a cycle; one that begins in a unit's last quarter and a unit behind the last
/// instruction take a cycle of their own.
fn cycles(code: &[Word], port: &mut Port, first: u64, units: u64) -> u64 {
    let mut steps = vec![0u64; units as usize];
    let mut quarter = 0;
    for w in code {
        steps[quarter / QUARTERS] += 1;
        if w.is_long() && quarter % QUARTERS == QUARTERS - 1 {
            steps[quarter / QUARTERS + 1] += 1;
        }
        quarter += if w.is_long() { 2 } else { 1 };
    }
    for (u, s) in steps.iter_mut().enumerate().skip(quarter / QUARTERS) {
        *s += u64::from(u * QUARTERS >= quarter || quarter % QUARTERS != 0);
    }
    let mut reader = Reader::new(timing::FETCH_START_CYCLES);
    let (mut unit, mut at) = (0, 0);
    while unit < units {
        let beats = burst_beats(first + unit, units - unit);
        let mut next = unit as usize;
        // A beat is held until its unit's last step.
        reader.burst(port, first + unit, beats, |_, offered| {
            at = offered.max(at + 1) + steps[next].max(1) - 1;
            next += 1;
            at
        });
        unit += beats;
    }
    (at.max(timing::FETCH_START_CYCLES) + timing::FETCH_END_CYCLES).max(timing::SCALARS_CYCLES)
}
