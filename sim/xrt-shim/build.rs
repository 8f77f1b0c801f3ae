//! Links the C++ part of a device library out of XRT's own static archive: its emulation shim has exactly
//! the classes that XRT's core calls, and leaves the C functions of a device (`xcl*`) to us. That works with
//! release 2.13; elsewhere the library is empty and says why.

use std::process::Command;

/// Pulls the classes out of the archive.
const ROOT_SYMBOL: &str = "_ZN8xrt_core5hwemu17get_userpf_deviceEPvj";

fn main() {
    println!("cargo:rustc-check-cfg=cfg(xrt)");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=/usr/include/xrt/version.h");
    match usable() {
        Ok(()) => {
            println!("cargo:rustc-cfg=xrt");
            println!("cargo:rustc-env=FLIGHTVLM_NO_XRT=");
            let undefined = format!("-Wl,-u,{ROOT_SYMBOL}");
            let archive = ["-Wl,-Bstatic", "-lxrt_hwemu", "-Wl,-Bdynamic"];
            let shared = ["-lxrt_coreutil", "-lstdc++", "-Wl,--no-undefined"];
            for arg in [undefined.as_str()].into_iter().chain(archive).chain(shared) {
                println!("cargo:rustc-link-arg-cdylib={arg}");
            }
        }
        Err(reason) => println!("cargo:rustc-env=FLIGHTVLM_NO_XRT={reason}"),
    }
}

fn usable() -> Result<(), String> {
    let header = std::fs::read_to_string("/usr/include/xrt/version.h")
        .map_err(|_| "libxrt-dev (XRT 2.13) is not installed".to_string())?;
    if !header.contains("\"2.13.") {
        return Err("the installed XRT is not release 2.13, whose library interface this needs".into());
    }
    for file in ["libxrt_hwemu.a", "libxrt_coreutil.so"] {
        let found = Command::new("g++").arg(format!("-print-file-name={file}")).output();
        let path = found.map_err(|e| format!("g++: {e}"))?.stdout;
        if !path.contains(&b'/') {
            return Err(format!("libxrt-dev has no {file}"));
        }
    }
    Ok(())
}
