//! What goes wrong: each with one message that says what to do.

use crate::rig::rig;
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::isa_hash;
use flightvlm_hw::kernel::{xclbin, Kernel, Release};
use flightvlm_hw::machine::{Launch, Machine};
use flightvlm_xrt::{Buffer, Device, Direction, Ended, XrtError, XrtMachine};
use std::time::{Duration, Instant};

fn launch() -> Launch {
    Launch { code_base_units: 0, code_units: 1, code_len: 1, entry: 0, args: [0; 16], watchdog_cycles: 1000 }
}

#[test]
fn a_wrong_xclbin_shows_both_hashes() {
    let Some(rig) = rig("iss") else { return };
    let (sim, mini) = (HwConfig::sim(), HwConfig::mini());
    let other = rig.xclbin(&mini);
    let e = XrtMachine::open(rig.options(&sim, &other)).err().expect("does not fit").to_string();
    for hash in [isa_hash(&sim), isa_hash(&mini)] {
        assert!(e.contains(&format!("{hash:#010x}")), "{e}");
    }
    assert!(e.contains("mini.xclbin") && e.contains("scripts/build_card"), "{e}");
}

#[test]
fn files_that_are_no_xclbin_are_refused_before_they_reach_the_card() {
    let Some(rig) = rig("iss") else { return };
    let good = std::fs::read(rig.xclbin(&HwConfig::sim())).expect("just written");
    let cut = &good[..good.len() - 8];
    for (name, bytes, says) in [
        ("empty", &[][..], "not an xclbin"),
        ("elf", b"\x7fELF...", "not an xclbin"),
        ("cut", cut, "damaged"),
    ] {
        let path = rig.file(name, bytes);
        let e = XrtMachine::open(rig.options(&HwConfig::sim(), &path)).err().expect("is refused").to_string();
        assert!(e.contains(says) && e.contains(name), "{e}");
    }
    let gone = rig.options(&HwConfig::sim(), std::path::Path::new("/nowhere/a.xclbin"));
    let e = XrtMachine::open(gone).err().expect("is refused").to_string();
    assert!(e.contains("/nowhere/a.xclbin"), "{e}");
}

/// A file that says one thing and a kernel that says another: the register has the last word.
#[test]
fn a_running_kernel_with_another_hash_is_refused() {
    let Some(rig) = rig("iss") else { return };
    let sim = HwConfig::sim();
    let bytes = xclbin::emulation(&Kernel::of(&sim).expect("fits"));
    let release = Release::of(&Kernel::of(&sim).expect("fits")).to_toml();
    // The emulated card builds what the release describes: other queues, so another accelerator.
    let lie = release.replace("queue_depth = 8", "queue_depth = 4");
    let at =
        bytes.windows(release.len()).position(|w| w == release.as_bytes()).expect("the release is in it");
    let mut bad = bytes.clone();
    bad[at..at + lie.len()].copy_from_slice(lie.as_bytes());
    bad[304 + 112] ^= 1; // another build's identity
    let path = rig.file("lie.xclbin", &bad);
    let e = XrtMachine::open(rig.options(&sim, &path)).err().expect("is refused").to_string();
    assert!(e.contains("the running kernel says hash"), "{e}");
    assert!(e.contains(&format!("{:#010x}", isa_hash(&sim))), "{e}");
}

#[test]
fn a_card_in_use_is_busy_and_free_again_afterwards() {
    let Some(rig) = rig("iss") else { return };
    let first = rig.machine(&HwConfig::sim());
    let e = rig.open(&HwConfig::sim()).err().expect("is busy");
    assert!(matches!(e, XrtError::Busy { .. }), "{e}");
    assert!(e.to_string().contains("another process has its kernel open"), "{e}");
    drop(first);
    drop(rig.machine(&HwConfig::sim()));
}

