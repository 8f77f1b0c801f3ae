//! The vision tower's and projector's part of `config.json`.

use serde_json::{Map, Value};

use super::blocks::NormShape;
use super::config::token;
use super::fastvit::{self, FastVit};
use super::fields::{Fields, FIX_CONFIG};
use super::layouts::{Activation, Layout, Merge, PostNorm, ProjectorBias, Tiling};
use super::quecc::{self, Quecc};
use super::text::{activation, LAYERS_MAX, WIDTH_MAX};
use super::towers::{Intermediate, Norms, Tower, TOWERS};
use crate::diag::Diagnostics;
use crate::graph::{ActKind, Arrange, PositionTable, TextSpec, VideoSpec, VisionKind, VisionSpec, Windows};

/// Everything the vision builder needs.
pub(super) struct VisionConfig {
    /// `None`: no tower.
    pub family: Option<&'static Tower>,
    pub spec: VisionSpec,
    pub activation: ActKind,
    pub norm: NormShape,
    pub qkv_bias: bool,
    pub qk_norm: bool,
    /// A tower of convolutions.
    pub fastvit: Option<FastVit>,
    /// What stands between tower and projector.
    pub quecc: Option<Quecc>,
    /// How videos are seen.
    pub video: Option<VideoSpec>,
    /// The norm behind the layers applies.
    pub post_norm: bool,
    pub visual_tokens: usize,
    pub projector_activation: ActKind,
    pub projector_bias: bool,
}

/// Most visual tokens of a tile of a tower without a position table; no more than the context holds.
const FREE_TOKENS: usize = 1024;

/// Most patches of a picture without a tower: 1080 x 1920 pixels in patches of 30 (Fuyu's processor).
const PATCHES_MAX: usize = 36 * 64;

/// Which layers see the whole picture is a word of the program.
const WINDOW_LAYERS_MAX: usize = 32;

