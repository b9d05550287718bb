//! `contree session rollback`

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, Row};
use crate::session::{InvalidTarget, Store, Target};

/// Move the active branch to another step
///
/// Nothing is deleted: the steps after it stay in the history, and +N goes forward again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree session rollback          one step back
  contree session rollback -3       three steps back (also: -- -3)
  contree session rollback 12       to step 12 of `contree session show`
  contree session rollback +1       one step forward, to the newest one at a fork")]
pub(crate) struct RollbackArgs {
    /// -N steps back, +N steps forward, or the id of a step
    #[arg(default_value = "-1", allow_negative_numbers = true)]
    target: String,
}

pub(super) async fn rollback(
    context: &Context,
    store: &mut Store,
    args: RollbackArgs,
) -> Result<u8, Failure> {
    let target: Target = args.target.parse().map_err(|error: InvalidTarget| {
        Failure::new(format!("'{}': {error}", args.target)).next("contree session show")
    })?;
    let entry = store.roll(target).await?;
    let row = Row::new()
        .with("image", entry.image_uuid)
        .with("kind", entry.kind)
        .with("title", entry.title)
        .with("created_at", entry.created_at);
    context.output.row(Columns::default(), row)?;
    Ok(0)
}
