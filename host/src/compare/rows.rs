//! Baselines beside our figures.

use super::check::energy_sigma;
use super::ours::{Ours, Task};
use super::record::{Grade, Record};
use crate::energy::ABSOLUTE_SIGMA;
use serde::Serialize;

/// Deviation of simulated time: the memory model (5 %, held against published streams) and the
/// schedule, which no board has confirmed (10 %).
const TIME_SIGMA: f64 = 0.11;
/// Sizes that count as the same class.
const SAME_SIZE: f64 = 0.25;
/// Weight bits that count as the same precision.
const SAME_BITS: f64 = 1.0;

/// Their joules over ours: above 1, ours takes less.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// One deviation down.
    pub low: f64,
    /// Likely value.
    pub mid: f64,
    /// One deviation up.
    pub high: f64,
    /// Relative deviation.
    pub sigma: f64,
    /// Further than two deviations from 1.
    pub differs_from_1: bool,
}

/// One baseline on one task, against one of our programs.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Task.
    pub task: Task,
    /// Our weight format.
    pub ours: String,
    /// Name of the record.
    pub baseline: String,
    /// `measured` or `published`.
    pub grade: Grade,
    /// `gpu` or `fpga`.
    pub device_kind: String,
    /// Its bits of a weight.
    pub w_bits: f64,
    /// Same precision on both sides.
    pub same_precision: bool,
    /// Its tokens a second.
    pub tok_s: Option<f64>,
    /// Ours over theirs.
    pub speed_ratio: Option<f64>,
    /// Its joules a token on this task.
    pub j_per_token: Option<f64>,
    /// Its joules for a whole request of ours, where the task has one.
    pub j_per_request: Option<f64>,
    /// How these were obtained.
    pub energy_note: String,
    /// They are a decode step's, whatever the task: what is left out favours the baseline.
    pub decode_alone: bool,
    /// What the source says about its figures.
    pub note: Option<String>,
    /// Their joules over ours.
    pub energy_ratio: Option<Ratio>,
    /// The same with the null model on our side.
    pub energy_ratio_constant_power: Option<f64>,
    /// Title, address.
    pub source: String,
}

/// The whole comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The model's architecture.
    pub model: String,
    /// Parameters of the language model, billions.
    pub params_b: f64,
    /// Our side.
    pub ours: Vec<Ours>,
    /// Rows with an energy ratio, the worst first, then those without.
    pub rows: Vec<Row>,
    /// Records of models of other sizes.
    pub other_sizes: usize,
}

/// Sets every record of about the same size beside every one of ours.
pub fn compare(model: &str, ours: Vec<Ours>, params_b: f64, records: &[Record]) -> Comparison {
    let same_size = |r: &&Record| (r.model.params_b / params_b - 1.0).abs() <= SAME_SIZE;
    // A batch shares the weights among its requests: not this comparison.
    let one = |r: &&Record| r.workload.batch == 1.0;
    let used: Vec<&Record> = records.iter().filter(same_size).filter(one).collect();
    let mut rows: Vec<Row> = ours.iter().flat_map(|o| used.iter().map(|r| row(o, r))).collect();
    rows.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal));
    let other_sizes = records.len() - used.len();
    Comparison { model: model.into(), params_b, ours, rows, other_sizes }
}

/// Task, then the ratio.
fn key(row: &Row) -> (u8, f64) {
    let ratio = row.energy_ratio.map_or(f64::INFINITY, |ratio| ratio.mid);
    (u8::from(row.task == Task::ImageQuestion), ratio)
}

fn row(o: &Ours, r: &Record) -> Row {
    let sigma = energy_sigma(r);
    let (j_per_token, energy_note, decode_alone) = energy(o, r);
    // A rating is shown, but no ratio is formed from it.
    let divisible = j_per_token.zip(sigma);
    let ratio = divisible.map(|(j, theirs)| {
        let sigma = (theirs.powi(2) + TIME_SIGMA.powi(2) + ABSOLUTE_SIGMA.powi(2)).sqrt();
        let mid = j / o.j_per_token.mid;
        // Deviations of a ratio multiply.
        let differs = mid.ln().abs() > 2.0 * (1.0 + sigma).ln();
        Ratio { low: mid / (1.0 + sigma), mid, high: mid * (1.0 + sigma), sigma, differs_from_1: differs }
    });
    Row {
        task: o.task,
        ours: format!("{} {}", o.weights, o.sparsity),
        baseline: r.name.clone(),
        grade: r.grade,
        device_kind: r.device.kind.clone(),
        w_bits: r.model.w_bits,
        same_precision: (r.model.w_bits - o.w_bits).abs() <= SAME_BITS,
        tok_s: r.timing.tok_s,
        speed_ratio: r.timing.tok_s.map(|theirs| o.tok_s / theirs),
        j_per_token,
        j_per_request: j_per_token.filter(|_| o.task == Task::ImageQuestion).map(|j| j * o.new_tokens as f64),
        energy_note,
        decode_alone,
        note: r.source.as_ref().and_then(|source| source.note.clone()),
        energy_ratio: ratio,
        energy_ratio_constant_power: divisible.map(|(j, _)| j / o.j_per_token_constant_power),
        source: r.source.as_ref().map_or_else(|| "measured here".into(), |source| source.cite.clone()),
    }
}

