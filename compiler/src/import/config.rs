//! `config.json` (and `generation_config.json`) as facts, with every fault collected.

use std::path::Path;

use serde_json::{Map, Value};

use super::contrast;
use super::families::architectures;
use super::fields::{Fields, FIX_CONFIG};
use super::layouts::{Layout, LAYOUTS, TEXT_ONLY};
use super::relatives::relative_of;
use super::text::{self, TextConfig};
use super::vision::{self, VisionConfig};
use super::ImportOptions;
use crate::diag::{Diagnostic, Diagnostics};
use crate::graph::{Contrast, PositionScheme};

/// The whole configuration.
pub(super) struct Config {
    pub architecture: String,
    pub layout: &'static Layout,
    pub text: TextConfig,
    pub vision: Option<VisionConfig>,
    pub image_token_id: Option<u32>,
    pub contrast: Option<Contrast>,
    pub bos_ids: Vec<u32>,
    pub eos_ids: Vec<u32>,
}

/// Reads the configuration of a checkpoint folder.
pub(super) fn read(dir: &Path, options: &ImportOptions) -> Result<Config, Diagnostics> {
    let top = read_object(&dir.join("config.json"))?;
    let generation_path = dir.join("generation_config.json");
    let generation = match generation_path.exists() {
        true => read_object(&generation_path)?,
        false => Map::new(),
    };
    parse(&top, &generation, options)
}

/// The same from the contents of `config.json` and `generation_config.json`.
pub(super) fn parse(
    top: &Map<String, Value>,
    generation: &Map<String, Value>,
    options: &ImportOptions,
) -> Result<Config, Diagnostics> {
    let mut faults = Diagnostics::new();
    let (architecture, layout) = architecture(top, &mut faults);
    unsupported_keys(top, &mut faults);
    let config = if let Some(layout) = layout {
        Config { architecture, ..multimodal(layout, top, options, &mut faults) }
    } else {
        Config {
            architecture,
            layout: &TEXT_ONLY,
            text: text::read("", top, "llama", options.max_context, &mut faults),
            vision: None,
            image_token_id: None,
            contrast: None,
            bos_ids: Vec::new(),
            eos_ids: Vec::new(),
        }
    };
    let mut config = special_tokens(config, top, generation, &mut faults);
    config.text.mask = options.mask;
    if let (true, Some(mask)) = (config.text.prefix || config.contrast.is_some(), options.mask) {
        let expected = "full attention, because the rows of a prompt see each other";
        faults.push(Diagnostic::new(
            &config.architecture,
            expected,
            mask.to_string(),
            "leave --attention out",
        ));
    }
    positions(&mut config, options, &mut faults);
    faults.into_result(config)
}

/// Choices about positions.
fn positions(config: &mut Config, options: &ImportOptions, faults: &mut Diagnostics) {
    let rotary = &config.text.rotary;
    let mut fault = |option: &str, expected: &str, got: String| {
        faults.push(Diagnostic::new(option, expected, got, format!("leave {option} out")));
    };
    let by_length = || "frequencies that depend on the length of the sequence".to_string();
    if options.image_positions.is_some() && rotary.depends_on_length() {
        fault("--image-positions", "rotary frequencies that stay", by_length());
    }
    let Some(factor) = options.mrope_stretch else { return };
    if config.layout.positions != PositionScheme::Multimodal {
        let got = format!("{}, with positions in one axis", config.architecture);
        return fault("--mrope-stretch", "a model with rotary positions of three axes", got);
    }
    if rotary.depends_on_length() {
        return fault("--mrope-stretch", "rotary frequencies that stay", by_length());
    }
    config.text.rotary = rotary.stretched(factor);
    let most = (config.text.spec.max_position as f64 * f64::from(factor)) as usize;
    config.text.spec.max_position = most.min(options.max_context.unwrap_or(most));
}

fn read_object(path: &Path) -> Result<Map<String, Value>, Diagnostic> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    std::fs::read(path)
        .map_err(|e| e.to_string())
        .and_then(|text| serde_json::from_slice(&text).map_err(|e| e.to_string()))
        .map_err(|got| {
            let help = "pass a folder that save_pretrained wrote";
            Diagnostic::new(name, "a JSON object", got, help)
        })
}

/// The architecture's name and its layout, if it has pictures. Unknown architectures are reported and
/// then read by resemblance, so that their unsupported parts are listed, too.
fn architecture(top: &Map<String, Value>, faults: &mut Diagnostics) -> (String, Option<&'static Layout>) {
    let mut fields = Fields::new("", top, faults);
    let listed = fields.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let model_type = fields.text("model_type");
    let by_name = |name: &str| architectures().find(|row| row.0 == name);
    let by_type = |name: &str| architectures().find(|row| row.1 == name);
    // LLaVA's own format is read with QueCC, whose authors write it, and not without.
    let own_format = |name: &str| {
        let layout = LAYOUTS.iter().find(|layout| layout.architecture == name);
        layout.is_some_and(|l| l.compressor.is_some())
            && !top.contains_key("mm_vision_token_compression_type")
    };
    let row = match (listed, model_type) {
        (Some(name), _) if own_format(name) => None,
        (Some(name), _) => by_name(name),
        (None, Some(model_type)) => by_type(model_type),
        (None, None) => None,
    };
    let resembles_llava = top.contains_key("text_config") || top.contains_key("vision_config");
    let Some(row) = row else {
        let got = listed.or(model_type).unwrap_or("neither architectures nor model_type");
        let help = "this model family is not supported; further faults below are of its parts";
        match relative_of(got) {
            None => fields.unsupported("architectures", architectures().map(|row| row.0), got, help),
            Some(relative) => {
                let names: Vec<&str> = architectures().map(|row| row.0).collect();
                let help = format!("{help}; nearest is {}: {}", relative.nearest, relative.help);
                fields.fault("architectures", names.join(", "), got, &help);
            }
        }
        return (got.to_string(), resembles_llava.then_some(&LAYOUTS[0]));
    };
    if let Some(found) = model_type.filter(|found| *found != row.1) {
        let expected = format!("{:?}, as architectures says {}", row.1, row.0);
        fields.fault("model_type", expected, found, FIX_CONFIG);
    }
    (row.0.to_string(), LAYOUTS.iter().find(|layout| layout.architecture == row.0))
}

