//! Without data, without times: what stays is the same; and the accounts add up.

use crate::rig::{fill, run};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::Unit;
use flightvlm_hw::machine::{Counters, FaultCode, Machine};
use flightvlm_iss::profile::LostBeats;
use flightvlm_iss::Iss;

/// A layer's worth of everything: rows, weights of several formats, vectors, keys and values.
const PROGRAM: &str = "\
    ld mode=rows rows=4 len=8 dst_stride=8 src_off=600 src_stride=8 @release=vx\n\
    ld mode=scalars rows=1 len=2 src_off=700 @release=mm\n\
    ld mode=gather rows=2 len=3 dst_off=100 dst_stride=3 src_off=640 sidx_off=900\n\
    vx rows=4 len=128 a_stride=8 d_kind=abuf d_stride=8 @wait=ld @release=mm,st\n\
    ld mode=weight rows=37 len=8 kbg=4 wscale=1 bias=1 fmt=w4k src_stride=19\n\
    mm rows=4 tiles=37 kb=8 kbg=4 act_stride=8 out_off=200 out_stride=37 wscale=1 bias=1 @wait=ld,vx @release=vx\n\
    ld mode=weight rows=5 len=4 fmt=w8n src_off=100 src_stride=16 nm=s2of4 first=3\n\
    st mode=kv_k4 rows=4 len=8 dst_off=7000 dst_stride=16 chunk_stride=2 pos=14 heads=1 @wait=vx\n\
    st mode=kv_v rows=4 len=8 dst_off=7200 dst_stride=4 chunk_stride=40 pos=14 heads=1\n\
    loop count=5 len=1\n\
    vx rows=4 len=592 a_off=200 a_stride=37 red=sum sred_off=600\n\
    vx rows=4 len=592 a_off=200 a_stride=37 func=silu d_kind=spad d_off=400 d_stride=37 @wait=mm\n\
    fence\n\
    mm rows=2 tiles=5 kb=4 act_stride=8 out_off=600 out_stride=5 nm=s2of4 first=3\n\
    st mode=rows rows=2 len=40 src_off=400 src_stride=37 dst_off=5000 dst_stride=60\n\
    halt";

#[test]
fn times_do_not_need_data() {
    for c in HwConfig::all() {
        let mut full = Iss::new(c.clone());
        let mut bare = Iss::timing_only(c.clone());
        fill(&mut full, &c);
        fill(&mut bare, &c);
        for _ in 0..2 {
            let (a, b) = (run(&mut full, PROGRAM), run(&mut bare, PROGRAM));
            assert_eq!((a.fault, b.fault), (None, None), "{}", c.name);
            assert_eq!(a.counters, b.counters, "{}", c.name);
            assert_eq!(a.retired, b.retired);
        }
        assert!(bare.on_chip().is_none());
    }
}

#[test]
fn results_do_not_need_times() {
    for c in HwConfig::all() {
        let mut full = Iss::new(c.clone());
        let mut fast = Iss::function_only(c.clone());
        fill(&mut full, &c);
        fill(&mut fast, &c);
        let (a, b) = (run(&mut full, PROGRAM), run(&mut fast, PROGRAM));
        assert_eq!((a.fault, b.fault), (None, None), "{}", c.name);
        assert!(full.on_chip() == fast.on_chip(), "{}", c.name);
        let zero =
            Counters { cycles: 0, busy_cycles: [0; 4], wait_cycles: [0; 4], starved_cycles: 0, ..a.counters };
        assert_eq!(b.counters, zero);
    }
}

