//! Checks a command trace against the timing rules. Shares nothing with the scheduler but the type of
//! the rules: it looks back from every command, where the scheduler looks ahead.

use flightvlm_mem::{Command, CommandKind, Timing};

/// Commands of a legal trace.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub activates: u64,
    pub reads: u64,
    pub writes: u64,
    pub refreshes: u64,
}

struct Checker<'a> {
    t: &'a Timing,
    past: &'a [Command],
    now: Command,
}

impl Checker<'_> {
    fn group(&self, bank: usize) -> u64 {
        bank as u64 / self.t.banks_per_group
    }

    /// Latest earlier command that satisfies a predicate.
    fn last(&self, wanted: impl Fn(&Command) -> bool) -> Option<&Command> {
        self.past.iter().rev().find(|c| wanted(c))
    }

    fn of_bank(&self, kind: CommandKind) -> impl Fn(&Command) -> bool {
        let bank = self.now.bank;
        move |c| c.kind == kind && c.bank == bank
    }

    /// The latest command that satisfies a predicate lies at least `ticks` back.
    fn apart(&self, rule: &str, ticks: u64, wanted: impl Fn(&Command) -> bool) -> Result<(), String> {
        match self.last(wanted) {
            Some(before) if before.tick + ticks > self.now.tick => {
                Err(format!("{rule}: {before:?} then {:?}, expected {ticks} ticks between them", self.now))
            }
            _ => Ok(()),
        }
    }

    fn open_row(&self) -> Option<u64> {
        let bank = self.now.bank;
        let last = self
            .last(|c| c.bank == bank && matches!(c.kind, CommandKind::Activate | CommandKind::Precharge))?;
        (last.kind == CommandKind::Activate).then_some(last.row)
    }

    fn activate(&self) -> Result<(), String> {
        let (t, group) = (self.t, self.group(self.now.bank));
        if self.open_row().is_some() {
            return Err(format!("state: {:?} while a row is open", self.now));
        }
        let activate = |c: &Command| c.kind == CommandKind::Activate;
        self.apart("tRP", t.t_rp, self.of_bank(CommandKind::Precharge))?;
        self.apart("tRC", t.t_rc, self.of_bank(CommandKind::Activate))?;
        self.apart("tRRD_S", t.t_rrd_s, activate)?;
        self.apart("tRRD_L", t.t_rrd_l, |c| activate(c) && self.group(c.bank) == group)?;
        self.apart("tRFC", t.t_rfc, |c| c.kind == CommandKind::Refresh)?;
        match self.past.iter().rev().filter(|c| activate(c)).nth(3) {
            Some(fifth) if fifth.tick + t.t_faw > self.now.tick => Err(format!(
                "tFAW: {fifth:?} is the fourth before {:?}, expected {} ticks",
                self.now, t.t_faw
            )),
            _ => Ok(()),
        }
    }

    fn precharge(&self) -> Result<(), String> {
        let t = self.t;
        if self.open_row().is_none() {
            return Err(format!("state: {:?} of a closed bank", self.now));
        }
        self.apart("tRAS", t.t_ras, self.of_bank(CommandKind::Activate))?;
        self.apart("tRTP", t.t_rtp, self.of_bank(CommandKind::Read))?;
        self.apart("tWR", t.cwl + t.burst + t.t_wr, self.of_bank(CommandKind::Write))
    }

    fn column(&self) -> Result<(), String> {
        let (t, group) = (self.t, self.group(self.now.bank));
        if self.open_row() != Some(self.now.row) {
            return Err(format!("state: {:?} needs its row open, open is {:?}", self.now, self.open_row()));
        }
        let reads = self.now.kind == CommandKind::Read;
        let column = |c: &Command| matches!(c.kind, CommandKind::Read | CommandKind::Write);
        let write = |c: &Command| c.kind == CommandKind::Write;
        let rcd = if reads { t.t_rcd_rd } else { t.t_rcd_wr };
        self.apart("tRCD", rcd, self.of_bank(CommandKind::Activate))?;
        self.apart("tCCD_S", t.t_ccd_s, column)?;
        self.apart("tCCD_L", t.t_ccd_l, |c| column(c) && self.group(c.bank) == group)?;
        if reads {
            let after_data = t.cwl + t.burst;
            self.apart("tWTR_S", after_data + t.t_wtr_s, write)?;
            self.apart("tWTR_L", after_data + t.t_wtr_l, |c| write(c) && self.group(c.bank) == group)?;
        }
        // Data of the command before on the bus.
        let start = |c: &Command| c.tick + if c.kind == CommandKind::Read { t.cl } else { t.cwl };
        if let Some(before) = self.last(column) {
            let bubble = if before.kind == CommandKind::Read && !reads { t.t_bubble } else { 0 };
            if start(before) + t.burst + bubble > start(&self.now) {
                return Err(format!("bus: data of {before:?} and {:?} overlap", self.now));
            }
        }
        Ok(())
    }

    fn refresh(&self) -> Result<(), String> {
        self.apart("tRP before REF", self.t.t_rp, |c| c.kind == CommandKind::Precharge)?;
        let banks = self.t.banks() as usize;
        for bank in 0..banks {
            let of_bank = Checker { now: Command { bank, ..self.now }, ..*self };
            if let Some(row) = of_bank.open_row() {
                return Err(format!("state: {:?} with row {row} of bank {bank} open", self.now));
            }
        }
        let refresh = self.last(|c| c.kind == CommandKind::Refresh);
        match refresh {
            Some(before) if self.now.tick - before.tick != self.t.t_refi => {
                Err(format!("tREFI: {before:?} then {:?}", self.now))
            }
            _ => Ok(()),
        }
    }
}

