//! `contree cd`

use clap::Args;

use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::reference;
use crate::session::no_session;

/// Change or show the working directory of the session
///
/// Runs start in it, and relative paths of commands that look into the image are taken from it. It is
/// a step of the session: rolling back takes it back too. Without PATH it is printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree cd /srv/app
  contree cd ../lib           from where the session is
  contree cd                  where is it?
  contree session rollback    and back to where it was")]
pub(crate) struct CdArgs {
    /// Folder inside the image
    path: Option<String>,
}

pub(crate) async fn cd(context: &Context, args: CdArgs) -> Result<u8, Failure> {
    let mut store = context.store().await?;
    let path = store.resolve_path(args.path.as_deref()).await?;
    if args.path.is_none() {
        context.output.line(&path)?;
        return Ok(0);
    }
    let session = store.session().await?.ok_or_else(no_session)?;
    let client = context.client()?;
    let image = reference::resolve(&client, &session.current_image).await?;
    match client.list_directory(image, &path).await {
        Ok(_) => {}
        Err(error) if error.is_not_found() => {
            return Err(Failure::new(format!("cd: {path}: no such directory"))
                .next(format!("contree ls {}", parent(&path))));
        }
        Err(error) => return Err(error).doing(|| format!("could not change to {path}")),
    }
    store.change_directory(&path).await?;
    Ok(0)
}

/// The folder that a path is in.
pub(super) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}
