//! Watts and joules from what the simulator counted.

use super::parts::{Parts, Use};
use super::Spread;
use flightvlm_hw::config::HwConfig;
use serde::Serialize;

/// The null model: a U280 with an HBM design draws this much, whatever it does. Mean and deviation of
/// six published designs (FlightLLM 45, DFX 45, Serpens 48, Sextans 52, GraphLily 43, TerEffic 46 W; the
/// survey of arXiv:2410.04466 and the papers' own ratios; four of them second-hand).
pub const CONSTANT_W: f64 = 46.5;
/// Its deviation.
pub const CONSTANT_SIGMA_W: f64 = 3.1;
/// One standard deviation of the component model, absolute, as a share: the model is identifiable no
/// better from what is published. Between configurations of one design, a tenth.
pub const ABSOLUTE_SIGMA: f64 = 0.25;

/// Watts that do not depend on the program: card configured, clocks running, HBM refreshing, no optics.
/// A judgement from readings of idle cards (PC2 Paderborn, hwmon: U280 39.2, 41.4 and 58.3 W with
/// unknown load; U55C 14.5 and 15.0 W, which has no DDR).
const IDLE_U280_W: Spread = Spread::new(20.0, 28.0, 40.0);
const IDLE_U55C_W: Spread = Spread::new(12.0, 15.0, 20.0);
/// HBM2 stack, PHY, controller and switch, pJ per bit: 7 (Nabavi Larimi et al., DATE 2021) to 12.5 (40 W at
/// 400 GB/s, AMD xbtest 6.0).
const HBM_PJ_PER_BIT: Spread = Spread::new(7.0, 9.5, 12.5);
/// DDR4, pJ per bit: 25 (same slides) to 37 (20 W for writes on four channels, xbtest).
const DDR_PJ_PER_BIT: Spread = Spread::new(25.0, 30.0, 37.0);
/// Toggle rate of a part that waits and of one that works, relative to the power virus. A judgement,
/// held against 45 W of FlightLLM's U280 design, whose logic can have taken 0 to 7 of 126 virus watts.
const TOGGLE_IDLE: Spread = Spread::new(0.01, 0.02, 0.05);
const TOGGLE_BUSY: Spread = Spread::new(0.08, 0.15, 0.30);

/// What happened during some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Activity {
    /// Seconds on the target.
    pub seconds: f64,
    /// Bytes from and to the channels.
    pub channel_bytes: f64,
    /// Bytes from and to main memory.
    pub main_bytes: f64,
    /// Share of the array's peak.
    pub array: f64,
    /// Share of the channels' peak.
    pub channels: f64,
    /// Share of the time in which the matrix unit executed.
    pub matrix: f64,
    /// Share of the time in which the vector unit executed.
    pub vector: f64,
}

/// The component model of a board with a build on it.
#[derive(Clone, Debug)]
pub struct PowerModel {
    idle_w: Spread,
    parts: Parts,
    /// Which board the coefficients are of.
    pub board: &'static str,
}

impl PowerModel {
    /// The model for a configuration. Boards whose power nobody published get the U280's coefficients.
    pub fn of(c: &HwConfig) -> PowerModel {
        let (board, idle_w) = match c.name.as_str() {
            "u55c" => ("Alveo U55C", IDLE_U55C_W),
            "u280" => ("Alveo U280", IDLE_U280_W),
            _ => ("Alveo U280 (coefficients of that board, this configuration on it)", IDLE_U280_W),
        };
        PowerModel { idle_w, parts: Parts::of(c), board }
    }

    /// Mean power, watts, by part: idle, HBM, DDR, then the design's parts.
    pub fn by_part(&self, a: &Activity) -> Vec<(&'static str, Spread)> {
        let seconds = a.seconds.max(1e-12);
        let mut out = vec![
            ("idle", self.idle_w),
            ("HBM", HBM_PJ_PER_BIT * (a.channel_bytes * 8.0 * 1e-12 / seconds)),
            ("DDR", DDR_PJ_PER_BIT * (a.main_bytes * 8.0 * 1e-12 / seconds)),
        ];
        for part in &self.parts.0 {
            let share = match part.driven_by {
                Use::Array => a.array,
                Use::Channels => a.channels,
                Use::Vector => a.vector,
                Use::Memories => a.matrix.max(a.vector),
                Use::Control => 0.0,
            };
            let share = share.clamp(0.0, 1.0);
            let toggle = TOGGLE_IDLE * (1.0 - share) + TOGGLE_BUSY * share;
            out.push((part.name, toggle * part.virus_w));
        }
        out
    }

    /// Mean power, watts.
    pub fn power_w(&self, a: &Activity) -> Spread {
        self.by_part(a).into_iter().map(|(_, watts)| watts).sum()
    }

    /// Joules.
    pub fn energy_j(&self, a: &Activity) -> Spread {
        self.power_w(a) * a.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode() -> Activity {
        // Three quarters of 460.8 GB/s for a second.
        Activity {
            seconds: 1.0,
            channel_bytes: 345.6e9,
            main_bytes: 1e9,
            array: 0.35,
            channels: 0.75,
            matrix: 0.8,
            vector: 0.2,
        }
    }

    #[test]
    fn ends_are_in_order_and_parts_add_up() {
        let model = PowerModel::of(&HwConfig::u280());
        let w = model.power_w(&decode());
        assert!(w.low < w.mid && w.mid < w.high, "{w:?}");
        let sum: f64 = model.by_part(&decode()).iter().map(|(_, part)| part.mid).sum();
        assert!((sum - w.mid).abs() < 1e-9);
        assert_eq!(model.energy_j(&decode()), w);
    }

    #[test]
    fn published_designs_lie_inside_the_ends() {
        // FlightLLM reads 173 GB/s at 45 W; a design this size at that rate must allow for it.
        let slow = Activity { channel_bytes: 173e9, channels: 0.375, array: 0.2, ..decode() };
        let w = PowerModel::of(&HwConfig::u280()).power_w(&slow);
        assert!(w.low < 45.0 && 45.0 < w.high, "{w:?}");
        assert!(w.low < CONSTANT_W && CONSTANT_W < w.high, "{w:?}");
    }

    #[test]
    fn more_work_takes_more_power_and_memory_energy_is_exact() {
        let model = PowerModel::of(&HwConfig::u280());
        let busy = Activity { array: 0.9, vector: 0.6, ..decode() };
        assert!(model.power_w(&busy).mid > model.power_w(&decode()).mid);
        let hbm = model.by_part(&decode())[1].1;
        assert!((hbm.mid - 345.6e9 * 8.0 * 9.5e-12).abs() < 1e-9, "{hbm:?}");
        let small = PowerModel::of(&HwConfig::sim()).power_w(&decode()).mid;
        assert!(small < model.power_w(&decode()).mid);
    }
}
