//! Does an xclbin hold this kernel? Every difference at once.

use super::xclbin::{Cu, Xclbin};
use super::{xml, ArgKind, Kernel, Release, COMPUTE_UNIT, KERNEL};
use crate::isa::isa_hash;
use std::collections::BTreeSet;

/// Differences between a file and what the description says; empty when it fits.
pub fn faults(kernel: &Kernel, file: &Xclbin) -> Vec<String> {
    let mut out = release(kernel, file);
    if !out.is_empty() {
        // Another build: that everything else differs too says nothing.
        return out;
    }
    if !file.vbnv.starts_with(kernel.board.vbnv_prefix) {
        let expected = kernel.board.vbnv_prefix;
        out.push(format!("platform: expected {expected}*, got {}", file.vbnv));
    }
    match file.cus.iter().position(|c| c.name == format!("{KERNEL}:{COMPUTE_UNIT}")) {
        None => {
            let names: Vec<_> = file.cus.iter().map(|c| c.name.as_str()).collect();
            out.push(format!("compute unit: expected {KERNEL}:{COMPUTE_UNIT}, got {}", names.join(", ")));
        }
        Some(index) => {
            control(&file.cus[index], &mut out);
            wires(kernel, file, index as u32, &mut out);
        }
    }
    arguments(kernel, &file.metadata, &mut out);
    out
}

fn release(kernel: &Kernel, file: &Xclbin) -> Vec<String> {
    let expected = isa_hash(&kernel.config);
    let name = &kernel.config.name;
    let Some(text) = &file.user_metadata else {
        return vec!["USER_METADATA is missing: not a FlightVLM release".into()];
    };
    match Release::from_toml(text) {
        Err(e) => vec![format!("USER_METADATA is not a FlightVLM release: {e}")],
        Ok(r) if r.isa_hash != expected => vec![format!(
            "built for another accelerator: expected hash {expected:#010x} (configuration `{name}`), got \
             {:#010x} (configuration `{}`)",
            r.isa_hash, r.config.name
        )],
        Ok(r) if r.board != kernel.board.name => {
            vec![format!("built for another card: expected {}, got {}", kernel.board.name, r.board)]
        }
        Ok(_) => Vec::new(),
    }
}

fn control(cu: &Cu, out: &mut Vec<String>) {
    if (cu.kind, cu.control) != (1, 0) {
        out.push(format!(
            "{}: expected a kernel (1) with ap_ctrl_hs (0), got IP type {} with control {}",
            cu.name, cu.kind, cu.control
        ));
    }
}

