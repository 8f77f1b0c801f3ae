//! The accelerator as a Vitis kernel on an Alveo card, described once.
//!
//! [`Kernel::new`] derives ports, arguments and memory banks from a configuration, the register map and
//! a [`Board`]. Everything else is written from that description: `kernel.xml` ([`xml`]), the packaging
//! script ([`tcl`]), the link configuration ([`link`]), the top module with its registers ([`verilog`]),
//! and the xclbin of the emulated card ([`xclbin`]). A finished xclbin is checked against it again when it
//! is loaded ([`check`]).
//!
//! Sources: UG1393 ("RTL Kernel XML File", "Packaging the RTL Code as a Vitis XO", "--connectivity
//! Options"), `xclbin.h` of XRT 2.13.

pub mod board;
pub mod check;
pub mod link;
pub mod placement;
pub mod release;
pub mod tcl;
pub mod verilog;
pub mod xclbin;
pub mod xml;

pub use board::{Board, Memory, MemoryKind};
pub use release::Release;

use crate::config::HwConfig;
use crate::csr;
use std::ops::Range;

/// Name of the kernel, of its top module and its files.
pub const KERNEL: &str = "flightvlm";
/// Its one compute unit.
pub const COMPUTE_UNIT: &str = "flightvlm_1";
/// Bytes of the register space.
pub const REGISTER_BYTES: u32 = 0x1000;
/// Register that a port's 64-bit base address starts at: main memory first, then the channels. The
/// kernel's wrapper adds it to every address of the port.
pub const PORT_BASE: u32 = 0x180;

/// An AXI4 master of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// `m_axi_main`, `m_axi_ch00`, …
    pub name: String,
    /// Memories of the board that it is wired to, as indices into [`Board::memories`]; neighbours in
    /// the address space.
    pub memories: Range<usize>,
    /// Bytes that the configuration gives it.
    pub size_bytes: u64,
}

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgKind {
    /// 32-bit value.
    Scalar,
    /// Address of the buffer behind a port (index into [`Kernel::ports`]).
    Pointer(usize),
}

/// A kernel argument, which is a register that XRT writes before a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Lower-case register name.
    pub name: String,
    /// What it is.
    pub kind: ArgKind,
    /// Byte offset of its register.
    pub offset: u32,
}

impl Arg {
    /// Bytes of the register.
    pub fn size_bytes(&self) -> u32 {
        match self.kind {
            ArgKind::Scalar => 4,
            ArgKind::Pointer(_) => 8,
        }
    }
}

/// A configuration as a kernel on a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The accelerator.
    pub config: HwConfig,
    /// The card.
    pub board: Board,
    /// Main memory's port, then the channels'.
    pub ports: Vec<Port>,
    /// Arguments by index: scalars, then one pointer a port.
    pub args: Vec<Arg>,
}

/// Scalar arguments in front of R1..R15, in the order of their indices.
pub const SCALARS: [(&str, u32); 7] = [
    ("mem_units", csr::MEM_UNITS),
    ("code_base", csr::CODE_BASE),
    ("code_len", csr::CODE_LEN),
    ("entry", csr::ENTRY),
    ("watchdog", csr::WATCHDOG),
    ("code_units", csr::CODE_UNITS),
    ("channel_units", csr::CHANNEL_UNITS),
];
/// Registers R1..R15, which follow them.
pub const LAUNCH_REGS: u32 = 15;

impl Kernel {
    /// The kernel of a configuration on the card it is meant for.
    pub fn of(config: &HwConfig) -> Result<Kernel, String> {
        Kernel::new(config, Board::of(config)?)
    }

    /// Lays a configuration's memories out over a card's.
    pub fn new(config: &HwConfig, board: Board) -> Result<Kernel, String> {
        let bytes = |mib: u32| u64::from(mib) << 20;
        let channel_bytes = bytes(config.channel_mib);
        let hbm = board.hbm();
        let bank_bytes = hbm.first().map_or(0, |m| m.size_bytes);
        if bank_bytes == 0 || !channel_bytes.is_multiple_of(bank_bytes) {
            return Err(format!(
                "configuration `{}` has channels of {} MiB: expected whole HBM pseudo-channels of {} MiB on {}",
                config.name, config.channel_mib, bank_bytes >> 20, board.name
            ));
        }
        let banks = (channel_bytes / bank_bytes) as usize;
        let wanted = banks * config.slices as usize;
        if wanted > hbm.len() {
            return Err(format!(
                "configuration `{}` needs {wanted} HBM pseudo-channels; {} has {}",
                config.name,
                board.name,
                hbm.len()
            ));
        }
        let main = board.main_memory();
        let size_bytes = bytes(config.main_mib).min(board.memories[main].size_bytes);
        let mut ports = vec![Port { name: "m_axi_main".into(), memories: main..main + 1, size_bytes }];
        ports.extend((0..config.slices as usize).map(|c| Port {
            name: format!("m_axi_ch{c:02}"),
            memories: c * banks..(c + 1) * banks,
            size_bytes: channel_bytes,
        }));
        let scalar = |name: String, offset| Arg { name, kind: ArgKind::Scalar, offset };
        let mut args: Vec<Arg> = SCALARS.iter().map(|(n, at)| scalar((*n).into(), *at)).collect();
        args.extend((0..LAUNCH_REGS).map(|i| scalar(format!("r{}", i + 1), csr::ARG1 + 4 * i)));
        args.extend(ports.iter().enumerate().map(|(i, p)| Arg {
            name: p.name.trim_start_matches("m_axi_").into(),
            kind: ArgKind::Pointer(i),
            offset: PORT_BASE + 8 * i as u32,
        }));
        Ok(Kernel { config: config.clone(), board, ports, args })
    }

