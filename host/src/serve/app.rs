//! What all handlers share, and the way of a request from its JSON to a job.

use super::access::Access;
use super::answer::{Answering, Kind};
use super::body::{BodyMemory, Parsed};
use super::content::Chat;
use super::conversation::{Conversation, Depth};
use super::devices::Devices;
use super::error::ApiError;
use super::figures::Figures;
use super::job::{Job, Task, Ticket};
use super::limits::Limits;
use super::metrics::Metrics;
use super::queue::Queue;
use super::request::Common;
use super::savings::{Asked, Savings};
use crate::bundle::BundleError;
use crate::device::{DeviceError, ModelInfo};
use crate::profile::CostModel;
use crate::prompt::{prepare_shown, video_sampling, Prompt, PromptError};
use crate::source::Source;
use crate::text::TextError;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, Semaphore};

/// Shared by all handlers.
pub struct App {
    /// Name of the model in the API.
    pub name: String,
    /// Start of the server, seconds since 1970.
    pub created: u64,
    /// What the devices are called.
    pub devices: Vec<String>,
    /// Which of them work.
    pub working: Arc<Devices>,
    /// Tokenizer, template, image processor.
    pub source: Arc<Source>,
    /// The devices' view of the model.
    pub info: ModelInfo,
    /// Bounds.
    pub limits: Limits,
    /// What requests leave out.
    pub savings: Savings,
    /// Device cycles that a request may take.
    pub max_cycles: Option<u64>,
    /// Keys.
    pub access: Access,
    /// Waiting jobs.
    pub queue: Arc<Queue>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Prices; `None` for devices that count no cycles.
    pub cost: Option<CostModel>,
    /// Figures of the device.
    pub figures: Option<Arc<Figures>>,
    /// Memory for bodies.
    pub memory: BodyMemory,
    /// How many requests may decode pictures and cut text at the same time.
    pub preparing: Arc<Semaphore>,
    /// Requests so far: names and seeds.
    pub count: AtomicU64,
}

/// No token stands for more bytes than this, so a text that is longer than the context times this
/// cannot fit and need not be cut.
const MAX_TOKEN_BYTES: usize = 256;

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())
}

impl App {
    /// Answers a completion request of either kind.
    pub async fn complete(
        self: Arc<Self>,
        kind: Kind,
        peer: SocketAddr,
        parts: Parts,
        body: Body,
    ) -> Result<Response, ApiError> {
        let start = Instant::now();
        let client = self.access.client(&parts.headers, peer)?;
        let Parsed { json, memory } = self.memory.read(&parts.headers, body, &self.limits).await?;
        let common = Common::from_json(&json)?;
        self.check_model(common.model.as_deref())?;
        if !self.info.answers {
            let what =
                format!("{} writes no text; it gives vectors: use /v1/embeddings", self.info.architecture);
            return Err(ApiError::unsupported("model", what));
        }
        if let Some(error) = self.working.none_left() {
            return Err(error);
        }
        let asked = common.new_tokens()?;
        let (streams, wants_usage) = (common.streams(), common.wants_usage());
        let wants_figures = common.wants_figures();
        let asked_savings = Asked::from_json(&json)?;
        let way = self.savings.way(&asked_savings, &self.info)?;
        let info = asked_savings.model(&self.source, &self.info)?;
        let prompt = self
            .clone()
            .beside_network(move |app| match kind {
                Kind::Chat => app.chat_prompt(&json, &info),
                Kind::Text => app.text_prompt("prompt", json.get("prompt").unwrap_or(&Value::Null)),
            })
            .await?;
        drop(memory);
        let tokens = self.limits.admit(&prompt, self.info.max_context, asked, self.cost.as_ref())?;
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let options = common.options(tokens, &self.info.stop_ids, number, way.exits)?;
        let depth = match &options.exits {
            Some(_) => Depth::Open,
            None if way.layers == self.info.layers => Depth::All,
            None => Depth::First(way.layers),
        };
        let prefix = if kind == Kind::Chat { "chatcmpl" } else { "cmpl" };
        let id = format!("{prefix}-{:x}-{number}", self.created);
        let (events, receiver) = mpsc::unbounded_channel();
        let cancel = Arc::default();
        let deadline = start + self.limits.time;
        let prompt_tokens = prompt.ids.len();
        let job = Job {
            client,
            conversation: Conversation::of(&prompt, |id| self.info.is_placeholder(id)).through(depth),
            layers: way.layers,
            prompt,
            task: Task::Answer,
            options,
            trims: kind == Kind::Chat,
            max_cycles: self.max_cycles,
            cancel: Arc::clone(&cancel),
            deadline,
            events,
        };
        self.queue.push(job)?;
        let answering = Answering {
            kind,
            id,
            created: now(),
            model: self.name.clone(),
            prompt_tokens,
            wants_usage,
            figures: self.figures.clone().filter(|_| wants_figures),
            start,
            deadline,
            metrics: self.metrics.clone(),
            ticket: Ticket::new(receiver, cancel, self.queue.clone()),
        };
        Ok(if streams { answering.streamed().await } else { answering.whole().await })
    }

