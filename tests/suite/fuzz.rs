//! Random programs on the simulator, the RTL and the HLS kernel: memory, registers, faults, retired
//! commands.
//!
//! `FLIGHTVLM_FUZZ_PROGRAMS` and `FLIGHTVLM_FUZZ_SEED` set another number of programs and another
//! first seed (`scripts/fuzz` is the long run).

use flightvlm_hls::HlsMachine;
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::machine::FaultCode;
use flightvlm_iss::Iss;
use flightvlm_rtlsim::{MemoryTiming, RtlConfig, RtlMachine};
use flightvlm_tests::compare::{difference, listing, run};
use flightvlm_tests::progen::case;
use std::collections::BTreeMap;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

#[test]
fn random_programs_give_equal_bits() {
    let count = setting("FLIGHTVLM_FUZZ_PROGRAMS", 2000);
    let first = setting("FLIGHTVLM_FUZZ_SEED", 1);
    // The second has several slices, vector words and a memory with banks; it takes longer.
    for (config, count) in [(HwConfig::sim(), count), (HwConfig::mini(), count.div_ceil(4))] {
        compare_programs(&config, first, count);
    }
}

/// The configuration that takes too long to verilate in every run, on the other executors.
#[test]
fn random_programs_of_the_card_give_equal_bits_on_iss_and_hls() {
    let config = HwConfig::u280();
    let count = setting("FLIGHTVLM_FUZZ_PROGRAMS", 2000).div_ceil(40);
    let first = setting("FLIGHTVLM_FUZZ_SEED", 1);
    let (mut iss, mut hls) = (Iss::new(config.clone()), HlsMachine::new(config.clone()).expect("it starts"));
    for seed in first..first + count {
        let case = case(seed, &config);
        let (a, b) = (run(&mut iss, &case), run(&mut hls, &case));
        if let Some(d) = difference(&case, &a, &b) {
            panic!("u280, seed {seed}: iss against hls: {d}\n{}", listing(&case));
        }
        assert_eq!(a.report.fault.is_some(), case.fault.is_some(), "seed {seed}: {:?}", case.fault);
    }
    println!("u280: programs {count} on iss and hls, seeds {first}..{}", first + count);
}

/// The same with its RTL, which takes ten minutes of compiling: `--features u280`.
#[cfg(feature = "u280")]
#[test]
fn random_programs_of_the_card_give_equal_bits_on_its_rtl() {
    let (count, first) = (setting("FLIGHTVLM_FUZZ_PROGRAMS", 2000), setting("FLIGHTVLM_FUZZ_SEED", 1));
    compare_programs(&HwConfig::u280(), first, count.div_ceil(40));
}

fn compare_programs(config: &HwConfig, first: u64, count: u64) {
    let name = &config.name;
    let new_rtl = |seed: u64| {
        let mut c = RtlConfig::new(config.clone());
        c.cycle_limit = 2_000_000;
        if seed % 2 == 1 {
            c.memory = MemoryTiming::Random { seed, latency_cycles_max: 60 };
        }
        RtlMachine::new(c).expect("the RTL starts")
    };
    // A few machines: the programs of one follow each other, on fast and on erratic memory.
    let mut rtls: Vec<RtlMachine> = (0..4).map(new_rtl).collect();
    let mut isses: Vec<Iss> = (0..4).map(|_| Iss::new(config.clone())).collect();
    let mut hlses: Vec<HlsMachine> =
        (0..4).map(|_| HlsMachine::new(config.clone()).expect("the kernel starts")).collect();
    let mut faults: BTreeMap<String, u32> = BTreeMap::new();
    for seed in first..first + count {
        let case = case(seed, config);
        let lane = (seed % 4) as usize;
        let a = run(&mut isses[lane], &case);
        let others = [("rtl", run(&mut rtls[lane], &case)), ("hls", run(&mut hlses[lane], &case))];
        for (other, b) in &others {
            if let Some(d) = difference(&case, &a, b) {
                let made = format!("{name}, seed {seed} (made to fail: {:?})", case.fault);
                panic!("{made}: iss against {other}: {d}\n{}", listing(&case));
            }
        }
        let code = a.report.fault.map(|f| f.code);
        assert_eq!(
            code.is_some(),
            case.fault.is_some(),
            "{name}, seed {seed}: {:?} gave {code:?}\n{}",
            case.fault,
            listing(&case)
        );
        if let Some(code) = code {
            *faults.entry(code.name().into()).or_default() += 1;
        }
    }
    println!(
        "{name}: programs {count} on iss, rtl and hls, seeds {first}..{}, faults {faults:?}",
        first + count
    );
    if count >= 2000 {
        for code in FaultCode::ALL.iter().filter(|c| **c != FaultCode::Axi) {
            assert!(faults.contains_key(code.name()), "{name}: no program raised {}", code.name());
        }
    }
}