/// Reads `vision_config` and the picture keys of the top level; `text` is the language model.
pub(super) fn read(
    layout: &'static Layout,
    top: &Map<String, Value>,
    map: &Map<String, Value>,
    text: &TextSpec,
    faults: &mut Diagnostics,
) -> VisionConfig {
    let merge = merge(layout, top, map, faults);
    let mut fields = Fields::new("vision_config", map, faults);
    let family = family(layout, &mut fields);
    let image_size = square(&mut fields, "image_size", family.image_size, 8192);
    let patch = square(&mut fields, "patch_size", family.patch, 1024);
    if patch > image_size {
        let expected = format!("at most image_size ({image_size})");
        fields.fault("patch_size", expected, patch.to_string(), FIX_CONFIG);
    }
    for key in ["num_channels", "in_channels", "in_chans"] {
        let channels = fields.size(key, 3, 1024);
        if channels != 3 {
            fields.fault(key, "3", channels.to_string(), "use a model of RGB pictures");
        }
    }
    let frames = match family.frames {
        1 => 1,
        frames => fields.size("temporal_patch_size", frames, 64),
    };
    let hidden = fields.size(family.keys.hidden, family.hidden, WIDTH_MAX);
    let heads = fields.size(family.keys.heads, family.heads, 4096);
    if !hidden.is_multiple_of(heads) {
        let expected = format!("a multiple of {} ({heads})", family.keys.heads);
        fields.fault(family.keys.hidden, expected, hidden.to_string(), FIX_CONFIG);
    }
    let head_dim = (hidden / heads).max(1);
    if family.rotary && !head_dim.is_multiple_of(4) {
        let expected = format!("{heads} heads of a multiple of 4 columns");
        fields.fault(family.keys.hidden, expected, hidden.to_string(), FIX_CONFIG);
    }
    let layers_total = fields.size(family.keys.layers, family.layers, LAYERS_MAX);
    let intermediate = match family.intermediate {
        Intermediate::Key(default) => fields.size("intermediate_size", default, WIDTH_MAX * 4),
        Intermediate::Ratio(key, default) => {
            let ratio = fields.number(key).unwrap_or(default);
            let width = (hidden as f64 * ratio) as usize;
            if !(1..=WIDTH_MAX * 4).contains(&width) {
                fields.fault(key, "a positive ratio", ratio.to_string(), FIX_CONFIG);
            }
            width.clamp(1, WIDTH_MAX * 4)
        }
    };
    let side = (image_size / patch).max(1);
    let patch_count = match family.rotary {
        true => merge * merge * text.max_position.min(FREE_TOKENS),
        false => side.pow(2),
    };
    let positions = match family.rotary {
        true => PositionTable::Rotary,
        false => PositionTable::Learned { side },
    };
    let mut spec = VisionSpec {
        kind: family.kind,
        image_size,
        patch,
        patch_count,
        any_grid: family.any_grid,
        pixel_cols: 3 * frames * patch * patch,
        interleaved: false,
        positions,
        windows: family.windows.then(|| windows(&mut fields, patch, merge, layers_total)),
        skip_rows: 0,
        pooled: layout.contrast.is_some(),
        question: false,
        merge,
        arrange: Arrange::Tiles,
        has_class: family.class.is_some(),
        rows: patch_count + usize::from(family.class.is_some()),
        layers_total,
        layers_used: layers_total,
        hidden,
        heads,
        head_dim,
        intermediate,
        eps: fields.epsilon("layer_norm_eps", family.eps),
    };
    let width = family.out_width.map(|key| (key, fields.size(key, 3584, WIDTH_MAX)));
    let width = width.or_else(|| {
        let key = layout.projector.width?;
        fields.optional_size(key, WIDTH_MAX).map(|width| (key, width))
    });
    if let Some((key, width)) = width.filter(|(_, width)| *width != text.hidden) {
        let expected = format!("{}, the language model's hidden_size", text.hidden);
        fields.fault(key, expected, width.to_string(), FIX_CONFIG);
    }
    let activation_kind = activation(&mut fields, "hidden_act", family.activation);
    let norm = NormShape { rms: rms(&mut fields, family), eps: spec.eps };
    let qkv_bias = family.qkv_bias.is_none_or(|key| fields.flag(key, false));
    let qk_norm = family.qk_norm.is_some_and(|(key, _)| fields.flag(key, false));
    let mut post_norm = match layout.projector.post_norm {
        PostNorm::Never => false,
        PostNorm::Always => true,
        PostNorm::Unless(key) => !fields.flag(key, true),
    };
    let per_second = layout.video.as_ref().and_then(|video| video.positions_per_second);
    let positions_per_second = per_second.map(|(key, default)| {
        let number = fields.number(key).unwrap_or(default);
        if !(0.0..=1e6).contains(&number) {
            fields.fault(key, "a number of positions, 0 or more", number.to_string(), FIX_CONFIG);
        }
        number as f32
    });
    let pooling_head = layout.contrast.is_some_and(|family| family.pooling_head);
    if pooling_head && !fields.flag("vision_use_head", true) {
        fields.fault("vision_use_head", "true: the head makes the vector of a picture", "false", FIX_CONFIG);
    }
    let mut fields = Fields::new("", top, faults);
    if layout.projector.selects {
        let last = feature_layer(&mut fields, layout.projector.feature_layer, layers_total, &mut spec);
        post_norm &= last;
        spec.skip_rows = skip_rows(&mut fields, layout.projector.strategy);
    }
    let quecc = layout.compressor.map(|_| quecc::read(top, &mut spec, text, faults));
    let mut fields = Fields::new("", top, faults);
    let kept = spec.rows.saturating_sub(spec.skip_rows);
    let joined = spec.merge * spec.merge;
    if kept == 0 || !kept.is_multiple_of(joined) {
        let got = format!("{} rows of which {} are dropped", spec.rows, spec.skip_rows);
        let expected = format!("visual tokens, each of {joined} patches");
        let key = match layout.projector.merge {
            Merge::None => "vision_feature_select_strategy",
            Merge::Factor(key, _) | Merge::Vision(key, _) | Merge::Ratio(key, _) => key,
        };
        fields.fault(key, expected, got, FIX_CONFIG);
    }
    if let Tiling::AnyResolution { limit, .. } = layout.tiling {
        let most_tiles = limit.map(|(key, default)| most_tiles(&mut fields, key, default));
        spec.arrange = Arrange::AnyResolution {
            pinpoints: pinpoints(&mut fields, image_size, limit.is_some()),
            most_tiles,
        };
    }
    let video = layout.video.as_ref().map(|video| VideoSpec {
        token_id: token(&mut fields, ["video_token_index", "video_token_id"], video.token),
        vision: VisionSpec { skip_rows: 0, ..spec.clone() },
        positions_per_second,
    });
    VisionConfig {
        fastvit: None,
        quecc,
        video,
        family: Some(family),
        activation: activation_kind,
        norm,
        qkv_bias,
        qk_norm,
        post_norm,
        visual_tokens: if spec.pooled { 1 } else { (kept / joined).max(1) },
        spec,
        projector_activation: match layout.projector.activation {
            Activation::Key(key) => activation(&mut fields, key, "gelu"),
            Activation::Gelu => ActKind::Gelu,
        },
        projector_bias: match layout.projector.bias {
            ProjectorBias::Key(key) => fields.flag(key, true),
            ProjectorBias::Always => true,
            ProjectorBias::Never => false,
        },
    }
}

