//! The language model's part of `config.json`.

use serde_json::{Map, Value};

use super::contrast::TextEncoder;
use super::families::{Bias, TextFamily, Window, TEXT};
use super::fields::{Fields, FIX_CONFIG};
use super::layouts::LAYOUTS;
use super::rope::{self, HeadShape};
use crate::diag::Diagnostics;
use crate::graph::{ActKind, BlockMask, Rotary, TextSpec};

/// Everything the text builder needs.
pub(super) struct TextConfig {
    pub spec: TextSpec,
    pub qkv_bias: bool,
    pub output_bias: bool,
    pub mlp_bias: bool,
    pub activation: ActKind,
    pub rotary: Rotary,
    /// Names, and how weights are stored.
    pub family: &'static TextFamily,
    /// Queries and keys have norms of their own.
    pub head_norms: bool,
    /// The rows of a prompt see each other.
    pub prefix: bool,
    /// What rows see of the rows before them.
    pub mask: Option<BlockMask>,
    /// Factor on the embedding rows.
    pub embedding_scale: Option<f32>,
    /// An encoder in place of a language model: what it needs beside `spec`.
    pub encoder: Option<TextEncoder>,
}

/// Bounds that no real model reaches; they keep damaged files from asking for absurd sizes.
pub(super) const WIDTH_MAX: usize = 1 << 18;
pub(super) const LAYERS_MAX: usize = 1024;
const VOCAB_MAX: usize = 1 << 24;
const POSITION_MAX: usize = 1 << 27;

/// Reads a text configuration. `context_max` limits the positions in use (`--max-context`).
pub(super) fn read(
    path: &str,
    map: &Map<String, Value>,
    default_type: &str,
    context_max: Option<usize>,
    faults: &mut Diagnostics,
) -> TextConfig {
    let mut fields = Fields::new(path, map, faults);
    let family = family(&mut fields, default_type);
    let heads = fields.size("num_attention_heads", 32, 4096);
    let hidden = fields.size("hidden_size", family.hidden, WIDTH_MAX);
    let kv_default = family.kv_heads.unwrap_or(heads);
    let kv_heads = fields.size("num_key_value_heads", kv_default, 4096);
    let head_dim = head_dim(&mut fields, family, hidden, heads);
    if !heads.is_multiple_of(kv_heads) {
        let expected = format!("a divisor of num_attention_heads ({heads})");
        fields.fault("num_key_value_heads", expected, kv_heads.to_string(), FIX_CONFIG);
    }
    let max_position = fields.size("max_position_embeddings", family.max_position, POSITION_MAX);
    let shape = HeadShape { head_dim, max_position, partial: family.partial_rotary };
    let rope = rope::read(path, map, &shape, faults);
    let mut fields = Fields::new(path, map, faults);
    let limit = rope.stretched.unwrap_or(max_position);
    let context = context_max.map_or(limit, |most| most.min(limit));
    window(&mut fields, family, context);
    layer_types(&mut fields);
    let bias = |fields: &mut Fields<'_, '_>, bias: Bias| match bias {
        Bias::Never => false,
        Bias::Always => true,
        Bias::Key(key) => fields.flag(key, false),
    };
    let spec = TextSpec {
        model_type: family.model_type.to_string(),
        vocab: fields.size("vocab_size", family.vocab, VOCAB_MAX),
        hidden,
        layers: fields.size("num_hidden_layers", 32, LAYERS_MAX),
        heads,
        kv_heads,
        head_dim,
        intermediate: fields.size("intermediate_size", family.intermediate, WIDTH_MAX * 4),
        max_position: context,
        eps: fields.epsilon(if family.layer_norms { "layer_norm_eps" } else { "rms_norm_eps" }, family.eps),
        rope_theta: rope.theta,
        tied_embeddings: fields.flag("tie_word_embeddings", family.tied),
    };
    let qkv_bias = bias(&mut fields, family.qkv_bias);
    let output_bias = bias(&mut fields, family.output_bias);
    let mlp_bias = bias(&mut fields, family.mlp_bias);
    let head_norms = family.head_norms.is_some_and(|(key, _)| fields.flag(key, true));
    TextConfig {
        qkv_bias,
        output_bias,
        mlp_bias,
        activation: text_activation(&mut fields, family),
        rotary: rope.rotary,
        family,
        head_norms,
        prefix: false,
        mask: None,
        encoder: None,
        embedding_scale: family.scaled_embedding.then(|| (hidden as f64).sqrt() as f32),
        spec,
    }
}

