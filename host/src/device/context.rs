//! Keys and values of a context, out of the machine and back: what a picture cost once need not be paid again.
//!
//! Only the tiles with rows of the context travel: per layer and head its key tiles, the first blocks of its
//! value tiles, and the value scales.

use super::program::{failed, floats, ProgramDevice};
use super::DeviceError;
use flightvlm_compiler::graph::{PositionScheme, Reached, Rotary};
use flightvlm_compiler::layout::dram::{Region, Space};
use flightvlm_hw::config::{TILE, UNIT_BYTES};
use flightvlm_hw::machine::Bank;

/// Of a [`Reached`] in a saved context.
const REACHED_BYTES: usize = 8;

/// A run of bytes of a memory.
struct Piece {
    bank: Bank,
    at: u64,
    bytes: usize,
}

impl ProgramDevice<'_> {
    /// Where the first `positions` rows of the cache lie, in the order in which they are saved.
    fn cache_pieces(&self, positions: usize) -> Vec<Piece> {
        let meta = &self.program.meta;
        let (cache, channels) = (&meta.text.cache, meta.dram.channels);
        let region = |name: &str| meta.dram.get(name).expect("invariant: every program has a cache");
        let (keys, values, scales) =
            (region("text.k_cache"), region("text.v_cache"), region("text.v_scales"));
        let blocks = positions.div_ceil(TILE) as u32;
        let piece = |r: &Region, layer: u32, slot: u32, step: u32, units: u32| {
            let (bank, round) = match r.space {
                Space::Main => (Bank::Main, slot),
                Space::Channels => (Bank::Channel(slot % channels), slot / channels),
            };
            let unit = u64::from(r.base) + u64::from(layer) * u64::from(r.record_units());
            let at = (unit + u64::from(round) * u64::from(step)) * UNIT_BYTES as u64;
            Piece { bank, at, bytes: units as usize * UNIT_BYTES }
        };
        let mut out = Vec::new();
        for (layer, head) in (0..keys.records).flat_map(|l| (0..cache.kv_heads).map(move |h| (l, h))) {
            let tile = |b| {
                piece(keys, layer, head * cache.key_slots + b, cache.key_tile_units, cache.key_tile_units)
            };
            out.extend((0..blocks).map(tile));
            let units = blocks * cache.value_block_units;
            let column = |c| piece(values, layer, head * cache.head_words + c, cache.value_tile_units, units);
            out.extend((0..cache.head_words).map(column));
            out.push(piece(scales, layer, head, cache.value_scale_units, blocks));
        }
        out
    }

    /// Is a row of the cache worth the same whatever follows it?
    pub(super) fn rows_are_final(&self) -> bool {
        let (model, text) = (&self.program.meta.model, &self.program.meta.text);
        !matches!(model.position_scheme, PositionScheme::Visual(_))
            // Pictures are encoded for a question, whose rows come first in the cache.
            && !model.vision.as_ref().is_some_and(|v| v.question)
            && text.prefix.is_none()
            && !text.rotary.as_ref().is_some_and(Rotary::depends_on_length)
    }

    /// How many rows can be kept at most: all, but for those of an answer whose positions are not those that they would
    /// have in a prompt.
    pub(super) fn rows_to_keep(&self) -> usize {
        match self.places() {
            true => self.used.min(self.reached.len()),
            false => self.used,
        }
    }

    /// Do positions have to be kept beside the rows?
    fn places(&self) -> bool {
        self.program.meta.model.position_scheme == PositionScheme::Multimodal
    }

    pub(super) fn read_cache(&mut self, positions: usize) -> Result<Vec<u8>, DeviceError> {
        if !self.rows_are_final() {
            let why = "rows of this model's cache depend on what follows them; it cannot be saved";
            return Err(DeviceError::Input(why.into()));
        }
        let mut out = Vec::new();
        for piece in self.cache_pieces(positions) {
            let from = out.len();
            out.resize(from + piece.bytes, 0);
            self.machine.read(piece.bank, piece.at, &mut out[from..]).map_err(failed)?;
        }
        if self.places() {
            let reached = self.reached[..positions].iter().flat_map(|r| [r.next, r.last]);
            out.extend(reached.flat_map(f32::to_le_bytes));
        }
        Ok(out)
    }

    pub(super) fn write_cache(&mut self, positions: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        let pieces = self.cache_pieces(positions);
        let rows: usize = pieces.iter().map(|piece| piece.bytes).sum();
        let wanted = rows + if self.places() { REACHED_BYTES * positions } else { 0 };
        if wanted != bytes.len() || !self.rows_are_final() {
            let got = bytes.len();
            return Err(DeviceError::Input(format!(
                "a context of {positions} rows of this program has {wanted} bytes, the saved one {got}"
            )));
        }
        let (mut rest, reached) = bytes.split_at(rows);
        for piece in pieces {
            let (own, more) = rest.split_at(piece.bytes);
            self.machine.write(piece.bank, piece.at, own).map_err(failed)?;
            rest = more;
        }
        let pairs: Vec<f32> = floats(reached).collect();
        self.reached = pairs.as_chunks().0.iter().map(|&[next, last]| Reached { next, last }).collect();
        Ok(())
    }
}