/// Commands must be sorted by tick. With `refreshed`, no stretch of two tREFI may lack a refresh.
pub fn check(t: &Timing, commands: &[Command], refreshed: bool) -> Result<Counts, String> {
    let mut counts = Counts::default();
    // Rules reach back over tREFI at most; the state of a bank reaches back to its last ACT, which a
    // refresh limits. Without refresh a bank's row may be older, so look at everything then.
    let mut oldest = 0;
    for (i, &now) in commands.iter().enumerate() {
        while refreshed && commands[oldest].tick + 2 * t.t_refi < now.tick {
            oldest += 1;
        }
        let checker = Checker { t, past: &commands[oldest..i], now };
        match now.kind {
            CommandKind::Activate => {
                counts.activates += 1;
                checker.activate()?;
            }
            CommandKind::Precharge => checker.precharge()?,
            CommandKind::Read => {
                counts.reads += 1;
                checker.column()?;
            }
            CommandKind::Write => {
                counts.writes += 1;
                checker.column()?;
            }
            CommandKind::Refresh => {
                counts.refreshes += 1;
                checker.refresh()?;
            }
        }
    }
    let end = commands.last().map_or(0, |c| c.tick);
    if refreshed && counts.refreshes + 2 < end / t.t_refi {
        return Err(format!("tREFI: {} refreshes in {end} ticks", counts.refreshes));
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use CommandKind::{Activate, Precharge, Read, Refresh, Write};

    /// Tick, kind, bank, row.
    type Short = (u64, CommandKind, usize, u64);

    fn trace(commands: &[Short]) -> Vec<Command> {
        commands.iter().map(|&(tick, kind, bank, row)| Command { tick, kind, bank, row }).collect()
    }

    /// Each trace is legal until its last command, which is one tick too early for the named rule.
    #[test]
    fn every_rule_fires() {
        let t = Timing { t_faw: 30, ..Timing::hbm2_u280() };
        // Banks 0..4 are group 0, 4..8 group 1.
        let opened = [(0, Activate, 0, 7), (6, Activate, 1, 7), (10, Activate, 4, 7)];
        let late = |more: &[Short]| [&opened[..], more].concat();
        let cases: Vec<(&str, Vec<Short>)> = vec![
            ("tRP:", vec![(0, Activate, 0, 1), (40, Precharge, 0, 1), (53, Activate, 0, 1)]),
            ("tRC", vec![(0, Activate, 0, 1), (31, Precharge, 0, 1), (44, Activate, 0, 1)]),
            ("tRRD_S", vec![(0, Activate, 0, 1), (4, Activate, 4, 1)]),
            ("tRRD_L", vec![(0, Activate, 0, 1), (6, Activate, 1, 1)]),
            (
                "tFAW",
                [4, 8, 12, 16, 30]
                    .map(|at| at + 10)
                    .iter()
                    .zip([0, 4, 8, 12, 1])
                    .map(|(&at, bank)| (if bank == 1 { 44 } else { at }, Activate, bank, 1))
                    .collect(),
            ),
            ("tRFC", vec![(100, Refresh, 0, 0), (334, Activate, 0, 1)]),
            ("tRAS", vec![(0, Activate, 0, 1), (31, Precharge, 0, 1)]),
            ("tRTP", late(&[(60, Read, 0, 7), (65, Precharge, 0, 7)])),
            ("tWR", late(&[(60, Write, 0, 7), (82, Precharge, 0, 7)])),
            ("tRCD", vec![(0, Activate, 0, 1), (13, Read, 0, 1)]),
            ("tRCD", vec![(0, Activate, 0, 1), (11, Write, 0, 1)]),
            ("tCCD_S", late(&[(60, Read, 0, 7), (62, Read, 4, 7)])),
            ("tCCD_L", late(&[(60, Read, 0, 7), (64, Read, 1, 7)])),
            ("tWTR_S", late(&[(60, Write, 0, 7), (73, Read, 4, 7)])),
            ("tWTR_L", late(&[(60, Write, 0, 7), (75, Read, 1, 7)])),
            ("bus", late(&[(60, Read, 0, 7), (71, Write, 4, 7)])),
            ("tRP before", vec![(0, Activate, 0, 1), (40, Precharge, 0, 1), (53, Refresh, 0, 0)]),
        ];
        for (rule, commands) in cases {
            let legal = trace(&commands);
            // tRC of this set equals tRAS + tRP, so its case also breaks tRP when moved.
            check(&t, &legal, false).unwrap_or_else(|e| panic!("{rule}: legal trace refused: {e}"));
            let mut early = legal;
            early.last_mut().expect("not empty").tick -= 1;
            let refused = check(&t, &early, false).expect_err(rule);
            let expected = if rule == "tRC" { "tRP" } else { rule };
            assert!(refused.starts_with(expected), "{rule}: {refused}");
        }
        let t = Timing { t_rc: 60, ..t };
        let early = trace(&[(0, Activate, 0, 1), (31, Precharge, 0, 1), (59, Activate, 0, 1)]);
        assert!(check(&t, &early, false).expect_err("tRC").starts_with("tRC"));
    }

    #[test]
    fn wrong_states_are_refused() {
        let t = Timing::hbm2_u280();
        let cases = [
            trace(&[(0, Activate, 0, 1), (100, Activate, 0, 2)]),
            trace(&[(0, Precharge, 0, 1)]),
            trace(&[(0, Activate, 0, 1), (50, Read, 0, 2)]),
            trace(&[(0, Activate, 0, 1), (50, Precharge, 0, 1), (80, Write, 0, 1)]),
            trace(&[(0, Activate, 3, 1), (3510, Refresh, 0, 0)]),
        ];
        for case in cases {
            assert!(check(&t, &case, false).expect_err("state").starts_with("state"), "{case:?}");
        }
        let late = trace(&[(3510, Refresh, 0, 0), (7021, Refresh, 0, 0)]);
        assert!(check(&t, &late, true).expect_err("tREFI").starts_with("tREFI"));
        let none = trace(&[(0, Activate, 3, 1), (31, Precharge, 3, 1), (40_000, Activate, 3, 1)]);
        assert!(check(&t, &none, true).expect_err("tREFI").starts_with("tREFI"));
    }
}
