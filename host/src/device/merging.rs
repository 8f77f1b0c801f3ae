//! Visual tokens of groups of the tower's rows: what groups are made from is read after the tower's launch, the groups
//! are written, and a launch for each tile of the projector makes visual tokens of them. Where tokens are dropped, the
//! device chooses ([`super::dropping`]), and tiles may share their tokens by what is read here.

use super::program::{failed, floats, ProgramDevice};
use super::DeviceError;
use flightvlm_compiler::codegen::{group_args, GROUPS_REGION, KEYS_REGION, READ_OUT_REGION, ROWS_REGION};
use flightvlm_compiler::graph::{Group, Method, Picture, ReadOut, VisionSpec};
use flightvlm_compiler::program::{GroupsMeta, VisionMeta};
use flightvlm_hw::config::{TILE, UNIT_BYTES};
use flightvlm_hw::machine::Bank;
use std::ops::Range;
use std::time::Instant;

impl ProgramDevice<'_> {
    /// What the driver wants to know of tile `index`, whose tower ran last.
    pub(super) fn read_out(
        &mut self,
        (v, g): (&VisionMeta, &GroupsMeta),
        spec: &VisionSpec,
        picture: &Picture,
        index: usize,
    ) -> Result<ReadOut, DeviceError> {
        let Some(method) = picture.prune.as_ref().map(|prune| prune.method) else {
            return Ok(ReadOut::default());
        };
        let rows = usize::from(v.has_class) + picture.tiles[index].grid.iter().product::<usize>();
        let mut read = ReadOut::default();
        if index == 0 && picture.shares_tokens() {
            read.first = self.attention(v, 0, rows)?;
        }
        if method == Method::Turbo {
            read.last = self.attention(v, v.read_outs - 1, rows)?;
            read.keys = self.keys(g, rows)?;
        }
        if method == Method::Folder {
            let row_bytes = g.row_units as usize * UNIT_BYTES;
            let bytes = self.get(ROWS_REGION, rows * row_bytes)?;
            read.features = bytes.chunks_exact(row_bytes).flat_map(|r| floats(r).take(spec.hidden)).collect();
        }
        Ok(read)
    }

    /// Attention that is read out as record `record`.
    fn attention(&mut self, v: &VisionMeta, record: u32, rows: usize) -> Result<Vec<f32>, DeviceError> {
        let layer_bytes = v.read_out_units as usize * UNIT_BYTES;
        let bytes = self.get_from(READ_OUT_REGION, u64::from(record) * layer_bytes as u64, layer_bytes)?;
        Ok(floats(&bytes).take(rows).collect())
    }

    /// Keys of the tower's last layer, summed over heads, `[rows, columns of a head]` with their padding.
    fn keys(&mut self, g: &GroupsMeta, rows: usize) -> Result<Vec<f32>, DeviceError> {
        let (cache, dram) = (&g.cache, &self.program.meta.dram);
        let region = dram.get(KEYS_REGION).expect("invariant: towers have a cache");
        let (base, channels) = (u64::from(region.base), dram.channels);
        let width = cache.head_words as usize * TILE;
        let mut sums = vec![0.0; rows.next_multiple_of(TILE) * width];
        let mut bytes = vec![0; cache.key_tile_units as usize * UNIT_BYTES];
        for (block, sums) in (0..).zip(sums.chunks_exact_mut(TILE * width)) {
            for head in 0..cache.kv_heads {
                let slot = head * cache.key_slots + block;
                let unit = base + u64::from(slot / channels * cache.key_tile_units);
                let at = unit * UNIT_BYTES as u64;
                self.machine.read(Bank::Channel(slot % channels), at, &mut bytes).map_err(failed)?;
                add_keys(&bytes, sums);
            }
        }
        sums.truncate(rows * width);
        Ok(sums)
    }

    /// Makes visual tokens of groups of the tile whose tower ran last, behind the first `self.visual_rows`. Gives the row
    /// behind those of each group.
    pub(super) fn project(&mut self, g: &GroupsMeta, groups: &[Group]) -> Result<Vec<usize>, DeviceError> {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(groups[*at].members.len()));
        let sizes: Vec<usize> = order.iter().map(|at| groups[*at].members.len()).collect();
        let mut rows = vec![0; groups.len()];
        for range in launches(&sizes, g) {
            let (start, launch, members) = (Instant::now(), &order[range.clone()], sizes[range.start]);
            self.put(GROUPS_REGION, 0, &rounds(launch.iter().map(|at| &groups[*at]), members, g.rows))?;
            let args = [
                (group_args::FIRST_TOKEN, self.visual_rows as u32),
                (group_args::MEMBERS, members as u32),
                (group_args::GROUPS, launch.len() as u32),
            ];
            let report = self.launch(g.entry, &args)?;
            let phase = self.phase(0, &report, start.elapsed());
            self.stats.vision.add(&phase);
            for at in launch {
                rows[*at] = self.visual_rows;
                self.visual_rows += 1;
            }
        }
        Ok(rows)
    }
}

