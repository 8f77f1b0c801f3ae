//! Faults: which, where, and that the machine works afterwards.

use crate::moves::COPY;
use crate::rig::{configs, erratic, load, machine, run, UNITS};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::{assemble, store_code, Insn, Unit, Word};
use flightvlm_hw::machine::{Bank, Fault, FaultCode, Launch, Machine};
use flightvlm_rtlsim::MemoryTiming;

#[test]
fn faults_name_code_unit_and_instruction() {
    for hw in configs() {
        let (spad, abuf, s, last) = (hw.spad_words, hw.abuf_words, hw.s_words, UNITS - 1);
        let ns = hw.slices;
        let cases: Vec<(String, FaultCode, Unit, u32)> = vec![
            (format!("nop\nld mode=rows rows=2 len=5 dst_off={} src_off=600\nhalt", spad - 4), FaultCode::Spad, Unit::Ld, 1),
            (format!("ld mode=scalars rows=1 len=2 dst_off={} src_off=600\nhalt", s - 31), FaultCode::Smem, Unit::Ld, 0),
            (format!("ld mode=gather rows=2 len=1 src_off=600 sidx_off={}\nhalt", s - 1), FaultCode::Smem, Unit::Ld, 0),
            (format!("ld mode=rows rows=1 len=2 src_off={last}\nhalt"), FaultCode::Dram, Unit::Ld, 0),
            ("ld mode=rows rows=3 len=2 src_off=600 src_stride=4294967295\nhalt".into(), FaultCode::Dram, Unit::Ld, 0),
            ("ld mode=scalars rows=1 len=1 src_off=600\nld mode=gather rows=1 len=1 src_off=600 src_stride=64\nhalt".into(), FaultCode::Dram, Unit::Ld, 1),
            ("ld mode=weight rows=1 len=513 src_off=600\nhalt".into(), FaultCode::Wfifo, Unit::Ld, 0),
            ("ld mode=weight rows=1 len=0 src_off=600\nhalt".into(), FaultCode::Wfifo, Unit::Ld, 0),
            ("ld mode=weight rows=1 len=128 kbg=1 wscale=1 bias=1 src_off=600\nhalt".into(), FaultCode::Wfifo, Unit::Ld, 0),
            ("ld mode=weight rows=1 len=128 kbg=1 wscale=1 bias=1 fmt=mixed src_stride=9 src_off=600\nhalt".into(), FaultCode::Wfifo, Unit::Ld, 0),
            // One unit past the channel: in the last round of slices.
            (format!("ld mode=weight rows={} len=2 src_off={} src_stride=8\nhalt", ns + 1, last - 14), FaultCode::Dram, Unit::Ld, 0),
            (format!("ld mode=weight rows=1 first={} len=2 fmt=w4k nm=s4of16 src_off={} src_stride=8\nhalt", 3 * ns, last - 30), FaultCode::Dram, Unit::Ld, 0),
            (format!("ld mode=weight rows=1 len=2 fmt=mixed wscale=1 src_off={last} src_stride=2\nhalt"), FaultCode::Dram, Unit::Ld, 0),
            (format!("st mode=rows rows=2 len=1 src_off={} src_stride=1 dst_off=600\nhalt", spad - 1), FaultCode::Spad, Unit::St, 0),
            (format!("st mode=kv_v rows=2 len=1 heads=1 src_off={} src_stride=1 dst_off=600\nhalt", abuf - 1), FaultCode::Abuf, Unit::St, 0),
            (format!("st mode=kv_k rows=1 len=1 heads=2 head_stride=1 src_off={} dst_off=600\nhalt", abuf - 1), FaultCode::Abuf, Unit::St, 0),
            (format!("st mode=scalar rows=2 heads=1 src_off={} src_stride=1 dst_off=600\nhalt", s - 1), FaultCode::Smem, Unit::St, 0),
            (format!("st mode=kv_scale rows=2 heads=1 src_off={} src_stride=1 dst_off=600\nhalt", s - 1), FaultCode::Smem, Unit::St, 0),
            (format!("st mode=kv_k rows=1 len=2 heads=1 dst_off={} chunk_stride=8\nhalt", last - 10), FaultCode::Dram, Unit::St, 0),
            (format!("st mode=kv_k4 rows=1 len=2 heads=1 dst_off={} chunk_stride=8\nhalt", last - 8), FaultCode::Dram, Unit::St, 0),
            (format!("st mode=kv_k rows=1 len=1 heads=3 head_step={ns} dst_stride=5 dst_off={}\nhalt", last - 12), FaultCode::Dram, Unit::St, 0),
            (format!("st mode=kv_v rows=2 pos=15 len=1 heads=1 dst_stride=5 dst_off={}\nhalt", last - 7), FaultCode::Dram, Unit::St, 0),
            (format!("st mode=kv_v4 rows=1 len={} heads=1 chunk_stride=5 dst_off={}\nhalt", ns + 1, last - 5), FaultCode::Dram, Unit::St, 0),
            (format!("st mode=scalar rows=1 heads=4 head_step=2 dst_off={}\nhalt", last - 5), FaultCode::Dram, Unit::St, 0),
            (format!("mm rows=1 tiles=1 kb=1 act_off={abuf}\nhalt"), FaultCode::Abuf, Unit::Mm, 0),
            (format!("vx rows=1 len=1 a_off={spad}\nhalt"), FaultCode::Spad, Unit::Vx, 0),
            ("vx rows=1 len=17 d_kind=s\nhalt".into(), FaultCode::Operand, Unit::Vx, 0),
            ("alu func=add rd=r20 rs=r0 use_imm=1 imm=65536\nld mode=rows rows=r20 len=1\nhalt".into(), FaultCode::Operand, Unit::Sys, 1),
            ("alu func=add rd=r20 rs=r0 use_imm=1 imm=65536\nld mode=rows rows=1 len=1 first=r20\nhalt".into(), FaultCode::Operand, Unit::Sys, 1),
            ("alu func=add rd=r20 rs=r0 use_imm=1 imm=65536\nst mode=rows rows=1 len=1 heads=r20\nhalt".into(), FaultCode::Operand, Unit::Sys, 1),
            ("alu func=add rd=r20 rs=r0 use_imm=1 imm=65536\nmm rows=1 tiles=1 sa_stride=r20\nhalt".into(), FaultCode::Operand, Unit::Sys, 1),
            ("loop count=2 len=2\nhalt".into(), FaultCode::Loop, Unit::Sys, 0),
            ("loop count=2 len=2\nloop count=2 len=1\nnop\nhalt".into(), FaultCode::Loop, Unit::Sys, 1),
            ("loop count=2 len=6\nloop count=2 len=4\nloop count=2 len=3\nloop count=2 len=2\nloop count=0 len=1\nnop\nnop\nhalt\nhalt".into(), FaultCode::Loop, Unit::Sys, 2),
            ("nop\nnop".into(), FaultCode::Pc, Unit::Sys, 2),
            ("ld mode=rows rows=1 len=1 src_off=600 @wait=vx\nnop\nhalt".into(), FaultCode::Deadlock, Unit::Ld, 0),
            ("mm rows=1 tiles=1 kb=1\nhalt".into(), FaultCode::Deadlock, Unit::Mm, 0),
            // Weights that nobody takes: the stream never comes to rest, HALT waits.
            ("ld mode=weight rows=200 len=64 src_off=0 src_stride=1\nhalt".into(), FaultCode::Deadlock, Unit::Sys, 1),
            ("loop count=64 len=1\nvx rows=0 len=0 @release=st\nhalt".into(), FaultCode::Token, Unit::Vx, 1),
        ];
        let mut m = machine(&hw, MemoryTiming::Config);
        for (text, code, unit, pc) in cases {
            let expected = Some(Fault { code, unit, pc });
            assert_eq!(run(&mut m, &text).fault, expected, "{}: {text}", hw.name);
        }
        // The last unit that fits is no fault, and the same machine still works.
        for text in [
            format!("ld mode=weight rows=1 len=2 fmt=w4k nm=s4of16 src_off={}\nhalt", last - 7),
            format!("st mode=kv_k rows=1 len=2 heads=1 dst_off={} chunk_stride=8\nhalt", last - 11),
            format!("st mode=kv_v4 rows=1 len={} heads=1 chunk_stride=5 dst_off={}\nhalt", ns + 1, last - 6),
            COPY.to_string(),
        ] {
            assert_eq!(run(&mut m, &text).fault, None, "{}: {text}", hw.name);
        }
    }
}

