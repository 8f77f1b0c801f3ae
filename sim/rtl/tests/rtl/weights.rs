//! Weight tiles of every format through the streams and the array.

use crate::reference::{Load, Tile, FMT, NM};
use crate::rig::{configs, machine, run, same, State};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::numerics::{canon, fadd, fmul, i2f};
use flightvlm_rtlsim::MemoryTiming;

const WINDOW: [usize; 5] = [1, 2, 2, 4, 8];
const ROWS: usize = 3;

/// `y` of a row of int8 activations and a tile.
fn multiply(tile: &Tile, load: &Load, row: &[i8], row_scale: f32) -> Vec<f32> {
    let float = |bits: u32| canon(f32::from_bits(bits));
    let output = |n: usize| {
        let mut sum: Option<f32> = None;
        for (g, group) in tile.words.chunks(load.words_a_group()).enumerate() {
            let first = g * load.words_a_group();
            let mut acc = 0i32;
            for (b, word) in group.iter().enumerate() {
                let window = &row[16 * WINDOW[load.nm] * (first + b)..];
                acc += (0..16).map(|k| i32::from(window[word.input[n][k]]) * word.value[n][k]).sum::<i32>();
            }
            let mut p = i2f(acc);
            if let Some(s) = tile.scales.get(g) {
                p = fmul(p, float(s[n]));
            }
            sum = Some(sum.map_or(p, |before| fadd(before, p)));
        }
        let y = fmul(sum.expect("a tile has words"), row_scale);
        tile.bias.map_or(y, |bias| fadd(y, float(bias[n])))
    };
    (0..16).map(output).collect()
}

fn program(loads: &[Load]) -> String {
    let words = loads.iter().map(|l| l.kb * WINDOW[l.nm]).max().expect("a load").next_multiple_of(8);
    // `words` vector words a row, quantised; a scale for each row.
    let mut text = format!(
        "ld mode=rows rows={ROWS} len={words} dst_stride={words} src_off=600 src_stride={words} @release=vx
        ld mode=scalars rows=1 len=1 dst_off=100 src_off=700
        vx rows={ROWS} len={} a_kind=spad a_stride={words} b_kind=imm b=#25.0 op1=mul d_kind=abuf d_stride={words} @wait=ld
        fence\n",
        words * 16
    );
    let mut out = 2000;
    for l in loads {
        text += &l.text();
        text += &format!(
            "mm rows={ROWS} tiles={} kb={} kbg={} act_stride={words} out_off={out} out_stride={} sa_off=100 sa_stride=2 wscale={} bias={} nm={} first={}\n",
            l.tiles, l.kb, l.kbg, l.tiles, u8::from(l.wscale), u8::from(l.bias), NM[l.nm], l.first
        );
        out += ROWS * l.tiles;
    }
    text + "halt"
}

fn check(hw: &HwConfig, loads: &[Load], state: &State) {
    let words = loads.iter().map(|l| l.kb * WINDOW[l.nm]).max().expect("a load").next_multiple_of(8);
    let mut out = 2000;
    for l in loads {
        for j in 0..l.tiles {
            let (tile, _) = l.tile(&state.channels, j);
            for m in 0..ROWS {
                let row = &state.chip.abuf[16 * words * m..16 * words * (m + 1)];
                let scale = canon(f32::from_bits(state.chip.s[100 + 2 * m]));
                let expected: Vec<u32> = multiply(&tile, l, row, scale).iter().map(|y| y.to_bits()).collect();
                let at = 16 * (out + m * l.tiles + j);
                assert_eq!(
                    &state.chip.spad[at..at + 16],
                    &expected[..],
                    "{} {l:?} row {m} tile {j}",
                    hw.name
                );
            }
        }
        out += ROWS * l.tiles;
    }
}

/// All formats and sparsities, tiles over slices from an odd slot on, with and without scale groups.
#[test]
fn every_format_through_the_array() {
    for hw in configs() {
        let slices = hw.slices as usize;
        for fmt in 0..FMT.len() {
            let mut loads = Vec::new();
            for nm in 0..NM.len() {
                for (i, (kb, kbg)) in [(7, 0), (9, 4), (5, 1)].into_iter().enumerate() {
                    let (tiles, first) = (slices + 2 + i, 3 + i);
                    let (wscale, bias) = (fmt == 4 || i != 2, i == 1);
                    let src = 40 + 500 * loads.len();
                    let mut l = Load { tiles, kb, kbg, src, first, wscale, bias, fmt, nm, ..Load::default() };
                    // Random mixed tiles are now and then short, or have units to spare.
                    l.stride = if fmt == 4 { kb * 6 + i } else { l.plain_units() + i % 2 };
                    loads.push(l);
                }
            }
            let (report, state) = same(&hw, &program(&loads));
            check(&hw, &loads, &state);
            let units = |l: &Load| l.tiles * if fmt == 4 { l.stride } else { l.plain_units() };
            assert_eq!(report.counters.channel_read_beats as usize, loads.iter().map(units).sum::<usize>());
        }
    }
}

#[test]
fn more_weights_than_the_fifo_holds() {
    for hw in configs() {
        let tiles = 24 * hw.slices as usize;
        let mut l = Load { tiles, kb: 32, src: 64, wscale: true, ..Load::default() };
        l.stride = l.plain_units();
        let (_, state) = same(&hw, &program(&[l]));
        check(&hw, &[l], &state);
    }
}

/// Loads run ahead of the array, over the ends of commands, without a gap on the channel: five small
/// commands take no longer than their units.
#[test]
fn streams_run_back_to_back() {
    let fixed = MemoryTiming::Fixed { read_latency_cycles: 40, write_latency_cycles: 20 };
    for hw in configs() {
        let mut m = machine(&hw, fixed);
        let mut cycles = |commands: usize| {
            let l = Load { tiles: hw.slices as usize, kb: 8, src: 64, stride: 32, ..Load::default() };
            let report = run(&mut m, &(l.text().repeat(commands) + "fence\nhalt"));
            assert_eq!(report.fault, None);
            report.counters.cycles
        };
        let (one, four) = (cycles(1), cycles(4));
        // One more code beat for two more loads, and their units.
        assert!(four - one <= 3 * 32 + 4, "{}: {one} {four}", hw.name);
    }
}
