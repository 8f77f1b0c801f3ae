//! Tables in the documents are what the result files say. `BLESS=1` (`scripts/readme_tables`) writes them again.
//!
//! A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`.

use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn results(name: &str) -> Value {
    let path = root().join("tests/results").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("a result file is JSON")
}

/// The table of this name, without the marks.
fn table(name: &str) -> String {
    match name {
        "smollm2-perplexity" => perplexity(&results("accuracy.json")),
        "demo-accuracy" => exact_match(&results("accuracy.json")["demo"]),
        "calibration-ends" => ends(&results("calibration.json")["settings"]),
        "calibration-layers" => layers(&results("calibration.json")["settings"]),
        "energy-decode" => energy(&results("compare-llava-1.5-7b.json"), "text_decode"),
        "energy-picture" => energy(&results("compare-llava-1.5-7b.json"), "image_question"),
        "demo-pruning" => pruning(&results("pruning.json")["settings"]),
        "early-exit" => early_exit(&results("early-exit.json")["rows"]),
        "token-profiles" => profiles(&results("pruning.json")["profiles"]),
        "picture-reuse" => reuse(&results("pruning.json")["reuse"]),
        "shape-profiles" => shape_profiles(&results("profile.json")),
        "pruning-example" => examples(&results("pruning.json")["examples"]),
        _ => panic!("no table is called {name}"),
    }
}

const NAMES: [&str; 12] = [
    "shape-profiles",
    "smollm2-perplexity",
    "demo-accuracy",
    "calibration-ends",
    "calibration-layers",
    "energy-decode",
    "energy-picture",
    "demo-pruning",
    "token-profiles",
    "picture-reuse",
    "pruning-example",
    "early-exit",
];

fn rows(v: &Value) -> &[Value] {
    v.as_array().expect("a list of settings")
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("{row} has no number {key}"))
}

fn megabytes(row: &Value) -> String {
    row["weight_bytes"].as_f64().map_or("–".into(), |b| format!("{:.1}", b / 1e6))
}

/// Perplexity beside the float reference over the same tokens.
fn perplexity(results: &Value) -> String {
    let mut out = String::from(
        "| SmolLM2-135M | weights and table, MB | tokens | perplexity | against float |\n|---|---|---|---|---|\n",
    );
    for row in rows(&results["smollm2"]) {
        let tokens = number(row, "tokens");
        let name = row["setting"].as_str().expect("a name");
        let float = number(row, "float_perplexity");
        let p = number(row, "perplexity");
        let against =
            if name == "float" { "–".into() } else { format!("{:+.2} %", 100.0 * (p / float - 1.0)) };
        let _ = writeln!(out, "| {name} | {} | {tokens} | {p:.3} | {against} |", megabytes(row));
        // The outside figure beside our reference.
        let other = &results["llama_cpp"];
        if name == "float" && other["tokens"] == row["tokens"] {
            let (p, version) = (number(other, "perplexity"), other["version"].as_str().expect("a version"));
            let against = format!("{:+.2} %", 100.0 * (p / float - 1.0));
            let _ = writeln!(out, "| the file in {version} | – | {tokens} | {p:.3} | {against} |");
        }
    }
    out
}

/// What shapes take on `u280`; where a phase is far from its bound, the unit that limits it.
fn shape_profiles(settings: &Value) -> String {
    let mut out = String::from(
        "| shape | text + visual tokens | vision, ms | prefill, ms | first token, ms | MAC utilisation, vision / prefill | \
         decode, tok/s | of 460.8 GB/s | limited by |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows(settings) {
        let phase = |name: &str| Some(&row["phases"][name]).filter(|phase| !phase.is_null());
        let mac = |name| {
            phase(name)
                .map_or("–".into(), |phase| format!("{:.0} %", 100.0 * number(phase, "mac_utilization")))
        };
        // The unit's name without the share of time.
        let limits = ["vision", "prefill", "decode"].map(|name| {
            let limit = phase(name)?["limit"].as_str().expect("a limit");
            Some(format!("{name}: {}", limit.split(" (").next().unwrap_or(limit)))
        });
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        let visual = number(row, "visual_tokens");
        let tokens = number(row, "prompt_tokens");
        let tokens = if visual > 0.0 { format!("{tokens} + {visual}") } else { format!("{tokens}") };
        let _ = writeln!(
            out,
            "| {} | {tokens} | {:.1} | {:.1} | {:.1} | {} / {} | {:.1} | {:.1} % | {} |",
            row["setting"].as_str().expect("a name"),
            number(row, "vision_ms"),
            number(row, "prefill_ms"),
            number(row, "ttft_ms"),
            mac("vision"),
            mac("prefill"),
            number(row, "decode_tok_s"),
            100.0 * number(row, "hbm_utilization"),
            limits.join(", ")
        );
    }
    out
}

