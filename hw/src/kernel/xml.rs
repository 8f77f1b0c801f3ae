//! `kernel.xml`, and the metadata of an xclbin that XRT reads kernel, ports and arguments from.

use super::{Arg, ArgKind, Kernel, COMPUTE_UNIT, KERNEL, REGISTER_BYTES};
use std::fmt::Write as _;

/// Where the registers lie on the emulated card.
pub const REGISTERS_AT: u64 = 0x180_0000;
/// The slave's name in XML, as Vitis writes it.
pub const CONTROL_PORT: &str = "S_AXI_CONTROL";

/// Name of a master port in XML, as Vitis writes it.
pub fn port_name(rtl: &str) -> String {
    rtl.to_uppercase()
}

/// `kernel.xml` for `package_xo`.
pub fn kernel_file(kernel: &Kernel) -> String {
    let mut o = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(o, "<!-- {} -->", crate::codegen::HEADER);
    o += "<root versionMajor=\"1\" versionMinor=\"6\">\n";
    open_kernel(&mut o);
    o += "<ports>\n";
    ports(&mut o, kernel);
    o += "</ports>\n<args>\n";
    args(&mut o, kernel);
    o + "</args>\n</kernel>\n</root>\n"
}

/// EMBEDDED_METADATA of the emulated card's xclbin.
pub fn metadata(kernel: &Kernel) -> String {
    let board = &kernel.board;
    let mut o = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<project name=\"{KERNEL}\">\n\
         <platform vendor=\"xilinx\" boardid=\"{}\" name=\"{}\">\n<device name=\"fpga0\" fpgaDevice=\"{}\">\n\
         <core name=\"OCL_REGION_0\" target=\"hw_em\" type=\"clc_region\" clockFreq=\"{}MHz\" numComputeUnits=\"1\">\n",
        board.name, board.platform, board.part, kernel.config.clock_mhz
    );
    // In an xclbin, ports and arguments are the kernel's own children; XRT finds them nowhere else.
    open_kernel(&mut o);
    ports(&mut o, kernel);
    args(&mut o, kernel);
    let _ = writeln!(
        o,
        "<instance name=\"{COMPUTE_UNIT}\"><addrRemap base=\"{REGISTERS_AT:#x}\" range=\"{REGISTER_BYTES:#x}\" \
         port=\"{CONTROL_PORT}\"/></instance>"
    );
    o + "</kernel>\n</core>\n</device>\n</platform>\n</project>\n"
}

fn open_kernel(o: &mut String) {
    let _ = writeln!(
        o,
        "<kernel name=\"{KERNEL}\" language=\"ip_c\" vlnv=\"flightvlm.org:kernel:{KERNEL}:1.0\" attributes=\"\" \
         preferredWorkGroupSizeMultiple=\"0\" workGroupSize=\"1\" interrupt=\"false\" \
         hwControlProtocol=\"ap_ctrl_hs\">"
    );
}

fn ports(o: &mut String, kernel: &Kernel) {
    let _ = writeln!(
        o,
        "<port name=\"{CONTROL_PORT}\" mode=\"slave\" range=\"{REGISTER_BYTES:#x}\" dataWidth=\"32\" \
         portType=\"addressable\" base=\"0x0\"/>"
    );
    for port in &kernel.ports {
        let _ = writeln!(
            o,
            "<port name=\"{}\" mode=\"master\" range=\"0xFFFFFFFFFFFFFFFF\" dataWidth=\"512\" \
             portType=\"addressable\" base=\"0x0\"/>",
            port_name(&port.name)
        );
    }
}

fn args(o: &mut String, kernel: &Kernel) {
    for (id, arg) in kernel.args.iter().enumerate() {
        argument(o, kernel, id, arg);
    }
}

fn argument(o: &mut String, kernel: &Kernel, id: usize, arg: &Arg) {
    let (qualifier, port, kind) = match arg.kind {
        ArgKind::Scalar => (0, CONTROL_PORT.to_string(), "uint"),
        ArgKind::Pointer(p) => (1, port_name(&kernel.ports[p].name), "void*"),
    };
    let size = arg.size_bytes();
    let _ = writeln!(
        o,
        "<arg name=\"{}\" addressQualifier=\"{qualifier}\" id=\"{id}\" port=\"{port}\" size=\"{size:#x}\" \
         offset=\"{:#x}\" hostOffset=\"0x0\" hostSize=\"{size:#x}\" type=\"{kind}\"/>",
        arg.name, arg.offset
    );
}
