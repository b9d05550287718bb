//! `contree kill`

use std::time::Duration;

use clap::Args;
use contree_api::OperationId;
use contree_api::operation::OperationStatus;
use contree_client::{Client, OperationFilter};
use futures_util::StreamExt as _;

use super::pages::pages;
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
  contree kill -a             everything of the project that has not ended")]
pub(crate) struct KillArgs {
    /// UUIDs, or steps of the session: HEAD, HEAD~N, @N, @-N, @+N or N
    #[arg(value_name = "REF", required_unless_present = "all")]
    operations: Vec<String>,
    /// All that are waiting or running
    #[arg(short, long)]
    all: bool,
}

pub(crate) async fn kill(context: &Context, args: KillArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let operations = if args.all {
        if !args.operations.is_empty() {
            context
                .output
                .warn("with --all every active operation is cancelled, not only those named");
        }
        active(&client).await?
    } else {
        context.store().await?.operations(&args.operations).await?
    };
    if operations.is_empty() {
        context.output.note("Nothing to cancel");
    }
    let kills = operations
        .into_iter()
        .map(|id| kill_one(context, &client, id));
    let codes: Vec<u8> = futures_util::stream::iter(kills)
        .buffered(CONCURRENCY)
        .collect()
        .await;
    Ok(codes.into_iter().max().unwrap_or(0))
}

/// Cancels, and waits until it has ended: who asks afterwards should not find it running.
async fn kill_one(context: &Context, client: &Client, id: OperationId) -> u8 {
    if let Err(error) = client.cancel(id).await {
        let failure = Failure::from(error)
            .while_doing(format!("could not cancel operation {id}"))
            .next(format!("contree show {id}"));
        context.output.failure(&failure);
        return 1;
    }
    match ended(client, id).await {
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

/// The status an operation ended with, when it ends soon.
async fn ended(client: &Client, id: OperationId) -> Option<OperationStatus> {
    let ask = async {
        let mut pause = Duration::from_millis(10);
        loop {
            let status = client.operation(id, false).await.ok()?.summary.status;
            if status.is_terminal() {
                return Some(status);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    };
    tokio::time::timeout(PATIENCE, ask).await.ok().flatten()
}

/// Everything that has not ended.
async fn active(client: &Client) -> Result<Vec<OperationId>, Failure> {
    let mut active = Vec::new();
    for status in OperationStatus::ALL
        .into_iter()
        .filter(|status| !status.is_terminal())
    {
        let page = async |limit, offset| {
            let filter = OperationFilter {
                limit: Some(limit),
                offset: Some(offset),
                status: Some(status),
                ..OperationFilter::default()
            };
            client.list_operations(&filter).await
        };
        pages(u32::MAX, page, |operation| {
            // One may have moved on to the next state between two lists.
            if !active.contains(&operation.uuid) {
                active.push(operation.uuid);
            }
            Ok(())
        })
        .await?;
    }
    Ok(active)
}