/// The keys of a model without a tower, whose projector takes patches; `text` is its language model.
pub(super) fn read_patches(
    layout: &'static Layout,
    map: &Map<String, Value>,
    text: &TextSpec,
    faults: &mut Diagnostics,
) -> VisionConfig {
    let mut fields = Fields::new("", map, faults);
    let patch = square(&mut fields, "patch_size", 30, 1024);
    let image_size = fields.size("image_size", 300, 1 << 16).max(patch);
    let channels = fields.size("num_channels", 3, 1024);
    if channels != 3 {
        fields.fault("num_channels", "3", channels.to_string(), "use a model of RGB pictures");
    }
    let patch_count = text.max_position.min(PATCHES_MAX);
    let spec = VisionSpec {
        kind: VisionKind::Patches,
        image_size,
        patch,
        patch_count,
        any_grid: true,
        pixel_cols: 3 * patch * patch,
        interleaved: true,
        positions: PositionTable::None,
        merge: 1,
        rows: patch_count,
        ..VisionSpec::default()
    };
    without_transformer(layout, spec, patch_count)
}

/// A model with a tower of convolutions.
pub(super) fn read_convolutions(
    layout: &'static Layout,
    top: &Map<String, Value>,
    map: &Map<String, Value>,
    text: &TextSpec,
    faults: &mut Diagnostics,
) -> VisionConfig {
    let (vit, spec) = fastvit::read(top, map, text, faults);
    let tokens = spec.tokens(spec.full_grid());
    let mut fields = Fields::new("", top, faults);
    let projector_activation = activation(&mut fields, "projector_hidden_act", "gelu");
    let projector_bias = fields.flag("multimodal_projector_bias", true);
    let config = without_transformer(layout, spec, tokens);
    VisionConfig { fastvit: Some(vit), projector_activation, projector_bias, ..config }
}

fn without_transformer(layout: &Layout, spec: VisionSpec, visual_tokens: usize) -> VisionConfig {
    VisionConfig {
        fastvit: None,
        quecc: None,
        video: None,
        family: None,
        spec,
        activation: ActKind::Gelu,
        norm: NormShape { rms: false, eps: 0.0 },
        qkv_bias: false,
        qk_norm: false,
        post_norm: false,
        visual_tokens,
        projector_activation: ActKind::Gelu,
        projector_bias: matches!(layout.projector.bias, ProjectorBias::Always),
    }
}

fn family(layout: &Layout, fields: &mut Fields<'_, '_>) -> &'static Tower {
    let name = fields.text("model_type").unwrap_or(layout.tower);
    TOWERS.iter().find(|t| t.model_type == name || t.aliases.contains(&name)).unwrap_or_else(|| {
        let supported = TOWERS.iter().map(|tower| tower.model_type);
        fields.unsupported("model_type", supported, name, "use a supported vision tower");
        &TOWERS[0]
    })
}

/// A number, or a list of two equal ones.
fn square(fields: &mut Fields<'_, '_>, key: &str, default: usize, max: usize) -> usize {
    match fields.get(key).and_then(Value::as_array).map(Vec::as_slice) {
        Some([a, b]) if a == b => {
            let sides = Map::from_iter([(key.to_string(), a.clone())]);
            fields.inside(&sides).size(key, default, max)
        }
        _ => fields.size(key, default, max),
    }
}

fn rms(fields: &mut Fields<'_, '_>, family: &Tower) -> bool {
    let key = match family.norm_type {
        Norms::Layer => return false,
        Norms::Rms => return true,
        Norms::Key(key) => key,
    };
    match fields.text(key).unwrap_or("layer_norm") {
        "layer_norm" => false,
        "rms_norm" => true,
        other => {
            fields.fault(key, "layer_norm, rms_norm", other, FIX_CONFIG);
            false
        }
    }
}

/// `window_size` in pixels, and the layers that see the whole picture.
fn windows(fields: &mut Fields<'_, '_>, patch: usize, merge: usize, layers: usize) -> Windows {
    let pixels = fields.size("window_size", 112, 8192);
    // Whole tokens, as the class rounds.
    let side = pixels / merge / patch * merge;
    if side == 0 {
        let expected = format!("at least {} pixels: a token of {merge} x {merge} patches", merge * patch);
        fields.fault("window_size", expected, pixels.to_string(), FIX_CONFIG);
    }
    if layers > WINDOW_LAYERS_MAX {
        let help = "use a tower with fewer layers";
        let expected = format!("at most {WINDOW_LAYERS_MAX} layers in a tower with windows");
        fields.fault("depth", expected, layers.to_string(), help);
    }
    let key = "fullatt_block_indexes";
    let index = |v: &Value| v.as_u64().map(|n| n as usize).filter(|n| *n < layers);
    let mut full_layers = match fields.get(key) {
        None => [7, 15, 23, 31].into_iter().filter(|n| *n < layers).collect(),
        Some(list) => {
            let list = list.as_array().and_then(|list| list.iter().map(index).collect::<Option<Vec<_>>>());
            list.unwrap_or_else(|| {
                let expected = format!("a list of numbers of layers, below {layers}");
                fields.fault(key, expected, "another value", FIX_CONFIG);
                Vec::new()
            })
        }
    };
    full_layers.sort_unstable();
    full_layers.dedup();
    Windows { side: side.max(merge), full_layers }
}

