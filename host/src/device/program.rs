//! Devices that run compiled programs: the instruction-level simulator, the Verilated RTL, later a
//! card. All share this driver; they differ in the [`Machine`] behind it.
//!
//! The driver writes token rows, pixel rows and the rotary table, starts a launch, and reads logits
//! and tokens back. The whole network, token selection included, runs on the machine.

use super::{
    check_prompt, check_step, Device, DeviceError, ImageHandle, Logits, ModelInfo, PhaseStats, RunStats,
    StepOutput,
};
use crate::image::PatchRows;
use flightvlm_compiler::codegen::{logits, text_args, vision_args};
use flightvlm_compiler::layout::dram::Space;
use flightvlm_compiler::program::{Program, CODE_REGION};
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::machine::{Bank, Launch, Machine, MachineError, Report};
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Cycles without progress after which a machine reports a deadlock.
const WATCHDOG_CYCLES: u32 = 65_536;

/// A program loaded onto a machine.
pub struct ProgramDevice<'p> {
    name: &'static str,
    program: &'p Program,
    machine: Box<dyn Machine>,
    info: ModelInfo,
    images: usize,
    used: usize,
    stats: RunStats,
}

fn failed(e: MachineError) -> DeviceError {
    DeviceError::Fault(e.to_string())
}

impl<'p> ProgramDevice<'p> {
    /// Writes code, weights and the rotary table into the machine's DRAM.
    pub fn new(
        name: &'static str,
        program: &'p Program,
        machine: Box<dyn Machine>,
        mut info: ModelInfo,
    ) -> Result<Self, DeviceError> {
        let meta = &program.meta;
        info.max_context = info.max_context.min(meta.text.max_context);
        if program.contents.is_empty() {
            let why = "the program was compiled without weights; compile it without --no-weights";
            return Err(DeviceError::Load(why.into()));
        }
        let (images, used, stats) = (0, 0, RunStats::default());
        let mut d = ProgramDevice { name, program, machine, info, images, used, stats };
        let (main, channels) = (meta.dram.end(Space::Main), meta.dram.end(Space::Channels));
        d.machine.resize(main, channels).map_err(|e| DeviceError::Load(e.to_string()))?;
        d.put(CODE_REGION, 0, &program.code)?;
        for (region, bytes) in &program.contents {
            d.fill(region, bytes)?;
        }
        d.put("text.rope", 0, &rope_table(program))?;
        Ok(d)
    }

    fn address(&self, region: &str) -> u64 {
        let r = self.program.meta.dram.get(region);
        u64::from(r.unwrap_or_else(|| panic!("invariant: program has region {region}")).base) * 64
    }

    fn put(&mut self, region: &str, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let at = self.address(region) + offset;
        self.machine.write(Bank::Main, at, bytes).map_err(failed)
    }

