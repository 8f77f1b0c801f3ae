//! The event loop: picks the earliest thing that can happen — the dispatcher's next instruction, the
//! head of a unit's queue, a burst of a load or a store — and lets it happen.
//!
//! Weight streams and the matrix command run apart from these events, coupled through the FIFOs.
//! Streams are brought forward only when something depends on them, and never past the next event
//! that could reach their memory, so that a memory sees the requests of all units in the order of
//! their cycles.

use crate::fetch::fetch;
use crate::front::{Front, Step};
use crate::matrix::MatrixRun;
use crate::matrix_unit::{Kind, MatrixUnit};
use crate::memory::Memory;
use crate::profile::{BeatWindows, Profile, Span};
use crate::spad::MatrixWrites;
use crate::stream::Stream;
use crate::team::Team;
use crate::tiles::Tiles;
use crate::timing;
use crate::transfer::{RowsRun, StoreRun};
use crate::units::{ld, mm, st, vx};
use crate::vector::{VectorRun, VxTimes};
use crate::work::{Command, LdWork, Work};
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::isa::{names::*, Unit};
use flightvlm_hw::machine::{Bank, Counters, Fault, FaultCode, Launch, Report, Retire};
use flightvlm_mem::Ports;
use rayon::prelude::*;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Events between two looks at the interrupt flag.
const INTERRUPT_PERIOD: u32 = 1024;
const MAX_TOKENS: usize = 63;
/// Vector commands whose writes a load may still meet: its answers take longer than they start.
const SPAD_SPANS: usize = 8;
/// Streams are simulated by several threads when they advance by this many cycles together.
const PARALLEL_CYCLES: u64 = 8192;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Command, u64)>,
    /// Completion of the last command; the unit is idle from then on.
    free_at: u64,
    /// When the newest free slot appeared.
    slot_at: u64,
}

/// What LD is busy with.
enum LoadRun {
    Rows(RowsRun),
    /// A weight load that may go to the streams from a cycle on.
    Post {
        command: Command,
        work: LdWork,
        start: u64,
        from: u64,
    },
}

/// Parts of the machine that a launch uses.
pub(crate) struct Parts<'a> {
    pub config: &'a HwConfig,
    pub memory: &'a mut Memory,
    pub ports: &'a mut Ports,
    pub team: &'a mut Team,
    /// Without: every command takes a cycle, weights are there when they are loaded.
    pub timed: bool,
    pub record: bool,
    /// Filled during the launch, if wanted.
    pub profile: Option<&'a mut Profile>,
    pub stop: &'a AtomicBool,
}

struct Run<'a> {
    config: &'a HwConfig,
    memory: &'a mut Memory,
    ports: &'a mut Ports,
    team: &'a mut Team,
    timed: bool,
    front: Front,
    front_at: u64,
    queues: [Queue; 4],
    /// tokens[p][c]: times at which tokens from p for c appeared.
    tokens: [[VecDeque<u64>; 4]; 4],
    load: Option<LoadRun>,
    store: Option<StoreRun>,
    matrix: MatrixUnit,
    matrix_writes: MatrixWrites,
    vector: Option<VectorRun>,
    streams: Vec<Stream>,
    /// Cycles in which the latest vector commands write SPAD.
    spad_writes: VecDeque<Range<u64>>,
    /// Without timing: words and scale words in the FIFOs of each slice.
    held: Vec<[u64; 2]>,
    tiles: Tiles,
    counters: Counters,
    retired: [Vec<Retire>; 4],
    record: bool,
    profile: Option<&'a mut Profile>,
}

