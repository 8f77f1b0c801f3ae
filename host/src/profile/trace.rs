//! A timeline of every unit and channel, in the format that Perfetto and Chrome's tracing page read.
//!
//! One launch of each phase is shown, one behind the other: a picture, the prompt, a decode step.
//! Times are microseconds of the target's clock, **simulated**. Commands of a unit that overlap have tracks of
//! their own.

use super::bottleneck::UNITS;
use super::phase::channel_peak;
use super::runner::Runner;
use super::Workload;
use flightvlm_compiler::program::Program;
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::machine::{Counters, MachineError};
use flightvlm_iss::profile::{Profile, Span};
use serde_json::{json, Value};
use std::io::{self, Write};
use std::ops::Range;

/// Spans of a unit that are written for a launch; a prompt of a large model has more.
const MAX_SPANS: usize = 20_000;
/// Values of a channel's rate for a launch.
const WINDOWS: u64 = 500;

/// Why a trace cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The simulation.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The file.
    #[error("cannot write the trace: {0}")]
    Write(#[from] io::Error),
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceSize {
    /// Events.
    pub events: usize,
    /// Spans that were left out, because a launch had too many.
    pub left_out: usize,
}

/// Simulates a launch of each phase and writes the trace.
pub fn write_trace(program: &Program, w: &Workload, out: &mut dyn Write) -> Result<TraceSize, TraceError> {
    let meta = &program.meta;
    let visual = meta.vision.as_ref().filter(|_| w.images > 0);
    let tokens = w.images * super::typical_picture(program, w.prune).placeholders;
    let rows = w.prompt_tokens + tokens;
    let mut run = Runner::new(program)?;
    let mut trace = Trace { program, out, at_cycles: 0, size: TraceSize::default(), named: [0; UNITS.len()] };
    writeln!(trace.out, "{{\"displayTimeUnit\":\"ns\",\"otherData\":{},\"traceEvents\":[", trace.about(w))?;
    trace.name_tracks()?;
    if visual.is_some() {
        let traced = traced(&mut run, |run| run.vision(w.prune))?;
        trace.launch("vision", &traced)?;
    }
    let prompt = traced(&mut run, |run| run.text(0, rows).map(Some))?;
    trace.launch("prefill", &prompt)?;
    if w.new_tokens > 1 {
        let step = traced(&mut run, |run| run.text(rows, 1).map(Some))?;
        trace.launch("decode step", &step)?;
    }
    trace.out.write_all(b"\n]}\n")?;
    trace.out.flush()?;
    Ok(trace.size)
}

/// A launch twice: once for its length, once with windows that fit it.
fn traced<'p>(
    run: &mut Runner<'p>,
    mut launch: impl FnMut(&mut Runner<'p>) -> Result<Option<Counters>, MachineError>,
) -> Result<(Counters, Profile, u64), MachineError> {
    run.machine.set_profiling(false);
    let cycles = launch(run)?.unwrap_or_default().cycles;
    let window = cycles.div_ceil(WINDOWS).max(64);
    run.machine.set_tracing(window);
    let counters = launch(run)?.unwrap_or_default();
    let profile = run.profile().unwrap_or_default();
    Ok((counters, profile, window))
}

struct Trace<'a> {
    program: &'a Program,
    out: &'a mut dyn Write,
    /// Where the next launch begins.
    at_cycles: u64,
    size: TraceSize,
    /// Tracks of each unit that have a name.
    named: [usize; UNITS.len()],
}

const UNITS_PID: u32 = 1;
const CHANNELS_PID: u32 = 2;
/// Above those of the units. Perfetto gives tracks 0 and that of the process number a meaning of their own.
const PHASE_TID: usize = 10;
/// Tracks that a unit may have: matrix commands overlap, and spans of a track that do are dropped by Perfetto.
const MAX_TRACKS: usize = 8;

fn track_tid(unit: usize, track: usize) -> usize {
    PHASE_TID + 1 + unit * MAX_TRACKS + track
}

/// The first track that is free at a span's start; `ends` has the cycle after each track's last span.
fn free_track(ends: &mut Vec<u64>, span: &Span) -> usize {
    let track = ends.iter().position(|end| *end <= span.start).unwrap_or(ends.len()).min(MAX_TRACKS - 1);
    ends.resize(ends.len().max(track + 1), 0);
    ends[track] = span.end + 1;
    track
}

