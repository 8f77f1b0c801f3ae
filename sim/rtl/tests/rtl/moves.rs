//! Loads and stores of data.

use crate::reference::Store;
use crate::rig::{configs, same, Random, DATA_UNIT};

pub const COPY: &str = "
    ld mode=rows rows=4 len=37 dst_stride=40 src_off=600 src_stride=41 @release=vx
    vx rows=4 len=592 a_kind=spad a_stride=40 b_kind=imm b=#2.5 b_stride=0 op1=mul d_kind=spad d_off=1000 d_stride=37 @wait=ld @release=st
    st mode=rows rows=4 len=37 src_off=1000 src_stride=37 dst_off=5000 dst_stride=50 @wait=vx
    halt";

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes"))).collect()
}

#[test]
fn load_compute_store() {
    for hw in configs() {
        let (_, state) = same(&hw, COPY);
        for r in 0..4 {
            let from = floats(&state.main[64 * (600 + 41 * r)..][..64 * 37]);
            let to = floats(&state.main[64 * (5000 + 50 * r)..][..64 * 37]);
            let expected: Vec<f32> = from.iter().map(|x| x * 2.5).collect();
            assert_eq!(to, expected, "{} row {r}", hw.name);
        }
    }
}

#[test]
fn gathered_rows_and_scalars() {
    let text = "
        ld mode=scalars rows=2 len=1 dst_off=30 dst_stride=16 src_off=4200 src_stride=3
        ld mode=gather rows=7 len=5 dst_off=3 dst_stride=6 src_off=600 src_stride=9 sidx_off=40 @release=st
        st mode=rows rows=7 len=5 src_off=3 src_stride=6 dst_off=5000 dst_stride=5 @wait=ld
        halt";
    for hw in configs() {
        let (report, state) = same(&hw, text);
        let scalar = |unit: usize, lane: usize| {
            u32::from_le_bytes(state.main[64 * unit + 4 * lane..][..4].try_into().expect("4 bytes"))
        };
        for i in 0..32 {
            assert_eq!(state.chip.s[30 + i], scalar(4200 + 3 * (i / 16), i % 16), "{} S[{i}]", hw.name);
        }
        for r in 0..7 {
            let row = 600 + 9 * state.chip.s[40 + r] as usize;
            let (from, to) = (&state.main[64 * row..][..320], &state.main[64 * (5000 + 5 * r)..][..320]);
            assert!(from == to, "{} row {r}", hw.name);
        }
        assert_eq!(report.counters.write_beats, 35);
        assert_eq!(report.counters.channel_write_beats, 0);
    }
}

#[test]
fn row_addresses_wrap_like_integers() {
    // A negative stride is a large unsigned one: rejected; a start past the first row is not.
    let text = "
        seta agu=a1 what=base rs=r0 imm=600
        seta agu=a1 what=advance rs=r0 imm=4294967286
        ld mode=rows rows=2 len=3 src_agu=a1 src_off=20 src_stride=7 dst_off=9 dst_stride=5 @release=st
        st mode=rows rows=2 len=3 src_off=9 src_stride=5 dst_off=5000 dst_stride=4 @wait=ld
        halt";
    for hw in configs() {
        let (_, state) = same(&hw, text);
        for r in 0..2 {
            assert!(state.main[64 * (610 + 7 * r)..][..192] == state.main[64 * (5000 + 4 * r)..][..192]);
        }
    }
}

/// Fills ABUF and S with known data, then stores in all modes.
#[test]
fn key_value_and_scalar_stores() {
    let prepare = "
        ld mode=rows rows=48 len=8 dst_stride=8 src_off=600 src_stride=8 @release=vx
        ld mode=scalars rows=1 len=40 dst_off=100 src_off=1200
        vx rows=48 len=128 a_kind=spad a_stride=8 b_kind=imm b=#31.0 op1=mul d_kind=abuf d_off=50 d_stride=9 @wait=ld @release=st
        fence\n";
    let mut random = Random(77);
    for hw in configs() {
        let mut stores = Vec::new();
        for (i, mode) in ["kv_k", "kv_k4", "kv_scale", "kv_v", "kv_v4", "scalar", "rows"]
            .iter()
            .enumerate()
            .cycle()
            .take(28)
        {
            let mut pick = |limit: u32| random.below(limit) as usize;
            let (rows, len, heads) = (1 + pick(20), 1 + pick(4), 1 + pick(3));
            // Each store has units of its own, so their order does not matter.
            let dst = 1000 + 240 * stores.len();
            let mut s = Store { mode, rows, len, heads, dst, ..Store::default() };
            s.pos = pick(40);
            s.first = pick(9);
            s.head_step = pick(6);
            (s.dst_stride, s.chunk_stride) = (4 + pick(3), 4 + pick(5));
            (s.src, s.src_stride, s.head_stride) = match i {
                2 | 5 => (100 + pick(50), 1 + pick(3), pick(70)),
                6 => (pick(50), 1 + pick(5), 0),
                _ => (50 + pick(40), 9, pick(5)),
            };
            stores.push(s);
        }
        let text = prepare.to_string() + &stores.iter().map(Store::text).collect::<String>() + "halt";
        let (report, state) = same(&hw, &text.replace("@release=st", ""));
        let initial = {
            let mut m = crate::rig::machine(&hw, flightvlm_rtlsim::MemoryTiming::Config);
            crate::rig::run(&mut m, "halt");
            crate::rig::State::of(&mut m, &hw)
        };
        let (mut main, mut channels) = (initial.main, initial.channels);
        for s in &stores {
            s.apply(&state.chip, &mut main, &mut channels);
        }
        let data = 64 * DATA_UNIT as usize;
        let at = main[data..].iter().zip(&state.main[data..]).position(|(a, b)| a != b);
        assert_eq!(at.map(|x| x / 64 + DATA_UNIT as usize), None, "{} main memory", hw.name);
        for (c, (a, b)) in channels.iter().zip(&state.channels).enumerate() {
            let at = a.iter().zip(b).position(|(a, b)| a != b);
            assert_eq!(at.map(|x| (x / 64, x % 64)), None, "{} channel {c}", hw.name);
        }
        assert!(report.counters.channel_write_beats > 300);
    }
}
