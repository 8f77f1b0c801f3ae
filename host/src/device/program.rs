//! Devices that run compiled programs: the instruction-level simulator, the Verilated RTL, later a
//! card. All share this driver; they differ in the [`Machine`] behind it.
//!
//! The driver writes token rows, pixel rows and the rotary table, starts a launch, and reads logits
//! and tokens back. The whole network, token selection included, runs on the machine.

use super::vision::Shown;
use super::{
    check_prompt, check_step, Device, DeviceError, ImageHandle, Logits, ModelInfo, PhaseStats, RunStats,
    StepOutput,
};
use flightvlm_compiler::codegen::{logits, text_args};
use flightvlm_compiler::graph::{Picture, Position, PositionScheme, Reached, Rotary, TokenGrid};
use flightvlm_compiler::layout::dram::Space;
use flightvlm_compiler::program::{Program, CODE_REGION};
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::machine::{Bank, Machine, MachineError, Report};
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Cycles without progress after which a machine reports a deadlock.
const WATCHDOG_CYCLES: u32 = 65_536;

/// A program loaded onto a machine.
pub struct ProgramDevice<'p> {
    name: &'static str,
    pub(super) program: &'p Program,
    pub(super) machine: Box<dyn Machine>,
    pub(super) info: ModelInfo,
    pub(super) images: Vec<Shown>,
    /// Rows behind the learned ones that visual tokens take.
    pub(super) visual_rows: usize,
    pub(super) used: usize,
    /// Positions of the last prompt.
    pub(super) prompt: Range<usize>,
    /// Layers of the language model that a launch runs.
    pub(super) layers: Range<usize>,
    /// Added to a row's place to get its rotary position.
    shift: f32,
    /// How far positions have come behind each row that may be kept, where they have three axes.
    pub(super) reached: Vec<Reached>,
    pub(super) stats: RunStats,
}

