//! `contree session show`: rows, or on a terminal a [`picture`].

mod picture;

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;

use crate::context::Context;
use crate::failure::Failure;
use crate::home::patience;
use crate::moment::Moment;
use crate::output::row::moment;
use crate::output::{Columns, Row};
use crate::session::{Entry, Store};
use picture::Picture;

/// Steps shown when nothing is said.
const RECENT: usize = 20;

/// Show the history of a session
///
/// Else than on a terminal one row per step. On a terminal a tree: the number of each step, its age,
/// what it was, how it went when that is known here, the branches whose tip it is (HEAD is where the
/// session stands), and the tags of an image where it came to be. A filled mark is a run that changed
/// the image; steps that no branch comes by any more are grey.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree session show               the last 20 steps
  contree session show other         of the session whose key ends so
  contree session show -a -k run     all runs
  contree session show -o json       one object per step")]
pub(crate) struct ShowArgs {
    /// Key of another session, or how it ends [default: the current one]
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// All steps, not only the last 20
    #[arg(short, long)]
    all: bool,
    /// Only steps of this kind: use, run, run-detached, cd, file …
    #[arg(short, long)]
    kind: Option<String>,
    /// Only the last N of them
    #[arg(short, long, value_name = "N")]
    last: Option<usize>,
    /// Since: a date, a time of today, or an interval such as 2h or 1d12h
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Before
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
}

pub(super) async fn show(
    context: &Context,
    store: &mut Store,
    args: ShowArgs,
) -> Result<u8, Failure> {
    let (key, active) = match &args.key {
        Some(name) => {
            let session = store.find(name).await?;
            (session.session_key, Some(session.active_branch))
        }
        None => (store.key().to_owned(), store.active_branch().await?),
    };
    let (all, branches) = store.history(&key).await?;
    let mut entries: Vec<Entry> = all.iter().filter(|e| args.wants(e)).cloned().collect();
    if entries.is_empty() {
        context.output.note("No history.");
        return Ok(0);
    }
    let count = entries.len();
    let wanted = args
        .last
        .unwrap_or(if args.all { count } else { RECENT })
        .min(count);
    entries.drain(..count - wanted);
    let output = &context.output;
    if output.is_default() && output.is_terminal() {
        let picture = Picture {
            key: &key,
            entries: &entries,
            all: &all,
            earlier: count - wanted,
            branches: &branches,
            active: active.as_deref(),
            tags: &tags(context, &entries).await,
            endings: &store.endings(&key).await?,
            now: Timestamp::now(),
            width: output.width(),
            paint: &|style, text| output.paint(style, text),
        };
        output.line(&picture.draw().join("\n"))?;
        return Ok(0);
    }
    if wanted < count && args.last.is_none() {
        output.note(&format!(
            "Showing last {wanted} of {count} history entries. \
             Use `contree session show --all` for full history."
        ));
    }
    let mut rows = context.output.rows(Columns::default());
    for entry in entries {
        let names = branches.get(&entry.id).map(|names| names.join(", "));
        rows.push(
            Row::new()
                .with("id", entry.id)
                .with("image", entry.image_uuid)
                .with("parent_id", entry.parent_id)
                .with("kind", entry.kind)
                .with("title", entry.title)
                .with("operation", entry.operation_uuid)
                .with("created_at", entry.created_at)
                .with("branches", names.unwrap_or_default()),
        )?;
    }
    rows.finish()?;
    Ok(0)
}

impl ShowArgs {
    fn wants(&self, entry: &Entry) -> bool {
        let is_kind = self.kind.as_ref().is_none_or(|kind| {
            entry.kind == *kind
                || entry
                    .kind
                    .strip_prefix(kind.as_str())
                    .is_some_and(|rest| rest.starts_with('-'))
        });
        let at = moment(&entry.created_at);
        let is_after = self
            .since
            .is_none_or(|since| at.is_some_and(|at| at >= since.timestamp()));
        let is_before = self
            .until
            .is_none_or(|until| at.is_some_and(|at| at <= until.timestamp()));
        is_kind && is_after && is_before
    }
}

/// Tags of the images shown, as far as the server tells them soon.
async fn tags(context: &Context, entries: &[Entry]) -> BTreeMap<String, Vec<String>> {
    const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);
    let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let Ok(client) = context.client() else {
        return tags;
    };
    let mut filter = contree_client::ImageFilter::default();
    filter.limit = Some(1_000);
    filter.tagged = true;
    // The tree is local; a server that is away takes nothing from it but the tags.
    if let Ok(Ok(images)) =
        tokio::time::timeout(patience(PATIENCE), client.list_images(&filter)).await
    {
        for image in images {
            let id = image.uuid.to_string();
            if let Some(tag) = image.tag
                && entries.iter().any(|entry| entry.image_uuid == id)
            {
                tags.entry(id).or_default().push(tag.to_string());
            }
        }
    }
    tags
}
