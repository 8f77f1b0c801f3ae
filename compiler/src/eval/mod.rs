//! The float32 reference executor: interprets a [`crate::graph::Graph`] node by node.
//!
//! It defines what the model means for this project. Sums in norms and softmax are kept in f64, matrix
//! products in f32; the result must stay within 1e-3 of the logit range of Hugging Face `transformers`
//! (float32, CPU), and is usually within 1e-6. It knows no device, no quantisation and no tiles.

mod conv;
mod inputs;
mod kernels;
mod matmul;
mod pictures;
mod session;

pub use inputs::{write_logits, write_states, write_tensor, Inputs, Pairs};
pub(crate) use kernels::rope;
pub use session::{Embedded, LinearInput, Session, Together, Watch};
