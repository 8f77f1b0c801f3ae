//! Files of the `logits` command: what the Hugging Face processor returns in, logits out.

use std::path::Path;

use super::pictures;
use crate::diag::Diagnostic;
use crate::graph::{order_by_placeholders, ModelSpec, Picture};
use crate::import::{Dtype, TensorFile, TensorRef};

/// One prompt with its pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Token ids, placeholders already repeated once per visual token.
    pub input_ids: Vec<u32>,
    /// Pictures and videos, in the order of their placeholders.
    pub images: Vec<Picture>,
}

impl Inputs {
    /// Reads `input_ids` (int64 `[1, T]`), the picture tensors of the model's processor (see `pictures`), and
    /// `question_ids` (int64 `[1, T]`) where visual tokens depend on the question, and checks them against the model. Masks may be present if they mask nothing; other
    /// tensors are not looked at.
    pub fn read(path: &Path, spec: &ModelSpec) -> Result<Self, Diagnostic> {
        let file = TensorFile::open(path)?;
        let find = |name: &str| {
            let entry = file.entries.iter().find(|entry| entry.name == name)?;
            Some(TensorRef { bytes: file.bytes.clone(), entry: entry.clone() })
        };
        let Some(ids) = find("input_ids") else {
            let names: Vec<&str> = file.entries.iter().map(|entry| entry.name.as_str()).collect();
            return Err(Diagnostic::new(
                "input_ids",
                "a tensor of this name",
                format!("the tensors {}", names.join(", ")),
                "save what the model's processor returned, under its names",
            ));
        };
        for (name, help) in [
            ("attention_mask", "run one unpadded prompt at a time"),
            ("pixel_attention_mask", "give each tile without padding"),
        ] {
            if find(name).is_some_and(|mask| integers(&mask).is_some_and(|mask| mask.contains(&0))) {
                return Err(Diagnostic::new(name, "ones only", "masked positions", help));
            }
        }
        let input_ids = read_ids("input_ids", &ids)?;
        spec.check_ids(&input_ids)?;
        let videos = pictures::read_videos(&find, spec)?;
        let mut images = pictures::read(&find, spec)?;
        if let (true, Some(ids)) = (spec.vision.as_ref().is_some_and(|v| v.question), find("question_ids")) {
            let question = read_ids("question_ids", &ids)?;
            images.iter_mut().for_each(|picture| picture.question.clone_from(&question));
        }
        let video_id = spec.video.as_ref().map(|video| video.token_id);
        let images = order_by_placeholders(&input_ids, spec.image_token_id, video_id, images, videos);
        let inputs = Self { input_ids, images };
        let counts: Vec<usize> = inputs.images.iter().map(|picture| picture.placeholders()).collect();
        spec.check_placeholders(&inputs.input_ids, &counts)?;
        Ok(inputs)
    }
}

/// Pictures and texts to compare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs {
    /// Tokens of each text up to the one whose row is its vector.
    pub texts: Vec<Vec<u32>>,
    /// Pictures.
    pub images: Vec<Picture>,
}

impl Pairs {
    /// Reads `input_ids` (int64 `[n, T]`, one text a row) and `pixel_values` for a model that compares
    /// pictures with texts. Padding behind a text's end is not looked at.
    pub fn read(path: &Path, spec: &ModelSpec) -> Result<Self, Diagnostic> {
        let file = TensorFile::open(path)?;
        let find = |name: &str| {
            let entry = file.entries.iter().find(|entry| entry.name == name)?;
            Some(TensorRef { bytes: file.bytes.clone(), entry: entry.clone() })
        };
        let fault = |got: String| {
            let expected = "int64 token ids of shape [n, T], each row with an end-of-text token";
            let help = "save what the model's processor returned, under its names";
            Diagnostic::new("input_ids", expected, got, help)
        };
        let tensor = find("input_ids").ok_or_else(|| fault("no such tensor".into()))?;
        let &[rows, columns] = &tensor.entry.shape[..] else {
            return Err(fault(format!("shape {:?}", tensor.entry.shape)));
        };
        let ids = integers(&tensor).ok_or_else(|| fault(format!("type {}", tensor.entry.dtype_name)))?;
        let ids: Option<Vec<u32>> = ids.iter().map(|&id| u32::try_from(id).ok()).collect();
        let ids = ids.ok_or_else(|| fault("a negative id".into()))?;
        let contrast = spec.contrast.as_ref().expect("invariant: the caller asked the model's kind");
        let mut texts = Vec::with_capacity(rows);
        for (row, ids) in ids.chunks(columns.max(1)).enumerate() {
            let used = contrast.used(ids).ok_or_else(|| fault(format!("none in row {row}")))?;
            spec.check_ids(used)?;
            texts.push(used.to_vec());
        }
        Ok(Pairs { texts, images: pictures::read(&find, spec)? })
    }
}

