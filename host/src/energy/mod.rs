//! Power and energy of the card, **modelled**: nothing here is a measurement, except [`card`], which
//! reads a real card's sensor.
//!
//! The boundary is the board: FPGA, HBM, DDR, regulators; no host. [`PowerModel`] turns what the
//! simulator counted ([`Activity`]) into watts with three sets of coefficients, low, mid and high, and
//! every result carries all three. Beside it stands [`CONSTANT_W`], the null model that knows nothing
//! about the program: a component model earns its place only by predicting changes.
//!
//! What this module must not know: models, programs, devices.

pub mod card;
mod model;
mod parts;
mod spread;

pub use model::{Activity, PowerModel, ABSOLUTE_SIGMA, CONSTANT_SIGMA_W, CONSTANT_W};
pub use parts::{Part, Parts, Use};
pub use spread::Spread;
