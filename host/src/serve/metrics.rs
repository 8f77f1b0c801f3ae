//! Counters for Prometheus.

use super::job::Progress;
use super::queue::Queue;
use crate::device::RunStats;
use crate::energy::{card, PowerModel};
use crate::profile::activity;
use crate::prompt::Prompt;
use flightvlm_hw::config::HwConfig;
use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder,
};
use std::time::Duration;

/// Everything that `/metrics` shows.
pub struct Metrics {
    registry: Registry,
    target: Option<(HwConfig, PowerModel)>,
    requests: IntCounterVec,
    tokens: IntCounterVec,
    answers: IntCounterVec,
    rows: IntCounterVec,
    cycles: IntCounterVec,
    joules: CounterVec,
    busy: Counter,
    waiting: IntGauge,
    running: IntGauge,
    card_power: GaugeVec,
    resident: Gauge,
    seconds: Histogram,
    first_token: Histogram,
    /// Devices that have the model loaded.
    pub devices: IntGauge,
    /// Requests whose client went away.
    pub cancelled: IntCounter,
}

/// Puts a metric into the registry. Names are constants, so it cannot fail.
fn add<M: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> M {
    let metric = metric.expect("invariant: a valid constant name");
    registry.register(Box::new(metric.clone())).expect("invariant: names are distinct");
    metric
}

impl Metrics {
    /// All zero. `target`: hardware that devices count cycles of.
    pub fn new(target: Option<HwConfig>) -> Metrics {
        let registry = Registry::new();
        let r = &registry;
        let name = |name: &str, help: &str| Opts::new(format!("flightvlm_{name}"), help);
        let buckets = vec![0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0];
        let histogram = |what: &str, help: &str| {
            let opts = HistogramOpts::new(format!("flightvlm_{what}"), help).buckets(buckets.clone());
            Histogram::with_opts(opts)
        };
        let metrics = Metrics {
            target: target.map(|config| (config.clone(), PowerModel::of(&config))),
            requests: add(
                r,
                IntCounterVec::new(
                    name("requests_total", "Requests by path and status."),
                    &["path", "status"],
                ),
            ),
            tokens: add(
                r,
                IntCounterVec::new(
                    name(
                        "tokens_total",
                        "Tokens: prompt, image (of the prompt, videos included), dropped (visual tokens that the prompt was \
                         spared), reused (of the prompt, from the cache), new.",
                    ),
                    &["kind"],
                ),
            ),
            answers: add(
                r,
                IntCounterVec::new(
                    name("answers_total", "Answers by the layers of the language model that their rows ran through."),
                    &["layers"],
                ),
            ),
            rows: add(
                r,
                IntCounterVec::new(
                    name(
                        "device_rows_total",
                        "Rows that devices ran by phase, also for clients that had gone.",
                    ),
                    &["phase"],
                ),
            ),
            cycles: add(
                r,
                IntCounterVec::new(
                    name("device_cycles_total", "Device cycles by phase (simulated)."),
                    &["phase"],
                ),
            ),
            joules: add(
                r,
                CounterVec::new(
                    name("device_joules_total", "Energy of the device, modelled, by end of the model."),
                    &["end"],
                ),
            ),
            busy: add(
                r,
                Counter::with_opts(name("device_busy_seconds_total", "Seconds of this computer in devices.")),
            ),
            waiting: add(r, IntGauge::with_opts(name("requests_waiting", "Requests in the queue."))),
            running: add(r, IntGauge::with_opts(name("requests_running", "Requests on a device."))),
            card_power: add(
                r,
                GaugeVec::new(
                    name("card_power_watts", "Power of a real card, measured by the card."),
                    &["bdf"],
                ),
            ),
            resident: add(r, Gauge::with_opts(name("resident_bytes", "Memory of this process."))),
            seconds: add(r, histogram("request_seconds", "From the request to the end of its answer.")),
            first_token: add(r, histogram("first_token_seconds", "From the request to the first text.")),
            devices: add(r, IntGauge::with_opts(name("devices", "Devices that have the model loaded."))),
            cancelled: add(
                r,
                IntCounter::with_opts(name("requests_cancelled_total", "Requests whose client went away.")),
            ),
            registry,
        };
        // Series that are there from the start can be told from series that are not.
        for phase in ["vision", "prefill", "decode"] {
            drop(metrics.rows.with_label_values(&[phase]));
            drop(metrics.cycles.with_label_values(&[phase]));
        }
        ["low", "mid", "high"].iter().for_each(|end| drop(metrics.joules.with_label_values(&[*end])));
        ["prompt", "image", "dropped", "reused", "new"]
            .iter()
            .for_each(|kind| drop(metrics.tokens.with_label_values(&[*kind])));
        metrics
    }

    /// A response was made.
    pub fn response(&self, path: &str, status: u16) {
        self.requests.with_label_values(&[path, &status.to_string()]).inc();
    }

    /// The first text of an answer was sent.
    pub fn first_text(&self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
    }

    /// An answer was complete.
    pub fn ended(&self, after: Duration) {
        self.seconds.observe(after.as_secs_f64());
    }

    /// A device worked, whether or not somebody wanted the answer.
    pub fn work(&self, stats: &RunStats) {
        self.busy.inc_by(stats.total().wall.as_secs_f64());
        for (name, phase) in [("vision", stats.vision), ("prefill", stats.prefill), ("decode", stats.decode)]
        {
            self.rows.with_label_values(&[name]).inc_by(phase.rows);
            self.cycles.with_label_values(&[name]).inc_by(phase.cycles.unwrap_or(0));
            let Some((config, power)) = &self.target else { continue };
            let Some(activity) = activity(&phase, config) else { continue };
            let joules = power.energy_j(&activity);
            for (end, joules) in [("low", joules.low), ("mid", joules.mid), ("high", joules.high)] {
                self.joules.with_label_values(&[end]).inc_by(joules);
            }
        }
    }

    /// An answer was given.
    pub fn answered(&self, prompt: &Prompt, progress: &Progress) {
        if let Some(layers) = progress.layers {
            self.answers.with_label_values(&[&layers.to_string()]).inc();
        }
        let dropped = prompt.images.iter().map(|shown| shown.rows.len() - shown.placeholders()).sum();
        let counts = [
            ("prompt", prompt.ids.len()),
            ("image", prompt.image_tokens),
            ("dropped", dropped),
            ("reused", progress.reused),
            ("new", progress.tokens),
        ];
        for (kind, count) in counts {
            self.tokens.with_label_values(&[kind]).inc_by(count as u64);
        }
    }

    /// The text of `/metrics`.
    pub fn text(&self, queue: &Queue) -> String {
        let (waiting, running) = queue.load();
        self.waiting.set(waiting as i64);
        self.running.set(running as i64);
        self.card_power.reset();
        for card in card::readings() {
            self.card_power.with_label_values(&[&card.bdf]).set(card.power_w);
        }
        self.resident.set(resident_bytes().unwrap_or(0) as f64);
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// Resident memory of this process, where the system says so.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
