//! The `contree` command: parse, run one of [`commands`], turn its outcome into an exit code.

#![forbid(unsafe_code)]

mod args;
mod build;
mod commands;
mod complete;
mod context;
mod failure;
mod home;
mod interrupt;
mod moment;
mod output;
mod path;
mod profile;
mod question;
mod reference;
mod session;
mod shell;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Command, CommandLine, Globals};
use failure::Failure;
use output::{Format, LogLevel, Output};

fn main() -> ExitCode {
    if complete::answer() {
        return ExitCode::SUCCESS;
    }
    let (output, outcome) = match CommandLine::try_parse() {
        Ok(CommandLine { globals, command }) => (
            context::fallback_output(&globals),
            dispatch(globals, command),
        ),
        // Help and the version, too.
        Err(error) => {
            let output = Output::new(Format::Default, LogLevel::Info);
            let outcome = output.usage(&error);
            (output, outcome)
        }
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if !failure.is_interrupt() || interrupt::first_to_tell() {
                output.failure(&failure);
            }
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(globals: Globals, command: Option<Command>) -> Result<u8, Failure> {
    let command = match command {
        None => {
            let help = CommandLine::command().render_help();
            context::fallback_output(&globals).line(help.to_string().trim_end())?;
            return Ok(0);
        }
        // A server has threads and a log of its own.
        #[cfg(target_os = "linux")]
        Some(Command::Serve(args)) => return commands::serve::serve(*args),
        Some(command) => command,
    };
    if globals.log_level == Some(LogLevel::Debug) {
        trace();
    }
    if matches!(command, Command::Shell(_)) {
        return shell::shell(globals);
    }
    interrupt::end_unless_heard(context::fallback_output(&globals));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("could not start").because(&error))?;
    let outcome = runtime.block_on(commands::run(globals, command));
    // A thread may wait for input that never comes.
    runtime.shutdown_background();
    outcome
}

/// Requests and what became of them, on standard error.
fn trace() {
    let filter = tracing_subscriber::EnvFilter::new("contree_client=debug,contree=debug");
    let is_terminal = std::io::stderr().is_terminal() && home::variable("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .init();
}
