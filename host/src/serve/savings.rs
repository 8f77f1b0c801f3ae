//! What a request may leave out: visual tokens of its pictures, and layers of the language model.
//!
//! All are extensions of the API, see `host/doc/serve.md`. What the server's options say holds for requests that say
//! nothing; what the program cannot do is refused.

use super::error::ApiError;
use crate::device::ModelInfo;
use crate::exits::{Calibration, Exits};
use crate::source::Source;
use anyhow::{ensure, Result};
use flightvlm_compiler::graph::{Method, Prune};
use serde::Deserialize;
use serde_json::Value;

/// What requests leave out that say nothing, and what they may.
#[derive(Clone, Debug, Default)]
pub struct Savings {
    /// Early exits by budget.
    pub exits: Option<Calibration>,
    /// Cycles of the language model that a question may take on average.
    pub budget: Option<u64>,
    /// Layers that rows run through; `None`: all, or as the budget says.
    pub layers: Option<usize>,
    /// Devices can run a part of the layers.
    pub can_leave: bool,
}

/// The fields of a request.
#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    visual_tokens: Option<u64>,
    prune: Option<String>,
    exit_layer: Option<u64>,
    exit_budget: Option<u64>,
}

/// How far a request's rows run.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// Layers, where there are no exits.
    pub layers: usize,
    /// Where they may end.
    pub exits: Option<Exits>,
}

impl Asked {
    /// Reads the fields of a body.
    pub fn from_json(body: &Value) -> Result<Asked, ApiError> {
        serde_path_to_error::deserialize(body).map_err(|error| {
            let (path, what) = (error.path().to_string(), error.inner().to_string());
            ApiError::value(path.clone(), format!("{path}: {what}"))
        })
    }

    /// The model with the pictures' tokens that this request wants.
    pub fn model(&self, source: &Source, info: &ModelInfo) -> Result<ModelInfo, ApiError> {
        let mut info = info.clone();
        let method = match self.prune.as_deref() {
            None | Some("none") => None,
            Some(name) => Some(name.parse::<Method>().map_err(|what| ApiError::value("prune", what))?),
        };
        let prune = match (self.visual_tokens, self.prune.as_deref()) {
            (None, None) => return Ok(info),
            (None, Some("none")) => None,
            (None, Some(_)) => {
                return Err(ApiError::value(
                    "prune",
                    "prune needs visual_tokens: how many tokens of a tile stay",
                ))
            }
            (Some(_), Some("none")) => {
                return Err(ApiError::value(
                    "prune",
                    "prune \"none\" keeps all tokens; leave visual_tokens out",
                ))
            }
            (Some(tokens), _) => {
                let before = info.image.as_ref().and_then(|image| image.prune).map(|prune| prune.method);
                let method = method.or(before).unwrap_or(Method::Fastervlm);
                let prune = Prune { method, tokens: usize::try_from(tokens).unwrap_or(usize::MAX) };
                source.check_prune(&prune).map_err(|fault| {
                    let what = format!(
                        "visual_tokens {tokens} by {method}: expected {}, got {}",
                        fault.expected, fault.got
                    );
                    ApiError::unsupported("visual_tokens", what)
                })?;
                Some(prune)
            }
        };
        match &mut info.image {
            Some(image) => {
                image.rows = prune.map_or(image.rows_unpruned, |prune| prune.tokens);
                image.prune = prune;
            }
            None => {
                return Err(ApiError::unsupported(
                    "prune",
                    format!("{} takes no pictures", info.architecture),
                ))
            }
        }
        Ok(info)
    }
}

impl Savings {
    /// Fails on what no request could be answered with.
    pub fn check(&self, info: &ModelInfo) -> Result<()> {
        if let Some(layers) = self.layers {
            info.check_depth(layers)?;
            ensure!(
                self.can_leave || layers == info.layers,
                "--exit-layer {layers}: this program runs all layers; compile it with --early-exit"
            );
        }
        if let (Some(exits), Some(budget)) = (&self.exits, self.budget) {
            exits.plan(budget)?;
        }
        Ok(())
    }

