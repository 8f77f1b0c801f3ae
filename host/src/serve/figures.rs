//! Figures of the device for one request: simulated time, modelled energy. Kept apart from everything
//! that the API defines.

use super::job::Progress;
use crate::energy::{PowerModel, Spread, CONSTANT_W};
use crate::profile::activity;
use flightvlm_hw::config::HwConfig;
use serde_json::{json, Value};

/// What turns counts into figures.
pub struct Figures {
    config: HwConfig,
    power: PowerModel,
}

impl Figures {
    /// For a target.
    pub fn new(config: HwConfig) -> Figures {
        Figures { power: PowerModel::of(&config), config }
    }

    /// The `device` object of an answer.
    pub fn json(&self, progress: &Progress) -> Value {
        let c = &self.config;
        let stats = &progress.stats;
        let ms = |cycles: Option<u64>| cycles.map(|cycles| cycles as f64 / f64::from(c.clock_mhz) / 1e3);
        let phases = [("vision", stats.vision), ("prefill", stats.prefill), ("decode", stats.decode)];
        let mut joules = Spread::default();
        let mut phase_ms = serde_json::Map::new();
        let mut seconds = 0.0;
        for (name, phase) in &phases {
            if let Some(activity) = activity(phase, c) {
                joules = joules + self.power.energy_j(&activity);
                seconds += activity.seconds;
            }
            phase_ms.insert(format!("{name}_ms"), json!(ms(phase.cycles)));
        }
        let decode = activity(&stats.decode, c);
        let steps = stats.decode.calls;
        let rate = |a: crate::energy::Activity| steps as f64 / a.seconds.max(1e-12);
        json!({
            "basis": if c.projected { "projected" } else { "simulated" },
            "energy_basis": "modelled",
            "target": c.name,
            "clock_mhz": c.clock_mhz,
            "reused_tokens": progress.reused,
            "new_tokens": progress.tokens,
            "layers": progress.layers,
            "phases": phase_ms,
            "cycles": stats.total().cycles,
            "decode_tok_s": decode.filter(|_| steps > 0).map(rate),
            "hbm_bytes": stats.total().channel_bytes,
            "hbm_utilization": decode.filter(|_| steps > 0).map(|a| a.channels),
            "mac_utilization_prefill": activity(&stats.prefill, c).map(|a| a.array),
            "joules": joules,
            "joules_constant_power": CONSTANT_W * seconds,
        })
    }
}
