//! A request on its way through the queue and a device.

use super::conversation::Conversation;
use super::error::ApiError;
use super::queue::Queue;
use crate::device::RunStats;
use crate::generate::Options;
use crate::prompt::Prompt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// What is wanted of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Its continuation.
    Answer,
    /// Its vector.
    Embed,
}

/// What a device is to do.
pub struct Job {
    /// Whose turn it takes.
    pub client: String,
    /// Tokens and patches.
    pub prompt: Prompt,
    /// The prompt's keys.
    pub conversation: Conversation,
    /// Layers that its rows run through, where `options` have no exits.
    pub layers: usize,
    /// What is wanted.
    pub task: Task,
    /// Length, sampling, stops.
    pub options: Options,
    /// Drop white space in front of the answer.
    pub trims: bool,
    /// Device cycles it may take; `None`: any number.
    pub max_cycles: Option<u64>,
    /// Set when nobody waits for the answer any more.
    pub cancel: Arc<AtomicBool>,
    /// Answers later than this are not wanted.
    pub deadline: Instant,
    /// Where the answer goes. Not bounded, because the number of tokens is: a slow reader must not
    /// hold up the device.
    pub events: mpsc::UnboundedSender<Event>,
}

/// What comes back.
#[derive(Debug)]
pub enum Event {
    /// Text and the device's counts so far.
    Text(String, Progress),
    /// The end.
    Done(Outcome),
    /// The end of [`Task::Embed`].
    Embedded(Vec<f32>),
    /// No answer, or no more of it.
    Failed(ApiError),
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Tokens chosen.
    pub tokens: usize,
    /// Positions of the prompt that came from the cache.
    pub reused: usize,
    /// Layers that the rows ran through; known at the end.
    pub layers: Option<usize>,
    /// What the device counted.
    pub stats: RunStats,
}

/// A finished answer.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// `stop` or `length`.
    pub finish: &'static str,
    /// Totals.
    pub progress: Progress,
}

/// The client's end of a job. Dropping it cancels the job, wherever it is.
pub struct Ticket {
    /// What comes back.
    pub events: mpsc::UnboundedReceiver<Event>,
    cancel: Arc<AtomicBool>,
    queue: Arc<Queue>,
}

impl Ticket {
    /// For a job with this flag.
    pub fn new(events: mpsc::UnboundedReceiver<Event>, cancel: Arc<AtomicBool>, queue: Arc<Queue>) -> Ticket {
        Ticket { events, cancel, queue }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.queue.sweep();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sampler::Sampling;

    /// A job of a client with a text prompt.
    pub fn job(client: &str, tokens: &[u32]) -> Job {
        let prompt = Prompt { ids: tokens.to_vec(), image_tokens: 0, images: vec![] };
        let sampling = Sampling::Greedy;
        let options =
            Options { max_new_tokens: 1, sampling, stop_ids: vec![], stop_strings: vec![], exits: None };
        Job {
            client: client.into(),
            conversation: Conversation::of(&prompt, |_| false),
            prompt,
            layers: 1,
            task: Task::Answer,
            options,
            trims: true,
            max_cycles: None,
            cancel: Arc::default(),
            deadline: Instant::now(),
            events: mpsc::unbounded_channel().0,
        }
    }
}
