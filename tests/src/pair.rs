//! Two machines as one: every launch runs on both, and the first difference ends it with the
//! instruction, the part of the model and the cycle.

use flightvlm_hw::isa::Unit;
use flightvlm_hw::machine::{Bank, Launch, Machine, MachineError, OnChip, Report};
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// Names the instruction at a pc and what it computes.
pub type Describe = Box<dyn Fn(u32) -> String>;

/// The pair; reports and memory are the second machine's.
pub struct Pair {
    a: Box<dyn Machine>,
    b: Box<dyn Machine>,
    describe: Describe,
    /// Commands compared so far.
    pub compared: Arc<std::sync::atomic::AtomicU64>,
}

impl Pair {
    /// Pairs two machines.
    pub fn new(mut a: Box<dyn Machine>, mut b: Box<dyn Machine>, describe: Describe) -> Pair {
        a.record(true);
        b.record(true);
        Pair { a, b, describe, compared: Arc::default() }
    }

    /// The first difference between two launches.
    fn difference(&self, a: &Report, b: &Report) -> Option<String> {
        for u in Unit::QUEUES {
            let (x, y) = (&a.retired[u as usize], &b.retired[u as usize]);
            for (i, (p, q)) in x.iter().zip(y).enumerate() {
                if p.pc != q.pc {
                    return Some(format!(
                        "{} command {i}: {} (cycle {}) against {} (cycle {})",
                        u.name(),
                        (self.describe)(p.pc),
                        p.cycle,
                        (self.describe)(q.pc),
                        q.cycle
                    ));
                }
            }
            if x.len() != y.len() {
                let rest = x.get(y.len()).or(y.get(x.len())).expect("invariant: one is longer");
                return Some(format!(
                    "{}: {} against {} commands; the first without partner is {} (cycle {})",
                    u.name(),
                    x.len(),
                    y.len(),
                    (self.describe)(rest.pc),
                    rest.cycle
                ));
            }
        }
        (a.fault != b.fault).then(|| format!("fault {:?} against {:?}", a.fault, b.fault))
    }
}

impl Machine for Pair {
    fn name(&self) -> &str {
        "pair"
    }
    fn keeps_time(&self) -> bool {
        self.b.keeps_time()
    }
    fn resize(&mut self, main_units: u32, channel_units: u32) -> Result<(), MachineError> {
        self.a.resize(main_units, channel_units)?;
        self.b.resize(main_units, channel_units)
    }
    fn write(&mut self, bank: Bank, address_bytes: u64, data: &[u8]) -> Result<(), MachineError> {
        self.a.write(bank, address_bytes, data)?;
        self.b.write(bank, address_bytes, data)
    }
    fn read(&mut self, bank: Bank, address_bytes: u64, out: &mut [u8]) -> Result<(), MachineError> {
        let mut other = vec![0; out.len()];
        self.a.read(bank, address_bytes, &mut other)?;
        self.b.read(bank, address_bytes, out)?;
        match other.iter().zip(out.iter()).position(|(x, y)| x != y) {
            None => Ok(()),
            Some(at) => {
                let address = address_bytes + at as u64;
                let (x, y) = (other[at], out[at]);
                Err(MachineError(format!("{bank} differs at {address:#x}: {x} against {y}")))
            }
        }
    }
    fn launch(&mut self, launch: &Launch) -> Result<Report, MachineError> {
        let (a, b) = (self.a.launch(launch)?, self.b.launch(launch)?);
        if let Some(d) = self.difference(&a, &b) {
            let names = format!("{} against {}", self.a.name(), self.b.name());
            return Err(MachineError(format!("{names}: {d}")));
        }
        let commands = b.retired.iter().map(|r| r.len() as u64).sum();
        self.compared.fetch_add(commands, std::sync::atomic::Ordering::Relaxed);
        Ok(b)
    }
    fn record(&mut self, _on: bool) {}
    fn on_chip(&mut self) -> Option<OnChip> {
        self.b.on_chip()
    }
    fn interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.a.interrupt(flag.clone());
        self.b.interrupt(flag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightvlm_hw::machine::Retire;
    use flightvlm_iss::Iss;

    #[test]
    fn the_first_difference_names_instruction_part_and_cycle() {
        let iss = || Box::new(Iss::new(flightvlm_hw::config::HwConfig::sim()));
        let pair = Pair::new(iss(), iss(), Box::new(|pc| format!("instruction {pc} of layer {}", pc / 10)));
        let report = |pcs: &[u32]| {
            let mut r = Report::default();
            r.retired[3] = pcs.iter().map(|pc| Retire { pc: *pc, cycle: 7 * u64::from(*pc) }).collect();
            r
        };
        assert_eq!(pair.difference(&report(&[1, 2]), &report(&[1, 2])), None);
        let d = pair.difference(&report(&[1, 23]), &report(&[1, 24])).unwrap();
        assert!(d.contains("vx command 1: instruction 23 of layer 2 (cycle 161)"), "{d}");
        let d = pair.difference(&report(&[1, 23]), &report(&[1])).unwrap();
        assert!(d.contains("2 against 1 commands") && d.contains("instruction 23"), "{d}");
    }
}
