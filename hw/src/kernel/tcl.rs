//! Scripts for Vivado: packaging of the RTL as a kernel object, and the floor plan.

use super::placement::{placement, Place, SLICES};
use super::{ArgKind, Kernel, KERNEL};
use std::fmt::Write as _;

/// What is the same for every kernel.
const PACKAGE: &str = include_str!("package_kernel.tcl");

/// `package_kernel.tcl`.
pub fn package(kernel: &Kernel) -> String {
    let mut o = format!("# {}\n", crate::codegen::HEADER);
    let _ = writeln!(o, "set kernel {KERNEL}\nset part {}", kernel.board.part);
    let package = kernel.rtl_package().expect("invariant: a kernel's RTL is that of a named configuration");
    let _ = writeln!(o, "set package gen/{package}/fvlm_isa_pkg.sv");
    let ports: Vec<&str> = kernel.ports.iter().map(|p| p.name.as_str()).collect();
    let _ = writeln!(o, "set masters {{{}}}", ports.join(" "));
    o += "# name, offset, bytes, port of a pointer\nset registers {\n    CTRL 0x0 4 {}\n";
    for arg in &kernel.args {
        let port = match arg.kind {
            ArgKind::Scalar => "{}",
            ArgKind::Pointer(p) => &kernel.ports[p].name,
        };
        let _ = writeln!(o, "    {} {:#x} {} {port}", arg.name, arg.offset, arg.size_bytes());
    }
    o + "}\n\n" + PACKAGE
}

/// `floorplan.tcl`, run in front of placement.
pub fn floorplan(kernel: &Kernel) -> String {
    let mut o = format!("# {}\n", crate::codegen::HEADER);
    if super::link::one_slr(kernel) {
        return o + "# The whole kernel is in one region (link.cfg); nothing to assign.\n";
    }
    assert_eq!(
        kernel.config.slices as usize, SLICES,
        "invariant: kernels over several regions have 32 slices"
    );
    for Place { instance, slr, .. } in placement() {
        let _ = writeln!(
            o,
            "set_property USER_SLR_ASSIGNMENT SLR{slr} [get_cells -hierarchical -filter {{NAME =~ */{instance}}}]"
        );
    }
    o
}
