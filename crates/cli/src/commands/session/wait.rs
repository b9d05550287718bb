//! `contree session wait`

use clap::Args;
use contree_api::OperationId;
use contree_api::operation::OperationStatus;
use contree_client::Contree;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;

use crate::commands::ending::{Told, ended};
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::output::Columns;
use crate::session::{Left, Settled, Store};

/// Wait for the session's detached runs, and go on to their results
///
/// The active branch moves on to the image of a run that succeeded, if it is still where the run
/// started. If it has moved meanwhile it stays where it is, and the result is kept on the branch
/// `detached-UUID`; so is that of a command with another exit code than 0. Other operations are
/// waited for and change nothing. Exit codes are those of `contree op wait`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree run -d make && contree session wait
  contree session wait UUID
  contree session checkout detached-UUID     go on from a result that was kept aside")]
pub(crate) struct WaitArgs {
    /// UUIDs, or steps of the session: HEAD, HEAD~N, @N, @-N, @+N or N [default: all runs of the
    /// session that were not waited for]
    #[arg(value_name = "REF")]
    operations: Vec<String>,
}

const COLUMNS: Columns = Columns {
    head: &["uuid", "status", "exit_code", "branch", "duration"],
    tail: &["error"],
    keep: &["title", "error"],
    hidden: &["metadata", "result"],
};

pub(super) async fn wait(
    context: &Context,
    store: &mut Store,
    args: WaitArgs,
) -> Result<u8, Failure> {
    let pending = if args.operations.is_empty() {
        store.active().await?;
        store.pending_runs().await?
    } else {
        store.pending_runs().await.unwrap_or_default()
    };
    let mut operations: Vec<OperationId> = Vec::new();
    let named = if args.operations.is_empty() {
        pending
            .iter()
            .filter_map(|run| run.op.parse().ok())
            .collect()
    } else {
        store.operations(&args.operations).await?
    };
    for id in named {
        if !operations.contains(&id) {
            operations.push(id);
        }
    }
    if operations.is_empty() {
        context
            .output
            .note("No active operations for this session.");
        return Ok(0);
    }
    let plural = if operations.len() == 1 { "" } else { "s" };
    context.output.note(&format!(
        "Waiting for {} operation{plural}...",
        operations.len()
    ));

    let mut interrupts = Interrupts::listen();
    let mut rows = context.output.rows(COLUMNS);
    let contree = Contree::new(context.client()?);
    let waits = operations.iter().map(|&id| {
        let contree = &contree;
        async move { (id, ended(contree, id).await) }
    });
    // In the order they were started: which one the branch goes on to is not up to chance.
    let mut waits: FuturesOrdered<_> = waits.collect();
    let mut code = 0;
    loop {
        let next = tokio::select! {
            next = waits.next() => next,
            _ = interrupts.next() => {
                rows.finish()?;
                return Err(Failure::interrupted());
            }
        };
        let Some((id, end)) = next else { break };
        let told = match end {
            Ok(told) => told,
            Err(failure) => {
                context.output.failure(&failure.next("contree ps -a"));
                code = code.max(1);
                continue;
            }
        };
        code = code.max(told.outcome());
        let name = id.to_string();
        store.remember_json(&name, "operation", &told.json).await?;
        let image = told.image();
        let left = left(&told, image.as_deref());
        let settled = store.settle(&name, left).await?;
        let branch = tell(context, &name, &settled);
        let title = pending.iter().find(|run| run.op == name);
        let row = told
            .row()
            .with("exit_code", told.exit_code())
            .with("title", title.map_or("", |run| run.title.as_str()))
            .with("branch", branch);
        rows.push(row)?;
        rows.flush()?;
    }
    rows.finish()?;
    Ok(code)
}

fn left<'a>(told: &Told, image: Option<&'a str>) -> Left<'a> {
    if told.status() != OperationStatus::Success {
        return Left::Nothing;
    }
    match (image, told.exit_code()) {
        (None, _) => Left::Nothing,
        (Some(image), None | Some(0)) => Left::Result(image),
        (Some(image), Some(_)) => Left::Failed(image),
    }
}

/// Says where a result went that is not where it is looked for; the branch that has it.
fn tell<'a>(context: &Context, id: &str, settled: &'a Settled) -> &'a str {
    match settled {
        Settled::NotPending | Settled::Nothing => "",
        Settled::Advanced(branch) => branch,
        Settled::Kept(branch, active) => {
            context.output.warn(&format!(
                "branch '{active}' has moved since operation {id} was started, and stays where it \
                 is; the result is on branch '{branch}': contree session checkout {branch}"
            ));
            branch
        }
        Settled::Aside(branch) => {
            context.output.note(&format!(
                "Operation {id} did not end with exit code 0; its result is on branch '{branch}'"
            ));
            branch
        }
    }
}