#[test]
fn illegal_words_and_bad_launches_fault() {
    let mut machine = machine(&HwConfig::sim(), MemoryTiming::Config);
    let mut launch = load(&mut machine, "nop\nnop\nhalt");
    let fault = |machine: &mut flightvlm_rtlsim::RtlMachine, launch: &Launch| {
        let fault = machine.launch(launch).expect("launch").fault.expect("a fault");
        (fault.code, fault.unit, fault.pc)
    };
    // The second instruction lies at byte 16.
    for (byte, value) in [(0, 0x0f), (1, 0x10), (2, 1), (15, 0x80)] {
        load(&mut machine, "nop\nnop\nhalt");
        machine.bank(Bank::Main).expect("main")[16 + byte] = value;
        assert_eq!(fault(&mut machine, &launch), (FaultCode::Illegal, Unit::Sys, 1));
    }
    load(&mut machine, "nop\nnop\nhalt");
    launch.code_len = 1025;
    assert_eq!(fault(&mut machine, &launch), (FaultCode::Pc, Unit::Sys, 0));
    // Five quarters in one unit.
    launch.code_len = 5;
    assert_eq!(fault(&mut machine, &launch), (FaultCode::Pc, Unit::Sys, 0));
    launch.code_len = 3;
    launch.code_units = 0;
    assert_eq!(fault(&mut machine, &launch), (FaultCode::Pc, Unit::Sys, 0));
    launch.code_units = 2;
    launch.code_base_units = UNITS - 1;
    launch.entry = 2;
    assert_eq!(fault(&mut machine, &launch), (FaultCode::Dram, Unit::Sys, 2));
    launch.code_base_units = 0;
    launch.code_units = 40;
    assert_eq!(machine.launch(&launch).expect("launch").fault, None);
    // A long instruction whose second half lies past the last unit.
    let mut launch = load(&mut machine, "nop\nnop\nnop\nld mode=rows rows=0 len=0\nhalt");
    assert_eq!((launch.code_units, machine.launch(&launch).expect("launch").fault), (2, None));
    launch.code_units = 1;
    assert_eq!(fault(&mut machine, &launch), (FaultCode::Pc, Unit::Sys, 0));
}

