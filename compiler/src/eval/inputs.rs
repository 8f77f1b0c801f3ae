//! Files of the `logits` command: what the Hugging Face processor returns in, logits out.

use std::path::Path;

use crate::diag::Diagnostic;
use crate::graph::ModelSpec;
use crate::import::{to_f32, Dtype, TensorFile, TensorRef};

/// One prompt with its pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Token ids, placeholders already repeated once per visual token.
    pub input_ids: Vec<u32>,
    /// Pictures `[3, image_size, image_size]`, in the order of their placeholders.
    pub images: Vec<Vec<f32>>,
}

impl Inputs {
    /// Reads `input_ids` (int64 `[1, T]`) and `pixel_values` (float32 `[n, 3, H, W]`, optional) and checks
    /// them against the model. `attention_mask` may be present if it masks nothing; other tensors are
    /// not looked at.
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
        if let Some(mask) = find("attention_mask") {
            check_mask(&mask)?;
        }
        let inputs = Self {
            input_ids: read_ids(&ids)?,
            images: find("pixel_values").map_or(Ok(Vec::new()), |t| read_images(&t, spec))?,
        };
        spec.check_ids(&inputs.input_ids)?;
        spec.check_placeholders(&inputs.input_ids, inputs.images.len())?;
        Ok(inputs)
    }
}

fn integers(tensor: &TensorRef) -> Option<Vec<i64>> {
    let data = tensor.data();
    match tensor.entry.dtype? {
        Dtype::I64 => Some(data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
        Dtype::I32 => Some(data.as_chunks().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()),
        _ => None,
    }
}

fn read_ids(tensor: &TensorRef) -> Result<Vec<u32>, Diagnostic> {
    let fault = |got: String| {
        let expected = "int64 token ids of shape [1, T], T at least 1";
        Diagnostic::new("input_ids", expected, got, "run one unpadded prompt at a time")
    };
    let entry = &tensor.entry;
    let ids = integers(tensor).ok_or_else(|| fault(format!("type {}", entry.dtype_name)))?;
    if !matches!(entry.shape[..], [1, rows] | [rows] if rows >= 1) {
        return Err(fault(format!("shape {:?}", entry.shape)));
    }
    ids.iter().map(|&id| u32::try_from(id).map_err(|_| fault(format!("token id {id}")))).collect()
}

fn check_mask(tensor: &TensorRef) -> Result<(), Diagnostic> {
    let masked = integers(tensor).is_some_and(|mask| mask.contains(&0));
    match masked {
        false => Ok(()),
        true => Err(Diagnostic::new(
            "attention_mask",
            "ones only",
            "masked positions",
            "run one unpadded prompt at a time",
        )),
    }
}

fn read_images(tensor: &TensorRef, spec: &ModelSpec) -> Result<Vec<Vec<f32>>, Diagnostic> {
    let shape = &tensor.entry.shape;
    let fault = |expected: String, got: String| {
        let help = "prepare the pictures with the model's own image processor";
        Diagnostic::new("pixel_values", expected, got, help)
    };
    let Some(vision) = &spec.vision else {
        return Err(fault("no pictures, as the model is text-only".into(), format!("{shape:?}")));
    };
    let size = vision.image_size;
    if shape.len() != 4 || shape[1..] != [3, size, size] {
        return Err(fault(format!("shape [n, 3, {size}, {size}]"), format!("{shape:?}")));
    }
    let values =
        to_f32(tensor).ok_or_else(|| fault("float32 values".into(), tensor.entry.dtype_name.clone()))?;
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(fault("finite values".into(), format!("{} at {index}", values[index])));
    }
    Ok(values.chunks_exact(3 * size * size).map(<[f32]>::to_vec).collect())
}

/// Writes `logits` float32 `[1, rows, vocab]` as a safetensors file.
pub fn write_logits(path: &Path, logits: &[f32], rows: usize, vocab: usize) -> Result<(), Diagnostic> {
    assert_eq!(logits.len(), rows * vocab, "logits of every row");
    let fault = |got: String| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Diagnostic::new(name, "a writable file", got, "choose another place with -o")
    };
    let bytes: &[u8] = bytemuck::cast_slice(logits);
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, rows, vocab], bytes)
        .expect("invariant: shape and bytes agree");
    let file = safetensors::serialize([("logits", view)], None).map_err(|e| fault(e.to_string()))?;
    std::fs::write(path, file).map_err(|e| fault(e.to_string()))
}
