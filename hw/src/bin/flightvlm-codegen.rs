//! Writes (or with `--check` compares) the generated files under `hw/`.

use flightvlm_hw::{codegen, numerics};
use std::path::Path;

fn main() -> std::io::Result<()> {
    let hw = Path::new(env!("CARGO_MANIFEST_DIR"));
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|a| a == "--check") {
        let stale = codegen::stale(hw);
        for p in &stale {
            eprintln!("stale: {}", p.display());
        }
        std::process::exit(i32::from(!stale.is_empty()));
    }
    if args.iter().any(|a| a == "--tables") {
        std::fs::write(hw.join("tables/sfu.hex"), numerics::rom_hex())?;
    }
    for (path, text) in codegen::files() {
        let path = hw.join(path);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        // A file that stays as it is keeps its time: what is built from it is not built again.
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        std::fs::write(&path, text)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
