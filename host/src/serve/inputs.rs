//! What an embeddings request asks vectors for.
//!
//! `input` is a text, a list of token ids, a picture (a `data:image/...` URL, or a part of type `image_url` as in
//! chat messages), or a list of such; each has a vector. `messages` are one conversation with one vector; with a
//! model that compares pictures with texts they are one picture or one text.

use super::app::{prompt_error, App};
use super::content::Chat;
use super::error::ApiError;
use crate::bundle::BundleError;
use crate::embed::{compared_picture, EmbedError};
use crate::image::RgbPicture;
use crate::prompt::{prepare, Prompt};
use crate::text::{Message, Part};
use flightvlm_compiler::graph::{Contrast, ModelSpec};
use serde_json::Value;

/// Entries of a request, as in the API.
const MAX_INPUTS: usize = 2048;

/// A prompt for each vector.
pub fn prompts(app: &App, body: &Value) -> Result<Vec<Prompt>, ApiError> {
    let spec = app.source.spec().map_err(|error| files(&error.to_string()))?;
    let Some(messages) = body.get("messages") else {
        return entries(app, spec, body);
    };
    let Some(how) = &spec.contrast else { return Ok(vec![app.chat_prompt(body, &app.info)?]) };
    let chat = Chat::from_json(Some(messages), &app.limits)?;
    let parts: Vec<&Part> = chat.messages.iter().flat_map(|message| &message.content).collect();
    match parts[..] {
        [Part::Text { text }] => Ok(vec![text_prompt(app, how, "messages", &text.as_str().into())?]),
        [Part::Image] => pictures(app, spec, &chat),
        _ => {
            let what = format!(
                "{} has a vector for one text or one picture; messages have {} parts",
                spec.architecture,
                parts.len()
            );
            Err(ApiError::value("messages", what))
        }
    }
}

/// The entries of `input`.
fn entries(app: &App, spec: &ModelSpec, body: &Value) -> Result<Vec<Prompt>, ApiError> {
    let inputs = inputs(body)?;
    let mut chat = Chat::default();
    for (index, input) in inputs.iter().enumerate() {
        if let Some(url) = picture_url(input) {
            chat.picture(format!("input[{index}]"), url, &app.limits)?;
        }
    }
    let mut shown = pictures(app, spec, &chat)?.into_iter();
    let prompt = |input: &&Value| match (picture_url(input), &spec.contrast) {
        (Some(_), _) => Ok(shown.next().expect("invariant: a prompt for each picture")),
        (None, Some(how)) => text_prompt(app, how, "input", plain(input)),
        (None, None) => app.text_prompt("input", plain(input)),
    };
    inputs.iter().map(prompt).collect()
}

/// A prompt for each picture.
fn pictures(app: &App, spec: &ModelSpec, chat: &Chat) -> Result<Vec<Prompt>, ApiError> {
    if chat.files.is_empty() {
        return Ok(Vec::new());
    }
    let assets = app.source.assets();
    let one = |picture: &RgbPicture| match spec.contrast {
        Some(_) => compared_picture(spec, assets, picture),
        None => {
            let turn = Message { role: "user".into(), content: vec![Part::Image] };
            let pictures = std::slice::from_ref(picture);
            prepare(assets, &app.info, &[turn], pictures).map_err(EmbedError::from)
        }
    };
    let read = chat.pictures(&app.limits)?;
    let place = |index: usize| chat.files[index].0.as_str();
    read.iter().enumerate().map(|(at, picture)| one(picture).map_err(|e| fault(place(at), &e))).collect()
}

/// A text or its tokens, for a model that compares.
fn text_prompt(app: &App, how: &Contrast, param: &str, input: &Value) -> Result<Prompt, ApiError> {
    let prompt = app.text_prompt(param, input)?;
    let ids = how.ended(prompt.ids).ok_or_else(|| {
        ApiError::value(param, format!("{param} has no end-of-text token after the tokenizer"))
    })?;
    Ok(Prompt { ids, ..prompt })
}

/// The text of a part of type `text`, or the value as it is.
fn plain(input: &Value) -> &Value {
    match input.get("type").and_then(Value::as_str) {
        Some("text") => &input["text"],
        _ => input,
    }
}

/// The URL of an input that is a picture.
fn picture_url(input: &Value) -> Option<&str> {
    match input {
        Value::String(text) => Some(text.as_str()).filter(|text| text.starts_with("data:image/")),
        _ => {
            let url = input.get("image_url")?;
            url.as_str().or_else(|| url.get("url")?.as_str())
        }
    }
}

/// One text, one list of token ids, one picture, or a list of such.
fn inputs(body: &Value) -> Result<Vec<&Value>, ApiError> {
    let wrong = |what: &str| Err(ApiError::value("input", what));
    match &body["input"] {
        one @ (Value::String(_) | Value::Object(_)) => Ok(vec![one]),
        Value::Array(list) if list.is_empty() => wrong("input is an empty list"),
        Value::Array(list) if list.len() > MAX_INPUTS => {
            wrong(&format!("input has {} entries; at most {MAX_INPUTS} are accepted", list.len()))
        }
        ids @ Value::Array(list) if list[0].is_number() => Ok(vec![ids]),
        Value::Array(list) => Ok(list.iter().collect()),
        _ => wrong("input must be a text, a list of token ids, a picture, or a list of such"),
    }
}

/// Whose fault it is.
fn fault(param: &str, error: &EmbedError) -> ApiError {
    match error {
        EmbedError::Prompt(error) => prompt_error(param, error),
        EmbedError::Bundle(BundleError::Image(image)) => {
            ApiError::invalid(param, "invalid_image", image.to_string())
        }
        _ => files(&error.to_string()),
    }
}

/// A fault of the checkpoint.
fn files(what: &str) -> ApiError {
    ApiError::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "model_files", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn inputs_are_texts_lists_of_tokens_or_pictures() {
        let count = |input: Value| inputs(&json!({"input": input})).map(|list| list.len());
        assert_eq!(count(json!("a")), Ok(1));
        assert_eq!(count(json!([1, 2, 3])), Ok(1));
        assert_eq!(count(json!(["a", "b"])), Ok(2));
        assert_eq!(count(json!([[1], [2, 3]])), Ok(2));
        assert_eq!(count(json!({"type": "text", "text": "a"})), Ok(1));
        for bad in [json!([]), json!(null), json!(5)] {
            assert_eq!(count(bad).expect_err("refused").param.as_deref(), Some("input"));
        }
        let url = "data:image/png;base64,AA";
        for picture in [
            json!(url),
            json!({"type": "image_url", "image_url": url}),
            json!({"type": "image_url", "image_url": {"url": url}}),
        ] {
            assert_eq!(picture_url(&picture), Some(url));
        }
        assert_eq!(picture_url(&json!("data:text/plain,a")), None);
        assert_eq!(plain(&json!({"type": "text", "text": "a"})), &json!("a"));
    }
}
