//! From a Hugging Face checkpoint folder or a GGUF file to a [`Model`]: graph, facts and weights.
//!
//! Families differ by rows of a table (`families`), not by code. Nothing in the folder is trusted:
//! every fault ends up in [`Diagnostics`], all of one kind at once, and none panics or allocates by a
//! size that only the file claims. Tokenizer and image processor files are not read here.

mod assemble;
mod blocks;
mod checkpoint;
mod config;
mod contrast;
mod families;
mod fastvit;
mod fields;
mod gguf;
mod header;
mod layouts;
mod quecc;
mod relatives;
mod rope;
mod rows;
mod text;
mod tower;
mod towers;
mod vision;
mod weights;

use std::path::Path;

use crate::diag::{Diagnostic, Diagnostics};
use crate::graph::{BlockMask, Graph, ModelSpec, PositionScheme, VisualPositions};

pub use checkpoint::{Checkpoint, TensorFile, TensorRef};
pub use families::{families, Family};
pub use gguf::{is_gguf, Gguf};
pub use header::{Dtype, TensorEntry};
pub use rows::Rows;
pub(crate) use weights::to_f32;
pub use weights::WeightStore;

/// Choices of the caller.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Work from `config.json` alone: shapes are known, values are not.
    pub no_weights: bool,
    /// Positions in use at most (`--max-context`); `None`: what the model supports.
    pub max_context: Option<usize>,
    /// Block-sparse attention of the language model; `None`: full.
    pub mask: Option<BlockMask>,
    /// Positions of visual tokens; `None`: those of the model.
    pub image_positions: Option<VisualPositions>,
    /// M-RoPE++ for sequences so many times as long as those of the training.
    pub mrope_stretch: Option<f32>,
}

/// An imported model.
pub struct Model {
    /// What to compute.
    pub graph: Graph,
    /// Facts that users of the graph need.
    pub spec: ModelSpec,
    /// The graph's weights.
    pub weights: WeightStore,
}

/// True for what [`import`] reads: a folder, or a GGUF file.
pub fn is_checkpoint(path: &Path) -> bool {
    path.is_dir() || is_gguf(path)
}

/// Imports a checkpoint folder or a GGUF file.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Model, Diagnostics> {
    let gguf = is_gguf(path).then(|| Gguf::open(path)).transpose()?;
    let checkpoint = match (options.no_weights, &gguf) {
        (true, _) => Ok(None),
        (false, None) => Checkpoint::open(path).map(Some),
        (false, Some(gguf)) => gguf.checkpoint().map(Some),
    };
    let config = match &gguf {
        None => config::read(path, options),
        Some(gguf) => gguf.config().and_then(|c| config::parse(&c.config, &c.generation, options)),
    };
    let (config, checkpoint) = match (config, checkpoint) {
        (Ok(config), Ok(checkpoint)) => (config, checkpoint),
        (Err(mut faults), Err(more)) => {
            faults.extend(more);
            return Err(faults);
        }
        (Err(faults), _) | (_, Err(faults)) => return Err(faults),
    };
    let mut blocks = blocks::Blocks::new(checkpoint.as_ref());
    assemble::model(&mut blocks, &config);
    let graph = blocks.graph;
    let mut spec = spec(&config);
    if let Some(how) = options.image_positions {
        how.check(&spec)?;
        spec.position_scheme = PositionScheme::Visual(how);
    }
    let weights = match &checkpoint {
        None => WeightStore::shapes_only(&graph),
        Some(checkpoint) => {
            let tied = spec.text.tied_embeddings;
            check_tied_head(&graph, checkpoint, tied)?;
            let mut weights = WeightStore::bind(&graph, checkpoint, &|name| is_harmless(name, &config))?;
            weights.use_beside(&|name| is_read_beside(name, &config));
            check_unused_layers(checkpoint, &config)?;
            weights
        }
    };
    if let Some((contrast, checkpoint)) = spec.contrast.as_mut().zip(checkpoint.as_ref()) {
        contrast.scale = scalar(checkpoint, "logit_scale")?.exp();
        if contrast.each {
            contrast.bias = scalar(checkpoint, "logit_bias")?;
        }
    }
    let faults = graph.verify();
    assert!(faults.is_empty(), "the importer built a bad graph: {}", faults[0]);
    Ok(Model { graph, spec, weights })
}

