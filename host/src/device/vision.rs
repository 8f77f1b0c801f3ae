//! Pictures on the device: each tile is a launch of the vision tower, and launches of the projector where the prompt shows
//! groups of its rows ([`super::merging`]) or the best of them ([`super::dropping`]).
//!
//! The driver writes what differs from tile to tile: pixel rows, the rows of the position table, the
//! rotary rows. Visual tokens land behind the embedding table and the learned rows, so that a prompt
//! row is a row number, whatever it shows.

use super::program::{rope_rows, ProgramDevice};
use super::{check_prompt, DeviceError, ImageHandle, Logits};
use flightvlm_compiler::codegen::{vision_args, PICTURE, QUESTION_REGION, VIDEO};
use flightvlm_compiler::graph::{Group, Picture, ReadOut, Tile, TokenGrid, VisionSpec, VisualRow};
use flightvlm_compiler::program::VisionMeta;
use flightvlm_hw::config::{TILE, UNIT_BYTES};
use std::time::Instant;

/// A picture on the device.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// Row, counted from the embedding table's first, of each of its placeholders.
    pub rows: Vec<u32>,
    /// Groups of tokens that the visual ones of each tile are made of; none where they are not chosen.
    pub groups: Vec<Vec<Group>>,
    /// Where its visual tokens stand.
    pub grid: TokenGrid,
}