fn family(fields: &mut Fields<'_, '_>, default_type: &str) -> &'static TextFamily {
    let name = fields.text("model_type").unwrap_or(default_type);
    // A flat configuration has the whole model's type where the language model's would be.
    let whole = LAYOUTS.iter().any(|layout| layout.model_type == name && layout.text_type == default_type);
    let name = if whole { default_type } else { name };
    TEXT.iter().find(|family| family.model_type == name).unwrap_or_else(|| {
        let supported = TEXT.iter().map(|family| family.model_type);
        fields.unsupported("model_type", supported, name, "use a supported language model");
        &TEXT[0]
    })
}

/// `hidden_act`; some families kept the name of another function in old files.
fn text_activation(fields: &mut Fields<'_, '_>, family: &TextFamily) -> ActKind {
    match (fields.text("hidden_act"), family.legacy_activation) {
        (Some(name), Some((old, meant))) if name == old => {
            ActKind::from_hf(meant).expect("invariant: the table names known functions")
        }
        _ => activation(fields, "hidden_act", family.activation),
    }
}

fn head_dim(fields: &mut Fields<'_, '_>, family: &TextFamily, hidden: usize, heads: usize) -> usize {
    let explicit = fields.optional_size("head_dim", 4096).or(family.head_dim);
    if explicit.is_none() && !hidden.is_multiple_of(heads) {
        let expected = format!("a multiple of num_attention_heads ({heads}), or an explicit head_dim");
        fields.fault("hidden_size", expected, hidden.to_string(), FIX_CONFIG);
    }
    let head_dim = explicit.unwrap_or((hidden / heads).max(1));
    if !head_dim.is_multiple_of(2) {
        fields.fault("head_dim", "an even number", head_dim.to_string(), FIX_CONFIG);
    }
    head_dim
}

/// Full attention equals windowed attention while the context fits into the window.
fn window(fields: &mut Fields<'_, '_>, family: &TextFamily, context: usize) {
    let size = match family.window {
        Window::Never => None,
        Window::Default(_) if fields.is_null("sliding_window") => None,
        Window::IfGiven => fields.optional_size("sliding_window", POSITION_MAX),
        Window::Default(size) => Some(fields.size("sliding_window", size, POSITION_MAX)),
        Window::OnRequest => fields
            .flag("use_sliding_window", false)
            .then(|| fields.size("sliding_window", 4096, POSITION_MAX)),
    };
    if let Some(size) = size.filter(|size| *size < context) {
        fields.fault(
            "sliding_window",
            format!("null, or at least the context of {context} positions"),
            size.to_string(),
            "sliding-window attention is not supported; limit the context with --max-context to \
             the window's size",
        );
    }
}

/// Windows are checked by their size; other kinds of layers are not attention as built here.
fn layer_types(fields: &mut Fields<'_, '_>) {
    let known = |kind: &Value| matches!(kind.as_str(), Some("full_attention" | "sliding_attention"));
    let list = fields.get("layer_types").and_then(Value::as_array);
    if let Some(other) = list.and_then(|list| list.iter().find(|kind| !known(kind))) {
        let help = "use a model whose layers all have softmax attention";
        fields.fault("layer_types", "full_attention", other.to_string(), help);
    }
}

/// Axes of the rotary pairs from `mrope_section`: how many follow time, height, width.
pub(super) fn sections(
    path: &str,
    map: &Map<String, Value>,
    pairs: usize,
    faults: &mut Diagnostics,
) -> Vec<u8> {
    let mut fields = Fields::new(path, map, faults);
    let holder = ["rope_parameters", "rope_scaling"].into_iter().find_map(|key| fields.object(key));
    let list = holder.and_then(|object| object.get("mrope_section")).and_then(Value::as_array);
    let sections: Option<Vec<u64>> = list.and_then(|list| list.iter().map(Value::as_u64).collect());
    match sections.as_deref() {
        Some([t, h, w]) if [t, h, w].iter().all(|n| **n <= pairs as u64) && t + h + w == pairs as u64 => {
            let axis = |(axis, n): (u8, &u64)| std::iter::repeat_n(axis, *n as usize);
            [(0, t), (1, h), (2, w)].into_iter().flat_map(axis).collect()
        }
        _ => {
            let list = list.map(|list| list.iter().map(Value::to_string).collect::<Vec<_>>().join(", "));
            let got = list.unwrap_or_else(|| "none".into());
            fields.fault("mrope_section", format!("three numbers whose sum is {pairs}"), got, FIX_CONFIG);
            Vec::new()
        }
    }
}

/// An activation by its Hugging Face name.
pub(super) fn activation(fields: &mut Fields<'_, '_>, key: &str, default: &'static str) -> ActKind {
    let name = fields.text(key).unwrap_or(default);
    ActKind::from_hf(name).unwrap_or_else(|| {
        let supported = ActKind::HF_NAMES.split(", ");
        fields.unsupported(key, supported, name, "use a model with a supported activation");
        ActKind::Relu
    })
}
