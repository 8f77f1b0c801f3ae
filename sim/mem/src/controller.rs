//! Memory controller and banks of one DRAM channel, in memory ticks.
//!
//! Every access gets its commands when it is submitted, in the earliest places that the banks, the two
//! calendars and the refresh leave; nothing placed moves again. A later access may slip before an
//! earlier one of another bank: that is the controller's reordering. How far is bounded by a window.

use crate::activates::Activates;
use crate::columns::{Columns, SLOT_TICKS};
use crate::map::{AddressMap, Place};
use crate::refresh::Refresh;
use crate::timing::Timing;
use crate::trace::{Command, CommandKind};
use std::collections::VecDeque;

/// What a channel's controller needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerConfig {
    /// Rules of the DRAM.
    pub timing: Timing,
    /// Address to bank and row.
    pub map: AddressMap,
    /// Accesses (column commands) that reads may be reordered over: an access is looked at when the
    /// one so many places before has got its command. A power of two.
    pub window_accesses: usize,
    /// Posted write accesses that start a write phase.
    pub write_batch_accesses: usize,
    /// Read accesses after which waiting writes get a phase in any case.
    pub write_age_accesses: u64,
    /// Ticks of idle bus after which waiting writes use it.
    pub write_idle_ticks: u64,
    /// Refresh at all.
    pub refresh: bool,
    /// Ticks by which this channel's refreshes lie after tick 0 (modulo tREFI).
    pub refresh_phase_ticks: u64,
}

/// Read data of consecutive accesses: the first complete at `tick`, the others `stride` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Tick of the first access's last data.
    pub tick: u64,
    /// Accesses.
    pub count: u64,
    /// Ticks between them.
    pub stride: u64,
}

#[derive(Debug, Clone, Copy)]
struct Bank {
    /// Open row, if `open`; a refresh at `refresh_at` closes it.
    row: u64,
    open: bool,
    refresh_at: u64,
    /// Last ACT, and the first tick of the next one when the bank is closed.
    activated: u64,
    activate_from: u64,
    /// First ticks of a column command (by direction) and of PRE.
    column_from: [u64; 2],
    precharge_from: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read = 0,
    Write = 1,
}

struct PostedWrite {
    access: u64,
    /// Its data are there.
    from: u64,
}

/// See the module's description.
pub struct Controller {
    config: ControllerConfig,
    banks: Vec<Bank>,
    columns: Columns,
    activates: Activates,
    refresh: Refresh,
    /// No command of an access yet to come is earlier.
    base: u64,
    /// Direction of the bus, and first ticks of column commands in this phase, all and by group.
    direction: Direction,
    phase_from: u64,
    group_from: Vec<u64>,
    /// Latest column command of reads, of writes, of writes by group.
    last_read: Option<u64>,
    last_write: u64,
    last_group_write: Vec<u64>,
    /// For each of the last reads the latest column command up to it.
    window: Vec<u64>,
    reads: u64,
    /// Writes that wait, and the column commands of the last ones that did.
    posted: VecDeque<PostedWrite>,
    drained: Vec<u64>,
    writes: u64,
    reads_past_writes: u64,
    trace: Option<Vec<Command>>,
}

impl Controller {
    /// # Panics
    /// If map and timing set disagree about the banks, or the window is no power of two.
    pub fn new(config: ControllerConfig) -> Controller {
        let t = &config.timing;
        assert!(config.map.fits(t), "map {:?}: expected the banks of {t:?}", config.map);
        assert!(t.bank_groups <= 4, "{} bank groups: expected at most 4", t.bank_groups);
        assert!(
            config.window_accesses.is_power_of_two(),
            "window of {} accesses: expected a power of two",
            config.window_accesses
        );
        assert!(config.write_batch_accesses > 0, "write batch of 0 accesses: expected at least 1");
        // Worst case: every access in flight needs a row of the same bank.
        let in_flight = (2 * config.window_accesses + 4 * config.write_batch_accesses) as u64;
        let span = (in_flight + 2) * (t.t_rc + t.write_to_precharge() + t.t_rp) + 4 * (t.t_rfc + t.t_rc);
        let span = if config.refresh { span + span / t.t_refi * 2 * (t.t_rfc + t.t_rc) } else { span };
        let bank = Bank {
            row: 0,
            open: false,
            refresh_at: 0,
            activated: 0,
            activate_from: 0,
            column_from: [0; 2],
            precharge_from: 0,
        };
        let interval = if config.refresh { t.t_refi } else { 0 };
        let phase = config.refresh_phase_ticks % t.t_refi.max(1);
        Controller {
            banks: vec![bank; t.banks() as usize],
            columns: Columns::new(t.t_ccd_s, t.t_ccd_l, span / SLOT_TICKS),
            activates: Activates::new(t),
            refresh: Refresh::new(phase, interval, t.t_rfc),
            base: 0,
            direction: Direction::Read,
            phase_from: 0,
            group_from: vec![0; t.bank_groups as usize],
            last_read: None,
            last_write: 0,
            last_group_write: vec![0; t.bank_groups as usize],
            window: vec![0; config.window_accesses],
            reads: 0,
            posted: VecDeque::new(),
            drained: vec![0; 2 * config.write_batch_accesses],
            writes: 0,
            reads_past_writes: 0,
            trace: None,
            config,
        }
    }

