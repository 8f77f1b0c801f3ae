//! The devices by name.

use super::eval::EvalDevice;
use super::program::ProgramDevice;
use super::{xrt, Device, DeviceError};
use crate::source::{Source, SourceError};
use flightvlm_iss::Iss;

/// Loads a model onto a device; of `NAME:WHICH`, the second part.
pub type Opener = for<'s> fn(&'s Source, Option<&str>) -> Result<Box<dyn Device + 's>, OpenError>;

/// An implementation that `--device` can name.
pub struct DeviceEntry {
    /// What the user types.
    pub name: &'static str,
    /// One line for `flightvlm devices`.
    pub description: &'static str,
    /// Why it cannot be used on this machine; `None` when it can.
    pub unavailable: fn() -> Option<String>,
    /// Loads a model onto it.
    pub open: Opener,
}

/// All devices, in the order in which they are listed.
pub const DEVICES: &[DeviceEntry] = &[
    DeviceEntry {
        name: "eval",
        description: "float32 graph reference on this computer",
        unavailable: || None,
        open: |source, _| Ok(Box::new(EvalDevice::new(source.model()?, source.info()?)?)),
    },
    DeviceEntry {
        name: "iss",
        description: "instruction-level simulator, same bits as the hardware, predicted cycles",
        unavailable: || None,
        open: |source, _| {
            let program = source.program()?;
            let machine = Box::new(Iss::new(program.meta.config.clone()));
            Ok(Box::new(ProgramDevice::new("iss", program, machine, source.info()?)?))
        },
    },
    DeviceEntry {
        name: "hls",
        description: "C simulation of the Vitis HLS kernel, same bits as the hardware, no cycles",
        unavailable: hls_unavailable,
        open: open_hls,
    },
    DeviceEntry {
        name: "rtl",
        description: "the SystemVerilog accelerator in Verilator, cycle by cycle",
        unavailable: rtl_unavailable,
        open: open_rtl,
    },
    DeviceEntry {
        name: xrt::CARD,
        description: "an Alveo card through XRT; xrt:BDF picks one by its PCI address",
        unavailable: || xrt::unavailable(xrt::CARD),
        open: |source, bdf| xrt::open(source, xrt::CARD, bdf),
    },
    DeviceEntry {
        name: xrt::EMULATED,
        description: "the instruction-level simulator in place of the card, behind the genuine XRT",
        unavailable: || xrt::unavailable(xrt::EMULATED),
        open: |source, _| xrt::open(source, xrt::EMULATED, None),
    },
    DeviceEntry {
        name: xrt::EMULATED_RTL,
        description: "the same with the Verilated accelerator",
        unavailable: || xrt::unavailable(xrt::EMULATED_RTL),
        open: |source, _| xrt::open(source, xrt::EMULATED_RTL, None),
    },
];

#[cfg(feature = "hls")]
fn hls_unavailable() -> Option<String> {
    None
}

#[cfg(not(feature = "hls"))]
fn hls_unavailable() -> Option<String> {
    Some("this binary was built without it; build with the default features".into())
}

#[cfg(feature = "hls")]
fn open_hls<'s>(source: &'s Source, _: Option<&str>) -> Result<Box<dyn Device + 's>, OpenError> {
    let program = source.program()?;
    let machine = flightvlm_hls::HlsMachine::new(program.meta.config.clone())
        .map_err(|e| DeviceError::Load(e.to_string()))?;
    Ok(Box::new(ProgramDevice::new("hls", program, Box::new(machine), source.info()?)?))
}

#[cfg(not(feature = "hls"))]
fn open_hls<'s>(_: &'s Source, _: Option<&str>) -> Result<Box<dyn Device + 's>, OpenError> {
    let reason = hls_unavailable().unwrap_or_default();
    Err(DeviceError::Unavailable { name: "hls".into(), reason }.into())
}

#[cfg(feature = "rtl")]
fn rtl_unavailable() -> Option<String> {
    None
}

#[cfg(not(feature = "rtl"))]
fn rtl_unavailable() -> Option<String> {
    Some("this binary was built without it; build with the default features and Verilator".into())
}

#[cfg(feature = "rtl")]
fn open_rtl<'s>(source: &'s Source, _: Option<&str>) -> Result<Box<dyn Device + 's>, OpenError> {
    let program = source.program()?;
    let config = flightvlm_rtlsim::RtlConfig::new(program.meta.config.clone());
    let machine = flightvlm_rtlsim::RtlMachine::new(config)
        .map_err(|e| DeviceError::Load(format!("the RTL does not start: {e}")))?;
    Ok(Box::new(ProgramDevice::new("rtl", program, Box::new(machine), source.info()?)?))
}

#[cfg(not(feature = "rtl"))]
fn open_rtl<'s>(_: &'s Source, _: Option<&str>) -> Result<Box<dyn Device + 's>, OpenError> {
    let reason = rtl_unavailable().unwrap_or_default();
    Err(DeviceError::Unavailable { name: "rtl".into(), reason }.into())
}

/// Why a device cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The model.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// The entry for a name: as it stands, or of `NAME:WHICH` the one that takes a WHICH.
fn entry(name: &str) -> Option<(&'static DeviceEntry, Option<&str>)> {
    let named = |name: &str| DEVICES.iter().find(|entry| entry.name == name);
    match (named(name), name.split_once(':')) {
        (Some(entry), _) => Some((entry, None)),
        (None, Some((xrt::CARD, bdf))) => Some((named(xrt::CARD)?, Some(bdf))),
        (None, _) => None,
    }
}

/// The entry with this name, if it can be used here.
pub fn find(name: &str) -> Result<&'static DeviceEntry, DeviceError> {
    let Some((entry, _)) = entry(name) else {
        let known: Vec<&str> = DEVICES.iter().map(|entry| entry.name).collect();
        return Err(DeviceError::Unknown { name: name.into(), known: known.join(", ") });
    };
    match (entry.unavailable)() {
        None => Ok(entry),
        Some(reason) => Err(DeviceError::Unavailable { name: name.into(), reason }),
    }
}

/// Loads a model onto the named device; the simulator without its timing model, for results alone: their bits
/// are the same, cycles stay unknown.
pub fn open_untimed<'s>(name: &str, source: &'s Source) -> Result<Box<dyn Device + 's>, OpenError> {
    if name != "iss" {
        return open(name, source);
    }
    let program = source.program()?;
    let machine = Box::new(Iss::function_only(program.meta.config.clone()));
    Ok(Box::new(ProgramDevice::new("iss", program, machine, source.info()?)?))
}

/// Loads a model onto the named device.
pub fn open<'s>(name: &str, source: &'s Source) -> Result<Box<dyn Device + 's>, OpenError> {
    let which = entry(name).and_then(|(_, which)| which);
    (find(name)?.open)(source, which)
}
