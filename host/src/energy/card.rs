//! Power of a real card, from the kernel's sensor: `hwmon/*/power1_input` of the PCI device, in
//! microwatts, refreshed about once a second.

use serde::Serialize;
use std::fs;
use std::path::Path;

/// PCI vendor of AMD/Xilinx accelerator cards.
const XILINX: &str = "0x10ee";

/// One reading.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CardPower {
    /// PCI address.
    pub bdf: String,
    /// Watts, **measured** by the card.
    pub power_w: f64,
}

/// The cards of this computer that report their power.
pub fn readings() -> Vec<CardPower> {
    readings_in(Path::new("/sys/bus/pci/devices"))
}

/// The same below another folder.
fn readings_in(devices: &Path) -> Vec<CardPower> {
    let mut out = Vec::new();
    for entry in fs::read_dir(devices).into_iter().flatten().flatten() {
        let vendor = fs::read_to_string(entry.path().join("vendor")).unwrap_or_default();
        if vendor.trim() != XILINX {
            continue;
        }
        let sensors = fs::read_dir(entry.path().join("hwmon")).into_iter().flatten().flatten();
        let microwatts = sensors
            .filter_map(|sensor| fs::read_to_string(sensor.path().join("power1_input")).ok())
            .filter_map(|text| text.trim().parse::<f64>().ok())
            .find(|value| *value > 0.0);
        if let Some(microwatts) = microwatts {
            let bdf = entry.file_name().to_string_lossy().into_owned();
            out.push(CardPower { bdf, power_w: microwatts / 1e6 });
        }
    }
    out.sort_by(|a, b| a.bdf.cmp(&b.bdf));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cards_with_a_sensor_count() {
        let root = tempfile::tempdir().expect("folder");
        let device = |bdf: &str, vendor: &str, reading: Option<&str>| {
            let sensor = root.path().join(bdf).join("hwmon/hwmon3");
            fs::create_dir_all(&sensor).expect("folders");
            fs::write(root.path().join(bdf).join("vendor"), vendor).expect("vendor");
            if let Some(reading) = reading {
                fs::write(sensor.join("power1_input"), reading).expect("reading");
            }
        };
        device("0000:3b:00.1", "0x10ee\n", Some("27125000\n"));
        device("0000:3b:00.0", "0x10ee\n", None);
        device("0000:01:00.0", "0x10de\n", Some("61000000\n"));
        device("0000:5e:00.1", "0x10ee\n", Some("garbage"));
        let found = readings_in(root.path());
        assert_eq!(found, [CardPower { bdf: "0000:3b:00.1".into(), power_w: 27.125 }]);
        assert_eq!(readings_in(&root.path().join("none")), []);
    }
}
