//! Random programs: the simulator alone and through XRT.

use crate::rig::{rig, Rig};
use flightvlm_hw::config::{HwConfig, UNIT_BYTES};
use flightvlm_hw::kernel::Kernel;
use flightvlm_hw::machine::{Bank, Counters, Fault, Launch, Machine};
use flightvlm_iss::Iss;
use flightvlm_rtlsim::{RtlConfig, RtlMachine};
use flightvlm_tests::compare::listing;
use flightvlm_tests::progen::{case, Case};

struct Outcome {
    fault: Option<Fault>,
    counters: Counters,
    main: Vec<u8>,
    channels: Vec<Vec<u8>>,
}

fn launch_of(case: &Case) -> Launch {
    Launch {
        code_base_units: case.code_base_units,
        code_units: case.code_units,
        code_len: case.code.len() as u32,
        entry: 0,
        args: case.args,
        watchdog_cycles: case.watchdog_cycles,
    }
}

fn run(machine: &mut dyn Machine, case: &Case) -> Outcome {
    let units = |bytes: &[u8]| (bytes.len() / UNIT_BYTES) as u32;
    machine.resize(units(&case.main), units(&case.channels[0])).expect("memory can be reserved");
    machine.write(Bank::Main, 0, &case.main).expect("main memory can be written");
    for (i, c) in case.channels.iter().enumerate() {
        machine.write(Bank::Channel(i as u32), 0, c).expect("a channel can be written");
    }
    let report = machine.launch(&launch_of(case)).expect("the launch can be made");
    let mut read = |bank, len: usize| {
        let mut bytes = vec![0; len];
        machine.read(bank, 0, &mut bytes).expect("memory can be read");
        bytes
    };
    let main = read(Bank::Main, case.main.len());
    let channels = (0..case.channels.len()).map(|c| read(Bank::Channel(c as u32), case.channels[c].len()));
    let channels = channels.collect();
    Outcome { fault: report.fault, counters: report.counters, main, channels }
}

fn compare(rig: &Rig, config: &HwConfig, direct: &mut dyn Machine, seeds: std::ops::Range<u64>) {
    let mut card = rig.machine(config);
    let mut faults = 0;
    for seed in seeds.clone() {
        let case = case(seed, config);
        let (a, b) = (run(direct, &case), run(&mut card, &case));
        let name = format!("{}, seed {seed}", config.name);
        let text = || listing(&case);
        assert_eq!(a.fault, b.fault, "{name}\n{}", text());
        assert_eq!(a.counters, b.counters, "{name}\n{}", text());
        assert!(a.main == b.main, "{name}: main memory differs\n{}", text());
        assert!(a.channels == b.channels, "{name}: channels differ\n{}", text());
        faults += u64::from(a.fault.is_some());
    }
    let count = seeds.end - seeds.start;
    assert!(faults > 0 && faults < count, "faults and clean ends are both compared: {faults} of {count}");
}

#[test]
fn random_programs_give_the_same_through_xrt_on_the_simulator() {
    let Some(rig) = rig("iss") else { return };
    // The last one is a card without DDR: main memory lies behind a channel in the same bank.
    let u55c = Kernel::all().pop().expect("there are some").config;
    assert_eq!(u55c.name, "u55c");
    for (config, count) in [(HwConfig::sim(), 60), (HwConfig::mini(), 20), (u55c, 12)] {
        compare(&rig, &config, &mut Iss::new(config.clone()), 1..1 + count);
    }
}

#[test]
fn random_programs_give_the_same_through_xrt_on_the_rtl() {
    let Some(rig) = rig("rtl") else { return };
    for (config, count) in [(HwConfig::sim(), 30), (HwConfig::mini(), 12)] {
        let mut direct = RtlMachine::new(RtlConfig::new(config.clone())).expect("the RTL starts");
        compare(&rig, &config, &mut direct, 1..1 + count);
    }
}

#[test]
fn memory_keeps_its_contents_when_it_grows_and_is_zero_where_new() {
    let Some(rig) = rig("iss") else { return };
    // Nine channels' worth of pieces: also what goes to the card by itself while more is written.
    let mut card = rig.machine(&HwConfig::mini());
    card.resize(64, 64).expect("fits");
    let pattern: Vec<u8> = (0..4096u32).map(|i| (i * 7) as u8).collect();
    card.write(Bank::Channel(3), 0, &pattern).expect("in range");
    card.resize(64, 1 << 19).expect("fits");
    let big: Vec<u8> = (0..20u32 << 20).map(|i| (i >> 3) as u8).collect();
    card.write(Bank::Channel(3), 4096 + 64, &big).expect("in range");
    card.write(Bank::Channel(3), 4096 + 128, &[9; 64]).expect("in range");
    let mut out = vec![1; 4096 + 64 + big.len() + 64];
    card.read(Bank::Channel(3), 0, &mut out).expect("in range");
    assert!(out[..4096] == pattern[..], "old contents");
    assert!(out[4096..4160].iter().all(|b| *b == 0), "a gap is zero");
    assert!(out[4160..4224] == big[..64] && out[4224..4288] == [9; 64], "the later write counts");
    assert!(out[4288..4160 + big.len()] == big[128..], "the rest of the big one");
    assert!(out[4160 + big.len()..].iter().all(|b| *b == 0));
    let e = card.write(Bank::Channel(4), 0, &[0]).unwrap_err().to_string();
    assert!(e.contains("channel 4 does not exist"), "{e}");
    let e = card.read(Bank::Main, 4000, &mut [0; 100]).unwrap_err().to_string();
    assert!(e.contains("exceeds the 4096 bytes"), "{e}");
}

/// A channel above 256 MiB lies in several pseudo-channels: neighbours, one base address.
#[test]
fn a_channel_over_several_pseudo_channels_is_one_memory() {
    let Some(rig) = rig("iss") else { return };
    let mut card = rig.machine(&HwConfig::sim());
    let units = (300u32 << 20) / 64;
    card.resize(64, units).expect("300 MiB in HBM[0] and HBM[1]");
    let border = (256u64 << 20) - 100;
    let pattern: Vec<u8> = (0..200).collect();
    card.write(Bank::Channel(0), border, &pattern).expect("in range");
    let mut out = [0; 200];
    card.read(Bank::Channel(0), border, &mut out).expect("in range");
    assert_eq!(out[..], pattern[..]);
    let e = card.resize(64, u32::MAX / 4).unwrap_err().to_string();
    assert!(e.contains("HBM[0], HBM[1], HBM[2], HBM[3] hold 1073741824"), "{e}");
}
