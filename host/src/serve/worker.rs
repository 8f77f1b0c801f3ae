//! The thread that owns a device: takes jobs, answers them, keeps the conversation that its cache
//! holds.

use super::conversation::Conversation;
use super::error::ApiError;
use super::job::{Event, Job, Outcome, Progress};
use super::metrics::Metrics;
use super::queue::Queue;
use crate::device::{self, Device, DeviceError, ModelInfo, RunStats};
use crate::generate::{continue_from, Answer, Finish, GenerateError, Watch};
use crate::source::Source;
use axum::http::StatusCode;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::{mpsc, Arc};
use std::thread;
use std::time::Instant;

/// What a worker needs.
#[derive(Clone)]
pub struct Worker {
    /// Its number.
    pub index: usize,
    /// `iss`, `rtl`, …
    pub device: String,
    /// The model.
    pub source: Arc<Source>,
    /// Where jobs come from.
    pub queue: Arc<Queue>,
    /// Where work is counted.
    pub metrics: Arc<Metrics>,
}

impl Worker {
    /// Starts the thread; waits until the device has loaded the model.
    pub fn start(self) -> anyhow::Result<(thread::JoinHandle<()>, ModelInfo)> {
        let (ready, loaded) = mpsc::channel();
        let thread =
            thread::Builder::new().name(format!("device {}", self.index)).spawn(move || self.run(&ready))?;
        let info = loaded.recv().map_err(|_| anyhow::anyhow!("the device's thread ended"))??;
        Ok((thread, info))
    }

    fn run(&self, ready: &mpsc::Sender<anyhow::Result<ModelInfo>>) {
        let mut ready = Some(ready);
        loop {
            let opened = device::open(&self.device, &self.source).map_err(anyhow::Error::from);
            let mut device = match (opened, ready.take()) {
                (Ok(device), Some(ready)) => {
                    let _ = ready.send(Ok(device.model().clone()));
                    device
                }
                (Ok(device), None) => device,
                (Err(error), Some(ready)) => {
                    let _ = ready.send(Err(error));
                    return;
                }
                (Err(_), None) => return,
            };
            self.metrics.devices.inc();
            let broken = self.serve(device.as_mut());
            self.metrics.devices.dec();
            if !broken {
                return;
            }
        }
    }

    /// Answers jobs; true if the device must be opened again.
    fn serve(&self, device: &mut dyn Device) -> bool {
        let mut held = Conversation::default();
        while let Some(job) = self.queue.take(self.index, &held) {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.answer(device, &job, &mut held)));
            self.queue.finished(self.index);
            if outcome.is_err() {
                let what = "the server made a mistake; this request is lost, others are not";
                let error = ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", what);
                let _ = job.events.send(Event::Failed(error));
                return true;
            }
        }
        false
    }

    fn answer(&self, device: &mut dyn Device, job: &Job, held: &mut Conversation) {
        if Instant::now() >= job.deadline {
            // The client's side has said so already.
            return;
        }
        let known = job.conversation.known_in(held);
        held.truncate(known);
        device.interrupt(job.cancel.clone());
        let tokenizer = match self.source.assets().tokenizer() {
            Ok(tokenizer) => tokenizer,
            Err(error) => return fail(job, &error.into()),
        };
        let mut watch = Stream { job, progress: Progress::default(), over: false };
        let (prompt, options) = (&job.prompt, &job.options);
        let answer = continue_from(device, tokenizer, prompt, known, options, &job.cancel, &mut watch);
        let Stream { progress, over, .. } = watch;
        self.metrics.work(&answer.as_ref().map_or(progress.stats, |answer| answer.stats));
        match answer {
            Ok(answer) => {
                *held = job.conversation.clone().answered(&answer.tokens);
                self.deliver(job, &answer, Progress { stats: answer.stats, ..progress }, over);
            }
            Err(error) => {
                *held = Conversation::default();
                fail(job, &error);
            }
        }
    }

    fn deliver(&self, job: &Job, answer: &Answer, progress: Progress, over: bool) {
        let finish = match answer.finish {
            Finish::Stop => "stop",
            Finish::Length | Finish::ContextFull => "length",
            Finish::Interrupted if over => "length",
            Finish::Interrupted if self.queue.is_closed() => {
                let _ = job.events.send(Event::Failed(ApiError::shutting_down()));
                return;
            }
            // The client has gone, or its time is over, which its own side reports.
            Finish::Interrupted => return self.metrics.cancelled.inc(),
        };
        self.metrics.answered(&job.prompt, &progress);
        let _ = job.events.send(Event::Done(Outcome { finish, progress }));
    }
}

fn fail(job: &Job, error: &GenerateError) {
    let (status, code) = match error {
        GenerateError::Device(DeviceError::Input(_)) => (StatusCode::BAD_REQUEST, "invalid_prompt"),
        GenerateError::Device(DeviceError::PromptTooLong { .. } | DeviceError::ContextFull { .. }) => {
            (StatusCode::BAD_REQUEST, "context_length_exceeded")
        }
        // The reader has gone.
        GenerateError::Output(_) => return,
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "device_error"),
    };
    let _ = job.events.send(Event::Failed(ApiError::new(status, code, error.to_string())));
}

/// Sends what is generated.
struct Stream<'j> {
    job: &'j Job,
    progress: Progress,
    /// The cycles that the request may take are used up.
    over: bool,
}

impl Watch for Stream<'_> {
    fn text(&mut self, text: &str) -> std::io::Result<()> {
        let sent = self.job.events.send(Event::Text(text.to_owned(), self.progress));
        sent.map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }

    fn started(&mut self, kept: usize) {
        self.progress.reused = kept;
    }

    fn token(&mut self, stats: &RunStats) -> bool {
        self.progress.tokens += 1;
        self.progress.stats = *stats;
        let used = stats.total().cycles.unwrap_or(0);
        self.over = self.job.max_cycles.is_some_and(|most| used >= most);
        let late = Instant::now() >= self.job.deadline;
        if late {
            self.job.cancel.store(true, Ordering::Relaxed);
        }
        !self.over && !late
    }

    fn trims(&self) -> bool {
        self.job.trims
    }
}
