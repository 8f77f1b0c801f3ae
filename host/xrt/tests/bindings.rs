//! `src/bindings.rs` is what bindgen makes of libxrt-dev's headers. `UPDATE_BINDINGS=1` rewrites it.

use std::path::Path;

const HEADERS: &str = "/usr/include/xrt";
/// Release whose headers the committed file was made from; the functions are the same in later ones.
const RELEASE: &str = "2.13.";

const FUNCTIONS: &str = "xrtDevice(Open|OpenByBDF|Close|LoadXclbinFile|GetXclbinUUID)|\
    xrtPLKernelOpenExclusive|xrtKernel(Close|ArgGroupId|ReadRegister|WriteRegister)|\
    xrtRun(Open|Close|SetArg|Start|WaitFor|State)|\
    xrtBO(Alloc|Free|Address|Map|Sync)|xrtIniStringSet";
/// Structures that only the emulated card fills in.
const TYPES: &str = "xclDeviceInfo2|xclBOProperties|ert_cmd_state|xclBOSyncDirection";

fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

#[test]
fn committed_bindings_are_those_of_the_headers() {
    let Ok(version) = std::fs::read_to_string(Path::new(HEADERS).join("version.h")) else {
        return skip("libxrt-dev is not installed");
    };
    if !version.contains(&format!("\"{RELEASE}")) {
        return skip("libxrt-dev is not release 2.13");
    }
    let headers =
        ["xrt/xrt_device.h", "xrt/xrt_bo.h", "xrt/xrt_kernel.h", "experimental/xrt_ini.h", "xrt.h", "ert.h"];
    let text: String = headers.iter().map(|h| format!("#include \"{h}\"\n")).collect();
    let builder = bindgen::Builder::default()
        .header_contents("xrt_all.h", &text)
        .clang_args(["-x", "c", "-std=c11", &format!("-I{HEADERS}")])
        // Debian's libclang comes without headers of its own; gcc's do.
        .clang_args(gcc_include())
        .allowlist_function(FUNCTIONS)
        .allowlist_type(TYPES)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .dynamic_library_name("Xrt")
        .dynamic_link_require_all(true)
        .generate_comments(false)
        .layout_tests(false)
        .formatter(bindgen::Formatter::Prettyplease)
        .raw_line("// Made by bindgen from XRT's headers (Apache-2.0, Xilinx/AMD); do not edit.");
    // bindgen panics where it finds no libclang.
    std::panic::set_hook(Box::new(|_| ()));
    let generated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.generate()));
    drop(std::panic::take_hook());
    let Ok(generated) = generated else { return skip("libclang is not installed") };
    let text = generated.expect("headers are readable").to_string();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bindings.rs");
    if std::env::var_os("UPDATE_BINDINGS").is_some() {
        std::fs::write(&file, &text).expect("can write bindings");
    }
    let committed = std::fs::read_to_string(file).expect("bindings are committed");
    assert!(committed == text, "src/bindings.rs is stale: run this test with UPDATE_BINDINGS=1");
}

fn gcc_include() -> Vec<String> {
    let found = std::process::Command::new("gcc").arg("-print-file-name=include").output();
    let path = found.ok().and_then(|o| String::from_utf8(o.stdout).ok());
    path.map(|p| vec!["-isystem".into(), p.trim().into()]).unwrap_or_default()
}
