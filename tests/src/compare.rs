//! Runs one program on two machines and describes the first difference.

use crate::progen::Case;
use flightvlm_hw::isa::{disassemble, Unit};
use flightvlm_hw::machine::{Launch, Machine, OnChip, Report};

/// Everything that must be equal.
pub struct Outcome {
    /// Report of the launch.
    pub report: Report,
    /// DRAM after it.
    pub dram: Vec<u8>,
    /// On-chip state after it.
    pub on_chip: OnChip,
}

/// Loads and runs a case.
pub fn run(machine: &mut dyn Machine, case: &Case) -> Outcome {
    machine.resize_dram(case.dram.len() as u32 / 64).expect("DRAM can be reserved");
    machine.write(0, &case.dram).expect("DRAM can be written");
    machine.record(true);
    let launch = Launch {
        code_base_units: case.code_base_units,
        code_len: case.code.len() as u32,
        entry: 0,
        args: case.args,
        watchdog_cycles: case.watchdog_cycles,
    };
    let report = machine.launch(&launch).expect("the launch can be made");
    let mut dram = vec![0; case.dram.len()];
    machine.read(0, &mut dram).expect("DRAM can be read");
    let on_chip = machine.on_chip().expect("both simulators have a backdoor");
    Outcome { report, dram, on_chip }
}

fn first_difference<T: PartialEq + std::fmt::Debug>(what: &str, a: &[T], b: &[T]) -> Option<String> {
    if a.len() != b.len() {
        return Some(format!("{what}: {} against {} entries", a.len(), b.len()));
    }
    let at = a.iter().zip(b).position(|(x, y)| x != y)?;
    Some(format!("{what}[{at}]: {:x?} against {:x?}", a[at], b[at]))
}

/// The first thing in which `b` differs from `a`; retired commands first, because they name the
/// instruction.
pub fn difference(case: &Case, a: &Outcome, b: &Outcome) -> Option<String> {
    if a.report.fault != b.report.fault {
        return Some(format!("fault: {:?} against {:?}", a.report.fault, b.report.fault));
    }
    for u in Unit::QUEUES {
        let pcs = |o: &Outcome| o.report.retired[u as usize].iter().map(|r| r.pc).collect::<Vec<_>>();
        if let Some(d) = first_difference(&format!("retired by {}", u.name()), &pcs(a), &pcs(b)) {
            return Some(d);
        }
    }
    let (x, y) = (&a.report.counters, &b.report.counters);
    let counts =
        |c: &flightvlm_hw::machine::Counters| [c.dispatched, c.read_beats, c.write_beats, c.mac_beats];
    // A fault stops the machines in the middle of work that neither counts the same way.
    if a.report.fault.is_none() && counts(x) != counts(y) {
        let what = "dispatched, read beats, write beats, mac beats";
        return Some(format!("{what}: {:?} against {:?}", counts(x), counts(y)));
    }
    let (m, n) = (&a.on_chip, &b.on_chip);
    first_difference("R", &m.r, &n.r)
        .or_else(|| first_difference("S", &m.s, &n.s))
        .or_else(|| first_difference("SPAD", &m.spad, &n.spad))
        .or_else(|| first_difference("ABUF", &m.abuf, &n.abuf))
        .or_else(|| first_difference("DRAM", &a.dram, &b.dram))
        .map(|d| format!("{d} (program of {} instructions)", case.code.len()))
}

/// The program as text.
pub fn listing(case: &Case) -> String {
    let line = |(pc, w): (usize, &flightvlm_hw::isa::Word)| match flightvlm_hw::isa::Insn::decode(w) {
        Ok(insn) => format!("{pc:>4}  {}\n", disassemble(&insn)),
        Err(e) => format!("{pc:>4}  {w:x?} ; {e}\n"),
    };
    case.code.iter().enumerate().map(line).collect()
}
