//! Named special tokens (`bos_token`, `eos_token`, ...), which chat templates read.

use super::TextError;
use serde_json::Value;
use std::collections::BTreeMap;

/// Name to spelling, from `tokenizer_config.json` and `special_tokens_map.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    tokens: BTreeMap<String, String>,
}

impl SpecialTokens {
    /// Adds every `..._token` key of a JSON file; keys already there stay.
    ///
    /// A token is written as a string or as an object with a `content` string.
    pub fn merge(&mut self, file: &str, bytes: &[u8]) -> Result<(), TextError> {
        let json: Value = serde_json::from_slice(bytes)
            .map_err(|error| TextError::File { file: file.into(), message: error.to_string() })?;
        for (name, value) in json.as_object().into_iter().flatten() {
            let spelling = value.as_str().or_else(|| value.get("content").and_then(Value::as_str));
            if let (true, Some(spelling)) = (name.ends_with("_token"), spelling) {
                self.tokens.entry(name.clone()).or_insert_with(|| spelling.to_owned());
            }
        }
        Ok(())
    }

    /// The spelling of a named token, such as `bos_token`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.tokens.get(name).map(String::as_str)
    }

    /// All names and spellings.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tokens.iter().map(|(name, token)| (name.as_str(), token.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_and_precedence() {
        let mut tokens = SpecialTokens::default();
        let config = br#"{"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>",
            "unk_token": null, "add_bos_token": true, "model_max_length": 5}"#;
        tokens.merge("tokenizer_config.json", config).unwrap();
        tokens.merge("special_tokens_map.json", br#"{"eos_token": "other"}"#).unwrap();
        let all: Vec<_> = tokens.iter().collect();
        assert_eq!(all, [("bos_token", "<s>"), ("eos_token", "</s>")]);
    }
}
