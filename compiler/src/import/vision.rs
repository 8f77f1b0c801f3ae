//! The vision tower's and projector's part of `config.json`.

use serde_json::{Map, Value};

use super::families::{join, VisionFamily, VISION};
use super::fields::{Fields, FIX_CONFIG};
use super::text::{activation, LAYERS_MAX, WIDTH_MAX};
use crate::diag::Diagnostics;
use crate::graph::{ActKind, VisionSpec};

/// Everything the vision builder needs.
pub(super) struct VisionConfig {
    pub family: &'static VisionFamily,
    pub spec: VisionSpec,
    pub activation: ActKind,
    /// Rows that the select strategy drops.
    pub skip_rows: usize,
    pub visual_tokens: usize,
    pub projector_activation: ActKind,
    pub projector_bias: bool,
}

/// Reads `vision_config` and the LLaVA keys of the top level.
pub(super) fn read(
    top: &Map<String, Value>,
    map: &Map<String, Value>,
    faults: &mut Diagnostics,
) -> VisionConfig {
    let mut fields = Fields::new("vision_config", map, faults);
    let family = family(&mut fields);
    let image_size = fields.size("image_size", 224, 8192);
    let patch = fields.size("patch_size", family.patch, 1024);
    if patch > image_size {
        let expected = format!("at most image_size ({image_size})");
        fields.fault("patch_size", expected, patch.to_string(), FIX_CONFIG);
    }
    let channels = fields.size("num_channels", 3, 1024);
    if channels != 3 {
        fields.fault("num_channels", "3", channels.to_string(), "use a model of RGB pictures");
    }
    let hidden = fields.size("hidden_size", 768, WIDTH_MAX);
    let heads = fields.size("num_attention_heads", 12, 4096);
    if !hidden.is_multiple_of(heads) {
        let expected = format!("a multiple of num_attention_heads ({heads})");
        fields.fault("hidden_size", expected, hidden.to_string(), FIX_CONFIG);
    }
    let layers_total = fields.size("num_hidden_layers", 12, LAYERS_MAX);
    let patch_count = (image_size / patch).max(1).pow(2);
    let mut spec = VisionSpec {
        kind: family.kind,
        image_size,
        patch,
        patch_count,
        has_class: family.has_class,
        rows: patch_count + usize::from(family.has_class),
        layers_total,
        layers_used: layers_total,
        hidden,
        heads,
        head_dim: (hidden / heads).max(1),
        intermediate: fields.size("intermediate_size", 3072, WIDTH_MAX * 4),
        eps: fields.epsilon("layer_norm_eps", family.eps),
    };
    let activation_kind = activation(&mut fields, "hidden_act", family.activation);
    let mut fields = Fields::new("", top, faults);
    spec.layers_used = feature_layer(&mut fields, layers_total);
    let skip_rows = skip_rows(&mut fields);
    if skip_rows >= spec.rows {
        let got = format!("{} rows of which {skip_rows} are dropped", spec.rows);
        fields.fault("vision_feature_select_strategy", "visual tokens", got, FIX_CONFIG);
    }
    VisionConfig {
        family,
        activation: activation_kind,
        skip_rows,
        visual_tokens: spec.rows.saturating_sub(skip_rows).max(1),
        spec,
        projector_activation: activation(&mut fields, "projector_hidden_act", "gelu"),
        projector_bias: fields.flag("multimodal_projector_bias", true),
    }
}

fn family(fields: &mut Fields<'_, '_>) -> &'static VisionFamily {
    let name = fields.text("model_type").unwrap_or("clip_vision_model");
    VISION.iter().find(|family| family.model_type == name).unwrap_or_else(|| {
        let supported = join(VISION, |family| family.model_type);
        fields.fault("model_type", supported, name, "use a supported vision tower");
        &VISION[0]
    })
}

/// Hidden state `i` is the output of `i` layers; negative indices count from the last.
fn feature_layer(fields: &mut Fields<'_, '_>, layers: usize) -> usize {
    let key = "vision_feature_layer";
    let value = match fields.get(key) {
        None => -2,
        Some(value) => match value.as_i64() {
            Some(index) => index,
            None => {
                let help = "features from several layers are not supported; use a single index";
                fields.fault(key, "one whole number", value.to_string(), help);
                return layers;
            }
        },
    };
    let states = layers as i64 + 1;
    let index = if value < 0 { states.saturating_add(value) } else { value };
    if (0..states).contains(&index) {
        return index as usize;
    }
    let expected = format!("an index into {states} hidden states");
    fields.fault(key, expected, value.to_string(), FIX_CONFIG);
    layers
}

fn skip_rows(fields: &mut Fields<'_, '_>) -> usize {
    let key = "vision_feature_select_strategy";
    match fields.text(key).unwrap_or("default") {
        "default" => 1,
        "full" => 0,
        other => {
            fields.fault(key, "default, full", other, FIX_CONFIG);
            0
        }
    }
}