/// Adds a key tile of the cache (a word of scales, then words of 16 positions x 16 columns in 8 bits, layout k of
/// `hw/doc/microarchitecture.md` 3.1) to `[16, columns]`.
fn add_keys(tile: &[u8], sums: &mut [f32]) {
    let (scales, words) = tile.split_at(UNIT_BYTES);
    let width = sums.len() / TILE;
    for (row, (scale, sums)) in floats(scales).zip(sums.chunks_exact_mut(width)).enumerate() {
        for (col, sum) in sums.iter_mut().enumerate() {
            let (word, col) = (col / TILE, col % TILE);
            let chunk = row / 4 * 4 + ((row / 4) ^ (col / 4));
            let byte = (word * 16 + chunk) * 16 + row % 4 * 4 + col % 4;
            *sum += f32::from(words[byte] as i8) * scale;
        }
    }
}

/// Groups, the largest first, that are launched together: a launch gathers as many rows for each of them as for its
/// largest, so it ends where going on would gather more than one more launch reads weights.
fn launches(sizes: &[usize], g: &GroupsMeta) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for (at, size) in sizes.iter().enumerate() {
        match out.last_mut() {
            Some(range) if range.len() < g.rows => {
                let together = g.rows.min(sizes.len() - range.start) - range.len();
                let saved = (sizes[range.start] - size) * together * g.row_units as usize;
                if saved <= g.weight_units as usize {
                    range.end = at + 1;
                } else {
                    out.push(at..at + 1);
                }
            }
            _ => out.push(at..at + 1),
        }
    }
    out
}

/// The region of groups: for each round members, then weights, of `rows` groups each.
fn rounds<'g>(groups: impl Iterator<Item = &'g Group> + Clone, members: usize, rows: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 * members * rows);
    for round in 0..members {
        let mut numbers = vec![0u32; 2 * rows];
        for (at, group) in groups.clone().enumerate() {
            if let Some(token) = group.members.get(round) {
                (numbers[at], numbers[rows + at]) = (*token as u32, group.weight().to_bits());
            }
        }
        out.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightvlm_compiler::program::CacheMeta;

    #[test]
    fn groups_of_about_one_size_are_launched_together() {
        let places = CacheMeta {
            kv_heads: 1,
            key_slots: 1,
            key_tile_units: 1,
            head_words: 1,
            value_tile_units: 1,
            value_block_units: 1,
            value_scale_units: 1,
        };
        let g =
            GroupsMeta { entry: 0, rows: 4, row_units: 2, weight_units: 40, cache: places, chooses: false };
        assert_eq!(launches(&[1; 6], &g), [0..4, 4..6]);
        assert_eq!(launches(&[9, 8, 7, 7, 1], &g), [0..4, 4..5]);
        // 29 rows for each of three more would be more than the weights.
        assert_eq!(launches(&[30, 1, 1, 1, 1, 1], &g), [0..1, 1..5, 5..6]);
        assert!(launches(&[], &g).is_empty());
    }

    #[test]
    fn rounds_bring_a_member_of_each_group() {
        let group = |members: &[usize]| Group { token: members[0], members: members.to_vec() };
        let groups = [group(&[3, 5]), group(&[4])];
        let bytes = rounds(groups.iter(), 2, 16);
        let number = |at: usize| u32::from_le_bytes(bytes[4 * at..][..4].try_into().expect("four bytes"));
        assert_eq!(bytes.len(), 2 * 2 * 16 * 4);
        assert_eq!([number(0), number(1), number(32), number(33)], [3, 4, 5, 0]);
        let weights = [16, 17, 48, 49, 18].map(|at| f32::from_bits(number(at)));
        assert_eq!(weights, [0.5, 1.0, 0.5, 0.0, 0.0]);
    }
}
