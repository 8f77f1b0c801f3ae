//! `flightvlm serve` as its clients see it: the binary, over TCP.

mod answers;
mod clients;
mod hostile;
mod load;
mod malformed;
mod rig;
mod streams;