    /// Configuration.
    pub fn config(&self) -> &ControllerConfig {
        &self.config
    }

    /// Keeps every command from now on.
    pub fn start_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// Commands so far by tick, refreshes up to the last of them included; empty without
    /// [`Controller::start_trace`].
    pub fn take_trace(&mut self) -> Vec<Command> {
        let mut trace = self.trace.take().unwrap_or_default();
        let end = trace.iter().map(|c| c.tick).max().unwrap_or(0);
        // Rows still open are closed by the refresh that ends their interval.
        for bank in 0..self.banks.len() {
            let b = &self.banks[bank];
            let tick = b.refresh_at.saturating_sub(self.config.timing.t_rp);
            if b.open && tick <= end + self.config.timing.t_rp {
                trace.push(Command { tick, kind: CommandKind::Precharge, bank, row: b.row });
            }
        }
        let mut at = self.refresh.not_over_at(0);
        while at <= end {
            trace.push(Command { tick: at, kind: CommandKind::Refresh, bank: 0, row: 0 });
            at = self.refresh.not_over_at(self.refresh.over(at));
        }
        trace.sort_unstable();
        trace
    }

    #[inline]
    fn record(&mut self, tick: u64, kind: CommandKind, bank: usize, row: u64) {
        if let Some(trace) = &mut self.trace {
            trace.push(Command { tick, kind, bank, row });
        }
    }

    /// Reads `count` accesses from `first` on, requested at `arrival`; appends when their data are
    /// complete. Submit requests in the order of their arrival.
    pub fn read(&mut self, arrival: u64, first: u64, count: u64, runs: &mut Vec<Run>) {
        self.use_idle_bus(arrival);
        let end = first + count;
        let mut access = first;
        while access < end {
            let together = self.config.map.same_rows(access).min(end - access);
            let together = together.min(self.config.window_accesses as u64);
            self.read_rows(arrival, access, together, runs);
            access += together;
        }
        if !self.posted.is_empty() {
            self.reads_past_writes += count;
            if self.reads_past_writes >= self.config.write_age_accesses {
                self.write_phase();
            }
        }
    }

    /// Posts `count` write accesses whose data are there at `arrival`; returns the tick at which the
    /// last has its place in the write buffer.
    pub fn write(&mut self, arrival: u64, first: u64, count: u64) -> u64 {
        self.use_idle_bus(arrival);
        let mut accepted = arrival;
        for access in first..first + count {
            if self.posted.len() >= self.config.write_batch_accesses {
                self.write_phase();
            }
            // The buffer holds two batches: a place is free when the write so many before has gone.
            let buffer = self.drained.len() as u64;
            let waiting = self.posted.len() as u64;
            if let Some(before) = (self.writes + waiting).checked_sub(buffer) {
                accepted = accepted.max(self.drained[(before % buffer) as usize]);
            }
            self.posted.push_back(PostedWrite { access, from: accepted });
        }
        if self.posted.len() >= self.config.write_batch_accesses {
            self.write_phase();
        }
        accepted
    }

    /// Accesses in the same row of the interleaved banks.
    fn read_rows(&mut self, arrival: u64, first: u64, count: u64, runs: &mut Vec<Run>) {
        self.enter(Direction::Read);
        let mask = self.config.window_accesses as u64 - 1;
        let admitted = arrival.max(self.window[(self.reads & mask) as usize]);
        self.move_base(admitted);
        let t = &self.config.timing;
        let latency = t.cl + t.burst;
        let lanes = self.config.map.lanes() as u64;
        let lane_stride = lanes * self.columns.apart();
        let regular = lane_stride >= self.columns.apart_in_group()
            && lane_stride.is_power_of_two()
            && lane_stride <= 64;
        let mut done = 0;
        while done < count {
            // One access of each interleaved bank the general way …
            let head = lanes.min(count - done);
            let mut consecutive = regular && head == lanes;
            let mut slot_before = None;
            for i in 0..head {
                let tick = self.place(first + done + i, 0, Direction::Read);
                self.count_read(tick);
                push_run(runs, tick + latency);
                let slot = tick / SLOT_TICKS;
                consecutive &= slot_before.is_none_or(|before| slot == before + self.columns.apart());
                slot_before = Some(slot);
            }
            done += head;
            // … then the rest behind them, if they lie side by side at the end of all commands.
            if consecutive && slot_before.is_some_and(|s| s + 1 == self.columns.end()) {
                let from = self.columns.end() - 1 + self.columns.apart();
                done += self.extend(first + done, count - done, from, runs);
            }
        }
    }

