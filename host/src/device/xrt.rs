//! `--device xrt`: a card, or the emulated card, behind XRT.

use super::program::ProgramDevice;
use super::registry::OpenError;
use super::{Device, DeviceError};
use crate::source::Source;
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::kernel::{xclbin, Kernel};
use flightvlm_xrt::{load, missing, Backend, Library, XrtError, XrtMachine, XrtOptions};
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

/// A card.
pub(super) const CARD: &str = "xrt";
/// The instruction-level simulator as a card.
pub(super) const EMULATED: &str = "xrt:emulated";
/// The Verilated accelerator as a card.
pub(super) const EMULATED_RTL: &str = "xrt:emulated-rtl";

/// File name of the emulated card, which lies beside the program.
const SHIM: &str = "libflightvlm_xrt_shim.so";
/// Where the emulated card is, if not there.
const SHIM_VARIABLE: &str = "FLIGHTVLM_XRT_SHIM";
/// The release to load.
const XCLBIN_VARIABLE: &str = "FLIGHTVLM_XCLBIN";
/// What the emulated card is to do wrong, to see what is said then: `hang=N`, the Nth start never ends.
const FAULT_VARIABLE: &str = "FLIGHTVLM_EMULATED_FAULT";
/// Cards that the emulated computer may have.
const EMULATED_CARDS: u32 = 4;
/// Seconds until a launch counts as hung.
const TIMEOUT_VARIABLE: &str = "FLIGHTVLM_XRT_TIMEOUT_S";
/// A launch on a card takes a few seconds at most (the vision tower of a 7B model: about one).
const CARD_TIMEOUT: Duration = Duration::from_secs(60);
/// Simulators take their time.
const EMULATED_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

fn beside_program(file: &str) -> PathBuf {
    let exe = std::env::current_exe().ok();
    exe.as_deref().and_then(Path::parent).map_or_else(|| file.into(), |folder| folder.join(file))
}

fn backend(name: &str) -> Backend {
    if name == CARD {
        return Backend::Card;
    }
    Backend::Emulated(std::env::var_os(SHIM_VARIABLE).map_or_else(|| beside_program(SHIM), PathBuf::from))
}

/// Why it cannot be used here.
pub(super) fn unavailable(name: &str) -> Option<String> {
    missing(&backend(name))
}

fn fault(text: impl std::fmt::Display) -> DeviceError {
    DeviceError::Load(text.to_string())
}

/// When a launch counts as hung: as the user says, else as the device is.
fn timeout(name: &str, said: Option<&OsStr>) -> Result<Duration, DeviceError> {
    let default = if name == CARD { CARD_TIMEOUT } else { EMULATED_TIMEOUT };
    let Some(text) = said else { return Ok(default) };
    let seconds = text.to_str().and_then(|t| t.parse::<f64>().ok());
    let time = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).filter(|t| !t.is_zero());
    time.ok_or_else(|| fault(format!("{TIMEOUT_VARIABLE}: expected seconds above 0, got {text:?}")))
}

/// The xclbin of a card: named by the user, else where `scripts/build_card` puts it.
fn release(config: &HwConfig) -> Result<PathBuf, DeviceError> {
    if let Some(path) = std::env::var_os(XCLBIN_VARIABLE) {
        return Ok(path.into());
    }
    let name = format!("flightvlm_{}.xclbin", config.name);
    let places = [beside_program(&name), Path::new("build/card").join(&config.name).join(&name)];
    let found = places.iter().find(|p| p.exists()).cloned();
    found.ok_or_else(|| {
        fault(format!(
            "no card release for target `{}`: expected {} or {}; build one with scripts/build_card, or name it in {XCLBIN_VARIABLE}",
            config.name,
            places[0].display(),
            places[1].display()
        ))
    })
}

/// Tells the emulated computer what it is.
fn emulate(library: &Library, name: &str) -> Result<(), DeviceError> {
    let simulator = if name == EMULATED_RTL { "simulator=rtl" } else { "simulator=iss" };
    for setting in [simulator, &format!("cards={EMULATED_CARDS}")] {
        if !library.set_emulated(setting) {
            return Err(fault(format!("{SHIM} does not know {setting:?}: build it again")));
        }
    }
    // Once: a device that is opened again after the fault is whole.
    static FAULT: Once = Once::new();
    let mut known = true;
    FAULT.call_once(|| {
        let said = std::env::var_os(FAULT_VARIABLE);
        known = said
            .is_none_or(|s| s.to_str().is_some_and(|s| s.starts_with("hang=") && library.set_emulated(s)));
    });
    match known {
        true => Ok(()),
        false => Err(fault(format!("{FAULT_VARIABLE}: expected hang=N with a number of starts"))),
    }
}

/// Emulated cards cost nothing: each user gets one of its own while there are any.
fn open_free(options: &XrtOptions) -> Result<XrtMachine, XrtError> {
    let mut index = 0;
    loop {
        match XrtMachine::open(XrtOptions { index, ..options.clone() }) {
            Err(XrtError::Busy { .. }) if index + 1 < EMULATED_CARDS => index += 1,
            opened => return opened,
        }
    }
}

/// Loads a model onto a card.
pub(super) fn open<'s>(
    source: &'s Source,
    name: &str,
    bdf: Option<&str>,
) -> Result<Box<dyn Device + 's>, OpenError> {
    let program = source.program()?;
    let config = program.meta.config.clone();
    let backend = backend(name);
    let library = load(&backend).map_err(fault)?;
    let emulated = name != CARD;
    // The emulated card's release is made here; a named one is for trying others.
    let mut made = None;
    let xclbin = if emulated && std::env::var_os(XCLBIN_VARIABLE).is_none() {
        let kernel = Kernel::of(&config).map_err(fault)?;
        let mut file = tempfile::NamedTempFile::with_suffix(".xclbin").map_err(fault)?;
        file.write_all(&xclbin::emulation(&kernel)).and_then(|()| file.flush()).map_err(fault)?;
        made.insert(file).path().to_path_buf()
    } else {
        release(&config)?
    };
    if emulated {
        emulate(library, name)?;
    }
    let timeout = timeout(name, std::env::var_os(TIMEOUT_VARIABLE).as_deref())?;
    let bdf = bdf.map(str::to_owned);
    let options = XrtOptions { backend, bdf, index: 0, xclbin, config, timeout };
    let machine = if emulated { open_free(&options) } else { XrtMachine::open(options) }.map_err(fault)?;
    drop(made);
    Ok(Box::new(ProgramDevice::new(CARD, program, Box::new(machine), source.info()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_launch_is_a_number_of_seconds() {
        let of = |text: &str| timeout(CARD, Some(text.as_ref())).map_err(|e| e.to_string());
        assert_eq!(of("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(timeout(CARD, None).ok(), Some(CARD_TIMEOUT));
        assert_eq!(timeout(EMULATED, None).ok(), Some(EMULATED_TIMEOUT));
        for bad in ["0", "-1", "soon", "inf", "nan", "1e300", ""] {
            assert!(of(bad).unwrap_err().contains(TIMEOUT_VARIABLE), "{bad}");
        }
    }
}
