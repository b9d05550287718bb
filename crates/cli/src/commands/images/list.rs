//! `contree images list`

use clap::Args;
use contree_api::ImageId;
use contree_api::image::Image;
use contree_client::ImageFilter;

use crate::commands::pages::pages;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::Moment;
use crate::output::{Columns, Row};

/// List images
///
/// An image with several tags is listed once for each.
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  contree images list                     those with a tag
  contree images list --prefix=python     whose tag starts so
  contree images list -a --since 1d       all of the last day")]
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
    /// At most so many [default: 3000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

impl ListArgs {
    /// What stands after `list`, and before it what does not stand after it.
    pub(super) fn or(self, before: Self) -> Self {
        Self {
            prefix: self.prefix.or(before.prefix),
            uuid: self.uuid.or(before.uuid),
            all: self.all || before.all,
            since: self.since.or(before.since),
            until: self.until.or(before.until),
            limit: self.limit.or(before.limit),
        }
    }
}

/// Images listed unless more are asked for.
const LIMIT: u32 = 3_000;

const COLUMNS: Columns = Columns {
    head: &[],
    tail: &[],
    keep: &["uuid", "tag"],
    hidden: &["parent_uuid"],
};

pub(super) async fn list(context: &Context, args: ListArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let limit = args.limit.unwrap_or(LIMIT);
    let prefix = args.prefix.as_deref();
    let page = async |limit, offset| {
        let mut filter = ImageFilter::default();
        filter.limit = Some(limit);
        filter.offset = Some(offset);
        // A uuid is asked for to see that image, whatever it is called.
        filter.tagged = !args.all && args.uuid.is_none();
        // Servers take a prefix that is a tag itself: `ubuntu:` is none, `ubuntu` is.
        filter.tag_prefix = prefix.map(|text| text.trim_end_matches([':', '/', '.']).to_owned());
        filter.uuid = args.uuid;
        filter.since = args.since.map(Moment::wire);
        filter.until = args.until.map(Moment::wire);
        client.list_images(&filter).await
    };
    let is_meant = |image: &Image| {
        let tag = image.tag.as_ref().map(ToString::to_string);
        prefix.is_none_or(|prefix| tag.unwrap_or_default().starts_with(prefix))
    };
    let mut rows = context.output.rows(COLUMNS);
    let has_more = pages(limit, page, is_meant, |image| rows.push(Row::of(&image))).await?;
    rows.finish()?;
    if has_more {
        context.output.warn(&format!(
            "there are more than {limit} images: raise --limit, or narrow with --prefix, --since \
             or --until"
        ));
    }
    Ok(0)
}
