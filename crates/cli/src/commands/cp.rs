//! `contree cp`

use std::path::PathBuf;

use clap::Args;

use super::cd::parent;
use super::transfer::{Coding, Sink, Telling, transfer};
use crate::context::Context;
use crate::failure::Failure;
use crate::reference;

/// Copy a file of the current image to this machine
///
/// Nothing is run. Relative paths inside the image start at the working directory of the session.
/// DEST appears when it is whole, and a file that was there is replaced then.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree cp /srv/report.pdf .
  contree cp /srv/report.pdf today.pdf
  contree export /srv | tar -xzf -      a folder with all that is in it")]
pub(crate) struct CpArgs {
    /// File inside the image
    path: String,
    /// File or folder of this machine
    dest: PathBuf,
}

pub(crate) async fn cp(context: &Context, args: CpArgs) -> Result<u8, Failure> {
    if !context.output.is_default() {
        context
            .output
            .warn("cp copies a file as it is; the output format is ignored");
    }
    let client = context.client()?;
    let mut store = context.store().await?;
    let session = store.active().await?;
    let path = store.resolve_path(Some(&args.path)).await?;
    let image = reference::resolve(&client, &session.current_image).await?;
    let name = path.rsplit('/').next().unwrap_or_default();
    let dest = if args.dest.is_dir() {
        args.dest.join(name)
    } else {
        args.dest
    };
    let failed = format!("could not copy {path}");
    // Asked for first: what is not there must not touch the disk.
    let file = client.download(image, &path).await.map_err(|error| {
        let status = error.status();
        let failure = Failure::from(error).while_doing(failed.as_str());
        match status {
            Some(404) => failure.next(format!("contree ls {}", parent(&path))),
            Some(422) => failure.next(format!(
                "contree export {path} | tar -xzf -   (if it is a folder)"
            )),
            _ => failure,
        }
    })?;
    let to = Sink::file(&dest)?;
    let dest = to.name();
    let telling = Telling {
        path: &path,
        past: "downloaded",
        failed: &failed,
    };
    let (amount, speed) = transfer(context, file, Coding::AsTheyAre, to, telling).await?;
    context
        .output
        .note(&format!("Written {amount} to {dest} ({speed})"));
    Ok(0)
}
