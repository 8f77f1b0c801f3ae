//! Messages for people whose input is at fault.
//!
//! A [`Diagnostic`] says where the fault is, what was expected, what was found, and what to do next.
//! Checks collect them in [`Diagnostics`], so one run shows every fault and not only the first.

use std::collections::HashMap;
use std::fmt;

/// One fault in a user's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Module path, tensor name, config key or file name.
    pub where_: String,
    /// What would have been accepted.
    pub expected: String,
    /// What was found instead.
    pub got: String,
    /// The next step for the user; never empty.
    pub help: String,
}

impl Diagnostic {
    /// Builds a diagnostic; all four parts are required.
    pub fn new(
        where_: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let d = Self { where_: where_.into(), expected: expected.into(), got: got.into(), help: help.into() };
        debug_assert!(!d.help.is_empty(), "a diagnostic needs a next step");
        d
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.where_)?;
        writeln!(f, "  expected: {}", indent(&self.expected))?;
        writeln!(f, "  got:      {}", indent(&self.got))?;
        write!(f, "  help:     {}", indent(&self.help))
    }
}

fn indent(text: &str) -> String {
    text.replace('\n', "\n            ")
}

impl std::error::Error for Diagnostic {}

/// All faults of one input, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one fault.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    /// Adds all faults of `other`.
    pub fn extend(&mut self, other: Diagnostics) {
        self.items.extend(other.items);
    }

    /// Adds those of `other` about places that have no fault yet.
    pub fn extend_new(&mut self, other: Diagnostics) {
        for fault in other.items {
            if self.items.iter().all(|known| known.where_ != fault.where_) {
                self.items.push(fault);
            }
        }
    }

    /// True when nothing was found.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Number of faults.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The faults in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.items.iter()
    }

    /// `Ok(value)` when nothing was found, else the collection.
    pub fn into_result<T>(self, value: T) -> Result<T, Diagnostics> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { items: vec![diagnostic] }
    }
}

/// A place without its numbers: `model.layers.3.mlp` is `model.layers.*.mlp`.
fn without_numbers(place: &str) -> String {
    let number = |step: &str| !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
    place.split('.').map(|step| if number(step) { "*" } else { step }).collect::<Vec<_>>().join(".")
}

impl Diagnostics {
    /// The faults in order, those that differ in the layer's number only together: the first one, and their places.
    fn grouped(&self) -> Vec<(&Diagnostic, Vec<&str>)> {
        let mut groups: Vec<(&Diagnostic, Vec<&str>)> = Vec::new();
        let mut known = HashMap::new();
        for item in &self.items {
            let key = (without_numbers(&item.where_), &item.expected, &item.got, &item.help);
            let at = *known.entry(key).or_insert(groups.len());
            match groups.get_mut(at) {
                Some((_, places)) => places.push(&item.where_),
                None => groups.push((item, vec![&item.where_])),
            }
        }
        groups
    }
}

/// Every fault; what all layers have in common is said once, with the place of each.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, places)) in self.grouped().into_iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match &places[..] {
                [] | [_] => write!(f, "{first}")?,
                [.., last] => {
                    let where_ = format!("{} ({} of them, to {last})", first.where_, places.len());
                    write!(f, "{}", Diagnostic { where_, ..first.clone() })?;
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_with_the_same_fault_are_one_message() {
        let mut all = Diagnostics::new();
        for layer in 0..3 {
            for (name, got) in [("q", "6"), ("k", "7")] {
                all.push(Diagnostic::new(format!("model.layers.{layer}.{name}.weight"), "8", got, "look"));
            }
        }
        all.push(Diagnostic::new("model.layers.2.q.weight", "9", "6", "look"));
        let text = all.to_string();
        assert_eq!(text.matches("expected").count(), 3, "{text}");
        let first =
            "model.layers.0.q.weight (3 of them, to model.layers.2.q.weight)\n  expected: 8\n  got:      6";
        assert!(text.starts_with(first), "{text}");
        assert!(text.contains("\nmodel.layers.2.q.weight\n  expected: 9"), "{text}");
    }
}
