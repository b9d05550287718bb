//! When the server accepted each run and when it ended, by the server's own record: `created_at` of
//! the operation, and the stamp of `completion`, the last event of its log. By then the result is
//! durable and a `GET` of the operation answers it.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use contree_api::event::EventData;
use contree_api::operation::{OperationKind, OperationMetadata};
use contree_api::{OperationId, Timestamp};
use contree_client::{Client, OperationFilter};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

/// Questions at a time.
const AT_ONCE: usize = 8;
/// Longest page of a list.
const PAGE: u32 = 1000;

/// Of one operation, nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) accepted: u64,
    pub(super) ended: u64,
}

/// Of every run accepted since then, by its hostname. Waits until all of them have ended; a client
/// that sent a request twice has several under one name.
pub(super) async fn since(
    client: &Client,
    since: Timestamp,
) -> anyhow::Result<HashMap<String, Vec<Moments>>> {
    let mut operations = Vec::new();
    loop {
        let offset = u32::try_from(operations.len()).context("too many operations")?;
        let mut filter = OperationFilter::default();
        filter.limit = Some(PAGE);
        filter.offset = Some(offset);
        filter.kind = Some(OperationKind::Instance);
        filter.since = Some(since.to_string());
        let page = client.list_operations(&filter).await?;
        operations.extend(page.iter().map(|operation| operation.uuid));
        if page.len() < PAGE as usize {
            break;
        }
    }
    let mut found: HashMap<String, Vec<Moments>> = HashMap::new();
    let mut answers = stream::iter(operations)
        .map(|operation| of(client, operation))
        .buffer_unordered(AT_ONCE);
    while let Some((name, moments)) = answers.try_next().await? {
        found.entry(name).or_default().push(moments);
    }
    Ok(found)
}

async fn of(client: &Client, operation: OperationId) -> anyhow::Result<(String, Moments)> {
    let mut events = client.follow(operation);
    let mut ended = None;
    while let Some(frame) = events.next().await? {
        if let Some(event) = frame.event
            && matches!(event.data, EventData::Completion(_))
        {
            ended = Some(event.ts);
        }
    }
    let ended = ended.with_context(|| format!("{operation} has no end"))?;
    let ended = serde_json::from_value(ended.into()).context("an event without a moment")?;
    let operation = client.operation(operation, false).await?;
    let OperationMetadata::Instance(metadata) = operation.metadata else {
        bail!("{} is no run", operation.summary.uuid);
    };
    let moments = Moments {
        accepted: nanos(operation.summary.created_at)?,
        ended: nanos(ended)?,
    };
    Ok((metadata.request.hostname, moments))
}

fn nanos(moment: Timestamp) -> anyhow::Result<u64> {
    let micros = u64::try_from(moment.as_micros()).context("a moment before 1970")?;
    Ok(micros * 1000)
}
