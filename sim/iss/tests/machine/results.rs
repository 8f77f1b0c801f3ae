//! Results against plain statements of the specification.

use crate::rig::{contents, fill, read, run, CODE_UNITS};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::{Bank, Machine};
use flightvlm_hw::numerics::{canon_bits, fadd};
use flightvlm_iss::Iss;

fn floats(bytes: &[u8]) -> Vec<f32> {
    let word = |b: &[u8]| f32::from_bits(canon_bits(u32::from_le_bytes(b.try_into().unwrap())));
    bytes.chunks_exact(4).map(word).collect()
}

/// The order of `SUM` as the specification writes it down: acc[c][j].
#[allow(clippy::needless_range_loop, reason = "as the specification writes it")]
fn sum(x: &[f32], w: usize) -> f32 {
    let words = x.len().div_ceil(16);
    let steps = words.div_ceil(w);
    let z = |word: usize, lane: usize| x.get(16 * word + lane).copied().unwrap_or(0.0);
    let mut acc = vec![vec![[0.0f32; 16]; w]; steps];
    for c in 0..steps {
        for j in 0..w {
            for lane in 0..16 {
                let before = if c >= 4 { acc[c - 4][j][lane] } else { 0.0 };
                acc[c][j][lane] = fadd(z(c * w + j, lane), before);
            }
        }
    }
    let q = |i: usize, j: usize, lane: usize| (steps + i).checked_sub(4).map_or(0.0, |c| acc[c][j][lane]);
    let t = |j: usize, l: usize| fadd(fadd(q(0, j, l), q(1, j, l)), fadd(q(2, j, l), q(3, j, l)));
    let mut lanes: Vec<f32> = (0..16)
        .map(|l| match w {
            1 => t(0, l),
            2 => fadd(t(0, l), t(1, l)),
            _ => fadd(fadd(t(0, l), t(1, l)), fadd(t(2, l), t(3, l))),
        })
        .collect();
    while lanes.len() > 1 {
        let half = lanes.len() / 2;
        lanes = (0..half).map(|l| fadd(lanes[l], lanes[l + half])).collect();
    }
    lanes[0]
}

#[test]
fn sums_have_the_order_of_the_steps() {
    for c in HwConfig::all() {
        let mut m = Iss::new(c.clone());
        fill(&mut m, &c);
        let data = floats(&contents(Bank::Main)[CODE_UNITS as usize * 64..]);
        for len in [1, 16, 17, 63, 64, 100, 250, 513, 1040] {
            let text = format!(
                "ld mode=rows rows=1 len=80 src_off={CODE_UNITS} @release=vx\n\
                 vx rows=1 len={len} red=sum sred_off=7 @wait=ld\nhalt"
            );
            assert_eq!(run(&mut m, &text).fault, None);
            let got = m.on_chip().unwrap().s[7];
            assert_eq!(got, sum(&data[..len], c.vx_words as usize).to_bits(), "{}: {len}", c.name);
        }
    }
}

/// Keys and values stored position by position are the tiles that a weight load reads: a matrix
/// command over them gives the products of the rows that were stored.
#[test]
fn stored_keys_and_values_are_weight_tiles() {
    let c = HwConfig::mini();
    let mut m = Iss::new(c.clone());
    fill(&mut m, &c);
    // 20 positions of 32 elements in ABUF; the queries are rows 0 and 1 themselves.
    let store = |mode: &str| {
        format!(
            "ld mode=rows rows=40 len=1 dst_stride=1 src_off={CODE_UNITS} src_stride=1\n\
             ld mode=scalars rows=1 len=1 dst_off=0 src_off=7000\n\
             fence\n\
             vx rows=1 len=640 b_kind=imm b=#40.0 op1=mul d_kind=abuf\n\
             fence\n\
             {mode}\n\
             fence\n"
        )
    };
    let abuf = |m: &mut Iss| m.on_chip().unwrap().abuf;
    let scale = |m: &mut Iss| f32::from_bits(canon_bits(m.on_chip().unwrap().s[0]));
    // Keys: positions are outputs; two blocks in slots 1 and 2.
    let keys =
        "st mode=kv_k rows=20 len=2 src_stride=2 dst_off=3000 dst_stride=8 chunk_stride=4 first=1 heads=1";
    let dots = "ld mode=weight rows=2 len=2 src_off=3000 src_stride=8 first=1\n\
                mm rows=2 tiles=2 kb=2 act_stride=2 out_off=300 out_stride=2 first=1\nhalt";
    assert_eq!(run(&mut m, &(store(keys) + dots)).fault, None);
    let (a, s) = (abuf(&mut m), scale(&mut m));
    let spad = m.on_chip().unwrap().spad;
    for q in 0..2 {
        for p in 0..20 {
            let dot: i32 = (0..32).map(|e| i32::from(a[32 * q + e]) * i32::from(a[32 * p + e])).sum();
            let got = spad[16 * (300 + 2 * q) + p];
            assert_eq!(got, flightvlm_hw::numerics::fmul(dot as f32, s).to_bits(), "query {q}, key {p}");
        }
    }
    // Values: elements are outputs, positions inputs: two words a tile, a tile for each 16 elements.
    let values =
        "st mode=kv_v rows=20 len=2 src_stride=2 dst_off=3000 dst_stride=4 chunk_stride=8 first=1 heads=1";
    let sums = "ld mode=weight rows=2 len=2 src_off=3000 src_stride=8 fmt=w8n first=1\n\
                mm rows=1 tiles=2 kb=2 out_off=300 out_stride=2 first=1\nhalt";
    // Positions past 20 of the second word: the row of activations is 32 long, so clear them first.
    for channel in 0..c.slices {
        m.write(Bank::Channel(channel), 3000 * 64, &[0; 64 * 64]).unwrap();
    }
    assert_eq!(run(&mut m, &(store(values) + sums)).fault, None);
    let a = abuf(&mut m);
    let spad = m.on_chip().unwrap().spad;
    for e in 0..32 {
        let dot: i32 = (0..20).map(|p| i32::from(a[p]) * i32::from(a[32 * p + e])).sum();
        let got = spad[16 * (300 + e / 16) + e % 16];
        assert_eq!(got, flightvlm_hw::numerics::fmul(dot as f32, s).to_bits(), "element {e}");
    }
}

