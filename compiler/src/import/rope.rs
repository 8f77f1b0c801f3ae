//! Rotary frequencies from `rope_theta`, `rope_scaling` or `rope_parameters`.
//!
//! Source: Hugging Face `modeling_rope_utils`; all its types for one kind of layer.

use super::fields::{Fields, FIX_CONFIG};
use crate::diag::Diagnostics;
use crate::graph::{plain_frequencies, Frequencies, Rotary};
use serde_json::{Map, Value};

/// The rotary settings of a language model.
pub(super) struct RopeConfig {
    pub theta: f64,
    pub rotary: Rotary,
    /// Positions that a length-dependent scaling makes of `max_position_embeddings`.
    pub stretched: Option<usize>,
}

const SUPPORTED: &str = "default, linear, dynamic, yarn, longrope, llama3";
const OTHER_ROPE: &str = "use a checkpoint with one of the supported rotary scalings";

/// Sizes of the text model that the frequencies depend on.
pub(super) struct HeadShape {
    pub head_dim: usize,
    pub max_position: usize,
    /// Share of a head that turns, where the configuration does not say.
    pub partial: f64,
}

/// Reads the rotary settings of a text configuration.
pub(super) fn read(
    path: &str,
    map: &Map<String, Value>,
    shape: &HeadShape,
    faults: &mut Diagnostics,
) -> RopeConfig {
    let nested_path = |key: &str| match path {
        "" => key.to_string(),
        path => format!("{path}.{key}"),
    };
    let mut fields = Fields::new(path, map, faults);
    let outer_theta = fields.number("rope_theta");
    let outer_partial = fields.number("partial_rotary_factor");
    let outer_original = fields.number("original_max_position_embeddings");
    let key = ["rope_parameters", "rope_scaling"].into_iter().find(|k| fields.get(k).is_some());
    let nested = key.and_then(|key| Some((nested_path(key), fields.object(key)?)));
    let mut theta = outer_theta;
    let mut partial = outer_partial;
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
    }
    let theta = theta.unwrap_or(10_000.0);
    let mut fields = Fields::new(path, map, faults);
    if theta < 1.0 {
        fields.fault("rope_theta", "a base of 1 or more", theta.to_string(), FIX_CONFIG);
    }
    let partial = partial.unwrap_or(shape.partial);
    let columns = (shape.head_dim as f64 * partial) as usize / 2 * 2;
    if !(partial > 0.0 && partial <= 1.0) || columns == 0 {
        let expected = "a share above 0, at most 1, of at least two columns";
        fields.fault("partial_rotary_factor", expected, partial.to_string(), FIX_CONFIG);
    }
    let empty = Map::new();
    let (nested_path, nested) = nested.as_ref().map_or(("", &empty), |(p, m)| (p.as_str(), *m));
    let base = Base { theta, columns: columns.clamp(2, shape.head_dim.max(2)), shape, outer_original };
    let mut fields = Fields::new(nested_path, nested, faults);
    let (frequencies, scaling, stretched) = base.scaled(&mut fields);
    let rotary = Rotary { frequencies, axes: Vec::new(), scaling: scaling as f32 };
    if !rotary.frequencies(1).iter().all(|freq| freq.is_finite()) {
        fields.fault("rope_theta", "finite rotary frequencies", "overflow", FIX_CONFIG);
    }
    RopeConfig { theta, rotary, stretched }
}

/// What every scaling starts from.
struct Base<'a> {
    theta: f64,
    columns: usize,
    shape: &'a HeadShape,
    outer_original: Option<f64>,
}

