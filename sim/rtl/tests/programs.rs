//! Small programs run on the RTL and on the instruction-level simulator: memories, scalars, faults
//! and retired commands must be equal, whatever the memory's timing.

use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::{assemble, Unit};
use flightvlm_hw::machine::{Fault, FaultCode, Launch, Machine, Report};
use flightvlm_iss::Iss;
use flightvlm_rtlsim::{MemoryTiming, RtlConfig, RtlMachine};

const DRAM_UNITS: u32 = 8192;
/// Data begin here; the code lies below.
const DATA_UNIT: u32 = 512;

fn code_bytes(text: &str) -> Vec<u8> {
    assemble(text).expect("test programs assemble").iter().flat_map(|i| i.encode().to_bytes()).collect()
}

/// Repeatable bytes: floats of moderate size, so that sums neither overflow nor vanish.
fn data() -> Vec<u8> {
    let mut x = 0x1234_5678u32;
    let mut out = Vec::new();
    for i in 0..(DRAM_UNITS - DATA_UNIT) * 16 {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        // Units 2048.. hold int8 weights, 4096.. small indices.
        let word = match i / 16 + DATA_UNIT {
            0..=2047 => ((x % 4001) as f32 / 500.0 - 4.0).to_bits(),
            2048..=4095 if i / 16 % 33 == 0 => ((x % 997) as f32 / 1000.0).to_bits(),
            2048..=4095 => x,
            _ => x % 24,
        };
        out.extend_from_slice(&word.to_le_bytes());
    }
    out
}

fn random(seed: u64) -> MemoryTiming {
    MemoryTiming::Random { seed, latency_cycles_max: 60 }
}

fn rtl(memory: Option<MemoryTiming>) -> RtlMachine {
    let mut config = RtlConfig::new(HwConfig::sim());
    config.memory = memory.unwrap_or(config.memory);
    config.cycle_limit = 300_000;
    RtlMachine::new(config).expect("the RTL machine starts")
}

fn load(m: &mut dyn Machine, text: &str) -> Launch {
    m.resize_dram(DRAM_UNITS).expect("resize");
    let code = code_bytes(text);
    m.write(0, &code).expect("code");
    m.write(u64::from(DATA_UNIT) * 64, &data()).expect("data");
    let mut args = [0; 16];
    for (i, a) in args.iter_mut().enumerate() {
        *a = 3 + i as u32;
    }
    Launch { code_base_units: 0, code_len: (code.len() / 32) as u32, entry: 0, args, watchdog_cycles: 3000 }
}

fn run(m: &mut dyn Machine, text: &str) -> Report {
    let launch = load(m, text);
    m.record(true);
    m.launch(&launch).expect("launch")
}

fn dram(m: &mut dyn Machine) -> Vec<u8> {
    let mut out = vec![0; DRAM_UNITS as usize * 64];
    m.read(0, &mut out).expect("read");
    out
}

fn first_difference<T: PartialEq>(a: &[T], b: &[T]) -> Option<usize> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).position(|(a, b)| a != b)
}

/// Runs `text` on both machines, on the RTL with three memory timings; all state must be equal.
fn same(text: &str) -> (Report, Report) {
    let mut iss = Iss::new(HwConfig::sim());
    let expected = run(&mut iss, text);
    let (chip, memory) = (iss.on_chip().expect("backdoor"), dram(&mut iss));
    let mut fixed = None;
    for timing in [None, Some(random(1)), Some(random(2))] {
        let mut machine = rtl(timing);
        let report = run(&mut machine, text);
        assert_eq!(report.fault, expected.fault, "{timing:?}");
        let pcs = |r: &Report| r.retired.clone().map(|v| v.iter().map(|x| x.pc).collect::<Vec<_>>());
        if expected.fault.is_none() {
            assert_eq!(pcs(&report), pcs(&expected), "{timing:?}");
            assert_eq!(report.counters.dispatched, expected.counters.dispatched);
            assert_eq!(report.counters.retired, expected.counters.retired);
            assert_eq!(report.counters.read_beats, expected.counters.read_beats);
            assert_eq!(report.counters.write_beats, expected.counters.write_beats);
            assert_eq!(report.counters.mac_beats, expected.counters.mac_beats);
            let got = machine.on_chip().expect("backdoor");
            assert_eq!(first_difference(&got.s, &chip.s), None, "S, {timing:?}");
            assert_eq!(first_difference(&got.spad, &chip.spad), None, "SPAD, {timing:?}");
            assert_eq!(first_difference(&got.abuf, &chip.abuf), None, "ABUF, {timing:?}");
            assert_eq!(got.r, chip.r, "R, {timing:?}");
            assert_eq!(first_difference(&dram(&mut machine), &memory), None, "DRAM, {timing:?}");
        }
        fixed.get_or_insert(report);
    }
    let fixed = fixed.expect("three runs");
    println!("cycles: rtl {} iss {}", fixed.counters.cycles, expected.counters.cycles);
    for u in 0..4 {
        println!(
            "  {:2} busy rtl {:6} iss {:6}  retired at rtl {:?} iss {:?}",
            Unit::QUEUES[u].name(),
            fixed.counters.busy_cycles[u],
            expected.counters.busy_cycles[u],
            fixed.retired[u].iter().take(6).map(|r| r.cycle).collect::<Vec<_>>(),
            expected.retired[u].iter().take(6).map(|r| r.cycle).collect::<Vec<_>>(),
        );
    }
    (fixed, expected)
}

