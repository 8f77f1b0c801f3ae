//! The `flightvlm` command; everything is in the library.

fn main() -> std::process::ExitCode {
    flightvlm::cli::main()
}
