//! Vectors of pictures and texts, and zero-shot classification.
//!
//! Models that compare pictures with texts (CLIP, SigLIP) have a tower for each. Of a model that writes text
//! (VLM2Vec) the last position's hidden state behind the final norm stands for the whole prompt, as that position
//! has seen all others. The device computes the vectors; their lengths, the cosine and the probabilities of a
//! few labels are this computer's.

use crate::bundle::{BundleError, TextAssets};
use crate::device::{Device, DeviceError, Logits};
use crate::generate::hidden;
use crate::image::RgbPicture;
use crate::prompt::{Prompt, PromptError};
use flightvlm_compiler::graph::{unit, Contrast, ModelSpec, Picture};

/// Why there is no vector.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// A model of another kind.
    #[error(
        "{0} writes text; only models that compare pictures with texts (CLIPModel, SiglipModel) find labels"
    )]
    NotContrastive(String),
    /// The tokenizer of another model.
    #[error("{text:?} has no end-of-text token after the tokenizer; its post-processor must add one")]
    NoEnd {
        /// The text.
        text: String,
    },
    /// Nothing to choose from.
    #[error("there are no labels; give at least one, one a line")]
    NoLabels,
    /// A template that ignores the label.
    #[error("the template {0:?} does not say where the label goes; write {{}} there")]
    Template(String),
    /// Picture and model do not fit.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Files of the checkpoint.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// How the model compares; an error for models that do not.
pub fn contrast(spec: &ModelSpec) -> Result<&Contrast, EmbedError> {
    spec.contrast.as_ref().ok_or_else(|| EmbedError::NotContrastive(spec.architecture.clone()))
}

/// The vector of a prompt, of length 1; `known` as in [`crate::generate::continue_from`]. For models that compare, a
/// prompt is a text's tokens up to its end, or one picture.
pub fn embed(device: &mut dyn Device, prompt: &Prompt, known: usize) -> Result<Vec<f32>, DeviceError> {
    Ok(unit(&match (device.model().answers, &prompt.images[..]) {
        (true, _) => hidden(device, prompt, known)?,
        (false, [picture]) => device.embed_image(picture)?,
        (false, _) => {
            device.begin()?;
            device.prefill(&prompt.ids, &[], Logits::LastToken)?.logits
        }
    }))
}

/// A text for a model that compares.
pub fn compared_text(contrast: &Contrast, assets: &TextAssets, text: &str) -> Result<Prompt, EmbedError> {
    let ids = assets.tokenizer()?.encode(text, true).map_err(BundleError::from)?;
    let ids = contrast.ended(ids).ok_or_else(|| EmbedError::NoEnd { text: text.into() })?;
    Ok(Prompt { ids, ..Prompt::default() })
}

/// A picture for a model that compares.
pub fn compared_picture(
    spec: &ModelSpec,
    assets: &TextAssets,
    picture: &RgbPicture,
) -> Result<Prompt, EmbedError> {
    let vision = spec.vision.as_ref().ok_or_else(|| EmbedError::NotContrastive(spec.architecture.clone()))?;
    let tiles = crate::prompt::tiles(assets, vision, picture)?;
    Ok(Prompt { images: vec![Picture::of_tiles(vision, tiles)], ..Prompt::default() })
}

/// The label in each template, `{}` being its place.
pub fn fill_templates(label: &str, templates: &[String]) -> Result<Vec<String>, EmbedError> {
    let fill = |template: &String| match template.contains("{}") {
        true => Ok(template.replace("{}", label)),
        false => Err(EmbedError::Template(template.clone())),
    };
    templates.iter().map(fill).collect()
}

/// The vector of a label: the mean of its texts' vectors, of length 1 again.
pub fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = vec![0.0; vectors.first().map_or(0, Vec::len)];
    for vector in vectors {
        sum.iter_mut().zip(vector).for_each(|(s, v)| *s += v);
    }
    unit(&sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_go_into_templates() {
        let templates = ["a photo of a {}.".to_string(), "{}, drawn".to_string()];
        assert_eq!(fill_templates("cat", &templates).unwrap(), ["a photo of a cat.", "cat, drawn"]);
        let wrong = fill_templates("cat", &["a cat".into()]).unwrap_err().to_string();
        assert!(wrong.contains("write {} there"), "{wrong}");
        assert_eq!(mean(&[vec![1.0, 0.0], vec![0.0, 1.0]]), [0.5f32.sqrt(); 2]);
    }
}