fn wires(kernel: &Kernel, file: &Xclbin, cu: u32, out: &mut Vec<String>) {
    for (i, arg) in kernel.args.iter().enumerate() {
        let ArgKind::Pointer(port) = arg.kind else { continue };
        let wired = file.connections.iter().filter(|c| c.cu == cu && c.arg == i as u32);
        let got: BTreeSet<&str> =
            wired.filter_map(|c| file.memories.get(c.memory as usize)).map(|m| m.tag.as_str()).collect();
        let memories = &kernel.board.memories[kernel.ports[port].memories.clone()];
        let expected: BTreeSet<&str> = memories.iter().map(|m| m.tag.as_str()).collect();
        if got != expected {
            out.push(format!("argument {} ({i}): expected memory {expected:?}, got {got:?}", arg.name));
        }
        for m in memories {
            // Where a memory lies is the platform's choice; that neighbours are neighbours shows when buffers
            // are reserved.
            let found =
                file.memories.iter().find(|f| f.tag == m.tag).filter(|f| f.size_bytes != m.size_bytes);
            if let Some(f) = found {
                out.push(format!(
                    "{}: expected {} MiB, got {} MiB",
                    m.tag,
                    m.size_bytes >> 20,
                    f.size_bytes >> 20
                ));
            }
        }
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn arguments(kernel: &Kernel, metadata: &str, out: &mut Vec<String>) {
    let document = match roxmltree::Document::parse(metadata) {
        Ok(d) => d,
        Err(e) => return out.push(format!("EMBEDDED_METADATA is not XML: {e}")),
    };
    let is_kernel = |n: &roxmltree::Node| n.has_tag_name("kernel") && n.attribute("name") == Some(KERNEL);
    let Some(node) = document.descendants().find(is_kernel) else {
        return out.push(format!("EMBEDDED_METADATA has no kernel {KERNEL}"));
    };
    let args: Vec<_> = node.descendants().filter(|n| n.has_tag_name("arg")).collect();
    if args.len() != kernel.args.len() {
        out.push(format!("arguments: expected {}, got {}", kernel.args.len(), args.len()));
    }
    for (id, arg) in kernel.args.iter().enumerate() {
        let Some(node) = args.iter().find(|n| n.attribute("id") == Some(&id.to_string())) else {
            out.push(format!("argument {id} ({}) is missing", arg.name));
            continue;
        };
        let get = |name: &str| node.attribute(name).unwrap_or_default();
        let port = match arg.kind {
            ArgKind::Scalar => xml::CONTROL_PORT.to_string(),
            ArgKind::Pointer(p) => xml::port_name(&kernel.ports[p].name),
        };
        let expected = (arg.name.as_str(), arg.offset.into(), arg.size_bytes().into(), port.as_str());
        let numbers = number(get("offset")).zip(number(get("size")));
        let (offset, size) = numbers.unwrap_or((u64::MAX, u64::MAX));
        let upper = get("port").to_uppercase();
        let got = (get("name"), offset, size, upper.as_str());
        if got != expected {
            out.push(format!(
                "argument {id}: expected (name, offset, bytes, port) {expected:x?}, got {got:x?}"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HwConfig;
    use crate::kernel::xclbin::emulation;

    fn read(config: &HwConfig) -> Xclbin {
        Xclbin::parse(&emulation(&Kernel::of(config).unwrap())).unwrap()
    }

    #[test]
    fn every_kernel_fits_its_own_file() {
        for k in Kernel::all() {
            assert_eq!(faults(&k, &read(&k.config)), Vec::<String>::new());
        }
    }

    #[test]
    fn another_build_shows_both_hashes_and_nothing_else() {
        let k = Kernel::of(&HwConfig::sim()).unwrap();
        let f = faults(&k, &read(&HwConfig::mini()));
        assert_eq!(f.len(), 1, "{f:?}");
        for hash in [isa_hash(&HwConfig::sim()), isa_hash(&HwConfig::mini())] {
            assert!(f[0].contains(&format!("{hash:#010x}")), "{f:?}");
        }
    }

    #[test]
    fn each_part_of_a_file_is_looked_at() {
        let k = Kernel::of(&HwConfig::mini()).unwrap();
        let good = read(&k.config);
        let after = |change: &dyn Fn(&mut Xclbin)| {
            let mut x = good.clone();
            change(&mut x);
            faults(&k, &x).join("; ")
        };
        assert!(after(&|x| x.user_metadata = None).contains("not a FlightVLM release"));
        assert!(after(&|x| x.vbnv = "xilinx_u250".into()).contains("platform"));
        assert!(after(&|x| x.cus[0].control = 2).contains("ap_ctrl_hs"));
        assert!(after(&|x| x.cus.clear()).contains("compute unit"));
        assert!(after(&|x| x.connections[1].memory = 5).contains("argument ch00"));
        assert!(after(&|x| x.memories[0].size_bytes = 1 << 20).contains("HBM[0]: expected 256 MiB"));
        let moved = |x: &mut Xclbin| x.metadata = x.metadata.replace("offset=\"0x44\"", "offset=\"0x48\"");
        assert!(after(&moved).contains("argument 7"));
        assert!(after(&|x| x.metadata.clear()).contains("not XML"));
        let board = |x: &mut Xclbin| {
            x.user_metadata = x.user_metadata.take().map(|t| t.replace("u280", "u55c"));
        };
        assert!(after(&board).contains("another card"));
    }
}