/// Runs one launch; gives the report and the final scalars.
pub(crate) fn run(parts: Parts<'_>, launch: &Launch) -> (Report, [u32; 32]) {
    let Parts { config, memory, ports, team, timed, record, profile, stop } = parts;
    if timed {
        ports.reset();
    }
    let (code, front_at) = match fetch(memory, timed.then_some(&mut ports.main), launch, config) {
        Ok(x) => x,
        Err(code) => {
            let fault = Fault { code, unit: Unit::Sys, pc: launch.entry };
            return (Report { fault: Some(fault), ..Report::default() }, [0; 32]);
        }
    };
    let mut run = Run {
        config,
        memory,
        ports,
        team,
        timed,
        front: Front::new(code, launch.entry, &launch.args),
        front_at,
        queues: Default::default(),
        tokens: Default::default(),
        load: None,
        store: None,
        matrix: MatrixUnit::new(config.pair_write_cycles()),
        matrix_writes: MatrixWrites::default(),
        vector: None,
        streams: (0..config.slices).map(|s| Stream::new(s, config)).collect(),
        spad_writes: VecDeque::new(),
        held: vec![[0; 2]; config.slices as usize],
        tiles: Tiles::new(config.slices),
        counters: Counters { read_beats: launch.code_units.into(), ..Counters::default() },
        retired: Default::default(),
        record,
        profile,
    };
    if let Some(p) = &mut run.profile {
        **p = Profile { window_cycles: p.window_cycles, ..Profile::default() };
        run.streams.iter_mut().for_each(|s| s.windows = BeatWindows::new(p.window_cycles));
        p.by_pc.resize(launch.code_len as usize, Default::default());
        p.channels.resize(config.slices as usize, Default::default());
    }
    let (fault, interrupted) = run.until_done(launch.watchdog_cycles, stop);
    if timed {
        run.counters.channel_read_beats = run.streams.iter().map(|s| s.profile.read_beats).sum();
    } else {
        let Counters { dispatched, retired, read_beats, write_beats, .. } = run.counters;
        let Counters { channel_read_beats, channel_write_beats, mac_beats, .. } = run.counters;
        run.counters = Counters {
            dispatched,
            retired,
            read_beats,
            write_beats,
            channel_read_beats,
            channel_write_beats,
            mac_beats,
            ..Counters::default()
        };
    }
    if let Some(p) = &mut run.profile {
        for (c, s) in p.channels.iter_mut().zip(&run.streams) {
            *c = s.profile;
        }
        p.channel_windows = run.streams.into_iter().map(|s| s.windows).collect();
    }
    let r = run.front.r;
    let Run { counters, retired, .. } = run;
    (Report { fault, counters, retired, interrupted }, r)
}

/// What can happen next.
#[derive(Clone, Copy)]
enum Event {
    Dispatch,
    Start(usize),
    LoadBurst,
    StoreBurst(Bank),
    /// The vector command ends, unless the matrix unit has written SPAD in front of it.
    VectorEnd,
    /// A bad matrix command is the oldest one.
    MatrixFault(Fault),
}

