//! Compiles the kernel in `hw/hls` with `cpp/shim.cpp`, once for each named configuration.

use flightvlm_hw::config::HwConfig;
use std::path::PathBuf;

fn main() {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let hls = here.join("../../hw/hls");
    for path in ["cpp/shim.cpp", "build.rs", "../../hw/hls/src", "../../hw/hls/gen", "../../hw/include"] {
        println!("cargo:rerun-if-changed={path}");
    }
    for c in HwConfig::all() {
        let class = c.name[..1].to_uppercase() + &c.name[1..];
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++14")
            .opt_level(3)
            .debug(false)
            .warnings(true)
            .extra_warnings(true)
            .flag("-Wno-unknown-pragmas")
            .flag("-ffp-contract=off")
            .flag("-fno-exceptions")
            .include(&hls)
            .define("CONFIG", class.as_str())
            .define("API", format!("flightvlm_csim_{}", c.name).as_str());
        if host_has_avx2() {
            build.flag_if_supported("-march=x86-64-v3");
        }
        build.file(here.join("cpp/shim.cpp")).compile(&format!("flightvlm_csim_{}", c.name));
    }
}

/// The kernel is built for the machine that builds it.
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