    /// How far a request runs.
    pub fn way(&self, asked: &Asked, info: &ModelInfo) -> Result<Way, ApiError> {
        let whole = Way { layers: info.layers, exits: None };
        let layers = match (asked.exit_layer, asked.exit_budget) {
            (Some(_), Some(_)) => {
                let what = "exit_layer and exit_budget are two ways to leave early; give one of them";
                return Err(ApiError::value("exit_budget", what));
            }
            (None, Some(budget)) => return self.by_budget(budget, whole),
            (None, None) => match (self.layers, self.budget) {
                (Some(layers), _) => layers,
                (None, Some(budget)) => return self.by_budget(budget, whole),
                (None, None) => return Ok(whole),
            },
            (Some(layers), None) => usize::try_from(layers).unwrap_or(usize::MAX),
        };
        info.check_depth(layers).map_err(|error| ApiError::value("exit_layer", error.to_string()))?;
        if layers < info.layers && !self.can_leave {
            let what = "this server's program runs all layers; start it with --early-exit, or with a program compiled so";
            return Err(ApiError::unsupported("exit_layer", what));
        }
        Ok(Way { layers, ..whole })
    }

    fn by_budget(&self, budget: u64, whole: Way) -> Result<Way, ApiError> {
        let Some(exits) = &self.exits else {
            let what = "this server has no calibration of early exits; start it with --exits FILE (`flightvlm exits` makes one)";
            return Err(ApiError::unsupported("exit_budget", what));
        };
        let plan = exits.plan(budget).map_err(|error| ApiError::value("exit_budget", error.to_string()))?;
        Ok(Way { exits: Some(plan.exits(exits.layers[0])), ..whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn info() -> ModelInfo {
        ModelInfo {
            architecture: "test".into(),
            vocabulary: 10,
            layers: 4,
            outputs: 10,
            answers: true,
            max_context: 8,
            stop_ids: vec![],
            image: None,
        }
    }

    fn way(savings: &Savings, body: Value) -> Result<Way, ApiError> {
        savings.way(&Asked::from_json(&body)?, &info())
    }

    #[test]
    fn requests_choose_layers_where_the_program_can() {
        let (none, can) = (Savings::default(), Savings { can_leave: true, ..Savings::default() });
        let layers = |savings: &Savings, body| way(savings, body).map(|way| (way.layers, way.exits));
        assert_eq!(layers(&none, json!({})), Ok((4, None)));
        assert_eq!(layers(&none, json!({"exit_layer": 4})), Ok((4, None)));
        assert_eq!(layers(&can, json!({"exit_layer": 2})), Ok((2, None)));
        let by_default = Savings { layers: Some(3), ..can.clone() };
        assert_eq!(layers(&by_default, json!({})), Ok((3, None)));
        assert_eq!(layers(&by_default, json!({"exit_layer": 4})), Ok((4, None)));
        for (savings, body, param, code, word) in [
            (&none, json!({"exit_layer": 2}), "exit_layer", "unsupported_value", "--early-exit"),
            (&can, json!({"exit_layer": 0}), "exit_layer", "invalid_value", "1 to 4"),
            (&can, json!({"exit_layer": 5}), "exit_layer", "invalid_value", "1 to 4"),
            (&can, json!({"exit_layer": "2"}), "exit_layer", "invalid_value", "invalid type"),
            (&can, json!({"exit_budget": 5}), "exit_budget", "unsupported_value", "--exits FILE"),
            (&can, json!({"exit_layer": 2, "exit_budget": 5}), "exit_budget", "invalid_value", "one of them"),
        ] {
            let error = way(savings, body).expect_err(param);
            assert_eq!((error.param.as_deref(), error.code), (Some(param), code), "{}", error.message);
            assert!(error.message.contains(word), "{}", error.message);
        }
        assert!(Savings { layers: Some(2), ..none }.check(&info()).is_err());
        assert!(by_default.check(&info()).is_ok());
    }
}
