//! Rotary frequencies from `rope_theta`, `rope_scaling` or `rope_parameters`.
//!
//! Source: Hugging Face `modeling_rope_utils`; types `default`, `linear` and `llama3`.

use super::fields::{Fields, FIX_CONFIG};
use crate::diag::Diagnostics;
use serde_json::{Map, Value};

/// What [`crate::graph::Op::Rope`] needs.
pub(super) struct RopeTable {
    pub theta: f64,
    pub inv_freq: Vec<f32>,
    pub attention_scaling: f32,
}

const SUPPORTED: &str = "default, linear, llama3";
const OTHER_ROPE: &str = "use a checkpoint with one of the supported rotary scalings";

/// Reads the rotary settings of a text configuration.
pub(super) fn read(
    path: &str,
    map: &Map<String, Value>,
    head_dim: usize,
    faults: &mut Diagnostics,
) -> RopeTable {
    let nested_path = |key: &str| match path {
        "" => key.to_string(),
        path => format!("{path}.{key}"),
    };
    let mut fields = Fields::new(path, map, faults);
    let outer_theta = fields.number("rope_theta");
    let outer_partial = fields.number("partial_rotary_factor");
    let key = ["rope_parameters", "rope_scaling"].into_iter().find(|k| fields.get(k).is_some());
    let nested = key.and_then(|key| Some((nested_path(key), fields.object(key)?)));
    let mut theta = outer_theta;
    let mut partial = outer_partial;
    let mut scaling = Scaling::Default;
    if let Some((nested_path, nested)) = &nested {
        let mut fields = Fields::new(nested_path, nested, faults);
        let inner = fields.number("rope_theta");
        if let (Some(inner), Some(outer)) = (inner, outer_theta) {
            if inner != outer {
                fields.fault("rope_theta", outer.to_string(), inner.to_string(), FIX_CONFIG);
            }
        }
        theta = inner.or(theta);
        partial = fields.number("partial_rotary_factor").or(partial);
        scaling = Scaling::read(&mut fields);
    }
    let theta = theta.unwrap_or(10_000.0);
    let mut fields = Fields::new(path, map, faults);
    if theta < 1.0 {
        fields.fault("rope_theta", "a base of 1 or more", theta.to_string(), FIX_CONFIG);
    }
    if let Some(partial) = partial.filter(|partial| *partial != 1.0) {
        fields.fault("partial_rotary_factor", "1.0", partial.to_string(), OTHER_ROPE);
    }
    let base = theta as f32;
    let unscaled = (0..head_dim / 2)
        .map(|pair| 1.0 / base.powf((2 * pair) as f32 / head_dim as f32))
        .collect::<Vec<f32>>();
    let inv_freq: Vec<f32> = unscaled.into_iter().map(|freq| scaling.apply(freq)).collect();
    if !inv_freq.iter().all(|freq| freq.is_finite()) {
        fields.fault("rope_theta", "finite rotary frequencies", "overflow", FIX_CONFIG);
    }
    RopeTable { theta, inv_freq, attention_scaling: 1.0 }
}

enum Scaling {
    Default,
    Linear { factor: f64 },
    Llama3 { factor: f64, low: f64, high: f64, original: f64 },
}

impl Scaling {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let kind = fields.text("rope_type").or_else(|| fields.text("type")).unwrap_or("default");
        let mut positive = |key: &str| {
            let value = fields.number(key).filter(|value| *value > 0.0);
            if value.is_none() {
                fields.fault(key, "a number above 0", "no such number", FIX_CONFIG);
            }
            value.unwrap_or(1.0)
        };
        match kind {
            "default" => Scaling::Default,
            "linear" => Scaling::Linear { factor: positive("factor") },
            "llama3" => {
                let factor = positive("factor");
                let low = positive("low_freq_factor");
                let high = positive("high_freq_factor");
                let original = positive("original_max_position_embeddings");
                if high <= low {
                    let got = format!("{high} against low_freq_factor {low}");
                    fields.fault("high_freq_factor", "more than low_freq_factor", got, FIX_CONFIG);
                }
                Scaling::Llama3 { factor, low, high, original }
            }
            other => {
                fields.fault("rope_type", SUPPORTED, other, OTHER_ROPE);
                Scaling::Default
            }
        }
    }

    fn apply(&self, freq: f32) -> f32 {
        match *self {
            Scaling::Default => freq,
            Scaling::Linear { factor } => freq / factor as f32,
            Scaling::Llama3 { factor, low, high, original } => {
                let freq = f64::from(freq);
                let wavelength = std::f64::consts::TAU / freq;
                let smooth = ((original / wavelength - low) / (high - low)).clamp(0.0, 1.0);
                ((1.0 - smooth) * freq / factor + smooth * freq) as f32
            }
        }
    }
}
