//! Messages for people whose input is at fault.
//!
//! A [`Diagnostic`] says where the fault is, what was expected, what was found, and what to do next.
//! Checks collect them in [`Diagnostics`], so one run shows every fault and not only the first.

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

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
