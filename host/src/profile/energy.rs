//! Energy of a profiled request: stage by stage, then for the whole of it and for a token.

use super::phase::Phase;
use super::Profile;
use crate::energy::{PowerModel, Spread, ABSOLUTE_SIGMA, CONSTANT_SIGMA_W, CONSTANT_W};
use flightvlm_hw::config::HwConfig;
use serde::Serialize;

/// One stage.
#[derive(Clone, Debug, Serialize)]
pub struct StageEnergy {
    /// `vision`, `prefill`, `decode`.
    pub stage: &'static str,
    /// Mean power, watts.
    pub power_w: Spread,
    /// Joules.
    pub joules: Spread,
    /// Mean power by part of the card, likely values, watts.
    pub by_part_w: Vec<(&'static str, f64)>,
}

/// The null model's answer to the same question.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ConstantPower {
    /// Watts, always.
    pub power_w: f64,
    /// One standard deviation of it.
    pub sigma_w: f64,
    /// Joules a request.
    pub j_per_request: f64,
    /// Joules a token.
    pub j_per_token: f64,
}

/// Energy of a request, **modelled**.
#[derive(Clone, Debug, Serialize)]
pub struct RequestEnergy {
    /// Board whose coefficients are used.
    pub board: &'static str,
    /// Standard deviation of the absolute values, a share.
    pub sigma: f64,
    /// By stage.
    pub stages: Vec<StageEnergy>,
    /// Mean power over the request, watts.
    pub power_w: Spread,
    /// Joules of the whole request.
    pub j_per_request: Spread,
    /// The same by new token: vision and prompt are paid by the answer.
    pub j_per_token: Spread,
    /// Joules of a decode step alone.
    pub j_per_token_decode: Spread,
    /// The null model.
    pub constant: ConstantPower,
}

impl RequestEnergy {
    /// Of a profile.
    pub fn of(p: &Profile, config: &HwConfig, new_tokens: usize) -> RequestEnergy {
        let model = PowerModel::of(config);
        let stage = |(stage, phase): (&'static str, &Phase)| {
            let activity = phase.activity(config);
            let by_part_w = model.by_part(&activity).into_iter().map(|(part, w)| (part, w.mid)).collect();
            StageEnergy {
                stage,
                power_w: model.power_w(&activity),
                joules: model.energy_j(&activity),
                by_part_w,
            }
        };
        let phases = [("vision", &p.vision), ("prefill", &p.prefill), ("decode", &p.decode)];
        let ran = phases.into_iter().filter(|(_, phase)| phase.launches > 0);
        let stages: Vec<StageEnergy> = ran.map(stage).collect();
        let seconds = (p.vision.ms + p.prefill.ms + p.decode.ms) / 1e3;
        let joules: Spread = stages.iter().map(|stage| stage.joules).sum();
        let tokens = new_tokens.max(1) as f64;
        let steps = new_tokens.saturating_sub(1).max(1) as f64;
        let decode =
            stages.iter().find(|stage| stage.stage == "decode").map_or(Spread::default(), |s| s.joules);
        RequestEnergy {
            board: model.board,
            sigma: ABSOLUTE_SIGMA,
            power_w: joules * (1.0 / seconds.max(1e-12)),
            j_per_request: joules,
            j_per_token: joules * (1.0 / tokens),
            j_per_token_decode: decode * (1.0 / steps),
            constant: ConstantPower {
                power_w: CONSTANT_W,
                sigma_w: CONSTANT_SIGMA_W,
                j_per_request: CONSTANT_W * seconds,
                j_per_token: CONSTANT_W * seconds / tokens,
            },
            stages,
        }
    }
}
