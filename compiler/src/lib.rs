//! From a Hugging Face checkpoint to a program.
//!
//! [`import`] reads `config.json` and safetensors into a [`graph`]; [`plan`] is its fused form;
//! [`layout`] says where everything lies on the target; [`codegen`] emits instructions;
//! [`program`] is the result and its file. [`pipeline`] runs the stages by name. [`eval`] computes
//! a graph in float32: the reference.
//!
//! Invariants: knows no device and no simulator; each stage has one printer; nothing from outside
//! reaches a panic (every fault of an input is a [`diag::Diagnostic`]).

pub mod codegen;
pub mod diag;
pub mod eval;
pub mod graph;
pub mod import;
pub mod layout;
pub mod pipeline;
pub mod plan;
pub mod program;
pub mod quant;
