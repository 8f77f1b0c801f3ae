//! Prints how many cycles a second the Verilated model runs on three kinds of work.

use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::assemble;
use flightvlm_hw::machine::{Launch, Machine, MachineError};
use flightvlm_rtlsim::{RtlConfig, RtlMachine};
use std::time::Instant;

fn main() -> Result<(), MachineError> {
    let mut machine = RtlMachine::new(RtlConfig::new(HwConfig::sim()))?;
    machine.resize_dram(65536)?;
    for (i, b) in machine.dram().iter_mut().enumerate() {
        *b = (i * 37 % 119) as u8;
    }
    let programs = [
        ("dispatch only", "loop count=20000 len=1\nnop\nhalt"),
        (
            "matrix, 2 rows",
            "loop count=8 len=2\nld mode=weight rows=48 len=48 src_off=4096 src_stride=193 wscale=1\n\
          mm rows=2 tiles=48 kb=48 act_stride=48 out_stride=48 wscale=1\nhalt",
        ),
        (
            "matrix, 64 rows",
            "loop count=2 len=2\nld mode=weight rows=16 len=48 src_off=4096 src_stride=193 wscale=1\n\
          mm rows=64 tiles=16 kb=48 act_stride=48 out_stride=16 wscale=1\nhalt",
        ),
        (
            "vector",
            "loop count=4 len=1\nvx rows=64 len=1024 a_kind=spad a_stride=64 b_kind=imm b=#1.5 op1=mul \
          func=gelu d_kind=spad d_stride=64 red=sum\nhalt",
        ),
        (
            "copy",
            "loop count=8 len=2\nld mode=rows rows=1 len=2000 src_off=8000 @release=st\n\
          st mode=rows rows=1 len=2000 dst_off=20000 @wait=ld\nhalt",
        ),
    ];
    for (name, text) in programs {
        let code: Vec<u8> = assemble(text)
            .map_err(|e| MachineError(e.to_string()))?
            .iter()
            .flat_map(|i| i.encode().to_bytes())
            .collect();
        machine.write(0, &code)?;
        let code_len = (code.len() / 32) as u32;
        let launch = Launch { code_base_units: 0, code_len, entry: 0, args: [0; 16], watchdog_cycles: 65536 };
        let begin = Instant::now();
        let report = machine.launch(&launch)?;
        let seconds = begin.elapsed().as_secs_f64();
        if let Some(fault) = report.fault {
            return Err(MachineError(fault.to_string()));
        }
        let cycles = report.counters.cycles;
        println!("{name:16} {cycles:8} cycles  {:8.0} cycles/s", cycles as f64 / seconds);
    }
    Ok(())
}
