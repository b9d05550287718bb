//! `contree images list`

use clap::Args;
use contree_api::ImageId;
use contree_client::ImageFilter;

use crate::commands::pages::pages;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::Moment;
use crate::output::{Columns, Row};

/// List images
///
/// An image with several tags is listed once for each.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only tags that begin with this
    #[arg(long)]
    prefix: Option<String>,
    /// Only the image of this UUID
    #[arg(short = 'i', long)]
    uuid: Option<ImageId>,
    /// Also images without a tag
    #[arg(short, long)]
    all: bool,
    /// Made since: a date, a time of today, or an interval such as 2h or 1d12h
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Made before
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 3_000,
        value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

const COLUMNS: Columns = Columns {
    head: &[],
    tail: &[],
    keep: &["uuid", "tag"],
    hidden: &["parent_uuid"],
};

pub(super) async fn list(context: &Context, args: ListArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let mut rows = context.output.rows(COLUMNS);
    let page = async |limit, offset| {
        let filter = ImageFilter {
            limit: Some(limit),
            offset: Some(offset),
            // A uuid is asked for to see that image, whatever it is called.
            tagged: !args.all && args.uuid.is_none(),
            tag_prefix: args.prefix.clone(),
            uuid: args.uuid,
            since: args.since.map(Moment::wire),
            until: args.until.map(Moment::wire),
        };
        client.list_images(&filter).await
    };
    let has_more = pages(args.limit, page, |image| rows.push(Row::of(&image))).await?;
    rows.finish()?;
    if has_more {
        context.output.warn(&format!(
            "there are more than {} images: raise --limit, or narrow with --prefix, --since or \
             --until",
            args.limit
        ));
    }
    Ok(0)
}
