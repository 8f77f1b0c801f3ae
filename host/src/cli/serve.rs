//! `flightvlm serve`.

use super::args::{positive, ModelArgs};
use super::depth::DepthArgs;
use super::output::print;
use super::progress::spinner;
use crate::serve::{listen, Access, Limits, Options, QueueLimits, Savings, Server};
use anyhow::{bail, Result};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Answer HTTP requests in the OpenAI API, and serve a web page
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// What runs the model; several, separated by commas, answer several requests at the same time
    #[arg(long, value_delimiter = ',', default_value = "iss", value_name = "LIST")]
    device: Vec<String>,
    /// Address to listen on; everything but this computer is shut out by default
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8000, value_name = "N")]
    port: u16,
    /// Name of the model in the API [default: the file's or folder's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Key that requests must carry; may be given several times, each key is a client of its own
    #[arg(long = "api-key", env = "FLIGHTVLM_API_KEY", hide_env_values = true, value_name = "KEY")]
    keys: Vec<String>,
    #[command(flatten)]
    depth: DepthArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// What one request, one client and all together may take.
#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Most new tokens of a request
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = positive)]
    max_tokens: usize,
    /// Most pictures of a request
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = positive)]
    max_images: usize,
    /// Most videos of a request
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = positive)]
    max_videos: usize,
    /// Most frames of a request's videos together that the model is shown
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = positive)]
    max_frames: usize,
    /// Most pixels of a request's pictures, and of its videos' frames up to the last one shown, together
    #[arg(long, default_value_t = 16 << 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: u64,
    /// Most tiles that a request's pictures are cut into
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = positive)]
    max_tiles: usize,
    /// Most device cycles of a request, predicted before it is admitted and checked while it runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_cycles: Option<u64>,
    /// Most joules of a request (modelled), predicted before it is admitted
    #[arg(long, value_name = "J", value_parser = above_zero)]
    max_joules: Option<f64>,
    /// Most seconds of a request on the target (simulated), predicted before it is admitted and checked while it runs
    #[arg(long, value_name = "SECONDS", value_parser = above_zero)]
    max_device_seconds: Option<f64>,
    /// Longest time of a request, waiting included
    #[arg(long, default_value_t = 300.0, value_name = "SECONDS", value_parser = above_zero)]
    max_seconds: f64,
    /// Largest body
    #[arg(long, default_value_t = 32 << 20, value_name = "BYTES", value_parser = positive)]
    max_body_bytes: usize,
    /// Longest time for a body to arrive
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = above_zero)]
    body_seconds: f64,
    /// Requests that may wait
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = positive)]
    queue: usize,
    /// Of these, requests of one client (a key, or an address where there are no keys)
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = positive)]
    queue_per_client: usize,
    /// Open connections
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = positive)]
    max_connections: usize,
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1e9 => Ok(value),
        _ => Err("expected a number above 0 and up to 1e9".into()),
    }
}

pub(super) fn main(args: Args) -> Result<()> {
    for device in &args.device {
        crate::device::find(device)?;
    }
    if args.keys.iter().any(|key| key.trim().is_empty()) {
        bail!("an API key must not be empty");
    }
    let listener = listen(SocketAddr::new(args.host, args.port))?;
    let source = args.depth.open(&args.model)?;
    let stem = args.model.model.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or(stem).unwrap_or_else(|| "model".into());
    let waiting = spinner("loading the model");
    let devices = args.device.join(", ");
    let access = Access { keys: args.keys.clone(), loopback_only: args.host.is_loopback() };
    if !access.loopback_only && access.keys.is_empty() {
        eprintln!(
            "note: everybody who can reach {} can use this server; --api-key asks for a key",
            args.host
        );
    }
    let savings = args.depth.savings(&source)?;
    let server = Server::new(source, options(&args, name.clone(), access, savings), listener)?;
    waiting.finish_and_clear();
    print(&format!("{name} on {devices} at http://{}\n", server.address()?))?;
    server.run(end_signal())
}

fn options(args: &Args, name: String, access: Access, savings: Savings) -> Options {
    let l = &args.limits;
    Options {
        name,
        devices: args.device.clone(),
        access,
        savings,
        limits: Limits {
            max_tokens: l.max_tokens,
            max_images: l.max_images,
            max_videos: l.max_videos,
            max_frames: l.max_frames,
            max_pixels: l.max_pixels,
            max_tiles: l.max_tiles,
            max_cycles: l.max_cycles,
            max_joules: l.max_joules,
            max_device_seconds: l.max_device_seconds,
            time: Duration::from_secs_f64(l.max_seconds),
            body_bytes: l.max_body_bytes,
            body_time: Duration::from_secs_f64(l.body_seconds),
        },
        queue: QueueLimits { jobs: l.queue, jobs_per_client: l.queue_per_client },
        max_connections: l.max_connections,
        body_memory_bytes: l.max_body_bytes.saturating_mul(4),
    }
}

/// Ctrl-C, or the system's request to end.
async fn end_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{signal, SignalKind};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