impl Trace<'_> {
    fn about(&self, w: &Workload) -> Value {
        let m = &self.program.meta;
        json!({
            "basis": if m.config.projected { "projected" } else { "simulated" },
            "target": m.config.name,
            "clock_mhz": m.config.clock_mhz,
            "architecture": m.model.architecture,
            "weights": m.weights,
            "prompt_tokens": w.prompt_tokens,
            "images": w.images,
            "instructions": self.instructions(),
        })
    }

    /// What the spans' `pc` stands for.
    fn instructions(&self) -> Vec<String> {
        (0..self.program.meta.code_len).map(|pc| self.program.instruction(pc).unwrap_or_default()).collect()
    }

    fn event(&mut self, event: &Value) -> io::Result<()> {
        if self.size.events > 0 {
            self.out.write_all(b",\n")?;
        }
        self.size.events += 1;
        write!(self.out, "{event}")
    }

    fn name_tracks(&mut self) -> io::Result<()> {
        let process = |pid: u32, name: &str| json!({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}});
        self.event(&process(UNITS_PID, "units"))?;
        self.event(&process(CHANNELS_PID, "channels"))?;
        self.name_track(PHASE_TID, "phase")
    }

    fn name_track(&mut self, tid: usize, name: &str) -> io::Result<()> {
        self.event(
            &json!({"ph": "M", "name": "thread_name", "pid": UNITS_PID, "tid": tid, "args": {"name": name}}),
        )?;
        self.event(&json!({"ph": "M", "name": "thread_sort_index", "pid": UNITS_PID, "tid": tid, "args": {"sort_index": tid}}))
    }

    fn launch(
        &mut self,
        phase: &str,
        (counters, profile, window): &(Counters, Profile, u64),
    ) -> io::Result<()> {
        let start = self.at_cycles;
        let args = json!({"cycles": counters.cycles});
        let whole = self.complete(PHASE_TID, phase, start..start + counters.cycles, &args);
        self.event(&whole)?;
        for (unit, spans) in profile.spans.iter().enumerate() {
            let mut ends = Vec::new();
            for span in spans.iter().take(MAX_SPANS) {
                let track = free_track(&mut ends, span);
                if track == self.named[unit] {
                    let name =
                        if track == 0 { UNITS[unit].into() } else { format!("{}, overlapping", UNITS[unit]) };
                    self.name_track(track_tid(unit, track), &name)?;
                    self.named[unit] += 1;
                }
                let cycles = start + span.start..start + span.end + 1;
                let name = self.program.meta.part(span.pc);
                let event = self.complete(track_tid(unit, track), name, cycles, &json!({"pc": span.pc}));
                self.event(&event)?;
            }
            self.size.left_out += spans.len().saturating_sub(MAX_SPANS);
        }
        let config = &self.program.meta.config;
        let clock = f64::from(config.clock_mhz);
        let peak = channel_peak(config) / f64::from(config.slices) / 1e9;
        for (channel, windows) in profile.channel_windows.iter().enumerate() {
            let name = format!("channel {channel} GB/s (peak {peak:.1})");
            let mut last = None;
            let ends = [0];
            for (index, beats) in windows.beats.iter().chain(&ends).enumerate() {
                // A counter keeps its value until the next event.
                if last == Some(beats) {
                    continue;
                }
                last = Some(beats);
                let rate = f64::from(*beats) * UNIT_BYTES as f64 * clock / *window as f64 / 1e3;
                let ts = self.us(start + (index as u64 * window).min(counters.cycles));
                self.event(
                    &json!({"ph": "C", "name": name, "pid": CHANNELS_PID, "ts": ts, "args": {"GB/s": rate}}),
                )?;
            }
        }
        self.at_cycles += counters.cycles;
        Ok(())
    }

    /// Times are whole nanoseconds: spans that touch must do so after Perfetto's rounding too.
    fn us(&self, cycle: u64) -> f64 {
        let ns = u128::from(cycle) * 1000 / u128::from(self.program.meta.config.clock_mhz);
        ns as f64 / 1e3
    }

    fn complete(&self, tid: usize, name: &str, cycles: Range<u64>, args: &Value) -> Value {
        let ns = |cycle| (self.us(cycle) * 1e3).round();
        let dur = (ns(cycles.end) - ns(cycles.start)) / 1e3;
        json!({"ph": "X", "name": name, "pid": UNITS_PID, "tid": tid, "ts": self.us(cycles.start), "dur": dur,
            "args": args})
    }
}
