//! Prints how many cycles a second the Verilated models run on several kinds of work.

use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::{assemble, store_code};
use flightvlm_hw::machine::{Bank, Launch, Machine, MachineError};
use flightvlm_rtlsim::{RtlConfig, RtlMachine};
use std::time::Instant;

/// Repeated weight load and product; tiles for each of `slices`.
fn matrix(slices: u32, repeat: u32, rows: u32, tiles: u32, load: &str) -> String {
    let tiles = tiles * slices;
    format!(
        "loop count={repeat} len=2\nld mode=weight rows={tiles} len=48 src_off=4096 wscale=1 {load}\n\
         mm rows={rows} tiles={tiles} kb=48 act_stride=48 out_stride={tiles} sa_stride=1 wscale=1\nhalt"
    )
}

fn main() -> Result<(), MachineError> {
    let mut configs = vec![HwConfig::sim(), HwConfig::mini()];
    if cfg!(feature = "u280") {
        configs.push(HwConfig::u280());
    }
    for hw in configs {
        let slices = hw.slices;
        let mut machine = RtlMachine::new(RtlConfig::new(hw.clone()))?;
        machine.resize(65536, 65536)?;
        for bank in (0..slices).map(Bank::Channel).chain([Bank::Main]) {
            for (i, b) in machine.bank(bank)?.iter_mut().enumerate() {
                *b = (i * 37 % 119) as u8;
            }
        }
        let copy = "loop count=8 len=2\nld mode=rows rows=1 len=2000 src_off=8000 @release=st\n\
                    st mode=rows rows=1 len=2000 dst_off=20000 @wait=ld\nhalt";
        let vector = "loop count=4 len=1\nvx rows=64 len=1024 a_kind=spad a_stride=64 b_kind=imm b=#1.5 \
                      op1=mul func=gelu d_kind=spad d_stride=64 red=sum\nhalt";
        let programs = [
            ("dispatch only", "loop count=20000 len=1\nnop\nhalt".to_string()),
            ("matrix, 2 rows, w8k", matrix(slices, 8, 2, 12, "fmt=w8k src_stride=193")),
            ("matrix, 2 rows, w4k", matrix(slices, 8, 2, 12, "fmt=w4k src_stride=97")),
            ("matrix, 2 rows, mixed", matrix(slices, 8, 2, 12, "fmt=mixed src_stride=193")),
            ("matrix, 64 rows", matrix(slices, 2, 64, 4, "fmt=w8k src_stride=193")),
            ("vector", vector.to_string()),
            ("copy", copy.to_string()),
        ];
        for (name, text) in programs {
            let insns = assemble(&text).map_err(|e| MachineError(e.to_string()))?;
            let code = store_code(&insns.iter().map(|i| i.encode()).collect::<Vec<_>>());
            machine.write(Bank::Main, 0, &code)?;
            let launch = Launch {
                code_base_units: 0,
                code_units: code.len().div_ceil(64) as u32,
                code_len: insns.len() as u32,
                entry: 0,
                args: [0; 16],
                watchdog_cycles: 65536,
            };
            let begin = Instant::now();
            let report = machine.launch(&launch)?;
            let seconds = begin.elapsed().as_secs_f64();
            if let Some(fault) = report.fault {
                return Err(MachineError(fault.to_string()));
            }
            let cycles = report.counters.cycles;
            println!("{:5} {name:22} {cycles:8} cycles  {:8.0} cycles/s", hw.name, cycles as f64 / seconds);
        }
    }
    Ok(())
}
