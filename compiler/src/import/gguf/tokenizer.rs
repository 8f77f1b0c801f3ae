//! `tokenizer.json` and `tokenizer_config.json` from the metadata: byte-level BPE.

use serde_json::{json, Map, Value};

use crate::diag::Diagnostic;

/// Kinds of tokens in `tokenizer.ggml.token_type`.
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

/// Both files; `None` if the file has no tokenizer.
pub(super) fn files(keys: &Map<String, Value>) -> Result<Option<(Value, Value)>, Diagnostic> {
    let get = |key: &str| keys.get(&format!("tokenizer.ggml.{key}"));
    let Some(model) = get("model") else { return Ok(None) };
    let fault = |key: &str, expected: &str, got: String| {
        let help = "put the model's own tokenizer.json into a checkpoint folder with its weights";
        Diagnostic::new(format!("tokenizer.ggml.{key}"), expected, got, help)
    };
    if model != "gpt2" {
        return Err(fault("model", "gpt2 (byte-level BPE)", model.to_string()));
    }
    let pre = get("pre").and_then(Value::as_str).unwrap_or("");
    let Some(pre_tokenizer) = pre_tokenizer(pre) else {
        return Err(fault("pre", "smollm or gpt-2", format!("{pre:?}")));
    };
    let tokens = texts(get("tokens")).ok_or_else(|| fault("tokens", "a list of strings", "none".into()))?;
    let merges = texts(get("merges")).ok_or_else(|| fault("merges", "a list of strings", "none".into()))?;
    let pairs: Option<Vec<(&str, &str)>> = merges.iter().map(|merge| merge.split_once(' ')).collect();
    let pairs = pairs.ok_or_else(|| fault("merges", "pairs with a space between", "another form".into()))?;
    let vocabulary: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.to_string(), id.into())).collect();
    if vocabulary.len() != tokens.len() {
        return Err(fault("tokens", "each token once", "repeated tokens".into()));
    }
    let kinds = get("token_type").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let added: Vec<Value> = tokens
        .iter()
        .zip(kinds)
        .enumerate()
        .filter_map(|(id, (token, kind))| {
            let kind = kind.as_u64().filter(|kind| matches!(*kind, CONTROL | USER_DEFINED))?;
            Some(json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": kind == CONTROL,
            }))
        })
        .collect();
    let named = |name: &str| {
        let id = get(&format!("{name}_token_id"))?.as_u64()?;
        tokens.get(usize::try_from(id).ok()?).map(|token| (id, *token))
    };
    let begin = named("bos").filter(|_| get("add_bos_token") == Some(&Value::Bool(true)));
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": begin.map(|(id, token)| template(id, token)),
        "decoder": byte_level(),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": vocabulary, "merges": pairs,
        },
    });
    let mut config = Map::new();
    for (key, name) in
        [("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")]
    {
        if let Some((_, token)) = named(name) {
            config.insert(key.into(), token.into());
        }
    }
    if let Some(template) = keys.get("tokenizer.chat_template") {
        config.insert("chat_template".into(), template.clone());
    }
    Ok(Some((tokenizer, Value::Object(config))))
}

fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    value?.as_array()?.iter().map(Value::as_str).collect()
}

fn byte_level() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})
}

/// How text is cut before the merges, by the name that llama.cpp gives it.
fn pre_tokenizer(name: &str) -> Option<Value> {
    match name {
        "gpt-2" => Some(byte_level()),
        // Every digit is a token of its own.
        "smollm" => Some(json!({
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": true}, byte_level()],
        })),
        _ => None,
    }
}

/// Puts the begin token in front.
fn template(id: u64, token: &str) -> Value {
    let begin = json!({"SpecialToken": {"id": token, "type_id": 0}});
    let sequence = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    json!({
        "type": "TemplateProcessing",
        "single": [begin, sequence("A")],
        "pair": [begin, sequence("A"), sequence("B")],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    })
}
