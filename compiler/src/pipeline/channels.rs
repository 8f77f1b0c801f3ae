//! How the weights lie in the channels: what each slice streams of a linear layer in one go, and whether the channels
//! have the same to do. Part of the map that `inspect` shows.

use super::Laid;
use crate::codegen::LayerOffsets;
use crate::layout::pack::Packed;
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use std::fmt::Write as _;

/// Beats of the longest burst, and units of a page that no burst crosses (`hw/doc/timing.md`, LD).
const BURST_BEATS: u32 = 16;
const PAGE_UNITS: u32 = 64;

/// Bursts of a run of units.
fn bursts(mut from: u32, units: u32) -> u32 {
    let (end, mut count) = (from + units, 0);
    while from < end {
        from += BURST_BEATS.min(end - from).min(PAGE_UNITS - from % PAGE_UNITS);
        count += 1;
    }
    count
}

/// The tower's and the language model's linear layers, a line each, then the channels' sums.
pub(super) fn describe(laid: &Laid, config: &HwConfig) -> String {
    let mut out = format!(
        "weights in {} channel(s): a slice streams its tiles of a linear layer as one run\n\
         {:<64} {:>7} {:>12} {:>12} {:>14}\n",
        config.slices, "linear layer", "tiles", "bytes a tile", "bytes a run", "beats a burst"
    );
    let tower = laid.vision.as_ref().and_then(|v| v.tower());
    let base = |region: &str| laid.dram.get(region).map_or(0, |r| r.base);
    let of_layer = |name, region: &str, layer: &LayerOffsets| -> Vec<(&str, u32, Packed)> {
        layer.pieces().map(|(at, piece)| (name, base(region) + at, piece.clone())).collect()
    };
    let mut all = tower.map_or(Vec::new(), |t| of_layer("vision", "vision.layers", &t.layer));
    all.extend(of_layer("text", "text.layers", &laid.text.layer));
    all.push(("head", base("text.head"), laid.text.head.clone()));
    for (_, base, piece) in &all {
        let run = piece.rounds() * piece.tile_units();
        let beats = f64::from(run) / f64::from(bursts(*base, run).max(1));
        let path = &piece.parts[0].linear.path;
        let bytes = |units: u32| units as usize * UNIT_BYTES;
        let (tile, run) = (bytes(piece.tile_units()), bytes(run));
        let _ = writeln!(out, "{path:<64} {:>7} {tile:>12} {run:>12} {beats:>14.1}", piece.tiles());
    }
    for (what, names) in [
        ("a layer of the tower", &["vision"][..]),
        ("a layer of the language model", &["text"]),
        ("the output layer", &["head"]),
    ] {
        let channel = |slice: u32| -> u64 {
            let pieces = all.iter().filter(|(name, ..)| names.contains(name)).map(|(_, _, piece)| piece);
            pieces.map(|p| u64::from(p.tiles_of(slice)) * u64::from(p.tile_units()) * UNIT_BYTES as u64).sum()
        };
        let sums: Vec<u64> = (0..config.slices).map(channel).collect();
        let (least, most) = (sums.iter().min().unwrap_or(&0), sums.iter().max().unwrap_or(&0));
        if *most > 0 {
            let mean = sums.iter().sum::<u64>() as f64 / sums.len() as f64;
            let _ = writeln!(
                out,
                "{what}: {least} to {most} bytes a channel, {:.1} % of the fullest on average",
                100.0 * mean / *most as f64
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::bursts;

    #[test]
    fn bursts_end_at_pages() {
        assert_eq!(bursts(0, 64), 4);
        assert_eq!(bursts(8, 64), 5);
        assert_eq!(bursts(63, 2), 2);
        assert_eq!(bursts(5, 0), 0);
    }
}