fn spec(config: &config::Config) -> ModelSpec {
    ModelSpec {
        architecture: config.architecture.clone(),
        vision: config.vision.as_ref().map(|vision| vision.spec.clone()),
        text: config.text.spec.clone(),
        image_token_id: config.image_token_id,
        video: config.vision.as_ref().and_then(|vision| vision.video.clone()),
        visual_tokens: config.vision.as_ref().map_or(0, |vision| vision.visual_tokens),
        position_scheme: config.layout.positions,
        contrast: config.contrast.clone(),
        bos_ids: config.bos_ids.clone(),
        eos_ids: config.eos_ids.clone(),
    }
}

/// A tensor of one value.
fn scalar(checkpoint: &Checkpoint, name: &str) -> Result<f32, Diagnostic> {
    let values = checkpoint.tensors.get(name).and_then(to_f32);
    match values.as_deref() {
        Some([value]) if value.is_finite() => Ok(*value),
        other => {
            let got = other.map_or("no such tensor".into(), |values| match values {
                [value] => value.to_string(),
                _ => format!("{} values", values.len()),
            });
            let help = "get or save the weights again";
            Err(Diagnostic::new(name, "a tensor of one finite value", got, help))
        }
    }
}

/// A tied model may still carry its output layer, if it equals the embedding table.
fn check_tied_head(graph: &Graph, checkpoint: &Checkpoint, tied: bool) -> Result<(), Diagnostics> {
    let table = graph.weights.iter().find(|decl| decl.name.ends_with("embed_tokens.weight"));
    let table = table.and_then(|decl| checkpoint.tensors.get(&decl.name));
    let head = checkpoint.tensors.iter().find(|(name, _)| is_head(name));
    match (table, head) {
        (Some(table), Some((name, head))) if tied && table.data() != head.data() => Err(Diagnostic::new(
            name,
            "the embedding table, as tie_word_embeddings is true",
            "other values",
            "set tie_word_embeddings to false in config.json if the output layer is meant to differ",
        )
        .into()),
        _ => Ok(()),
    }
}

/// Feature layers count from the last: a tower with other layers than `config.json` says would be left at another one than
/// in training, although all tensors that are used are there.
fn check_unused_layers(checkpoint: &Checkpoint, config: &config::Config) -> Result<(), Diagnostic> {
    let Some((vision, family)) = config.vision.as_ref().and_then(|v| v.family.map(|f| (v, f))) else {
        return Ok(());
    };
    let wanted = vision.spec.layers_total;
    let names = checkpoint.tensors.keys();
    let found = names.filter_map(|name| layer_number(in_tower(name, config)?, family.layer)).max();
    match found {
        Some(last) if vision.spec.layers_used < wanted && last + 1 < wanted => Err(Diagnostic::new(
            "config.json: vision_config.num_hidden_layers",
            format!("{} layers, as in the weights", last + 1),
            wanted.to_string(),
            "check that config.json and the weights are of one model",
        )),
        _ => Ok(()),
    }
}

/// A tensor's name behind the root of a tower.
fn in_tower<'n>(name: &'n str, config: &config::Config) -> Option<&'n str> {
    let video = config.layout.video.as_ref().map_or(&[][..], |video| video.tower);
    config.layout.vision.iter().chain(video).find_map(|root| name.strip_prefix(root))
}

fn layer_number(name: &str, layer: &str) -> Option<usize> {
    name.strip_prefix(layer)?.split('.').next()?.parse().ok()
}

fn is_head(name: &str) -> bool {
    name == "lm_head.weight" || name.ends_with(".lm_head.weight")
}

/// Tensors that are facts of the model rather than weights of its graph.
fn is_read_beside(name: &str, config: &config::Config) -> bool {
    config.contrast.as_ref().is_some_and(|c| name == "logit_scale" || (c.each && name == "logit_bias"))
}

/// Tensors that checkpoints carry although the computation doesn't need them: buffers, vision layers
/// behind the feature layer, the tower's own head and last norm.
fn is_harmless(name: &str, config: &config::Config) -> bool {
    let buffer = name.ends_with(".position_ids")
        || name.ends_with("rotary_emb.inv_freq")
        || name.ends_with(".num_batches_tracked");
    if buffer || is_read_beside(name, config) || (config.text.spec.tied_embeddings && is_head(name)) {
        return true;
    }
    let Some(vision) = &config.vision else { return false };
    let Some(family) = vision.family else { return false };
    let Some(name) = in_tower(name, config) else { return false };
    let number = layer_number(name, family.layer);
    let beyond = number.is_some_and(|n| n >= vision.spec.layers_used && n < vision.spec.layers_total);
    // A tower's name may be followed by that of the model inside it.
    let part = |part: &str| name.strip_prefix("vision_model.").unwrap_or(name).starts_with(part);
    beyond || part("head.") || part(family.post_norm) || part("embeddings.mask_token")
}
