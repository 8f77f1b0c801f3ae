//! A timeline of every unit and channel, in the format that Perfetto and Chrome's tracing page read.
//!
//! One launch of each phase is shown, one behind the other: a picture, the prompt, a decode step.
//! Times are microseconds of the target's clock, **simulated**.

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
    let mut trace = Trace { program, out, at_us: 0.0, size: TraceSize::default() };
    writeln!(trace.out, "{{\"displayTimeUnit\":\"ns\",\"otherData\":{},\"traceEvents\":[", trace.about(w))?;
    trace.name_tracks()?;
    if visual.is_some() {
        let traced = traced(&mut run, |run| run.vision())?;
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
    at_us: f64,
    size: TraceSize,
}

const UNITS_PID: u32 = 1;
const CHANNELS_PID: u32 = 2;

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
        for (tid, name) in UNITS.iter().chain(&["phase"]).enumerate() {
            self.event(&json!({"ph": "M", "name": "thread_name", "pid": UNITS_PID, "tid": tid, "args": {"name": name}}))?;
        }
        Ok(())
    }

    fn launch(
        &mut self,
        phase: &str,
        (counters, profile, window): &(Counters, Profile, u64),
    ) -> io::Result<()> {
        let clock = f64::from(self.program.meta.config.clock_mhz);
        let us = |cycles: u64| cycles as f64 / clock;
        let start = self.at_us;
        let whole = json!({"ph": "X", "name": phase, "pid": UNITS_PID, "tid": UNITS.len(), "ts": start,
            "dur": us(counters.cycles), "args": {"cycles": counters.cycles}});
        self.event(&whole)?;
        for (unit, spans) in profile.spans.iter().enumerate() {
            for span in spans.iter().take(MAX_SPANS) {
                let event = self.span(unit, span, start, clock);
                self.event(&event)?;
            }
            self.size.left_out += spans.len().saturating_sub(MAX_SPANS);
        }
        let config = &self.program.meta.config;
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
                let rate = f64::from(*beats) * UNIT_BYTES as f64 / us(*window) / 1e3;
                let ts = start + us(index as u64 * window).min(us(counters.cycles));
                self.event(
                    &json!({"ph": "C", "name": name, "pid": CHANNELS_PID, "ts": ts, "args": {"GB/s": rate}}),
                )?;
            }
        }
        self.at_us += us(counters.cycles);
        Ok(())
    }

    fn span(&self, unit: usize, span: &Span, start: f64, clock: f64) -> Value {
        json!({
            "ph": "X",
            "name": self.program.meta.part(span.pc),
            "pid": UNITS_PID,
            "tid": unit,
            "ts": start + span.start as f64 / clock,
            "dur": (span.end - span.start + 1) as f64 / clock,
            "args": {"pc": span.pc},
        })
    }
}
