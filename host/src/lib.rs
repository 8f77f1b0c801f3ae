//! The host side of FlightVLM: what a user touches.
//!
//! [`source`] opens a model. A request passes through [`image`] (picture files to `pixel_values`)
//! and [`text`] (messages to token ids), both driven by the files of the checkpoint ([`bundle`])
//! and joined in [`prompt`], into a [`device`] that runs the model, under the control of
//! [`generate`] and [`sampler`]. [`profile`] asks the timing model what a model takes, [`energy`] what
//! that costs in joules, [`compare`] what others take; [`serve`] answers over HTTP; [`cli`] is the
//! command line on top.
//!
//! Invariants:
//! - every module below `cli` returns errors and never prints;
//! - a [`device::Device`] is the only thing that knows how a model is executed, and everything
//!   above it works the same on all of them;
//! - input that came from outside (files, flags, prompts) never panics; a panic is a bug of ours;
//! - standard output carries the answer, or JSON, and nothing else.
//!
//! What this crate must not know: instruction encodings, memory maps, model layers.

pub mod bundle;
pub mod cli;
pub mod compare;
pub mod context;
pub mod device;
pub mod embed;
pub mod energy;
pub mod exits;
pub mod generate;
pub mod image;
pub mod profile;
pub mod prompt;
pub mod sampler;
pub mod serve;
pub mod source;
pub mod text;