const COPY: &str = "
    ld mode=rows rows=4 len=37 dst_stride=40 src_off=600 src_stride=41 @release=vx
    vx rows=4 len=592 a_kind=spad a_stride=40 b_kind=imm b=#2.5 b_stride=0 op1=mul d_kind=spad d_off=1000 d_stride=37 @wait=ld @release=st
    st mode=rows rows=4 len=37 src_off=1000 src_stride=37 dst_off=5000 dst_stride=50 @wait=vx
    halt";

const MATMUL: &str = "
    ; activations to int8, two scales a row, 3 tiles of 9 k-blocks in groups of 4 with bias
    ld mode=weight rows=3 len=9 src_off=2048 src_stride=40 kbg=4 wscale=1 bias=1
    ld mode=rows rows=5 len=9 dst_stride=9 src_off=600 src_stride=9 @release=vx
    ld mode=scalars rows=1 len=1 dst_off=100 src_off=700 @release=mm
    vx rows=5 len=144 a_kind=spad a_stride=9 b_kind=imm b=#20.0 op1=mul d_kind=abuf d_stride=9 @wait=ld @release=mm
    mm rows=5 tiles=3 kb=9 kbg=4 act_stride=9 out_off=2000 out_stride=3 sa_off=100 wscale=1 bias=1 @wait=ld,vx @release=st
    st mode=rows rows=5 len=3 src_off=2000 src_stride=3 dst_off=5000 dst_stride=3 @wait=mm
    halt";

#[test]
fn load_compute_store() {
    same(COPY);
}

#[test]
fn weights_through_the_fifo_into_the_array() {
    same(MATMUL);
}

#[test]
fn more_weights_than_the_fifo_holds() {
    same(
        "
        ld mode=rows rows=2 len=32 dst_stride=32 src_off=600 src_stride=32 @release=vx
        ld mode=scalars rows=1 len=1 dst_off=100 src_off=700
        fence
        vx rows=2 len=512 a_kind=spad a_stride=32 b_kind=imm b=#20.0 op1=mul d_kind=abuf d_stride=32 @wait=ld
        fence
        ld mode=weight rows=24 len=32 src_off=2048 src_stride=129 wscale=1
        mm rows=2 tiles=24 kb=32 act_stride=32 out_off=2000 out_stride=24 sa_off=100 wscale=1
        fence
        st mode=rows rows=2 len=24 src_off=2000 src_stride=24 dst_off=5000 dst_stride=24
        halt",
    );
}

#[test]
fn loops_scalars_and_address_generators() {
    same(
        "
        seta agu=a1 what=base rs=r0 imm=600
        seta agu=a1 what=stride0 rs=r0 imm=16
        seta agu=a1 what=stride1 rs=r0 imm=4
        seta agu=a2 what=stride0 imm=40
        seta agu=a2 what=stride1 imm=8
        alu func=add rd=r20 rs=r1 use_imm=1 imm=1
        loop count=r20 len=8
        alu func=mul rd=r21 rs=r20 rt=r2
        loop count=4 len=3
        ld mode=rows rows=1 len=4 dst_agu=a2 src_agu=a1 @release=st
        st mode=rows rows=1 len=4 src_agu=a2 dst_agu=a2 dst_off=5000 @wait=ld @release=ld
        alu func=add rd=r22 rs=r22 rt=r21
        loop count=0 len=1
        halt
        seta agu=a3 what=advance imm=5
        alu func=sub rd=r23 rs=r0 rt=r22
        alu func=lt rd=r24 rs=r22 rt=r23
        alu func=eq rd=r25 rs=r24 use_imm=1 imm=1
        alu func=shl rd=r26 rs=r23 use_imm=1 imm=37
        alu func=shr rd=r27 rs=r23 use_imm=1 imm=3
        alu func=min rd=r28 rs=r23 rt=r22
        alu func=max rd=r29 rs=r23 rt=r22
        alu func=add rd=r0 rs=r23 rt=r22
        ld mode=rows rows=1 len=1 dst_off=8000 src_agu=a3 src_off=600
        halt",
    );
}

