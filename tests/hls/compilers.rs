//! Every compiler of this computer takes the top functions without a warning, at the language level of
//! Vitis HLS.

use crate::hw;
use std::path::Path;
use std::process::Command;

/// C++ compilers that are here, by the names that distributions give them.
pub fn compilers() -> Vec<String> {
    let names = ["g++", "clang++"].into_iter().map(String::from);
    let versions = (14..=20).map(|v| format!("clang++-{v}"));
    let works =
        |name: &String| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    names.chain(versions).filter(works).collect()
}

/// Flags that every build of the kernel has.
pub fn flags() -> Vec<&'static str> {
    vec![
        "-std=c++14",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unknown-pragmas",
        "-ffp-contract=off",
        "-fno-exceptions",
        "-fno-rtti",
    ]
}

/// Runs a command that must succeed.
pub fn must(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}:\n{text}");
    text
}

/// Source of a configuration's top function.
pub fn top(config: &str) -> std::path::PathBuf {
    hw(&format!("hls/gen/flightvlm_hls_{config}.cpp"))
}

#[test]
fn top_functions_compile_without_warnings() {
    let compilers = compilers();
    assert!(!compilers.is_empty(), "no C++ compiler");
    for compiler in &compilers {
        for config in ["sim", "mini", "u280"] {
            must(Command::new(compiler).args(flags()).arg("-fsyntax-only").arg(top(config)));
        }
    }
    println!("without warnings: {}", compilers.join(", "));
}

/// What Vitis HLS cannot synthesise does not appear in the kernel's sources: the stand-ins for the
/// vendor's types are the only exception.
#[test]
fn sources_keep_to_what_can_be_synthesised() {
    let forbidden = ["std::", "new ", "delete ", "malloc", "throw ", "try {", "virtual ", "printf"];
    let mut files = 0;
    for folder in ["hls/src", "hls/gen"] {
        for entry in std::fs::read_dir(hw(folder)).expect("it is there") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if name == "sim_types.hpp" || !matches!(extension(&path), "hpp" | "cpp") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("readable");
            for (i, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let found = forbidden.iter().find(|word| code.contains(**word));
                let allowed = code.contains("std::size_t");
                assert!(found.is_none() || allowed, "{}:{}: {found:?}: {line}", path.display(), i + 1);
            }
            files += 1;
        }
    }
    assert!(files > 15, "only {files} files");
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default()
}
