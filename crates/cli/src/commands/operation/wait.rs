//! `contree operation wait`

use std::time::Duration;

use clap::Args;
use contree_api::OperationId;
use contree_client::Contree;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::commands::active::{active, named};
use crate::commands::ending::{Told, ended};
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::output::{Columns, Rows};
use crate::session::Store;

/// Wait until operations have ended
///
/// One row for each as it ends. The exit code is 0 when all succeeded, the highest exit code of
/// their commands (255 for one that was killed), and at least 1 when one failed, was cancelled or
/// did not end in time. The session does not move: see `contree session wait`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree op wait UUID && echo done
  contree op wait -t 600 HEAD~1 HEAD~2
  contree op wait -a                    all that were started from this machine
  contree op wait -a --whole-project    all of the project, other people's too")]
pub(crate) struct WaitArgs {
    /// UUIDs, or steps of the session: HEAD, HEAD~N, @N, @-N, @+N or N
    #[arg(value_name = "REF", allow_negative_numbers = true)]
    operations: Vec<String>,
    /// All that have not ended and were started by sessions of this machine
    #[arg(short, long)]
    all: bool,
    /// With --all: also those that other people and machines started
    #[arg(long, requires = "all")]
    whole_project: bool,
    /// Seconds until waiting is given up
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
}

const COLUMNS: Columns = Columns {
    head: &["uuid", "status", "exit_code", "timed_out", "duration"],
    tail: &["error"],
    keep: &["error"],
    hidden: &["metadata", "result"],
};

pub(super) async fn wait(context: &Context, args: WaitArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let mut store = context.store().await?;
    let mut operations = if args.all {
        if !args.operations.is_empty() {
            context
                .output
                .warn("with --all every active operation is waited for, not only those named");
        }
        active(context, &client, &mut store, args.whole_project).await?
    } else {
        named(&mut store, &args.operations).await?
    };
    operations.sort_unstable();
    operations.dedup();
    if operations.is_empty() {
        context.output.note("No active operations to wait for");
        return Ok(0);
    }
    let deadline = Instant::now() + Duration::from_secs(args.timeout.into());
    let mut interrupts = Interrupts::listen();
    let mut rows = context.output.rows(COLUMNS);
    let contree = Contree::new(client.clone());
    let waits = operations.iter().map(|&id| {
        let contree = &contree;
        async move { (id, ended(contree, id).await) }
    });
    let mut waits: FuturesUnordered<_> = waits.collect();
    let mut waiting = operations.clone();
    let mut code = 0;
    loop {
        let next = tokio::select! {
            next = waits.next() => next,
            () = tokio::time::sleep_until(deadline) => break,
            _ = interrupts.next() => {
                rows.finish()?;
                return Err(Failure::interrupted());
            }
        };
        let Some((id, end)) = next else { break };
        waiting.retain(|other| *other != id);
        match end {
            Ok(told) => code = code.max(report(&mut store, &mut rows, id, &told).await?),
            Err(failure) => {
                context.output.failure(&failure.next("contree ps -a"));
                code = code.max(1);
            }
        }
    }
    drop(waits);
    let mut unfinished = 0;
    for id in waiting {
        match Told::ask(&client, id, false).await {
            // It had ended by then, and the word of it came later than the time was up.
            Ok(told) if told.status().is_terminal() => {
                code = code.max(report(&mut store, &mut rows, id, &told).await?);
                continue;
            }
            Ok(told) => rows.push(told.row().with("timed_out", true))?,
            Err(failure) => context.output.failure(&failure),
        }
        code = code.max(1);
        unfinished += 1;
    }
    if unfinished > 0 {
        context.output.warn(&format!(
            "Timeout: {unfinished} operation(s) did not finish in {}s",
            args.timeout
        ));
    }
    rows.finish()?;
    Ok(code)
}

/// The row of one that has ended.
async fn report(
    store: &mut Store,
    rows: &mut Rows,
    id: OperationId,
    told: &Told,
) -> Result<u8, Failure> {
    store
        .remember_json(&id.to_string(), "operation", &told.json)
        .await?;
    let row = told
        .row()
        .with("exit_code", told.exit_code())
        .with("timed_out", false);
    rows.push(row)?;
    rows.flush()?;
    Ok(told.outcome())
}
