//! `contree operation`

mod events;
mod wait;

use clap::{Args, Subcommand};

use super::{kill, ps, show};
use crate::context::Context;
use crate::failure::Failure;

/// Runs and imports: list, show, cancel, wait for them, read their events
///
/// `contree ps`, `contree show` and `contree kill` are short for list, show and cancel.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree op list -a --since 1h         everything of the last hour
  contree op show HEAD                  the last step of the session
  contree op wait -t 600 UUID UUID      until both have ended, ten minutes at most
  contree op events -o json HEAD        its events, one JSON object per line
  contree op cancel UUID")]
pub(crate) struct OperationArgs {
    #[command(subcommand)]
    command: OperationCommand,
}

#[derive(Debug, Subcommand)]
enum OperationCommand {
    #[command(visible_alias = "ls")]
    List(ps::PsArgs),
    #[command(visible_alias = "sh")]
    Show(show::ShowArgs),
    #[command(visible_aliases = ["kill", "k"])]
    Cancel(kill::KillArgs),
    #[command(visible_alias = "w")]
    Wait(wait::WaitArgs),
    #[command(visible_alias = "ev")]
    Events(events::EventsArgs),
}

pub(crate) async fn operation(context: &Context, args: OperationArgs) -> Result<u8, Failure> {
    match args.command {
        OperationCommand::List(args) => ps::ps(context, args).await,
        OperationCommand::Show(args) => show::show(context, args).await,
        OperationCommand::Cancel(args) => kill::kill(context, args).await,
        OperationCommand::Wait(args) => wait::wait(context, args).await,
        OperationCommand::Events(args) => events::events(context, args).await,
    }
}
