//! `contree ls`

use clap::Args;
use contree_api::inspect::FileItem;

use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::output::{Columns, Row};
use crate::reference;

/// List a folder of the current image
///
/// Nothing is run. Relative paths start at the working directory of the session.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree ls                  the session's working directory
  contree ls /etc
  contree ls -o json /etc     with all that is known about each entry")]
pub(crate) struct LsArgs {
    /// Folder inside the image [default: the working directory]
    path: Option<String>,
}

pub(crate) async fn ls(context: &Context, args: LsArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let mut store = context.store().await?;
    let session = store.active().await?;
    let path = store.resolve_path(args.path.as_deref()).await?;
    let image = reference::resolve(&client, &session.current_image).await?;
    let failed = || format!("could not list {path}");
    if context.output.is_default() {
        let text = client
            .list_directory_text(image, &path)
            .await
            .doing(failed)?;
        let text = if context.output.is_terminal() {
            crate::output::harmless(&text)
        } else {
            text
        };
        context.output.bytes(text.as_bytes())?;
        return Ok(0);
    }
    let list = client.list_directory(image, &path).await.doing(failed)?;
    let mut rows = context.output.rows(Columns {
        // In the order that readers of contree-cli's CSV know.
        head: &["size", "path", "owner", "group", "uid", "gid"],
        tail: &["type"],
        ..Columns::default()
    });
    for item in &list.files {
        rows.push(Row::of(item).with("type", kind(item)))?;
    }
    rows.finish()?;
    Ok(0)
}

const fn kind(item: &FileItem) -> &'static str {
    if item.is_dir {
        "d"
    } else if item.is_symlink {
        "l"
    } else {
        "-"
    }
}
