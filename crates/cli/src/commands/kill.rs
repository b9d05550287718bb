//! `contree kill`

use clap::Args;
use contree_api::OperationId;
use contree_api::operation::OperationStatus;
use contree_client::{Client, OperationFilter};

use super::pages::pages;
use crate::context::Context;
use crate::failure::Failure;

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
    let mut code = 0;
    for id in operations {
        match client.cancel(id).await {
            Ok(()) => context.output.note(&format!("Cancelled operation {id}")),
            Err(error) => {
                let failure = Failure::from(error)
                    .while_doing(format!("could not cancel operation {id}"))
                    .next(format!("contree show {id}"));
                context.output.failure(&failure);
                code = 1;
            }
        }
    }
    Ok(code)
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
