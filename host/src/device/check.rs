//! The checks that every device makes before it works, with the same messages.

use super::{DeviceError, ImageHandle, ModelInfo};

/// A prompt for an empty context: known ids, one placeholder per image row, room for an answer.
pub fn check_prompt(model: &ModelInfo, ids: &[u32], images: &[ImageHandle]) -> Result<(), DeviceError> {
    if ids.is_empty() {
        return Err(DeviceError::Input("the prompt has no tokens".into()));
    }
    // A placeholder's row is a visual token's, whatever its id.
    check_ids(model, ids, |id| model.is_placeholder(id))?;
    let placeholders = ids.iter().filter(|&&id| model.is_placeholder(id)).count();
    let rows: usize = images.iter().map(|image| image.rows).sum();
    if placeholders != rows {
        return Err(DeviceError::Input(format!(
            "the prompt has {placeholders} image tokens; its {} image(s) give {rows} rows",
            images.len()
        )));
    }
    if ids.len() > model.longest_prompt() {
        return Err(DeviceError::PromptTooLong {
            needed: ids.len(),
            image: placeholders,
            limit: model.max_context,
        });
    }
    Ok(())
}

/// A decode step: a known id, a begun context of `used` positions, and a free one.
pub fn check_step(model: &ModelInfo, token: u32, used: usize) -> Result<(), DeviceError> {
    assert!(used > 0, "step before prefill");
    check_ids(model, &[token], |_| false)?;
    if used >= model.max_context {
        return Err(DeviceError::ContextFull { limit: model.max_context });
    }
    Ok(())
}

fn check_ids(model: &ModelInfo, ids: &[u32], known: impl Fn(u32) -> bool) -> Result<(), DeviceError> {
    match ids.iter().position(|&id| id as usize >= model.vocabulary && !known(id)) {
        None => Ok(()),
        Some(at) => Err(DeviceError::Input(format!(
            "token {} at position {at} is outside the model's vocabulary of {}",
            ids[at], model.vocabulary
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::ImageInfo;

    fn model() -> ModelInfo {
        let image = ImageInfo {
            vision: Default::default(),
            token_id: 9,
            rows: 4,
            rows_unpruned: 4,
            prune: None,
            video: None,
        };
        ModelInfo {
            architecture: "test".into(),
            vocabulary: 10,
            layers: 1,
            outputs: 10,
            answers: true,
            max_context: 8,
            stop_ids: vec![],
            image: Some(image),
        }
    }

    #[test]
    fn messages_carry_the_numbers() {
        let image = ImageHandle { index: 0, rows: 4 };
        let say = |ids: &[u32], images: &[ImageHandle]| {
            check_prompt(&model(), ids, images).unwrap_err().to_string()
        };
        assert!(say(&[], &[]).contains("no tokens"));
        assert!(say(&[1, 10], &[]).contains("token 10 at position 1"));
        assert!(say(&[9, 9], &[image]).contains("2 image tokens; its 1 image(s) give 4 rows"));
        let long = say(&[9, 9, 9, 9, 1, 1, 1, 1], &[image]);
        assert!(long.contains("8 tokens (4 of them for images); the context holds 8"), "{long}");
        assert!(check_prompt(&model(), &[9, 9, 9, 9, 1, 1, 1], &[image]).is_ok());
        assert!(check_step(&model(), 1, 7).is_ok());
        // Placeholders may lie outside the vocabulary, answers may not.
        let image_token_outside = ModelInfo { vocabulary: 9, ..model() };
        assert!(check_prompt(&image_token_outside, &[9, 9, 9, 9, 1], &[image]).is_ok());
        assert!(check_step(&image_token_outside, 9, 7).is_err());
        assert!(check_step(&model(), 1, 8).is_err());
    }
}