    /// Places up to `count` accesses from slot `from` on without gaps; returns how many. The banks
    /// are open, and nothing lies after the previous access.
    fn extend(&mut self, first: u64, count: u64, from: u64, runs: &mut Vec<Run>) -> u64 {
        let t = &self.config.timing;
        let (apart, lanes) = (self.columns.apart(), self.config.map.lanes() as u64);
        let stride = apart * SLOT_TICKS;
        let tick = from * SLOT_TICKS;
        // The interleaved banks may have been opened before different refreshes.
        let mut places = [Place { bank: 0, row: 0 }; 4];
        let mut deadline = u64::MAX;
        for lane in 0..lanes {
            let place = self.config.map.locate(first + lane);
            deadline = deadline.min(self.deadline(place.bank, Direction::Read));
            places[lane as usize] = place;
        }
        if tick > deadline {
            return 0;
        }
        let count = count.min((deadline - tick) / stride + 1);
        let (latency, t_rtp) = (t.cl + t.burst, t.t_rtp);
        for lane in 0..lanes.min(count) {
            let of_lane = (count - lane).div_ceil(lanes);
            let bank = places[lane as usize].bank;
            let group = self.group(bank);
            self.columns.insert_run(from + lane * apart, of_lane, lanes * apart, group);
            let last = tick + (lane + (of_lane - 1) * lanes) * stride;
            let b = &mut self.banks[bank];
            b.precharge_from = b.precharge_from.max(last + t_rtp);
        }
        if count > 0 {
            let mask = self.config.window_accesses as u64 - 1;
            for i in 0..count {
                self.window[((self.reads + i) & mask) as usize] = tick + i * stride;
            }
            self.reads += count;
            self.last_read = Some(tick + (count - 1) * stride);
            match runs.last_mut() {
                Some(run)
                    if run.tick + (run.count - 1) * run.stride + stride == tick + latency
                        && (run.count == 1 || run.stride == stride) =>
                {
                    run.stride = stride;
                    run.count += count;
                }
                _ => runs.push(Run { tick: tick + latency, count, stride }),
            }
            if self.trace.is_some() {
                for i in 0..count {
                    let place = places[(i % lanes) as usize];
                    self.record(tick + i * stride, CommandKind::Read, place.bank, place.row);
                }
            }
        }
        count
    }

    fn count_read(&mut self, tick: u64) {
        let last = self.last_read.map_or(tick, |last| last.max(tick));
        self.last_read = Some(last);
        let mask = self.config.window_accesses as u64 - 1;
        self.window[(self.reads & mask) as usize] = last;
        self.reads += 1;
    }

    #[inline]
    fn group(&self, bank: usize) -> usize {
        bank >> self.config.map.bank_bits
    }

    fn move_base(&mut self, tick: u64) {
        if tick > self.base {
            self.base = tick;
            self.columns.advance(tick / SLOT_TICKS);
            self.activates.advance(tick);
        }
    }

    /// Last tick of a column command to a bank's open row before refresh closes it.
    #[inline]
    fn deadline(&self, bank: usize, direction: Direction) -> u64 {
        let t = &self.config.timing;
        let to_precharge = match direction {
            Direction::Read => t.t_rtp,
            Direction::Write => t.write_to_precharge(),
        };
        self.banks[bank].refresh_at.saturating_sub(t.t_rp + to_precharge)
    }

    /// Gives an access its column command, and PRE and ACT before it if its row is not open.
    fn place(&mut self, access: u64, from: u64, direction: Direction) -> u64 {
        let Place { bank, row } = self.config.map.locate(access);
        let group = self.group(bank);
        loop {
            let b = &self.banks[bank];
            if !(b.open && b.row == row) {
                self.activate(bank, row);
            }
            let ready = self.banks[bank].column_from[direction as usize]
                .max(self.base)
                .max(from)
                .max(self.phase_from)
                .max(self.group_from[group]);
            let slot = self.columns.find(ready.div_ceil(SLOT_TICKS), group);
            let tick = slot * SLOT_TICKS;
            if tick > self.deadline(bank, direction) {
                self.close_for_refresh(bank);
                continue;
            }
            self.columns.insert(slot, group);
            let t = &self.config.timing;
            let (kind, to_precharge) = match direction {
                Direction::Read => (CommandKind::Read, t.t_rtp),
                Direction::Write => (CommandKind::Write, t.write_to_precharge()),
            };
            let b = &mut self.banks[bank];
            b.precharge_from = b.precharge_from.max(tick + to_precharge);
            self.record(tick, kind, bank, row);
            return tick;
        }
    }