#[test]
fn seta_as_last_instruction_of_a_body() {
    same(
        "
        seta agu=a1 what=stride0 imm=1
        loop count=5 len=2
        ld mode=rows rows=1 len=1 dst_agu=a1 src_agu=a1 src_off=600
        seta agu=a1 what=stride0 imm=7
        loop count=3 len=2
        ld mode=rows rows=1 len=1 dst_agu=a1 dst_off=100 src_agu=a1 src_off=600
        seta agu=a1 what=advance imm=3
        halt",
    );
}

#[test]
fn key_and_value_cache_stores() {
    same("
        ld mode=rows rows=20 len=4 dst_stride=4 src_off=600 src_stride=4 @release=vx
        vx rows=20 len=64 a_kind=spad a_stride=4 b_kind=imm b=#30.0 op1=mul d_kind=abuf d_off=50 d_stride=5 red=absmax sred_off=9 @wait=ld @release=st
        st mode=kv_k rows=20 len=4 src_off=50 src_stride=5 dst_off=5000 dst_stride=20 chunk_stride=4 pos=13 @wait=vx
        st mode=kv_v rows=20 len=4 src_off=50 src_stride=5 dst_off=5200 dst_stride=20 chunk_stride=4 pos=r11
        st mode=scalar rows=20 src_off=9 src_stride=1 dst_off=5400 dst_stride=1 pos=13
        halt");
}

#[test]
fn gathered_rows() {
    same(
        "
        ld mode=scalars rows=2 len=1 dst_off=30 dst_stride=16 src_off=4200 src_stride=3
        ld mode=gather rows=7 len=5 dst_stride=6 src_off=600 src_stride=9 sidx_off=40
        st mode=rows rows=7 len=5 src_stride=6 dst_off=5000 dst_stride=5
        fence
        halt",
    );
}

#[test]
fn commands_that_do_nothing() {
    same(
        "
        ld mode=rows rows=0 len=5 dst_off=200000 src_off=600
        ld mode=rows rows=5 len=0 dst_off=200000 src_off=600
        ld mode=weight rows=0 len=0
        st mode=rows rows=0 len=5 dst_off=200000
        st mode=kv_k rows=3 len=0 dst_off=200000
        mm rows=0 tiles=2 kb=3
        mm rows=2 tiles=0 kb=3
        vx rows=0 len=3 a_off=200000
        vx rows=3 len=0 a_off=200000
        nop
        halt",
    );
}

#[test]
fn faults_are_the_same() {
    let cases: &[(&str, FaultCode, Unit, u32)] = &[
        ("nop\nld mode=rows rows=2 len=5 dst_off=8188 src_off=600\nhalt", FaultCode::Spad, Unit::Ld, 1),
        ("ld mode=scalars rows=1 len=2 dst_off=4065 src_off=600\nhalt", FaultCode::Smem, Unit::Ld, 0),
        ("ld mode=gather rows=2 len=1 src_off=600 sidx_off=4095\nhalt", FaultCode::Smem, Unit::Ld, 0),
        ("ld mode=rows rows=1 len=2 src_off=8191\nhalt", FaultCode::Dram, Unit::Ld, 0),
        ("ld mode=rows rows=3 len=2 src_off=600 src_stride=4294967295\nhalt", FaultCode::Dram, Unit::Ld, 0),
        ("ld mode=scalars rows=1 len=1 src_off=600\nld mode=gather rows=1 len=1 src_off=600 src_stride=64\nhalt", FaultCode::Dram, Unit::Ld, 1),
        ("ld mode=weight rows=1 len=513 src_off=600\nhalt", FaultCode::Wfifo, Unit::Ld, 0),
        ("ld mode=weight rows=1 len=0 src_off=600\nhalt", FaultCode::Wfifo, Unit::Ld, 0),
        ("ld mode=weight rows=1 len=128 kbg=1 wscale=1 bias=1 src_off=600\nhalt", FaultCode::Wfifo, Unit::Ld, 0),
        ("st mode=rows rows=2 len=1 src_off=8191 src_stride=1 dst_off=600\nhalt", FaultCode::Spad, Unit::St, 0),
        ("st mode=kv_v rows=2 len=1 src_off=16383 src_stride=1 dst_off=600\nhalt", FaultCode::Abuf, Unit::St, 0),
        ("st mode=scalar rows=2 src_off=4095 src_stride=1 dst_off=600\nhalt", FaultCode::Smem, Unit::St, 0),
        ("st mode=kv_k rows=1 len=2 dst_off=8181 chunk_stride=8\nhalt", FaultCode::Dram, Unit::St, 0),
        ("mm rows=1 tiles=1 kb=1 act_off=16384\nhalt", FaultCode::Abuf, Unit::Mm, 0),
        ("vx rows=1 len=1 a_off=8192\nhalt", FaultCode::Spad, Unit::Vx, 0),
        ("vx rows=1 len=17 d_kind=s\nhalt", FaultCode::Operand, Unit::Vx, 0),
        ("alu func=add rd=r20 rs=r0 use_imm=1 imm=65536\nld mode=rows rows=r20 len=1\nhalt", FaultCode::Operand, Unit::Sys, 1),
        ("loop count=2 len=2\nhalt", FaultCode::Loop, Unit::Sys, 0),
        ("loop count=2 len=2\nloop count=2 len=1\nnop\nhalt", FaultCode::Loop, Unit::Sys, 1),
        ("loop count=2 len=6\nloop count=2 len=4\nloop count=2 len=3\nloop count=2 len=2\nloop count=0 len=1\nnop\nnop\nhalt\nhalt", FaultCode::Loop, Unit::Sys, 2),
        ("nop\nnop", FaultCode::Pc, Unit::Sys, 2),
        ("ld mode=rows rows=1 len=1 src_off=600 @wait=vx\nnop\nhalt", FaultCode::Deadlock, Unit::Ld, 0),
        ("mm rows=1 tiles=1 kb=1\nhalt", FaultCode::Deadlock, Unit::Mm, 0),
        ("loop count=64 len=1\nvx rows=0 len=0 @release=st\nhalt", FaultCode::Token, Unit::Vx, 1),
    ];
    let (mut machine, mut iss) = (rtl(None), Iss::new(HwConfig::sim()));
    for (text, code, unit, pc) in cases {
        let expected = Some(Fault { code: *code, unit: *unit, pc: *pc });
        assert_eq!(run(&mut machine, text).fault, expected, "rtl: {text}");
        assert_eq!(run(&mut iss, text).fault, expected, "iss: {text}");
    }
    // The same machine still works.
    assert_eq!(run(&mut machine, COPY).fault, None);
}

#[test]
fn illegal_words_fault() {
    let mut machine = rtl(None);
    let mut launch = load(&mut machine, "nop\nnop\nhalt");
    for (byte, value) in [(0, 0x77), (1, 0x10), (2, 1), (31, 0x80)] {
        load(&mut machine, "nop\nnop\nhalt");
        machine.dram()[32 + byte] = value;
        let fault = machine.launch(&launch).expect("launch").fault.expect("a fault");
        assert_eq!((fault.code, fault.unit, fault.pc), (FaultCode::Illegal, Unit::Sys, 1));
    }
    launch.code_len = 1025;
    let fault = machine.launch(&launch).expect("launch").fault.expect("a fault");
    assert_eq!((fault.code, fault.unit), (FaultCode::Pc, Unit::Sys));
    launch.code_len = 3;
    launch.code_base_units = DRAM_UNITS - 1;
    let fault = machine.launch(&launch).expect("launch").fault.expect("a fault");
    assert_eq!((fault.code, fault.unit), (FaultCode::Dram, Unit::Sys));
}

#[test]
fn memory_errors_become_faults_and_drain() {
    for timing in [None, Some(random(3))] {
        let mut machine = rtl(timing);
        machine.set_error_ranges(vec![700 * 64..701 * 64, 5003 * 64..5004 * 64]);
        let long = "ld mode=rows rows=1 len=400 src_off=600\nst mode=rows rows=1 len=10 dst_off=6000\nhalt";
        let fault = run(&mut machine, long).fault.expect("a fault");
        assert_eq!((fault.code, fault.unit, fault.pc), (FaultCode::Axi, Unit::Ld, 0));
        let fault = run(&mut machine, "st mode=kv_v rows=40 len=16 dst_off=5001 dst_stride=1\nhalt");
        let fault = fault.fault.expect("a fault");
        assert_eq!((fault.code, fault.unit, fault.pc), (FaultCode::Axi, Unit::St, 0));
        machine.set_error_ranges(vec![0..64]);
        let fault = run(&mut machine, COPY).fault.expect("a fault");
        assert_eq!((fault.code, fault.unit, fault.pc), (FaultCode::Axi, Unit::Sys, 0));
        machine.set_error_ranges(Vec::new());
        assert_eq!(run(&mut machine, COPY).fault, None);
    }
}

#[test]
fn a_fault_while_stores_and_loads_are_in_flight() {
    for seed in 0..6 {
        let mut machine = rtl(Some(random(seed)));
        let text = "
            st mode=rows rows=1 len=200 dst_off=5000
            ld mode=rows rows=1 len=300 dst_off=300 src_off=600
            vx rows=1 len=100 a_off=8191
            st mode=rows rows=1 len=200 dst_off=6000
            halt";
        let fault = run(&mut machine, text).fault.expect("a fault");
        assert_eq!((fault.code, fault.unit, fault.pc), (FaultCode::Spad, Unit::Vx, 2));
        assert_eq!(run(&mut machine, COPY).fault, None);
    }
}

#[test]
fn a_broken_assertion_is_an_error() {
    let mut machine = rtl(None);
    let launch = load(&mut machine, COPY);
    machine.inject_stray_beat(20);
    let error = machine.launch(&launch).expect_err("the memory broke the protocol");
    assert!(error.0.contains("assertion failed at fvlm_top_sva.sv"), "{error}");
}

#[test]
fn interrupted_and_limited_launches_leave_a_working_machine() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let mut machine = rtl(None);
    let flag = std::sync::Arc::new(AtomicBool::new(true));
    machine.interrupt(flag.clone());
    let text = "alu func=sub rd=r20 rs=r0 use_imm=1 imm=1\nloop count=r20 len=1\nnop\nhalt";
    assert!(run(&mut machine, text).interrupted);
    flag.store(false, Ordering::Relaxed);
    let launch = load(&mut machine, text);
    assert!(machine.launch(&launch).expect_err("too long").0.contains("300000 cycles"));
    assert_eq!(run(&mut machine, COPY).fault, None);
}

