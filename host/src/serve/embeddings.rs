//! `/v1/embeddings`: vectors of length 1, as [`crate::embed`] says.

use super::app::App;
use super::body::Parsed;
use super::conversation::Conversation;
use super::error::ApiError;
use super::inputs::prompts;
use super::job::{Event, Job, Task, Ticket};
use crate::generate::Options;
use crate::prompt::Prompt;
use crate::sampler::Sampling;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::StatusCode;
use axum::Json;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde::Deserialize;
use serde_json::{json, Value};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

#[derive(Debug, Deserialize)]
struct Request {
    model: Option<String>,
    #[serde(default)]
    encoding_format: Encoding,
    dimensions: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    Base64,
}

fn encoded(vector: &[f32], encoding: Encoding) -> Value {
    let bytes = || vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    match encoding {
        Encoding::Float => json!(vector),
        Encoding::Base64 => json!(STANDARD.encode(bytes())),
    }
}

/// Answers an embeddings request.
pub async fn embed(
    app: Arc<App>,
    peer: SocketAddr,
    parts: Parts,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let start = Instant::now();
    let client = app.access.client(&parts.headers, peer)?;
    let Parsed { json: body, memory } = app.memory.read(&parts.headers, body, &app.limits).await?;
    if !body.is_object() {
        return Err(ApiError::value("body", "the body must be a JSON object"));
    }
    let request: Request = serde_path_to_error::deserialize(&body).map_err(|error| {
        let (path, what) = (error.path().to_string(), error.inner().to_string());
        ApiError::value(path.clone(), format!("{path}: {what}"))
    })?;
    app.check_model(request.model.as_deref())?;
    if request.dimensions.is_some() {
        return Err(ApiError::unsupported(
            "dimensions",
            "embeddings cannot be shortened; leave dimensions out",
        ));
    }
    if let Some(error) = app.working.none_left() {
        return Err(error);
    }
    let prompts = app.clone().beside_network(move |app| prompts(app, &body)).await?;
    drop(memory);
    let (mut data, mut tokens) = (Vec::with_capacity(prompts.len()), 0);
    for (index, prompt) in prompts.into_iter().enumerate() {
        tokens += prompt.ids.len();
        let vector = one(&app, client.clone(), prompt, start).await?;
        let embedding = encoded(&vector, request.encoding_format);
        data.push(json!({"object": "embedding", "index": index, "embedding": embedding}));
    }
    app.metrics.ended(start.elapsed());
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Ok(Json(json!({"object": "list", "data": data, "model": app.name, "usage": usage})))
}

/// Runs one prompt.
async fn one(app: &Arc<App>, client: String, prompt: Prompt, start: Instant) -> Result<Vec<f32>, ApiError> {
    app.limits.admit(&prompt, app.info.max_context, Some(1), app.cost.as_ref())?;
    let (events, receiver) = mpsc::unbounded_channel();
    let cancel = Arc::default();
    let deadline = start + app.limits.time;
    let sampling = Sampling::Greedy;
    app.queue.push(Job {
        client,
        // Models that compare keep nothing that a later text could begin with.
        conversation: match app.info.answers {
            true => Conversation::of(&prompt, |id| app.info.is_placeholder(id)),
            false => Conversation::default(),
        },
        prompt,
        layers: app.info.layers,
        task: Task::Embed,
        options: Options { max_new_tokens: 1, sampling, stop_ids: vec![], stop_strings: vec![], exits: None },
        trims: false,
        max_cycles: app.max_cycles,
        cancel: Arc::clone(&cancel),
        deadline,
        events,
    })?;
    let mut ticket = Ticket::new(receiver, cancel, app.queue.clone());
    let late = || ApiError::timeout(app.limits.time.as_secs_f64());
    match tokio::time::timeout_at(deadline.into(), ticket.events.recv()).await {
        Ok(Some(Event::Embedded(vector))) => Ok(vector),
        Ok(Some(Event::Failed(error))) => Err(error),
        Err(_) => Err(late()),
        Ok(None) if Instant::now() >= deadline => Err(late()),
        Ok(_) => {
            let what = "the device stopped working on this request";
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "device_error", what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_agree() {
        let vector = [0.6f32, 0.8];
        assert_eq!(encoded(&vector, Encoding::Float), json!(vector));
        let text = encoded(&vector, Encoding::Base64);
        let bytes = STANDARD.decode(text.as_str().expect("text")).expect("base64");
        assert_eq!(bytes, [0.6f32.to_le_bytes(), 0.8f32.to_le_bytes()].concat());
    }
}
