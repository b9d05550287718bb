//! `contree session show`

use std::collections::BTreeMap;

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::moment::Moment;
use crate::output::row::moment;
use crate::output::tree::{Node, draw};
use crate::output::{Columns, Output, Row, Style, harmless};
use crate::session::{Entry, Store};

/// Steps shown when nothing is said.
const RECENT: usize = 20;

/// Show the history of a session
///
/// On a terminal as a tree with branches and their tips, else one row per step.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree session show               the last 20 steps
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
    let (mut entries, branches) = store.history(&key).await?;
    entries.retain(|entry| args.wants(entry));
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
    if wanted < count && args.last.is_none() {
        context.output.note(&format!(
            "Showing last {wanted} of {count} history entries. \
             Use `contree session show --all` for full history."
        ));
    }
    if context.output.is_default() && context.output.is_terminal() {
        let tags = tags(context, &entries).await;
        tree(
            &context.output,
            &entries,
            &branches,
            active.as_deref(),
            &tags,
        )?;
        return Ok(0);
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
    let filter = contree_client::ImageFilter {
        limit: Some(1_000),
        tagged: true,
        ..contree_client::ImageFilter::default()
    };
    // The tree is local; a server that is away takes nothing from it but the tags.
    if let Ok(Ok(images)) = tokio::time::timeout(PATIENCE, client.list_images(&filter)).await {
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

fn tree(
    output: &Output,
    entries: &[Entry],
    branches: &BTreeMap<i64, Vec<String>>,
    active: Option<&str>,
    tags: &BTreeMap<String, Vec<String>>,
) -> Result<(), Failure> {
    // Said once, where the image came to be: many steps change nothing.
    let images: BTreeMap<i64, &str> = entries
        .iter()
        .map(|entry| (entry.id, entry.image_uuid.as_str()))
        .collect();
    let new_tags = |entry: &Entry| -> Vec<String> {
        let before = entry.parent_id.and_then(|parent| images.get(&parent));
        if before == Some(&entry.image_uuid.as_str()) {
            return Vec::new();
        }
        tags.get(&entry.image_uuid).cloned().unwrap_or_default()
    };
    let nodes: Vec<Node> = entries
        .iter()
        .map(|entry| Node {
            id: entry.id,
            parent: entry.parent_id,
            label: label(
                output,
                entry,
                branches.get(&entry.id),
                active,
                &new_tags(entry),
            ),
        })
        .collect();
    output.line(&draw(&nodes).join("\n"))
}

fn label(
    output: &Output,
    entry: &Entry,
    branches: Option<&Vec<String>>,
    active: Option<&str>,
    tags: &[String],
) -> String {
    let title = harmless(&entry.title.replace('\n', " ⏎ "));
    let image = entry.image_uuid.get(..8).unwrap_or(&entry.image_uuid);
    let mut label = format!(
        "{} {} {} {title}",
        output.paint(Style::Name, &entry.id.to_string()),
        output.paint(Style::Quiet, image),
        entry.kind,
    );
    for tag in tags {
        label.push_str(&output.paint(Style::Warning, &format!("  tag:{tag}")));
    }
    for name in branches.into_iter().flatten() {
        let is_active = Some(name.as_str()) == active;
        let (mark, style) = if is_active {
            ("◀ *", Style::Good)
        } else {
            ("◀ ", Style::Active)
        };
        label.push_str(&output.paint(style, &format!("  {mark}{}", harmless(name))));
    }
    label
}
