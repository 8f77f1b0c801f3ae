//! `scripts/build_card` with recorded tools in place of Vitis: order, arguments, and the check at its end.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const XCLBIN_TOOL: &str = env!("CARGO_BIN_EXE_flightvlm-xclbin");

struct Bench {
    folder: PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Bench {
    fn new(name: &str) -> Bench {
        let folder = std::env::temp_dir().join(format!("flightvlm-build-card-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("bin")).expect("a folder");
        Bench { folder }
    }

    fn tool(&self, name: &str, body: &str) {
        let path = self.folder.join("bin").join(name);
        let log = self.folder.join("log");
        let text = format!("#!/bin/bash\necho \"{name} $*\" >>{}\n{body}\n", log.display());
        std::fs::write(&path, text).expect("can write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("can set");
    }

    /// Tools that make their outputs; the release is `xclbin`'s bytes.
    fn tools(&self, xclbin: &Path) {
        let last = "for out in \"$@\"; do :; done";
        self.tool("vivado", &format!("{last}; touch \"$out\""));
        self.tool("v++", "test -f flightvlm.xo && test -f floorplan.tcl && touch link.xclbin");
        self.tool("xclbinutil", &format!("{last}; test -f link.xclbin && cp {} \"$out\"", xclbin.display()));
        self.tool(
            "cargo",
            &format!("while [ \"$1\" != -- ]; do shift; done; shift; exec {XCLBIN_TOOL} \"$@\""),
        );
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/build_card");
        Command::new("/bin/bash")
            .arg(script)
            .args(arguments)
            .env("PATH", format!("{}:/usr/bin:/bin", self.folder.join("bin").display()))
            .output()
            .expect("bash runs")
    }

    fn emulation(&self, target: &str) -> PathBuf {
        let path = self.folder.join(format!("{target}.xclbin"));
        let made = Command::new(XCLBIN_TOOL).args(["emulate", target]).arg(&path).status().expect("runs");
        assert!(made.success());
        path
    }

    fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_release_is_packaged_linked_marked_and_checked() {
    for target in ["u280", "u55c"] {
        let bench = Bench::new(target);
        bench.tools(&bench.emulation(target));
        let out = bench.folder.join("out");
        let run = bench.run(&[target, out.to_str().expect("plain")]);
        let (said, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{said}{errors}");
        assert!(
            out.join(format!("flightvlm_{target}.xclbin")).exists() && said.contains("--device xrt"),
            "{said}"
        );
        let log = bench.log();
        let tools: Vec<_> = log.iter().filter_map(|l| l.split(' ').next()).collect();
        assert_eq!(tools, ["vivado", "v++", "xclbinutil", "cargo"]);
        assert!(log[0].contains(&format!("xrt/{target}/package_kernel.tcl -tclargs")), "{}", log[0]);
        assert!(
            log[1].contains("--target hw") && log[1].contains(&format!("xrt/{target}/link.cfg")),
            "{}",
            log[1]
        );
        assert!(log[2].contains("USER_METADATA:RAW:") && log[2].contains("release.toml"), "{}", log[2]);
    }
}

#[test]
fn a_release_that_is_not_the_targets_is_not_kept() {
    let bench = Bench::new("wrong");
    bench.tools(&bench.emulation("mini"));
    let out = bench.folder.join("out");
    let run = bench.run(&["u280", out.to_str().expect("plain")]);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && errors.contains("built for another accelerator"), "{errors}");
    assert!(!out.join("flightvlm_u280.xclbin").exists());
}

#[test]
fn what_is_missing_is_said_before_anything_runs() {
    let bench = Bench::new("missing");
    let run = bench.run(&["u280", "/nowhere"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("vivado is missing"));
    let run = bench.run(&["u281"]);
    let errors = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() == Some(2) && errors.contains("u280") && errors.contains("u281"), "{errors}");
}