pub(super) fn failed(e: MachineError) -> DeviceError {
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
        let layers = 0..info.layers;
        let mut d = ProgramDevice {
            name,
            program,
            machine,
            info,
            images: Vec::new(),
            visual_rows: 0,
            used: 0,
            prompt: 0..0,
            layers,
            shift: 0.0,
            reached: Vec::new(),
            stats: RunStats::default(),
        };
        let (main, channels) = (meta.dram.end(Space::Main), meta.dram.end(Space::Channels));
        d.machine.resize(main, channels).map_err(|e| DeviceError::Load(e.to_string()))?;
        d.put(CODE_REGION, 0, &program.code)?;
        for (region, bytes) in &program.contents {
            d.fill(region, bytes)?;
        }
        if meta.text.rotary.as_ref().is_some_and(|r| !r.depends_on_length()) {
            d.write_rope(0, &places(0, meta.text.max_context, 0.0))?;
        }
        Ok(d)
    }

    /// Rotary rows of a prompt, where they are not what stands in the table from the start.
    pub(super) fn place_rows(&mut self, ids: &[u32], images: &[ImageHandle]) -> Result<(), DeviceError> {
        let meta = &self.program.meta;
        if meta.model.position_scheme == PositionScheme::Sequence {
            return self.follow_length(ids.len());
        }
        let grids: Vec<TokenGrid> = images.iter().map(|h| self.images[h.index].grid.clone()).collect();
        let place = self.used;
        self.reached.truncate(place);
        let behind = self.reached.last().copied().unwrap_or_default();
        let mut positions = meta.model.positions_behind(place, behind, ids, &grids);
        // Rows that come later are known by now, too.
        positions.rows.extend(places(place + ids.len(), meta.text.max_context, positions.shift));
        self.shift = positions.shift;
        self.reached.extend(positions.reached);
        self.write_rope(place, &positions.rows)
    }

    /// A row of an answer has run. It may be kept if a prompt with the answer in it would give it the same position.
    fn reach_step(&mut self) {
        let Some(&Reached { next, last }) = self.reached.last() else { return };
        if self.reached.len() + 1 == self.used && next == last + 1.0 {
            self.reached.push(Reached { next: next + 1.0, last: next });
        }
    }

    /// Rotary rows of the next `rows` places, where their angles depend on the sequence's length.
    fn follow_length(&mut self, rows: usize) -> Result<(), DeviceError> {
        let rotary = self.program.meta.text.rotary.as_ref();
        if rotary.is_some_and(Rotary::depends_on_length) {
            self.write_rope(self.used, &places(self.used, self.used + rows, self.shift))?;
        }
        Ok(())
    }

    /// Writes the rotary rows of places from `from` on.
    fn write_rope(&mut self, from: usize, positions: &[Position]) -> Result<(), DeviceError> {
        let text = &self.program.meta.text;
        let Some(rotary) = &text.rotary else { return Ok(()) };
        let shape = (text.rope_half_words, text.rope_pairs);
        let rows = rope_rows(rotary, shape, positions, from + positions.len());
        let row_bytes = rows.len() / positions.len().max(1);
        self.put("text.rope", (from * row_bytes) as u64, &rows)
    }

    fn address(&self, region: &str) -> u64 {
        let r = self.program.meta.dram.get(region);
        u64::from(r.unwrap_or_else(|| panic!("invariant: program has region {region}")).base) * 64
    }

    pub(super) fn put(&mut self, region: &str, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
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

    pub(super) fn get(&mut self, region: &str, bytes: usize) -> Result<Vec<u8>, DeviceError> {
        self.get_from(region, 0, bytes)
    }

    pub(super) fn get_from(
        &mut self,
        region: &str,
        offset: u64,
        bytes: usize,
    ) -> Result<Vec<u8>, DeviceError> {
        let at = self.address(region) + offset;
        let mut out = vec![0; bytes];
        self.machine.read(Bank::Main, at, &mut out).map_err(failed)?;
        Ok(out)
    }

    pub(super) fn launch(&mut self, entry: u32, args: &[(usize, u32)]) -> Result<Report, DeviceError> {
        let mut launch = self.program.launch(entry, WATCHDOG_CYCLES);
        for (index, value) in args {
            launch.args[*index] = *value;
        }
        let report = self.machine.launch(&launch).map_err(failed)?;
        if let Some(mut fault) = report.fault {
            // Counted from the start of the piece that was launched.
            fault.pc += self.program.segment(entry).first;
            let text = self.program.instruction(fault.pc);
            let (part, text) =
                (self.program.meta.part(fault.pc), text.as_deref().unwrap_or("no instruction"));
            let name = self.name;
            return Err(DeviceError::Fault(format!("{name}: {fault}; `{text}` computes {part}")));
        }
        if report.interrupted {
            return Err(DeviceError::Interrupted);
        }
        Ok(report)
    }

    /// What a launch over `rows` rows adds to the statistics.
    pub(super) fn phase(&self, rows: usize, report: &Report, wall: Duration) -> PhaseStats {
        let c = &report.counters;
        PhaseStats {
            calls: 1,
            rows: rows as u64,
            cycles: self.machine.keeps_time().then_some(c.cycles),
            instructions: Some(c.dispatched),
            macs: Some(c.mac_beats * 256),
            dram_bytes_read: Some((c.read_beats + c.channel_read_beats) * UNIT_BYTES as u64),
            dram_bytes_written: Some((c.write_beats + c.channel_write_beats) * UNIT_BYTES as u64),
            channel_bytes: Some((c.channel_read_beats + c.channel_write_beats) * UNIT_BYTES as u64),
            busy_cycles: self.machine.keeps_time().then_some(c.busy_cycles),
            wall,
        }
    }

    /// Writes `rows` and runs them behind position `self.used`.
    pub(super) fn run_text(
        &mut self,
        rows: &[u32],
        want: Logits,
    ) -> Result<(StepOutput, Report), DeviceError> {
        self.write_rows(self.used, rows)?;
        let (entry, count) = (self.program.meta.text.entry, rows.len());
        let out = self.run_entry(entry, self.used, count, want)?;
        self.used += count;
        Ok(out)
    }

    /// Runs a prompt whose rows see each other: all layers, then the logits that are wanted.
    pub(super) fn run_prompt(
        &mut self,
        (layers, logits): (u32, u32),
        rows: &[u32],
        want: Logits,
    ) -> Result<StepOutput, DeviceError> {
        let start = Instant::now();
        self.write_rows(0, rows)?;
        let text = &self.program.meta.text;
        let [layers_wanted, first_layer] = text.wanted(self.layers.clone(), logits::NONE);
        let rows_wanted = (text_args::ROWS, rows.len() as u32);
        let report = self.launch(layers, &[rows_wanted, layers_wanted, first_layer])?;
        let phase = self.phase(self.new_rows(rows.len()), &report, start.elapsed());
        self.stats.prefill.add(&phase);
        self.used = rows.len();
        let tile = self.program.meta.text.tile_rows;
        let first = if want == Logits::AllRows { 0 } else { rows.len() - 1 };
        let mut out = StepOutput { greedy_token: 0, logits: Vec::new(), hidden: Vec::new() };
        for at in (first..rows.len()).step_by(tile) {
            let start = Instant::now();
            let count = tile.min(rows.len() - at);
            let (piece, report) = self.run_entry(logits, at, count, want)?;
            let phase = self.phase(0, &report, start.elapsed());
            self.stats.prefill.add(&phase);
            out.logits.extend(piece.logits);
            (out.greedy_token, out.hidden) = (piece.greedy_token, piece.hidden);
        }
        Ok(out)
    }

    /// Table rows of the positions from `position` on.
    fn write_rows(&mut self, position: usize, rows: &[u32]) -> Result<(), DeviceError> {
        let bytes: Vec<u8> = rows.iter().flat_map(|r| r.to_le_bytes()).collect();
        self.put("text.ids", 4 * position as u64, &bytes)
    }

    /// Launches an entry point that ends in logits, for `rows` rows from `position` on.
    pub(super) fn run_entry(
        &mut self,
        entry: u32,
        position: usize,
        rows: usize,
        want: Logits,
    ) -> Result<(StepOutput, Report), DeviceError> {
        let t = &self.program.meta.text;
        if want == Logits::LastHidden && self.program.meta.dram.get("text.hidden").is_none() {
            let why = "this program was compiled by a version that gives no hidden states; compile it again";
            return Err(DeviceError::Input(why.into()));
        }
        let mode = match want {
            Logits::None => logits::NONE,
            Logits::LastToken => logits::LAST,
            Logits::AllRows => logits::ALL,
            Logits::LastHidden => logits::HIDDEN,
        };
        let [wanted, first_layer] = t.wanted(self.layers.clone(), mode);
        let args =
            [(text_args::POSITION, position as u32), (text_args::ROWS, rows as u32), wanted, first_layer];
        let report = self.launch(entry, &args)?;
        let count = if want == Logits::AllRows { rows } else { 1 };
        let row_bytes = t.logit_units as usize * UNIT_BYTES;
        let wanted = if want == Logits::None { 0 } else { count };
        let raw = self.get("text.logits", wanted * row_bytes)?;
        let mut logits = Vec::with_capacity(wanted * t.outputs);
        for row in raw.chunks_exact(row_bytes) {
            logits.extend(floats(row).take(t.outputs));
        }
        let mut hidden = Vec::new();
        if want == Logits::LastHidden {
            let columns = self.program.meta.model.text.hidden;
            let raw = self.get("text.hidden", columns.next_multiple_of(16) * 4)?;
            hidden.extend(floats(&raw).take(columns));
        }
        let tokens = self.get("text.tokens", count.next_multiple_of(16) * 4)?;
        let last = &tokens[4 * (count - 1)..][..4];
        let greedy_token = u32::from_le_bytes([last[0], last[1], last[2], last[3]]);
        Ok((StepOutput { greedy_token, logits, hidden }, report))
    }

    /// Runs a prompt behind position `self.used`.
    pub(super) fn run_prompt_rows(
        &mut self,
        ids: &[u32],
        images: &[ImageHandle],
        want: Logits,
    ) -> Result<StepOutput, DeviceError> {
        let rows = self.table_rows(ids, images);
        self.place_rows(ids, images)?;
        self.prompt = self.used..self.used + rows.len();
        self.run_rows(&rows, want)
    }

    /// Runs rows of the table behind position `self.used`.
    pub(super) fn run_rows(&mut self, rows: &[u32], want: Logits) -> Result<StepOutput, DeviceError> {
        if let Some(entries) = self.program.meta.text.prefix {
            return self.run_prompt(entries, rows, want);
        }
        let all = want == Logits::AllRows;
        // The device loops over tiles itself; with all logits the host reads them tile by tile.
        let piece = if all { self.program.meta.text.tile_rows } else { rows.len() };
        let mut out = StepOutput { greedy_token: 0, logits: Vec::new(), hidden: Vec::new() };
        for rows in rows.chunks(piece) {
            let start = Instant::now();
            let (piece, report) = self.run_text(rows, want)?;
            let phase = self.phase(self.new_rows(rows.len()), &report, start.elapsed());
            self.stats.prefill.add(&phase);
            out.logits.extend(piece.logits);
            (out.greedy_token, out.hidden) = (piece.greedy_token, piece.hidden);
        }
        Ok(out)
    }

    /// Of the rows of a launch, those that have not run before.
    fn new_rows(&self, rows: usize) -> usize {
        if self.layers.start == 0 {
            rows
        } else {
            0
        }
    }

    /// Row of the embedding table, or behind it, for each prompt position.
    pub(super) fn table_rows(&self, ids: &[u32], images: &[ImageHandle]) -> Vec<u32> {
        let mut visual = images.iter().flat_map(|h| self.images[h.index].rows.iter().copied());
        let mut row = |id: &u32| {
            let seen = if self.info.is_placeholder(*id) { visual.next() } else { None };
            seen.unwrap_or(*id)
        };
        ids.iter().map(&mut row).collect()
    }
}