/// All opcodes, and legal instructions with one bit turned over: the RTL refuses what the decoder refuses.
#[test]
fn the_dispatcher_refuses_what_the_decoder_refuses() {
    let mut machine = machine(&HwConfig::sim(), MemoryTiming::Config);
    let launch = Launch { watchdog_cycles: 200, ..load(&mut machine, "ld mode=rows rows=0 len=0\nhalt") };
    let halt = assemble("halt").expect("assembles")[0].encode();
    let mut illegal = 0;
    let mut check = |word: Word| {
        let code = store_code(&[word, halt]);
        machine.write(Bank::Main, 0, &code).expect("code");
        let fault = machine.launch(&launch).expect("launch").fault;
        let refused = fault.is_some_and(|f| f.code == FaultCode::Illegal && f.pc == 0);
        let decoded = Insn::decode(&word);
        assert_eq!(refused, decoded.is_err(), "{word:x?}: {decoded:?}, {fault:?}");
        illegal += u32::from(refused);
    };
    for opcode in 0..=255 {
        let mut word = Word::default();
        word.set(0, 8, opcode);
        check(word);
    }
    for text in [
        "nop",
        "halt",
        "fence",
        "loop count=1 len=1",
        "alu func=add rd=r20",
        "seta agu=a1",
        "ld mode=rows rows=0 len=0",
        "ld mode=weight rows=0 len=0 fmt=mixed wscale=1",
        "st mode=rows rows=0 len=0",
        "mm rows=0 tiles=0 kb=0",
        "vx rows=0 len=0 a_kind=spad d_kind=spad",
        "vx rows=0 len=0 a_kind=spad op1=add b_kind=spad op2=mul c_kind=s red=sum",
    ] {
        let legal = assemble(text).expect("assembles")[0].encode();
        // A short one has no more bits in memory.
        for bit in 8..if legal.is_long() { 256 } else { 128 } {
            let mut word = legal;
            word.set(bit, 1, 1 - word.get(bit, 1));
            check(word);
        }
    }
    assert!(illegal > 700, "{illegal}");
}

