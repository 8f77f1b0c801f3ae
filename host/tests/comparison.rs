//! The committed comparison is what this version makes of its own simulated figures and the shipped
//! baselines. `BLESS=1` writes it again; `flightvlm compare … --json` simulates the figures again
//! (`tests/results/README.md`).

use flightvlm::compare::baselines::shipped;
use flightvlm::compare::plot::comparison_svg;
use flightvlm::compare::{compare, Ours};
use std::path::{Path, PathBuf};

const NAME: &str = "compare-llava-1.5-7b";

fn result(extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/results").join(format!("{NAME}.{extension}"))
}

fn read(extension: &str) -> String {
    let path = result(extension);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_committed_comparison_follows_from_its_figures_and_the_baselines() {
    let old: serde_json::Value = serde_json::from_str(&read("json")).expect("JSON");
    let ours: Vec<Ours> = serde_json::from_value(old["ours"].clone()).expect("our figures");
    let model = old["model"].as_str().expect("a model");
    let c = compare(model, ours, old["params_b"].as_f64().expect("a size"), &shipped());
    let json = serde_json::to_string_pretty(&c).expect("JSON") + "\n";
    let svg = comparison_svg(&c).expect("a plot");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(result("json"), json).expect("the folder can be written");
        std::fs::write(result("svg"), svg).expect("the folder can be written");
        return;
    }
    let what = "differs: scripts/readme_tables writes it again";
    assert!(json == read("json"), "{NAME}.json {what}");
    assert!(svg == read("svg"), "{NAME}.svg {what}");
}