pub(super) fn integers(tensor: &TensorRef) -> Option<Vec<i64>> {
    let data = tensor.data();
    match tensor.entry.dtype? {
        Dtype::I64 => Some(data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
        Dtype::I32 => Some(data.as_chunks().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()),
        _ => None,
    }
}

fn read_ids(name: &str, tensor: &TensorRef) -> Result<Vec<u32>, Diagnostic> {
    let fault = |got: String| {
        let expected = "int64 token ids of shape [1, T], T at least 1";
        Diagnostic::new(name, expected, got, "run one unpadded prompt at a time")
    };
    let entry = &tensor.entry;
    let ids = integers(tensor).ok_or_else(|| fault(format!("type {}", entry.dtype_name)))?;
    if !matches!(entry.shape[..], [1, rows] | [rows] if rows >= 1) {
        return Err(fault(format!("shape {:?}", entry.shape)));
    }
    ids.iter().map(|&id| u32::try_from(id).map_err(|_| fault(format!("token id {id}")))).collect()
}

/// Writes `logits` float32 `[1, rows, vocab]` as a safetensors file.
pub fn write_logits(path: &Path, logits: &[f32], rows: usize, vocab: usize) -> Result<(), Diagnostic> {
    write_tensor(path, "logits", &[1, rows, vocab], logits)
}

/// Writes `hidden_states` float32 `[rows, hidden]` and `tokens` int64 `[rows]` as a safetensors file.
pub fn write_states(path: &Path, states: &[Vec<f32>], tokens: &[u32]) -> Result<(), Diagnostic> {
    assert_eq!(states.len(), tokens.len(), "a state for every token");
    let (values, tokens) = (states.concat(), tokens.iter().map(|t| i64::from(*t)).collect::<Vec<_>>());
    let shape = vec![states.len(), states.first().map_or(0, Vec::len)];
    let view = |dtype, shape, bytes| {
        safetensors::tensor::TensorView::new(dtype, shape, bytes).expect("invariant: shape and bytes agree")
    };
    let states = view(safetensors::Dtype::F32, shape, bytemuck::cast_slice(&values));
    let tokens = view(safetensors::Dtype::I64, vec![tokens.len()], bytemuck::cast_slice(&tokens));
    write_file(path, [("hidden_states", states), ("tokens", tokens)])
}

/// Writes one float32 tensor as a safetensors file.
pub fn write_tensor(path: &Path, name: &str, shape: &[usize], values: &[f32]) -> Result<(), Diagnostic> {
    assert_eq!(values.len(), shape.iter().product::<usize>(), "a value for every place");
    let bytes: &[u8] = bytemuck::cast_slice(values);
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes)
        .expect("invariant: shape and bytes agree");
    write_file(path, [(name, view)])
}

fn write_file<const N: usize>(
    path: &Path,
    tensors: [(&str, safetensors::tensor::TensorView<'_>); N],
) -> Result<(), Diagnostic> {
    let fault = |got: String| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Diagnostic::new(name, "a writable file", got, "choose another place with -o")
    };
    let file = safetensors::serialize(tensors, None).map_err(|e| fault(e.to_string()))?;
    std::fs::write(path, file).map_err(|e| fault(e.to_string()))
}