/// The formulas of `hw/doc/timing.md` for the parts this crate owns: launch, dispatch, LD, ST.
#[test]
fn documented_cycle_counts() {
    let (l, lw) = (40, 20);
    let mut machine = rtl(None);
    let mut cycles = |text: &str, unit: usize| {
        let report = run(&mut machine, text);
        assert_eq!(report.fault, None);
        (report.counters.cycles, report.retired[unit].first().map_or(0, |r| r.cycle))
    };
    // One code beat: the first instruction executes at 5 + L + 1, HALT ends two cycles later.
    let first = 5 + l + 1;
    assert_eq!(cycles("halt", 0), (first + 2, 0));
    assert_eq!(cycles("nop\nhalt", 0), (first + 4, 0));
    // Four instructions in two beats; the loop runs its body three times.
    assert_eq!(cycles("loop count=3 len=2\nnop\nnop\nhalt", 0), (first + 1 + 2 * 7 + 2, 0));
    let start = first + 2;
    for n in [1, 16, 100] {
        let done = start + 5 + l + n;
        let text = format!("ld mode=rows rows=1 len={n} src_off=600\nhalt");
        assert_eq!(cycles(&text, 0), (done + 3, done));
        let done = start + 6 + n + lw;
        let text = format!("st mode=rows rows=1 len={n} dst_off=5000\nhalt");
        assert_eq!(cycles(&text, 1), (done + 3, done));
    }
    let done = start + 5 + l + 16 * 3;
    assert_eq!(cycles("ld mode=scalars rows=1 len=3 src_off=600\nhalt", 0), (done + 3, done));
    // A token handed over: the store starts two cycles after the load is done.
    let load = start + 5 + l + 10;
    let text = "ld mode=rows rows=1 len=10 src_off=600 @release=st\nst mode=rows rows=1 len=4 dst_off=5000 @wait=ld\nhalt\nnop";
    assert_eq!(cycles(text, 1).1, load + 1 + 2 + 6 + 4 + lw);
}
