//! `contree kill`

use std::time::Duration;

use clap::Args;
use contree_api::OperationId;
use contree_api::operation::OperationStatus;
use contree_client::Contree;
use futures_util::StreamExt as _;

use super::active::{active, named};
use super::ending::ended;
use crate::context::Context;
use crate::failure::Failure;

/// Cancels at the same time.
const CONCURRENCY: usize = 16;
/// How long a cancelled operation is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Cancel operations
///
/// A run's sandbox ends at once and leaves no image; an import is stopped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree kill 019e0000-…
  contree kill HEAD           the operation of the last step of the session
  contree kill -a             everything started from this machine that has not ended
  contree kill -a --whole-project    everything of the project, other people's too")]
pub(crate) struct KillArgs {
    /// UUIDs, or steps of the session: HEAD, HEAD~N, @N, @-N, @+N or N
    #[arg(value_name = "REF", allow_negative_numbers = true)]
    operations: Vec<String>,
    /// All that are waiting or running and were started by sessions of this machine
    #[arg(short, long)]
    all: bool,
    /// With --all: also those that other people and machines started
    #[arg(long, requires = "all")]
    whole_project: bool,
}

pub(crate) async fn kill(context: &Context, args: KillArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let mut store = context.store().await?;
    let operations = if args.all {
        if !args.operations.is_empty() {
            context
                .output
                .warn("with --all every active operation is cancelled, not only those named");
        }
        active(context, &client, &mut store, args.whole_project).await?
    } else {
        named(&mut store, &args.operations).await?
    };
    if operations.is_empty() {
        context.output.note("Nothing to cancel");
    }
    let contree = Contree::new(client);
    let kills = operations
        .into_iter()
        .map(|id| kill_one(context, &contree, id));
    let codes: Vec<u8> = futures_util::stream::iter(kills)
        .buffered(CONCURRENCY)
        .collect()
        .await;
    Ok(codes.into_iter().max().unwrap_or(0))
}

/// Cancels, and waits until it has ended: who asks afterwards should not find it running.
async fn kill_one(context: &Context, contree: &Contree, id: OperationId) -> u8 {
    if let Err(error) = contree.client().cancel(id).await {
        let failure = Failure::from(error)
            .while_doing(format!("could not cancel operation {id}"))
            .next(format!("contree show {id}"));
        context.output.failure(&failure);
        return 1;
    }
    let told = tokio::time::timeout(PATIENCE, ended(contree, id)).await;
    match told.ok().and_then(Result::ok).map(|told| told.status()) {
        Some(OperationStatus::Cancelled) => {
            context.output.note(&format!("Cancelled operation {id}"));
        }
        Some(status) => context.output.note(&format!(
            "Operation {id} had ended with status {} by then",
            status.name()
        )),
        None => context
            .output
            .note(&format!("Operation {id} is being cancelled")),
    }
    0
}
