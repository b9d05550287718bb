//! `contree file edit`

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use contree_api::ImageId;
use contree_client::Client;

use super::stage;
use crate::commands::r#use::shell_word;
use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::home::variable;
use crate::interrupt::Interrupts;
use crate::reference;

/// Edit a file of the image
///
/// The file is fetched, an editor of this machine opens it, and what was changed becomes part of
/// the next run, as root's with mode 0644. A file that is not there begins empty; nothing changed,
/// nothing happens.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree file edit /etc/motd
  contree file edit -E 'code --wait' /srv/app.py
  contree file edit -E \"sed -i s/a/b/\" /srv/a      without a person")]
pub(crate) struct EditArgs {
    /// Editor command, read by a shell [default: $EDITOR, `editor` of cli.ini, vim, nano or vi]
    #[arg(short = 'E', long, value_name = "COMMAND")]
    editor: Option<String>,
    /// File inside the image; relative paths start at the session's working directory
    path: String,
}

pub(super) async fn edit(context: &Context, args: EditArgs) -> Result<u8, Failure> {
    let client = context.client()?;
    let mut store = context.store().await?;
    let session = store.active().await?;
    let image = reference::resolve(&client, &session.current_image).await?;
    let path = store.resolve_path(Some(&args.path)).await?;
    let is_staged = store
        .pending_files()
        .await?
        .iter()
        .any(|file| file.instance_path == path);
    if is_staged {
        context.output.warn(&format!(
            "{path} is waiting for the next run already; this edits the image's own, and replaces \
             what waits"
        ));
    }
    let failed = || "could not make a temporary file".to_owned();
    let folder = tempfile::Builder::new()
        .prefix("contree-")
        .tempdir()
        .doing(failed)?;
    let name = Path::new(&path).file_name().unwrap_or("file".as_ref());
    let local = folder.path().join(name);
    fetch(context, &client, image, &path, &local).await?;
    let before = std::fs::read(&local).doing(failed)?;

    // Ctrl-C is the editor's.
    let _interrupts = Interrupts::listen();
    tokio::task::yield_now().await;
    let editor = editor(context, args.editor);
    let command = format!("{editor} {}", shell_word(&local.to_string_lossy()));
    let status = Command::new("sh")
        .args(["-c", &command])
        .status()
        .doing(|| format!("could not start the editor '{editor}'"))?;
    if !status.success() {
        let ended = status
            .code()
            .map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"));
        return Err(Failure::new(format!("Editor exited with {ended}")));
    }
    if std::fs::read(&local).doing(failed)? == before {
        context.output.note("No changes detected, skipping upload");
        return Ok(0);
    }
    if let Err(failure) = stage(context, &client, &mut store, &local, &path).await {
        // What somebody wrote is not thrown away.
        let kept: PathBuf = folder.keep().join(name);
        return Err(failure.advise(format!("contree file cp {} {path}", kept.display())));
    }
    Ok(0)
}

/// Writes the image's file to a local one; an empty one when it has none.
async fn fetch(
    context: &Context,
    client: &Client,
    image: ImageId,
    path: &str,
    local: &Path,
) -> Result<(), Failure> {
    let failed = || format!("could not fetch {path}");
    let mut file = std::fs::File::create(local).doing(failed)?;
    let mut download = match client.download(image, path).await {
        Ok(download) => download,
        Err(error) if error.is_not_found() => {
            context
                .output
                .note(&format!("File {path} not found, creating empty file"));
            return Ok(());
        }
        Err(error) => return Err(Failure::from(error).while_doing(failed())),
    };
    while let Some(piece) = download.next().await.doing(failed)? {
        file.write_all(&piece).doing(failed)?;
    }
    Ok(())
}

fn editor(context: &Context, chosen: Option<String>) -> String {
    chosen
        .or_else(|| variable("EDITOR"))
        .or_else(|| context.profiles.setting("editor"))
        .or_else(|| {
            let found = ["vim", "nano"].into_iter().find_map(program);
            found.map(|path| shell_word(&path.to_string_lossy()))
        })
        .unwrap_or_else(|| "vi".to_owned())
}

/// A program on the path.
fn program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
