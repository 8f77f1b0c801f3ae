//! The model beside what others measured or simulated: one list of rows for the test and the table.

mod amd;
mod closed_form;
mod dramsim3;
mod streams;

/// Where a row's reference comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// Measured on a card.
    Measured,
    /// Computed by another simulator.
    Simulated,
    /// Follows from the timing rules alone.
    Formula,
}

/// One comparison.
#[derive(Debug, Clone)]
pub struct Row {
    /// Table the row belongs to.
    pub table: &'static str,
    /// What runs.
    pub case: String,
    /// Unit of both figures.
    pub unit: &'static str,
    /// Reference.
    pub published: f64,
    /// Its kind.
    pub grade: Grade,
    /// Its source.
    pub source: &'static str,
    /// Ours.
    pub modelled: f64,
    /// Accepted relative error; none where the two are not the same experiment.
    pub tolerance: Option<f64>,
    /// What the reader must know.
    pub note: String,
}

impl Row {
    /// Relative error.
    pub fn error(&self) -> f64 {
        self.modelled / self.published - 1.0
    }

    /// Whether the error is accepted, if there is something to accept.
    pub fn passes(&self) -> Option<bool> {
        self.tolerance.map(|tolerance| self.error().abs() <= tolerance)
    }
}

/// Every comparison.
pub fn rows() -> Vec<Row> {
    let mut rows = closed_form::rows();
    rows.extend(streams::rows());
    rows.extend(amd::rows());
    rows.extend(dramsim3::rows());
    rows
}
