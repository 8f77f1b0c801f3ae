//! Reading `config.json` objects: absent keys take the family's default, wrong values are collected.

use serde_json::{Map, Value};

use crate::diag::{Diagnostic, Diagnostics};

/// One JSON object of the configuration and the place where its faults are collected.
pub(super) struct Fields<'m, 'f> {
    path: &'f str,
    map: &'m Map<String, Value>,
    faults: &'f mut Diagnostics,
}

impl<'m, 'f> Fields<'m, 'f> {
    /// `path` is the object's key path, empty for the file's top level.
    pub(super) fn new(path: &'f str, map: &'m Map<String, Value>, faults: &'f mut Diagnostics) -> Self {
        Self { path, map, faults }
    }

    /// Another object in the same place.
    pub(super) fn inside<'a>(&'a mut self, map: &'a Map<String, Value>) -> Fields<'a, 'a> {
        Fields { path: self.path, map, faults: self.faults }
    }

    /// The value under `key`; JSON null counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'m Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// True when `key` is present and null.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// Where `key` is, for messages.
    pub(super) fn at(&self, key: &str) -> String {
        match self.path {
            "" => format!("config.json: {key}"),
            path => format!("config.json: {path}.{key}"),
        }
    }

    /// Records a fault at `key`.
    pub(super) fn fault(
        &mut self,
        key: &str,
        expected: impl Into<String>,
        got: impl Into<String>,
        help: &str,
    ) {
        let at = self.at(key);
        self.faults.push(Diagnostic::new(at, expected, got, help));
    }

    /// Records that `got` is none of the supported names, with the nearest of them.
    pub(super) fn unsupported<'s>(
        &mut self,
        key: &str,
        supported: impl Iterator<Item = &'s str>,
        got: &str,
        help: &str,
    ) {
        let names: Vec<&str> = supported.collect();
        let closeness = |name: &&&str| strsim::jaro_winkler(name, got);
        let nearest = names.iter().max_by(|a, b| closeness(a).total_cmp(&closeness(b)));
        let help = match nearest {
            Some(nearest) => format!("{help}; the nearest supported one is {nearest}"),
            None => help.to_string(),
        };
        self.fault(key, names.join(", "), got, &help);
    }

    /// An extent in `1..=max`.
    pub(super) fn size(&mut self, key: &str, default: usize, max: usize) -> usize {
        self.optional_size(key, max).unwrap_or(default)
    }

    /// An extent in `1..=max`, or `None` when absent.
    pub(super) fn optional_size(&mut self, key: &str, max: usize) -> Option<usize> {
        let value = self.get(key)?;
        let size = value.as_u64().and_then(|v| usize::try_from(v).ok());
        if let Some(size) = size.filter(|size| (1..=max).contains(size)) {
            return Some(size);
        }
        self.fault(key, format!("a whole number from 1 to {max}"), value.to_string(), FIX_CONFIG);
        None
    }

    /// A finite number.
    pub(super) fn number(&mut self, key: &str) -> Option<f64> {
        let value = self.get(key)?;
        if let Some(number) = value.as_f64().filter(|number| number.is_finite()) {
            return Some(number);
        }
        self.fault(key, "a finite number", value.to_string(), FIX_CONFIG);
        None
    }

    /// A norm's epsilon.
    pub(super) fn epsilon(&mut self, key: &str, default: f64) -> f32 {
        let eps = self.number(key).unwrap_or(default);
        if !(0.0..=0.1).contains(&eps) {
            self.fault(key, "an epsilon from 0 to 0.1", eps.to_string(), FIX_CONFIG);
            return default as f32;
        }
        eps as f32
    }

    /// A truth value.
    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(value) = self.get(key) else {
            return default;
        };
        if let Some(flag) = value.as_bool() {
            return flag;
        }
        self.fault(key, "true or false", value.to_string(), FIX_CONFIG);
        default
    }

    /// A string.
    pub(super) fn text(&mut self, key: &str) -> Option<&'m str> {
        let value = self.get(key)?;
        if let Some(text) = value.as_str() {
            return Some(text);
        }
        self.fault(key, "a string", value.to_string(), FIX_CONFIG);
        None
    }

    /// A nested object.
    pub(super) fn object(&mut self, key: &str) -> Option<&'m Map<String, Value>> {
        let value = self.get(key)?;
        if let Some(object) = value.as_object() {
            return Some(object);
        }
        self.fault(key, "an object", value.to_string(), FIX_CONFIG);
        None
    }

    /// A token id or a list of token ids.
    pub(super) fn token_ids(&mut self, key: &str) -> Option<Vec<u32>> {
        let value = self.get(key)?;
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = match value {
            Value::Array(list) => list.iter().map(id).collect::<Option<Vec<u32>>>(),
            one => id(one).map(|id| vec![id]),
        };
        if ids.is_none() {
            self.fault(key, "a token id or a list of them", value.to_string(), FIX_CONFIG);
        }
        ids
    }
}

/// The next step for a value that no model of the family can have.
pub(super) const FIX_CONFIG: &str =
    "correct config.json, or take it again from the place where the weights came from";
