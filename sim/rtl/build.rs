//! Runs Verilator on the sources that `hw/rtl/flightvlm.f` lists and compiles the result together
//! with `cpp/shim.cpp`.

use std::path::{Path, PathBuf};
use std::process::Command;

const TOP: &str = "fvlm_top";

fn main() {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it")).join("verilated");
    let hw = here.join("../../hw").canonicalize().expect("hw/ lies beside sim/");
    let feature = |name: &str| std::env::var_os(format!("CARGO_FEATURE_{name}")).is_some();
    let (trace, structural) = (feature("TRACE"), feature("STRUCTURAL"));

    let mut sources = Vec::new();
    read_list(&hw.join("rtl"), "flightvlm.f", &mut sources);
    read_list(&hw.join("rtl"), if structural { "structural.f" } else { "fast.f" }, &mut sources);
    sources.push(hw.join("rtl/check/fvlm_top_sva.sv"));
    let waivers = [hw.join("lint/waivers.vlt"), hw.join("lint/backdoor.vlt")];
    for file in sources.iter().chain(&waivers) {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    println!("cargo:rerun-if-changed=cpp/shim.cpp");
    println!("cargo:rerun-if-changed=build.rs");

    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out).expect("OUT_DIR is writable");
    let mut verilator = Command::new("verilator");
    verilator
        .args(["--cc", "--assert", "-O3", "-Wall", "--x-assign", "fast", "--x-initial", "fast"])
        .args(["--prefix", "Vfvlm", "--top-module", TOP, "-Mdir"])
        .arg(&out)
        .arg(format!("-GRomFile=\"{}\"", hw.join("tables/sfu.hex").display()));
    println!("cargo:rerun-if-changed={}", hw.join("tables/sfu.hex").display());
    if trace {
        verilator.arg("--trace-fst");
    }
    let status = verilator.args(&waivers).args(&sources).status().unwrap_or_else(|e| {
        fail(&format!("cannot run verilator ({e}); install it: apt-get install verilator"))
    });
    if !status.success() {
        fail("verilator rejected the RTL; its messages are above");
    }
    compile(&here, &out, trace);
}

fn fail(what: &str) -> ! {
    eprintln!("flightvlm-rtlsim: {what}");
    std::process::exit(1);
}

/// Source files of a list: one a line, `//` comments, `-f other.f` includes.
fn read_list(folder: &Path, name: &str, into: &mut Vec<PathBuf>) {
    let path = folder.join(name);
    println!("cargo:rerun-if-changed={}", path.display());
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| fail(&format!("cannot read {}: {e}", path.display())));
    for line in text.lines().map(|l| l.split("//").next().unwrap_or("").trim()) {
        match line.strip_prefix("-f ") {
            Some(other) => read_list(folder, other.trim(), into),
            None if line.is_empty() => {}
            None => into.push(folder.join(line)),
        }
    }
}

fn compile(here: &Path, out: &Path, trace: bool) {
    let root = Command::new("verilator").args(["--getenv", "VERILATOR_ROOT"]).output();
    let root = root.unwrap_or_else(|e| fail(&format!("verilator --getenv: {e}")));
    let include = Path::new(String::from_utf8_lossy(&root.stdout).trim()).join("include");
    let mut runtime = vec!["verilated.cpp", "verilated_threads.cpp"];
    if trace {
        runtime.push("verilated_fst_c.cpp");
    }
    let flag = if trace { "1" } else { "0" };
    let setup = |optimise: u32| {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++17")
            .opt_level(optimise)
            .debug(false)
            .warnings(false)
            .include(out)
            .include(&include)
            .include(include.join("vltstd"))
            .define("VERILATOR", "1")
            .define("VM_COVERAGE", "0")
            .define("VM_SC", "0")
            .define("VM_TRACE", flag)
            .define("VM_TRACE_FST", flag)
            .define("VM_TRACE_VCD", "0")
            .define("VL_USER_STOP", "1")
            .define("VL_IGNORE_UNKNOWN_ARCH", None);
        if host_has_avx2() {
            build.flag_if_supported("-march=x86-64-v3");
        }
        build
    };
    let generated = std::fs::read_dir(out).expect("verilator wrote it");
    let mut generated: Vec<_> = generated.flatten().map(|e| e.path()).collect();
    generated.retain(|p| p.extension().is_some_and(|x| x == "cpp"));
    generated.sort();
    // Code that runs once (construction, reset values) is most of the text: not worth optimising.
    let (slow, fast): (Vec<_>, Vec<_>) =
        generated.into_iter().partition(|p| p.to_string_lossy().ends_with("__Slow.cpp"));
    let slow = setup(0).files(slow).compile_intermediates();
    setup(2)
        .file(here.join("cpp/shim.cpp"))
        .files(runtime.iter().map(|f| include.join(f)))
        .files(fast)
        .objects(slow)
        .compile("fvlm_verilated");
    println!("cargo:rustc-link-lib=pthread");
    if trace {
        println!("cargo:rustc-link-lib=z");
    }
}

/// The model is built for the machine that builds it.
#[cfg(target_arch = "x86_64")]
fn host_has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("fma")
}
#[cfg(not(target_arch = "x86_64"))]
fn host_has_avx2() -> bool {
    false
}