    fn close_for_refresh(&mut self, bank: usize) {
        let b = &mut self.banks[bank];
        let (precharge, row) = (b.refresh_at - self.config.timing.t_rp, b.row);
        b.open = false;
        b.activate_from = self.refresh.over(b.refresh_at);
        self.record(precharge, CommandKind::Precharge, bank, row);
    }

    /// Opens a row. A row that stays open is closed only when another is wanted, or by refresh.
    fn activate(&mut self, bank: usize, row: u64) {
        let t_rp = self.config.timing.t_rp;
        let b = self.banks[bank];
        let precharge = b.precharge_from.max(self.base);
        let mut from = if !b.open {
            b.activate_from.max(self.base)
        } else if precharge + t_rp <= b.refresh_at {
            self.record(precharge, CommandKind::Precharge, bank, b.row);
            (precharge + t_rp).max(b.activated + self.config.timing.t_rc)
        } else {
            self.close_for_refresh(bank);
            self.banks[bank].activate_from.max(self.base)
        };
        let group = self.group(bank);
        let t = &self.config.timing;
        let (tick, refresh_at) = loop {
            let tick = self.activates.find(from, group);
            let refresh_at = self.refresh.not_over_at(tick);
            // The row must be open long enough before the refresh.
            if tick + t.t_ras + t.t_rp <= refresh_at {
                break (tick, refresh_at);
            }
            from = self.refresh.over(refresh_at);
        };
        self.activates.insert(tick, group);
        self.banks[bank] = Bank {
            row,
            open: true,
            refresh_at,
            activated: tick,
            activate_from: 0,
            column_from: [tick + t.t_rcd_rd, tick + t.t_rcd_wr],
            precharge_from: tick + t.t_ras,
        };
        self.record(tick, CommandKind::Activate, bank, row);
    }

    /// Turns the bus.
    #[inline]
    fn enter(&mut self, direction: Direction) {
        if self.direction == direction {
            return;
        }
        self.direction = direction;
        let t = &self.config.timing;
        match direction {
            Direction::Write => {
                let from = self.last_read.map_or(0, |last| last + t.read_to_write());
                self.phase_from = self.phase_from.max(from);
            }
            Direction::Read => {
                self.phase_from = self.phase_from.max(self.last_write + t.write_to_read_s());
                for (from, last) in self.group_from.iter_mut().zip(&self.last_group_write) {
                    *from = last + t.write_to_read_l();
                }
            }
        }
    }

    /// Lets posted writes go in a gap that ends at `now`.
    #[inline]
    fn use_idle_bus(&mut self, now: u64) {
        let Some(newest) = self.posted.back() else { return };
        let free = match self.direction {
            Direction::Write => self.last_write,
            Direction::Read => self.last_read.map_or(0, |l| l + self.config.timing.read_to_write()),
        };
        if free.max(newest.from) + self.config.write_idle_ticks <= now {
            self.write_phase();
        }
    }

    /// Gives all posted writes their commands.
    fn write_phase(&mut self) {
        self.enter(Direction::Write);
        self.reads_past_writes = 0;
        let buffer = self.drained.len() as u64;
        while let Some(write) = self.posted.pop_front() {
            self.move_base(write.from);
            let tick = self.place(write.access, write.from, Direction::Write);
            let group = self.group(self.config.map.locate(write.access).bank);
            self.last_write = self.last_write.max(tick);
            self.last_group_write[group] = self.last_group_write[group].max(tick);
            // In order: a place counts as free when all writes before have gone.
            self.drained[(self.writes % buffer) as usize] = self.last_write;
            self.writes += 1;
        }
    }
}

/// Appends one access to the runs.
#[inline]
fn push_run(runs: &mut Vec<Run>, tick: u64) {
    match runs.last_mut() {
        Some(run) if run.count == 1 && tick > run.tick => {
            run.stride = tick - run.tick;
            run.count = 2;
        }
        Some(run) if run.count > 1 && run.tick + run.count * run.stride == tick => run.count += 1,
        _ => runs.push(Run { tick, count: 1, stride: 0 }),
    }
}
