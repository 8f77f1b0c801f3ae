//! The matrix unit's commands from start to end: one is at the walk (`MatrixRun`), one waits in front
//! of it, the others drain. They end in the order of their starts.

use crate::matrix::MatrixRun;
use crate::timing;
use crate::work::{Command, MmWork};
use flightvlm_hw::config::MM_FLIGHTS;
use flightvlm_hw::machine::FaultCode;
use std::collections::VecDeque;

/// What a command that starts is.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Work(MmWork),
    /// No rows or tiles.
    Empty,
    Bad(FaultCode),
}

/// A command that has started and is not at the walk.
struct Waiting {
    command: Command,
    kind: Kind,
    start: u64,
}

/// A command that has ended.
pub(crate) struct Ended {
    pub command: Command,
    /// If it had work: with what it did.
    pub run: Option<MatrixRun>,
    pub start: u64,
    pub end: u64,
}

#[derive(Default)]
pub(crate) struct MatrixUnit {
    pub run: Option<MatrixRun>,
    pair_write_cycles: u64,
    waiting: VecDeque<Waiting>,
    /// Last beat of the last command that left the walk.
    last_issue: Option<u64>,
    /// When the place in front of the walk can take the next command, if it does not wait for the walk.
    front_free: u64,
    /// Ends of the last commands.
    ends: VecDeque<u64>,
}

impl MatrixUnit {
    pub fn new(pair_write_cycles: u32) -> MatrixUnit {
        MatrixUnit { pair_write_cycles: pair_write_cycles.into(), ..MatrixUnit::default() }
    }

    /// Nothing started that has not ended.
    pub fn is_idle(&self) -> bool {
        self.run.is_none() && self.waiting.is_empty()
    }

    /// Oldest command that has not ended.
    pub fn oldest_pc(&self) -> Option<u32> {
        let walking = self.run.as_ref().map(|r| r.command.pc);
        walking.or(self.waiting.front().map(|w| w.command.pc))
    }

    /// First cycle in which a command can start; `None` as long as that depends on what is not known.
    pub fn takes_from(&self) -> Option<u64> {
        if self.waiting.iter().any(|w| !matches!(w.kind, Kind::Empty)) {
            return None;
        }
        let flights = MM_FLIGHTS as usize;
        let open = usize::from(self.run.is_some()) + self.waiting.len();
        let place = flights.checked_sub(open).filter(|p| *p > 0)?;
        let freed = self.ends.len().checked_sub(place).map_or(0, |i| self.ends[i] + timing::NEXT_CYCLES);
        Some(self.front_free.max(freed))
    }

    /// A command starts.
    pub fn start(&mut self, command: Command, kind: Kind, start: u64) {
        self.front_free = start + timing::MM_EMPTY_CYCLES + 1;
        self.waiting.push_back(Waiting { command, kind, start });
        self.go_on();
    }

    /// The command in front goes to the walk when that is free.
    fn go_on(&mut self) {
        if self.run.is_some() {
            return;
        }
        if let Some(&Waiting { command, kind: Kind::Work(work), start }) = self.waiting.front() {
            let behind = self.last_issue.map_or(0, |t| t + timing::MM_NEXT_CYCLES);
            let first = (start + timing::MM_START_CYCLES).max(behind);
            self.front_free = (start + timing::MM_START_CYCLES + 1).max(behind);
            self.waiting.pop_front();
            self.run = Some(MatrixRun::new(command, work, start, first, self.pair_write_cycles));
        }
    }

    /// A bad command faults when those before it have ended: in which cycle.
    pub fn fault(&self) -> Option<(u64, u32, FaultCode)> {
        let w = self.waiting.front().filter(|_| self.run.is_none())?;
        let Kind::Bad(code) = w.kind else { return None };
        Some(((w.start + timing::MM_VERDICT_CYCLES).max(self.after_last()), w.command.pc, code))
    }

    /// First cycle in which a further command can end.
    fn after_last(&self) -> u64 {
        self.ends.back().map_or(0, |e| e + 1)
    }

    /// The command that ends next, if it is known when.
    pub fn next_end(&mut self) -> Option<Ended> {
        let after = self.after_last();
        let ended = if let Some(run) = self.run.take_if(|r| r.is_done()) {
            let t = run.last_issue();
            self.last_issue = Some(t);
            let end = (t + timing::mm_end_cycles(self.pair_write_cycles)).max(after);
            Ended { command: run.command, start: run.start, end, run: Some(run) }
        } else {
            let run = &self.run;
            let w = self.waiting.pop_front_if(|w| run.is_none() && matches!(w.kind, Kind::Empty))?;
            let end = (w.start + timing::MM_EMPTY_CYCLES).max(after);
            Ended { command: w.command, start: w.start, end, run: None }
        };
        self.ends.push_back(ended.end);
        if self.ends.len() > MM_FLIGHTS as usize {
            self.ends.pop_front();
        }
        self.go_on();
        Some(ended)
    }
}
