//! Launches of a program on the timing model, without weights and without data.

use flightvlm_compiler::codegen::{group_args, logits, text_args, vision_args};
use flightvlm_compiler::graph::Prune;
use flightvlm_compiler::layout::dram::Space;
use flightvlm_compiler::program::{Program, CODE_REGION};
use flightvlm_hw::config::UNIT_BYTES;
use flightvlm_hw::machine::{Bank, Counters, Machine, MachineError};
use flightvlm_iss::profile::Profile;
use flightvlm_iss::Iss;
use std::ops::Range;

/// A program on a machine that only counts.
pub(super) struct Runner<'p> {
    program: &'p Program,
    pub machine: Iss,
    /// pc of the first instruction of the code that was launched last.
    first: u32,
}

impl<'p> Runner<'p> {
    /// Loads the code.
    pub fn new(program: &'p Program) -> Result<Self, MachineError> {
        let meta = &program.meta;
        let mut machine = Iss::timing_only(meta.config.clone());
        machine.resize(meta.dram.end(Space::Main), meta.dram.end(Space::Channels))?;
        let code = meta.dram.get(CODE_REGION).expect("invariant: verified when made");
        machine.write(Bank::Main, u64::from(code.base) * UNIT_BYTES as u64, &program.code)?;
        Ok(Runner { program, machine, first: 0 })
    }

    fn launch(&mut self, entry: u32, args: &[(usize, u32)]) -> Result<Counters, MachineError> {
        let mut launch = self.program.launch(entry, 1 << 24);
        self.first = self.program.segment(entry).first;
        for (index, value) in args {
            launch.args[*index] = *value;
        }
        let report = self.machine.launch(&launch)?;
        match report.fault {
            Some(fault) => {
                let part = self.program.meta.part(self.first + fault.pc);
                Err(MachineError(format!("{fault}; it computes {part}")))
            }
            None => Ok(report.counters),
        }
    }

    /// The account of the last launch, if one is kept; its pcs are those of the whole program.
    pub fn profile(&self) -> Option<Profile> {
        let mut profile = self.machine.profile()?.clone();
        let before = std::iter::repeat_n(Default::default(), self.first as usize);
        profile.by_pc = before.chain(profile.by_pc).collect();
        profile.spans.iter_mut().flatten().for_each(|span| span.pc += self.first);
        Some(profile)
    }

    /// One tile of a picture of the usual size; `None` where the model takes none. Of a tower in several pieces, the
    /// machine's profile is that of the last.
    pub fn vision(&mut self, prune: Option<Prune>) -> Result<Option<Counters>, MachineError> {
        let meta = &self.program.meta;
        let (Some(v), Some(spec)) = (&meta.vision, &meta.model.vision) else { return Ok(None) };
        let picture = super::typical_picture(self.program, None);
        let args = vision_args::of_tile(spec, picture.grid, 0);
        let mut sum = Counters::default();
        if let Some(g) = &v.groups {
            // First, so that the tower's is the last launch. Merged tokens come in groups of equal sizes.
            let tokens = picture.tokens as usize;
            let kept = prune.map_or(tokens, |prune| prune.tokens.min(tokens)).max(1);
            let merges = prune.is_some_and(|prune| prune.method.merges());
            let members = if merges { tokens.div_ceil(kept) } else { 1 };
            for first in (0..kept).step_by(g.rows) {
                let of_groups = [
                    (group_args::FIRST_TOKEN, first as u32),
                    (group_args::MEMBERS, members as u32),
                    (group_args::GROUPS, g.rows.min(kept - first) as u32),
                ];
                let args = match prune {
                    Some(prune) if !prune.method.merges() => {
                        group_args::of_best(first, (kept, tokens), g.rows, first).to_vec()
                    }
                    _ => of_groups.to_vec(),
                };
                add(&mut sum, &self.launch(g.entry, &args)?);
            }
        }
        for entry in std::iter::once(v.entry).chain(v.rest.iter().copied()) {
            add(&mut sum, &self.launch(entry, &args)?);
        }
        Ok(Some(sum))
    }