impl Base<'_> {
    /// Frequencies, factor on cos and sin, and positions where the scaling raises them.
    fn scaled(&self, fields: &mut Fields<'_, '_>) -> (Frequencies, f64, Option<usize>) {
        let kind = fields.text("rope_type").or_else(|| fields.text("type")).unwrap_or("default");
        let plain = || plain_frequencies(self.theta as f32, self.columns);
        let fixed = |f: Vec<f32>| (Frequencies::Fixed(f), 1.0, None);
        match kind {
            // `mrope`: the old name of plain frequencies whose pairs follow several axes.
            "default" | "mrope" => fixed(plain()),
            "linear" => {
                let factor = positive(fields, "factor") as f32;
                fixed(plain().into_iter().map(|f| f / factor).collect())
            }
            "dynamic" => {
                let factor = positive(fields, "factor");
                let positions = self.shape.max_position;
                if self.columns <= 2 {
                    fields.fault("rope_type", "heads of more than two turning columns", kind, OTHER_ROPE);
                }
                let f = Frequencies::Dynamic {
                    theta: self.theta as f32,
                    columns: self.columns,
                    factor,
                    positions,
                };
                (f, 1.0, Some((positions as f64 * factor) as usize))
            }
            "llama3" => fixed(self.llama3(fields, plain())),
            "yarn" => self.yarn(fields),
            "longrope" | "su" => self.longrope(fields),
            other => {
                fields.fault("rope_type", SUPPORTED, other, OTHER_ROPE);
                fixed(plain())
            }
        }
    }

    fn llama3(&self, fields: &mut Fields<'_, '_>, plain: Vec<f32>) -> Vec<f32> {
        let factor = positive(fields, "factor");
        let low = positive(fields, "low_freq_factor");
        let high = positive(fields, "high_freq_factor");
        let original = positive(fields, "original_max_position_embeddings");
        if high <= low {
            let got = format!("{high} against low_freq_factor {low}");
            fields.fault("high_freq_factor", "more than low_freq_factor", got, FIX_CONFIG);
        }
        let scaled = |freq: f32| {
            let freq = f64::from(freq);
            let wavelength = std::f64::consts::TAU / freq;
            let smooth = ((original / wavelength - low) / (high - low)).clamp(0.0, 1.0);
            ((1.0 - smooth) * freq / factor + smooth * freq) as f32
        };
        plain.into_iter().map(scaled).collect()
    }

    /// `original_max_position_embeddings`, inside the scaling's object or beside it.
    fn original(&self, fields: &mut Fields<'_, '_>) -> f64 {
        let key = "original_max_position_embeddings";
        let default = self.outer_original.unwrap_or(self.shape.max_position as f64);
        let value = fields.number(key).unwrap_or(default);
        if value >= 1.0 {
            return value;
        }
        fields.fault(key, "a number of at least 1", value.to_string(), FIX_CONFIG);
        self.shape.max_position as f64
    }

    /// arXiv 2309.00071: low frequencies are interpolated, high ones kept, a ramp between.
    fn yarn(&self, fields: &mut Fields<'_, '_>) -> (Frequencies, f64, Option<usize>) {
        let original = self.original(fields);
        let factor = fields.number("factor").unwrap_or(self.shape.max_position as f64 / original);
        let fast = fields.number("beta_fast").unwrap_or(32.0);
        let slow = fields.number("beta_slow").unwrap_or(1.0);
        let truncate = fields.flag("truncate", true);
        let mscale = |m: f64| if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 };
        let given = (fields.number("mscale"), fields.number("mscale_all_dim"));
        let scaling = fields.number("attention_factor").unwrap_or(match given {
            (Some(m), Some(all)) if m != 0.0 && all != 0.0 => mscale(m) / mscale(all),
            _ => mscale(1.0),
        });
        if factor <= 0.0 || fast <= 0.0 || slow <= 0.0 || self.theta <= 1.0 {
            let got = format!("factor {factor}, beta_fast {fast}, beta_slow {slow}");
            fields.fault("factor", "positive constants of the YaRN scaling", got, FIX_CONFIG);
        }
        let columns = self.columns as f64;
        let turns = |rotations: f64| {
            columns * (original / (rotations * std::f64::consts::TAU)).ln() / (2.0 * self.theta.ln())
        };
        let (mut low, mut high) = (turns(fast), turns(slow));
        if truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(columns - 1.0));
        if low == high {
            high += 0.001;
        }
        let frequency = |(pair, plain): (usize, f32)| {
            let keep = 1.0 - ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0) as f32;
            plain / factor as f32 * (1.0 - keep) + plain * keep
        };
        let plain = plain_frequencies(self.theta as f32, self.columns);
        (Frequencies::Fixed(plain.into_iter().enumerate().map(frequency).collect()), scaling, None)
    }

    /// arXiv 2402.13753: each frequency has a factor of its own, another one for long sequences.
    fn longrope(&self, fields: &mut Fields<'_, '_>) -> (Frequencies, f64, Option<usize>) {
        let original = self.original(fields);
        let factor = fields.number("factor").unwrap_or(self.shape.max_position as f64 / original);
        let plain = plain_frequencies(self.theta as f32, self.columns);
        let mut divided = |key: &str| {
            let list: Option<Vec<f32>> = fields
                .get(key)
                .and_then(Value::as_array)
                .and_then(|list| list.iter().map(|v| v.as_f64().map(|v| v as f32)).collect());
            match list.filter(|list| list.len() == plain.len() && list.iter().all(|v| *v > 0.0)) {
                Some(list) => plain.iter().zip(list).map(|(f, by)| f / by).collect(),
                None => {
                    let expected = format!("a list of {} positive numbers", plain.len());
                    fields.fault(key, expected, "another value", FIX_CONFIG);
                    plain.clone()
                }
            }
        };
        let (short, long) = (divided("short_factor"), divided("long_factor"));
        let default = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / original.ln()).sqrt() };
        let scaling = fields.number("attention_factor").unwrap_or(default);
        (Frequencies::ByLength { short, long, positions: original as usize }, scaling, None)
    }
}

fn positive(fields: &mut Fields<'_, '_>, key: &str) -> f64 {
    let value = fields.number(key).filter(|value| *value > 0.0);
    if value.is_none() {
        fields.fault(key, "a number above 0", "no such number", FIX_CONFIG);
    }
    value.unwrap_or(1.0)
}
