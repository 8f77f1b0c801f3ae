//! `flightvlm.v`: the kernel's top module, plain Verilog because the packager wants that of a top. It only
//! gives every AXI port a name of its own; `rtl/card/card_shell.sv` is what is inside.

use super::{Kernel, KERNEL, PORT_BASE};
use std::fmt::Write as _;

/// Who drives a signal of a port of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drives {
    /// The kernel.
    Kernel,
    /// The other side.
    Outside,
}
use Drives::{Kernel as K, Outside as O};

/// Signals of an AXI4 master with their bits.
pub const MASTER: &[(&str, Drives, u32)] = &[
    ("arid", K, 4),
    ("araddr", K, 64),
    ("arlen", K, 8),
    ("arsize", K, 3),
    ("arburst", K, 2),
    ("arvalid", K, 1),
    ("arready", O, 1),
    ("rid", O, 4),
    ("rdata", O, 512),
    ("rresp", O, 2),
    ("rlast", O, 1),
    ("rvalid", O, 1),
    ("rready", K, 1),
    ("awid", K, 4),
    ("awaddr", K, 64),
    ("awlen", K, 8),
    ("awsize", K, 3),
    ("awburst", K, 2),
    ("awvalid", K, 1),
    ("awready", O, 1),
    ("wdata", K, 512),
    ("wstrb", K, 64),
    ("wlast", K, 1),
    ("wvalid", K, 1),
    ("wready", O, 1),
    ("bid", O, 4),
    ("bresp", O, 2),
    ("bvalid", O, 1),
    ("bready", K, 1),
];

/// Signals of the AXI4-Lite slave with their bits.
pub const CONTROL: &[(&str, Drives, u32)] = &[
    ("awaddr", O, 12),
    ("awvalid", O, 1),
    ("awready", K, 1),
    ("wdata", O, 32),
    ("wstrb", O, 4),
    ("wvalid", O, 1),
    ("wready", K, 1),
    ("bresp", K, 2),
    ("bvalid", K, 1),
    ("bready", O, 1),
    ("araddr", O, 12),
    ("arvalid", O, 1),
    ("arready", K, 1),
    ("rdata", K, 32),
    ("rresp", K, 2),
    ("rvalid", K, 1),
    ("rready", O, 1),
];

fn suffix(drives: Drives) -> &'static str {
    match drives {
        K => "o",
        O => "i",
    }
}

/// Text of the file.
pub fn top(kernel: &Kernel) -> String {
    let mut o = format!("// {}\n", crate::codegen::HEADER);
    let _ = writeln!(
        o,
        "// Kernel `{KERNEL}` of configuration `{}` for {}.\n`default_nettype none\n\nmodule {KERNEL} (\n    \
         input  wire ap_clk,\n    input  wire ap_rst_n,\n",
        kernel.config.name, kernel.board.name
    );
    let names = kernel.ports.iter().map(|p| (p.name.as_str(), MASTER));
    let mut lines = Vec::new();
    for (port, signals) in [("s_axi_control", CONTROL)].into_iter().chain(names) {
        for (signal, drives, bits) in signals {
            let way = if *drives == K { "output" } else { "input " };
            let range = if *bits > 1 { format!("[{}:0] ", bits - 1) } else { String::new() };
            lines.push(format!("    {way} wire {range}{port}_{signal}"));
        }
    }
    o += &lines.join(",\n");
    let _ = write!(
        o,
        "\n);\n  card_shell #(\n      .Ports({}),\n      .PortBase(12'h{PORT_BASE:03x}),\n      .ClockMhz({})\n  ) u_shell \
         (\n      .clk_i(ap_clk),\n      .rst_ni(ap_rst_n)",
        kernel.ports.len(),
        kernel.config.clock_mhz
    );
    for (signal, drives, _) in CONTROL {
        let _ = write!(o, ",\n      .s_{signal}_{}(s_axi_control_{signal})", suffix(*drives));
    }
    for (signal, drives, _) in MASTER {
        // The first port has the low bits.
        let all: Vec<_> = kernel.ports.iter().rev().map(|p| format!("{}_{signal}", p.name)).collect();
        let _ = write!(o, ",\n      .m_{signal}_{}({{{}}})", suffix(*drives), all.join(", "));
    }
    o + "\n  );\nendmodule\n\n`default_nettype wire\n"
}
