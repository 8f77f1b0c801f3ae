//! Cycles as `hw/doc/timing.md` gives them, on memories of fixed latency.

use crate::rig::{fill, fixed, run, READ, WRITE};
use flightvlm_hw::config::{HwConfig, MemoryTiming};
use flightvlm_iss::Iss;

/// Cycle in which the first instruction executes when the code takes `q` cycles to expand.
fn first(q: u64) -> u64 {
    5 + READ + q
}

/// A command of 32 bytes and HALT: the unit they lie in has a quarter left. Start of the command.
fn start() -> u64 {
    first(3) + 2
}

struct Bench(Iss);

impl Bench {
    fn new(c: HwConfig) -> Bench {
        let c = fixed(c);
        let mut m = Iss::new(c.clone());
        fill(&mut m, &c);
        Bench(m)
    }
    /// Cycles of the launch.
    fn total(&mut self, text: &str) -> u64 {
        let r = run(&mut self.0, text);
        assert_eq!(r.fault, None, "{text}");
        r.counters.cycles
    }
    /// Completions of a unit's commands.
    fn done(&mut self, text: &str, unit: usize) -> Vec<u64> {
        let r = run(&mut self.0, text);
        assert_eq!(r.fault, None, "{text}");
        r.retired[unit].iter().map(|x| x.cycle).collect()
    }
}

#[test]
fn launch_and_dispatch() {
    for c in HwConfig::all() {
        let mut b = Bench::new(c);
        assert_eq!(b.total("halt"), first(2) + 2);
        assert_eq!(b.total("nop\nhalt"), first(3) + 4);
        assert_eq!(b.total("nop\nnop\nnop\nhalt"), first(4) + 8);
        assert_eq!(b.total("nop\nnop\nnop\nnop\nhalt"), first(6) + 10, "a second unit");
        assert_eq!(b.total("loop count=3 len=2\nnop\nnop\nhalt"), first(4) + 2 * 7 + 2);
        assert_eq!(b.total("nop\nalu func=mul rd=r20 rs=r1 rt=r2\nnop\nhalt"), first(4) + 8 + 3);
    }
}

/// With a fast memory the registers are the last thing that is ready: R0 to R31, one a cycle.
#[test]
fn the_first_instruction_waits_for_the_registers() {
    for mut c in HwConfig::all() {
        for read_latency_cycles in [1, 25, 26, 27, 28] {
            c.memory = MemoryTiming::Fixed { read_latency_cycles, write_latency_cycles: WRITE as u32 };
            let mut m = Iss::new(c.clone());
            fill(&mut m, &c);
            let first = (5 + u64::from(read_latency_cycles) + 2).max(33);
            assert_eq!(Bench(m).total("halt"), first + 2, "{}, latency {read_latency_cycles}", c.name);
        }
    }
}

#[test]
fn rows_scalars_and_stores() {
    for c in HwConfig::all() {
        let mut b = Bench::new(c);
        for n in [1, 16, 100] {
            let ld = format!("ld mode=rows rows=1 len={n} src_off=600\nhalt");
            assert_eq!(b.done(&ld, 0), [start() + 6 + READ + n]);
            assert_eq!(b.total(&ld), start() + 6 + READ + n + 3);
            let st = format!("st mode=rows rows=1 len={n} dst_off=5000\nhalt");
            assert_eq!(b.done(&st, 1), [start() + 14 + n + WRITE]);
        }
        let scalars = "ld mode=scalars rows=1 len=3 src_off=600\nhalt";
        assert_eq!(b.done(scalars, 0), [start() + 6 + READ + 16 * 3]);
        let gather = "ld mode=gather rows=7 len=1 src_off=600 sidx_off=400\nhalt";
        assert_eq!(b.done(gather, 0), [start() + 11 + 6 * 6 + READ + 1]);
        assert_eq!(b.done("ld mode=rows len=1\nhalt", 0), [start() + 5]);
        assert_eq!(b.done("st mode=rows len=1\nhalt", 1), [start() + 11]);
        let keys = "st mode=kv_k rows=4 len=3 heads=1 dst_off=5000 chunk_stride=4\nhalt";
        assert_eq!(b.done(keys, 1), [start() + 15 + 12 + WRITE]);
        // One channel, more than may wait for responses: 16 every WRITE + 2 cycles.
        let keys = "st mode=kv_k rows=16 len=3 heads=1 dst_off=5000 chunk_stride=4\nhalt";
        assert_eq!(b.done(keys, 1), [start() + 15 + 2 * (WRITE + 2) + 16 + WRITE]);
        let text = "ld mode=rows rows=1 len=10 src_off=600 @release=st\n\
                    st mode=rows rows=1 len=4 dst_off=5000 @wait=ld\nhalt";
        let load = first(4) + 2 + 6 + READ + 10;
        assert_eq!(b.done(text, 1), [load + 2 + 14 + 4 + WRITE]);
    }
}