/// Patches down and across that become a token.
fn merge(
    layout: &Layout,
    top: &Map<String, Value>,
    vision: &Map<String, Value>,
    faults: &mut Diagnostics,
) -> usize {
    match layout.projector.merge {
        Merge::None => 1,
        Merge::Factor(key, default) => Fields::new("", top, faults).size(key, default, 64),
        Merge::Vision(key, default) => Fields::new("vision_config", vision, faults).size(key, default, 64),
        Merge::Ratio(key, default) => {
            let mut fields = Fields::new("", top, faults);
            let ratio = fields.number(key).unwrap_or(default);
            let factor = (1.0 / ratio).round();
            if !(1.0..=64.0).contains(&factor) || (factor * ratio - 1.0).abs() > 1e-6 {
                fields.fault(key, "one over a small whole number", ratio.to_string(), FIX_CONFIG);
                return 1;
            }
            factor as usize
        }
    }
}

/// `anyres_max_N`.
fn most_tiles(fields: &mut Fields<'_, '_>, key: &str, default: &'static str) -> usize {
    let value = fields.text(key).unwrap_or(default);
    match value.strip_prefix("anyres_max_").and_then(|n| n.parse().ok()).filter(|n| (1..=64).contains(n)) {
        Some(most) => most,
        None => {
            fields.fault(key, "anyres_max_ and a number of tiles", value, FIX_CONFIG);
            1
        }
    }
}

/// Sizes (height, width) that pictures are cut to; by default those of LLaVA-NeXT's first release, or
/// LLaVA-OneVision's: all up to six tiles a side.
fn pinpoints(fields: &mut Fields<'_, '_>, tile: usize, all: bool) -> Vec<[usize; 2]> {
    let default = || match all {
        true => (1..=6).flat_map(|y| (1..=6).map(move |x| [384 * y, 384 * x])).collect(),
        false => vec![[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
    };
    let key = "image_grid_pinpoints";
    let Some(value) = fields.get(key) else { return default() };
    let side = |v: &Value| v.as_u64().map(|n| n as usize).filter(|n| (tile..=64 * tile).contains(n));
    let pair = |v: &Value| match v.as_array()?.as_slice() {
        [height, width] => Some([side(height)?, side(width)?]),
        _ => None,
    };
    let list: Option<Vec<[usize; 2]>> =
        value.as_array().and_then(|list| list.iter().map(pair).collect::<Option<_>>());
    match list.filter(|list| !list.is_empty() && list.len() <= 1024) {
        Some(list) => list,
        None => {
            let expected = format!("a list of 1 to 1024 [height, width], each from {tile} to {}", 64 * tile);
            let got: String = value.to_string().chars().take(100).collect();
            fields.fault(key, expected, got, FIX_CONFIG);
            default()
        }
    }
}

/// Hidden state `i` is the output of `i` layers; negative indices count from the last. True for the
/// last one.
fn feature_layer(fields: &mut Fields<'_, '_>, default: i64, layers: usize, spec: &mut VisionSpec) -> bool {
    let key = "vision_feature_layer";
    let value = match fields.get(key) {
        None => default,
        Some(value) => match value.as_i64() {
            Some(index) => index,
            None => {
                let help = "features from several layers are not supported; use a single index";
                fields.fault(key, "one whole number", value.to_string(), help);
                return true;
            }
        },
    };
    let states = layers as i64 + 1;
    let index = if value < 0 { states.saturating_add(value) } else { value };
    if (0..states).contains(&index) {
        spec.layers_used = index as usize;
    } else {
        let expected = format!("an index into {states} hidden states");
        fields.fault(key, expected, value.to_string(), FIX_CONFIG);
    }
    value == -1
}

fn skip_rows(fields: &mut Fields<'_, '_>, default: &'static str) -> usize {
    let key = "vision_feature_select_strategy";
    match fields.text(key).unwrap_or(default) {
        "default" => 1,
        "full" => 0,
        other => {
            fields.fault(key, "default, full", other, FIX_CONFIG);
            0
        }
    }
}
