//! The formulas of `hw/doc/timing.md` for launch, dispatch, LD, ST and the weight streams.

use crate::rig::{configs, load, machine, run};
use flightvlm_hw::machine::{Launch, Machine};
use flightvlm_rtlsim::MemoryTiming;

const L: u64 = 40;
const LW: u64 = 20;

#[test]
fn documented_cycle_counts() {
    for hw in configs() {
        let fixed = MemoryTiming::Fixed { read_latency_cycles: L as u32, write_latency_cycles: LW as u32 };
        let mut machine = machine(&hw, fixed);
        let mut cycles = |text: &str, unit: usize| {
            let report = run(&mut machine, text);
            assert_eq!(report.fault, None, "{}: {text}", hw.name);
            (report.counters.cycles, report.retired[unit].first().map_or(0, |r| r.cycle))
        };
        // Where the first instruction executes, after q cycles of expansion.
        let first = |q: u64| 5 + L + q;
        // Quarters left behind the last instruction end the unit in one more cycle.
        assert_eq!(cycles("halt", 0), (first(2) + 2, 0));
        assert_eq!(cycles("nop\nhalt", 0), (first(3) + 4, 0));
        assert_eq!(cycles("nop\nnop\nnop\nhalt", 0), (first(4) + 8, 0));
        // A fifth one needs a second unit.
        assert_eq!(cycles("nop\nnop\nnop\nnop\nhalt", 0), (first(6) + 10, 0));
        // The loop runs its body three times.
        assert_eq!(cycles("loop count=3 len=2\nnop\nnop\nhalt", 0), (first(4) + 2 * 7 + 2, 0));
        // A multiplication takes two cycles more.
        assert_eq!(cycles("nop\nalu func=mul rd=r20 rs=r1 rt=r2\nnop\nhalt", 0), (first(4) + 8 + 3, 0));

        // A command of 32 bytes and HALT: one unit, one quarter left.
        let start = first(3) + 2;
        for n in [1, 16, 100] {
            let done = start + 6 + L + n;
            let text = format!("ld mode=rows rows=1 len={n} src_off=600\nhalt");
            assert_eq!(cycles(&text, 0), (done + 3, done));
            let done = start + 14 + n + LW;
            let text = format!("st mode=rows rows=1 len={n} dst_off=5000\nhalt");
            assert_eq!(cycles(&text, 1), (done + 3, done));
        }
        let done = start + 6 + L + 16 * 3;
        assert_eq!(cycles("ld mode=scalars rows=1 len=3 src_off=600\nhalt", 0), (done + 3, done));
        // Gathered rows of one unit, six cycles apart.
        let done = start + 11 + 6 * 6 + L + 1;
        assert_eq!(
            cycles("ld mode=gather rows=7 len=1 src_off=600 src_stride=1 sidx_off=400\nhalt", 0),
            (done + 3, done)
        );
        // Empty commands.
        assert_eq!(cycles("ld mode=rows rows=0 len=1\nhalt", 0).1, start + 5);
        assert_eq!(cycles("st mode=rows rows=0 len=1\nhalt", 1).1, start + 11);
        // Twelve keys of one block: one channel, fewer than may wait for responses.
        let done = start + 15 + 12 + LW;
        let text = "st mode=kv_k rows=4 len=3 heads=1 dst_off=5000 chunk_stride=4\nhalt";
        assert_eq!(cycles(text, 1), (done + 3, done));
        // A token handed over: the store starts two cycles after the load is done. Code of five quarters.
        let load = first(4) + 2 + 6 + L + 10;
        let text = "ld mode=rows rows=1 len=10 src_off=600 @release=st\nst mode=rows rows=1 len=4 dst_off=5000 @wait=ld\nhalt";
        let (_, store) = cycles(text, 1);
        assert_eq!(store, load + 2 + 14 + 4 + LW, "{}", hw.name);

        // A weight load retires when it is queued; HALT waits for the stream. 16 words of 4 units.
        let text = "ld mode=weight rows=1 len=16 src_off=600\nhalt";
        let pushed = start + 6;
        assert_eq!(cycles(text, 0), (pushed + 3 + L + 64 + 1 + 2, pushed + 1));
        let text = "ld mode=weight rows=1 len=16 kbg=3 wscale=1 src_off=600\nhalt";
        assert_eq!(cycles(text, 0), (pushed + 10 + 3 + L + 70 + 1 + 2, pushed + 11));
        // Five commands fit the queue of a slice; the sixth is pushed in the cycle after the one in
        // which the first one's last unit is expanded. The last of 13 quarters ends its unit alone.
        let report = run(&mut machine, &("ld mode=weight rows=1 len=16 src_off=600\n".repeat(6) + "halt"));
        let pushed = first(8) + 2 + 6;
        let retired: Vec<u64> = report.retired[0].iter().map(|r| r.cycle).collect();
        assert_eq!((retired[0], retired[1], retired[4]), (pushed + 1, pushed + 10, pushed + 37));
        assert_eq!(retired[5], pushed + 3 + L + 63 + 1 + 2);
    }
}

/// With a fast memory the registers are the last thing that is ready: R0 to R31, one a cycle.
#[test]
fn the_first_instruction_waits_for_the_registers() {
    for hw in configs() {
        for read_latency_cycles in [1, 25, 26, 27, 28] {
            let fixed = MemoryTiming::Fixed { read_latency_cycles, write_latency_cycles: LW as u32 };
            let mut machine = machine(&hw, fixed);
            let launch = load(&mut machine, "alu func=add rd=r31 rs=r15 rt=r30\nhalt");
            // One that ends before its registers are loaded.
            let bad = Launch { code_base_units: u32::MAX, args: [0xdead_beef; 16], ..launch.clone() };
            assert!(machine.launch(&bad).expect("launch").fault.is_some());
            let report = machine.launch(&launch).expect("launch");
            assert_eq!(report.fault, None);
            let first = (5 + u64::from(read_latency_cycles) + 3).max(33);
            assert_eq!(report.counters.cycles, first + 2 + 2, "{}, latency {read_latency_cycles}", hw.name);
            let mut expected = [0; 32];
            expected[1..16].copy_from_slice(&launch.args[1..]);
            expected[31] = expected[15];
            assert_eq!(machine.on_chip().expect("backdoor").r, expected, "{}", hw.name);
        }
    }
}
