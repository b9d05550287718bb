//! `contree ps`

use clap::Args;
use contree_api::operation::{OperationKind, OperationStatus};
use contree_client::OperationFilter;

use super::pages::pages;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::Moment;
use crate::output::{Columns, Row};

/// List operations: runs and imports
///
/// Without options those that are running.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree ps                          what is running
  contree ps -a --since 1h            everything of the last hour
  contree ps --status FAILED -k instance
  contree kill $(contree ps -q)       end all that is running")]
pub(crate) struct PsArgs {
    /// Only UUIDs
    #[arg(short, long)]
    quiet: bool,
    /// In any state
    #[arg(short, long)]
    all: bool,
    /// In this state: PENDING, ASSIGNED, EXECUTING, SUCCESS, FAILED or CANCELLED, or a first letter
    #[arg(long, value_parser = parse_status)]
    status: Option<OperationStatus>,
    /// Of this kind: instance (runs) or image_import
    #[arg(short, long, value_parser = parse_kind)]
    kind: Option<OperationKind>,
    /// Accepted since: a date, a time of today, or an interval such as 2h or 1d12h
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Accepted before
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
    /// At most so many
    #[arg(short = 'M', long = "show-max", value_name = "N", default_value_t = 1_000,
        value_parser = clap::value_parser!(u32).range(1..))]
    max: u32,
}

fn parse_status(text: &str) -> Result<OperationStatus, String> {
    let text = text.to_ascii_uppercase();
    OperationStatus::ALL
        .into_iter()
        .find(|status| {
            status.name() == text || (text.len() == 1 && status.name().starts_with(&text))
        })
        .ok_or_else(|| {
            format!(
                "one of {} is expected",
                OperationStatus::ALL.map(OperationStatus::name).join(", ")
            )
        })
}

fn parse_kind(text: &str) -> Result<OperationKind, String> {
    [OperationKind::Instance, OperationKind::ImageImport]
        .into_iter()
        .find(|kind| kind.name() == text)
        .ok_or_else(|| "instance or image_import is expected".to_owned())
}

const COLUMNS: Columns = Columns {
    head: &[],
    tail: &["error"],
    keep: &["uuid", "kind", "status", "created_at", "duration"],
    hidden: &[],
};

pub(crate) async fn ps(context: &Context, args: PsArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let status = args
        .status
        .or((!args.all).then_some(OperationStatus::Executing));
    let mut rows = context.output.rows(COLUMNS);
    let page = async |limit, offset| {
        let mut filter = OperationFilter::default();
        filter.limit = Some(limit);
        filter.offset = Some(offset);
        filter.status = status;
        filter.kind = args.kind;
        filter.since = args.since.map(Moment::wire);
        filter.until = args.until.map(Moment::wire);
        client.list_operations(&filter).await
    };
    let has_more = pages(
        args.max,
        page,
        |_| true,
        |operation| {
            if args.quiet {
                context.output.line(&operation.uuid.to_string())
            } else {
                rows.push(Row::of(&operation))
            }
        },
    )
    .await?;
    if !args.quiet {
        rows.finish()?;
    }
    if has_more {
        context.output.warn(&format!(
            "there are more than {} operations: raise --show-max, or narrow with --status, --kind, \
             --since or --until",
            args.max
        ));
    }
    Ok(0)
}