impl Run<'_> {
    fn until_done(&mut self, watchdog: u32, stop: &AtomicBool) -> (Option<Fault>, bool) {
        let mut last = self.front_at;
        let mut countdown = INTERRUPT_PERIOD;
        let mut step = None;
        loop {
            countdown -= 1;
            if countdown == 0 {
                countdown = INTERRUPT_PERIOD;
                if stop.load(Ordering::Relaxed) {
                    self.counters.cycles = last;
                    return (None, true);
                }
            }
            if step.is_none() {
                let pc = self.front.pc;
                match self.front.step() {
                    Ok(Step::Scalar { multiplies }) => {
                        self.counters.dispatched += 1;
                        self.front_at += timing::DISPATCH_CYCLES;
                        self.front_at += if multiplies { timing::MULTIPLY_CYCLES } else { 0 };
                        continue;
                    }
                    Ok(s) => step = Some(s),
                    Err(code) => {
                        // Units that could start before the dispatcher faults still do.
                        let fault = Fault { code, unit: Unit::Sys, pc };
                        self.counters.cycles = self.front_at;
                        return (Some(fault), false);
                    }
                }
            }
            let event = self.earliest(step.as_ref());
            let outcome = match event {
                _ if self.bring_streams_forward(step.as_ref(), event.map(|(at, _)| at)) => self.settle(),
                None => {
                    self.counters.cycles = last + u64::from(watchdog);
                    return (Some(self.deadlock()), false);
                }
                Some((at, Event::Dispatch)) => {
                    last = last.max(at);
                    self.counters.dispatched += 1;
                    match step.take() {
                        Some(Step::Push(c)) => {
                            let q = &mut self.queues[c.work.unit() as usize];
                            q.waiting.push_back((c, at));
                        }
                        Some(Step::Halt) => {
                            self.counters.cycles = at + timing::HALT_CYCLES;
                            return (None, false);
                        }
                        _ => {}
                    }
                    self.front.advance();
                    self.front_at = at + timing::DISPATCH_CYCLES;
                    Ok(())
                }
                Some((at, Event::Start(u))) => {
                    last = last.max(at);
                    self.start(u, at).and_then(|()| self.settle())
                }
                Some((_, Event::LoadBurst)) => {
                    if let Some(LoadRun::Rows(r)) = &mut self.load {
                        r.step(&mut self.ports.main, &self.spad_writes, &self.matrix_writes);
                    }
                    self.settle()
                }
                Some((at, Event::VectorEnd)) => self.end_vector(at).and_then(|()| self.settle()),
                Some((at, Event::MatrixFault(fault))) => {
                    last = last.max(at);
                    Err(fault)
                }
                Some((at, Event::StoreBurst(bank))) => {
                    if let Bank::Channel(c) = bank {
                        self.advance_stream(c as usize, at + 1);
                    }
                    if let Some(s) = &mut self.store {
                        let beats = s.step(self.ports, self.config.slices);
                        match bank {
                            Bank::Main => self.counters.write_beats += beats,
                            Bank::Channel(c) => {
                                self.counters.channel_write_beats += beats;
                                self.streams[c as usize].profile.write_beats += beats;
                            }
                        }
                    }
                    self.settle()
                }
            };
            if let Err(fault) = outcome {
                self.counters.cycles = last;
                return (Some(fault), false);
            }
        }
    }

    /// The earliest event that is known, with its cycle.
    fn earliest(&self, step: Option<&Step>) -> Option<(u64, Event)> {
        let mut best: Option<(u64, Event)> = None;
        let mut offer = |at: u64, e: Event| {
            if best.is_none_or(|(t, _)| at < t) {
                best = Some((at, e));
            }
        };
        if let Some(LoadRun::Rows(r)) = &self.load {
            if let Some(at) = r.next_request() {
                offer(at, Event::LoadBurst);
            }
        }
        if let Some((bank, at)) = self.store.as_ref().and_then(|s| s.next_burst(self.config.slices)) {
            offer(at, Event::StoreBurst(bank));
        }
        if let Some(v) = &self.vector {
            offer(v.end(), Event::VectorEnd);
        }
        for u in 0..4 {
            if let Some(at) = self.start_time(u) {
                offer(at, Event::Start(u));
            }
        }
        if let Some((at, pc, code)) = self.matrix.fault() {
            offer(at, Event::MatrixFault(Fault { code, unit: Unit::Mm, pc }));
        }
        match step {
            Some(Step::Push(c)) => {
                let q = &self.queues[c.work.unit() as usize];
                if q.waiting.len() < self.config.queue_depth as usize {
                    offer(self.front_at.max(q.slot_at), Event::Dispatch);
                }
            }
            Some(Step::Fence | Step::Halt) if self.units_idle() => {
                let streams = self.streams.iter().try_fold(0, |t, s| s.idle_from().map(|x| t.max(x)));
                if let Some(streams) = streams {
                    let units = self.queues.iter().map(|q| q.free_at).max().unwrap_or(0);
                    offer(self.front_at.max(units + 1).max(streams), Event::Dispatch);
                }
            }
            _ => {}
        }
        best
    }

    fn running(&self, u: usize) -> bool {
        match u {
            0 => self.load.is_some(),
            1 => self.store.is_some(),
            2 => !self.matrix.is_idle(),
            _ => self.vector.is_some(),
        }
    }

    fn units_idle(&self) -> bool {
        (0..4).all(|u| !self.running(u) && self.queues[u].waiting.is_empty())
    }

    fn start_time(&self, u: usize) -> Option<u64> {
        let q = &self.queues[u];
        let overlaps = u == Unit::Mm as usize && self.timed;
        let (command, pushed) = q.waiting.front().filter(|_| overlaps || !self.running(u))?;
        let free = if overlaps { self.matrix.takes_from()? } else { q.free_at + timing::NEXT_CYCLES };
        let mut at = (pushed + timing::QUEUE_CYCLES).max(free);
        for p in 0..4 {
            if command.wait >> p & 1 == 1 {
                at = at.max(self.tokens[p][u].front()? + timing::TOKEN_CYCLES);
            }
        }
        Some(at)
    }

    fn advance_stream(&mut self, slice: usize, until: u64) {
        let channel = &self.memory.channels[slice];
        self.streams[slice].advance(until, &mut self.ports.channels[slice], channel);
    }

    /// Lets streams send requests that come before everything else that is known, if something
    /// waits for them; false if there are none.
    fn bring_streams_forward(&mut self, step: Option<&Step>, next_event: Option<u64>) -> bool {
        let fence = matches!(step, Some(Step::Fence | Step::Halt)) && self.units_idle();
        let post = matches!(self.load, Some(LoadRun::Post { .. }));
        if !fence && !post && self.matrix.run.is_none() {
            return false;
        }
        let Some(first) = self.streams.iter().filter_map(Stream::next_request).min() else { return false };
        // Nothing can follow from the matrix command before its last issue without further delay.
        let matrix = self.matrix.run.as_ref().map_or(u64::MAX, |m| m.expected_last_issue(self.config.slices));
        let until = next_event.unwrap_or(u64::MAX).min(matrix.max(first + 1));
        // A fence or a post is at most as early as the requests that it waits for.
        let until = if fence || post { until.min(first + timing::PAGE_UNITS) } else { until };
        if first >= until {
            return false;
        }
        let cycles = until.min(first + u64::from(self.config.wfifo_words)) - first;
        let work = cycles * self.streams.len() as u64;
        if work > PARALLEL_CYCLES && rayon::current_num_threads() > 1 {
            let channels = self.memory.channels.par_iter();
            let all = self.streams.par_iter_mut().zip(&mut self.ports.channels).zip(channels);
            all.for_each(|((s, port), channel)| s.advance(until, port, channel));
        } else {
            (0..self.streams.len()).for_each(|s| self.advance_stream(s, until));
        }
        true
    }

    fn start(&mut self, u: usize, at: u64) -> Result<(), Fault> {
        let q = &mut self.queues[u];
        let (command, pushed) = q.waiting.pop_front().expect("invariant: start_time saw it");
        q.slot_at = at;
        let ready = (pushed + timing::QUEUE_CYCLES).max(q.free_at + timing::NEXT_CYCLES);
        // A unit with commands in flight does not wait.
        let idle = u != Unit::Mm as usize || self.matrix.is_idle();
        let waited = if idle { at.saturating_sub(ready) } else { 0 };
        self.counters.wait_cycles[u] += waited;
        if let Some(p) = &mut self.profile {
            p.command(command.pc, Unit::QUEUES[u]).token_wait_cycles += waited;
        }
        for p in 0..4 {
            if command.wait >> p & 1 == 1 {
                self.tokens[p][u].pop_front();
            }
        }
        let fault = |code| Fault { code, unit: Unit::QUEUES[u], pc: command.pc };
        let (c, data) = (self.config, self.memory.data);
        let end = match command.work {
            Work::Vx(w) => {
                vx::check_vx(&w, c).map_err(fault)?;
                if data {
                    vx::run(&w, self.memory, c.vx_words as usize);
                }
                let times = VxTimes::new(&w, c.vx_words);
                if !self.timed {
                    return self.complete(3, &command, at, at);
                }
                self.matrix_writes.forget(at);
                let run = VectorRun::new(command, at, times, &self.matrix_writes);
                if let Some(writes) = run.spad_writes() {
                    if self.spad_writes.len() == SPAD_SPANS {
                        self.spad_writes.pop_front();
                    }
                    self.spad_writes.push_back(writes);
                }
                self.vector = Some(run);
                return Ok(());
            }
            Work::St(w) => {
                st::check_st(&w, self.memory, c).map_err(fault)?;
                if w.is_empty() {
                    at + timing::ST_EMPTY_CYCLES
                } else {
                    if data {
                        self.tiles.preserve(w.channel_range(c.slices), self.memory);
                        st::run(&w, self.memory);
                    }
                    if !self.timed {
                        let channels = st::to_channels(w.mode);
                        let n = &mut self.counters;
                        *(if channels { &mut n.channel_write_beats } else { &mut n.write_beats }) +=
                            w.beats();
                        return self.complete(1, &command, at, at);
                    }
                    self.store = Some(StoreRun::new(command, w, at, c.slices));
                    return Ok(());
                }
            }
            Work::Ld(w) => {
                ld::check_ld(&w, self.memory, c).map_err(fault)?;
                let groups = w.mode == LD_WEIGHT && w.shape.wscale && w.shape.kbg != 0;
                let extra = if groups { timing::LD_GROUPS_CYCLES } else { 0 };
                if w.rows == 0 || w.len == 0 {
                    at + extra + timing::LD_EMPTY_CYCLES
                } else if w.mode == LD_WEIGHT && !self.timed {
                    self.tiles.push(w);
                    self.counters.channel_read_beats += u64::from(w.rows) * w.tile_units();
                    for (slice, [words, scales]) in (0..).zip(&mut self.held) {
                        let tiles = u64::from(w.tiles_of(slice, c.slices));
                        *words += tiles * u64::from(w.shape.kb);
                        *scales += tiles * u64::from(w.shape.sfifo_words());
                    }
                    return self.complete(0, &command, at, at);
                } else if w.mode == LD_WEIGHT {
                    let from = at + extra + timing::LD_PUSH_CYCLES.0;
                    self.load = Some(LoadRun::Post { command, work: w, start: at, from });
                    return Ok(());
                } else {
                    let run = RowsRun::new(command, w, at, self.memory);
                    if data {
                        ld::run(&w, self.memory).map_err(fault)?;
                    }
                    self.counters.read_beats += run.beats();
                    if !self.timed {
                        return self.complete(0, &command, at, at);
                    }
                    self.load = Some(LoadRun::Rows(run));
                    return Ok(());
                }
            }
            Work::Mm(w) => {
                let kind = match mm::check_mm(&w, c) {
                    Err(code) => Kind::Bad(code),
                    Ok(()) if w.rows == 0 || w.tiles == 0 => Kind::Empty,
                    Ok(()) => Kind::Work(w),
                };
                self.matrix.start(command, kind, at);
                return Ok(());
            }
        };
        self.complete(u, &command, at, end)
    }

    /// The vector command ends in this cycle if it has met all that the matrix unit writes until then.
    fn end_vector(&mut self, at: u64) -> Result<(), Fault> {
        let Some(run) = self.vector.take_if(|run| run.end() == at) else { return Ok(()) };
        if let Some((last, writes)) = self.spad_writes.back_mut().zip(run.spad_writes()) {
            *last = writes;
        }
        self.complete(3, &run.command, run.start, at)
    }

    /// Completes what has become complete.
    fn settle(&mut self) -> Result<(), Fault> {
        self.settle_load()?;
        if let Some(s) = self.store.take_if(|s| s.next_burst(self.config.slices).is_none()) {
            let (beats, busy) = (s.work.beats(), s.end() - s.start + 1);
            if let Some(p) = &mut self.profile {
                let p = p.command(s.command.pc, Unit::St);
                p.bytes += beats * UNIT_BYTES as u64;
                p.memory_wait_cycles += busy.saturating_sub(beats);
            }
            self.complete(1, &s.command, s.start, s.end())?;
        }
        if !self.timed {
            return self.settle_untimed();
        }
        loop {
            let writes = &mut self.matrix_writes;
            while self.matrix.run.as_mut().is_some_and(|m| m.advance(&mut self.streams, writes)) {
                // Places became free: beats that wait for them are expanded.
                for (s, channel) in self.streams.iter_mut().zip(&self.memory.channels) {
                    s.expand(channel);
                }
            }
            let Some(ended) = self.matrix.next_end() else { break };
            if let Some(m) = &ended.run {
                self.account_matrix(m);
            }
            self.complete(2, &ended.command, ended.start, ended.end)?;
        }
        if let Some(v) = &mut self.vector {
            v.meet(&self.matrix_writes);
        }
        self.settle_load()
    }

    fn account_matrix(&mut self, m: &MatrixRun) {
        self.counters.starved_cycles += m.starved_cycles;
        self.counters.mac_beats += m.mac_beats;
        if let Some(p) = &mut self.profile {
            let p = p.command(m.command.pc, Unit::Mm);
            p.starved_cycles += m.starved_cycles;
            p.mac_beats += m.mac_beats;
            p.lost.add(&m.lost);
        }
        if self.memory.data {
            mm::run(&m.work, self.memory, &mut self.tiles, self.team);
        }
    }

    /// A matrix command runs as soon as all its weights are loaded.
    fn settle_untimed(&mut self) -> Result<(), Fault> {
        let Some(m) = &self.matrix.run else {
            if let Some(ended) = self.matrix.next_end() {
                self.complete(2, &ended.command, ended.start, ended.end)?;
            }
            return Ok(());
        };
        let (w, command, start, slices) = (m.work, m.command, m.start, self.config.slices);
        let mut needs = vec![[0; 2]; self.held.len()];
        for slot in w.first..w.first + w.tiles {
            let [words, scales] = &mut needs[(slot % slices) as usize];
            *words += u64::from(w.kb);
            *scales += u64::from(w.sfifo_words());
        }
        if self.held.iter().zip(&needs).any(|(h, n)| h[0] < n[0] || h[1] < n[1]) {
            return Ok(());
        }
        for (h, n) in self.held.iter_mut().zip(&needs) {
            (h[0], h[1]) = (h[0] - n[0], h[1] - n[1]);
        }
        self.matrix.run = None;
        mm::run(&w, self.memory, &mut self.tiles, self.team);
        self.counters.mac_beats += u64::from(w.tiles) * u64::from(w.rows) * u64::from(w.kb);
        self.complete(2, &command, start, start)
    }

    fn settle_load(&mut self) -> Result<(), Fault> {
        match self.load.take() {
            Some(LoadRun::Rows(r)) if r.next_request().is_none() => {
                if let Some(p) = &mut self.profile {
                    let p = p.command(r.command.pc, Unit::Ld);
                    p.bytes += r.beats() * UNIT_BYTES as u64;
                    p.memory_wait_cycles += (r.end() - r.start + 1).saturating_sub(r.beats());
                }
                self.complete(0, &r.command, r.start, r.end())
            }
            Some(LoadRun::Post { command, work, start, from }) => {
                let room = self.streams.iter().try_fold(from, |at, s| s.room(&work).map(|t| at.max(t)));
                let Some(at) = room else {
                    self.load = Some(LoadRun::Post { command, work, start, from });
                    return Ok(());
                };
                for (s, channel) in self.streams.iter_mut().zip(&self.memory.channels) {
                    s.push(work, at);
                    // A tile without units waits for no request.
                    s.expand(channel);
                }
                if self.memory.data {
                    self.tiles.push(work);
                }
                if let Some(p) = &mut self.profile {
                    let p = p.command(command.pc, Unit::Ld);
                    p.bytes += u64::from(work.rows) * work.tile_units() * UNIT_BYTES as u64;
                }
                self.complete(0, &command, start, at + timing::LD_PUSH_CYCLES.1)
            }
            other => {
                self.load = other;
                Ok(())
            }
        }
    }

    /// Books a completion: counters, trace, tokens.
    fn complete(&mut self, u: usize, command: &Command, start: u64, end: u64) -> Result<(), Fault> {
        // Of commands that overlap, each cycle counts once.
        let busy = end + 1 - start.max(self.queues[u].free_at + 1);
        self.queues[u].free_at = end;
        self.counters.busy_cycles[u] += busy;
        self.counters.retired[u] += 1;
        if let Some(p) = &mut self.profile {
            let p = p.command(command.pc, Unit::QUEUES[u]);
            p.commands += 1;
            p.busy_cycles += busy;
        }
        if let Some(p) = self.profile.as_mut().filter(|p| p.window_cycles > 0) {
            p.spans[u].push(Span { pc: command.pc, start, end });
        }
        if self.record {
            self.retired[u].push(Retire { pc: command.pc, cycle: end });
        }
        for c in 0..4 {
            if command.release >> c & 1 == 1 {
                self.tokens[u][c].push_back(end);
                if self.tokens[u][c].len() > MAX_TOKENS {
                    let unit = Unit::QUEUES[u];
                    return Err(Fault { code: FaultCode::Token, unit, pc: command.pc });
                }
            }
        }
        Ok(())
    }

    fn deadlock(&self) -> Fault {
        let code = FaultCode::Deadlock;
        for u in 0..4 {
            let running = match u {
                0 => self.load.as_ref().map(|r| match r {
                    LoadRun::Rows(r) => r.command.pc,
                    LoadRun::Post { command, .. } => command.pc,
                }),
                2 => self.matrix.oldest_pc(),
                _ => None,
            };
            let waiting = self.queues[u].waiting.front().map(|(c, _)| c.pc);
            if let Some(pc) = running.or(waiting) {
                return Fault { code, unit: Unit::QUEUES[u], pc };
            }
        }
        Fault { code, unit: Unit::Sys, pc: self.front.pc }
    }
}