#[test]
fn memory_errors_become_faults_and_drain() {
    for hw in configs() {
        for timing in [MemoryTiming::Config, erratic(3)] {
            let mut machine = machine(&hw, timing);
            let range = |unit: u64| unit * 64..(unit + 1) * 64;
            let check = |machine: &mut flightvlm_rtlsim::RtlMachine, text: &str, unit, pc| {
                let fault = run(machine, text).fault.expect("a fault");
                assert_eq!(
                    (fault.code, fault.unit, fault.pc),
                    (FaultCode::Axi, unit, pc),
                    "{}: {text}",
                    hw.name
                );
            };
            let last = hw.slices - 1;
            let errors =
                [(Bank::Main, range(700)), (Bank::Main, range(5003)), (Bank::Channel(last), range(900))];
            machine.set_error_ranges(&errors).expect("banks");
            let long =
                "ld mode=rows rows=1 len=400 src_off=600\nst mode=rows rows=1 len=10 dst_off=6000\nhalt";
            check(&mut machine, long, Unit::Ld, 0);
            check(&mut machine, "st mode=rows rows=40 len=16 dst_off=4000 dst_stride=40\nhalt", Unit::St, 0);
            check(
                &mut machine,
                "nop\nst mode=scalar rows=40 heads=1 dst_off=5002 dst_stride=1\nhalt",
                Unit::St,
                1,
            );
            // A posted load has retired long before its stream meets the error.
            let weights = format!("ld mode=weight rows={} len=16 src_off=600 src_stride=64\n", hw.slices);
            let text = format!(
                "nop\n{weights}ld mode=weight rows={} len=5 src_off=890 src_stride=20\nhalt",
                hw.slices
            );
            check(&mut machine, &text, Unit::Ld, 2);
            let text = format!(
                "st mode=kv_v rows=20 len={} heads=1 dst_off=896 dst_stride=4 first={last}\nhalt",
                hw.slices
            );
            check(&mut machine, &text, Unit::St, 0);
            machine.set_error_ranges(&[(Bank::Main, 0..64)]).expect("banks");
            check(&mut machine, COPY, Unit::Sys, 0);
            machine.set_error_ranges(&[]).expect("banks");
            assert_eq!(run(&mut machine, COPY).fault, None);
        }
    }
}

#[test]
fn a_fault_while_stores_and_loads_are_in_flight() {
    for hw in configs() {
        for seed in 0..6 {
            let mut machine = machine(&hw, erratic(seed));
            let text = format!(
                "st mode=rows rows=1 len=200 dst_off=5000
                ld mode=weight rows=40 len=20 src_off=600 src_stride=80
                ld mode=rows rows=1 len=300 dst_off=300 src_off=600
                st mode=kv_k rows=40 len=9 heads=2 dst_off=5000 dst_stride=36 chunk_stride=4
                loop count={} len=1
                nop
                vx rows=1 len=100 a_off={}
                st mode=rows rows=1 len=200 dst_off=6000
                halt",
                1 + 40 * seed,
                hw.spad_words - 1
            );
            let fault = run(&mut machine, &text).fault.expect("a fault");
            assert_eq!((fault.code, fault.unit, fault.pc), (FaultCode::Spad, Unit::Vx, 6));
            assert_eq!(run(&mut machine, COPY).fault, None);
        }
    }
}

#[test]
fn a_broken_assertion_is_an_error() {
    for hw in configs() {
        let mut machine = machine(&hw, MemoryTiming::Config);
        let launch = load(&mut machine, COPY);
        machine.inject_stray_beat(20);
        let error = machine.launch(&launch).expect_err("the memory broke the protocol");
        assert!(error.0.contains("assertion failed at axi_sva.sv"), "{error}");
    }
}
