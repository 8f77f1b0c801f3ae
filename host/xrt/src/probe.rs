//! What of XRT and of cards is here, without opening a device.

use crate::library::{core_library, Backend};
use std::path::Path;

/// PCI vendor of Alveo cards.
const VENDOR: &str = "0x10ee";

/// Why a backend cannot work in this computer, as far as files tell.
pub fn missing(backend: &Backend) -> Option<String> {
    if let Err(e) = core_library() {
        return Some(e.to_string());
    }
    match backend {
        Backend::Emulated(path) if !path.exists() => Some(format!(
            "{} is missing; build it with `cargo build --release -p flightvlm-xrt-shim` (needs libxrt-dev 2.13)",
            path.display()
        )),
        Backend::Emulated(_) => None,
        Backend::Card => match cards(Path::new("/sys/bus/pci/devices")).is_empty() {
            true => Some("there is no AMD/Xilinx card on the PCI bus".into()),
            false => None,
        },
    }
}

/// PCI addresses of the cards' user functions, in order.
pub fn cards(devices: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(devices).into_iter().flatten().flatten();
    let is_card = |path: &Path| {
        let vendor = std::fs::read_to_string(path.join("vendor")).unwrap_or_default();
        // Function 0 is for management, function 1 for users (UG1301); computers that rent cards show
        // only the second.
        let name = path.file_name().is_some_and(|n| n.as_encoded_bytes().ends_with(b".1"));
        vendor.trim() == VENDOR && name
    };
    let found = entries.map(|e| e.path()).filter(|p| is_card(p));
    let mut out: Vec<String> =
        found.filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
    out.sort_unstable();
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn cards_are_the_user_functions_of_the_vendor() {
        let dir = tempfile::tempdir().unwrap();
        for (name, vendor) in [
            ("0000:3b:00.0", "0x10ee\n"),
            ("0000:3b:00.1", "0x10ee\n"),
            ("0000:18:00.1", "0x10ee\n"),
            ("0000:00:1f.1", "0x8086\n"),
        ] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("vendor"), vendor).unwrap();
        }
        assert_eq!(super::cards(dir.path()), ["0000:18:00.1", "0000:3b:00.1"]);
        assert!(super::cards(&dir.path().join("nowhere")).is_empty());
    }
}
