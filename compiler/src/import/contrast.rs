//! Text encoders of models that compare pictures with texts, and how they compare.
//!
//! Sources: Hugging Face `CLIPConfig`, `CLIPTextModel`, `SiglipConfig`, `SiglipTextModel`.

use serde_json::{Map, Value};

use super::blocks::NormShape;
use super::families::TEXT;
use super::fields::{Fields, FIX_CONFIG};
use super::text::{activation, TextConfig, LAYERS_MAX, WIDTH_MAX};
use super::tower::EncoderShape;
use super::towers::TEXT_ENCODER;
use crate::diag::Diagnostics;
use crate::graph::{Contrast, Frequencies, Pool, Rotary, TextSpec};

/// A family of text encoders: defaults of its configuration class.
pub(super) struct ContrastFamily {
    pub hidden: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    pub vocab: usize,
    pub positions: usize,
    pub eps: f64,
    pub activation: &'static str,
    /// Width of the vectors where the configuration does not say.
    pub width: usize,
    /// Key of the vectors' width, at the top level or (`false`) in `text_config`.
    pub width_key: (&'static str, bool),
    /// The linear layer behind the text encoder has a bias.
    pub projection_bias: bool,
    pub ending: Ending,
    /// The rows of a text see those behind them.
    pub prefix: bool,
    /// Attention pooling makes the vector of a picture, else the class row is it.
    pub pooling_head: bool,
    /// A score counts for itself (sigmoid) and has a bias, else all of a picture's together (softmax).
    pub each: bool,
}

/// Which row is a text's vector.
pub(super) enum Ending {
    /// That of the end token, by default this one.
    EndId(u32),
    /// The last one; texts are filled up with a padding token, by default this one.
    Padded(u32),
}

pub(super) const CLIP: ContrastFamily = ContrastFamily {
    hidden: 512,
    intermediate: 2048,
    layers: 12,
    heads: 8,
    vocab: 49_408,
    positions: 77,
    eps: 1e-5,
    activation: "quick_gelu",
    width: 512,
    width_key: ("projection_dim", true),
    projection_bias: false,
    ending: Ending::EndId(49_407),
    prefix: false,
    pooling_head: false,
    each: false,
};

pub(super) const SIGLIP: ContrastFamily = ContrastFamily {
    hidden: 768,
    intermediate: 3072,
    layers: 12,
    heads: 12,
    vocab: 32_000,
    positions: 64,
    eps: 1e-6,
    activation: "gelu_pytorch_tanh",
    width: 768,
    width_key: ("projection_size", false),
    projection_bias: true,
    ending: Ending::Padded(1),
    prefix: true,
    pooling_head: true,
    each: true,
};

/// A text encoder in place of a language model.
pub(super) struct TextEncoder {
    pub shape: EncoderShape,
    /// Rows of the position table.
    pub positions: usize,
    pub projection_bias: bool,
}

/// Reads `text_config`; `context_max` limits the positions in use.
pub(super) fn read(
    family: &ContrastFamily,
    top: &Map<String, Value>,
    map: &Map<String, Value>,
    context_max: Option<usize>,
    faults: &mut Diagnostics,
) -> (TextConfig, Contrast) {
    let (key, at_top) = family.width_key;
    let outer = at_top.then(|| Fields::new("", top, faults).size(key, family.width, WIDTH_MAX));
    let mut fields = Fields::new("text_config", map, faults);
    let hidden = fields.size("hidden_size", family.hidden, WIDTH_MAX);
    let heads = fields.size("num_attention_heads", family.heads, 4096);
    if !hidden.is_multiple_of(heads) {
        let expected = format!("a multiple of num_attention_heads ({heads})");
        fields.fault("hidden_size", expected, hidden.to_string(), FIX_CONFIG);
    }
    let head_dim = (hidden / heads).max(1);
    let positions = fields.size("max_position_embeddings", family.positions, 1 << 20);
    let intermediate = fields.size("intermediate_size", family.intermediate, WIDTH_MAX * 4);
    let eps = fields.epsilon("layer_norm_eps", family.eps);
    let width = outer.unwrap_or_else(|| fields.size(key, hidden, WIDTH_MAX));
    let mut id = |key: &str, default: u32| {
        fields.token_ids(key).and_then(|ids| ids.first().copied()).unwrap_or(default)
    };
    let pool = match family.ending {
        // Files from before the id was checked have 2 here, whatever the tokenizer says.
        Ending::EndId(default) => match id("eos_token_id", default) {
            2 => Pool::HighestId,
            end => Pool::FirstOf(end),
        },
        Ending::Padded(default) => Pool::Last { length: positions, padding: id("pad_token_id", default) },
    };
    let shape = EncoderShape {
        family: &TEXT_ENCODER,
        hidden,
        heads,
        head_dim,
        intermediate,
        norm: NormShape { rms: false, eps },
        activation: activation(&mut fields, "hidden_act", family.activation),
        qkv_bias: true,
        qk_norm: false,
        causal: true,
        prefix: family.prefix,
    };
    let spec = TextSpec {
        model_type: TEXT_ENCODER.model_type.into(),
        vocab: fields.size("vocab_size", family.vocab, 1 << 24),
        hidden,
        layers: fields.size("num_hidden_layers", family.layers, LAYERS_MAX),
        heads,
        kv_heads: heads,
        head_dim,
        intermediate,
        max_position: context_max.map_or(positions, |most| most.min(positions)),
        eps,
        rope_theta: 0.0,
        tied_embeddings: false,
    };
    // The scale is a weight: what the class starts from until it is read.
    let scale = Fields::new("", top, faults).number("logit_scale_init_value").unwrap_or(2.6592).exp() as f32;
    let text = TextConfig {
        spec,
        qkv_bias: true,
        output_bias: true,
        mlp_bias: true,
        activation: shape.activation,
        rotary: Rotary { frequencies: Frequencies::Fixed(Vec::new()), axes: Vec::new(), scaling: 1.0 },
        family: &TEXT[0],
        head_norms: false,
        prefix: false,
        mask: None,
        embedding_scale: None,
        encoder: Some(TextEncoder { shape, positions, projection_bias: family.projection_bias }),
    };
    (text, Contrast { width, scale, bias: 0.0, pool, each: family.each })
}
