//! The event loop: picks the earliest thing that can happen — the dispatcher's next instruction or
//! the head of a unit's queue — and lets it happen.
//!
//! Weight loads and matrix commands overlap through the FIFO, so they run as two coroutines that
//! [`Run::pump`] advances word by word as far as the other side allows.

use crate::fifo::FifoTimes;
use crate::front::{Command, Front, LdWork, MmWork, Step, Work};
use crate::memory::Memory;
use crate::timing::{self, ReadStream};
use crate::units::{ld, mm, st, vx};
use flightvlm_hw::config::{HwConfig, WORD_UNITS};
use flightvlm_hw::isa::{names::*, Unit, Word};
use flightvlm_hw::machine::{Counters, Fault, FaultCode, Launch, Report, Retire};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

/// Events between two looks at the interrupt flag.
const INTERRUPT_PERIOD: u32 = 1024;
const MAX_TOKENS: usize = 63;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Command, u64)>,
    /// Completion of the last command; the unit is idle from then on.
    free_at: u64,
    /// When the newest free slot appeared.
    slot_at: u64,
}

/// A weight load whose words are not all pushed.
struct LoadRun {
    command: Command,
    work: LdWork,
    stream: ReadStream,
    start: u64,
    tile: u32,
    /// Words and scale units of the tile that are pushed.
    words: u32,
    scales: u32,
}

/// A matrix command that waits for words.
struct MatrixRun {
    command: Command,
    work: MmWork,
    start: u64,
    tile: u32,
    at: u64,
}

/// Tiles that a weight load put (or is putting) in the FIFO; data stay in DRAM until used.
struct TileSource {
    work: LdWork,
    /// Next tile the matrix unit takes.
    taken: u32,
    /// DRAM copy, made when a store is about to overwrite tiles that are not used yet.
    copy: Option<Vec<u8>>,
}

pub(crate) struct Run<'a> {
    config: &'a HwConfig,
    memory: &'a mut Memory,
    front: Front,
    front_at: u64,
    queues: [Queue; 4],
    /// tokens[p][c]: times at which tokens from p for c appeared.
    tokens: [[VecDeque<u64>; 4]; 4],
    load: Option<LoadRun>,
    matrix: Option<MatrixRun>,
    sources: VecDeque<TileSource>,
    words: FifoTimes,
    scales: FifoTimes,
    counters: Counters,
    retired: [Vec<Retire>; 4],
    record: bool,
}

/// Runs one launch; gives the report and the final scalars.
pub(crate) fn run(
    config: &HwConfig,
    memory: &mut Memory,
    launch: &Launch,
    record: bool,
    stop: &AtomicBool,
) -> (Report, [u32; 32]) {
    let fault = |code| Fault { code, unit: Unit::Sys, pc: launch.entry };
    let code = match load_code(memory, launch, config) {
        Ok(code) => code,
        Err(code) => return (Report { fault: Some(fault(code)), ..Report::default() }, [0; 32]),
    };
    let fetch_beats = u64::from(launch.code_len.div_ceil(2));
    let latency = u64::from(config.read_latency_cycles);
    let mut stream = ReadStream::new(timing::FETCH_START_CYCLES, latency);
    stream.whole_row(u64::from(launch.code_base_units), fetch_beats, 0, 1);
    let mut run = Run {
        config,
        memory,
        front: Front::new(code, launch.entry, &launch.args),
        front_at: stream.last_beat() + timing::FETCH_END_CYCLES,
        queues: Default::default(),
        tokens: Default::default(),
        load: None,
        matrix: None,
        sources: VecDeque::new(),
        words: FifoTimes::new(config.wfifo_words),
        scales: FifoTimes::new(config.sfifo_words),
        counters: Counters { read_beats: fetch_beats, ..Counters::default() },
        retired: Default::default(),
        record,
    };
    let (fault, interrupted) = run.until_done(launch.watchdog_cycles, stop);
    let r = run.front.r;
    let Run { counters, retired, .. } = run;
    (Report { fault, counters, retired, interrupted }, r)
}

