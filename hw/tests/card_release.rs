//! The files of a card release against the kernel description and the RTL: what can be checked without Vitis.

use flightvlm_hw::kernel::placement::{placement, Place};
use flightvlm_hw::kernel::verilog::{Drives, CONTROL, MASTER};
use flightvlm_hw::kernel::{tcl, xml, ArgKind, Kernel};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn hw(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(hw(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn release(kernel: &Kernel, file: &str) -> String {
    text(&format!("xrt/{}/{file}", kernel.config.name))
}

/// Bits of a range as text: `[63:0]`, or `[Slices*64-1:0]` with `n` for the name.
fn bits(range: &str, n: u32) -> u32 {
    if range.is_empty() {
        return 1;
    }
    let high = range.trim_matches(['[', ']']).split(':').next().expect("a range has a high end");
    let number = |f: &str| f.trim().parse().unwrap_or(n);
    match high.strip_suffix("-1") {
        Some(count) => count.split('*').map(number).product(),
        None => number(high) + 1,
    }
}

/// Ports of a SystemVerilog module: name to direction and bits.
fn ports(path: &str, n: u32) -> BTreeMap<String, (String, u32)> {
    let source = text(path);
    let list = source.split("module ").nth(1).expect("a module").split(");").next().expect("ends");
    let mut out = BTreeMap::new();
    for line in list.lines() {
        let line = line.split("//").next().expect("text in front").trim().trim_end_matches(',');
        let Some(rest) = line.strip_prefix("input").or(line.strip_prefix("output")) else { continue };
        let way = if line.starts_with("input") { "input" } else { "output" };
        let rest = rest.replace("logic", "").replace("wire", "");
        let (range, name) = match rest.rsplit_once(']') {
            Some((range, name)) => (format!("{}]", range.trim()), name),
            None => (String::new(), rest.as_str()),
        };
        out.insert(name.trim().to_string(), (way.to_string(), bits(&range, n)));
    }
    out
}

fn expected(prefix: &str, signals: &[(&str, Drives, u32)], n: u32) -> Vec<(String, (String, u32))> {
    let port = |(name, drives, width): &(&str, Drives, u32)| {
        let (way, end) = if *drives == Drives::Kernel { ("output", "o") } else { ("input", "i") };
        (format!("{prefix}_{name}_{end}"), (way.to_string(), width * n))
    };
    signals.iter().map(port).collect()
}

#[test]
fn the_rtl_has_the_ports_of_the_description() {
    let n = 7;
    let shell = ports("rtl/card/card_shell.sv", n);
    let top = ports("rtl/fvlm_top.sv", n);
    for (name, what) in expected("s", CONTROL, 1).into_iter().chain(expected("m", MASTER, n)) {
        assert_eq!(shell.get(&name), Some(&what), "card_shell: {name}");
    }
    let axi = expected("m_axi", MASTER, 1).into_iter().chain(expected("m_ch", MASTER, n));
    for (name, what) in axi.chain(expected("s_axil", CONTROL, 1)) {
        assert_eq!(top.get(&name), Some(&what), "fvlm_top: {name}");
    }
    let known = CONTROL.len() + 2 * MASTER.len();
    let others: Vec<_> = top.keys().filter(|k| k.starts_with("m_") || k.starts_with("s_")).collect();
    assert_eq!(others.len(), known, "fvlm_top has bus ports that the description does not know");
}

#[test]
fn the_link_configuration_wires_every_port_once_to_memory_that_is_there() {
    for k in Kernel::all() {
        let mut ports: BTreeSet<&str> = k.ports.iter().map(|p| p.name.as_str()).collect();
        let mut taken = BTreeSet::new();
        let (mut section, mut units) = (String::new(), 0);
        for line in release(&k, "link.cfg").lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            if line.starts_with('[') {
                section = line.to_string();
                continue;
            }
            let (key, value) = line.split_once('=').expect("key=value");
            match (section.as_str(), key) {
                ("", "platform") => assert_eq!(value, k.board.platform),
                ("", "kernel_frequency") => assert_eq!(value, k.config.clock_mhz.to_string()),
                ("[connectivity]", "nk") => {
                    assert_eq!(value, "flightvlm:1:flightvlm_1");
                    units += 1;
                }
                ("[connectivity]", "slr") => assert_eq!(value, "flightvlm_1:SLR0"),
                ("[connectivity]", "sp") => {
                    let port = value.strip_prefix("flightvlm_1.").expect("our compute unit");
                    let (port, banks) = port.split_once(':').expect("port:bank");
                    assert!(ports.remove(port), "{port} is unknown or wired twice");
                    let (kind, range) = banks.trim_end_matches(']').split_once('[').expect("KIND[n]");
                    let ends: Vec<usize> = range.split(':').map(|n| n.parse().expect("a number")).collect();
                    for bank in ends[0]..=*ends.last().expect("not empty") {
                        let tag = format!("{kind}[{bank}]");
                        assert!(k.board.memory(&tag).is_some(), "{tag} is not on {}", k.board.name);
                        let shared = port == "m_axi_main" && kind == "HBM";
                        assert!(taken.insert(tag.clone()) || shared || k.board.name == "u55c", "{tag}");
                    }
                }
                ("[vivado]", "prop") => assert!(value.starts_with("run.impl_1."), "{value}"),
                other => panic!("{}: unexpected {other:?}", k.config.name),
            }
        }
        assert_eq!(units, 1);
        assert!(ports.is_empty(), "{}: no memory for {ports:?}", k.config.name);
    }
}

#[test]
fn kernel_xml_says_what_the_description_says() {
    for k in Kernel::all() {
        let source = release(&k, "kernel.xml");
        let document = roxmltree::Document::parse(&source).expect("is XML");
        let all = |tag: &'static str| document.descendants().filter(move |n| n.has_tag_name(tag));
        let kernel = all("kernel").next().expect("a kernel");
        assert_eq!(kernel.attribute("hwControlProtocol"), Some("ap_ctrl_hs"));
        assert_eq!(all("port").count(), k.ports.len() + 1);
        assert_eq!(all("arg").count(), k.args.len());
        for (id, (node, arg)) in all("arg").zip(&k.args).enumerate() {
            let get = |name: &str| node.attribute(name).unwrap_or_default().to_string();
            let port = match arg.kind {
                ArgKind::Scalar => xml::CONTROL_PORT.to_string(),
                ArgKind::Pointer(p) => k.ports[p].name.to_uppercase(),
            };
            let size = format!("{:#x}", arg.size_bytes());
            let want = [arg.name.clone(), id.to_string(), format!("{:#x}", arg.offset), size, port];
            assert_eq!(["name", "id", "offset", "size", "port"].map(get), want);
        }
    }
}

/// Runs a script on the stubs: its calls, one a line, words between tabs. `None` without tclsh.
fn run_tcl(script: &str, arguments: &[&str]) -> Option<Vec<Vec<String>>> {
    let run = Command::new("tclsh")
        .arg(hw("tests/vivado_stubs.tcl"))
        .arg(hw(script))
        .args(arguments)
        .current_dir(std::env::temp_dir())
        .output();
    let Ok(run) = run else {
        eprintln!("skipped: tclsh is not installed");
        return None;
    };
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{script}: {errors}");
    let out = String::from_utf8_lossy(&run.stdout).into_owned();
    Some(out.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect())
}

#[test]
fn the_packaging_script_makes_the_registers_and_buses_of_the_description() {
    let folder = hw("");
    let folder = folder.to_str().expect("a plain path");
    for k in Kernel::all() {
        let script = format!("xrt/{}/package_kernel.tcl", k.config.name);
        let Some(calls) = run_tcl(&script, &[folder, "/tmp/out.xo"]) else { return };
        let of = |name: &str| calls.iter().filter(|c| c[0] == name).collect::<Vec<_>>();
        let after = |c: &[String], option: &str| {
            let at = c.iter().position(|w| w == option).unwrap_or_else(|| panic!("{option} in {c:?}"));
            c[at + 1].clone()
        };
        assert_eq!(after(of("create_project")[0], "-part"), k.board.part);
        // Every register with its offset and size; CTRL comes first.
        let names: Vec<_> = of("ipx::add_register").iter().map(|c| c[2].clone()).collect();
        let want: Vec<_> = std::iter::once("CTRL").chain(k.args.iter().map(|a| a.name.as_str())).collect();
        assert_eq!(names, want);
        let set = |property: &str| -> Vec<String> {
            of("set_property").iter().filter(|c| c[1] == property).map(|c| c[2].clone()).collect()
        };
        let offsets: Vec<_> = k.args.iter().map(|a| format!("{:#x}", a.offset)).collect();
        assert_eq!(set("address_offset")[1..], offsets[..]);
        let sizes: Vec<_> = k.args.iter().map(|a| (8 * a.size_bytes()).to_string()).collect();
        assert_eq!(set("size")[1..], sizes[..]);
        // Pointers name their bus, in order.
        let masters: Vec<_> = k.ports.iter().map(|p| p.name.clone()).collect();
        let values: Vec<_> = set("value").into_iter().filter(|v| v.starts_with("m_axi")).collect();
        assert_eq!(values, masters);
        assert_eq!(of("ipx::add_register_parameter").len(), masters.len());
        let buses: Vec<_> =
            of("ipx::associate_bus_interfaces").iter().map(|c| after(c, "-busif")).skip(1).collect();
        assert_eq!(buses, masters);
        let xo = of("package_xo")[0];
        assert_eq!(after(xo, "-ctrl_protocol"), "ap_ctrl_hs");
        assert!(Path::new(&after(xo, "-kernel_xml")).exists());
        assert!(after(of("set_property")[0], "file_type").contains("Memory Initialization"));
        // The cells are the vendor's, and nothing of the simulation's is in.
        let files = of("add_files")[0].join(" ");
        assert!(files.contains("prim/xilinx/dsp48_mac.sv") && files.contains("card/card_shell.sv"));
        assert!(!files.contains("prim/model") && !files.contains(".cpp"), "{files}");
    }
}

/// The simulated array's cells, on the vendor's primitives.
#[test]
fn the_card_has_every_cell_that_the_simulated_array_has() {
    let (simulated, card) = (text("rtl/structural.f"), text("rtl/card/card.f"));
    let cells: Vec<_> = simulated.lines().filter_map(|l| l.strip_prefix("prim/model/")).collect();
    assert!(!cells.is_empty());
    for cell in cells {
        assert!(card.contains(&format!("prim/xilinx/{cell}\n")), "{cell} is missing in rtl/card/card.f");
    }
}

#[test]
fn a_misspelt_command_of_a_script_is_noticed() {
    let folder = std::env::temp_dir().join(format!("flightvlm-misspelt-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let good = text("xrt/sim/package_kernel.tcl");
    let bad = good.replace("ipx::save_core", "ipx::save_corre");
    assert!(bad != good);
    std::fs::write(folder.join("package_kernel.tcl"), bad).expect("can write");
    std::fs::copy(hw("xrt/sim/flightvlm.v"), folder.join("flightvlm.v")).expect("can copy");
    let mut run = Command::new("tclsh");
    run.arg(hw("tests/vivado_stubs.tcl")).arg(folder.join("package_kernel.tcl")).arg(hw("")).arg("out.xo");
    let out = run.output();
    std::fs::remove_dir_all(&folder).expect("can remove");
    let Ok(out) = out else { return eprintln!("skipped: tclsh is not installed") };
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("not a command: ipx::save_corre"), "{said}");
}

/// The generated names are those of the sources: each step of each path is an instance or a generated block.
#[test]
fn the_floor_plan_names_instances_that_exist() {
    let Some(calls) = run_tcl("xrt/u280/floorplan.tcl", &[]) else { return };
    let cells: Vec<_> = calls.iter().filter(|c| c[0] == "get_cells").collect();
    assert_eq!(cells.len(), placement().len());
    let mut rtl = text("rtl/fvlm_top.sv") + &text("rtl/compute.sv");
    for folder in ["ctrl", "dma", "slice", "mem", "mm", "vx", "mpe/struct", "card"] {
        for file in std::fs::read_dir(hw("rtl").join(folder)).expect("a folder").flatten() {
            rtl += &std::fs::read_to_string(file.path()).expect("RTL");
        }
    }
    let words: BTreeSet<&str> = rtl.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for Place { instance, slr, .. } in placement() {
        assert!(slr < 3);
        for step in instance.split(['/', '.']) {
            let name = step.split('[').next().expect("a name");
            assert!(words.contains(name), "{instance}: no {name} in the RTL");
        }
    }
    // What the placement counts with.
    for (file, constant) in [
        ("rtl/mem/spad.sv", "Readers = 4;"),
        ("rtl/mem/abuf.sv", "Banks = 8,"),
        ("rtl/mpe/struct/mpe_array.sv", "FeedSlices  = 4;"),
    ] {
        assert!(text(file).contains(constant), "{file} has no \"{constant}\"");
    }
}
