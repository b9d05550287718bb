//! `contree show`

use clap::Args;
use contree_api::OperationId;
use contree_api::instance::InstanceResult;
use contree_api::operation::{OperationMetadata, OperationResponse};
use contree_api::stream::StreamRepr;
use contree_client::Client;
use serde_json::Value;

use super::ending::Told;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, Output, Row, Rows};
use crate::session::Store;

/// Show operations and their output
///
/// What has ended never changes, and is kept on this machine once it was shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree show 019e0000-…
  contree show HEAD~1             the step before the last one of the session
  contree show --raw HEAD | jq .metadata.result.state")]
pub(crate) struct ShowArgs {
    /// UUIDs, or steps of the session: HEAD, HEAD~N, @N, @-N, @+N or N
    #[arg(value_name = "REF", required = true, allow_negative_numbers = true)]
    operations: Vec<String>,
    /// The server's own answer with all of its fields, one JSON object per line
    #[arg(long)]
    raw: bool,
}

const COLUMNS: Columns = Columns {
    head: &[
        "uuid",
        "status",
        "exit_code",
        "duration",
        "result_image_uuid",
    ],
    tail: &["error", "result"],
    keep: &["image", "tag", "error"],
    hidden: &[],
};

pub(crate) async fn show(context: &Context, args: ShowArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let mut store = context.store().await?;
    let mut rows = context.output.rows(COLUMNS);
    let mut code = 0;
    for id in store.operations(&args.operations).await? {
        let told = match fetch(&client, &mut store, id, args.raw).await {
            Ok(told) => told,
            Err(failure) => {
                context.output.failure(&failure.next("contree ps -a"));
                code = 1;
                continue;
            }
        };
        if args.raw {
            context.output.line(&told.json)?;
        } else {
            print(&context.output, &mut rows, &told.operation)?;
        }
    }
    if !args.raw {
        rows.finish()?;
    }
    Ok(code)
}

/// An operation, from memory when it has ended. What is remembered may have been written by another
/// program, without the fields that it did not know: for `raw` the server comes first.
async fn fetch(
    client: &Client,
    store: &mut Store,
    id: OperationId,
    raw: bool,
) -> Result<Told, Failure> {
    let key = id.to_string();
    let known = store.recall_json(&key, "operation").await?;
    let known = known
        .and_then(|json| Told::read(&json).ok())
        .filter(|told| told.status().is_terminal());
    if let Some(told) = known {
        if !raw {
            return Ok(told);
        }
        return Ok(Told::ask(client, id, true).await.unwrap_or(told));
    }
    let told = Told::ask(client, id, true).await?;
    if told.status().is_terminal() {
        store.remember_json(&key, "operation", &told.json).await?;
    }
    Ok(told)
}

fn print(output: &Output, rows: &mut Rows, operation: &OperationResponse) -> Result<(), Failure> {
    let result = match &operation.metadata {
        OperationMetadata::Instance(metadata) => metadata.result.as_ref(),
        OperationMetadata::Import(_) => None,
    };
    let made = operation.result.as_ref();
    let exit_code = result
        .filter(|_| operation.summary.status.is_terminal())
        .map(|result| result.state.exit_code);
    let image = made.and_then(|made| made.image).map(|id| id.to_string());
    let tag = made
        .and_then(|made| made.tag.as_ref())
        .map(ToString::to_string);
    let mut row = Row::of(&operation.summary)
        .with("exit_code", exit_code)
        .with("image", image.unwrap_or_default())
        .with("tag", tag.unwrap_or_default());
    let stdout = stream(
        result.map(|r| &r.stdout),
        made.and_then(|made| made.stdout.as_ref()),
    );
    let stderr = stream(
        result.map(|r| &r.stderr),
        made.and_then(|made| made.stderr.as_ref()),
    );
    if !output.is_default() {
        row = row.with("result", result_value(result, &stdout, &stderr));
    }
    rows.push(row)?;
    rows.flush()?;
    if output.is_default() {
        output.bytes(&ended_line(stdout))?;
        output.error_bytes(&ended_line(stderr))?;
    }
    Ok(())
}

/// The bytes of a stream: the whole one, else what there is so far.
fn stream(whole: Option<&StreamRepr>, so_far: Option<&StreamRepr>) -> Vec<u8> {
    whole
        .or(so_far)
        .and_then(|stream| stream.to_bytes().ok())
        .unwrap_or_default()
}

fn ended_line(mut bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    bytes
}

fn result_value(result: Option<&InstanceResult>, stdout: &[u8], stderr: &[u8]) -> Value {
    let mut value = result
        .and_then(|result| serde_json::to_value(result).ok())
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if let Value::Object(fields) = &mut value {
        for (name, bytes) in [("stdout", stdout), ("stderr", stderr)] {
            fields.insert(
                name.to_owned(),
                String::from_utf8_lossy(bytes).into_owned().into(),
            );
        }
    }
    value
}
