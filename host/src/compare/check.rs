//! Which records may be used, and for what.

use super::record::{Boundary, Grade, PowerKind, Record, SCHEMA};

/// Shortest window whose energy may be quoted, seconds.
const MIN_WINDOW_S: f64 = 30.0;
/// Fewest windows.
const MIN_TRIALS: u64 = 3;
/// Fewest changes of the energy counter in a window.
const MIN_COUNTER_PERIODS: f64 = 20.0;

/// Everything that is wrong with a record; empty: it may be used.
pub fn faults(r: &Record) -> Vec<String> {
    let mut out = Vec::new();
    let mut rule = |holds: bool, what: &str| {
        if !holds {
            out.push(what.to_owned());
        }
    };
    rule(r.schema == SCHEMA, &format!("schema is {:?}; expected {SCHEMA:?}", r.schema));
    rule(["gpu", "fpga"].contains(&r.device.kind.as_str()), "device.kind is gpu or fpga");
    rule(r.model.params_b > 0.0 && r.model.params_b < 1e4, "model.params_b is a number of billions above 0");
    rule((1.0..=32.0).contains(&r.model.w_bits), "model.w_bits is from 1 to 32");
    rule(r.workload.batch >= 1.0, "workload.batch is at least 1");
    for (name, value) in numbers(r) {
        rule(value.is_none_or(|v| v.is_finite() && v > 0.0), &format!("{name} is above 0"));
    }
    let knows = r.timing.tok_s.is_some() || r.energy.gross_j_per_token.is_some();
    rule(knows, "timing.tok_s or energy.gross_j_per_token is given");
    let powered = r.energy.p_mean_w.is_some() || r.energy.gross_j_per_token.is_some();
    rule(powered == r.power_kind.is_some(), "power_kind is given exactly where power or energy is");
    match r.grade {
        Grade::Published => rule(r.source.is_some(), "a published record names its source"),
        Grade::Measured => measured(r, &mut rule),
    }
    out
}

fn numbers(r: &Record) -> [(&'static str, Option<f64>); 8] {
    [
        ("timing.tok_s", r.timing.tok_s),
        ("timing.vision_ms", r.timing.vision_ms),
        ("timing.prefill_ms", r.timing.prefill_ms),
        ("energy.p_mean_w", r.energy.p_mean_w),
        ("energy.gross_j_per_token", r.energy.gross_j_per_token),
        ("energy.gross_j_per_request", r.energy.gross_j_per_request),
        ("device.power_limit_w", r.device.power_limit_w),
        ("model.bytes_per_token", r.model.bytes_per_token),
    ]
}

/// What a measurement must show before its joules are believed.
fn measured(r: &Record, rule: &mut impl FnMut(bool, &str)) {
    let e = &r.energy;
    rule(r.power_kind == Some(PowerKind::Measured), "a measured record has power_kind measured");
    rule(e.method.as_deref() == Some("counter"), "energy.method is counter: polled power is not vouched for");
    let window = r.timing.window_s.unwrap_or(0.0);
    rule(window >= MIN_WINDOW_S, &format!("timing.window_s is at least {MIN_WINDOW_S}"));
    rule(e.trials.unwrap_or(0) >= MIN_TRIALS, &format!("energy.trials is at least {MIN_TRIALS}"));
    let period = e.observed_counter_period_ms.unwrap_or(f64::INFINITY);
    let periods = window * 1e3 / period;
    rule(
        periods >= MIN_COUNTER_PERIODS,
        &format!("a window has at least {MIN_COUNTER_PERIODS} counter periods"),
    );
    let moved = e.counter_start_mj.zip(e.counter_end_mj).is_some_and(|(start, end)| end > start);
    rule(moved, "energy.counter_end_mj is above counter_start_mj");
    rule(r.state.as_ref().is_some_and(|s| s.throttle_reasons.is_empty()), "the card was not throttled");
    for (name, there) in [
        ("timing.tok_s", r.timing.tok_s.is_some()),
        ("energy.gross_j_per_token", e.gross_j_per_token.is_some()),
        ("energy.p_mean_w", e.p_mean_w.is_some()),
        ("energy.p_idle_w", e.p_idle_w.is_some()),
        ("device.driver", r.device.driver.is_some()),
        ("model.weights", r.model.weights.is_some()),
        ("started_utc", r.started_utc.is_some()),
    ] {
        rule(there, &format!("a measured record has {name}"));
    }
    if let (Some(j), Some(tok_s), Some(w)) = (e.gross_j_per_token, r.timing.tok_s, e.p_mean_w) {
        rule((j * tok_s / w - 1.0).abs() < 0.1, "power, rate and joules a token agree within a tenth");
    }
}

/// Relative uncertainty (one deviation) of a record's joules; `None`: they must not be divided by.
pub fn energy_sigma(r: &Record) -> Option<f64> {
    if r.boundary == Boundary::Wall {
        return None;
    }
    match (r.grade, r.power_kind?) {
        (Grade::Measured, _) => Some(0.05),
        (_, PowerKind::Measured) => Some(0.15),
        (_, PowerKind::Implied) => Some(0.30),
        (_, PowerKind::Tdp | PowerKind::Nominal | PowerKind::Simulated) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::baselines::shipped;

    /// A measurement as the script writes it.
    fn measurement() -> Record {
        let text = include_str!("../../tests/data/measured-record.json");
        serde_json::from_str(text).expect("record")
    }

    #[test]
    fn shipped_records_are_sound() {
        let records = shipped();
        assert!(records.len() >= 15, "{}", records.len());
        for r in records {
            assert_eq!(faults(&r), Vec::<String>::new(), "{}", r.name);
            assert_eq!(r.grade, Grade::Published, "{}: nothing was measured for this repository yet", r.name);
        }
    }

    #[test]
    fn a_measurement_is_believed_only_with_all_its_evidence() {
        assert_eq!(faults(&measurement()), Vec::<String>::new());
        type Spoil = fn(&mut Record);
        let spoils: [(Spoil, &str); 9] = [
            (|r| r.schema = "x".into(), "schema"),
            (|r| r.timing.window_s = Some(12.0), "window_s"),
            (|r| r.energy.trials = Some(2), "trials"),
            (|r| r.energy.observed_counter_period_ms = Some(4000.0), "counter periods"),
            (|r| r.energy.method = Some("poll".into()), "polled"),
            (|r| r.state.as_mut().unwrap().throttle_reasons.push("hw_slowdown".into()), "throttled"),
            (|r| r.energy.counter_end_mj = r.energy.counter_start_mj, "counter_end_mj"),
            (|r| r.energy.gross_j_per_token = Some(9.0), "agree"),
            (|r| r.energy.p_mean_w = Some(-3.0), "p_mean_w"),
        ];
        for (spoil, word) in spoils {
            let mut r = measurement();
            spoil(&mut r);
            let found = faults(&r);
            assert!(found.iter().any(|fault| fault.contains(word)), "{word}: {found:?}");
        }
    }

    #[test]
    fn ratings_and_wall_power_are_never_divided_by() {
        let mut r = measurement();
        assert_eq!(energy_sigma(&r), Some(0.05));
        (r.grade, r.power_kind) = (Grade::Published, Some(PowerKind::Tdp));
        assert_eq!(energy_sigma(&r), None);
        (r.power_kind, r.boundary) = (Some(PowerKind::Measured), Boundary::Wall);
        assert_eq!(energy_sigma(&r), None);
    }
}