fn early_exit(settings: &Value) -> String {
    let mut out = String::from(
        "| demo model | cycles a question | exact match | answers by layers |\n|---|---|---|---|\n",
    );
    for row in rows(settings) {
        let layers = row["answers_by_layers"].as_object().expect("a map");
        let layers: Vec<String> = layers.iter().map(|(layers, n)| format!("{n} behind {layers}")).collect();
        let (name, percent) = (row["setting"].as_str().expect("a name"), 100.0 * number(row, "exact_match"));
        let (cycles, layers) = (number(row, "cycles"), layers.join(", "));
        let _ = writeln!(out, "| {name} | {cycles} | {percent:.1} % | {layers} |");
    }
    out
}

fn exact_match(settings: &Value) -> String {
    let mut out =
        String::from("| demo model | weights and table, MB | questions | exact match |\n|---|---|---|---|\n");
    for row in rows(settings) {
        let (name, percent) = (row["setting"].as_str().expect("a name"), 100.0 * number(row, "exact_match"));
        let _ =
            writeln!(out, "| {name} | {} | {} | {percent:.1} % |", megabytes(row), number(row, "questions"));
    }
    out
}

/// Next tokens and logits against float, rounded to nearest and calibrated.
fn ends(settings: &Value) -> String {
    let mut out = String::from(
        "| demo model | divergence, rounded to nearest | calibrated | error of the logits, rounded | calibrated |\n\
         |---|---|---|---|---|\n",
    );
    for row in rows(settings) {
        let name = row["setting"].as_str().expect("a name");
        let ends = ["rounded", "chosen"].map(|which| &row["end_to_end"][which]);
        let nats = ends.map(|end| format!("{:.4} nats", number(end, "divergence")));
        let errors = ends.map(|end| format!("{:.2} %", 100.0 * number(end, "error").sqrt()));
        let _ = writeln!(out, "| {name} | {} | {} |", nats.join(" | "), errors.join(" | "));
    }
    out
}

/// Output errors of each kind of layer of the language model, mean of all layers: rounded to nearest, calibrated.
fn layers(settings: &Value) -> String {
    const KINDS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    let mut out = format!("| demo model | {} |\n|{}\n", KINDS.join(" | "), "---|".repeat(KINDS.len() + 1));
    for row in rows(settings) {
        let errors = KINDS.map(|kind| {
            let of_kind = |layer: &&Value| layer["path"].as_str().is_some_and(|path| path.ends_with(kind));
            let all: Vec<&Value> = rows(&row["layers"]).iter().filter(of_kind).collect();
            let mean = |key: &str| {
                100.0 * (all.iter().map(|layer| number(layer, key)).sum::<f64>() / all.len() as f64).sqrt()
            };
            format!("{:.2} → {:.2} %", mean("rounded_error"), mean("error"))
        });
        let _ = writeln!(out, "| {} | {} |", row["setting"].as_str().expect("a name"), errors.join(" | "));
    }
    out
}

/// Several questions about one picture, which is read once.
fn reuse(questions: &Value) -> String {
    let mut out = String::from(
        "| question | rows of the prompt, of them kept | vision, cycles | prefill, cycles | answer |\n|---|---|---|---|---|\n",
    );
    for row in rows(questions) {
        let text = |key: &str| row[key].as_str().expect("a text");
        let [vision, prefill] = ["vision", "prefill"].map(|phase| number(&row["cycles"], phase));
        let [all, kept] = ["prompt_tokens", "reused_tokens"].map(|key| number(row, key));
        let _ = writeln!(
            out,
            "| {} | {all}, {kept} | {vision} | {prefill} | {} |",
            text("question"),
            text("answer")
        );
    }
    out
}

/// First token of a published shape with fewer visual tokens.
fn profiles(settings: &Value) -> String {
    let mut out = String::from(
        "| shape | technique | visual tokens | vision, ms | prefill, ms | first token, ms |\n|---|---|---|---|---|---|\n",
    );
    for row in rows(settings) {
        let (shape, method) = (row["shape"].as_str().expect("a name"), row["method"].as_str().unwrap_or("–"));
        let times = ["vision_ms", "prefill_ms", "ttft_ms"].map(|key| format!("{:.1}", number(row, key)));
        let _ = writeln!(
            out,
            "| {shape} | {method} | {} | {} |",
            number(row, "visual_tokens"),
            times.join(" | ")
        );
    }
    out
}

