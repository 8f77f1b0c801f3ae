//! `flightvlm serve` as its clients see it: the binary, over TCP.

mod answers;
mod clients;
#[path = "../common/clip.rs"]
mod clip;
mod compared;
mod hostile;
mod load;
mod malformed;
mod rig;
mod streams;
