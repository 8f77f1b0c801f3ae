//! The hardware, described once.
//!
//! * [`isa`]: the instruction table; encoder, decoder, assembler and disassembler read it.
//! * [`csr`]: the register map.
//! * [`config`]: named hardware configurations.
//! * [`numerics`]: every arithmetic step of the vector unit and the dequantiser, exact.
//! * [`machine`]: what a machine that runs programs looks like to software.
//! * [`kernel`]: the accelerator as a kernel on a card, its release files, xclbin files.
//! * [`codegen`]: writes the SystemVerilog package, the C header and the manuals.
//!
//! Invariants: nothing here knows a model, a simulator or a device; no other place types an
//! opcode, a field position or a register offset by hand.

pub mod codegen;
pub mod config;
pub mod csr;
pub mod isa;
pub mod kernel;
pub mod machine;
pub mod numerics;
