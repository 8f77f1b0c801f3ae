//! Dispatcher, launches and the machine's own interface.

use crate::moves::COPY;
use crate::rig::{configs, load, machine, run, same, UNITS};
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::Machine;
use flightvlm_rtlsim::{MemoryTiming, RtlConfig, RtlMachine};

#[test]
fn loops_scalars_and_address_generators() {
    let text = "
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
        alu func=mul rd=r19 rs=r23 rt=r29
        ld mode=rows rows=1 len=1 dst_off=8000 src_agu=a3 src_off=600
        halt";
    for hw in configs() {
        let (_, state) = same(&hw, text);
        let r = &state.chip.r;
        // R1 = 4, R2 = 5: five rounds of four; 5 * 5 each time.
        assert_eq!((r[20], r[21], r[22], r[23]), (5, 25, 500, 500u32.wrapping_neg()));
        assert_eq!((r[24], r[25], r[26], r[27]), (1, 1, r[23] << 5, r[23] >> 3));
        assert_eq!((r[28], r[29], r[0], r[19]), (500, r[23], 0, r[23].wrapping_mul(r[23])));
        for i in 0..5 {
            for j in 0..4 {
                let (from, to) = (64 * (600 + 16 * i + 4 * j), 64 * (5000 + 40 * i + 8 * j));
                assert!(state.main[from..from + 256] == state.main[to..to + 256], "{} {i} {j}", hw.name);
            }
        }
        let word: Vec<u8> =
            state.chip.spad[8000 * 16..8001 * 16].iter().flat_map(|w| w.to_le_bytes()).collect();
        assert!(word == state.main[64 * 625..64 * 626]);
    }
}

#[test]
fn seta_as_last_instruction_of_a_body() {
    let text = "
        seta agu=a1 what=stride0 imm=1
        loop count=5 len=2
        ld mode=rows rows=1 len=1 dst_agu=a1 src_agu=a1 src_off=600
        seta agu=a1 what=stride0 imm=7
        loop count=3 len=2
        ld mode=rows rows=1 len=1 dst_agu=a1 dst_off=100 src_agu=a1 src_off=600
        seta agu=a1 what=advance imm=3
        halt";
    let (_, state) = same(&HwConfig::sim(), text);
    let unit = |u: usize| -> Vec<u32> {
        state.main[64 * u..64 * u + 64]
            .chunks(4)
            .map(|b| u32::from_le_bytes(b.try_into().expect("4")))
            .collect()
    };
    // The new stride counts from the step that follows it: offsets 0, 7, 14 …
    for i in 0..5 {
        assert_eq!(state.chip.spad[16 * 7 * i..][..16], unit(600 + 7 * i));
    }
    // Base 3 a round, and the stride of 7.
    for i in 0..3 {
        assert_eq!(state.chip.spad[16 * (100 + 10 * i)..][..16], unit(600 + 10 * i));
    }
}

/// Code of 16- and 32-byte instructions in every alignment of the long ones.
#[test]
fn instructions_of_both_lengths() {
    for hw in configs() {
        let mut m = machine(&hw, MemoryTiming::Config);
        for shift in 0..4 {
            let mut text = "nop\n".repeat(shift);
            for i in 0..9 {
                text += &format!("ld mode=rows rows=1 len=1 dst_off={i} src_off={}\n", 600 + i);
                text += &"alu func=add rd=r20 rs=r20 use_imm=1 imm=1\n".repeat(i % 4);
            }
            text += "halt";
            let report = run(&mut m, &text);
            assert_eq!(report.fault, None);
            assert_eq!(report.counters.dispatched as usize, text.lines().count());
            let chip = m.on_chip().expect("backdoor");
            assert_eq!(chip.r[20], 12);
            let main = m.bank(flightvlm_hw::machine::Bank::Main).expect("main").clone();
            let bytes: Vec<u8> = chip.spad[..9 * 16].iter().flat_map(|w| w.to_le_bytes()).collect();
            assert!(bytes == main[64 * 600..64 * 609], "{} shift {shift}", hw.name);
        }
    }
}

#[test]
fn commands_that_do_nothing() {
    let text = "
        ld mode=rows rows=0 len=5 dst_off=200000 src_off=600
        ld mode=rows rows=5 len=0 dst_off=200000 src_off=600
        ld mode=weight rows=0 len=0
        st mode=rows rows=0 len=5 dst_off=200000
        st mode=kv_k rows=3 len=0 heads=1 dst_off=200000
        st mode=kv_v rows=3 len=2 heads=0 dst_off=200000
        st mode=scalar rows=3 heads=0 dst_off=200000
        mm rows=0 tiles=2 kb=3
        mm rows=2 tiles=0 kb=3
        vx rows=0 len=3 a_off=200000
        vx rows=3 len=0 a_off=200000
        nop
        halt";
    for hw in configs() {
        let (report, _) = same(&hw, text);
        let c = report.counters;
        assert_eq!(c.retired, [3, 4, 2, 2]);
        assert_eq!((c.write_beats, c.channel_read_beats, c.channel_write_beats, c.mac_beats), (0, 0, 0, 0));
    }
}

#[test]
fn interrupted_and_limited_launches_leave_a_working_machine() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let mut machine = machine(&HwConfig::sim(), MemoryTiming::Config);
    let flag = std::sync::Arc::new(AtomicBool::new(true));
    machine.interrupt(flag.clone());
    let text = "alu func=sub rd=r20 rs=r0 use_imm=1 imm=1\nloop count=r20 len=1\nnop\nhalt";
    assert!(run(&mut machine, text).interrupted);
    flag.store(false, Ordering::Relaxed);
    let launch = load(&mut machine, text);
    assert!(machine.launch(&launch).expect_err("too long").0.contains("300000 cycles"));
    assert_eq!(run(&mut machine, COPY).fault, None);
}

#[test]
fn configurations_without_a_model_are_refused() {
    let mut other = HwConfig::sim();
    other.name = "u55c".into();
    let error = RtlMachine::new(RtlConfig::new(other)).err().expect("no such model");
    assert!(error.0.contains("configuration `u55c`"), "{error}");
    // The name alone does not make a model fit.
    let mut changed = HwConfig::sim();
    changed.spad_words *= 2;
    let error = RtlMachine::new(RtlConfig::new(changed)).err().expect("another configuration");
    assert!(error.0.contains("run flightvlm-codegen"), "{error}");
    if !cfg!(feature = "u280") {
        let error = RtlMachine::new(RtlConfig::new(HwConfig::u280())).err().expect("not built");
        assert!(error.0.contains("feature `u280`"), "{error}");
    }
}

#[test]
fn memory_accesses_outside_are_errors() {
    let mut m = machine(&HwConfig::mini(), MemoryTiming::Config);
    m.resize(UNITS, UNITS).expect("resize");
    use flightvlm_hw::machine::Bank;
    let end = u64::from(UNITS) * 64;
    assert!(m.write(Bank::Channel(3), end - 4, &[0; 4]).is_ok());
    assert!(m.write(Bank::Channel(3), end - 3, &[0; 4]).expect_err("outside").0.contains("channel 3"));
    assert!(m
        .read(Bank::Channel(4), 0, &mut [0])
        .expect_err("no such channel")
        .0
        .contains("channels 0 to 3"));
    assert!(m.read(Bank::Main, end, &mut [0]).is_err());
}
