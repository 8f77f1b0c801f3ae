//! `flightvlm-xclbin check TARGET FILE`: does the release hold the target's kernel? `emulate TARGET FILE` writes
//! the file of the emulated card.

use flightvlm_hw::kernel::xclbin::{emulation, Xclbin};
use flightvlm_hw::kernel::{check, Kernel};
use std::process::ExitCode;

fn run(args: &[String]) -> Result<String, String> {
    let [command, target, path] = args else {
        return Err("usage: flightvlm-xclbin check|emulate TARGET FILE".into());
    };
    let kernels = Kernel::all();
    let kernel = kernels.iter().find(|k| k.config.name == *target).ok_or_else(|| {
        let names: Vec<_> = kernels.iter().map(|k| k.config.name.as_str()).collect();
        format!("there is no card release for target {target}: expected one of {}", names.join(", "))
    })?;
    match command.as_str() {
        "emulate" => {
            std::fs::write(path, emulation(kernel)).map_err(|e| format!("{path}: {e}"))?;
            Ok(format!("wrote {path}"))
        }
        "check" => {
            let bytes = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
            let file = Xclbin::parse(&bytes).map_err(|e| format!("{path}: {e}"))?;
            let faults = check::faults(kernel, &file);
            let clocks: Vec<_> = file.clocks_mhz.iter().map(|c| format!("{c} MHz")).collect();
            match faults.is_empty() {
                true => Ok(format!(
                    "{path}: kernel of target {target} on {}, clocks {}",
                    file.vbnv,
                    clocks.join(", ")
                )),
                false => Err(format!(
                    "{path} does not hold the kernel of target {target}\n  {}",
                    faults.join("\n  ")
                )),
            }
        }
        other => Err(format!("{other}: expected check or emulate")),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}
