//! Attention of all pixels of a map, added to them: the first half of a vision transformer's layer.

use super::super::asm::{agu, Asm, Reg, LD, ST, VX};
use super::super::layer::{LayerOffsets, Tower, A_K, A_NORMS, A_V, A_V_SCALES};
use super::super::tower::{regs, Chip, Dims, Requests};
use super::super::vision::{count_tiles, each_tile, load_half, row_generator, store_half, A_ROWS};
use super::super::{add, choose_tile, Build};
use crate::diag::Diagnostic;
use crate::graph::ActKind;
use crate::layout::dram::{DramMap, Kind, Space};
use crate::layout::pack::{padded, Packed, Storage};
use crate::plan::{Attention, Layer, Map, Mlp, Norm};
use flightvlm_hw::config::TILE;

/// Where everything lies; the cache is used block after block.
#[derive(Debug, Clone)]
pub(super) struct AttendLayout {
    /// Sizes.
    pub dims: Dims,
    /// Units of a block's weights.
    pub units: u32,
    chip: Chip,
    offsets: LayerOffsets,
    norms_at: u32,
    rows: u32,
    caches: [u32; 3],
}

/// The layer that emitters know: what follows attention is a pass of its own and not looked at.
fn layer(norm: &Norm, a: &Attention) -> Layer {
    let mlp = Mlp::Plain { up: a.o.clone(), down: a.o.clone(), act: ActKind::Gelu };
    Layer { norm1: norm.clone(), attention: a.clone(), norm2: norm.clone(), mlp }
}

/// Lays one out; weights and vectors begin at the unit and word of a block's that `at` says.
pub(super) fn layout(
    (norm, a): &(Norm, Attention),
    map: Map,
    (units_at, norms_at): (u32, u32),
    (group, build): (usize, &Build),
    dram: &mut DramMap,
) -> Result<AttendLayout, Diagnostic> {
    let (layer, storage) = (layer(norm, a), Storage::w8(build.config.slices));
    let build = &Build { kv_bits: 8, wide_inputs: false, ..build.clone() };
    let rows = (map.side * map.side) as u32;
    let positions = rows.next_multiple_of(TILE as u32);
    let (dims, chip) =
        choose_tile(&a.path, &layer, positions, 1, build, |d| Chip::fit(&Requests::of(d), &build.config))?;
    let cols = padded(a.q.cols_in);
    let packed = |part| Packed::new(vec![part], cols.clone(), storage);
    let k = packed(dims.head_part(&a.k, dims.kv_heads, false));
    let v = packed(dims.head_part(&a.v, dims.kv_heads, true));
    let q = packed(dims.head_part(&a.q, dims.heads, false));
    let o = dims.output_projection(a, storage);
    let mut units = units_at;
    let mut place = |p: Packed| {
        let here = units;
        units += p.units();
        (here, p)
    };
    let (k, v, q, o) = (place(k), place(v), place(q), place(o));
    for p in [&k, &v, &q, &o] {
        p.1.check(&build.config)?;
    }
    let units = units - units_at;
    let offsets = LayerOffsets { k, v, q, up: (0, o.1.clone()), o, down: Vec::new(), units };
    let mut region = |space, name: &str, units: u64| {
        add(dram, space, &format!("vision.{name}.{group}"), Kind::State, 1, units)
    };
    let caches = [
        region(Space::Channels, "k", dims.k_units())?,
        region(Space::Channels, "v", dims.v_units())?,
        region(Space::Main, "v_scales", dims.v_scale_units().into())?,
    ];
    Ok(AttendLayout { dims, units, chip, offsets, norms_at, rows, caches })
}

impl AttendLayout {
    /// Linear layers in the order in which their weights lie.
    pub fn packed(&self) -> Vec<&Packed> {
        let o = &self.offsets;
        vec![&o.k.1, &o.v.1, &o.q.1, &o.o.1]
    }

    /// In place, on the map at unit `base`.
    pub fn emit(&self, asm: &mut Asm, (norm, a): &(Norm, Attention), base: u32) {
        use regs::*;
        let (layer, d, o) = (layer(norm, a), &self.dims, &self.offsets);
        let t = Tower { d, chip: &self.chip };
        let (x, tmp, norms) = (t.spad("x"), t.spad("tmp"), t.spad("norms"));
        let vectors = agu(A_NORMS).plus(self.norms_at);
        for (a, base) in [A_K, A_V, A_V_SCALES].into_iter().zip(self.caches) {
            asm.base(a, Reg(0), base);
        }
        t.half_generators(asm);
        asm.set(KV_LEN, self.rows);
        count_tiles(asm, &t, KV_LEN);
        let enter = |asm: &mut Asm| {
            row_generator(asm, A_ROWS, base, d.dw);
            load_half(asm, d.dw, x, VX);
            asm.vx_sync(LD, 0);
            t.norm_quantised(asm, norm, norms, false, false);
        };
        asm.mark(format!("{} (block loop)", a.path));
        each_tile(asm, &t, KV_LEN, |asm| {
            t.load_norms(asm, vectors, d.norm_words, norms, 0);
            t.each_half_numbered(asm, |asm| {
                enter(asm);
                t.project_keys_values(asm, o);
            });
            t.each_half_numbered(asm, |asm| t.store_keys_values(asm, &layer));
        });
        each_tile(asm, &t, KV_LEN, |asm| {
            t.load_norms(asm, vectors, d.norm_words, norms, 0);
            t.each_half_at(asm, |asm| {
                enter(asm);
                t.project_queries(asm, &o.q, VX);
            });
            t.each_half(asm, |asm| t.take_queries(asm, &layer));
            t.attend(asm, a.scale, false, false);
            t.project_output(asm, &o.o);
            t.each_half_at(asm, |asm| {
                t.residual(asm, &[(tmp, d.dw)], None);
                asm.vx_sync(0, ST);
                row_generator(asm, A_ROWS, base, d.dw);
                store_half(asm, A_ROWS, d.dw, x);
            });
        });
    }
}
