//! `contree help`

use clap::{Args, CommandFactory as _};

use crate::args::CommandLine;

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

/// Never returns: what is asked for, or mistyped, is answered as on any other command line.
pub(crate) fn help(args: HelpArgs) -> ! {
    let words = args.command.into_iter().chain(["--help".to_owned()]);
    CommandLine::command().get_matches_from(std::iter::once("contree".to_owned()).chain(words));
    unreachable!("--help ends the program")
}
