//! Contents of the memory regions, made record by record so that no model has to be in memory whole.

use super::Laid;
use crate::codegen::{
    head_norm_vectors, projector_region, Build, ConvLayout, Dims, LayerOffsets, VisionLayout,
    COMPRESS_REGIONS, PICTURE, VIDEO,
};
use crate::diag::Diagnostics;
use crate::graph::WeightId;
use crate::import::WeightStore;
use crate::layout::pack::{matrix, vector, Packed};
use crate::layout::words;
use crate::plan::{ConvTower, Layer, Norm, Plan, Vision};
use crate::quant::{Calibration, LayerReport};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What the sink receives, in order: a region's name, then its bytes.
pub(super) enum Piece<'a> {
    /// The following bytes belong to this region.
    Region(&'a str),
    /// Its next bytes.
    Bytes(&'a [u8]),
}

type Sink<'s, E> = dyn FnMut(Piece<'_>) -> Result<(), E> + 's;

/// Makes everything.
pub(super) fn all<E: From<Diagnostics>>(
    plan: &Plan,
    laid: &Laid,
    build: &Build,
    w: &WeightStore,
    calibration: Option<&Calibration>,
    report: Option<&Mutex<Vec<LayerReport>>>,
    sink: &mut Sink<'_, E>,
) -> Result<(), E> {
    let mut p = Packer { w, calibration, report, slices: build.config.slices as usize, sink };
    let (t, l) = (&plan.text, &laid.text);
    let layers: Vec<&Layer> = t.layers.iter().collect();
    p.layers("text.layers", &layers, |x| l.record(x, build))?;
    p.linear("text.head", &l.head)?;
    p.layer_norms("text.norms", &layers, &l.dims)?;
    p.norms("text.final_norm", [&t.final_norm])?;
    p.rows("text.embed", t.embed, t.hidden)?;
    if let Some((rows, _)) = t.learned {
        // Right behind the vocabulary, in the same region.
        let rows = w.load_f32(rows).map_err(Diagnostics::from)?;
        (p.sink)(Piece::Bytes(&matrix(&rows, t.hidden)))?;
    }
    if let Some((table, _)) = t.position {
        let rows = w.load_f32(table).map_err(Diagnostics::from)?;
        p.table("text.position", &rows, t.hidden)?;
    }
    if let Some((v, l)) = plan.vision.as_ref().zip(laid.vision.as_ref()) {
        for (i, pieces) in l.projector().chain.linears.iter().enumerate() {
            for (j, packed) in pieces.iter().enumerate() {
                p.linear(&projector_region(i, j), packed)?;
            }
        }
        p.norms("vision.projector_norm", &v.projector_norm)?;
        if let Some((l, c)) = l.tower().and_then(|tower| tower.compress.as_ref()).zip(v.compress.as_ref()) {
            let contents = l.pack(c, w, build.config.slices as usize)?;
            for (name, bytes) in COMPRESS_REGIONS.into_iter().zip(&contents) {
                p.region(name)?;
                (p.sink)(Piece::Bytes(bytes))?;
            }
        }
        if let (VisionLayout::Conv(l), Some(conv)) = (l, &v.conv) {
            p.convolutions(conv, l, build)?;
        }
        p.tower(PICTURE, v, l, build)?;
    }
    if let Some((v, l)) = plan.video.as_ref().zip(laid.video.as_ref()) {
        p.tower(VIDEO, v, l, build)?;
    }
    Ok(())
}

/// Rows of a table that are converted at once.
const TABLE_ROWS: usize = 1024;

struct Packer<'a, 's, E> {
    w: &'a WeightStore,
    calibration: Option<&'a Calibration>,
    report: Option<&'a Mutex<Vec<LayerReport>>>,
    slices: usize,
    sink: &'a mut Sink<'s, E>,
}

impl<E: From<Diagnostics>> Packer<'_, '_, E> {
    /// Everything of a vision transformer but its projector, in regions behind the name of its `side`.
    fn tower(&mut self, side: &str, v: &Vision, l: &VisionLayout, build: &Build) -> Result<(), E> {
        let Some(l) = l.tower() else { return Ok(()) };
        let name = |part: &str| format!("{side}.{part}");
        let layers: Vec<&Layer> = v.all_layers().collect();
        self.layers(&name("layers"), &layers, |x| l.record(x, build))?;
        self.linear(&name("patch"), &l.patch)?;
        self.layer_norms(&name("layer_norms"), &layers, &l.dims)?;
        self.norms(&name("norms"), [&v.pre_norm, &v.post_norm].into_iter().flatten())?;
        if let Some((probe, layer)) = &v.pool {
            let row = self.w.load_f32(*probe).map_err(Diagnostics::from)?;
            self.table(&name("probe"), &row, layer.norm1.cols)?;
        }
        if let Some((table, _)) = v.position {
            let position = position_table(v, self.w, table)?;
            self.table(&name("position"), &position, l.dims.cols as usize)?;
        }
        Ok(())
    }

    /// A tower of convolutions; its regions take turns, so they are collected first.
    fn convolutions(&mut self, conv: &ConvTower, l: &ConvLayout, build: &Build) -> Result<(), E> {
        let mut regions: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        l.pack(conv, build, self.w, &mut |name, bytes| {
            regions.entry(name.to_string()).or_default().extend(bytes);
        })?;
        for (name, bytes) in &regions {
            self.region(name)?;
            (self.sink)(Piece::Bytes(bytes))?;
        }
        Ok(())
    }