    /// Writes a region's content: of a channel region, each channel's part of each record.
    fn fill(&mut self, name: &str, bytes: &[u8]) -> Result<(), DeviceError> {
        let dram = &self.program.meta.dram;
        let region = dram.get(name).unwrap_or_else(|| panic!("invariant: program has region {name}"));
        if region.space == Space::Main {
            return self.put(name, 0, bytes);
        }
        let piece = region.record_units() as usize * UNIT_BYTES;
        if piece == 0 {
            return Ok(());
        }
        for (record, channels) in bytes.chunks_exact(piece * dram.channels as usize).enumerate() {
            let at = u64::from(region.base) * UNIT_BYTES as u64 + (record * piece) as u64;
            for (channel, part) in (0..).zip(channels.chunks_exact(piece)) {
                self.machine.write(Bank::Channel(channel), at, part).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn get(&mut self, region: &str, bytes: usize) -> Result<Vec<u8>, DeviceError> {
        let at = self.address(region);
        let mut out = vec![0; bytes];
        self.machine.read(Bank::Main, at, &mut out).map_err(failed)?;
        Ok(out)
    }

    fn launch(&mut self, entry: u32, args: &[(usize, u32)]) -> Result<Report, DeviceError> {
        let meta = &self.program.meta;
        let mut launch = Launch {
            code_base_units: (self.address(CODE_REGION) / UNIT_BYTES as u64) as u32,
            code_units: (self.program.code.len() / UNIT_BYTES) as u32,
            code_len: meta.code_len,
            entry,
            args: [0; 16],
            watchdog_cycles: WATCHDOG_CYCLES,
        };
        for (index, value) in args {
            launch.args[*index] = *value;
        }
        let report = self.machine.launch(&launch).map_err(failed)?;
        if let Some(fault) = report.fault {
            let text = self.program.instruction(fault.pc);
            let (part, text) = (meta.part(fault.pc), text.as_deref().unwrap_or("no instruction"));
            let name = self.name;
            return Err(DeviceError::Fault(format!("{name}: {fault}; `{text}` computes {part}")));
        }
        if report.interrupted {
            return Err(DeviceError::Interrupted);
        }
        Ok(report)
    }

    /// Writes `ids` rows and runs them behind position `self.used`.
    fn run_text(&mut self, rows: &[u32], want: Logits) -> Result<(Vec<f32>, u32, Report), DeviceError> {
        let t = &self.program.meta.text;
        let bytes: Vec<u8> = rows.iter().flat_map(|r| r.to_le_bytes()).collect();
        self.put("text.ids", 0, &bytes)?;
        let mode = match want {
            Logits::None => logits::NONE,
            Logits::LastToken => logits::LAST,
            Logits::AllRows => logits::ALL,
        };
        let args = [
            (text_args::POSITION, self.used as u32),
            (text_args::ROWS, rows.len() as u32),
            (text_args::LOGITS, mode),
        ];
        let report = self.launch(t.entry, &args)?;
        self.used += rows.len();
        let count = if want == Logits::AllRows { rows.len() } else { 1 };
        let row_bytes = t.logit_units as usize * UNIT_BYTES;
        let wanted = if want == Logits::None { 0 } else { count };
        let raw = self.get("text.logits", wanted * row_bytes)?;
        let mut logits = Vec::with_capacity(wanted * t.vocab);
        for row in raw.chunks_exact(row_bytes) {
            let floats = row.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            logits.extend(floats.take(t.vocab));
        }
        let tokens = self.get("text.tokens", count.next_multiple_of(16) * 4)?;
        let last = &tokens[4 * (count - 1)..][..4];
        let token = u32::from_le_bytes([last[0], last[1], last[2], last[3]]);
        Ok((logits, token, report))
    }

    /// Row of the embedding table (or of the visual tokens behind it) for each prompt position.
    fn table_rows(&self, ids: &[u32], images: &[ImageHandle]) -> Vec<u32> {
        let placeholder = self.info.image.as_ref().map(|i| i.token_id);
        let vocab = self.program.meta.text.vocab;
        let tokens = self.program.meta.vision.as_ref().map_or(0, |v| v.tokens);
        let mut visual = images.iter().flat_map(|h| (0..h.rows).map(move |r| h.index * tokens + r));
        let mut row = |id: &u32| {
            let seen = if Some(*id) == placeholder { visual.next() } else { None };
            seen.map_or(*id, |row| (vocab + row) as u32)
        };
        ids.iter().map(&mut row).collect()
    }
}

/// cos and sin of every position, each half padded to whole words, as float32 of float64 products
/// rounded the way `transformers` rounds them (angle and result in float32).
fn rope_table(program: &Program) -> Vec<u8> {
    let t = &program.meta.text;
    let half = t.rope_half_words as usize * 16;
    let mut out = Vec::with_capacity(t.max_context * half * 8);
    for position in 0..t.max_context {
        for f in [f32::cos, f32::sin] {
            let row = t.rope_inv_freq.iter().map(|w| f(position as f32 * w) * t.rope_scaling);
            let padded = row.chain(std::iter::repeat(0.0)).take(half);
            out.extend(padded.flat_map(f32::to_le_bytes));
        }
    }
    out
}

fn phase(rows: usize, report: &Report, wall: Duration) -> PhaseStats {
    let c = &report.counters;
    PhaseStats {
        calls: 1,
        rows: rows as u64,
        // A machine without times counts none.
        cycles: Some(c.cycles).filter(|cycles| *cycles > 0),
        instructions: Some(c.dispatched),
        macs: Some(c.mac_beats * 256),
        dram_bytes_read: Some((c.read_beats + c.channel_read_beats) * UNIT_BYTES as u64),
        dram_bytes_written: Some((c.write_beats + c.channel_write_beats) * UNIT_BYTES as u64),
        channel_bytes: Some((c.channel_read_beats + c.channel_write_beats) * UNIT_BYTES as u64),
        busy_cycles: Some(c.busy_cycles),
        wall,
    }
}

impl Device for ProgramDevice<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn model(&self) -> &ModelInfo {
        &self.info
    }

    fn begin(&mut self) -> Result<(), DeviceError> {
        (self.images, self.used, self.stats) = (0, 0, RunStats::default());
        Ok(())
    }

    fn keep(&mut self, positions: usize) -> Result<usize, DeviceError> {
        let kept = positions.min(self.used);
        (self.images, self.used, self.stats) = (0, kept, RunStats::default());
        Ok(kept)
    }

    fn encode_image(&mut self, patches: &PatchRows) -> Result<ImageHandle, DeviceError> {
        let start = Instant::now();
        let Some(v) = self.program.meta.vision.clone() else {
            return Err(DeviceError::Input("the model takes no images".into()));
        };
        if self.images == v.slots {
            let what = format!("a prompt can show {} pictures with this program", v.slots);
            return Err(DeviceError::Input(what));
        }
        let class_rows = usize::from(v.has_class);
        let expected = (v.rows - class_rows, v.pixel_cols);
        if (patches.rows, patches.columns) != expected {
            return Err(DeviceError::Input(format!(
                "the picture has {} patches of {} values, the model takes {} of {}",
                patches.rows, patches.columns, expected.0, expected.1
            )));
        }
        let row_bytes = v.pixel_units as usize * UNIT_BYTES;
        let mut bytes = vec![0u8; v.rows * row_bytes];
        let rows = bytes.chunks_exact_mut(row_bytes).skip(class_rows);
        for (row, pixels) in rows.zip(patches.data.chunks_exact(v.pixel_cols)) {
            for (b, x) in row.chunks_exact_mut(4).zip(pixels) {
                b.copy_from_slice(&x.to_le_bytes());
            }
        }
        self.put("vision.pixels", 0, &bytes)?;
        let report = self.launch(v.entry, &[(vision_args::SLOT, self.images as u32)])?;
        self.stats.vision.add(&phase(v.rows, &report, start.elapsed()));
        self.images += 1;
        Ok(ImageHandle { index: self.images - 1, rows: v.tokens })
    }

    fn prefill(
        &mut self,
        ids: &[u32],
        images: &[ImageHandle],
        want: Logits,
    ) -> Result<StepOutput, DeviceError> {
        check_prompt(&self.info, ids, images)?;
        let (needed, limit) = (self.used + ids.len(), self.info.max_context);
        if needed >= limit {
            let image = images.iter().map(|handle| handle.rows).sum();
            return Err(DeviceError::PromptTooLong { needed, image, limit });
        }
        let rows = self.table_rows(ids, images);
        let all = want == Logits::AllRows;
        // The device loops over tiles itself; with all logits the host reads them tile by tile.
        let piece = if all { self.program.meta.text.tile_rows } else { rows.len() };
        let mut out = StepOutput { greedy_token: 0, logits: Vec::new() };
        for rows in rows.chunks(piece) {
            let start = Instant::now();
            let (logits, token, report) = self.run_text(rows, want)?;
            self.stats.prefill.add(&phase(rows.len(), &report, start.elapsed()));
            out.logits.extend(logits);
            out.greedy_token = token;
        }
        Ok(out)
    }

    fn step(&mut self, token: u32, want: Logits) -> Result<StepOutput, DeviceError> {
        let start = Instant::now();
        check_step(&self.info, token, self.used)?;
        let (logits, greedy_token, report) = self.run_text(&[token], want)?;
        self.stats.decode.add(&phase(1, &report, start.elapsed()));
        Ok(StepOutput { greedy_token, logits })
    }

    fn stats(&self) -> RunStats {
        self.stats
    }

    fn interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.machine.interrupt(flag);
    }
}