#[test]
fn a_computer_without_cards_and_a_wrong_address_are_said() {
    let Some(rig) = rig("iss") else { return };
    let xclbin = rig.xclbin(&HwConfig::sim());
    let mut options = rig.options(&HwConfig::sim(), &xclbin);
    options.bdf = Some("0000:ff:00.1".into());
    let e = XrtMachine::open(options).err().expect("no such card").to_string();
    assert!(e.contains("there is no card 0000:ff:00.1"), "{e}");
    rig.set("cards=0");
    let e = rig.open(&HwConfig::sim()).err().expect("no card").to_string();
    assert!(e.contains("there is no card") && e.contains("xbutil"), "{e}");
}

#[test]
fn a_hung_kernel_ends_with_the_time_and_advice() {
    let Some(rig) = rig("iss") else { return };
    // A card of its own: this one does not come back.
    let xclbin = rig.xclbin(&HwConfig::sim());
    let mut options = rig.options(&HwConfig::sim(), &xclbin);
    options.timeout = Duration::from_millis(300);
    let mut machine = XrtMachine::open(options).expect("opens");
    machine.resize(16, 16).expect("fits");
    rig.set("hang=1");
    let begin = Instant::now();
    let e = machine.launch(&launch()).expect_err("hangs").to_string();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(e.contains("did not end within 0.3 s") && e.contains("reset"), "{e}");
    drop(machine);
    // Resources were given back: the next user gets the card.
    let mut machine = rig.machine(&HwConfig::sim());
    machine.resize(16, 16).expect("fits");
    assert!(machine.launch(&launch()).expect("runs").fault.is_some(), "memory is zero: no instruction");
}

/// Ctrl-C while the kernel hangs: the launch is left behind, and the next one waits for its end.
#[test]
fn an_interrupted_launch_is_left_behind_and_waited_for_by_the_next() {
    let Some(rig) = rig("iss") else { return };
    let xclbin = rig.xclbin(&HwConfig::sim());
    let mut options = rig.options(&HwConfig::sim(), &xclbin);
    options.timeout = Duration::from_millis(2500);
    let mut machine = XrtMachine::open(options).expect("opens");
    machine.resize(16, 16).expect("fits");
    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    machine.interrupt(flag.clone());
    rig.set("hang=1");
    let report = machine.launch(&launch()).expect("is no error");
    assert!(report.interrupted && report.fault.is_none());
    flag.store(false, std::sync::atomic::Ordering::Relaxed);
    let e = machine.launch(&launch()).expect_err("the first one never ends").to_string();
    assert!(e.contains("did not end within 2.5 s"), "{e}");
}

#[test]
fn banks_are_checked_by_size_place_and_use() {
    let Some(rig) = rig("iss") else { return };
    let machine = rig.machine(&HwConfig::mini());
    let device = Device::open(rig.library, None, 0).expect("opens");
    let buffer = |len: usize, bank| Buffer::new(&device, len, bank, "test".into());
    let e = buffer(300 << 20, 0).err().expect("a bank has 256 MiB").to_string();
    assert!(e.contains("bank 0") && e.contains("HBM[0] has no room"), "{e}");
    let e = buffer(4096, 9).err().expect("nothing is wired to it").to_string();
    assert!(e.contains("bank 9 is not used"), "{e}");
    assert!(buffer(4096, 99).is_err());
    let (a, b) = (buffer(4096, 1).expect("fits"), buffer(4096, 1).expect("fits"));
    assert!(a.address() >= 1 << 28 && b.address() == a.address() + 4096);
    drop(machine);
}

/// Another program holds part of a bank that a large channel needs whole.
#[test]
fn a_channel_that_cannot_lie_in_one_piece_is_refused() {
    let Some(rig) = rig("iss") else { return };
    let mut machine = rig.machine(&HwConfig::sim());
    let device = Device::open(rig.library, None, 0).expect("opens");
    let other = Buffer::new(&device, 4096, 1, "someone else's".into()).expect("fits");
    let e = machine.resize(16, (300 << 20) / 64).expect_err("HBM[1] is taken").to_string();
    assert!(e.contains("does not lie in one piece"), "{e}");
    drop(other);
    let next = |bytes: usize| Buffer::new(&device, bytes, 1, "the next one's".into());
    drop(next(256 << 20).expect("what was refused is free again"));
    machine.resize(16, (300 << 20) / 64).expect("now it fits");
    assert!(next(256 << 20).is_err(), "it is there");
    drop(machine);
    drop(next(256 << 20).expect("a driver that is gone holds nothing"));
}

