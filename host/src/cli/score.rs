//! Reading question files and judging answers.

use anyhow::{bail, Context, Result};
use serde::Deserialize;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One line of a question file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Question {
    /// Pictures, with paths made relative to the working folder.
    pub(super) images: Vec<PathBuf>,
    /// The question.
    pub(super) question: String,
    /// Any of these is right; at least one.
    pub(super) answers: Vec<String>,
    /// A group for the report.
    pub(super) kind: String,
}

/// One or several, or none.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_list(self) -> Vec<String> {
        match self {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(list) => list,
        }
    }
}

/// The line as written.
#[derive(Deserialize)]
struct Line {
    image: Option<OneOrMany>,
    question: String,
    answer: OneOrMany,
    #[serde(default)]
    kind: Option<String>,
}

/// Most faults of a file that one message lists.
const MAX_LISTED: usize = 5;

/// Reads a question file. Every line is checked, and all faults come in one message.
pub(super) fn read_questions(path: &Path, limit: Option<usize>) -> Result<Vec<Question>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the questions {}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut questions = Vec::new();
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        match read_line(line, folder) {
            Ok(question) => questions.push(question),
            Err(fault) => faults.push(format!("line {number}: {fault}")),
        }
    }
    if !faults.is_empty() {
        let more = faults.len().saturating_sub(MAX_LISTED);
        faults.truncate(MAX_LISTED);
        if more > 0 {
            faults.push(format!("and {more} more"));
        }
        bail!("{}:\n  {}", path.display(), faults.join("\n  "));
    }
    if questions.is_empty() {
        bail!("{} has no questions", path.display());
    }
    questions.truncate(limit.unwrap_or(usize::MAX));
    Ok(questions)
}

fn read_line(line: &str, folder: &Path) -> Result<Question, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| {
        let text = error.to_string();
        let text = text.replace(
            "data did not match any variant of untagged enum OneOrMany",
            "image and answer take a string or a list of strings",
        );
        format!("{text} (expected {{\"image\", \"question\", \"answer\", \"kind\"}})")
    })?;
    let images: Vec<PathBuf> = line
        .image
        .map(OneOrMany::into_list)
        .unwrap_or_default()
        .iter()
        .map(|image| folder.join(image))
        .collect();
    if let Some(absent) = images.iter().find(|image| !image.is_file()) {
        return Err(format!("there is no picture {}", absent.display()));
    }
    let answers = line.answer.into_list();
    if answers.is_empty() {
        return Err("the list of answers is empty".into());
    }
    let kind = line.kind.unwrap_or_else(|| "all".into());
    Ok(Question { images, question: line.question, answers, kind })
}

/// Whether the answer is one of the accepted ones, apart from case, surrounding punctuation and
/// the amount of white space.
pub(super) fn is_right(answer: &str, accepted: &[String]) -> bool {
    let answer = plain(answer);
    accepted.iter().any(|accepted| plain(accepted) == answer)
}

fn plain(text: &str) -> String {
    let is_edge =
        |c: char| c.is_whitespace() || c.is_ascii_punctuation() || "“”‘’«»…–—。，！？、；：".contains(c);
    let inner = text.trim_matches(is_edge);
    // An answer that is nothing but punctuation is compared as it stands.
    let inner = if inner.is_empty() { text.trim() } else { inner };
    inner.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Right answers and questions, in all and per kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Score {
    right: usize,
    n: usize,
    kinds: BTreeMap<String, (usize, usize)>,
}

impl Score {
    /// Counts one question.
    pub(super) fn add(&mut self, kind: &str, right: bool) {
        let entry = self.kinds.entry(kind.to_owned()).or_default();
        entry.0 += usize::from(right);
        entry.1 += 1;
        self.right += usize::from(right);
        self.n += 1;
    }

    /// `exact_match` and `n`, in all and under `kinds`.
    pub(super) fn to_json(&self) -> Value {
        let kinds: serde_json::Map<String, Value> = self
            .kinds
            .iter()
            .map(|(kind, &(right, n))| (kind.clone(), json!({"exact_match": share(right, n), "n": n})))
            .collect();
        json!({"exact_match": share(self.right, self.n), "n": self.n, "kinds": kinds})
    }

    /// A table for people.
    pub(super) fn table(&self) -> String {
        let width = self.kinds.keys().map(|kind| kind.chars().count()).max().unwrap_or(0).max(5);
        let row = |name: &str, right: usize, n: usize| {
            format!("{name:<width$} {right:>6} of {n:>6} {:>6.1} %\n", share(right, n) * 100.0)
        };
        let mut text: String = self.kinds.iter().map(|(kind, &(right, n))| row(kind, right, n)).collect();
        text.push_str(&row("total", self.right, self.n));
        text
    }
}

fn share(right: usize, n: usize) -> f64 {
    if n == 0 {
        return 0.0;
    }
    right as f64 / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_outer_punctuation_do_not_count() {
        let accepted = ["red apple".to_owned(), "3".to_owned()];
        for right in ["Red apple.", " red  apple!", "\"RED APPLE\"", "3", "3."] {
            assert!(is_right(right, &accepted), "{right}");
        }
        for wrong in ["redapple", "a red apple", "", "red-apple", "33"] {
            assert!(!is_right(wrong, &accepted), "{wrong}");
        }
        assert!(is_right("?", &["?".into()]) && !is_right("", &["?".into()]));
    }

    #[test]
    fn lines_take_all_documented_shapes() {
        let read = |line: &str| read_line(line, Path::new(""));
        let plain = read(r#"{"question": "q", "answer": "a"}"#).unwrap();
        assert_eq!((plain.kind.as_str(), plain.images.len()), ("all", 0));
        let full = r#"{"image": null, "question": "q", "answer": ["a", "b"], "kind": "k"}"#;
        assert_eq!(read(full).unwrap().answers, ["a", "b"]);
        for (bad, needle) in [
            (r#"{"question": "q"}"#, "answer"),
            (r#"{"question": "q", "answer": 3}"#, "string or a list"),
            (r#"{"question": "q", "answer": []}"#, "empty"),
            (r#"{"image": "absent.png", "question": "q", "answer": "a"}"#, "absent.png"),
            ("not json", "expected"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(needle), "{bad}: {error}");
        }
    }

    #[test]
    fn scores_add_up() {
        let mut score = Score::default();
        score.add("colour", true);
        score.add("colour", false);
        score.add("count", true);
        score.add("count", true);
        let json = score.to_json();
        assert_eq!(json["exact_match"], 0.75);
        assert_eq!(json["kinds"]["colour"], json!({"exact_match": 0.5, "n": 2}));
        assert!(score.table().contains("total       3 of      4   75.0 %"), "{}", score.table());
    }
}
