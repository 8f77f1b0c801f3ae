//! `flightvlm isa`.

use super::output::{print, print_json};
use anyhow::Result;
use flightvlm_hw::config::HwConfig;
use flightvlm_hw::isa::{isa_hash, INSNS};
use serde_json::json;

/// Print the instruction set, from the table that everything else is made from
#[derive(clap::Args)]
pub(super) struct Args {
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    let hash = format!("{:#010x}", isa_hash(&HwConfig::sim()));
    if args.json {
        let insns: Vec<_> = INSNS
            .iter()
            .map(|d| {
                let fields: Vec<_> = d
                    .fields
                    .iter()
                    .enumerate()
                    .map(|(i, f)| json!({"name": f.name, "lsb": d.lsb(i), "width": f.width, "doc": f.doc}))
                    .collect();
                json!({"mnemonic": d.mnemonic, "opcode": d.opcode, "unit": d.unit.name(), "fields": fields})
            })
            .collect();
        return print_json(&json!({"isa_hash": hash, "instructions": insns}));
    }
    let manual = flightvlm_hw::codegen::files();
    let isa = manual.iter().find(|(path, _)| *path == "doc/isa.md");
    print(&isa.expect("invariant: the manual is a generated file").1)?;
    print(&format!("ISA hash with configuration `sim`: {hash}\n"))?;
    Ok(())
}