#[test]
fn a_load_keeps_what_it_read_before_a_store() {
    let c = HwConfig::sim();
    let mut m = Iss::new(c.clone());
    fill(&mut m, &c);
    let matrix = "mm rows=1 tiles=1 kb=2 out_off=50 out_stride=1\n";
    let load = "ld mode=weight rows=1 len=2 src_off=900\n";
    let vx = format!("ld mode=rows rows=1 len=2 src_off={CODE_UNITS}\nfence\nvx rows=1 len=32 b_kind=imm b=#90.0 op1=mul d_kind=abuf\nld mode=scalars rows=1 len=1 src_off=900\nfence\n");
    let store = "st mode=kv_k rows=16 len=2 dst_off=900 chunk_stride=4 heads=1\nfence\n";
    let out = |m: &mut Iss| m.on_chip().unwrap().spad[50 * 16..51 * 16].to_vec();
    assert_eq!(run(&mut m, &format!("{vx}{load}fence\n{matrix}halt")).fault, None);
    let before = out(&mut m);
    assert_eq!(run(&mut m, &format!("{vx}{load}fence\n{store}{matrix}halt")).fault, None);
    assert_eq!(out(&mut m), before, "the FIFO held the words already");
    assert_eq!(run(&mut m, &format!("{vx}{load}fence\n{matrix}halt")).fault, None);
    assert_ne!(out(&mut m), before, "the store changed the channel");
    let stored = &read(&mut m, Bank::Channel(0))[900 * 64..908 * 64];
    let row: Vec<u8> = m.on_chip().unwrap().abuf[..32].iter().map(|x| *x as u8).collect();
    // Four inputs of an output lie together, those of chunk q of unit u from input 4 (q ^ u) on.
    for (i, four) in stored.chunks_exact(4).enumerate() {
        let (word, unit, chunk) = (i / 64, i / 16 % 4, i / 4 % 4);
        assert_eq!(four, &row[16 * word + 4 * (unit ^ chunk)..][..4]);
    }
}

/// Matrix commands may take the words of a load in other portions than it brought them.
#[test]
fn words_of_a_load_may_be_used_in_other_portions() {
    let c = HwConfig::sim();
    let mut m = Iss::new(c.clone());
    fill(&mut m, &c);
    let head = format!("ld mode=rows rows=1 len=8 src_off={CODE_UNITS}\nfence\nvx rows=1 len=128 b_kind=imm b=#50.0 op1=mul d_kind=abuf\nld mode=scalars rows=1 len=1 src_off=900\nfence\n");
    let whole =
        "ld mode=weight rows=4 len=2 src_stride=8\nmm rows=1 tiles=4 kb=2 out_off=60 out_stride=4\nhalt";
    let split = "ld mode=weight rows=1 len=8\nmm rows=1 tiles=4 kb=2 out_off=60 out_stride=4\nhalt";
    let mut out = |text: &str| {
        assert_eq!(run(&mut m, &format!("{head}{text}")).fault, None);
        m.on_chip().unwrap().spad[60 * 16..64 * 16].to_vec()
    };
    assert_eq!(out(whole), out(split));
}