    fn region(&mut self, name: &str) -> Result<(), E> {
        (self.sink)(Piece::Region(name))
    }

    fn linear(&mut self, name: &str, p: &Packed) -> Result<(), E> {
        self.region(name)?;
        let mut channels = vec![Vec::new(); self.slices];
        p.write(self.w, self.calibration, self.report, &mut channels)?;
        self.channels(&channels)
    }

    /// A record of packed layers, channel by channel.
    fn channels(&mut self, channels: &[Vec<u8>]) -> Result<(), E> {
        channels.iter().try_for_each(|c| (self.sink)(Piece::Bytes(c)))
    }

    /// A tower's layers: all have the same offsets, each its own weights. A layer is packed while the one
    /// before it is written.
    fn layers(
        &mut self,
        name: &str,
        layers: &[&Layer],
        offsets: impl Fn(&Layer) -> LayerOffsets + Sync,
    ) -> Result<(), E> {
        self.region(name)?;
        let (w, calibration, report, slices) = (self.w, self.calibration, self.report, self.slices);
        let pack = |layer: &Layer, mut channels: Vec<Vec<u8>>| {
            channels.iter_mut().for_each(Vec::clear);
            let offsets = offsets(layer);
            offsets.pieces().try_for_each(|(_, p)| p.write(w, calibration, report, &mut channels))?;
            Ok(channels)
        };
        // Two sets of buffers take turns: fresh ones would be cleared by the system first.
        let (mut ready, mut free): (Option<Vec<Vec<u8>>>, _) = (None, vec![Vec::new(); slices]);
        for layer in layers {
            let taken = std::mem::replace(&mut free, vec![Vec::new(); slices]);
            let (packed, written): (Result<_, Diagnostics>, _) = std::thread::scope(|scope| {
                let packing = scope.spawn(|| pack(layer, taken));
                let written = ready.as_ref().map_or(Ok(()), |channels| self.channels(channels));
                (packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), written)
            });
            written?;
            if let Some(written) = ready.replace(packed?) {
                free = written;
            }
        }
        ready.map_or(Ok(()), |channels| self.channels(&channels))
    }

    fn norms<'p>(&mut self, name: &str, norms: impl IntoIterator<Item = &'p Norm>) -> Result<(), E> {
        self.region(name)?;
        self.norm_vectors(norms)
    }

    /// The norms of a tower's layers: in front of attention and feed-forward block, then of the heads.
    fn layer_norms(&mut self, name: &str, layers: &[&Layer], d: &Dims) -> Result<(), E> {
        self.region(name)?;
        for l in layers {
            self.norm_vectors([&l.norm1, &l.norm2])?;
            for (n, heads) in head_norm_vectors(l, d) {
                for v in [Some(n.w), n.b].into_iter().flatten() {
                    let values = self.w.load_f32(v).map_err(Diagnostics::from)?;
                    (self.sink)(Piece::Bytes(&vector(&d.head_vector(&values, heads), heads * d.hw)))?;
                }
            }
        }
        Ok(())
    }

    fn norm_vectors<'p>(&mut self, norms: impl IntoIterator<Item = &'p Norm>) -> Result<(), E> {
        for n in norms {
            for v in [Some(n.w), n.b].into_iter().flatten() {
                let mut values = self.w.load_f32(v).map_err(Diagnostics::from)?;
                if let Some(scales) = self.calibration.and_then(|c| c.folding.vectors.get(&v)) {
                    values.iter_mut().zip(scales.iter()).for_each(|(x, s)| *x *= s);
                }
                (self.sink)(Piece::Bytes(&vector(&values, words(n.cols))))?;
            }
        }
        Ok(())
    }

    /// A table as it is in the checkpoint, which may be too large to be in memory as float32.
    fn rows(&mut self, name: &str, table: WeightId, cols: usize) -> Result<(), E> {
        self.region(name)?;
        let count = self.w.shape(table)[0];
        let rows = self.w.rows(table).map_err(Diagnostics::from)?;
        let mut values = vec![0.0; TABLE_ROWS.min(count) * cols];
        for first in (0..count).step_by(TABLE_ROWS) {
            let values = &mut values[..TABLE_ROWS.min(count - first) * cols];
            values.par_chunks_mut(cols).enumerate().for_each(|(i, to)| rows.copy(first + i, to));
            (self.sink)(Piece::Bytes(&matrix(values, cols)))?;
        }
        Ok(())
    }

    fn table(&mut self, name: &str, values: &[f32], cols: usize) -> Result<(), E> {
        self.region(name)?;
        values.chunks(TABLE_ROWS * cols).try_for_each(|rows| (self.sink)(Piece::Bytes(&matrix(rows, cols))))
    }
}

/// The position table with the class row folded into its row 0.
fn position_table(v: &Vision, w: &WeightStore, table: WeightId) -> Result<Vec<f32>, Diagnostics> {
    let mut table = w.load_f32(table)?;
    if let Some(class) = v.class_row {
        for (x, c) in table.iter_mut().zip(w.load_f32(class)?) {
            *x += c;
        }
        // The class row's pixels are zero, but a patch bias would still be added to it.
        if let Some(b) = v.patch.as_ref().and_then(|patch| patch.b) {
            for (x, c) in table.iter_mut().zip(w.load_f32(b)?) {
                *x -= c;
            }
        }
    }
    Ok(table)
}
