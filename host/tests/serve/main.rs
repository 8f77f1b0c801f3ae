//! `flightvlm serve` as its clients see it: the binary, over TCP.

mod answers;
mod clients;
#[path = "../common/clip.rs"]
mod clip;
mod compared;
#[path = "../common/golden.rs"]
mod golden;
mod hostile;
mod load;
mod malformed;
mod rig;
mod savings;
mod streams;
mod videos;