#[test]
fn profiles_add_up_to_the_counters() {
    for c in HwConfig::all() {
        let mut m = Iss::timing_only(c.clone());
        m.set_profiling(true);
        fill(&mut m, &c);
        let r = run(&mut m, PROGRAM);
        let p = m.profile().expect("it was wanted");
        for u in Unit::QUEUES {
            let of = |f: fn(&flightvlm_iss::profile::PcProfile) -> u64| {
                p.by_pc.iter().filter(|x| x.commands > 0 && x.unit == u as u8).map(f).sum::<u64>()
            };
            assert_eq!(of(|x| x.commands), r.counters.retired[u as usize]);
            assert_eq!(of(|x| x.busy_cycles), r.counters.busy_cycles[u as usize]);
            assert_eq!(of(|x| x.token_wait_cycles), r.counters.wait_cycles[u as usize]);
        }
        let sum = |f: fn(&flightvlm_iss::profile::PcProfile) -> u64| p.by_pc.iter().map(f).sum::<u64>();
        assert_eq!(sum(|x| x.starved_cycles), r.counters.starved_cycles);
        assert_eq!(sum(|x| x.mac_beats), r.counters.mac_beats);
        let beats = r.counters.channel_read_beats + r.counters.channel_write_beats;
        let main = r.counters.read_beats + r.counters.write_beats;
        let fetched = 64 * (PROGRAM.lines().count() as u64 * 2).div_ceil(4);
        let bytes = sum(|x| x.bytes);
        assert!(bytes <= 64 * (beats + main) && bytes + fetched >= 64 * (beats + main), "{bytes}");
        assert_eq!(p.channels.len(), c.slices as usize);
        assert_eq!(p.channels.iter().map(|x| x.read_beats).sum::<u64>(), r.counters.channel_read_beats);
        // A channel's cycles never exceed the launch's.
        for x in &p.channels {
            let idle = x.fifo_full_cycles + x.no_load_cycles + x.memory_cycles;
            assert!(x.read_beats + idle <= r.counters.cycles, "{x:?} of {}", r.counters.cycles);
        }
    }
}

#[test]
fn beats_that_do_not_multiply_have_a_cause() {
    let c = HwConfig::mini();
    let mut m = Iss::timing_only(c.clone());
    m.set_profiling(true);
    fill(&mut m, &c);
    // Five tiles on four slices: two rounds; three rows: two pairs of four cycles for two words.
    let r =
        run(&mut m, "ld mode=weight rows=5 len=2\nmm rows=3 tiles=5 kb=2 act_stride=2 out_stride=8\nhalt");
    assert_eq!(r.fault, None);
    let p = &m.profile().expect("it was wanted").by_pc[1];
    let lost = LostBeats { no_tile: 3 * 2 * 2 * 2, one_row: 5 * 2, results: 2 * 2 * 4 * 2 * 2 };
    assert_eq!((p.lost, p.mac_beats), (lost, 5 * 3 * 2));
    let issued = 2 * 2 * 4;
    assert_eq!(p.mac_beats + lost.no_tile + lost.one_row + lost.results, issued * 2 * 4);
}

#[test]
fn a_full_fifo_is_a_deadlock_of_the_dispatcher() {
    let c = HwConfig::mini();
    let mut m = Iss::new(c.clone());
    fill(&mut m, &c);
    // 600 words of a slice do not fit its FIFO and nothing takes them.
    let f = run(&mut m, "ld mode=weight rows=12 len=200\nhalt").fault.expect("a fault");
    assert_eq!((f.code, f.unit, f.pc), (FaultCode::Deadlock, Unit::Sys, 1));
    let f = run(&mut m, "mm rows=1 tiles=1 kb=1\nhalt").fault.expect("a fault");
    assert_eq!((f.code, f.unit, f.pc), (FaultCode::Deadlock, Unit::Mm, 0));
}

#[test]
fn accesses_beyond_a_bank_are_refused() {
    use flightvlm_hw::machine::Bank;
    let mut m = Iss::new(HwConfig::mini());
    m.resize(4, 2).unwrap();
    let mut out = [0; 64];
    assert!(m.read(Bank::Channel(3), 64, &mut out).is_ok());
    let e = m.read(Bank::Channel(4), 0, &mut out).unwrap_err().to_string();
    assert!(e.contains("channel 4") && e.contains("below 4"), "{e}");
    let e = m.write(Bank::Channel(0), 65, &out).unwrap_err().to_string();
    assert!(e.contains("channel 0") && e.contains("0x41") && e.contains("128 bytes"), "{e}");
}
