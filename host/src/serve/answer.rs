//! From a job's events to a response: one JSON object, or server-sent events.

use super::error::ApiError;
use super::figures::Figures;
use super::job::{Event, Outcome, Progress, Ticket};
use super::metrics::Metrics;
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::Json;
use futures_util::stream::{self, Stream};
use serde_json::{json, Value};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which of the two completion APIs is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Text,
}

/// Everything that turns events into a response.
pub struct Answering {
    /// Which API.
    pub kind: Kind,
    /// `chatcmpl-…`.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Name of the model.
    pub model: String,
    /// Positions of the prompt.
    pub prompt_tokens: usize,
    /// Usage at the end of a stream.
    pub wants_usage: bool,
    /// Device counts, where wanted and known.
    pub figures: Option<Arc<Figures>>,
    /// When the request came.
    pub start: Instant,
    /// When it must be answered.
    pub deadline: Instant,
    /// Where durations are counted.
    pub metrics: Arc<Metrics>,
    /// The job's events.
    pub ticket: Ticket,
}

impl Answering {
    /// The next event; errors stand for time-outs and dead devices too.
    async fn next(&mut self) -> Event {
        let late = ApiError::timeout((self.deadline - self.start).as_secs_f64());
        match tokio::time::timeout_at(self.deadline.into(), self.ticket.events.recv()).await {
            Ok(Some(event)) => event,
            // A worker drops a job without a word only when its time is over.
            Ok(None) if Instant::now() >= self.deadline => Event::Failed(late),
            Ok(None) => {
                let what = "the device stopped working on this request";
                Event::Failed(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "device_error", what))
            }
            Err(_) => Event::Failed(late),
        }
    }

    fn usage(&self, progress: &Progress) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": progress.tokens,
            "total_tokens": self.prompt_tokens + progress.tokens,
            "prompt_tokens_details": {"cached_tokens": progress.reused},
        })
    }

    fn object(&self, streams: bool) -> &'static str {
        match (self.kind, streams) {
            (Kind::Chat, false) => "chat.completion",
            (Kind::Chat, true) => "chat.completion.chunk",
            (Kind::Text, _) => "text_completion",
        }
    }

    fn envelope(&self, streams: bool, choices: Value) -> Value {
        json!({
            "id": self.id,
            "object": self.object(streams),
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    fn with_figures(&self, mut chunk: Value, progress: &Progress) -> Value {
        if let Some(figures) = &self.figures {
            chunk["device"] = figures.json(progress);
        }
        chunk
    }

    /// Waits for the end.
    pub async fn whole(mut self) -> Response {
        let mut text = String::new();
        let outcome = loop {
            match self.next().await {
                Event::Text(piece, _) => {
                    if text.is_empty() {
                        self.metrics.first_text(self.start.elapsed());
                    }
                    text.push_str(&piece);
                }
                Event::Done(outcome) => break outcome,
                Event::Failed(error) => return error.into_response(),
                Event::Embedded(_) => unreachable!("invariant: an answer was asked for"),
            }
        };
        self.metrics.ended(self.start.elapsed());
        let finish = outcome.finish;
        let choice = match self.kind {
            Kind::Chat => {
                let message = json!({"role": "assistant", "content": text, "refusal": null});
                json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish})
            }
            Kind::Text => json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish}),
        };
        let mut body = self.envelope(false, json!([choice]));
        body["usage"] = self.usage(&outcome.progress);
        Json(self.with_figures(body, &outcome.progress)).into_response()
    }

    /// Sends text as it comes. Failures before the first event are ordinary error responses.
    pub async fn streamed(mut self) -> Response {
        let first = match self.next().await {
            Event::Failed(error) => return error.into_response(),
            event => event,
        };
        let mut state = State { answering: self, frames: VecDeque::new(), begun: false, over: false };
        if state.answering.kind == Kind::Chat {
            let delta = json!({"role": "assistant", "content": ""});
            let chunk = state.answering.chunk(delta, None);
            state.frames.push_back(chunk.to_string());
        }
        state.take(first);
        let keep_alive = KeepAlive::new().interval(Duration::from_secs(10));
        let mut response = Sse::new(state.events()).keep_alive(keep_alive).into_response();
        // Proxies must not collect the pieces.
        response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
        response
    }

    /// A chunk with new text or the end.
    fn chunk(&self, delta: Value, finish: Option<&str>) -> Value {
        let choice = match self.kind {
            Kind::Chat => json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}),
            Kind::Text => {
                let text = delta.get("content").cloned().unwrap_or_else(|| "".into());
                json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish})
            }
        };
        let mut chunk = self.envelope(true, json!([choice]));
        if self.wants_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }
}

struct State {
    answering: Answering,
    frames: VecDeque<String>,
    begun: bool,
    over: bool,
}

impl State {
    /// Turns an event into frames.
    fn take(&mut self, event: Event) {
        let a = &self.answering;
        match event {
            Event::Text(text, progress) => {
                if !std::mem::replace(&mut self.begun, true) {
                    a.metrics.first_text(a.start.elapsed());
                }
                let chunk = a.with_figures(a.chunk(json!({"content": text}), None), &progress);
                self.frames.push_back(chunk.to_string());
            }
            Event::Done(Outcome { finish, progress }) => {
                a.metrics.ended(a.start.elapsed());
                let last = a.with_figures(a.chunk(json!({}), Some(finish)), &progress);
                self.frames.push_back(last.to_string());
                if a.wants_usage {
                    let mut chunk = a.envelope(true, json!([]));
                    chunk["usage"] = a.usage(&progress);
                    self.frames.push_back(chunk.to_string());
                }
                self.frames.push_back("[DONE]".into());
                self.over = true;
            }
            Event::Embedded(_) => unreachable!("invariant: an answer was asked for"),
            // The status line is out already: the error is an event, and there is no [DONE].
            Event::Failed(error) => {
                self.frames.push_back(error.json().to_string());
                self.over = true;
            }
        }
    }

    fn events(self) -> impl Stream<Item = Result<sse::Event, Infallible>> {
        stream::unfold(self, |mut state| async move {
            while state.frames.is_empty() && !state.over {
                let event = state.answering.next().await;
                state.take(event);
            }
            let frame = state.frames.pop_front()?;
            Some((Ok(sse::Event::default().data(frame)), state))
        })
    }
}