pub(super) fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// Positions of the places `from..to` of a sequence of text.
fn places(from: usize, to: usize, shift: f32) -> Vec<Position> {
    (from..to).map(|place| [place as f32 + shift; 3]).collect()
}

/// Rows of the rotary table: cos and sin of each pair of a half, padded to whole words. Pairs that do not
/// turn have cos 1 and sin 0. Angle and result are rounded to float32, as in `transformers`.
pub(super) fn rope_rows(
    rotary: &Rotary,
    (half_words, pairs): (u32, usize),
    positions: &[Position],
    length: usize,
) -> Vec<u8> {
    let words = half_words as usize * 16;
    let frequencies = rotary.frequencies(length);
    let mut out = Vec::with_capacity(positions.len() * words * 8);
    for position in positions {
        let mut row = vec![0.0; 2 * words];
        row[rotary.pairs()..pairs].fill(1.0);
        for (pair, (cos, sin)) in rotary.row(&frequencies, *position).enumerate() {
            (row[pair], row[words + pair]) = (cos, sin);
        }
        out.extend(row.into_iter().flat_map(f32::to_le_bytes));
    }
    out
}

impl Device for ProgramDevice<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn model(&self) -> &ModelInfo {
        &self.info
    }

    fn begin(&mut self) -> Result<(), DeviceError> {
        self.images.clear();
        (self.visual_rows, self.used, self.shift) = (0, 0, 0.0);
        self.reached.clear();
        self.stats = RunStats::default();
        Ok(())
    }

    fn keep(&mut self, positions: usize) -> Result<usize, DeviceError> {
        // Elsewhere the turn of a kept row depends on the length, or rows of a prompt see each other.
        if !self.rows_are_final() {
            self.begin()?;
            return Ok(0);
        }
        self.images.clear();
        let kept = positions.min(self.rows_to_keep());
        (self.visual_rows, self.used, self.stats) = (0, kept, RunStats::default());
        Ok(kept)
    }

    fn save(&mut self, positions: usize) -> Result<Vec<u8>, DeviceError> {
        assert!(positions <= self.rows_to_keep(), "rows that are there");
        self.read_cache(positions)
    }

    fn restore(&mut self, positions: usize, rows: &[u8]) -> Result<(), DeviceError> {
        self.begin()?;
        if positions >= self.info.max_context {
            let limit = self.info.max_context;
            return Err(DeviceError::PromptTooLong { needed: positions, image: 0, limit });
        }
        self.write_cache(positions, rows)?;
        self.used = positions;
        Ok(())
    }

    fn encode_image(&mut self, picture: &Picture) -> Result<ImageHandle, DeviceError> {
        let shown = self.show(picture)?;
        let rows = shown.rows.len();
        self.images.push(shown);
        Ok(ImageHandle { index: self.images.len() - 1, rows })
    }

    fn embed_image(&mut self, picture: &Picture) -> Result<Vec<f32>, DeviceError> {
        self.begin()?;
        self.vector(picture)
    }

    fn prefill(
        &mut self,
        ids: &[u32],
        images: &[ImageHandle],
        want: Logits,
    ) -> Result<StepOutput, DeviceError> {
        check_prompt(&self.info, ids, images)?;
        let (needed, limit) = (self.used + ids.len(), self.info.max_context);
        if needed > self.info.longest_prompt() {
            let image = images.iter().map(|handle| handle.rows).sum();
            return Err(DeviceError::PromptTooLong { needed, image, limit });
        }
        self.run_prompt_rows(ids, images, want)
    }

    fn set_depth(&mut self, layers: usize) -> Result<(), DeviceError> {
        self.check_depth(layers)?;
        if layers != self.layers.end {
            (self.used, self.layers) = (0, 0..layers);
        }
        Ok(())
    }

    fn depth(&self) -> usize {
        self.layers.end
    }

    fn deepen(&mut self, layers: usize, want: Logits) -> Result<StepOutput, DeviceError> {
        self.go_on(layers, want)
    }

    fn hidden_states(
        &mut self,
        ids: &[u32],
        images: &[ImageHandle],
        layers: usize,
        positions: &[usize],
    ) -> Result<Vec<f32>, DeviceError> {
        check_prompt(&self.info, ids, images)?;
        self.check_depth(layers)?;
        assert!(self.used == 0 && positions.iter().all(|p| *p < ids.len()), "positions of a whole prompt");
        self.states(ids, images, layers, positions)
    }

    fn step(&mut self, token: u32, want: Logits) -> Result<StepOutput, DeviceError> {
        let start = Instant::now();
        check_step(&self.info, token, self.used)?;
        self.follow_length(1)?;
        let (out, report) = self.run_text(&[token], want)?;
        self.reach_step();
        let phase = self.phase(1, &report, start.elapsed());
        self.stats.decode.add(&phase);
        Ok(out)
    }

    fn stats(&self) -> RunStats {
        self.stats
    }

    fn interrupt(&mut self, flag: Arc<AtomicBool>) {
        self.machine.interrupt(flag);
    }
}
