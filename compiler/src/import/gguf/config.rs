//! `config.json` and `generation_config.json` from the metadata.

use serde_json::{json, Map, Value};

use crate::diag::{Diagnostic, Diagnostics};

/// Architectures that are read: name in the file, Hugging Face class and `model_type`.
const ARCHITECTURES: [(&str, &str, &str); 2] =
    [("llama", "LlamaForCausalLM", "llama"), ("qwen2", "Qwen2ForCausalLM", "qwen2")];

/// The metadata of one architecture and the place where its faults are collected.
pub(super) struct Keys<'k, 'f> {
    keys: &'k Map<String, Value>,
    faults: &'f mut Diagnostics,
}

const HELP: &str = "use a GGUF file that llama.cpp's converter wrote from a Llama or Qwen2 model";

impl<'k, 'f> Keys<'k, 'f> {
    pub fn new(keys: &'k Map<String, Value>, faults: &'f mut Diagnostics) -> Self {
        Keys { keys, faults }
    }

    /// `general.architecture`, empty if there is none.
    pub fn architecture(&self) -> &'k str {
        self.keys.get("general.architecture").and_then(Value::as_str).unwrap_or("")
    }

    fn get<T>(&mut self, key: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let key = format!("{}.{key}", self.architecture());
        let value = self.keys.get(&key)?;
        let found = read(value);
        if found.is_none() {
            self.faults.push(Diagnostic::new(key, what, value.to_string(), HELP));
        }
        found
    }

    /// A whole number of at least 1, or `None` when absent.
    pub fn optional_size(&mut self, key: &str) -> Option<usize> {
        let size = |value: &Value| value.as_u64().and_then(|v| usize::try_from(v).ok()).filter(|v| *v > 0);
        self.get(key, "a whole number of at least 1", size)
    }

    /// A whole number of at least 1.
    pub fn size(&mut self, key: &str) -> usize {
        let before = self.faults.len();
        let size = self.optional_size(key);
        if size.is_none() && self.faults.len() == before {
            let key = format!("{}.{key}", self.architecture());
            self.faults.push(Diagnostic::new(key, "a whole number of at least 1", "no such key", HELP));
        }
        size.unwrap_or(1)
    }

    fn number(&mut self, key: &str) -> Option<f64> {
        self.get(key, "a number", Value::as_f64)
    }
}

/// The contents of the two files.
pub(in crate::import) struct Configs {
    pub config: Map<String, Value>,
    pub generation: Map<String, Value>,
}

/// Reads the metadata; `tied`: the output layer is the embedding table.
pub(super) fn read(keys: &Map<String, Value>, tied: bool) -> Result<Configs, Diagnostics> {
    let mut faults = Diagnostics::new();
    let mut fields = Keys::new(keys, &mut faults);
    let architecture = fields.architecture();
    let Some((_, class, model_type)) = ARCHITECTURES.iter().find(|row| row.0 == architecture) else {
        let known = ARCHITECTURES.map(|row| row.0).join(", ");
        return Err(Diagnostic::new("general.architecture", known, format!("{architecture:?}"), HELP).into());
    };
    let heads = fields.size("attention.head_count");
    let hidden = fields.size("embedding_length");
    let head_dim = fields.optional_size("attention.key_length").unwrap_or(hidden / heads);
    let rotary = fields.optional_size("rope.dimension_count").unwrap_or(head_dim);
    let mut config = json!({
        "architectures": [class],
        "model_type": model_type,
        "hidden_size": hidden,
        "intermediate_size": fields.size("feed_forward_length"),
        "num_hidden_layers": fields.size("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": fields.optional_size("attention.head_count_kv").unwrap_or(heads),
        "head_dim": head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": fields.size("context_length"),
        "rms_norm_eps": fields.number("attention.layer_norm_rms_epsilon").unwrap_or(1e-6),
        "rope_theta": fields.number("rope.freq_base").unwrap_or(10_000.0),
        "tie_word_embeddings": tied,
        "torch_dtype": "float32",
    });
    let tokens = keys.get("tokenizer.ggml.tokens").and_then(Value::as_array).map(Vec::len);
    if let Some(vocabulary) = fields.optional_size("vocab_size").or(tokens) {
        config["vocab_size"] = vocabulary.into();
    } else {
        let at = format!("{architecture}.vocab_size");
        faults.push(Diagnostic::new(at, "the size of the vocabulary", "no such key", HELP));
    }
    if rotary != head_dim {
        let at = format!("{architecture}.rope.dimension_count");
        faults.push(Diagnostic::new(at, format!("{head_dim}, the whole head"), rotary.to_string(), HELP));
    }
    if let Some(kind) = keys.get(&format!("{architecture}.rope.scaling.type")).filter(|kind| *kind != "none")
    {
        let at = format!("{architecture}.rope.scaling.type");
        let help = "convert the model to a checkpoint folder with transformers";
        faults.push(Diagnostic::new(at, "none", kind.to_string(), help));
    }
    let mut generation = Map::new();
    for key in ["bos_token_id", "eos_token_id"] {
        if let Some(id) = keys.get(&format!("tokenizer.ggml.{key}")) {
            config[key] = id.clone();
            generation.insert(key.into(), id.clone());
        }
    }
    let Value::Object(config) = config else { unreachable!("built as an object") };
    faults.into_result(Configs { config, generation })
}
