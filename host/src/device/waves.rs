//! The Verilated RTL with waveforms.

use super::registry::OpenError;
use super::Device;
use crate::source::Source;
use std::ops::Range;
use std::path::PathBuf;

/// Which cycles go to which file.
#[derive(Clone, Debug)]
pub struct Waves {
    /// FST file.
    pub file: PathBuf,
    /// Cycles, counted from the end of reset.
    pub cycles: Range<u64>,
}

/// `--device rtl` that writes waveforms.
#[cfg(feature = "rtl")]
pub fn open_with_waves<'s>(source: &'s Source, waves: &Waves) -> Result<Box<dyn Device + 's>, OpenError> {
    use super::{DeviceError, ProgramDevice};
    use flightvlm_rtlsim::{RtlConfig, RtlMachine, Trace};

    let load = |what: String| DeviceError::Load(what);
    // Verilator does not say why a file cannot be opened.
    std::fs::File::create(&waves.file)
        .map_err(|error| load(format!("cannot write {}: {error}", waves.file.display())))?;
    let program = source.program()?;
    let trace = Some(Trace { path: waves.file.clone(), cycles: waves.cycles.clone() });
    let config = RtlConfig { trace, ..RtlConfig::new(program.meta.config.clone()) };
    let machine = RtlMachine::new(config).map_err(|e| load(format!("the RTL does not start: {e}")))?;
    Ok(Box::new(ProgramDevice::new("rtl", program, Box::new(machine), source.info()?)?))
}

/// Not in this binary.
#[cfg(not(feature = "rtl"))]
pub fn open_with_waves<'s>(_: &'s Source, _: &Waves) -> Result<Box<dyn Device + 's>, OpenError> {
    let reason = "this binary was built without the RTL; build with --features rtl".to_owned();
    Err(super::DeviceError::Unavailable { name: "rtl --waves".into(), reason }.into())
}
