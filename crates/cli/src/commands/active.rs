//! What `--all` means: everything that has not ended, of this machine's sessions or, only when that
//! is asked for, of the whole project.

use contree_api::OperationId;
use contree_api::operation::OperationStatus;
use contree_client::{Client, OperationFilter};

use super::pages::pages;
use crate::context::Context;
use crate::failure::Failure;
use crate::session::Store;

/// The operations that have not ended. Those of other people are left out, and counted for the
/// user, unless they are asked for.
pub(crate) async fn active(
    context: &Context,
    client: &Client,
    store: &mut Store,
    whole_project: bool,
) -> Result<Vec<OperationId>, Failure> {
    let mut active = of_project(client).await?;
    if whole_project {
        return Ok(active);
    }
    let count = active.len();
    let own = store.started().await?;
    active.retain(|id| own.contains(&id.to_string()));
    let others = count - active.len();
    if others > 0 {
        let plural = if others == 1 { "" } else { "s" };
        context.output.warn(&format!(
            "{others} active operation{plural} of the project not started from here left alone; \
             --whole-project takes them too"
        ));
    }
    Ok(active)
}

/// The operations that were named, where `--all` could have been said instead. None is a mistake,
/// and not a usage error: `contree kill $(contree ps -q)` comes to it when nothing runs.
pub(crate) async fn named(
    store: &mut Store,
    words: &[String],
) -> Result<Vec<OperationId>, Failure> {
    let operations = store.operations(words).await?;
    if operations.is_empty() {
        return Err(Failure::new("Provide at least one UUID, or use --all")
            .next("contree ps   (list what is running)"));
    }
    Ok(operations)
}

async fn of_project(client: &Client) -> Result<Vec<OperationId>, Failure> {
    let mut active = Vec::new();
    for status in OperationStatus::ALL
        .into_iter()
        .filter(|status| !status.is_terminal())
    {
        let page = async |limit, offset| {
            let mut filter = OperationFilter::default();
            filter.limit = Some(limit);
            filter.offset = Some(offset);
            filter.status = Some(status);
            client.list_operations(&filter).await
        };
        pages(
            u32::MAX,
            page,
            |_| true,
            |operation| {
                // One may have moved on to the next state between two lists.
                if !active.contains(&operation.uuid) {
                    active.push(operation.uuid);
                }
                Ok(())
            },
        )
        .await?;
    }
    Ok(active)
}