    /// Index of the argument for R`number`.
    pub fn reg_arg(number: usize) -> usize {
        SCALARS.len() + number - 1
    }

    /// Index of the argument for a port's buffer.
    pub fn port_arg(port: usize) -> usize {
        SCALARS.len() + LAUNCH_REGS as usize + port
    }

    /// First byte behind the registers that arguments take.
    pub fn end_of_args(&self) -> u32 {
        self.args.iter().map(|a| a.offset + a.size_bytes()).max().unwrap_or(0)
    }

    /// The named configuration whose generated RTL package this kernel is built from: boards that differ
    /// in memory only share it.
    pub fn rtl_package(&self) -> Option<String> {
        let same = |c: &HwConfig| c.fingerprint() == self.config.fingerprint();
        HwConfig::all().into_iter().find(same).map(|c| c.name)
    }

    /// Path and text of every file of the card release, relative to `hw/`.
    pub fn files(&self) -> Vec<(String, String)> {
        let at = |file: &str| format!("xrt/{}/{file}", self.config.name);
        vec![
            (at("kernel.xml"), xml::kernel_file(self)),
            (at("package_kernel.tcl"), tcl::package(self)),
            (at("link.cfg"), link::config(self)),
            (at("floorplan.tcl"), tcl::floorplan(self)),
            (at("flightvlm.v"), verilog::top(self)),
            (at("release.toml"), Release::of(self).to_toml()),
        ]
    }

    /// Every kernel that a release is kept for.
    pub fn all() -> Vec<Kernel> {
        let u55c = HwConfig::from_toml(include_str!("../../targets/u55c.toml"));
        let configs = HwConfig::all().into_iter().chain(u55c);
        let kernels: Vec<_> = configs.filter_map(|c| Kernel::of(&c).ok()).collect();
        assert_eq!(kernels.len(), 4, "invariant: every configuration fits its board");
        kernels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_arguments_overlap_nothing() {
        for k in Kernel::all() {
            let mut taken: Vec<(u32, u32)> =
                k.args.iter().map(|a| (a.offset, a.offset + a.size_bytes())).collect();
            let others = csr::CSRS.iter().filter(|c| taken.iter().all(|(from, _)| *from != c.offset));
            taken.extend(others.map(|c| (c.offset, c.offset + 4)).collect::<Vec<_>>());
            taken.sort_unstable();
            assert!(taken.windows(2).all(|w| w[0].1 <= w[1].0), "{}: {taken:x?}", k.config.name);
            assert!(k.end_of_args() <= REGISTER_BYTES);
            for (i, a) in k.args.iter().enumerate() {
                if let ArgKind::Pointer(port) = a.kind {
                    assert_eq!(i, Kernel::port_arg(port));
                }
            }
            assert_eq!(k.args[Kernel::reg_arg(15)].offset, csr::ARG1 + 56);
        }
    }

    #[test]
    fn every_channel_has_its_own_banks_and_they_are_neighbours() {
        for k in Kernel::all() {
            let mut used = std::collections::HashSet::new();
            for p in &k.ports[1..] {
                let banks = &k.board.memories[p.memories.clone()];
                assert!(banks.windows(2).all(|w| w[0].base + w[0].size_bytes == w[1].base), "{}", p.name);
                assert_eq!(banks.iter().map(|b| b.size_bytes).sum::<u64>(), p.size_bytes);
                assert!(p.memories.clone().all(|m| used.insert(m)), "{}", p.name);
            }
        }
    }

    #[test]
    fn a_configuration_that_no_board_can_hold_is_refused() {
        let wide = HwConfig { channel_mib: 1024, ..HwConfig::u280() };
        assert!(Kernel::of(&wide).unwrap_err().contains("needs 128 HBM pseudo-channels"));
        let odd = HwConfig { channel_mib: 300, ..HwConfig::u280() };
        assert!(Kernel::of(&odd).unwrap_err().contains("whole HBM pseudo-channels of 256 MiB"));
        let v80 = HwConfig { name: "v80".into(), ..HwConfig::u280() };
        assert!(Kernel::of(&v80).unwrap_err().contains("no card description"));
    }
}