    /// The name must be the model's.
    pub fn check_model(&self, model: Option<&str>) -> Result<(), ApiError> {
        match model {
            Some(name) if name == self.name => Ok(()),
            Some(name) => {
                let what = format!("the model {name:?} does not exist here; this server has {:?}", self.name);
                let error = ApiError::new(StatusCode::NOT_FOUND, "model_not_found", what);
                Err(ApiError { param: Some("model".into()), ..error })
            }
            None => {
                Err(ApiError::value("model", format!("model is missing; this server has {:?}", self.name)))
            }
        }
    }

    /// Tokens and patches of a request are made beside the network threads: it is the heavy part.
    pub async fn beside_network<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&App) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = self.preparing.clone().acquire_owned().await.map_err(|_| ApiError::shutting_down())?;
        let work = move || {
            let _turn = turn;
            work(&self)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
            let what = "the server made a mistake while it prepared this request";
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", what))
        })
    }

    /// Chat messages with their pictures and videos, for a model as the request wants it.
    pub fn chat_prompt(&self, json: &Value, info: &ModelInfo) -> Result<Prompt, ApiError> {
        let chat = Chat::from_json(json.get("messages"), &self.limits)?;
        self.check_length("messages", chat.text_bytes())?;
        let name = &self.info.architecture;
        if self.info.image.is_none() && !(chat.files.is_empty() && chat.videos.is_empty()) {
            let what = format!("{name} is a text-only model; ask without images and videos");
            return Err(ApiError::unsupported("messages", what));
        }
        let pictures = chat.pictures(&self.limits)?;
        let videos = match chat.videos.is_empty() {
            true => Vec::new(),
            false => {
                let sampling =
                    video_sampling(self.source.assets(), &self.info).map_err(|error| match error {
                        PromptError::NoVideos(_) => {
                            let advice = "send the GIF as image_url to show six of its frames as one picture";
                            ApiError::unsupported("messages", format!("{name} takes no videos; {advice}"))
                        }
                        error => prompt_error("messages", &error),
                    })?;
                chat.shown_videos(sampling, &self.limits)?
            }
        };
        prepare_shown(self.source.assets(), info, &chat.messages, &pictures, &videos)
            .map_err(|error| prompt_error("messages", &error))
    }

    /// Plain text or token ids, as they are, from the field `param`.
    pub fn text_prompt(&self, param: &str, mut prompt: &Value) -> Result<Prompt, ApiError> {
        if let Value::Array(list) = prompt {
            if let (1, Some(only @ (Value::String(_) | Value::Array(_)))) = (list.len(), list.first()) {
                prompt = only;
            }
        }
        let what = || format!("{param} must be one text or one list of token ids");
        let ids = match prompt {
            Value::String(text) => {
                self.check_length(param, text.len())?;
                let tokenizer = self.source.assets().tokenizer();
                let ids = tokenizer.and_then(|tokenizer| Ok(tokenizer.encode(text, true)?));
                ids.map_err(|error| prompt_error(param, &error.into()))?
            }
            Value::Array(list) => {
                let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
                let ids: Option<Vec<u32>> = list.iter().map(id).collect();
                ids.ok_or_else(|| ApiError::value(param, what()))?
            }
            _ => return Err(ApiError::value(param, what())),
        };
        if let Some(at) = ids.iter().position(|&id| self.info.is_placeholder(id)) {
            let what =
                format!("token {at} of {param} stands for a picture or video; use /v1/chat/completions");
            return Err(ApiError::value(param, what));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.info.vocabulary) {
            let what = format!("token {id} is outside the model's vocabulary of {}", self.info.vocabulary);
            return Err(ApiError::value(param, what));
        }
        if ids.is_empty() {
            return Err(ApiError::value(param, format!("{param} has no tokens")));
        }
        if ids.len() > self.info.longest_prompt() {
            let (needed, limit) = (ids.len(), self.info.max_context);
            let error = DeviceError::PromptTooLong { needed, image: 0, limit };
            return Err(prompt_error(param, &error.into()));
        }
        Ok(Prompt { ids, image_tokens: 0, images: Vec::new() })
    }

    fn check_length(&self, param: &str, bytes: usize) -> Result<(), ApiError> {
        let most = self.info.max_context * MAX_TOKEN_BYTES;
        if bytes <= most {
            return Ok(());
        }
        let what =
            format!("{bytes} bytes of text cannot fit the context of {} tokens", self.info.max_context);
        Err(ApiError::invalid(param, "context_length_exceeded", what))
    }
}

/// Whose fault it is.
pub fn prompt_error(param: &str, error: &PromptError) -> ApiError {
    let message = error.to_string();
    match error {
        PromptError::Device(DeviceError::PromptTooLong { .. }) => {
            ApiError::invalid(param, "context_length_exceeded", message)
        }
        PromptError::Device(_)
        | PromptError::TextOnly(_)
        | PromptError::NoVideos(_)
        | PromptError::Bundle(BundleError::Text(
            TextError::Template(_) | TextError::ImageCount { .. } | TextError::NoImageToken(_),
        ))
        | PromptError::Bundle(BundleError::Image(crate::image::ImageError::Stretched { .. })) => {
            ApiError::invalid(param, "invalid_prompt", message)
        }
        PromptError::Bundle(_) | PromptError::Inconsistent(_) => {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "model_files", message)
        }
    }
}
