//! `link.cfg` for `v++ --link --config`: compute unit, placement, and which memory each port reaches.

use super::{Kernel, COMPUTE_UNIT, KERNEL};
use std::fmt::Write as _;

/// Slices up to which the whole kernel goes into the SLR next to the HBM. More do not fit one region; then
/// `floorplan.tcl` assigns the parts.
const ONE_SLR_SLICES: u32 = 4;

/// Whether the kernel is kept in one super logic region.
pub fn one_slr(kernel: &Kernel) -> bool {
    kernel.config.slices <= ONE_SLR_SLICES
}

/// Text of the file.
pub fn config(kernel: &Kernel) -> String {
    let mut o = format!("# {}\n", crate::codegen::HEADER);
    let _ = writeln!(o, "platform={}", kernel.board.platform);
    let _ = writeln!(o, "kernel_frequency={}\n\n[connectivity]", kernel.config.clock_mhz);
    let _ = writeln!(o, "nk={KERNEL}:1:{COMPUTE_UNIT}");
    if one_slr(kernel) {
        let _ = writeln!(o, "slr={COMPUTE_UNIT}:SLR0");
    }
    for port in &kernel.ports {
        let _ = writeln!(o, "sp={COMPUTE_UNIT}.{}:{}", port.name, banks(kernel, port.memories.clone()));
    }
    o += "\n[vivado]\nprop=run.impl_1.strategy=Performance_ExplorePostRoutePhysOpt\n";
    if !one_slr(kernel) {
        o += "prop=run.impl_1.STEPS.PLACE_DESIGN.TCL.PRE=floorplan.tcl\n";
    }
    o
}

/// `HBM[3]` or `HBM[0:3]`.
pub fn banks(kernel: &Kernel, memories: std::ops::Range<usize>) -> String {
    let first = &kernel.board.memories[memories.start].tag;
    if memories.len() == 1 {
        return first.clone();
    }
    let last = &kernel.board.memories[memories.end - 1].tag;
    let number = last.split(['[', ']']).nth(1).expect("invariant: tags end in [number]");
    format!("{}:{number}]", first.trim_end_matches(']'))
}
