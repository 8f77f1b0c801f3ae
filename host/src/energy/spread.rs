//! A value with both ends of what it may be.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Mul};

/// Low, most likely, high.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// All coefficients at their low ends.
    pub low: f64,
    /// All coefficients at their likely values.
    pub mid: f64,
    /// All coefficients at their high ends.
    pub high: f64,
}

impl Spread {
    /// From the three values.
    pub const fn new(low: f64, mid: f64, high: f64) -> Spread {
        Spread { low, mid, high }
    }

    /// The same function of every end.
    pub fn map(self, f: impl Fn(f64) -> f64) -> Spread {
        Spread { low: f(self.low), mid: f(self.mid), high: f(self.high) }
    }
}

impl Add for Spread {
    type Output = Spread;

    fn add(self, other: Spread) -> Spread {
        Spread::new(self.low + other.low, self.mid + other.mid, self.high + other.high)
    }
}

impl Mul<f64> for Spread {
    type Output = Spread;

    fn mul(self, factor: f64) -> Spread {
        self.map(|value| value * factor)
    }
}

impl std::iter::Sum for Spread {
    fn sum<I: Iterator<Item = Spread>>(items: I) -> Spread {
        items.fold(Spread::default(), Add::add)
    }
}