#[test]
fn weight_loads_are_posted() {
    for c in HwConfig::all() {
        let mut b = Bench::new(c);
        let pushed = start() + 6;
        let text = "ld mode=weight rows=1 len=16 src_off=600\nhalt";
        assert_eq!(b.done(text, 0), [pushed + 1]);
        assert_eq!(b.total(text), pushed + 3 + READ + 64 + 1 + 2);
        let text = "ld mode=weight rows=1 len=16 kbg=3 wscale=1 src_off=600\nhalt";
        assert_eq!(b.done(text, 0), [pushed + 11]);
        assert_eq!(b.total(text), pushed + 10 + 3 + READ + 70 + 1 + 2);
        // Four wait behind the one that streams; the sixth waits for the end of the first.
        let text = "ld mode=weight rows=1 len=16 src_off=600\n".repeat(6) + "halt";
        let done = b.done(&text, 0);
        let pushed = first(8) + 2 + 6;
        assert_eq!((done[0], done[1], done[4]), (pushed + 1, pushed + 10, pushed + 37));
        assert_eq!(done[5], pushed + 3 + READ + 63 + 1 + 2);
    }
}

#[test]
fn matrix_commands_take_their_issue_cycles() {
    for c in HwConfig::all() {
        let (slices, write) = (u64::from(c.slices), u64::from(c.pair_write_cycles()));
        // Where a row takes four steps of the dequantiser, a stage of waiting.
        let steps = write.min(8) / 2;
        let tail = 44 + steps + u64::from(steps == 4) + write;
        let mut b = Bench::new(c);
        // The fence lets all weights arrive, so nothing is starved.
        for (rounds, rows, kb, kbg) in [(1, 1, 20, 0), (2, 5, 3, 0), (1, 4, 20, 9), (3, 2, 6, 0)] {
            let tiles = rounds * slices;
            let ld = format!("ld mode=weight rows={tiles} len={kb} kbg={kbg} wscale=1");
            let mm = format!("mm rows={rows} tiles={tiles} kb={kb} kbg={kbg} wscale=1 out_stride={tiles}");
            let r = run(&mut b.0, &format!("{ld}\nfence\n{mm}\nfence\nhalt"));
            assert_eq!(r.fault, None);
            let pair = if kbg == 0 { u64::max(kb, write) } else { 9 + 9 + 8 };
            let issue = rounds * u64::div_ceil(rows, 2) * pair;
            // Busy cycles count both ends.
            assert_eq!(r.counters.busy_cycles[2], issue + tail + 1, "{rounds} rounds of {rows} rows");
            assert_eq!(r.counters.mac_beats, tiles * rows * kb);
            assert_eq!(r.counters.starved_cycles, 0);
        }
    }
}

#[test]
fn a_matrix_command_waits_for_the_slowest_slice() {
    let mut b = Bench::new(HwConfig::mini());
    // Slice 3 has a tile of another load in front: 16 words later than the others.
    let ahead = "ld mode=weight rows=1 len=64 first=3\n";
    let load = "ld mode=weight rows=4 len=16\n";
    let mm = "mm rows=1 tiles=1 kb=64 first=3 out_stride=1\nmm rows=1 tiles=4 kb=16 out_stride=4\nhalt";
    let alone = run(&mut b.0, &format!("{load}mm rows=1 tiles=4 kb=16 out_stride=4\nhalt"));
    let behind = run(&mut b.0, &format!("{ahead}{load}{mm}"));
    assert_eq!((alone.fault, behind.fault), (None, None));
    assert!(alone.counters.starved_cycles > READ);
    // The stream of slice 3 has 256 units before these words.
    let gap = behind.counters.cycles - alone.counters.cycles;
    assert!((250..270).contains(&gap), "{gap}");
}

#[test]
fn vector_commands_take_a_cycle_a_step() {
    for c in HwConfig::all() {
        let w = u64::from(c.vx_words);
        // Fewest cycles from row to row with a sum, and from a row's last step to its sum.
        let (period, sum_cycles) = match w {
            1 => (4, 30),
            2 => (4, 35),
            _ => (8, 43),
        };
        let mut b = Bench::new(c);
        for (rows, len) in [(1, 16), (3, 100), (7, 640)] {
            let n = u64::div_ceil(len, 16 * w);
            let steps = rows * n;
            let vx = format!("vx rows={rows} len={len} a_stride=40 d_kind=spad d_off=500 d_stride=40");
            assert_eq!(b.done(&format!("{vx}\nhalt"), 3), [start() + steps + 5]);
            for (op1, cycles) in [("add", 4), ("mul", 3), ("max", 1)] {
                let op = format!("{vx} b_kind=imm b=#2.0 op1={op1}\nhalt");
                assert_eq!(b.done(&op, 3), [start() + steps + 5 + cycles], "{op1}");
            }
            for (func, cycles) in [("rsqrt", 7), ("silu", 12)] {
                let f = format!("{vx} func={func}\nhalt");
                assert_eq!(b.done(&f, 3), [start() + steps + 5 + cycles], "{func}");
            }
            let sum = format!("{vx} red=sum sred_off=9\nhalt");
            let last = (rows - 1) * n.max(period) + n;
            assert_eq!(b.done(&sum, 3), [start() + last + 2 + 2 + sum_cycles + 1]);
            let div = format!("{vx} b_row=div\nhalt");
            assert_eq!(b.done(&div, 3), [start() + 8 + steps + 5]);
        }
    }
}