/// Our figures, then the baselines beside the first of our formats, the worst ratio first.
fn energy(c: &Value, task: &str) -> String {
    let of = |list: &str| -> Vec<Value> {
        rows(&c[list]).iter().filter(|row| row["task"] == task).cloned().collect()
    };
    let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
    let optional =
        |value: &Value, digits: usize| value.as_f64().map_or("–".into(), |v| format!("{v:.digits$}"));
    let ours = of("ours");
    let first = format!("{} {}", text(&ours[0], "weights"), text(&ours[0], "sparsity"));
    let request = task == "image_question";
    let mut out = format!(
        "| {} | bits | tok/s | J/token |{} their J / ours ({first}) | figures |\n|---|---|---|---|{}---|---|\n",
        if request { "picture and question" } else { "decode" },
        if request { " J/request |" } else { "" },
        if request { "---|" } else { "" },
    );
    let mut line = |name: &str, bits: f64, numbers: [String; 3], ratio: &str, grade: &str| {
        let [rate, token, whole] = numbers;
        let whole = if request { format!(" {whole} |") } else { String::new() };
        let _ = writeln!(out, "| {name} | {bits} | {rate} | {token} |{whole} {ratio} | {grade} |");
    };
    for o in &ours {
        let ends = |key: &str, digits: usize| {
            let of = |end: &str| optional(&o[key][end], digits);
            format!("{} ({} to {})", of("mid"), of("low"), of("high"))
        };
        let name = format!("**{} {} {}**", text(o, "target"), text(o, "weights"), text(o, "sparsity"));
        let numbers = [optional(&o["tok_s"], 1), ends("j_per_token", 2), ends("j_per_request", 0)];
        line(&name, number(o, "w_bits"), numbers, "", &format!("{}, energy modelled", text(o, "grade")));
    }
    // Baselines without a known power stay where their precision is ours: that ratio is the open one.
    let shown = |row: &&Value| {
        row["ours"] == first.as_str() && (!row["energy_ratio"].is_null() || row["same_precision"] == true)
    };
    for row in of("rows").iter().filter(shown) {
        let r = &row["energy_ratio"];
        let ends =
            || format!("{:.2} ({:.2} to {:.2})", number(r, "mid"), number(r, "low"), number(r, "high"));
        let open = || format!("open: {}", text(row, "energy_note"));
        let ratio = if r.is_null() { open() } else { ends() };
        let alone = request && row["decode_alone"] == true && !r.is_null();
        let grade = format!("{}{}", text(row, "grade"), if alone { ", decode alone" } else { "" });
        let numbers = [
            optional(&row["tok_s"], 1),
            optional(&row["j_per_token"], 2),
            optional(&row["j_per_request"], 0),
        ];
        line(&text(row, "baseline"), number(row, "w_bits"), numbers, &ratio, &grade);
    }
    out
}

/// Accuracy and cycles against the visual tokens that are left, technique by technique.
fn pruning(settings: &Value) -> String {
    let mut out = String::from(
        "| technique | visual tokens | exact match | name | kind | count | where | position | vision, cycles | prefill, cycles |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows(settings) {
        let (tokens, percent) = (number(row, "visual_tokens"), number(row, "percent"));
        let share = |row: &Value| format!("{:.1} %", 100.0 * number(row, "exact_match"));
        let kinds = ["name", "kind", "count", "where", "position"].map(|kind| share(&row["kinds"][kind]));
        let [vision, prefill] = ["vision", "prefill"].map(|phase| number(&row["cycles"], phase));
        let (all, kinds, method) = (share(row), kinds.join(" | "), row["method"].as_str().unwrap_or("–"));
        let _ =
            writeln!(out, "| {method} | {tokens} ({percent} %) | {all} | {kinds} | {vision} | {prefill} |");
    }
    out
}

/// The same pictures and questions with fewer and fewer visual tokens.
fn examples(pictures: &Value) -> String {
    let mut out = String::from(
        "| picture, question | visual tokens | prompt | vision, cycles | prefill, cycles | answer |\n\
         |---|---|---|---|---|---|\n",
    );
    for example in rows(pictures) {
        let name = |key: &str| example[key].as_str().expect("a text").to_owned();
        for row in rows(&example["rows"]) {
            let [vision, prefill] = ["vision", "prefill"].map(|phase| number(&row["cycles"], phase));
            let _ = writeln!(
                out,
                "| `{}` {} | {} ({} %) | {} | {vision} | {prefill} | {} |",
                name("image"),
                name("question"),
                number(row, "visual_tokens"),
                number(row, "percent"),
                number(row, "prompt_tokens"),
                row["answer"].as_str().expect("an answer"),
            );
        }
    }
    out
}

/// The document with every table made anew, and the names found.
fn renewed(text: &str) -> (String, Vec<String>) {
    const END: &str = "<!-- end of table -->";
    let (mut out, mut rest, mut found) = (String::new(), text, Vec::new());
    while let Some((before, behind)) = rest.split_once("<!-- table: ") {
        let (name, behind) = behind.split_once(" -->\n").expect("a mark ends its line");
        let (_, after) = behind.split_once(END).unwrap_or_else(|| panic!("table {name} has no end"));
        let _ = write!(out, "{before}<!-- table: {name} -->\n{}{END}", table(name));
        found.push(name.to_owned());
        rest = after;
    }
    (out + rest, found)
}

#[test]
fn tables_say_what_the_result_files_say() {
    let bless = std::env::var_os("BLESS").is_some();
    for (document, all) in [("README.md", false), ("tests/results/README.md", true)] {
        let path = root().join(document);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{document}: {e}"));
        let (new, found) = renewed(&text);
        assert!(!all || found == NAMES, "{document} has the tables {found:?}");
        if bless {
            std::fs::write(&path, new).expect("the document can be written");
        } else {
            assert!(text == new, "{document} differs from tests/results: run scripts/readme_tables");
        }
    }
}
