//! The thread that owns a device: takes jobs, answers them, keeps the conversation that its cache
//! holds.

use super::conversation::{Conversation, Depth};
use super::devices::Devices;
use super::error::ApiError;
use super::job::{Event, Job, Outcome, Progress, Task};
use super::metrics::Metrics;
use super::queue::Queue;
use crate::device::{self, Device, DeviceError, ModelInfo, RunStats};
use crate::embed::embed;
use crate::generate::{continue_from, Answer, Finish, GenerateError, Watch};
use crate::source::Source;
use axum::http::StatusCode;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::{mpsc, Arc};
use std::thread;
use std::time::{Duration, Instant};

/// Between two attempts to open a device that failed.
const RETRY: Duration = Duration::from_secs(2);

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
    /// Which devices work.
    pub devices: Arc<Devices>,
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
        let mut device = match device::open(&self.device, &self.source) {
            Ok(device) => device,
            Err(error) => {
                let _ = ready.send(Err(error.into()));
                return;
            }
        };
        let _ = ready.send(Ok(device.model().clone()));
        loop {
            self.metrics.devices.inc();
            let broken = self.serve(device.as_mut());
            self.metrics.devices.dec();
            // A card is in exclusive use: the old handle goes before the new one comes.
            drop(device);
            let again = if broken { self.open_again() } else { None };
            let Some(opened) = again else { return };
            device = opened;
        }
    }

    /// Opens the device that failed until it works; `None` when the server ends.
    fn open_again(&self) -> Option<Box<dyn Device + '_>> {
        loop {
            match device::open(&self.device, &self.source) {
                Ok(device) => {
                    self.devices.found(self.index);
                    return Some(device);
                }
                Err(error) => self.devices.lost(self.index, error.to_string()),
            }
            if let Some(error) = self.devices.none_left() {
                for job in self.queue.drain() {
                    let _ = job.events.send(Event::Failed(error.clone()));
                }
            }
            if self.queue.closes_within(RETRY) {
                return None;
            }
        }
    }

    /// Answers jobs; true if the device must be opened again.
    fn serve(&self, device: &mut dyn Device) -> bool {
        let mut held = Conversation::default();
        while let Some(job) = self.queue.take(self.index, &held) {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.answer(device, &job, &mut held)));
            self.queue.finished(self.index);
            match outcome {
                Ok(broken) if broken => return true,
                Ok(_) => {}
                Err(_) => {
                    let what = "the server made a mistake; this request is lost, others are not";
                    let error = ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", what);
                    let _ = job.events.send(Event::Failed(error));
                    return true;
                }
            }
        }
        false
    }

    /// Whether the device failed.
    fn answer(&self, device: &mut dyn Device, job: &Job, held: &mut Conversation) -> bool {
        if Instant::now() >= job.deadline {
            // The client's side has said so already.
            return false;
        }
        let known = job.conversation.known_in(held);
        held.truncate(known);
        device.interrupt(job.cancel.clone());
        let tokenizer = match self.source.assets().tokenizer() {
            Ok(tokenizer) => tokenizer,
            Err(error) => {
                fail(job, &error.into());
                return false;
            }
        };
        if job.options.exits.is_none() {
            // Another depth than before forgets the rows, as `known` does already.
            if let Err(error) = device.set_depth(job.layers) {
                fail(job, &error.into());
                return false;
            }
        }
        if job.task == Task::Embed {
            return self.embed(device, job, known, held);
        }
        let mut watch = Stream { job, progress: Progress::default(), over: false };
        let (prompt, options) = (&job.prompt, &job.options);
        let answer = continue_from(device, tokenizer, prompt, known, options, &job.cancel, &mut watch);
        let Stream { progress, over, .. } = watch;
        self.metrics.work(&answer.as_ref().map_or(progress.stats, |answer| answer.stats));
        match answer {
            Ok(answer) => {
                *held = job.conversation.clone().answered(&answer.tokens).through(depth(device));
                let progress = Progress { stats: answer.stats, layers: Some(device.depth()), ..progress };
                self.deliver(job, &answer, progress, over);
                false
            }
            Err(error) => {
                *held = Conversation::default();
                fail(job, &error);
                matches!(error, GenerateError::Device(DeviceError::Fault(_)))
            }
        }
    }

    /// Runs a prompt for its vector; whether the device failed.
    fn embed(&self, device: &mut dyn Device, job: &Job, known: usize, held: &mut Conversation) -> bool {
        let vector = embed(device, &job.prompt, known);
        let progress = Progress { tokens: 0, reused: known, layers: None, stats: device.stats() };
        self.metrics.work(&progress.stats);
        match vector {
            Ok(vector) => {
                *held = job.conversation.clone();
                self.metrics.answered(&job.prompt, &progress);
                let _ = job.events.send(Event::Embedded(vector));
                false
            }
            Err(error) => {
                *held = Conversation::default();
                if matches!(error, DeviceError::Interrupted) {
                    self.metrics.cancelled.inc();
                    return false;
                }
                let failed = matches!(error, DeviceError::Fault(_));
                fail(job, &error.into());
                failed
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

/// Layers that the rows of a device's context have been through.
fn depth(device: &dyn Device) -> Depth {
    match device.depth() {
        layers if layers == device.model().layers => Depth::All,
        layers => Depth::First(layers),
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