    /// A prompt of `rows` tokens. The machine's profile is then that of the layers.
    pub fn prompt(&mut self, rows: usize) -> Result<Vec<Counters>, MachineError> {
        self.prompt_through(0..self.program.meta.model.text.layers, rows, logits::NONE)
    }

    /// The same through some layers, for logits that leave the chip. Later layers take the rows that are there.
    pub fn stage(&mut self, layers: Range<usize>, rows: usize) -> Result<Vec<Counters>, MachineError> {
        self.prompt_through(layers, rows, logits::LAST)
    }

    fn prompt_through(
        &mut self,
        layers: Range<usize>,
        rows: usize,
        mode: u32,
    ) -> Result<Vec<Counters>, MachineError> {
        let text = &self.program.meta.text;
        let [wanted, first] = text.wanted(layers, mode);
        let count = (text_args::ROWS, rows as u32);
        let Some((layers, logits)) = text.prefix else {
            let args = [(text_args::POSITION, 0), count, wanted, first];
            return Ok(vec![self.launch(text.entry, &args)?]);
        };
        let last = [(text_args::POSITION, rows as u32 - 1), (text_args::ROWS, 1), wanted];
        let last = self.launch(logits, &last)?;
        Ok(vec![self.launch(layers, &[count, wanted, first])?, last])
    }

    /// `rows` tokens behind `position`.
    pub fn text(&mut self, position: usize, rows: usize) -> Result<Counters, MachineError> {
        self.rows(self.program.meta.model.text.layers, position, rows)
    }

    /// A token behind `position`, through the first layers.
    pub fn step(&mut self, layers: usize, position: usize) -> Result<Counters, MachineError> {
        self.rows(layers, position, 1)
    }

    fn rows(&mut self, layers: usize, position: usize, rows: usize) -> Result<Counters, MachineError> {
        let text = &self.program.meta.text;
        let [wanted, first] = text.wanted(0..layers, logits::NONE);
        let args = [(text_args::POSITION, position as u32), (text_args::ROWS, rows as u32), wanted, first];
        self.launch(text.entry, &args)
    }
}

/// Counters between two launches, `share` of the way.
pub(super) fn interpolate(a: &Counters, b: &Counters, share: f64) -> Counters {
    let mix = |x: u64, y: u64| (x as f64 + (y as f64 - x as f64) * share).round() as u64;
    Counters {
        cycles: mix(a.cycles, b.cycles),
        dispatched: mix(a.dispatched, b.dispatched),
        retired: std::array::from_fn(|u| mix(a.retired[u], b.retired[u])),
        busy_cycles: std::array::from_fn(|u| mix(a.busy_cycles[u], b.busy_cycles[u])),
        wait_cycles: std::array::from_fn(|u| mix(a.wait_cycles[u], b.wait_cycles[u])),
        read_beats: mix(a.read_beats, b.read_beats),
        write_beats: mix(a.write_beats, b.write_beats),
        channel_read_beats: mix(a.channel_read_beats, b.channel_read_beats),
        channel_write_beats: mix(a.channel_write_beats, b.channel_write_beats),
        mac_beats: mix(a.mac_beats, b.mac_beats),
        starved_cycles: mix(a.starved_cycles, b.starved_cycles),
    }
}

/// Adds the counters of one more launch.
fn add(sum: &mut Counters, c: &Counters) {
    let units = [
        (&mut sum.retired, &c.retired),
        (&mut sum.busy_cycles, &c.busy_cycles),
        (&mut sum.wait_cycles, &c.wait_cycles),
    ];
    for (sum, c) in units {
        sum.iter_mut().zip(c).for_each(|(sum, c)| *sum += c);
    }
    for (sum, c) in [
        (&mut sum.cycles, c.cycles),
        (&mut sum.dispatched, c.dispatched),
        (&mut sum.read_beats, c.read_beats),
        (&mut sum.write_beats, c.write_beats),
        (&mut sum.channel_read_beats, c.channel_read_beats),
        (&mut sum.channel_write_beats, c.channel_write_beats),
        (&mut sum.mac_beats, c.mac_beats),
        (&mut sum.starved_cycles, c.starved_cycles),
    ] {
        *sum += c;
    }
}
