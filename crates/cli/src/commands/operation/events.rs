//! `contree operation events`

use clap::Args;
use contree_api::OperationId;
use contree_client::events::EventQuery;
use contree_client::{Client, EventFrame};
use futures_util::stream::{BoxStream, StreamExt as _};

use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::interrupt::Interrupts;
use crate::output::{Columns, Format, Row};

/// Print the events of operations
///
/// Everything that happened, in order: start, network, processes, their input and output as
/// chunks, their ends, and last `completion`. The log stays when the operation has ended.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree op events HEAD
  contree op events --follow UUID                  until it ends
  contree op events --spid 1 --since 40 UUID       of the command itself, after event 40
  contree op events --raw UUID | jq -r .type       the server's own JSON, one event per line")]
pub(crate) struct EventsArgs {
    /// UUIDs, or steps of the session: HEAD, HEAD~N, @N, @-N, @+N or N
    #[arg(value_name = "REF", required = true, allow_negative_numbers = true)]
    operations: Vec<String>,
    /// Go on until the operations end; Ctrl-C ends only the printing
    #[arg(long)]
    follow: bool,
    /// Only events of this process: 1 is the command, 0 the sandbox itself
    #[arg(long, value_name = "N")]
    spid: Option<u32>,
    /// Only events after the one with this id
    #[arg(long, value_name = "ID")]
    since: Option<u64>,
    /// The server's JSON, one event per line
    #[arg(long)]
    raw: bool,
}

const COLUMNS: Columns = Columns {
    head: &["uuid", "id", "ts", "type", "spid"],
    tail: &["data"],
    keep: &["data"],
    hidden: &[],
};

type Events<'a> = BoxStream<'a, (OperationId, Result<EventFrame, Failure>)>;

pub(super) async fn events(context: &Context, args: EventsArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let mut operations = Vec::new();
    for id in context.store().await?.operations(&args.operations).await? {
        if !operations.contains(&id) {
            operations.push(id);
        }
    }
    let logs = operations
        .iter()
        .map(|&id| log(&client, id, &args))
        .collect::<Vec<_>>();
    // Logs of the past one after another, what happens now as it happens.
    let mut logs: Events<'_> = if args.follow {
        futures_util::stream::select_all(logs).boxed()
    } else {
        futures_util::stream::iter(logs).flatten().boxed()
    };
    let is_table = matches!(context.output.format(), Format::Default | Format::Table);
    let mut rows = context.output.rows(COLUMNS);
    let mut interrupts = Interrupts::listen();
    let mut code = 0;
    loop {
        let next = tokio::select! {
            next = logs.next() => next,
            _ = interrupts.next() => {
                rows.finish()?;
                return Err(Failure::interrupted());
            }
        };
        match next {
            None => break,
            Some((_, Err(failure))) => {
                context.output.failure(&failure.next("contree ps -a"));
                code = 1;
            }
            Some((_, Ok(frame))) if args.raw => context.output.line(&frame.json)?,
            Some((id, Ok(frame))) => {
                rows.push(row(id, &frame)?)?;
                if args.follow && is_table {
                    rows.flush()?;
                }
            }
        }
    }
    if !args.raw {
        rows.finish()?;
    }
    Ok(code)
}

/// The events of one operation; a failure is the last of them.
fn log<'a>(client: &'a Client, id: OperationId, args: &EventsArgs) -> Events<'a> {
    let failed = move || format!("could not read the events of operation {id}");
    if args.follow {
        let mut follow = client.follow(id).after(args.since);
        if let Some(spid) = args.spid {
            follow = follow.spid(spid);
        }
        return futures_util::stream::unfold(Some(follow), move |follow| async move {
            let mut follow = follow?;
            match follow.next().await.doing(failed) {
                Ok(frame) => Some(((id, Ok(frame?)), Some(follow))),
                Err(failure) => Some(((id, Err(failure)), None)),
            }
        })
        .boxed();
    }
    let mut query = EventQuery::default();
    query.spid = args.spid;
    query.after = args.since;
    let open = async move { client.events(id, &query).await.doing(failed) };
    futures_util::stream::once(open)
        .flat_map(move |opened| {
            let state = Some(opened);
            futures_util::stream::unfold(state, move |state| async move {
                let mut stream = match state? {
                    Ok(stream) => stream,
                    Err(failure) => return Some(((id, Err(failure)), None)),
                };
                match stream.next().await.doing(failed) {
                    Ok(frame) => Some(((id, Ok(frame?)), Some(Ok(stream)))),
                    Err(failure) => Some(((id, Err(failure)), None)),
                }
            })
        })
        .boxed()
}

fn row(id: OperationId, frame: &EventFrame) -> Result<Row, Failure> {
    let event = Row::read(&frame.json).map_err(|error| {
        Failure::new(format!("an event of operation {id} is no object")).because(&error)
    })?;
    Ok(event.with("uuid", id.to_string()))
}
