//! `contree session`

mod branch;
mod move_tip;
mod sessions;
mod show;
mod wait;

use clap::{Args, Subcommand};

use super::r#use::session_row;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Columns;

/// Branch, go back, and look at the history of a session
///
/// A session remembers every step and its image; a branch is a name for a step. All of this is on
/// your machine: going back removes nothing on the server. Without a subcommand the current
/// session is shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree session                        where am I?
  contree session show                   how I came here
  contree session branch experiment      a second name for this step
  contree session checkout experiment    go on from there
  contree session rollback               one step back
  contree session rollback -3            three steps back (also: -- -3)
  contree session rollback 12            to step 12
  contree session rollback +1            forward again")]
pub(crate) struct SessionArgs {
    #[command(subcommand)]
    command: Option<SessionCommand>,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    Show(show::ShowArgs),
    #[command(visible_alias = "ls")]
    List(sessions::ListArgs),
    #[command(visible_alias = "br")]
    Branch(branch::BranchArgs),
    #[command(visible_alias = "co")]
    Checkout(branch::CheckoutArgs),
    #[command(visible_alias = "rb")]
    Rollback(move_tip::RollbackArgs),
    Wait(wait::WaitArgs),
    Use(sessions::UseArgs),
    #[command(visible_aliases = ["rm", "del"])]
    Delete(sessions::DeleteArgs),
}

pub(crate) async fn session(context: &Context, args: SessionArgs) -> Result<u8, Failure> {
    let mut store = context.store().await?;
    match args.command {
        None => {
            let session = store.active().await?;
            context
                .output
                .row(Columns::default(), session_row(&session))?;
            Ok(0)
        }
        Some(SessionCommand::Show(args)) => show::show(context, &mut store, args).await,
        Some(SessionCommand::List(args)) => sessions::list(context, &mut store, args).await,
        Some(SessionCommand::Branch(args)) => branch::branch(context, &mut store, args).await,
        Some(SessionCommand::Checkout(args)) => branch::checkout(context, &mut store, args).await,
        Some(SessionCommand::Rollback(args)) => move_tip::rollback(context, &mut store, args).await,
        Some(SessionCommand::Wait(args)) => wait::wait(context, &mut store, args).await,
        Some(SessionCommand::Use(args)) => sessions::use_session(context, &mut store, args).await,
        Some(SessionCommand::Delete(args)) => sessions::delete(context, &mut store, args).await,
    }
}