/// Joules a token of a record on our task, where they come from, and whether they are of decode alone.
fn energy(o: &Ours, r: &Record) -> (Option<f64>, String, bool) {
    let e = &r.energy;
    let decode = e.gross_j_per_token.or_else(|| Some(e.p_mean_w? / r.timing.tok_s?));
    let how = if e.gross_j_per_token.is_some() { "as stated" } else { "power over rate" };
    let Some(decode) = decode else { return (None, "no power known".into(), true) };
    if energy_sigma(r).is_none() {
        return (Some(decode), format!("{how}; no board reading, so no ratio"), true);
    }
    if o.task == Task::TextDecode {
        return (Some(decode), how.into(), true);
    }
    let w = &r.workload;
    let same = w.image_tokens == Some(o.image_tokens as u64) && w.output_tokens == Some(o.new_tokens as u64);
    if let Some(request) = e.gross_j_per_request.filter(|_| same) {
        return (Some(request / o.new_tokens as f64), "request as stated".into(), false);
    }
    let prompt = r.timing.prefill_ms.zip(e.p_mean_w).zip(w.prompt_tokens);
    match prompt {
        Some(((ms, watts), tokens)) => {
            let joules = ms / 1e3 * watts * o.prompt_tokens as f64 / tokens.max(1) as f64;
            let a_token = joules / o.new_tokens as f64;
            (
                Some(decode + a_token),
                format!("{how}, prompt scaled to {} tokens, vision left out", o.prompt_tokens),
                false,
            )
        }
        None => (Some(decode), format!("{how}; their vision and prompt left out, which favours them"), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::baselines::shipped;
    use crate::energy::Spread;

    fn ours(task: Task, mid: f64) -> Ours {
        Ours {
            task,
            grade: "simulated".into(),
            target: "u280".into(),
            weights: "w4".into(),
            w_bits: 4.0,
            sparsity: "dense".into(),
            prompt_tokens: 640,
            image_tokens: 576,
            new_tokens: 128,
            tok_s: 100.0,
            seconds: 2.7,
            j_per_token: Spread::new(mid / 2.0, mid, mid * 2.0),
            j_per_request: Spread::default(),
            j_per_token_constant_power: 0.5,
        }
    }

    #[test]
    fn the_worst_ratio_comes_first_and_ratings_form_none() {
        let both = vec![ours(Task::TextDecode, 0.7), ours(Task::ImageQuestion, 1.4)];
        let c = compare("m", both, 6.6, &shipped());
        let ratios: Vec<f64> = c
            .rows
            .iter()
            .filter(|row| row.task == Task::TextDecode)
            .filter_map(|row| Some(row.energy_ratio?.mid))
            .collect();
        assert!(ratios.len() >= 6 && ratios.windows(2).all(|pair| pair[0] <= pair[1]), "{ratios:?}");
        let find = |name: &str| c.rows.iter().find(|row| row.baseline == name).expect(name);
        let a100 = find("A100-80G fp16 vLLM");
        let ratio = a100.energy_ratio.expect("ratio");
        assert!((ratio.mid - 304.14 / 91.53 / 0.7).abs() < 1e-9, "{ratio:?}");
        assert!(!a100.same_precision && ratio.differs_from_1);
        // Ratings and missing power leave the rate only.
        for name in ["AGX Orin INT4 TinyChat", "A100 INT4 TinyChat", "FlightLLM VHK158"] {
            let row = find(name);
            assert!(row.energy_ratio.is_none() && row.speed_ratio.is_some(), "{name}");
        }
        assert!(c.rows.iter().all(|row| !row.baseline.contains("batch 7.9")));
        assert!(c.other_sizes > 8, "{}", c.other_sizes);
    }

    #[test]
    fn a_ratio_near_one_says_that_it_may_be_one() {
        let c = compare("m", vec![ours(Task::TextDecode, 3.0)], 6.6, &shipped());
        let row = c.rows.iter().find(|row| row.baseline == "A100-80G fp16 vLLM").expect("row");
        let ratio = row.energy_ratio.expect("ratio");
        assert!(!ratio.differs_from_1 && ratio.low < 1.0 && 1.0 < ratio.high, "{ratio:?}");
        let fine: Vec<Ours> = vec![];
        assert!(compare("m", fine, 6.6, &shipped()).rows.is_empty());
    }
}