fn multimodal(
    layout: &'static Layout,
    top: &Map<String, Value>,
    options: &ImportOptions,
    faults: &mut Diagnostics,
) -> Config {
    let mut fields = Fields::new("", top, faults);
    let empty = Map::new();
    let mut part = |key: &str| {
        let object = fields.object(key);
        if object.is_none() {
            let help = match layout.compressor {
                None => FIX_CONFIG,
                Some(_) => {
                    "scripts/join_quecc makes one folder of the checkpoint and the tower that it names"
                }
            };
            fields.fault(key, "an object with the part's configuration", "none", help);
        }
        object
    };
    let has_tower = !layout.vision.is_empty();
    let vision_map = if has_tower { part("vision_config").unwrap_or(&empty) } else { top };
    // Older files of some families keep the language model's keys at the top level.
    let flat = top.contains_key("hidden_size") && !top.contains_key("text_config");
    let (text_path, text_map) = match flat {
        true => ("", top),
        false => ("text_config", part("text_config").unwrap_or(&empty)),
    };
    let image_token_id = layout
        .contrast
        .is_none()
        .then(|| token(&mut fields, ["image_token_index", "image_token_id"], layout.image_token));
    let tied = fields.flag("tie_word_embeddings", layout.tied);
    let (mut text, contrast) = match layout.contrast {
        None => (text::read(text_path, text_map, layout.text_type, options.max_context, faults), None),
        Some(family) => {
            let (text, contrast) = contrast::read(family, top, text_map, options.max_context, faults);
            (text, Some(contrast))
        }
    };
    let vision = match has_tower {
        true if layout.convolutions => vision::read_convolutions(layout, top, vision_map, &text.spec, faults),
        true => vision::read(layout, top, vision_map, &text.spec, faults),
        false => vision::read_patches(layout, vision_map, &text.spec, faults),
    };
    if let Some(video) = vision.video.as_ref().filter(|video| Some(video.token_id) == image_token_id) {
        let mut fields = Fields::new("", top, faults);
        let ending = if top.contains_key("video_token_id") { "id" } else { "index" };
        let expected = format!("another id than image_token_{ending}");
        fields.fault(&format!("video_token_{ending}"), expected, video.token_id.to_string(), FIX_CONFIG);
    }
    text.spec.tied_embeddings |= tied;
    text.prefix = layout.prefix;
    if layout.positions == PositionScheme::Multimodal {
        text.rotary.axes = text::sections(text_path, text_map, text.rotary.pairs(), faults);
    }
    Config {
        architecture: String::new(),
        layout,
        text,
        vision: Some(vision),
        image_token_id,
        contrast,
        bos_ids: Vec::new(),
        eos_ids: Vec::new(),
    }
}

/// A placeholder's id, under either of its names.
pub(super) fn token(fields: &mut Fields<'_, '_>, keys: [&str; 2], default: u32) -> u32 {
    let mut found: Vec<(&str, u32)> = Vec::new();
    for key in keys {
        match fields.token_ids(key).as_deref() {
            None => {}
            Some([id]) => found.push((key, *id)),
            Some(_) => fields.fault(key, "one token id", "a list", FIX_CONFIG),
        }
    }
    if let [(first, a), (second, b)] = found[..] {
        if a != b {
            fields.fault(second, format!("{a}, as {first}"), b.to_string(), FIX_CONFIG);
        }
    }
    found.first().map_or(default, |(_, id)| *id)
}

/// Things that make stored weights or the computation something else than the architecture says.
fn unsupported_keys(top: &Map<String, Value>, faults: &mut Diagnostics) {
    let mut fields = Fields::new("", top, faults);
    if let Some(quantization) = fields.get("quantization_config") {
        let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("present");
        let help = "use the unquantised checkpoint; the compiler quantises it (--weights)";
        fields.fault("quantization_config", "no such key", method, help);
    }
}

/// `generation_config.json` wins over the top level, which wins over `text_config`.
fn special_tokens(
    mut config: Config,
    top: &Map<String, Value>,
    generation: &Map<String, Value>,
    faults: &mut Diagnostics,
) -> Config {
    let text = top.get("text_config").and_then(Value::as_object);
    let text = text.map(|text| ("text_config", text));
    let sources = [Some(("generation_config", generation)), Some(("", top)), text];
    let mut find = |key: &str| {
        sources
            .iter()
            .flatten()
            .find_map(|(path, map)| Fields::new(path, map, faults).token_ids(key))
            .unwrap_or_default()
    };
    config.bos_ids = find("bos_token_id");
    config.eos_ids = find("eos_token_id");
    config
}
