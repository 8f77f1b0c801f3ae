//! `flightvlm devices`.

use super::output::{print, print_json};
use crate::device::DEVICES;
use anyhow::Result;
use serde_json::json;

/// List what `--device` can name
#[derive(clap::Args)]
pub(super) struct Args {
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: Args) -> Result<()> {
    if args.json {
        let list: Vec<_> = DEVICES
            .iter()
            .map(|entry| {
                let reason = (entry.unavailable)();
                json!({
                    "name": entry.name,
                    "description": entry.description,
                    "available": reason.is_none(),
                    "reason": reason,
                })
            })
            .collect();
        return print_json(&list);
    }
    for entry in DEVICES {
        let note = (entry.unavailable)().map(|reason| format!(" (not available: {reason})"));
        let note = note.unwrap_or_default();
        print(&format!("{:<16} {}{note}\n", entry.name, entry.description))?;
    }
    Ok(())
}
