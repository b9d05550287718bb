//! `contree help`

use clap::{Args, CommandFactory as _};

use crate::args::{CommandLine, Globals};
use crate::context::fallback_output;
use crate::failure::Failure;

/// Show the help of a command
///
/// The same as `contree COMMAND --help`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree help
  contree help run
  contree help session branch")]
pub(crate) struct HelpArgs {
    /// The command, and the command below it
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// What is asked for, or mistyped, is answered as on any other command line.
pub(crate) fn help(globals: &Globals, args: HelpArgs) -> Result<u8, Failure> {
    let words = args.command.into_iter().chain(["--help".to_owned()]);
    let line = std::iter::once("contree".to_owned()).chain(words);
    match CommandLine::command().try_get_matches_from(line) {
        Err(error) => fallback_output(globals).usage(&error),
        Ok(_) => Ok(0),
    }
}
