//! The fields that chat and plain completions share.

use super::error::ApiError;
use crate::exits::Exits;
use crate::generate::Options;
use crate::sampler::Sampling;
use serde::Deserialize;
use serde_json::Value;

/// Decoded from the body; unknown fields are ignored, known ones that would change the answer and are
/// not supported are refused.
#[derive(Debug, Deserialize)]
pub struct Common {
    /// Which model.
    pub model: Option<String>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<i64>,
    stop: Option<Stop>,
    n: Option<u64>,
    /// An extension: device counts with every piece of text.
    device_figures: Option<bool>,
    /// An extension, as elsewhere: the end token is a token like others.
    ignore_eos: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// Most stop strings, as in the API.
const MAX_STOPS: usize = 4;
/// Longest stop string.
const MAX_STOP_BYTES: usize = 256;

/// Fields of the API that this server cannot honour, with the values that change nothing.
const UNSUPPORTED: [(&str, &[&str]); 15] = [
    ("tools", &["[]"]),
    ("functions", &["[]"]),
    ("tool_choice", &["\"none\"", "\"auto\""]),
    ("function_call", &["\"none\"", "\"auto\""]),
    ("response_format", &["{\"type\":\"text\"}"]),
    ("logprobs", &["false"]),
    ("top_logprobs", &["0"]),
    ("logit_bias", &["{}"]),
    ("presence_penalty", &["0", "0.0"]),
    ("frequency_penalty", &["0", "0.0"]),
    ("modalities", &["[\"text\"]"]),
    ("audio", &[]),
    ("best_of", &["1"]),
    ("echo", &["false"]),
    ("suffix", &["\"\""]),
];

impl Common {
    /// Reads and checks the fields.
    pub fn from_json(body: &Value) -> Result<Common, ApiError> {
        if !body.is_object() {
            return Err(ApiError::value("body", "the body must be a JSON object"));
        }
        for (name, harmless) in UNSUPPORTED {
            let Some(value) = body.get(name).filter(|value| !value.is_null()) else { continue };
            if !harmless.contains(&value.to_string().as_str()) {
                let what = format!("{name} is not supported by this server; leave it out");
                return Err(ApiError::unsupported(name, what));
            }
        }
        let common: Common = serde_path_to_error::deserialize(body).map_err(|error| {
            let (path, what) = (error.path().to_string(), error.inner().to_string());
            ApiError::value(path.clone(), format!("{path}: {what}"))
        })?;
        if common.n.is_some_and(|n| n != 1) {
            return Err(ApiError::unsupported("n", "only one answer per request: n must be 1"));
        }
        Ok(common)
    }

    /// Whether text is sent as it comes.
    pub fn streams(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    /// Whether a stream ends with the token counts.
    pub fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage.unwrap_or(false))
    }

    /// Whether every chunk carries the device's counts.
    pub fn wants_figures(&self) -> bool {
        self.device_figures.unwrap_or(false)
    }

    /// New tokens asked for.
    pub fn new_tokens(&self) -> Result<Option<usize>, ApiError> {
        let asked = self.max_completion_tokens.or(self.max_tokens);
        let name = if self.max_completion_tokens.is_some() { "max_completion_tokens" } else { "max_tokens" };
        match asked {
            Some(0) => Err(ApiError::value(name, format!("{name} must be at least 1"))),
            asked => Ok(asked.map(|n| usize::try_from(n).unwrap_or(usize::MAX))),
        }
    }

    /// Sampling and stops. Greedy where neither temperature nor top_p is given; `fresh_seed` draws
    /// where no seed is.
    pub fn options(
        &self,
        max_new_tokens: usize,
        stop_ids: &[u32],
        fresh_seed: u64,
        exits: Option<Exits>,
    ) -> Result<Options, ApiError> {
        let range = |name: &str, value: Option<f64>, least: f64, most: f64| match value {
            Some(v) if !(least..=most).contains(&v) => {
                Err(ApiError::value(name, format!("{name} is {v}; expected {least} to {most}")))
            }
            _ => Ok(value),
        };
        let temperature = range("temperature", self.temperature, 0.0, 2.0)?;
        let top_p = range("top_p", self.top_p, 0.0, 1.0)?;
        let sampling = match (temperature, top_p) {
            (None, None) | (Some(0.0), _) | (_, Some(0.0)) => Sampling::Greedy,
            (temperature, top_p) => Sampling::TopP {
                temperature: temperature.unwrap_or(1.0),
                top_p: top_p.unwrap_or(1.0),
                seed: self.seed.map_or(fresh_seed, |seed| seed as u64),
            },
        };
        let stop_strings = match &self.stop {
            None => vec![],
            Some(Stop::One(text)) => vec![text.clone()],
            Some(Stop::Many(texts)) => texts.clone(),
        };
        if stop_strings.len() > MAX_STOPS || stop_strings.iter().any(|text| text.len() > MAX_STOP_BYTES) {
            let what = format!("at most {MAX_STOPS} stop texts of {MAX_STOP_BYTES} bytes are accepted");
            return Err(ApiError::value("stop", what));
        }
        let stop_ids = if self.ignore_eos.unwrap_or(false) { vec![] } else { stop_ids.to_vec() };
        Ok(Options { max_new_tokens, sampling, stop_ids, stop_strings, exits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(body: Value) -> ApiError {
        let checked = Common::from_json(&body).and_then(|common| {
            common.new_tokens()?;
            common.options(1, &[], 0, None)
        });
        checked.expect_err(&body.to_string())
    }

    #[test]
    fn every_kind_of_wrong_field_is_named() {
        for (body, param) in [
            (json!([]), "body"),
            (json!({"temperature": 2.5}), "temperature"),
            (json!({"temperature": "hot"}), "temperature"),
            (json!({"top_p": -0.1}), "top_p"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_tokens": -3}), "max_tokens"),
            (json!({"max_completion_tokens": 0}), "max_completion_tokens"),
            (json!({"n": 2}), "n"),
            (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
            (json!({"stop": 5}), "stop"),
            (json!({"stream": "yes"}), "stream"),
            (json!({"stream_options": {"include_usage": 1}}), "stream_options.include_usage"),
            (json!({"tools": [{}]}), "tools"),
            (json!({"response_format": {"type": "json_object"}}), "response_format"),
            (json!({"logprobs": true}), "logprobs"),
            (json!({"presence_penalty": 0.5}), "presence_penalty"),
        ] {
            let error = refused(body);
            assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
            assert_eq!(error.status.as_u16(), 400);
        }
    }

    #[test]
    fn harmless_and_unknown_fields_pass() {
        let body = json!({"model": "m", "tools": [], "tool_choice": "auto", "logit_bias": null, "n": 1,
            "presence_penalty": 0.0, "user": "x", "store": false, "temperature": 0, "stop": "."});
        let common = Common::from_json(&body).expect("fine");
        let options = common.options(3, &[2], 0, None).expect("fine");
        assert_eq!((options.sampling, options.stop_strings), (Sampling::Greedy, vec![".".to_owned()]));
    }

    #[test]
    fn seeds_are_the_clients_or_fresh() {
        let seed =
            |body: Value| match Common::from_json(&body).unwrap().options(1, &[], 77, None).unwrap().sampling
            {
                Sampling::TopP { seed, .. } => seed,
                Sampling::Greedy => panic!("greedy"),
            };
        assert_eq!(seed(json!({"temperature": 1, "seed": 5})), 5);
        assert_eq!(seed(json!({"top_p": 0.5, "seed": -1})), u64::MAX);
        assert_eq!(seed(json!({"temperature": 1})), 77);
    }
}
