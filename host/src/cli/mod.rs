//! The command line. One file per command; what they share is beside them.
//!
//! Standard output carries the answer of the command, as text or JSON. Progress, notes and errors
//! go to standard error. Exit codes: 0 done; 2 the input or the request is at fault, with one
//! message; 101 a bug of ours (Rust's code for a panic).

mod args;
mod bench;
mod calibrate;
mod calibration_report;
mod check;
mod classify;
mod compare;
mod compile;
mod depth;
mod devices;
mod embed;
mod evaluate;
mod exits;
mod import;
mod inspect;
mod isa;
mod logits;
mod output;
mod perplexity;
mod positions;
mod profile;
mod progress;
mod run;
mod score;
mod serve;
mod unused;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

/// Runs vision-language models on the FlightVLM accelerator and its simulators.
#[derive(Parser)]
#[command(name = "flightvlm", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Compile(compile::Args),
    Import(import::Args),
    Run(run::Args),
    Logits(logits::Args),
    Evaluate(evaluate::Args),
    Classify(classify::Args),
    Embed(embed::Args),
    Exits(exits::Args),
    Inspect(inspect::Args),
    Devices(devices::Args),
    Isa(isa::Args),
    Bench(bench::Args),
    Profile(profile::Args),
    Serve(serve::Args),
    Compare(compare::Args),
}

/// Parses the arguments, runs the command, reports an error.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has gone, as in `flightvlm ... | head`.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let matches = Cli::command().get_matches();
    let command = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command;
    if let Some((name, given)) = matches.subcommand() {
        unused::check(name, given)?;
    }
    match command {
        Command::Check(args) => check::main(args),
        Command::Compile(args) => compile::main(args),
        Command::Import(args) => import::main(args),
        Command::Inspect(args) => inspect::main(args),
        Command::Isa(args) => isa::main(args),
        Command::Bench(args) => bench::main(args),
        Command::Profile(args) => profile::main(args),
        Command::Serve(args) => serve::main(args),
        Command::Compare(args) => compare::main(args),
        Command::Run(args) => run::main(args),
        Command::Logits(args) => logits::main(args),
        Command::Evaluate(args) => evaluate::main(args),
        Command::Classify(args) => classify::main(args),
        Command::Embed(args) => embed::main(args),
        Command::Exits(args) => exits::main(args),
        Command::Devices(args) => devices::main(args),
    }
}
