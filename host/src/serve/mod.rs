//! An OpenAI-compatible HTTP server over one or several devices, with a web page.
//!
//! [`http`] takes connections, [`routes`] paths; [`app`] turns a request into a [`job`], admitted by
//! [`limits`], which waits in the [`queue`] for a [`worker`], the thread that owns a device. Events
//! come back over a channel and become a response in [`answer`].
//!
//! Invariants:
//! - every error that a client can see has the API's shape ([`error`]), also in mid-stream;
//! - memory is bounded: connections, bodies in flight, waiting jobs, tokens of an answer;
//! - nothing is fetched from the network, and nothing is written to disk;
//! - dropping a response, for whatever reason, cancels its job ([`job::Ticket`]);
//! - a device works for one job at a time, and only its own worker touches it.
//!
//! What this module must not know: how a device executes a model.

mod access;
mod answer;
mod app;
mod body;
mod content;
mod conversation;
mod devices;
mod embeddings;
mod error;
mod figures;
mod http;
mod inputs;
mod job;
mod limits;
mod metrics;
mod page;
mod queue;
mod request;
mod routes;
mod savings;
mod worker;

pub use access::Access;
pub use conversation::{Conversation, Depth};
pub use limits::Limits;
pub use queue::QueueLimits;
pub use savings::Savings;

use crate::profile::CostModel;
use crate::source::Source;
use anyhow::{bail, Context, Result};
use app::App;
use body::BodyMemory;
use devices::Devices;
use error::ApiError;
use figures::Figures;
use job::Event;
use metrics::Metrics;
use queue::Queue;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::sync::{watch, Semaphore};
use worker::Worker;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the model in the API.
    pub name: String,
    /// A device for each entry.
    pub devices: Vec<String>,
    /// Keys and names.
    pub access: Access,
    /// Of a request.
    pub limits: Limits,
    /// What requests leave out.
    pub savings: Savings,
    /// Of the queue.
    pub queue: QueueLimits,
    /// Open connections.
    pub max_connections: usize,
    /// Bytes of bodies that are read and decoded at the same time.
    pub body_memory_bytes: usize,
}

/// A server whose devices are ready.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    workers: Vec<std::thread::JoinHandle<()>>,
    max_connections: usize,
}

/// Reserves the address; a server that cannot have it need not load a model.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    let advice = "choose another address or port with --host and --port";
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}; {advice}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Server {
    /// Loads the model onto every device.
    pub fn new(source: Source, options: Options, listener: TcpListener) -> Result<Server> {
        let source = Arc::new(source);
        source.assets().tokenizer()?;
        source.assets().template()?;
        let writes = source.spec()?.contrast.is_none();
        let counts = options.devices.iter().all(|device| device != "eval");
        let limited = options.limits.priced();
        if limited && !counts {
            bail!("device eval counts no cycles, so --max-cycles, --max-joules and --max-device-seconds mean nothing for it");
        }
        if limited && !writes {
            bail!("--max-cycles, --max-joules and --max-device-seconds are for models that write text");
        }
        let config = if counts { Some(source.program()?.meta.config.clone()) } else { None };
        // Prices cost some launches of the timing model: only where something has a price.
        let cost = if limited { Some(CostModel::new(source.program()?)?) } else { None };
        let metrics = Arc::new(Metrics::new(config.clone()));
        let queue = Arc::new(Queue::new(options.queue, options.devices.len()));
        let working = Arc::new(Devices::new(options.devices.len()));
        let (mut workers, mut info) = (Vec::new(), None);
        for (index, device) in options.devices.iter().enumerate() {
            let (source, queue, metrics) = (source.clone(), queue.clone(), metrics.clone());
            let (device, devices) = (device.clone(), working.clone());
            let started = Worker { index, device, source, queue, devices, metrics }.start()?;
            workers.push(started.0);
            info.get_or_insert(started.1);
        }
        let Some(info) = info else { bail!("no device is named") };
        // The float reference runs any part of the layers.
        let can_leave = !counts || source.program()?.meta.text.saved_row.is_some();
        let savings = Savings { can_leave, ..options.savings };
        savings.check(&info)?;
        let max_cycles = config.as_ref().and_then(|config| options.limits.cycles(config.clock_mhz));
        let app = Arc::new(App {
            name: options.name,
            created: app::now(),
            devices: options.devices,
            working,
            source,
            info,
            limits: options.limits,
            savings,
            max_cycles,
            access: options.access,
            queue,
            metrics,
            cost,
            figures: config.map(|config| Arc::new(Figures::new(config))),
            memory: BodyMemory::new(options.body_memory_bytes),
            preparing: Arc::new(Semaphore::new(2)),
            count: 0.into(),
        });
        Ok(Server { app, listener, workers, max_connections: options.max_connections })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until `end` is done, then lets every client know.
    pub fn run(self, end: impl std::future::Future<Output = ()>) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (queue, router) = (self.app.queue.clone(), routes::router(self.app));
        let (tell, ending) = watch::channel(false);
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            let serving = http::serve(listener, router, self.max_connections, ending);
            let ender = async {
                end.await;
                for job in queue.close() {
                    let _ = job.events.send(Event::Failed(ApiError::shutting_down()));
                }
                let _ = tell.send(true);
            };
            tokio::join!(serving, ender);
            anyhow::Ok(())
        })?;
        self.workers.into_iter().for_each(|worker| drop(worker.join()));
        Ok(())
    }
}
