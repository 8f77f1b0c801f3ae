//! The script for Vitis HLS under `tclsh`, with commands that record: the tool itself is not here.

use crate::hw;
use flightvlm_hw::config::HwConfig;
use std::path::Path;
use std::process::{Command, Output};

fn dry_run(args: &[&str]) -> Output {
    let script = hw("hls/vitis/dry_run.tcl");
    let run = Command::new("tclsh").arg(script).args(args).output();
    run.expect("tclsh runs (Debian: apt-get install tcl)")
}

/// The commands that the script gives the tool.
fn commands(args: &[&str]) -> Vec<String> {
    let out = dry_run(args);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(String::from).collect()
}

#[test]
fn all_steps_run_in_order_on_files_that_exist() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["00001.case", "00000.case", "notes.txt"] {
        std::fs::write(folder.path().join(name), "").expect("writable");
    }
    let cases = folder.path().to_str().expect("a name");
    for c in HwConfig::all() {
        // Steps run in the tool's order, whatever the user's; the tool's own arguments come first.
        let args = ["-f", "build.tcl", "-tclargs", &c.name, "export", "cosim", "csynth", "csim", cases];
        let commands = commands(&args);
        let names: Vec<&str> = commands.iter().filter_map(|c| c.split(' ').next()).collect();
        let expected = [
            "open_project",
            "set_top",
            "add_files",
            "add_files",
            "open_solution",
            "set_part",
            "create_clock",
            "config_interface",
            "config_compile",
            "csim_design",
            "csynth_design",
            "cosim_design",
            "export_design",
        ];
        assert_eq!(names, expected, "{}", c.name);
        let top = format!("flightvlm_hls_{}", c.name);
        assert_eq!(commands[1], format!("set_top {top}"));
        let source = std::fs::read_to_string(hw(&format!("hls/gen/{top}.cpp"))).expect("the top's source");
        assert!(source.contains(&format!("extern \"C\" void {top}(")), "the top function is in its file");
        assert!(commands[2].ends_with(&format!("{top}.cpp")) && commands[3].contains("-tb"));
        assert!(commands[3].contains(&format!("{top}.hpp")), "{}", commands[3]);
        let period: f64 = commands[6].split(' ').nth(2).and_then(|p| p.parse().ok()).expect("a period");
        assert!((period * f64::from(c.clock_mhz) - 1000.0).abs() < 1.0, "{} ns", period);
        let (first, second) = (commands[9].find("00000.case"), commands[9].find("00001.case"));
        assert!(first.is_some() && first < second && !commands[9].contains("notes"), "{}", commands[9]);
        assert!(commands[12].contains("-format xo") && commands[12].ends_with(&format!("{top}.xo")));
        println!("{}: {} commands", c.name, commands.len());
    }
}

#[test]
fn requests_that_cannot_be_met_are_refused_before_the_tool_does_anything() {
    for (args, message) in [
        (vec!["u281", "csynth"], "\"u281\" does not exist: expected one of sim mini u280"),
        (vec!["sim"], "no step: expected some of csim csynth cosim export"),
        (vec!["sim", "synth"], "\"synth\" is neither a step"),
        (vec!["sim", "csim"], "need a folder with *.case files"),
    ] {
        let out = dry_run(&args);
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(message) && out.stdout.is_empty(), "{args:?}: {text}");
    }
}

/// Every port of the top function has a memory, and no line names another one.
#[test]
fn the_link_configuration_names_every_port_of_the_kernel() {
    for c in HwConfig::all() {
        let at = |ext: &str| hw(&format!("hls/gen/flightvlm_hls_{}.{ext}", c.name));
        let read = |path: &Path| std::fs::read_to_string(path).expect("generated");
        let (source, link) = (read(&at("cpp")), read(&at("cfg")));
        let mut ports: Vec<&str> = source
            .lines()
            .filter(|l| l.contains("mode=m_axi"))
            .filter_map(|l| l.split("port=").nth(1)?.split(' ').next())
            .collect();
        let mut linked: Vec<&str> =
            link.lines().filter_map(|l| l.strip_prefix("sp=")?.split(['.', ':']).nth(1)).collect();
        ports.sort_unstable();
        linked.sort_unstable();
        assert_eq!(ports, linked, "{}", c.name);
        assert!(ports.len() >= 4);
    }
}
