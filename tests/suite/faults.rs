//! What goes wrong on a machine reaches the user as one error that names the unit, the instruction
//! and the part of the model; an interrupt ends a launch without one.

use crate::assets::{demo, hls, iss, rtl};
use flightvlm::device::{Device, DeviceError, Logits, ProgramDevice};
use flightvlm_compiler::program::Program;
use flightvlm_hw::isa::{load_code, store_code, Insn, Op};
use flightvlm_hw::machine::Machine;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// Changes the first instruction that `change` accepts, from the language model's entry on.
fn sabotage(program: &mut Program, change: impl Fn(&mut Insn) -> bool) {
    let first = program.meta.text.entry as usize;
    let mut words = load_code(&program.code, program.meta.code_len as usize);
    let changed = words.iter_mut().skip(first).any(|word| {
        let mut insn = Insn::decode(word).expect("legal code");
        let changed = change(&mut insn);
        *word = insn.encode();
        changed
    });
    assert!(changed, "no instruction to change");
    let code = store_code(&words);
    program.code[..code.len()].copy_from_slice(&code);
}

/// The error of a short prompt on a sabotaged program.
fn fault(change: impl Fn(&mut Insn) -> bool, machine: fn(&Program) -> Box<dyn Machine>) -> String {
    let source = demo();
    let mut program = source.program().expect("compiles").clone();
    sabotage(&mut program, change);
    let machine = machine(&program);
    let mut d =
        ProgramDevice::new("machine", &program, machine, source.info().expect("facts")).expect("loads");
    d.begin().expect("an empty context");
    d.prefill(&[5, 6, 7], &[], Logits::LastToken).expect_err("a fault").to_string()
}

#[test]
fn a_fault_names_the_instruction_and_the_layer() {
    let far_scratchpad = |insn: &mut Insn| match &mut insn.op {
        Op::Mm(mm) if mm.rows != 0 => {
            mm.out_off = 0x3_ffff;
            true
        }
        _ => false,
    };
    let far_dram = |insn: &mut Insn| match &mut insn.op {
        Op::Ld(ld) if ld.mode == 3 && ld.rows != 0 => {
            ld.src_off = 0xfff_ffff;
            true
        }
        _ => false,
    };
    let lost_token = |insn: &mut Insn| match insn.op {
        Op::Mm(_) if insn.release != 0 => {
            insn.release = 0;
            true
        }
        _ => false,
    };
    let no_instruction = |insn: &mut Insn| match &mut insn.op {
        Op::Vx(vx) if vx.rows != 0 => {
            vx.func = 15;
            true
        }
        _ => false,
    };
    let on_all = |change: &dyn Fn(&mut Insn) -> bool| [iss, rtl, hls].map(|machine| fault(change, machine));
    for (what, messages) in [
        ("SPAD", on_all(&far_scratchpad)),
        ("DRAM", on_all(&far_dram)),
        ("DEADLOCK", on_all(&lost_token)),
        ("ILLEGAL", on_all(&no_instruction)),
    ] {
        println!("{}", messages[0]);
        assert_eq!(messages[0], messages[1], "iss and rtl say the same");
        assert_eq!(messages[0], messages[2], "iss and hls say the same");
        assert!(messages[0].contains(what), "{}", messages[0]);
        assert!(messages[0].contains("at instruction") && messages[0].contains("` computes "));
    }
    let layer = fault(far_scratchpad, iss);
    assert!(layer.contains("language_model.model.layers.0.self_attn.q_proj"), "{layer}");
}

/// Built for other tables: refused before anything runs, by the same message but for the machine's name.
#[test]
fn another_isa_hash_is_refused() {
    use flightvlm_hw::config::HwConfig;
    let config = HwConfig { queue_depth: 4, ..HwConfig::sim() };
    let of_rtl = flightvlm_rtlsim::RtlMachine::new(flightvlm_rtlsim::RtlConfig::new(config.clone()));
    let of_hls = flightvlm_hls::HlsMachine::new(config);
    let rtl = of_rtl.err().expect("refused").to_string();
    let hls = of_hls.err().expect("refused").to_string();
    assert!(rtl.contains("was generated for ISA 0x"), "{rtl}");
    assert_eq!(rtl.replace("RTL", "HLS kernel"), hls);
}

#[test]
fn an_interrupt_ends_a_launch() {
    let source = demo();
    let program = source.program().expect("compiles");
    for machine in [rtl(program), hls(program)] {
        let mut d = crate::assets::device(&source, "machine", machine);
        d.interrupt(Arc::new(AtomicBool::new(true)));
        let result = d.prefill(&[5, 6, 7], &[], Logits::LastToken);
        assert!(matches!(result, Err(DeviceError::Interrupted)));
    }
}