/// Fresh device memory is poison, and what is not moved does not arrive.
#[test]
fn host_and_device_memory_are_apart() {
    let Some(rig) = rig("iss") else { return };
    let machine = rig.machine(&HwConfig::sim());
    let device = Device::open(rig.library, None, 0).expect("opens");
    let buffer = Buffer::new(&device, 4096, 0, "test".into()).expect("fits");
    let mut out = [0; 4];
    buffer.write(0, &[1, 2, 3, 4]);
    buffer.sync(Direction::FromDevice, 0..4).expect("moves");
    buffer.read(0, &mut out);
    assert_eq!(out, [0xcd; 4], "fresh memory");
    buffer.write(0, &[1, 2, 3, 4]);
    buffer.sync(Direction::ToDevice, 0..2).expect("moves");
    buffer.sync(Direction::FromDevice, 0..4).expect("moves");
    buffer.read(0, &mut out);
    assert_eq!(out, [1, 2, 0xcd, 0xcd], "only what was moved");
    drop(machine);
}

/// Two opens of a card are the same card.
#[test]
fn state_is_shared_between_opens() {
    let Some(rig) = rig("iss") else { return };
    let machine = rig.machine(&HwConfig::sim());
    let (one, two) = (
        Device::open(rig.library, None, 0).expect("opens"),
        Device::open(rig.library, None, 0).expect("opens"),
    );
    let a = Buffer::new(&one, 4096, 0, "a".into()).expect("fits");
    let b = Buffer::new(&two, 4096, 0, "b".into()).expect("fits");
    assert!(a.address().abs_diff(b.address()) >= 4096, "no address is given out twice");
    drop(machine);
}

/// A driver that gives each channel a buffer in the next one's bank: XRT's C interface lets it.
#[test]
fn a_buffer_in_a_bank_that_the_port_does_not_reach_is_a_bank_fault() {
    let Some(rig) = rig("iss") else { return };
    let mini = HwConfig::mini();
    let device = Device::open(rig.library, None, 0).expect("opens");
    let uuid = device.load_xclbin(&rig.xclbin(&mini)).expect("loads");
    let kernel = flightvlm_xrt::Kernel::open(&device, &uuid, "flightvlm:{flightvlm_1}").expect("opens");
    let description = Kernel::of(&mini).expect("fits");
    let start = |shift: u32, units: u32| {
        let mut run = kernel.run().expect("opens");
        for arg in 0..Kernel::port_arg(0) {
            run.set_u32(arg, if [0, 6].contains(&arg) { units } else { 0 }).expect("is set");
        }
        for (port, p) in description.ports.iter().enumerate() {
            let own = p.memories.start as u32;
            let bank = if port == 0 { own } else { (own + shift) % 4 };
            assert_eq!(kernel.group(Kernel::port_arg(port)), Some(own), "{}", p.name);
            let buffer = Buffer::new(&device, 4096, bank, p.name.clone()).expect("fits");
            buffer.sync(Direction::ToDevice, 0..4096).expect("moves");
            run.set_buffer(Kernel::port_arg(port), buffer.into()).expect("is set");
        }
        run.start().expect("XRT takes it");
        run.wait(Duration::from_secs(60))
    };
    assert_eq!(start(0, 64), Ended::Completed);
    assert_eq!(start(1, 64), Ended::Failed(5));
    let why = rig.library.refused().expect("says why");
    assert!(why.contains("bank fault: m_axi_ch00") && why.contains("0x10000000"), "{why}");
    // Right banks, but the kernel is told that the buffers are larger.
    assert_eq!(start(0, 65), Ended::Failed(5));
    let why = rig.library.refused().expect("says why");
    assert!(why.contains("bank fault: m_axi_main may access"), "{why}");
}
