//! The developer's one door: `cargo xtask` lists the commands, and each has a file here.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line that shows its steps"
)]

mod bench;
mod build;
mod check;
mod debian;
mod deny;
mod pictures;
mod programs;
mod python;
mod quickstart;
mod test;

use std::process::ExitCode;

use clap::Parser;

/// Build, check, test, try out and measure this project.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
enum Command {
    /// Build `contree` and the static `contree-sandbox` side by side into target/<profile>/
    Build(build::Args),
    /// Check format, lints, the direction of dependencies and the rules of the house
    Check,
    /// Check licences, banned crates and sources
    Deny,
    /// Set up what the tests need and run all of them
    Test(test::Args),
    /// Walk through the main job on this machine, showing each command and its output
    Quickstart(quickstart::Args),
    /// Measure this machine and write target/bench/*.json; `bench sdk` measures the SDKs beside the
    /// published package, `bench start` the start of the command line
    Bench(bench::Args),
    /// Build the wheel of the Python SDK into target/wheels/release
    Python,
    /// Draw the pictures of docs/pictures, of the real command line at work
    Pictures(pictures::Args),
}

fn main() -> ExitCode {
    match run(&Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Build(args) => {
            let built = build::run(args)?;
            println!("{}\n{}", built.contree.display(), built.sandbox.display());
            Ok(())
        }
        Command::Check => check::run(),
        Command::Deny => deny::run(),
        Command::Test(args) => test::run(args),
        Command::Quickstart(args) => quickstart::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Python => python::run(),
        Command::Pictures(args) => pictures::run(args),
    }
}
