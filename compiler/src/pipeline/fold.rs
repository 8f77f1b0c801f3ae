//! Chooses, place by place, the scales that are folded into norms and weights ([`crate::quant::fold`]).

use crate::codegen::Build;
use crate::diag::Diagnostic;
use crate::eval::rope;
use crate::graph::Position;
use crate::import::WeightStore;
use crate::layout::pack::{Packed, Storage};
use crate::layout::LayerStorage;
use crate::plan::{Attention, Layer, Linear, Mlp, Norm, Plan};
use crate::quant::fold::{choose, product, Choice, Decision, Reader};
use crate::quant::keys::{choose as choose_keys, Heads};
use crate::quant::{Calibration, Folding};
use std::sync::Arc;

/// Where the inputs of a place are divided by its scales.
enum Made<'p> {
    /// In a norm's vectors.
    Norm(&'p Norm),
    /// In the outputs of a linear layer; by input, the output that makes it.
    Linear(&'p Linear, Vec<usize>),
}

struct Place<'p> {
    made: Made<'p>,
    readers: Vec<&'p Linear>,
    storage: Storage,
}

/// All places of a model.
pub(super) fn all(
    plan: &Plan,
    build: &Build,
    weights: &WeightStore,
    calibration: &Calibration,
) -> Result<Folding, Diagnostic> {
    let mut places = Vec::new();
    for v in plan.vision.iter().chain(&plan.video) {
        v.layers
            .iter()
            .for_each(|l| layer(l, &LayerStorage::uniform(Storage::w8(build.config.slices)), &mut places));
    }
    plan.text.layers.iter().for_each(|l| layer(l, &build.layers, &mut places));
    let made = Made::Norm(&plan.text.final_norm);
    places.push(Place { made, readers: vec![&plan.text.head], storage: build.head });
    let mut out = Folding::default();
    for place in &places {
        decide(place, weights, calibration, &mut out)?;
    }
    for layer in &plan.text.layers {
        keys(&layer.attention, build.kv_bits, weights, calibration, &mut out)?;
    }
    Ok(out)
}

fn layer<'p>(l: &'p Layer, storage: &LayerStorage, places: &mut Vec<Place<'p>>) {
    let a = &l.attention;
    let place = |made, readers, storage| Place { made, readers, storage };
    places.push(place(Made::Norm(&l.norm1), vec![&a.q, &a.k, &a.v], storage.q));
    places.push(place(Made::Linear(&a.v, value_columns(a)), vec![&a.o], storage.o));
    match &l.mlp {
        Mlp::Gated { gate, up, down, .. } => {
            places.push(place(Made::Norm(&l.norm2), vec![gate, up], storage.up));
            places.push(place(Made::Linear(up, (0..down.cols_in).collect()), vec![down], storage.down));
        }
        // An activation stands between the two linear layers.
        Mlp::Plain { up, .. } => places.push(place(Made::Norm(&l.norm2), vec![up], storage.up)),
    }
}

/// The value column that each input of the output projection is a mean of.
fn value_columns(a: &Attention) -> Vec<usize> {
    let group = a.heads / a.kv_heads;
    (0..a.o.cols_in).map(|c| c / a.head_dim / group * a.head_dim + c % a.head_dim).collect()
}

/// Scales between the queries and keys of a layer; norms of a head stand in the way of them.
fn keys(
    a: &Attention,
    kv_bits: u32,
    weights: &WeightStore,
    calibration: &Calibration,
    out: &mut Folding,
) -> Result<(), Diagnostic> {
    let Some(x) = calibration.samples.get(&a.k.w).filter(|x| !x.is_empty() && a.qk_norm.is_none()) else {
        return Ok(());
    };
    // Rows of different prompts: any positions will do, as long as they differ.
    let rows = x.len() / a.k.cols_in;
    let positions: Vec<Position> = (0..rows).map(|row| [(3 * row) as f32; 3]).collect();
    let made = |linear: &Linear, heads: usize| -> Result<Vec<f32>, Diagnostic> {
        let mut y = product(x, &weights.load_f32(linear.w)?, linear.cols_in);
        if let Some(b) = linear.b {
            let b = weights.load_f32(b)?;
            y.chunks_exact_mut(b.len()).for_each(|y| y.iter_mut().zip(&b).for_each(|(y, b)| *y += b));
        }
        if let Some(rotary) = &a.rope {
            rope(&mut y, heads, rotary, &positions, 3 * rows);
        }
        Ok(y)
    };
    let (q, k) = (made(&a.q, a.heads)?, made(&a.k, a.kv_heads)?);
    let pairs = a.rope.as_ref().map_or(0, |rotary| rotary.pairs());
    let heads = Heads { heads: a.heads, kv_heads: a.kv_heads, head_dim: a.head_dim, pairs };
    let (scales, decision) = choose_keys(&a.k.path, &q, &k, &heads, kv_bits);
    out.report.push(decision);
    if let Some(scales) = scales {
        let group = a.heads / a.kv_heads;
        let of_query = |c: usize| scales[c / a.head_dim / group * a.head_dim + c % a.head_dim];
        out.outputs.insert(a.q.w, Arc::new((0..a.q.cols_out).map(of_query).collect()));
        out.outputs.insert(a.k.w, Arc::new(scales.iter().map(|s| 1.0 / s).collect()));
    }
    Ok(())
}

fn decide(
    place: &Place<'_>,
    weights: &WeightStore,
    calibration: &Calibration,
    out: &mut Folding,
) -> Result<(), Diagnostic> {
    let first = place.readers[0];
    let Some(x) = calibration.samples.get(&first.w).filter(|x| !x.is_empty()) else { return Ok(()) };
    let values: Vec<Vec<f32>> =
        place.readers.iter().map(|r| weights.load_f32(r.w)).collect::<Result<_, _>>()?;
    let spec = |linear: &Linear| Packed::plain(linear, place.storage).spec;
    let readers: Vec<Reader<'_>> =
        place.readers.iter().zip(&values).map(|(r, w)| Reader { w, spec: spec(r) }).collect();
    let from = match &place.made {
        Made::Norm(_) => None,
        Made::Linear(_, from) => Some(from),
    };
    // A scale of the first linear layer's output is one of every input that it makes.
    let tied = |c: usize| from.map_or(c, |from| from[c]);
    let Choice { scales, strength, balanced, error_before, error_after } =
        choose(x, first.cols_in, &readers, &tied);
    out.report.push(Decision { path: first.path.clone(), strength, balanced, error_before, error_after });
    let Some(scales) = scales else { return Ok(()) };
    match &place.made {
        Made::Norm(norm) => {
            let inverse = Arc::new(scales.iter().map(|s| 1.0 / s).collect::<Vec<f32>>());
            for vector in [Some(norm.w), norm.b].into_iter().flatten() {
                out.vectors.insert(vector, inverse.clone());
            }
        }
        Made::Linear(linear, from) => {
            let mut inverse = vec![1.0; linear.cols_out];
            from.iter().zip(&scales).for_each(|(row, s)| inverse[*row] = 1.0 / s);
            out.outputs.insert(linear.w, Arc::new(inverse));
        }
    }
    let scales = Arc::new(scales);
    for reader in &place.readers {
        out.columns.insert(reader.w, scales.clone());
    }
    Ok(())
}
