//! `contree file ls`

use clap::Args;
use contree_client::FileFilter;

use crate::commands::pages::pages;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::Moment;
use crate::output::{Columns, Row};

/// List uploaded files
///
/// The column `source` tells where a file came from, a path or a URL, if it was uploaded from this
/// machine; it is empty for the files of others.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree file ls
  contree file ls --since 1d --limit 5000
  contree file ls -q              uuid, sha256 and source")]
pub(crate) struct ListArgs {
    /// Uploaded since: a date, a time of today, or an interval such as 2h or 1d12h
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Uploaded before
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1_000,
        value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only uuid, sha256 and source
    #[arg(short, long)]
    quiet: bool,
}

pub(super) async fn list(context: &Context, args: ListArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let sources = context.store().await?.upload_sources().await?;
    let mut rows = context.output.rows(Columns::default());
    let page = async |limit, offset| {
        let mut filter = FileFilter::default();
        filter.limit = Some(limit);
        filter.offset = Some(offset);
        filter.since = args.since.map(Moment::wire);
        filter.until = args.until.map(Moment::wire);
        client.list_files(&filter).await
    };
    let has_more = pages(
        args.limit,
        page,
        |_| true,
        |file| {
            let id = file.uuid.to_string();
            let source = sources.get(&id).map_or("", String::as_str);
            let row = if args.quiet {
                Row::new()
                    .with("uuid", id.as_str())
                    .with("sha256", file.sha256.as_str())
            } else {
                Row::of(&file)
            };
            rows.push(row.with("source", source))
        },
    )
    .await?;
    rows.finish()?;
    if has_more {
        context.output.warn(&format!(
            "there are more than {} files: raise --limit, or narrow with --since or --until",
            args.limit
        ));
    }
    Ok(0)
}
