//! Options that nothing would look at are refused, all of them at once, instead of being ignored.

use super::args::is_program;
use anyhow::{bail, Result};
use clap::parser::ValueSource;
use clap::ArgMatches;
use std::path::PathBuf;

/// What `compile` decides; a program file has it decided.
const OF_COMPILING: [&str; 11] = [
    "target",
    "weights",
    "sparsity",
    "group_size",
    "kv_bits",
    "wide_inputs",
    "early_exit",
    "attention",
    "image_positions",
    "mrope_stretch",
    "no_weights",
];

/// What the float reference has no use for.
const OF_STORAGE: [&str; 5] = ["weights", "sparsity", "group_size", "kv_bits", "wide_inputs"];

/// An error that names every option of the command that has no effect on what it was given.
pub(super) fn check(command: &str, matches: &ArgMatches) -> Result<()> {
    let given = |ids: &[&str]| -> Vec<String> {
        let by_hand = |id: &&&str| {
            let known = matches.ids().any(|have| have.as_str() == **id);
            known && matches.value_source(id) == Some(ValueSource::CommandLine)
        };
        ids.iter().filter(by_hand).map(|id| format!("--{}", id.replace('_', "-"))).collect()
    };
    let Some(model) = matches.try_get_one::<PathBuf>("model").ok().flatten() else { return Ok(()) };
    // `compile` says that it takes no program.
    if is_program(model) && command != "compile" {
        if let options @ [_, ..] = &given(&OF_COMPILING)[..] {
            bail!(
                "{} is a compiled program, in which this is decided already; expected none of these options, got {}; \
                 leave them out, or give the checkpoint folder",
                model.display(),
                options.join(", ")
            );
        }
    }
    let device = matches.try_get_one::<String>("device").ok().flatten();
    if device.is_some_and(|name| name == "eval") {
        if let options @ [_, ..] = &given(&OF_STORAGE)[..] {
            bail!(
                "--device eval computes in float32 from the checkpoint's own weights; expected none of these options, \
                 got {}; leave them out, or use --device iss",
                options.join(", ")
            );
        }
    }
    Ok(())
}