impl ProgramDevice<'_> {
    /// Runs the tower on every tile of a picture.
    pub(super) fn show(&mut self, picture: &Picture) -> Result<Shown, DeviceError> {
        let meta = &self.program.meta;
        let (Some(v), Some(spec)) = (meta.vision.clone(), meta.model.tower_of(picture).cloned()) else {
            let what = if picture.video { "videos" } else { "images" };
            return Err(DeviceError::Input(format!("the model takes no {what}")));
        };
        let behind_vocabulary = meta.text.vocab;
        if let Some(prune) = &picture.prune {
            v.check_prune(prune).map_err(|e| DeviceError::Input(e.to_string()))?;
        }
        if spec.question {
            self.ask(&picture.question)?;
        }
        let (mut read, mut groups): (Vec<ReadOut>, Vec<_>) = (Vec::new(), Vec::new());
        // Where the visual tokens of each tile lie, by token.
        let mut places: Vec<Vec<usize>> = Vec::with_capacity(picture.tiles.len());
        for (index, tile) in picture.tiles.iter().enumerate() {
            let tokens = spec.tokens(tile.grid);
            let Some(g) = v.groups.as_ref().filter(|_| !picture.video) else {
                self.check_room(&v, tokens)?;
                self.encode_tile(&v, &spec, tile, picture.video)?;
                places.push((self.visual_rows..self.visual_rows + tokens).collect());
                self.visual_rows += tokens;
                continue;
            };
            self.encode_tile(&v, &spec, tile, false)?;
            read.push(self.read_out((&v, g), &spec, picture, index)?);
            let (chosen, rows) = if picture.prune.as_ref().is_some_and(|prune| !prune.method.merges()) {
                let budget = picture.budget(&spec, index, &read[0].first);
                self.check_room(&v, budget)?;
                self.project_best(g, tokens, &picture.candidates(index), budget)?
            } else {
                let chosen = picture.groups(&spec, index, &read);
                self.check_room(&v, chosen.len())?;
                let rows = self.project(g, &chosen)?;
                (chosen, rows)
            };
            let mut place = vec![0; tokens];
            for (group, row) in chosen.iter().zip(rows) {
                place[group.token] = row;
            }
            places.push(place);
            groups.push(chosen);
        }
        let row = |row: &VisualRow| match *row {
            VisualRow::Token { tile, row } => (behind_vocabulary + v.learned_rows + places[tile][row]) as u32,
            VisualRow::Learned(row) => (behind_vocabulary + row) as u32,
        };
        let kept = match picture.prune {
            Some(_) => picture.kept(&groups),
            None => picture.rows.clone(),
        };
        let rows = kept.iter().map(row).collect();
        Ok(Shown { rows, groups, grid: meta.model.token_grid(picture, &kept) })
    }

    /// Runs the question that a picture is encoded for through the language model, and puts its hidden state where the tower
    /// reads it. The context is lost.
    fn ask(&mut self, ids: &[u32]) -> Result<(), DeviceError> {
        if ids.is_empty() {
            let architecture = &self.info.architecture;
            return Err(DeviceError::Input(format!(
                "{architecture} compresses a picture for the question, and there is none; ask something (prepared inputs: \
                 the tokens of the question as question_ids)"
            )));
        }
        check_prompt(&self.info, ids, &[])?;
        let layers = std::mem::replace(&mut self.layers, 0..self.info.layers);
        self.used = 0;
        let state = self.run_prompt_rows(ids, &[], Logits::LastHidden);
        (self.used, self.layers) = (0, layers);
        let mut row = state?.hidden;
        row.resize(row.len().next_multiple_of(TILE), 0.0);
        let bytes: Vec<u8> = row.into_iter().flat_map(f32::to_le_bytes).collect();
        self.put(QUESTION_REGION, 0, &bytes)
    }

    /// Is there room for so many more visual tokens?
    fn check_room(&self, v: &VisionMeta, tokens: usize) -> Result<(), DeviceError> {
        if self.visual_rows + tokens <= v.slots * v.tokens {
            return Ok(());
        }
        Err(DeviceError::Input(format!(
            "a prompt can show {} tiles of {} tokens with this program",
            v.slots, v.tokens
        )))
    }

    /// Groups of tokens of each tile that an encoded picture's visual tokens are made of; none where the program takes
    /// whole tiles.
    pub fn groups(&self, picture: ImageHandle) -> &[Vec<Group>] {
        &self.images[picture.index].groups
    }

    /// The vector that the tower makes of a picture of one tile: the row behind the vocabulary.
    pub(super) fn vector(&mut self, picture: &Picture) -> Result<Vec<f32>, DeviceError> {
        self.show(picture)?;
        let text = &self.program.meta.text;
        let (first, width) = (text.vocab * text.row_units as usize * UNIT_BYTES, text.outputs);
        let bytes = self.get_from("text.embed", first as u64, width * 4)?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// One launch; its tokens go behind those of the tiles before.
    fn encode_tile(
        &mut self,
        v: &VisionMeta,
        spec: &VisionSpec,
        tile: &Tile,
        video: bool,
    ) -> Result<(), DeviceError> {
        let start = Instant::now();
        let (side, entry) = match v.video_entry.filter(|_| video) {
            Some(entry) => (VIDEO, entry),
            None => (PICTURE, v.entry),
        };
        let region = |part: &str| format!("{side}.{part}");
        spec.check_grid(tile.grid).map_err(|e| DeviceError::Input(e.to_string()))?;
        let (class_rows, patches) = (usize::from(v.has_class), tile.grid[0] * tile.grid[1]);
        if tile.rows.len() != patches * v.pixel_cols {
            return Err(DeviceError::Input(format!(
                "the picture has {} values, {patches} patches have {} each",
                tile.rows.len(),
                v.pixel_cols
            )));
        }
        let row_bytes = v.pixel_units as usize * UNIT_BYTES;
        let mut bytes = vec![0u8; (class_rows + patches) * row_bytes];
        let rows = bytes.chunks_exact_mut(row_bytes).skip(class_rows);
        for (row, pixels) in rows.zip(tile.rows.chunks_exact(v.pixel_cols)) {
            for (b, x) in row.chunks_exact_mut(4).zip(pixels) {
                b.copy_from_slice(&x.to_le_bytes());
            }
        }
        self.put(&region("pixels"), 0, &bytes)?;
        let ids: Vec<u8> = spec.position_ids(tile.grid).iter().flat_map(|id| id.to_le_bytes()).collect();
        if !ids.is_empty() {
            self.put(&region("position_ids"), 0, &ids)?;
        }
        if let Some(rotary) = &v.rotary {
            let positions = spec.rotary_positions(tile.grid);
            let shape = (v.rope_half_words, v.rope_pairs);
            self.put(&region("rope"), 0, &rope_rows(rotary, shape, &positions, positions.len()))?;
        }
        let args = vision_args::of_tile(spec, tile.grid, self.visual_rows);
        let report = self.launch(entry, &args)?;
        let phase = self.phase(class_rows + patches, &report, start.elapsed());
        self.stats.vision.add(&phase);
        for entry in &v.rest {
            let start = Instant::now();
            let report = self.launch(*entry, &args)?;
            let phase = self.phase(0, &report, start.elapsed());
            self.stats.vision.add(&phase);
        }
        Ok(())
    }
}
