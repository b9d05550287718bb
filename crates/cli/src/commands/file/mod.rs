//! `contree file`

mod edit;
mod list;

use std::path::Path;

use clap::{Args, Subcommand};
use contree_client::Client;

use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::session::Store;

/// Files for the next run: edit, copy in, list uploads
///
/// What is edited or copied becomes part of the image with the next `contree run`. Until then it is
/// a step of the session like any other: it belongs to the branch, and `contree session rollback`
/// takes it back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree file edit /etc/motd               with $EDITOR; the next run sees the change
  contree file cp ./app.py /srv/app.py
  contree file ls --since 1d                uploads, and where they came from")]
pub(crate) struct FileArgs {
    #[command(subcommand)]
    command: FileCommand,
}

#[derive(Debug, Subcommand)]
enum FileCommand {
    #[command(visible_alias = "e")]
    Edit(edit::EditArgs),
    Cp(CpArgs),
    #[command(visible_alias = "list")]
    Ls(list::ListArgs),
}

/// Copy a file of this machine into the next run
///
/// It will belong to root with mode 0644; `contree run --file` can do otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree file cp ./app.py /srv/app.py
  contree file cp ./app.py /srv/            under its own name")]
pub(crate) struct CpArgs {
    /// File of this machine
    #[arg(value_name = "SRC")]
    source: String,
    /// Path inside the image; relative ones start at the session's working directory
    #[arg(value_name = "DEST")]
    destination: String,
}

pub(crate) async fn file(context: &Context, args: FileArgs) -> Result<u8, Failure> {
    match args.command {
        FileCommand::Edit(args) => edit::edit(context, args).await,
        FileCommand::Cp(args) => cp(context, args).await,
        FileCommand::Ls(args) => list::list(context, args).await,
    }
}

async fn cp(context: &Context, args: CpArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let mut store = context.store().await?;
    let source = Path::new(&args.source);
    if !source.is_file() {
        return Err(Failure::new(format!("File not found: {}", args.source))
            .next("contree run --file FOLDER:/PATH …   (takes whole folders)"));
    }
    store.active().await?;
    let mut path = store.resolve_path(Some(&args.destination)).await?;
    if args.destination.ends_with('/')
        && let Some(name) = source.file_name().and_then(|name| name.to_str())
    {
        path = format!("{}/{name}", path.trim_end_matches('/'));
    }
    let file = stage(context, &client, &mut store, source, &path).await?;
    store.note_upload(source, &file).await?;
    Ok(0)
}

/// Uploads a file, unless the server has it, and puts it into the next run; its id.
async fn stage(
    context: &Context,
    client: &Client,
    store: &mut Store,
    source: &Path,
    path: &str,
) -> Result<String, Failure> {
    let uploaded = client
        .ensure_file(source, |_| ())
        .await
        .doing(|| format!("could not upload {}", source.display()))?;
    let id = uploaded.file.uuid.to_string();
    store
        .stage_file(&format!("Change file {path}"), path, &id)
        .await?;
    context.output.note(&format!(
        "Pending: {path} -> {id} (will be included in next run)"
    ));
    Ok(id)
}
