//! Runs Verilator on the sources that `hw/rtl/flightvlm.f` lists, once for each configuration, and
//! compiles each result together with `cpp/shim.cpp`; Verilator's runtime is compiled once.

use std::path::{Path, PathBuf};
use std::process::Command;

const TOP: &str = "fvlm_top";

fn main() {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    let hw = here.join("../../hw").canonicalize().expect("hw/ lies beside sim/");
    let feature = |name: &str| std::env::var_os(format!("CARGO_FEATURE_{name}")).is_some();

    let mut sources = Vec::new();
    read_list(&hw.join("rtl"), "flightvlm.f", &mut sources);
    let array = if feature("STRUCTURAL") { "structural.f" } else { "fast.f" };
    read_list(&hw.join("rtl"), array, &mut sources);
    sources.extend(["axi_sva.sv", "fvlm_top_sva.sv"].map(|f| hw.join("rtl/check").join(f)));
    // C++ parts of the model, called through DPI by all configurations alike.
    let (dpi, sources): (Vec<_>, Vec<_>) =
        sources.into_iter().partition(|p| p.extension().is_some_and(|x| x == "cpp"));
    let lint = ["waivers.vlt", "backdoor.vlt"].map(|f| hw.join("lint").join(f));
    let rom = hw.join("tables/sfu.hex");
    for file in dpi.iter().chain(&sources).chain(&lint).chain([&rom]) {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    for file in ["cpp/shim.cpp", "cpp/runtime.cpp", "build.rs"] {
        println!("cargo:rerun-if-changed={file}");
    }

    let compiler = Compiler::new();
    compiler.runtime(&here, &dpi);
    let mut configs = vec!["sim", "mini"];
    if feature("U280") {
        configs.push("u280");
    }
    for config in configs {
        let package = hw.join("rtl/gen").join(config).join("fvlm_isa_pkg.sv");
        println!("cargo:rerun-if-changed={}", package.display());
        let folder = out.join(config);
        let mut files = lint.to_vec();
        files.push(package.clone());
        files.extend(sources.iter().cloned());
        verilate(config, &folder, &files, &rom);
        compiler.model(config, &folder, &here, &vx_words(&package));
    }
    println!("cargo:rustc-link-lib=pthread");
    println!("cargo:rustc-link-lib=z");
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

/// Banks of SPAD, from the generated package.
fn vx_words(package: &Path) -> String {
    let text = std::fs::read_to_string(package)
        .unwrap_or_else(|e| fail(&format!("cannot read {}: {e}", package.display())));
    let value = text.split("VxWords = ").nth(1).and_then(|rest| rest.split(';').next());
    value.unwrap_or_else(|| fail(&format!("{}: no VxWords", package.display()))).to_string()
}

/// Class of a configuration's model.
fn class(config: &str) -> String {
    format!("V{config}")
}

fn verilate(config: &str, folder: &Path, files: &[PathBuf], rom: &Path) {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).expect("OUT_DIR is writable");
    let mut verilator = Command::new("verilator");
    verilator
        // Waves cost nothing until a file is open.
        .args([
            "--trace-fst",
            "--cc",
            "--assert",
            "-O3",
            "-Wall",
            "--x-assign",
            "fast",
            "--x-initial",
            "fast",
        ])
        .args(["--prefix", &class(config), "--top-module", TOP, "-Mdir"])
        .arg(folder)
        .arg(format!("-GRomFile=\"{}\"", rom.display()));
    let status = verilator.args(files).status().unwrap_or_else(|e| {
        fail(&format!("cannot run verilator ({e}); install it: apt-get install verilator"))
    });
    if !status.success() {
        fail(&format!("verilator rejected the RTL of configuration `{config}`; its messages are above"));
    }
}

struct Compiler {
    /// Verilator's headers and runtime sources.
    include: PathBuf,
}

impl Compiler {
    fn new() -> Compiler {
        let root = Command::new("verilator").args(["--getenv", "VERILATOR_ROOT"]).output();
        let root = root.unwrap_or_else(|e| fail(&format!("verilator --getenv: {e}")));
        let include = Path::new(String::from_utf8_lossy(&root.stdout).trim()).join("include");
        Compiler { include }
    }

    fn build(&self, optimise: u32) -> cc::Build {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++17")
            .opt_level(optimise)
            .debug(false)
            .warnings(false)
            .include(&self.include)
            .include(self.include.join("vltstd"))
            .define("VERILATOR", "1")
            .define("VM_COVERAGE", "0")
            .define("VM_SC", "0")
            .define("VM_TRACE", "1")
            .define("VM_TRACE_FST", "1")
            .define("VM_TRACE_VCD", "0")
            .define("VL_USER_STOP", "1")
            .define("VL_IGNORE_UNKNOWN_ARCH", None);
        if host_has_avx2() {
            build.flag_if_supported("-march=x86-64-v3");
        }
        build
    }

    fn runtime(&self, here: &Path, dpi: &[PathBuf]) {
        let files = ["verilated.cpp", "verilated_threads.cpp", "verilated_dpi.cpp", "verilated_fst_c.cpp"];
        self.build(2)
            .file(here.join("cpp/runtime.cpp"))
            .files(files.iter().map(|f| self.include.join(f)))
            .files(dpi)
            .compile("fvlm_runtime");
    }

    fn model(&self, config: &str, folder: &Path, here: &Path, vx_words: &str) {
        let generated = std::fs::read_dir(folder).expect("verilator wrote it");
        let mut generated: Vec<_> = generated.flatten().map(|e| e.path()).collect();
        generated.retain(|p| p.extension().is_some_and(|x| x == "cpp"));
        generated.sort();
        // Code that runs once (construction, reset values) or for waves is most of the text: not worth optimising.
        let slow = |p: &PathBuf| {
            let name = p.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with("__Slow.cpp") || name.contains("__Trace__")
        };
        let (slow, fast): (Vec<_>, Vec<_>) = generated.into_iter().partition(slow);
        let setup = |optimise: u32| {
            let mut build = self.build(optimise);
            build.include(folder).out_dir(folder);
            build
        };
        let slow = setup(0).files(slow).compile_intermediates();
        setup(2)
            .define("MODEL", class(config).as_str())
            .define("VX_WORDS", vx_words)
            .define("API", format!("fvlm_{config}").as_str())
            .file(here.join("cpp/shim.cpp"))
            .files(fast)
            .objects(slow)
            .compile(&format!("fvlm_model_{config}"));
        // The model needs the runtime: name it behind.
        println!("cargo:rustc-link-lib=static=fvlm_runtime");
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
