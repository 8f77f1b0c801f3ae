//! Runs one program on two machines and describes the first difference.

use crate::progen::Case;
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::isa::{disassemble, Unit};
use flightvlm_hw::machine::{Bank, Counters, Launch, Machine, OnChip, Report};

/// Everything that must be equal.
pub struct Outcome {
    /// Report of the launch.
    pub report: Report,
    /// Main memory after it.
    pub main: Vec<u8>,
    /// The channels after it.
    pub channels: Vec<Vec<u8>>,
    /// On-chip state after it.
    pub on_chip: OnChip,
}

/// Loads and runs a case.
pub fn run(machine: &mut dyn Machine, case: &Case) -> Outcome {
    let units = |bytes: &[u8]| (bytes.len() / UNIT_BYTES) as u32;
    machine.resize(units(&case.main), units(&case.channels[0])).expect("memory can be reserved");
    machine.write(Bank::Main, 0, &case.main).expect("main memory can be written");
    for (i, c) in case.channels.iter().enumerate() {
        machine.write(Bank::Channel(i as u32), 0, c).expect("a channel can be written");
    }
    machine.record(true);
    let launch = Launch {
        code_base_units: case.code_base_units,
        code_units: case.code_units,
        code_len: case.code.len() as u32,
        entry: 0,
        args: case.args,
        watchdog_cycles: case.watchdog_cycles,
    };
    let report = machine.launch(&launch).expect("the launch can be made");
    let mut read = |bank, len: usize| {
        let mut bytes = vec![0; len];
        machine.read(bank, 0, &mut bytes).expect("memory can be read");
        bytes
    };
    let main = read(Bank::Main, case.main.len());
    let channels = (0..case.channels.len()).map(|c| read(Bank::Channel(c as u32), case.channels[c].len()));
    let channels = channels.collect();
    let on_chip = machine.on_chip().expect("both simulators have a backdoor");
    Outcome { report, main, channels, on_chip }
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
    let counts = |c: &Counters| {
        let channels = [c.channel_read_beats, c.channel_write_beats];
        [c.dispatched, c.read_beats, c.write_beats, channels[0], channels[1], c.mac_beats]
    };
    // A fault stops the machines in the middle of work that neither counts the same way.
    if a.report.fault.is_none() && counts(x) != counts(y) {
        let what = "dispatched, read and write beats, the same of channels, mac beats";
        return Some(format!("{what}: {:?} against {:?}", counts(x), counts(y)));
    }
    let (m, n) = (&a.on_chip, &b.on_chip);
    first_difference("R", &m.r, &n.r)
        .or_else(|| first_difference("S", &m.s, &n.s))
        .or_else(|| first_difference("SPAD", &m.spad, &n.spad))
        .or_else(|| first_difference("ABUF", &m.abuf, &n.abuf))
        .or_else(|| first_difference("main memory", &a.main, &b.main))
        .or_else(|| {
            let pairs = a.channels.iter().zip(&b.channels).enumerate();
            pairs.into_iter().find_map(|(i, (x, y))| first_difference(&format!("channel {i}"), x, y))
        })
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