fn load_code(m: &Memory, launch: &Launch, config: &HwConfig) -> Result<Vec<Word>, FaultCode> {
    let end = u64::from(launch.code_base_units) + u64::from(launch.code_len.div_ceil(2));
    if launch.code_len > config.imem_words {
        return Err(FaultCode::Pc);
    }
    if end > m.units() {
        return Err(FaultCode::Dram);
    }
    let start = launch.code_base_units as usize * 64;
    let bytes = &m.dram[start..start + launch.code_len as usize * 32];
    Ok(bytes
        .chunks_exact(32)
        .map(|b| Word::from_bytes(b.try_into().expect("invariant: chunks of 32")))
        .collect())
}

/// What can happen next.
#[derive(Clone, Copy)]
enum Event {
    Dispatch,
    Start(usize),
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
                    Ok(s) => step = Some(s),
                    Err(code) => {
                        // Units that could start before the dispatcher faults still do.
                        let fault = Fault { code, unit: Unit::Sys, pc };
                        self.counters.cycles = self.front_at;
                        return (Some(fault), false);
                    }
                }
                if matches!(step, Some(Step::Scalar)) {
                    self.counters.dispatched += 1;
                    self.front_at += timing::DISPATCH_CYCLES;
                    step = None;
                    continue;
                }
            }
            match self.earliest(step.as_ref()) {
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
                }
                Some((at, Event::Start(u))) => {
                    last = last.max(at);
                    if let Err(fault) = self.start(u, at) {
                        self.counters.cycles = at;
                        return (Some(fault), false);
                    }
                }
            }
            if let Err(fault) = self.pump() {
                self.counters.cycles = last;
                return (Some(fault), false);
            }
        }
    }

    /// The earliest event that is possible now, with its cycle.
    fn earliest(&self, step: Option<&Step>) -> Option<(u64, Event)> {
        let mut best: Option<(u64, Event)> = None;
        let mut offer = |at: u64, e: Event| {
            if best.is_none_or(|(t, _)| at < t) {
                best = Some((at, e));
            }
        };
        for u in 0..4 {
            if let Some(at) = self.start_time(u) {
                offer(at, Event::Start(u));
            }
        }
        match step {
            Some(Step::Push(c)) => {
                let q = &self.queues[c.work.unit() as usize];
                if q.waiting.len() < self.config.queue_depth as usize {
                    offer(self.front_at.max(q.slot_at), Event::Dispatch);
                }
            }
            Some(Step::Fence | Step::Halt) => {
                let running = self.load.is_some() || self.matrix.is_some();
                if !running && self.queues.iter().all(|q| q.waiting.is_empty()) {
                    let idle = self.queues.iter().map(|q| q.free_at).max().unwrap_or(0);
                    offer(self.front_at.max(idle + 1), Event::Dispatch);
                }
            }
            _ => {}
        }
        best
    }

    fn start_time(&self, u: usize) -> Option<u64> {
        let running = match u {
            0 => self.load.is_some(),
            2 => self.matrix.is_some(),
            _ => false,
        };
        let q = &self.queues[u];
        let (command, pushed) = q.waiting.front().filter(|_| !running)?;
        let mut at = (pushed + timing::QUEUE_CYCLES).max(q.free_at + timing::NEXT_CYCLES);
        for p in 0..4 {
            if command.wait >> p & 1 == 1 {
                at = at.max(self.tokens[p][u].front()? + timing::TOKEN_CYCLES);
            }
        }
        Some(at)
    }

    fn start(&mut self, u: usize, at: u64) -> Result<(), Fault> {
        let q = &mut self.queues[u];
        let (command, pushed) = q.waiting.pop_front().expect("invariant: start_time saw it");
        q.slot_at = at;
        let ready = (pushed + timing::QUEUE_CYCLES).max(q.free_at + timing::NEXT_CYCLES);
        self.counters.wait_cycles[u] += at - ready;
        for p in 0..4 {
            if command.wait >> p & 1 == 1 {
                self.tokens[p][u].pop_front();
            }
        }
        let fault = |code| Fault { code, unit: Unit::QUEUES[u], pc: command.pc };
        let end = match command.work {
            Work::Vx(w) => {
                vx::check_vx(&w, self.memory).map_err(fault)?;
                vx::run(&w, self.memory);
                at + vx_cycles(&w)
            }
            Work::St(w) => {
                st::check_st(&w, self.memory).map_err(fault)?;
                self.preserve_tiles(&w);
                st::run(&w, self.memory);
                at + self.st_cycles(&w)
            }
            Work::Ld(w) => {
                ld::check_ld(&w, self.memory, self.config).map_err(fault)?;
                if w.mode == LD_WEIGHT && w.rows > 0 {
                    self.begin_load(command, w, at);
                    return Ok(());
                }
                if w.rows == 0 || w.len == 0 {
                    at + timing::LD_EMPTY_CYCLES
                } else {
                    let end = self.ld_end(&w, at);
                    ld::run(&w, self.memory).map_err(fault)?;
                    end
                }
            }
            Work::Mm(w) => {
                mm::check_mm(&w, self.memory, self.config).map_err(fault)?;
                if w.rows == 0 || w.tiles == 0 {
                    at + timing::EMPTY_CYCLES
                } else {
                    let first = at + timing::MM_START_CYCLES;
                    self.matrix = Some(MatrixRun { command, work: w, start: at, tile: 0, at: first });
                    return Ok(());
                }
            }
        };
        self.complete(u, &command, at, end)
    }

    /// Books a completion: counters, trace, tokens.
    fn complete(&mut self, u: usize, command: &Command, start: u64, end: u64) -> Result<(), Fault> {
        self.queues[u].free_at = end;
        self.counters.busy_cycles[u] += end - start + 1;
        self.counters.retired[u] += 1;
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

    /// Advances the weight load and the matrix command as far as they allow each other.
    fn pump(&mut self) -> Result<(), Fault> {
        loop {
            let moved = self.pump_load()? | self.pump_matrix()?;
            if !moved {
                return Ok(());
            }
        }
    }

    fn pump_load(&mut self) -> Result<bool, Fault> {
        let Some(mut run) = self.load.take() else { return Ok(false) };
        let (w, mut moved) = (run.work, false);
        let group = if w.kbg == 0 { w.len } else { w.kbg };
        while run.tile < w.rows {
            let group_start = run.words % group == 0 && run.words < w.len;
            let due = if group_start { run.words / group + 1 } else { run.scales };
            let scales_due = u32::from(w.bias) + if w.wscale { due } else { 0 };
            let wants_scale = run.scales < scales_due.min(w.sfifo_words());
            let fifo = if wants_scale { &mut self.scales } else { &mut self.words };
            let Some(slot) = fifo.slot() else { break };
            if run.words + run.scales == 0 {
                let from = u64::from(w.src) + u64::from(run.tile) * u64::from(w.src_stride);
                run.stream.row(from, w.tile_units(), 0);
            }
            let units = if wants_scale { 1 } else { WORD_UNITS as u64 };
            let mut at = 0;
            for _ in 0..units {
                at = run.stream.beat(slot);
            }
            fifo.push(at);
            self.counters.read_beats += units;
            moved = true;
            if wants_scale {
                run.scales += 1;
            } else {
                run.words += 1;
            }
            if run.words == w.len {
                (run.tile, run.words, run.scales) = (run.tile + 1, 0, 0);
            }
        }
        if run.tile == w.rows {
            let end = run.stream.last_beat() + timing::LD_END_CYCLES;
            self.complete(0, &run.command, run.start, end)?;
        } else {
            self.load = Some(run);
        }
        Ok(moved)
    }

    fn pump_matrix(&mut self) -> Result<bool, Fault> {
        let Some(mut run) = self.matrix.take() else { return Ok(false) };
        let w = run.work;
        let group = if w.kbg == 0 { w.kb } else { w.kbg };
        let groups = w.kb.div_ceil(group);
        let least = if groups == 1 { timing::MM_PAIR_CYCLES } else { timing::MM_PAIR_GROUP_CYCLES };
        let scales = u32::from(w.bias) + if w.wscale { groups } else { 0 };
        // Idle issue cycles in front of each group's words.
        let idle = |g: u32| least.saturating_sub(u64::from(group.min(w.kb - g * group)));
        let pair_cycles = u64::from(w.kb) + (0..groups).map(idle).sum::<u64>();
        let pairs = u64::from(w.rows.div_ceil(2));
        let mut moved = false;
        while run.tile < w.tiles {
            let there =
                self.words.push_at.len() >= w.kb as usize && self.scales.push_at.len() >= scales as usize;
            if !there {
                break;
            }
            moved = true;
            let begin = run.at;
            let mut issued = Vec::with_capacity(w.kb as usize);
            for b in 0..w.kb {
                let g = b / group;
                if b % group == 0 {
                    run.at += idle(g);
                }
                let mut ready = self.words.push_at[b as usize];
                let scale = u32::from(w.bias) + if w.wscale { g + 1 } else { 0 };
                if scale > 0 {
                    ready = ready.max(self.scales.push_at[scale as usize - 1]);
                }
                run.at = run.at.max(ready + timing::MM_WORD_CYCLES);
                issued.push(run.at);
                run.at += 1;
            }
            self.counters.starved_cycles += run.at - begin - pair_cycles;
            // The last pair pops the words; with one pair that is the pass above.
            let mut shift = (pairs - 1) * pair_cycles;
            run.at += shift;
            let mut at = run.at;
            for b in (0..w.kb).rev().filter(|_| pairs > 1) {
                at -= 1;
                issued[b as usize] = at;
                shift = 0;
                if b % group == 0 {
                    at -= idle(b / group);
                }
            }
            for t in &issued {
                self.words.pop(t + shift);
            }
            for _ in 0..scales {
                self.scales.pop(run.at - 1 + timing::MM_DROP_CYCLES);
            }
            self.counters.mac_beats += u64::from(w.rows) * u64::from(w.kb);
            run.tile += 1;
        }
        if run.tile < w.tiles {
            self.matrix = Some(run);
            return Ok(moved);
        }
        self.multiply(&w);
        let end = run.at - 1 + timing::MM_END_CYCLES;
        self.complete(2, &run.command, run.start, end)?;
        Ok(true)
    }

    fn begin_load(&mut self, command: Command, work: LdWork, at: u64) {
        let several = work.wscale && work.kbg != 0;
        let extra = if several { timing::LD_GROUPS_CYCLES } else { 0 };
        let latency = u64::from(self.config.read_latency_cycles);
        let stream = ReadStream::new(at + timing::LD_START_CYCLES + extra, latency);
        self.sources.push_back(TileSource { work, taken: 0, copy: None });
        let (tile, words, scales) = (0, 0, 0);
        self.load = Some(LoadRun { command, work, stream, start: at, tile, words, scales });
    }

    /// Completion of a load that does not go to the FIFO.
    fn ld_end(&mut self, w: &LdWork, start: u64) -> u64 {
        let latency = u64::from(self.config.read_latency_cycles);
        let mut stream = ReadStream::new(start + timing::LD_START_CYCLES, latency);
        let spacing = if w.mode == LD_SCALARS { timing::LD_SCALARS_CYCLES } else { 1 };
        let (first, step) = timing::LD_GATHER_CYCLES;
        for r in 0..w.rows {
            let from = ld::row_source(w, self.memory, r);
            let gather = start + first + step * u64::from(r);
            let not_before = if w.mode == LD_GATHER { gather } else { 0 };
            stream.whole_row(from, u64::from(w.len), not_before, spacing);
        }
        self.counters.read_beats += u64::from(w.rows) * u64::from(w.len);
        stream.last_beat() + timing::LD_END_CYCLES
    }

    /// The functional side of a matrix command: takes its tiles from the sources in order.
    fn multiply(&mut self, w: &MmWork) {
        let sources = std::mem::take(&mut self.sources);
        let dram = std::mem::take(&mut self.memory.dram);
        let mut index = Vec::with_capacity(w.tiles as usize);
        let (mut s, mut taken) = (0, sources.front().map_or(0, |s| s.taken));
        for _ in 0..w.tiles {
            while taken == sources[s].work.rows {
                (s, taken) = (s + 1, sources[s + 1].taken);
            }
            index.push((s, taken));
            taken += 1;
        }
        mm::run(w, self.memory, |j| {
            let (s, t) = index[j as usize];
            tile_data(&sources[s], t, &dram)
        });
        self.memory.dram = dram;
        self.sources = sources.into_iter().skip(s).collect();
        if let Some(front) = self.sources.front_mut() {
            front.taken = taken;
        }
        if self.sources.front().is_some_and(|f| f.taken == f.work.rows) {
            self.sources.pop_front();
        }
    }

    /// Copies tiles that a store is about to overwrite: the FIFO already holds the old data.
    fn preserve_tiles(&mut self, w: &crate::front::StWork) {
        let Some((first, end)) = st::touched(w) else { return };
        for s in self.sources.iter_mut().filter(|s| s.copy.is_none()) {
            let from = u64::from(s.work.src);
            let to = from + u64::from(s.work.rows - 1) * u64::from(s.work.src_stride) + s.work.tile_units();
            if from < end && first < to {
                s.copy = Some(self.memory.dram[from as usize * 64..to as usize * 64].to_vec());
            }
        }
    }

    fn st_cycles(&mut self, w: &crate::front::StWork) -> u64 {
        if st::touched(w).is_none() {
            return timing::ST_EMPTY_CYCLES;
        }
        let (rows, len) = (u64::from(w.rows), u64::from(w.len));
        let beats = match w.mode {
            ST_ROWS | ST_KV_K => rows * len,
            ST_SCALAR => rows,
            _ => rows * len * 4,
        };
        self.counters.write_beats += beats;
        let latency = u64::from(self.config.write_latency_cycles);
        // Single-beat bursts wait for responses.
        let single = matches!(w.mode, ST_KV_K | ST_SCALAR);
        let window = timing::ST_OUTSTANDING;
        let waits = if single { (beats - 1) / window * (latency + 2).saturating_sub(window) } else { 0 };
        timing::ST_START_CYCLES + beats + waits + latency + timing::ST_END_CYCLES
    }

    fn deadlock(&self) -> Fault {
        let code = FaultCode::Deadlock;
        for u in 0..4 {
            let running = match u {
                0 => self.load.as_ref().map(|r| r.command.pc),
                2 => self.matrix.as_ref().map(|r| r.command.pc),
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

fn vx_cycles(w: &crate::front::VxWork) -> u64 {
    let divides = w.b.row == ROW_DIV || w.c.row == ROW_DIV;
    let extra = if divides { timing::VX_DIVIDE_CYCLES } else { 0 };
    if w.rows == 0 || w.len == 0 {
        return extra + timing::EMPTY_CYCLES;
    }
    let depth = if w.red == R_NONE { timing::VX_CYCLES } else { timing::VX_REDUCE_CYCLES };
    extra + u64::from(w.rows) * u64::from(w.len.div_ceil(16)) + depth
}

/// Words and scale units of tile `t`.
fn tile_data<'a>(s: &'a TileSource, t: u32, dram: &'a [u8]) -> (Vec<&'a [u8]>, Vec<[f32; 16]>) {
    let w = &s.work;
    let offset = u64::from(t) * u64::from(w.src_stride);
    let mut bytes = match &s.copy {
        Some(copy) => &copy[offset as usize * 64..],
        None => &dram[(u64::from(w.src) + offset) as usize * 64..],
    };
    let mut take = |n: usize| {
        let (head, rest) = bytes.split_at(n);
        bytes = rest;
        head
    };
    let (mut words, mut scales) = (Vec::with_capacity(w.len as usize), Vec::new());
    if w.bias {
        scales.push(mm::scale_unit(take(64)));
    }
    let group = if w.kbg == 0 { w.len } else { w.kbg };
    for b in 0..w.len {
        if w.wscale && b % group == 0 {
            scales.push(mm::scale_unit(take(64)));
        }
        words.push(take(256));
    }
    (words, scales)
}
